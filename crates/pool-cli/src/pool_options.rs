//! The pool that several commands start, as the command line describes it.

use std::path::PathBuf;

use plushie_pool::{Builder, RendererMode, SessionPool, WireFormat};

use crate::failure::Failure;
use crate::renderer;

#[derive(Debug, clap::Args)]
pub(crate) struct PoolOptions {
    /// mock (everything but drawing), headless (draws into memory) or windowed (real windows,
    /// each with a renderer of its own) [default: mock]
    #[arg(long)]
    mode: Option<RendererMode>,

    /// How messages are written between pool and renderer: msgpack or json; clients choose for
    /// themselves [default: msgpack]
    #[arg(long)]
    format: Option<WireFormat>,

    /// How many sessions may be open at once; whoever wants more waits [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    max_sessions: Option<u16>,

    /// Over how many renderers to spread sessions; not in windowed mode
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    renderers: u16,

    /// The renderer's binary [default: the renderer inside this command, if it is built with
    /// one, else the one that is found as plushie's SDKs do]
    #[arg(long, value_name = "PATH")]
    renderer: Option<PathBuf>,
}

pub(crate) const ENVIRONMENT: &str = "\
Environment, where no option says otherwise:
  PLUSHIE_TEST_BACKEND       --mode
  PLUSHIE_TEST_MAX_SESSIONS  --max-sessions
  PLUSHIE_TEST_TIMEOUT       a factor for all timeouts";

impl PoolOptions {
    pub(crate) fn builder(&self) -> Result<Builder, Failure> {
        let mut pool = SessionPool::builder()
            .with_env()
            .renderers(self.renderers.into());
        if let Some(mode) = self.mode {
            pool = pool.mode(mode);
        }
        if let Some(format) = self.format {
            pool = pool.format(format);
        }
        if let Some(sessions) = self.max_sessions {
            pool = pool.max_sessions(sessions.into());
        }
        renderer::choose(pool, self.renderer.as_deref())
    }
}
