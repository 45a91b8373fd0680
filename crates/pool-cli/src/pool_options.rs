//! The pool that several commands start, as the command line describes it.

use plushie_pool::Builder;

use crate::failure::Failure;
use crate::renderer_options::RendererOptions;

#[derive(Debug, clap::Args)]
pub(crate) struct PoolOptions {
    #[command(flatten)]
    renderer: RendererOptions,

    /// How many sessions may be open at once; whoever wants more waits [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    max_sessions: Option<u16>,

    /// Over how many renderers to spread sessions; not in windowed mode
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    renderers: u16,

    /// How many renderers to keep ready for sessions to come; only in windowed mode
    #[arg(long, value_name = "N", default_value_t = 0)]
    warm: u16,
}

pub(crate) const ENVIRONMENT: &str = "\
Environment, where no option says otherwise:
  PLUSHIE_TEST_BACKEND       --mode
  PLUSHIE_TEST_MAX_SESSIONS  --max-sessions
  PLUSHIE_TEST_TIMEOUT       a factor for all timeouts";

impl PoolOptions {
    pub(crate) fn builder(&self) -> Result<Builder, Failure> {
        // The command may survive an interrupt, and goes on to need it.
        let pool = self.renderer.builder()?.own_process_groups();
        let pool = pool.renderers(self.renderers.into()).warm(self.warm.into());
        Ok(match self.max_sessions {
            Some(sessions) => pool.max_sessions(sessions.into()),
            None => pool,
        })
    }
}
