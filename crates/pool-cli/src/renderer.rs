//! Which renderer a pool gets: one that is named, this command itself, or one that is found.

use std::path::Path;

use plushie_pool::Builder;

use crate::failure::Failure;

/// Has `pool` start the renderer at `named`, or else the one that comes with this command.
pub(crate) fn choose(pool: Builder, named: Option<&Path>) -> Result<Builder, Failure> {
    match named {
        Some(path) => Ok(pool.renderer(path)),
        None => built_in(pool),
    }
}

#[cfg(not(feature = "embedded-renderer"))]
fn built_in(pool: Builder) -> Result<Builder, Failure> {
    Ok(pool)
}

#[cfg(feature = "embedded-renderer")]
pub(crate) use embedded::{is_asked_for, run};

#[cfg(feature = "embedded-renderer")]
use embedded::built_in;

#[cfg(feature = "embedded-renderer")]
mod embedded {
    use std::env;
    use std::process::{ExitCode, Termination};

    use plushie_pool::Builder;
    use plushie_widget_sdk::app::PlushieAppBuilder;

    use crate::failure::Failure;

    /// The first argument that makes this command a renderer.
    const ARGUMENT: &str = "__renderer";

    pub(super) fn built_in(pool: Builder) -> Result<Builder, Failure> {
        let program = env::current_exe().map_err(Failure::NoSelf)?;
        Ok(pool.renderer(program).renderer_args([ARGUMENT]))
    }

    pub(crate) fn is_asked_for() -> bool {
        env::args_os().nth(1).is_some_and(|first| first == ARGUMENT)
    }

    /// Is the renderer until its input ends. It reads the process's arguments itself, and
    /// passes over the one that led here.
    pub(crate) fn run() -> ExitCode {
        plushie_renderer::run(PlushieAppBuilder::new()).report()
    }
}
