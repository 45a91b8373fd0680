//! `plushie-pool run`: a command with a pool around it.

#[cfg(unix)]
use std::env;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use plushie_pool::SessionPool;
use plushie_pool_server::{Listen, Report, Server, ServerConfig, Token};

use crate::failure::Failure;
use crate::pool_options::{ENVIRONMENT, PoolOptions};

/// Run a command, such as a test suite in any language, with one pool for all its processes
///
/// The command finds the pool by PLUSHIE_SOCKET and PLUSHIE_TOKEN, as the plushie SDKs and
/// SessionPool::shared() do; PLUSHIE_TEST_BACKEND and PLUSHIE_TEST_MAX_SESSIONS tell it what the
/// pool is. PLUSHIE_BINARY_PATH, unless it is set, leads whatever starts a renderer to the pool
/// too. Signals are passed on to it. At the end the pool is ended, a summary printed on
/// standard error, and the command's exit code returned, or 128 and the number of the signal
/// that ended it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENVIRONMENT)]
pub(crate) struct Run {
    #[command(flatten)]
    pool: PoolOptions,

    /// Where to answer for /metrics over HTTP, for Prometheus
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,

    /// Print no summary
    #[arg(long, short)]
    quiet: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(&self) -> ExitCode {
        match self.in_a_pool() {
            Ok(status) => exit_code(status),
            Err(failure) => failure.report(),
        }
    }

    fn in_a_pool(&self) -> Result<ExitStatus, Failure> {
        let pool = block_on(self.pool.builder()?.start())?;
        let outcome = self.with(&pool);
        let stopped = block_on(pool.shutdown());
        let status = outcome?;
        stopped?;
        Ok(status)
    }

    fn with(&self, pool: &SessionPool) -> Result<ExitStatus, Failure> {
        let token = Token::random()?;
        let mut config = ServerConfig::default();
        config.token = Some(token.clone());
        config.metrics = self.metrics;
        let server = Server::start(pool.clone(), Listen::Private, config)?;
        let start = Instant::now();
        let outcome = self.child(pool, &server, &token);
        let time = start.elapsed();
        // Before its clients are cut off.
        let report = server.report();
        block_on(server.shutdown());
        let status = outcome?;
        if !self.quiet {
            eprintln!("{}", summary(&report, time));
        }
        Ok(status)
    }

    fn child(
        &self,
        pool: &SessionPool,
        server: &Server,
        token: &Token,
    ) -> Result<ExitStatus, Failure> {
        let [program, args @ ..] = &self.command[..] else {
            return Err(Failure::Usage("there is no command to run"));
        };
        let status = pool.status();
        let mut command = Command::new(program);
        command
            .args(args)
            .env("PLUSHIE_SOCKET", server.address())
            .env("PLUSHIE_TOKEN", token.reveal())
            .env("PLUSHIE_TEST_BACKEND", &status.mode)
            .env("PLUSHIE_TEST_MAX_SESSIONS", status.max_sessions.to_string());
        #[cfg(unix)]
        let stand_in = crate::stand_in::StandIn::new(server, token, &status.mode)?;
        #[cfg(unix)]
        if env::var_os("PLUSHIE_BINARY_PATH").is_none() {
            command.env("PLUSHIE_BINARY_PATH", stand_in.path());
        }
        let failed = |source| Failure::Spawn {
            program: program.clone(),
            source,
        };
        // Nothing is passed on to a process that was reaped: its id may be another's by then.
        let running = Arc::new(Mutex::new(None));
        pass_signals_on(running.clone()).map_err(Failure::Signals)?;
        let mut child = {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            let child = command.spawn().map_err(failed)?;
            *running = Some(child.id());
            child
        };
        wait(&mut child, &running).map_err(failed)
    }
}

/// The child that signals are passed on to.
type Running = Arc<Mutex<Option<u32>>>;

#[cfg(unix)]
fn pass_signals_on(running: Running) -> io::Result<()> {
    use rustix::process::{Pid, kill_process};

    crate::signals::asked_to_end(move |asked| {
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = running.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        if let (Some(pid), false) = (pid, asked.by_terminal) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, asked.signal);
        }
    })
}

#[cfg(not(unix))]
fn pass_signals_on(_: Running) -> io::Result<()> {
    Ok(())
}

/// Waits for the child, and has it reaped only while no signal is on its way to it.
#[cfg(unix)]
fn wait(child: &mut Child, running: &Running) -> io::Result<ExitStatus> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    let pid = Pid::from_raw(child.id().try_into().unwrap_or(0));
    if let Some(pid) = pid {
        // Leaves it to be reaped.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(error) = waitid(WaitId::Pid(pid), options) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
    }
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    *running = None;
    child.wait()
}

#[cfg(not(unix))]
fn wait(child: &mut Child, _: &Running) -> io::Result<ExitStatus> {
    child.wait()
}

/// The child's exit code, or, as a shell has it, 128 and its signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let code = match (status.code(), signal) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    // Windows has larger ones.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn summary(report: &Report, time: Duration) -> String {
    let Report { server, pool, .. } = report;
    let pids: Vec<_> = pool
        .renderers
        .iter()
        .filter_map(|renderer| renderer.pid)
        .map(|pid| pid.to_string())
        .collect();
    let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1000.0;
    let mut text = format!(
        "plushie-pool: {} sessions served to {} clients in {:.1} s, {} at once at most, {} waits, \
         {} failures\nplushie-pool: {} round trips, p50 {:.2} ms, p99 {:.2} ms; renderers \
         started: {}",
        server.sessions_served,
        server.clients_served,
        time.as_secs_f64(),
        server.most_sessions,
        server.waits,
        server.failures,
        server.round_trips,
        ms(server.latency.p50_us),
        ms(server.latency.p99_us),
        pool.launches,
    );
    if !pids.is_empty() {
        text += &format!(" (pid {})", pids.join(" "));
    }
    text
}
