//! What the pool costs, beside the leanest loop over the renderer's own pipes.
//!
//! ```sh
//! cargo run --release -p plushie-pool-bench -- --pin
//! ```
//!
//! Each workload runs in rounds, and in each round by every caller in turn, so that whatever
//! else the machine does falls on all of them. What is told are the ratios of one round.
//! `docs/performance.md` explains the table.

mod allocations;
mod args;
mod callers;
mod measure;
mod null;
mod pool;
mod raw;
mod report;
mod scale;
mod start;
mod usage;
mod wire;
mod workload;

use std::env;
use std::process::{ExitCode, Termination};

use clap::Parser;
use plushie_widget_sdk::app::PlushieAppBuilder;

use crate::args::Args;

/// The first argument that makes this program the real renderer.
const RENDERER: &str = "__renderer";
/// The first argument that makes this program one that answers at once.
const NULL: &str = "__null";

fn main() -> ExitCode {
    // A renderer reads the arguments itself, and passes over the one that led here.
    match env::args().nth(1).as_deref() {
        Some(RENDERER) => plushie_renderer::run(PlushieAppBuilder::new()).report(),
        Some(NULL) => null::run().report(),
        _ => match report::run(&Args::parse()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
