//! Why the command did not succeed.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
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

    #[error("cannot run {}: {}", program.display(), why_not(program, source))]
    Spawn {
        program: OsString,
        source: io::Error,
    },

    #[error("cannot write to standard output: {0}")]
    Announce(io::Error),

    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),

    #[error("ended by signal {0} before there was a pool")]
    Interrupted(i32),

    #[error(
        "no server listens at {0}; is `plushie-pool serve` or `plushie-pool run` still running there?"
    )]
    Nobody(String),

    #[error("{address}: {problem}")]
    Server { address: String, problem: String },

    #[error("cannot set up timers: {0}")]
    Runtime(io::Error),

    #[error("cannot start a thread: {0}; is there a limit, as of `ulimit -u`?")]
    Thread(io::Error),

    #[cfg(unix)]
    #[error("cannot start this command once more: {0}")]
    Itself(io::Error),

    #[cfg(feature = "embedded-renderer")]
    #[error("cannot start this command as a renderer: {0}; name one with --renderer")]
    NoSelf(io::Error),
}

/// Writes a line to standard error, to which nobody may listen any more.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What the system says of a name is about a file, which was not what was asked for.
fn why_not(program: &OsString, source: &io::Error) -> String {
    let is_name = Path::new(program).components().count() == 1;
    match source.kind() {
        io::ErrorKind::NotFound if is_name => "it was not found in PATH".to_owned(),
        _ => source.to_string(),
    }
}

impl Failure {
    /// The signal that asked this command to end.
    pub(crate) fn signal(&self) -> Option<i32> {
        match self {
            Self::Interrupted(signal) => Some(*signal),
            _ => None,
        }
    }

    /// Says it on standard error; the exit code for it.
    pub(crate) fn report(&self) -> ExitCode {
        say(&format!("error: {self}"));
        self.exit_code()
    }

    /// As a shell has it for a command that cannot be run; 2 if the command line or the environment has to change, as with what clap refuses.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ExitCode::from(127)
            }
            Self::Spawn { .. } => ExitCode::from(126),
            Self::Pool(error) if error.kind() == ErrorKind::Config => ExitCode::from(2),
            Self::Interrupted(signal) => {
                ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
            }
            _ => ExitCode::FAILURE,
        }
    }
}
