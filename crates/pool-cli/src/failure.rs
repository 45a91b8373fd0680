//! Why the command did not succeed.

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

    #[error("cannot set up timers: {0}")]
    Runtime(io::Error),

    #[cfg(feature = "embedded-renderer")]
    #[error("cannot start this command as a renderer: {0}; name one with --renderer")]
    NoSelf(io::Error),
}

impl Failure {
    /// 2 if the command line or the environment has to change, as with what clap refuses.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Pool(error) if error.kind() == ErrorKind::Config => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
