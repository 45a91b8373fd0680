//! The pools that several commands start, as the command line describes them.

use plushie_pool::{Builder, Error, ErrorKind, PoolSet, RendererMode, SessionPool};
use plushie_pool_renderer::variable;
use plushie_pool_server::ServerConfig;

use crate::failure::Failure;
use crate::renderer_options::RendererOptions;
use crate::thread_limit::thread_limit;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PoolOptions {
    #[command(flatten)]
    renderer: RendererOptions,

    /// The modes that clients may ask for, with commas between. The pool of --mode starts at once
    /// and is for clients that ask for none; each other one starts when it is first asked for
    /// [default: all]
    #[arg(long, value_name = "MODES", value_delimiter = ',')]
    modes: Vec<RendererMode>,

    /// How many sessions may be open at once in each mode; a client that wants more waits
    /// [default: 512, or fewer where few threads are allowed; in windowed mode 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    max_sessions: Option<u16>,

    /// Over how many renderers to spread sessions; not in windowed mode
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    renderers: u16,

    /// How many renderers to keep ready for sessions to come; only in windowed mode
    #[arg(long, value_name = "N", default_value_t = 0)]
    warm: u16,

    /// Have an effect answered with this JSON in place of being carried out, in every session;
    /// may be given again for another, as in --effect-stub clipboard_read='{"text":"hello"}'
    #[arg(long, value_name = "KIND=JSON", value_parser = effect_stub)]
    effect_stub: Vec<(String, serde_json::Value)>,

    /// Give each session a clipboard of its own; without it sessions in windowed mode share their
    /// display's, and those in mock and headless mode have none
    #[arg(long)]
    private_clipboard: bool,
}

pub(crate) const ENVIRONMENT: &str = "\
Environment, where no option says otherwise:
  PLUSHIE_TEST_BACKEND       --mode
  PLUSHIE_TEST_MAX_SESSIONS  --max-sessions
  PLUSHIE_TEST_TIMEOUT       a factor for all timeouts";

/// How many sessions a renderer has at once by default, where it serves many. Renderer 0.7.1 has a
/// thread and some 130 KiB for each that is open, and answers 1,024 of them as fast as one.
const SESSIONS: usize = 512;

/// What part of the threads that are allowed the sessions of one mode may take: there are other
/// modes, and the tests themselves. A renderer that gets no thread for a session ends.
const PART_OF_THREADS: u64 = 4;

/// How many windows there are by default, each with a renderer of its own.
const WINDOWS: usize = 8;

impl PoolOptions {
    /// Starts the pool of the default mode; those of the others start when they are asked for.
    pub(crate) fn start(
        &self,
    ) -> Result<impl Future<Output = Result<PoolSet, Error>> + use<>, Failure> {
        let modes = self.modes();
        let default = self.default_mode(&modes)?;
        let options = self.clone();
        Ok(PoolSet::start(default, modes, move |mode| {
            options.builder(mode).map_err(|failure| match failure {
                Failure::Pool(error) => error,
                other => Error::new(ErrorKind::Config, other.to_string()),
            })
        }))
    }

    /// How the server of these pools treats its clients: one alone may have all sessions of a
    /// pool, and as many that wait for one.
    pub(crate) fn server_config(pools: &PoolSet) -> ServerConfig {
        let mut config = ServerConfig::default();
        let sessions = pools.default_pool().status().max_sessions;
        config.max_sessions_per_client = 2 * sessions.max(SESSIONS);
        config
    }

    fn modes(&self) -> Vec<RendererMode> {
        match &self.modes[..] {
            [] => RendererMode::ALL
                .into_iter()
                .filter(|mode| mode.is_compiled_in())
                .collect(),
            modes => modes.to_vec(),
        }
    }

    fn default_mode(&self, modes: &[RendererMode]) -> Result<RendererMode, Failure> {
        let (mode, named_by) = match (self.renderer.mode, variable("PLUSHIE_TEST_BACKEND")?) {
            (Some(mode), _) => (mode, "--mode"),
            (None, Some(name)) => (mode_named(&name)?, "PLUSHIE_TEST_BACKEND"),
            (None, None) => {
                let usual = RendererMode::default();
                let first = modes.first().copied().unwrap_or_default();
                let mode = if modes.contains(&usual) { usual } else { first };
                return Ok(mode);
            }
        };
        if modes.contains(&mode) {
            return Ok(mode);
        }
        let message = format!("{named_by} is {mode}, which is not one of --modes");
        let hint = "it is the mode of clients that ask for none: name it there too, or choose \
                    another";
        Err(Error::new(ErrorKind::Config, message)
            .with_hint(hint)
            .into())
    }

    fn builder(&self, mode: RendererMode) -> Result<Builder, Failure> {
        let sessions = match mode {
            RendererMode::Windowed => WINDOWS,
            _ => sessions_by_default(thread_limit()),
        };
        let pool = SessionPool::builder().max_sessions(sessions);
        // The command may survive an interrupt, and goes on to need it.
        let pool = self.renderer.builder(pool)?.own_process_groups();
        let pool = pool.renderers(self.renderers.into()).warm(self.warm.into());
        let mut pool = pool.private_clipboard(self.private_clipboard);
        for (kind, response) in &self.effect_stub {
            pool = pool.effect_stub(kind, response.clone());
        }
        Ok(match self.max_sessions {
            Some(sessions) => pool.max_sessions(sessions.into()),
            None => pool,
        })
    }
}

fn effect_stub(text: &str) -> Result<(String, serde_json::Value), String> {
    let (kind, response) = text
        .split_once('=')
        .ok_or("write KIND=JSON, as in clipboard_write=null")?;
    let response = serde_json::from_str(response)
        .map_err(|error| format!("what follows the = is not JSON: {error}"))?;
    Ok((kind.to_owned(), response))
}

fn sessions_by_default(threads: Option<u64>) -> usize {
    let part = threads.map(|threads| threads / PART_OF_THREADS);
    let part = part.and_then(|part| usize::try_from(part).ok());
    part.map_or(SESSIONS, |part| part.clamp(WINDOWS, SESSIONS))
}

fn mode_named(name: &str) -> Result<RendererMode, Error> {
    name.parse().map_err(|error: Error| {
        let message = format!("PLUSHIE_TEST_BACKEND: {error}");
        Error::new(ErrorKind::Config, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_threads_mean_few_sessions() {
        for (threads, sessions) in [
            (None, 512),
            (Some(u64::MAX), 512),
            (Some(1024), 256),
            (Some(10), 8),
        ] {
            assert_eq!(sessions_by_default(threads), sessions, "{threads:?}");
        }
    }
}
