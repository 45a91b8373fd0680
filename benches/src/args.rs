//! What is to be measured.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use plushie_pool::WireFormat;

/// What plushie-pool costs, beside a loop over the renderer's own pipes
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Prints a list of objects instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Measures less, and ends within 50 s
    #[arg(long)]
    pub(crate) quick: bool,
    /// Keeps everything on one core, which is the steadiest
    #[arg(long)]
    pub(crate) pin: bool,
    /// Only workloads with this in their names
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<String>,
    /// Only with this renderer
    #[arg(long)]
    pub(crate) renderer: Option<Peer>,
    /// Only in this format
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// The mode the real renderer runs in; screenshots are always headless
    #[arg(long, default_value = "mock")]
    pub(crate) mode: ModeArg,
    /// Only workloads with so many sessions, and queries with so many if there is none
    #[arg(long, value_name = "N")]
    pub(crate) sessions: Option<usize>,
    /// Only this caller, beside raw
    #[arg(long)]
    pub(crate) caller: Option<CallerArg>,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The real renderer
    Real,
    /// A program that answers at once
    Null,
}

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Msgpack,
    Json,
}

/// A mode of the renderer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    Mock,
    Headless,
}

/// Who calls the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CallerArg {
    /// Tasks on a current-thread runtime
    Current,
    /// Tasks on a multi-thread runtime
    Multi,
    /// Threads that wait
    Blocking,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often each caller has its turn.
    pub(crate) rounds: usize,
    /// How long a turn is.
    pub(crate) turn: Duration,
}

impl Args {
    pub(crate) fn effort(&self) -> Effort {
        let (rounds, turn) = if self.quick { (5, 14) } else { (11, 80) };
        Effort {
            rounds,
            turn: Duration::from_millis(turn),
        }
    }

    pub(crate) fn peers(&self) -> Vec<Peer> {
        only(self.renderer, &[Peer::Real, Peer::Null])
    }

    pub(crate) fn formats(&self) -> Vec<Format> {
        only(self.format, &[Format::Msgpack, Format::Json])
    }

    pub(crate) fn callers(&self) -> Vec<CallerArg> {
        use CallerArg::*;
        only(self.caller, &[Current, Multi, Blocking])
    }
}

fn only<T: Copy>(chosen: Option<T>, all: &[T]) -> Vec<T> {
    chosen.map_or_else(|| all.to_vec(), |chosen| vec![chosen])
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Null => "null",
        }
    }
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Msgpack => "msgpack",
            Self::Json => "json",
        }
    }

    pub(crate) fn of_the_pool(self) -> WireFormat {
        match self {
            Self::Msgpack => WireFormat::Msgpack,
            Self::Json => WireFormat::Json,
        }
    }
}

impl CallerArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Current => "current-thread",
            Self::Multi => "multi-thread",
            Self::Blocking => "blocking",
        }
    }
}
