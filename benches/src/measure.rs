//! Takes turns.

use std::time::{Duration, Instant};

use crate::args::Effort;
use crate::callers::{Caller, Failure};
use crate::usage;
use crate::workload::Work;

/// What one turn took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    wall: Duration,
    client: Duration,
    renderer: Option<Duration>,
}

impl Turn {
    /// The seconds that passed.
    pub(crate) fn wall(&self) -> f64 {
        self.wall.as_secs_f64()
    }
}

/// What all turns of one caller come to, beside those of raw.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Its rate, as a share of raw's in the same round: the median.
    pub(crate) ratio: f64,
    /// The same, at the first and the third quartile.
    pub(crate) spread: (f64, f64),
    /// Client CPU of an operation, in microseconds: the median.
    pub(crate) client: f64,
    /// Renderer CPU of an operation beside raw's: the median.
    pub(crate) renderer_ratio: Option<f64>,
    /// Operations in a second: the median.
    pub(crate) rate: f64,
}

/// Has every caller do the work in turn, the first of them being raw.
pub(crate) fn compare(
    callers: &mut [Caller],
    work: Work,
    effort: Effort,
) -> Result<Vec<Figures>, Failure> {
    for caller in &mut *callers {
        caller.prepare(work)?;
    }
    let operations = calibrate(&mut callers[0], work, effort)?;
    for caller in &mut *callers {
        caller.run(work, work.unit())?;
    }
    let mut turns = vec![Vec::new(); callers.len()];
    for round in 0..effort.rounds {
        for n in 0..callers.len() {
            // Nobody is always the first.
            let at = (n + round) % callers.len();
            turns[at].push(turn(&mut callers[at], work, operations)?);
        }
    }
    for caller in &mut *callers {
        caller.finish()?;
    }
    let raw = &turns[0];
    Ok(turns
        .iter()
        .map(|turns| figures(turns, raw, operations))
        .collect())
}

/// How many operations take raw about a turn.
fn calibrate(raw: &mut Caller, work: Work, effort: Effort) -> Result<usize, Failure> {
    let unit = work.unit();
    let mut operations = unit;
    loop {
        let took = turn(raw, work, operations)?.wall;
        if took * 2 >= effort.turn {
            let share = effort.turn.as_secs_f64() / took.as_secs_f64();
            let units = (operations / unit) as f64 * share;
            return Ok(unit * (units.round() as usize).max(1));
        }
        operations *= 2;
    }
}

pub(crate) fn turn(caller: &mut Caller, work: Work, operations: usize) -> Result<Turn, Failure> {
    let pid = caller.renderer();
    let renderer_cpu = |pid: u32| usage::cpu_of(pid).ok();
    let renderer = pid.and_then(renderer_cpu);
    let client = usage::own_cpu();
    let since = Instant::now();
    caller.run(work, operations)?;
    let wall = since.elapsed();
    let client = usage::own_cpu() - client;
    let after = caller
        .renderer()
        .filter(|after| Some(*after) == pid)
        .and_then(renderer_cpu);
    let renderer = after.zip(renderer).map(|(after, before)| after - before);
    Ok(Turn {
        wall,
        client,
        renderer,
    })
}

fn figures(turns: &[Turn], raw: &[Turn], operations: usize) -> Figures {
    let each = |measure: fn(&Turn, &Turn) -> Option<f64>| {
        let pairs = turns.iter().zip(raw);
        sorted(pairs.filter_map(|(turn, raw)| measure(turn, raw)))
    };
    let ratios = each(|turn, raw| Some(raw.wall.as_secs_f64() / turn.wall.as_secs_f64()));
    let renderers = each(|turn, raw| {
        let (turn, raw) = (turn.renderer?, raw.renderer?);
        Some(turn.as_secs_f64() / raw.as_secs_f64())
    });
    let walls = each(|turn, _| Some(turn.wall.as_secs_f64()));
    let clients = each(|turn, _| Some(turn.client.as_secs_f64()));
    Figures {
        ratio: at(&ratios, 0.5),
        spread: (at(&ratios, 0.25), at(&ratios, 0.75)),
        client: at(&clients, 0.5) * 1e6 / operations as f64,
        renderer_ratio: (!renderers.is_empty()).then(|| at(&renderers, 0.5)),
        rate: operations as f64 / at(&walls, 0.5),
    }
}

pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value this far into them, from 0 to 1.
pub(crate) fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    sorted[(last as f64 * share).round() as usize]
}
