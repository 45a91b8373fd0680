//! The whole run, and what is told of it.

use serde::Serialize;

use crate::args::{Args, ModeArg, Peer};
use crate::callers::{Caller, Failure, Program};
use crate::measure::{Figures, compare};
use crate::workload::Work;
use crate::{scale, start, usage};

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    workload: String,
    renderer: &'static str,
    format: &'static str,
    pinned: bool,
    caller: &'static str,
    sessions: usize,
    in_flight: usize,
    ratio_to_raw: f64,
    ratio_quartiles: (f64, f64),
    client_cpu_us: f64,
    raw_client_cpu_us: f64,
    client_cpu_ratio: f64,
    renderer_cpu_ratio: Option<f64>,
    raw_rate: f64,
}

/// Measures, and prints as it goes.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.pin {
        usage::pin()?;
    }
    let mut printer = Printer {
        json: args.json,
        lines: Vec::new(),
    };
    for peer in args.peers() {
        for format in args.formats() {
            for (mode, works) in works(args) {
                if works.is_empty() {
                    continue;
                }
                let most = works.iter().map(|work| work.sessions()).max().unwrap_or(1);
                let program = Program::new(peer, mode, format, most)?;
                let mut callers = vec![Caller::raw(&program)?];
                for kind in args.callers() {
                    callers.push(Caller::pool(&program, kind)?);
                }
                for work in works {
                    let figures = compare(&mut callers, work, args.effort())?;
                    printer.add(&program, args.pin, work, &callers, &figures);
                }
            }
        }
    }
    if args.workload.is_none() && args.sessions.is_none() {
        let mut extra = start::ratios(args)?;
        extra.extend(scale::figures(args)?);
        printer.extra(&extra);
    }
    printer.end()
}

/// What is asked for, by the mode it needs.
fn works(args: &Args) -> Vec<(ModeArg, Vec<Work>)> {
    let mut all = Work::ALL.to_vec();
    if let Some(sessions) = args.sessions {
        all.retain(|work| work.sessions() == sessions);
        if all.is_empty() {
            all.push(Work::queries(sessions, 1));
        }
    }
    if let Some(name) = &args.workload {
        all.retain(|work| work.name().contains(name.as_str()));
    }
    let (pictures, others) = all.into_iter().partition(|work| *work == Work::Screenshot);
    vec![(args.mode, others), (ModeArg::Headless, pictures)]
}

/// A figure that is no ratio to raw's rate.
#[derive(Debug, Serialize)]
pub(crate) struct Extra {
    pub(crate) workload: &'static str,
    pub(crate) renderer: &'static str,
    pub(crate) format: &'static str,
    pub(crate) pinned: bool,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Extra {
    pub(crate) fn new(
        args: &Args,
        workload: &'static str,
        program: &Program,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            workload,
            renderer: Peer::name(program.peer),
            format: program.format.name(),
            pinned: args.pin,
            value,
            unit,
        }
    }
}

struct Printer {
    json: bool,
    lines: Vec<serde_json::Value>,
}

impl Printer {
    fn add(
        &mut self,
        program: &Program,
        pinned: bool,
        work: Work,
        callers: &[Caller],
        figures: &[Figures],
    ) {
        let raw = &figures[0];
        for (caller, figures) in callers.iter().zip(figures) {
            let Caller::Pool(kind, _) = caller else {
                continue;
            };
            let line = Line {
                workload: work.name(),
                renderer: program.peer.name(),
                format: program.format.name(),
                pinned,
                caller: kind.name(),
                sessions: work.sessions(),
                in_flight: work.in_flight(),
                ratio_to_raw: rounded(figures.ratio),
                ratio_quartiles: (rounded(figures.spread.0), rounded(figures.spread.1)),
                client_cpu_us: rounded(figures.client),
                raw_client_cpu_us: rounded(raw.client),
                client_cpu_ratio: rounded(figures.client / raw.client),
                renderer_cpu_ratio: figures.renderer_ratio.map(rounded),
                raw_rate: raw.rate.round(),
            };
            if self.json {
                self.lines
                    .push(serde_json::to_value(&line).expect("a line is JSON"));
            } else {
                self.row(&line);
            }
        }
    }

    fn row(&mut self, line: &Line) {
        if self.lines.is_empty() {
            println!(
                "{:<16} {:<5} {:<8} {:<15} {:>6} {:>13} {:>10} {:>10} {:>9} {:>11}",
                "workload",
                "peer",
                "format",
                "caller",
                "ratio",
                "quartiles",
                "client us",
                "raw us",
                "renderer",
                "raw ops/s",
            );
            self.lines.push(serde_json::Value::Null);
        }
        let quartiles = format!(
            "{:.2}-{:.2}",
            line.ratio_quartiles.0, line.ratio_quartiles.1
        );
        let renderer = line.renderer_cpu_ratio.map(|ratio| format!("{ratio:.2}"));
        println!(
            "{:<16} {:<5} {:<8} {:<15} {:>6.2} {quartiles:>13} {:>10.2} {:>10.2} {:>9} {:>11.0}",
            line.workload,
            line.renderer,
            line.format,
            line.caller,
            line.ratio_to_raw,
            line.client_cpu_us,
            line.raw_client_cpu_us,
            renderer.as_deref().unwrap_or("-"),
            line.raw_rate,
        );
    }

    fn extra(&mut self, extra: &[Extra]) {
        for figure in extra {
            if self.json {
                self.lines
                    .push(serde_json::to_value(figure).expect("a figure is JSON"));
            } else {
                println!(
                    "{:<40} {:<5} {:<8} {:>10.2} {}",
                    figure.workload, figure.renderer, figure.format, figure.value, figure.unit
                );
            }
        }
    }

    fn end(self) -> Result<(), Failure> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&self.lines)?);
        }
        Ok(())
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
