//! What a command that serves says of what happens meanwhile.

use std::io;

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Logging {
    /// What to tell on standard error of what happens: off, error, warn, info, debug (what
    /// renderers write to theirs, too) or trace
    #[arg(long, value_name = "LEVEL", default_value_t = LevelFilter::WARN)]
    log: LevelFilter,
}

impl Logging {
    /// Begins to tell it, until what this returns is dropped. To be called once.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(crate) fn begin(&self) -> Result<WorkerGuard, Failure> {
        // What comes next panics where this is an error.
        let probe = std::thread::Builder::new().spawn(|| {});
        probe.map_err(Failure::Thread)?;
        // On a thread of its own: if nobody reads standard error, or it is closed, lines are
        // lost, and clients do not wait.
        let (writer, guard) = NonBlocking::new(io::stderr());
        tracing_subscriber::fmt()
            .with_max_level(self.log)
            .with_writer(writer)
            .init();
        Ok(guard)
    }
}
