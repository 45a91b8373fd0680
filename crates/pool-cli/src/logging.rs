//! What a command that serves says of what happens meanwhile.

use std::io;

use tracing_subscriber::filter::LevelFilter;

#[derive(Debug, clap::Args)]
pub(crate) struct Logging {
    /// What to tell on standard error of what happens: off, error, warn, info, debug (what
    /// renderers write to theirs, too) or trace
    #[arg(long, value_name = "LEVEL", default_value_t = LevelFilter::WARN)]
    log: LevelFilter,
}

impl Logging {
    /// Begins to tell it. To be called once.
    pub(crate) fn begin(&self) {
        tracing_subscriber::fmt()
            .with_max_level(self.log)
            .with_writer(io::stderr)
            .init();
    }
}
