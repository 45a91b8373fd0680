//! Tries out a renderer and the pool, with nothing else installed, and puts the pool where
//! other processes can use it:
//!
//! ```sh
//! plushie-pool doctor
//! plushie-pool demo --mode headless --sessions 8 --screenshots shots
//! plushie-pool run -- cargo nextest run
//! plushie-pool serve --listen :4567
//! plushie-pool status --watch
//! ```

mod attach;
mod counter;
mod demo;
mod display_check;
mod doctor;
mod failure;
mod first_answer;
#[cfg(unix)]
mod init;
mod logging;
mod passing;
mod pool_options;
mod progress;
mod renderer;
mod renderer_options;
mod report;
mod run;
mod screenshot;
mod serve;
mod signals;
#[cfg(unix)]
mod stand_in;
mod status;
mod streams;
mod thread_limit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
#[cfg(unix)]
use failure::Failure;

/// Cheap, isolated test sessions on the real plushie renderer
#[derive(Debug, Parser)]
#[command(name = "plushie-pool", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attach(attach::Attach),
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Run(run::Run),
    Serve(serve::Serve),
    Status(status::Status),
}

fn main() -> ExitCode {
    // Before anything is parsed: a renderer's arguments are not ours.
    #[cfg(feature = "embedded-renderer")]
    if renderer::is_asked_for() {
        return renderer::run();
    }
    #[cfg(unix)]
    if let Err(error) = signals::keep_exit_statuses() {
        return Failure::Signals(error).report();
    }
    match Cli::parse().command {
        Command::Attach(attach) => attach.run(),
        Command::Demo(demo) => demo.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Run(run) => run.run(),
        Command::Serve(serve) => serve.run(),
        Command::Status(status) => status.run(),
    }
}
