//! What windows cost: how long until one is of use, what idle ones take, and thirty at once.
//!
//! ```sh
//! cargo run -p plushie-pool-tests --bin windowed-cost -- latency [--times 50]
//! cargo run -p plushie-pool-tests --bin windowed-cost -- idle [--windows 8] [--seconds 10]
//! cargo run -p plushie-pool-tests --bin windowed-cost -- crowd [--sessions 30] [--lives 300]
//! ```
//!
//! Each on a weston and on an Xvfb of its own, or on the one that `--display` names.

mod bare;
mod crowd;
mod idle;
mod latency;
mod process;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use futures::executor::block_on;
use plushie_pool::{Builder, Display, Error, RendererMode, SessionPool};

/// Says what windows cost
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    what: What,

    /// weston or xvfb [default: one after the other]
    #[arg(long, global = true)]
    display: Option<Display>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// From `register` to the first answered query, as a ratio to a renderer started by hand
    Latency {
        /// How often
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        times: u32,
    },
    /// CPU and memory while windows with a button each do nothing
    Idle {
        /// How many windows
        #[arg(long, default_value_t = 8)]
        windows: usize,
        /// How long to look
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// So many sessions at once, then so many more through the same places
    Crowd {
        /// How many at once
        #[arg(long, default_value_t = 30)]
        sessions: usize,
        /// How many more
        #[arg(long, default_value_t = 300)]
        lives: usize,
    },
}

/// This program is its own renderer when started with this argument.
const RENDERER: &str = "__renderer";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(RENDERER) {
        let app = plushie_widget_sdk::app::PlushieAppBuilder::new();
        return match plushie_renderer::run(app) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let options = Options::parse();
    let displays = match options.display {
        Some(display) => vec![display],
        None => vec![Display::Weston, Display::Xvfb],
    };
    for display in displays {
        let done = block_on(async {
            match options.what {
                What::Latency { times } => latency::run(display, times).await,
                What::Idle { windows, seconds } => idle::run(display, windows, seconds).await,
                What::Crowd { sessions, lives } => crowd::run(display, sessions, lives).await,
            }
        });
        if let Err(error) = done {
            eprintln!("{display}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn pool(display: Display, sessions: usize) -> Builder {
    SessionPool::builder()
        .renderer(std::env::current_exe().expect("it is running"))
        .renderer_args([RENDERER])
        .mode(RendererMode::Windowed)
        .display(display)
        .max_sessions(sessions)
}

type Outcome = Result<(), Error>;
