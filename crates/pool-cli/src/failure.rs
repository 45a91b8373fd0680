//! Why the command did not succeed.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use plushie_pool::{Error, ErrorKind, SessionId};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Pool(#[from] Error),

    #[error("session {session}: {what}: expected {expected}, the renderer has {found}")]
    Differs {
        session: SessionId,
        what: String,
        expected: String,
        found: String,
    },

    #[error("{0}")]
    Usage(&'static str),

    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },

    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },

    #[error("cannot run {}: {source}", program.display())]
    Spawn {
        program: OsString,
        source: io::Error,
    },

    #[error("cannot write to standard output: {0}")]
    Announce(io::Error),

    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),

    #[error(
        "PLUSHIE_BINARY_PATH leads to a pool in {served} mode, not {asked}: give it --mode {asked}"
    )]
    OtherMode { asked: &'static str, served: String },

    #[error("{address}: {problem}")]
    Server { address: String, problem: String },

    #[error("cannot set up timers: {0}")]
    Runtime(io::Error),

    #[cfg(feature = "embedded-renderer")]
    #[error("cannot start this command as a renderer: {0}; name one with --renderer")]
    NoSelf(io::Error),
}

impl Failure {
    /// Says it on standard error; the exit code for it.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("error: {self}");
        self.exit_code()
    }

    /// As a shell has it for a command that cannot be run; 2 if the command line or the environment has to change, as with what clap refuses.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::OtherMode { .. } => ExitCode::from(2),
            Self::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ExitCode::from(127)
            }
            Self::Spawn { .. } => ExitCode::from(126),
            Self::Pool(error) if error.kind() == ErrorKind::Config => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
