//! `plushie-pool serve`: a pool that whatever can connect to a renderer can use.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{self, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
#[cfg(unix)]
use std::time::Instant;

use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{Either, select};
use plushie_pool::{Credential, PoolSet};
use plushie_pool_renderer::variable;
use plushie_pool_server::{Listen, Server, ServerConfig, Token};

use crate::failure::Failure;
use crate::logging::Logging;
use crate::pool_options::PoolOptions;

/// Serve a pool on a socket that speaks the renderer's own protocol
///
/// Whatever can connect to a renderer can use it, in any language, each session id being a
/// session of the pool. A client whose settings have a "pool_mode" gets sessions in that mode,
/// others in that of --mode. Prints the address and the token on standard output, as lines that a
/// shell can read, and serves until it is interrupted.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENVIRONMENT)]
pub(crate) struct Serve {
    #[command(flatten)]
    pool: PoolOptions,

    #[command(flatten)]
    socket: SocketOptions,

    #[command(flatten)]
    logging: Logging,
}

#[derive(Debug, clap::Args)]
struct SocketOptions {
    /// The path of a Unix socket, or :PORT or ADDRESS:PORT for TCP, port 0 being any that is
    /// free [default: a Unix socket in a directory where only you may look]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// A file whose first line is the token that clients have to show [default: PLUSHIE_TOKEN;
    /// else a random one for TCP, and none for a Unix socket, to which only you can connect]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Let every program of this machine connect, on TCP too
    #[arg(long, conflicts_with = "token_file")]
    no_token: bool,

    /// Cut off clients that have sent nothing for so many seconds, with their sessions; more than a
    /// request or a wait for a session takes [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    idle_timeout: Option<u32>,

    /// Where to answer for /metrics over HTTP, for Prometheus; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
}

const ENVIRONMENT: &str = "\
Environment, where no option says otherwise:
  PLUSHIE_TEST_BACKEND       --mode
  PLUSHIE_TEST_MAX_SESSIONS  --max-sessions
  PLUSHIE_TEST_TIMEOUT       a factor for all timeouts
  PLUSHIE_TOKEN              the token that clients have to show";

/// Signals that come within this time of the first are the same request to end: `timeout`, for one,
/// signals the process and then its group.
#[cfg(unix)]
const ONE_REQUEST: Duration = Duration::from_millis(500);

impl Serve {
    pub(crate) fn run(&self) -> ExitCode {
        match self.logging.begin().and_then(|_logging| self.serve()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }

    fn serve(&self) -> Result<(), Failure> {
        let listen = self.socket.listen()?;
        let token = self.socket.token(&listen)?;

        let (asked, wait) = oneshot::channel::<i32>();
        #[cfg(unix)]
        {
            let mut asked = Some(asked);
            let mut first = None;
            crate::signals::asked_to_end(move |signal| {
                let signal = signal.signal.as_raw();
                let first = first.get_or_insert_with(Instant::now).elapsed();
                match asked.take() {
                    Some(asked) => drop(asked.send(signal)),
                    None if first < ONE_REQUEST => {}
                    // A later one asks for the end without the cleaning up.
                    None => std::process::exit(128 + signal),
                }
            })
            .map_err(Failure::Signals)?;
        }
        let start = pin!(self.pool.start()?);
        let (pools, wait) = match block_on(select(start, wait)) {
            Either::Left((pools, wait)) => (pools?, wait),
            Either::Right((signal, _)) => return Err(Failure::Interrupted(signal.unwrap_or(0))),
        };
        let mut config = PoolOptions::server_config(&pools);
        config.token = token.clone();
        config.metrics = self.socket.metrics;
        let idle = self.socket.idle_timeout;
        config.idle_timeout = idle.map(|seconds| Duration::from_secs(seconds.into()));
        let served = serve_until(&pools, listen, config, token.as_ref(), wait);
        let stopped = block_on(pools.shutdown());
        served?;
        Ok(stopped?)
    }
}

fn serve_until(
    pools: &PoolSet,
    listen: Listen,
    config: ServerConfig,
    token: Option<&Token>,
    asked: oneshot::Receiver<i32>,
) -> Result<(), Failure> {
    let server = Server::start(pools.clone(), listen, config)?;
    let announced = announce(&server, token);
    if announced.is_ok() {
        // Without signals only force ends it.
        let _ = block_on(asked);
    }
    // The process must not end before the socket is gone.
    block_on(server.shutdown());
    announced.map_err(Failure::Announce)
}

impl SocketOptions {
    fn listen(&self) -> Result<Listen, Failure> {
        let Some(text) = &self.listen else {
            return Ok(Listen::Private);
        };
        if text.starts_with(['/', '.']) || !text.contains(':') {
            // Whoever reads the address may be elsewhere.
            let path = path::absolute(text).unwrap_or_else(|_| text.into());
            return Ok(Listen::Unix(path));
        }
        let address = match text.strip_prefix(':') {
            Some(port) => port
                .parse()
                .ok()
                .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            None => text.parse().ok(),
        };
        let address = address.ok_or(Failure::Usage(
            "--listen takes the path of a Unix socket, :PORT, or ADDRESS:PORT",
        ))?;
        Ok(Listen::Tcp(address))
    }

    fn token(&self, listen: &Listen) -> Result<Option<Token>, Failure> {
        if self.no_token {
            return Ok(None);
        }
        let given = match &self.token_file {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|source| Failure::Read {
                    path: path.clone(),
                    source,
                })?;
                let line = text.lines().next().unwrap_or_default();
                let origin = format!("the first line of --token-file {}", path.display());
                Credential::of(line, &origin)?;
                Some(line.to_owned())
            }
            None => {
                // As it is, and not without the white space around it: clients may show the
                // SHA-256 of the same.
                Credential::from_env()?;
                variable("PLUSHIE_TOKEN")?
            }
        };
        match (given, listen) {
            (Some(given), _) => Ok(Some(Token::new(given))),
            (None, Listen::Tcp(_)) => Ok(Some(Token::random()?)),
            (None, _) => Ok(None),
        }
    }
}

/// For people, for `eval`, and for `while read`.
fn announce(server: &Server, token: Option<&Token>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "PLUSHIE_SOCKET={}", server.address())?;
    if let Some(token) = token {
        writeln!(out, "PLUSHIE_TOKEN={}", token.reveal())?;
    }
    if let Some(metrics) = server.metrics() {
        writeln!(out, "# metrics: http://{metrics}/metrics")?;
    }
    out.flush()
}
