//! From the start of a renderer to its first answer.

use std::time::Instant;

use plushie_pool::blocking::Wait;

use crate::args::Args;
use crate::callers::{Caller, Failure, Program};
use crate::measure::{at, sorted};
use crate::pool;
use crate::report::Extra;
use crate::workload::{Bare, Query, Snapshot, Work};

/// How long the pool takes, beside raw.
pub(crate) fn ratios(args: &Args) -> Result<Vec<Extra>, Failure> {
    let rounds = if args.quick { 5 } else { 31 };
    let mut extra = Vec::new();
    for peer in args.peers() {
        for format in args.formats() {
            let program = Program::new(peer, args.mode, format, 8)?;
            let mut ratios = Vec::new();
            for _ in 0..rounds {
                let raw = time(|| {
                    let mut raw = Caller::raw(&program)?;
                    raw.prepare(Work::queries(1, 1))?;
                    Ok(raw)
                })?;
                let pool = time(|| {
                    let pool = pool::start(&program)?;
                    let session = pool.register().wait()?;
                    session.send(&Bare(&Snapshot::new(20))).wait()?;
                    session.request(&Bare(&Query), "query_response").wait()?;
                    Ok((pool, session))
                })?;
                ratios.push(pool / raw);
            }
            let ratio = at(&sorted(ratios.into_iter()), 0.5);
            extra.push(Extra::new(
                args,
                "start-to-first-answer",
                &program,
                ratio,
                "times raw's",
            ));
        }
    }
    Ok(extra)
}

/// The seconds `act` takes, without those of cleaning up.
fn time<T>(act: impl FnOnce() -> Result<T, Failure>) -> Result<f64, Failure> {
    let since = Instant::now();
    let kept = act()?;
    let took = since.elapsed().as_secs_f64();
    drop(kept);
    Ok(took)
}
