//! Links and slots under schedules nobody would think of.
//!
//! Each life of a renderer follows from one number: sessions that come and go, a renderer that
//! answers late, twice, wrongly or never, frames written in pieces, and time that jumps. After
//! every step what must always be true is checked. A failure prints the number;
//! `PLUSHIE_POOL_SIM_SEED=number` runs that life alone. Ten million steps:
//!
//! ```text
//! PLUSHIE_POOL_SIM_STEPS=10000000 cargo test --release -p plushie-pool-core --test simulation -- --nocapture
//! ```

#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

mod book;
mod coverage;
mod peer;
mod rng;
mod tenancy;
mod world;

/// Shared with the unit tests, which know this crate by another name.
#[path = "../support/json.rs"]
mod json;
use plushie_pool_core as pool_core;

use coverage::Coverage;
use world::World;

const STEPS: u64 = 300_000;

#[test]
fn every_schedule_keeps_what_is_promised() {
    let mut coverage = Coverage::default();
    if let Some(seed) = number_from("PLUSHIE_POOL_SIM_SEED") {
        live(seed, u64::MAX, &mut coverage);
        return println!("{coverage}");
    }
    let steps = number_from("PLUSHIE_POOL_SIM_STEPS").unwrap_or(STEPS);
    let mut done = 0;
    for seed in 0.. {
        if done >= steps {
            break;
        }
        done += live(seed, steps - done, &mut coverage);
    }
    println!("{coverage}");
    if steps >= STEPS {
        coverage.assert_all();
    }
}

fn live(seed: u64, most: u64, coverage: &mut Coverage) -> u64 {
    let _seed = TellOnPanic(seed);
    let mut world = World::new(seed, coverage);
    let steps = world.life_span().min(most);
    for _ in 0..steps {
        world.step();
    }
    world.end();
    steps
}

struct TellOnPanic(u64);

impl Drop for TellOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see this again: PLUSHIE_POOL_SIM_SEED={}", self.0);
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
    )
}
