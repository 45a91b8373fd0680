//! Tries out a renderer and the pool, with nothing else installed:
//!
//! ```sh
//! plushie-pool demo --mode headless --sessions 8 --screenshots shots
//! ```

mod counter;
mod demo;
mod failure;
mod progress;
mod renderer;
mod report;
mod screenshot;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Cheap, isolated test sessions on the real plushie renderer
#[derive(Debug, Parser)]
#[command(name = "plushie-pool", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
}

fn main() -> ExitCode {
    // Before anything is parsed: a renderer's arguments are not ours.
    #[cfg(feature = "embedded-renderer")]
    if renderer::is_asked_for() {
        return renderer::run();
    }
    match Cli::parse().command {
        Command::Demo(demo) => demo.run(),
    }
}
