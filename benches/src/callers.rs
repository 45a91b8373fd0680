//! Who does the work, each on a renderer of its own.

use std::path::PathBuf;
use std::{env, io};

use crate::args::{CallerArg, Format, ModeArg, Peer};
use crate::pool::Pooled;
use crate::raw::Raw;
use crate::workload::Work;
use crate::{NULL, RENDERER};

/// Anything that may go wrong.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is started as a renderer, and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) peer: Peer,
    pub(crate) mode: ModeArg,
    pub(crate) format: Format,
    pub(crate) max_sessions: usize,
}

impl Program {
    pub(crate) fn new(
        peer: Peer,
        mode: ModeArg,
        format: Format,
        max_sessions: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            path: env::current_exe()?,
            peer,
            mode,
            format,
            max_sessions,
        })
    }

    /// What makes this program a renderer.
    pub(crate) fn role(&self) -> &'static str {
        match self.peer {
            Peer::Real => RENDERER,
            Peer::Null => NULL,
        }
    }

    /// The arguments the pool would give.
    pub(crate) fn args(&self) -> Vec<String> {
        let mode = match self.mode {
            ModeArg::Mock => "--mock",
            ModeArg::Headless => "--headless",
        };
        let format = match self.format {
            Format::Json => "--json",
            Format::Msgpack => "--msgpack",
        };
        [self.role(), mode, "--max-sessions"]
            .map(str::to_owned)
            .into_iter()
            .chain([self.max_sessions.max(2).to_string(), format.to_owned()])
            .collect()
    }
}

/// Somebody who can do the work.
pub(crate) enum Caller {
    Raw(Raw),
    Pool(CallerArg, Pooled),
}

impl Caller {
    pub(crate) fn raw(program: &Program) -> Result<Self, Failure> {
        Ok(Self::Raw(Raw::start(program)?))
    }

    pub(crate) fn pool(program: &Program, kind: CallerArg) -> Result<Self, Failure> {
        Ok(Self::Pool(kind, Pooled::start(program, kind)?))
    }

    /// Gets ready for some work.
    pub(crate) fn prepare(&mut self, work: Work) -> Result<(), Failure> {
        match self {
            Self::Raw(raw) => Ok(raw.prepare(work)?),
            Self::Pool(_, pool) => pool.prepare(work),
        }
    }

    /// Does so many operations of it.
    pub(crate) fn run(&mut self, work: Work, operations: usize) -> Result<(), Failure> {
        match self {
            Self::Raw(raw) => Ok(raw.run(work, operations)?),
            Self::Pool(_, pool) => pool.run(work, operations),
        }
    }

    /// Is done with it.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Raw(raw) => Ok(raw.finish()?),
            Self::Pool(_, pool) => pool.finish(),
        }
    }

    /// The renderer's process, while it is one and the same.
    pub(crate) fn renderer(&self) -> Option<u32> {
        match self {
            Self::Raw(raw) => Some(raw.pid()),
            Self::Pool(_, pool) => pool.renderer(),
        }
    }
}
