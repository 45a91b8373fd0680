//! What a session costs while nothing happens, and whether others pay for it.

use plushie_pool::blocking::Wait;
use plushie_pool::{Session, SessionPool};

use crate::allocations;
use crate::args::{Args, CallerArg, Peer};
use crate::callers::{Caller, Failure, Program};
use crate::measure::{at, sorted, turn};
use crate::pool;
use crate::report::Extra;
use crate::usage;
use crate::workload::{Bare, Query, Work};

/// Many sessions.
const MANY: usize = 10_000;

pub(crate) fn figures(args: &Args) -> Result<Vec<Extra>, Failure> {
    let mut extra = Vec::new();
    if !args.peers().contains(&Peer::Null) {
        return Ok(extra);
    }
    for format in args.formats() {
        let program = Program::new(Peer::Null, args.mode, format, MANY + 16)?;
        let pool = pool::start(&program)?;
        let add = |workload, value, unit| Extra::new(args, workload, &program, value, unit);
        let session = used(&pool)?;
        extra.push(add(
            "allocations-per-request",
            allocations_each(&session)?,
            "",
        ));

        let resident = usage::resident()?;
        let (idle, counted) = allocations::during(|| {
            (0..MANY)
                .map(|_| used(&pool))
                .collect::<Result<Vec<_>, _>>()
        });
        let idle = idle?;
        let grown = usage::resident()?.saturating_sub(resident);
        extra.push(add(
            "idle-session",
            counted.bytes as f64 / MANY as f64,
            "bytes",
        ));
        extra.push(add(
            "idle-session-resident",
            grown as f64 / MANY as f64,
            "bytes",
        ));
        drop(idle);
        extra.push(add(
            "10000-idle-beside",
            beside_many(args, &program)?,
            "times alone",
        ));
    }
    Ok(extra)
}

/// A session that has been used, and is not now.
fn used(pool: &SessionPool) -> Result<Session, Failure> {
    let session = pool.register().wait()?;
    session.request(&Bare(&Query), "query_response").wait()?;
    Ok(session)
}

fn allocations_each(session: &Session) -> Result<f64, Failure> {
    const REQUESTS: u64 = 10_000;
    let (done, counted) = allocations::during(|| {
        (0..REQUESTS).try_for_each(|_| {
            let reply = session.request(&Bare(&Query), "query_response");
            reply.wait().map(drop)
        })
    });
    done?;
    Ok(counted.allocations as f64 / REQUESTS as f64)
}

/// The wall time of an operation of 8 sessions in a pool of many, beside one of few.
fn beside_many(args: &Args, program: &Program) -> Result<f64, Failure> {
    let work = Work::queries(8, 1);
    let mut few = Caller::pool(program, CallerArg::Current)?;
    let mut many = Caller::pool(program, CallerArg::Current)?;
    let Caller::Pool(_, pooled) = &many else {
        unreachable!("it was made one");
    };
    let idle = (0..MANY)
        .map(|_| used(&pooled.pool))
        .collect::<Result<Vec<_>, _>>()?;
    few.prepare(work)?;
    many.prepare(work)?;
    let mut ratios = Vec::new();
    for _ in 0..args.effort().rounds {
        let alone = turn(&mut few, work, 8_000)?.wall();
        let beside = turn(&mut many, work, 8_000)?.wall();
        ratios.push(beside / alone);
    }
    drop(idle);
    Ok(at(&sorted(ratios.into_iter()), 0.5))
}
