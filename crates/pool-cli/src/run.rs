//! `plushie-pool run`: a command with a pool around it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use plushie_pool::PoolSet;
use plushie_pool_server::{Listen, PoolReport, Report, Server, Token};

use crate::failure::{Failure, say};
use crate::logging::Logging;
use crate::passing::Signals;
use crate::pool_options::{ENVIRONMENT, PoolOptions};

/// Run a command, such as a test suite in any language, with one pool for all its processes
///
/// The command finds the pool by PLUSHIE_SOCKET and PLUSHIE_TOKEN, as the plushie SDKs and
/// SessionPool::shared() do; PLUSHIE_TEST_BACKEND and PLUSHIE_TEST_MAX_SESSIONS tell it what the
/// pool of --mode is. PLUSHIE_BINARY_PATH, unless it names a renderer already, leads whatever
/// starts a renderer to the pool of the mode that the renderer is started in. Signals are passed
/// on to it. At the end the pool is ended, a summary printed on standard error, and the command's
/// exit code returned, or 128 and the number of the signal that ended it. Where that was SIGINT,
/// SIGTERM, SIGHUP or SIGQUIT this command ends by it itself. As the first process of a container
/// it reaps what others leave behind.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENVIRONMENT)]
pub(crate) struct Run {
    #[command(flatten)]
    pool: PoolOptions,

    /// Where to answer for /metrics over HTTP, for Prometheus
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,

    #[command(flatten)]
    logging: Logging,

    /// Print no summary
    #[arg(long, short)]
    quiet: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(&self) -> ExitCode {
        #[cfg(unix)]
        if crate::init::is_needed() {
            return crate::init::run().unwrap_or_else(|failure| failure.report());
        }
        let logging = match self.logging.begin() {
            Ok(logging) => logging,
            Err(failure) => return failure.report(),
        };
        let (code, signal) = match self.in_a_pool() {
            Ok(status) => (exit_code(status), signal(status)),
            Err(failure) => (failure.report(), failure.signal()),
        };
        // All is cleared away, and all is said.
        drop(logging);
        #[cfg(unix)]
        if let Some(signal) = signal {
            crate::signals::end_by(signal);
        }
        #[cfg(not(unix))]
        let _ = signal;
        code
    }

    fn in_a_pool(&self) -> Result<ExitStatus, Failure> {
        // Before there is anything that a signal could leave behind.
        let signals = Signals::listen()?;
        let pools = signals.unless_ended(self.pool.start()?)?;
        let outcome = self.with(&pools, &signals);
        let stopped = block_on(pools.shutdown());
        let status = outcome?;
        if let Err(error) = stopped {
            // What the command has found out is worth more.
            say(&format!("error: {error}"));
        }
        Ok(status)
    }

    fn with(&self, pools: &PoolSet, signals: &Signals) -> Result<ExitStatus, Failure> {
        let token = Token::random()?;
        let mut config = PoolOptions::server_config(pools);
        config.token = Some(token.clone());
        config.metrics = self.metrics;
        let server = Server::start(pools.clone(), Listen::Private, config)?;
        let start = Instant::now();
        let outcome = self.child(&server, &token, signals);
        let time = start.elapsed();
        // Before its clients are cut off.
        let report = server.report();
        block_on(server.shutdown());
        let status = outcome?;
        if !self.quiet {
            say(&summary(&report, time));
        }
        Ok(status)
    }

    fn child(
        &self,
        server: &Server,
        token: &Token,
        signals: &Signals,
    ) -> Result<ExitStatus, Failure> {
        let [program, args @ ..] = &self.command[..] else {
            return Err(Failure::Usage("there is no command to run"));
        };
        let status = server.pool().status();
        let mut command = Command::new(program);
        command
            .args(args)
            .env("PLUSHIE_SOCKET", server.address())
            .env("PLUSHIE_TOKEN", token.reveal())
            .env("PLUSHIE_TEST_BACKEND", &status.mode)
            .env("PLUSHIE_TEST_MAX_SESSIONS", status.max_sessions.to_string());
        #[cfg(unix)]
        let _stand_in = crate::stand_in::offer(&mut command, server, token, &status.mode);
        let failed = |source| Failure::Spawn {
            program: program.clone(),
            source,
        };
        let mut child = signals.begin(|| command.spawn().map_err(failed))?;
        signals.wait(&mut child).map_err(failed)
    }
}

/// The child's exit code, or, as a shell has it, 128 and its signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = match (status.code(), signal(status)) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    // Windows has larger ones.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// What ended the child.
fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    return None;
}

fn summary(report: &Report, time: Duration) -> String {
    let Report { server, pools, .. } = report;
    let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1000.0;
    let mut lines = vec![
        format!(
            "{} sessions served to {} clients in {:.1} s, {} at once at most, {} waits, {} failures",
            server.sessions_served,
            server.clients_served,
            time.as_secs_f64(),
            server.most_sessions,
            server.waits,
            server.failures,
        ),
        format!(
            "{} round trips, p50 {:.2} ms, p99 {:.2} ms",
            server.round_trips,
            ms(server.latency.p50_us),
            ms(server.latency.p99_us),
        ),
    ];
    lines.extend(pools.iter().map(summary_of_pool));
    let lines: Vec<_> = lines
        .iter()
        .map(|line| format!("plushie-pool: {line}"))
        .collect();
    lines.join("\n")
}

fn summary_of_pool(pool: &PoolReport) -> String {
    let pids = pool.renderers.iter().filter_map(|renderer| renderer.pid);
    let pids: Vec<_> = pids.map(|pid| pid.to_string()).collect();
    let mut line = format!(
        "{}: {} sessions, {} at once at most of {}; renderers started: {}",
        pool.mode, pool.sessions_served, pool.most_sessions, pool.max_sessions, pool.launches,
    );
    if !pids.is_empty() {
        line += &format!(" (pid {})", pids.join(" "));
    }
    line
}
