//! A display server of the pool's own: started, watched, stopped, and cleared away after.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plushie_pool_core::{Error, ErrorKind};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::sync::{Notify, watch};

#[cfg(all(unix, feature = "focus"))]
use super::focus::FocusKeeper;
use super::janitor::Janitor;
use super::reach::{self, Protocol, RETRY};
use crate::child::{spawn, tie_to_host};
use crate::patience::timeout;
use crate::{Environment, Grace, Process};

/// The display servers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The reference compositor of Wayland, drawing nowhere.
    Weston,
    /// The X server, drawing into memory.
    Xvfb,
}

/// A display server that runs, or ran.
///
/// # It ends with its host
///
/// On Linux the system kills it with the thread that started it, as it does the renderers. It
/// then cannot remove its socket: a [`Janitor`] does.
#[derive(Debug)]
pub(crate) struct Server {
    program: Program,
    pid: u32,
    environment: Vars,
    gives_focus: AtomicBool,
    stop: Notify,
    /// Why it is gone. Closed when nothing of it is left.
    death: watch::Receiver<Option<Error>>,
}

/// Variables that name a display.
type Vars = Vec<(&'static str, OsString)>;

/// What it takes to reach a server that is ready.
struct Ready {
    environment: Vars,
    /// What it leaves behind outside its directory if it is killed.
    leftover: Option<String>,
}

/// Both end in milliseconds; windows that are still open do not keep them.
const GRACE: Grace = Grace {
    eof: Duration::ZERO,
    term: Duration::from_millis(500),
    kill: Duration::from_secs(2),
};

const SOCKET: &str = "wayland-pool";

/// How long weston may take to say what it can do: it takes a few milliseconds.
const HELP: Duration = Duration::from_secs(2);

const FAKE_SEAT: &str = "--fake-seat";

impl Program {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Weston => "weston",
            Self::Xvfb => "Xvfb",
        }
    }

    fn command(
        self,
        path: &Path,
        (width, height): (u32, u32),
        directory: &Path,
        has_fake_seat: bool,
    ) -> Command {
        let mut command = Command::new(path);
        match self {
            Self::Weston => command
                .args(["--no-config", "--backend=headless-backend.so"])
                .arg(format!("--width={width}"))
                .arg(format!("--height={height}"))
                .arg(format!("--socket={SOCKET}"))
                .arg("--idle-time=0")
                .args(has_fake_seat.then_some(FAKE_SEAT)),
            // Without the first it takes the first number that is free. Without the last it
            // throws out its clients when it seems to have none, and a new one may be among
            // them.
            Self::Xvfb => command
                .args(["-displayfd", "1", "-screen", "0"])
                .arg(format!("{width}x{height}x24"))
                .args(["-nolisten", "tcp", "-noreset"]),
        };
        command
            .env_clear()
            .envs(Self::environment(directory).iter())
            .stdin(Stdio::null())
            .stdout(match self {
                // Its helpers inherit it, and would not survive its end.
                Self::Weston => Stdio::null(),
                Self::Xvfb => Stdio::piped(),
            })
            .stderr(Stdio::piped());
        command
    }

    /// What it is started with.
    fn environment(directory: &Path) -> Environment {
        let mut environment = Environment::inherited();
        environment.hide_desktop();
        environment.set("XDG_RUNTIME_DIR", directory);
        environment
    }

    /// Whether it can have a seat that no device belongs to, without which no window of a headless
    /// weston gets the focus. Version 10 cannot. Not bounded in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was started is killed.
    async fn has_fake_seat(self, path: &Path, directory: &Path) -> bool {
        if self != Self::Weston {
            return false;
        }
        let mut command = Command::new(path);
        command
            .arg("--help")
            .env_clear()
            .envs(Self::environment(directory).iter())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        tie_to_host(&mut command, false);
        match command.output().await {
            Ok(help) => String::from_utf8_lossy(&help.stdout).contains(FAKE_SEAT),
            Err(error) => {
                tracing::debug!(%error, "weston does not say what it can do");
                false
            }
        }
    }

    /// Waits until clients can connect. Not bounded in time.
    async fn ready(self, stdout: Option<ChildStdout>, directory: &Path) -> io::Result<Ready> {
        match self {
            Self::Weston => {
                let socket = directory.join(SOCKET);
                while reach::answer(&socket, Protocol::Wayland).await.is_err() {
                    tokio::time::sleep(RETRY).await;
                }
                Ok(Ready {
                    // The path and not the name, to leave them the runtime directory they
                    // have: what they put there is none of the display's.
                    environment: vec![("WAYLAND_DISPLAY", socket.into())],
                    leftover: None,
                })
            }
            Self::Xvfb => {
                let stdout = stdout.expect("stdout was asked to be a pipe");
                let mut number = String::new();
                BufReader::new(stdout).read_line(&mut number).await?;
                let number: u32 = number.trim().parse().map_err(io::Error::other)?;
                Ok(Ready {
                    environment: vec![("DISPLAY", format!(":{number}").into())],
                    leftover: Some(format!("/tmp/.X11-unix/X{number}")),
                })
            }
        }
    }
}

impl Server {
    /// Starts a server and waits until clients can connect, for no longer than `patience`.
    /// Await it on a thread that outlives the server, in a runtime that does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Display`] if it cannot be started, ends, or takes too long, with what it
    /// wrote to its stderr; nothing is left of it then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was started is killed, and left to the runtime to reap.
    pub(super) async fn start(
        program: Program,
        path: &Path,
        size: (u32, u32),
        patience: Duration,
        own_process_group: bool,
    ) -> Result<Arc<Self>, Error> {
        let since = Instant::now();
        let left = || patience.saturating_sub(since.elapsed());
        let too_long = |what: &str| {
            let waited = since.elapsed();
            Error::new(ErrorKind::Display, format!("{what} within {waited:?}"))
        };
        let janitor = timeout(patience, Janitor::start()).await;
        let mut janitor = janitor.ok_or_else(|| too_long("no directory for the display"))??;
        let directory = janitor.directory().to_owned();
        let asked = program.has_fake_seat(path, &directory);
        let has_fake_seat = timeout(left().min(HELP), asked).await.unwrap_or(false);
        let mut command = program.command(path, size, &directory, has_fake_seat);
        tie_to_host(&mut command, own_process_group);
        let mut child = match spawn(&mut command).await {
            Ok(child) => child,
            Err(error) => {
                janitor.finish().await;
                let message = format!("cannot start {}: {error}", path.display());
                return Err(Error::new(ErrorKind::Display, message));
            }
        };
        let stdout = child.stdout.take();
        let mut process = Process::new(child);
        let name = program.name();
        let ready = tokio::select! {
            ready = timeout(left(), program.ready(stdout, &directory)) => match ready {
                Some(ready) => ready.map_err(|error| {
                    let message = format!("{name} does not say where it can be reached: {error}");
                    Error::new(ErrorKind::Display, message)
                }),
                None => Err(too_long(&format!("{name} was not ready"))),
            },
            _ = process.wait() => {
                Err(Error::new(ErrorKind::Display, format!("{name} ended before it was ready")))
            }
        };
        let ready = match ready {
            Ok(ready) => announce(&mut janitor, ready).await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(environment) => {
                let keeper = timeout(left(), focus_keeper(program, &environment)).await;
                let keeper = keeper.unwrap_or_else(|| {
                    tracing::warn!("{name} does not answer; its windows get no focus");
                    None
                });
                let gives_focus = has_fake_seat || keeper.is_some();
                let server = Self::attended(program, process, janitor, environment, gives_focus);
                server.keep_focus(keeper);
                tracing::debug!(pid = server.pid, time = ?since.elapsed(), "{name} is ready");
                Ok(server)
            }
            Err(error) => {
                let exit = process.stop(GRACE).await;
                process.stderr().ended(crate::supervise::LAST_SIGNS).await;
                janitor.finish().await;
                Err(error
                    .with_exit(exit)
                    .with_stderr(&process.stderr().snapshot()))
            }
        }
    }

    fn attended(
        program: Program,
        process: Process,
        janitor: Janitor,
        environment: Vars,
        gives_focus: bool,
    ) -> Arc<Self> {
        let (told, death) = watch::channel(None);
        let server = Arc::new(Self {
            program,
            pid: process.pid(),
            environment,
            gives_focus: gives_focus.into(),
            stop: Notify::new(),
            death,
        });
        tokio::spawn(attend(server.clone(), process, janitor, told));
        server
    }

    /// Has this client pass on the focus for as long as the server lives.
    #[cfg(all(unix, feature = "focus"))]
    fn keep_focus(self: &Arc<Self>, keeper: Option<FocusKeeper>) {
        let Some(keeper) = keeper else {
            return;
        };
        let server = self.clone();
        tokio::spawn(async move {
            let mut death = server.death.clone();
            tokio::select! {
                error = keeper.run() => {
                    server.gives_focus.store(false, Ordering::Relaxed);
                    tracing::debug!(%error, pid = server.pid, "windows get no more focus");
                }
                _ = death.wait_for(Option::is_some) => {}
            }
        });
    }

    #[cfg(not(all(unix, feature = "focus")))]
    fn keep_focus(self: &Arc<Self>, _: Option<std::convert::Infallible>) {}

    /// The program's name.
    pub(super) fn name(&self) -> &'static str {
        self.program.name()
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// What a client needs in its environment to find it.
    pub(super) fn environment(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }

    /// Whether a new window gets the input focus.
    pub(super) fn gives_focus(&self) -> bool {
        self.gives_focus.load(Ordering::Relaxed)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.death.borrow().is_some()
    }

    /// Waits until it is gone, and says why.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn death(&self) -> Error {
        let mut death = self.death.clone();
        let told = death.wait_for(Option::is_some).await;
        let told = told.ok().and_then(|death| death.clone());
        told.unwrap_or_else(|| Error::new(ErrorKind::Display, "nobody watches the display"))
    }

    /// Stops it, and waits until nothing of it is left; that is bounded.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it stops whether the future is polled further or not.
    pub(super) async fn stop(&self) {
        self.stop.notify_one();
        let mut death = self.death.clone();
        while death.changed().await.is_ok() {}
    }
}

/// A client that gives new windows the focus, where the server does not do so itself. None if
/// there is none, which is logged if there should be.
#[cfg(all(unix, feature = "focus"))]
async fn focus_keeper(program: Program, environment: &Vars) -> Option<FocusKeeper> {
    if program != Program::Xvfb {
        return None;
    }
    let (_, display) = environment.iter().find(|(name, _)| *name == "DISPLAY")?;
    match FocusKeeper::connect(&super::search::local_x(display)?).await {
        Ok(keeper) => Some(keeper),
        Err(error) => {
            tracing::warn!(%error, "windows on Xvfb get no focus");
            None
        }
    }
}

#[cfg(not(all(unix, feature = "focus")))]
async fn focus_keeper(_: Program, _: &Vars) -> Option<std::convert::Infallible> {
    None
}

/// Has the janitor know what there will be to clear away.
async fn announce(janitor: &mut Janitor, ready: Ready) -> Result<Vars, Error> {
    if let Some(path) = &ready.leftover {
        janitor.clear_away(path).await.map_err(|error| {
            let message = format!("nobody is left to remove {path}: {error}");
            Error::new(ErrorKind::Display, message)
        })?;
    }
    Ok(ready.environment)
}

/// Sees a server to its end, and to what it leaves behind.
async fn attend(
    server: Arc<Server>,
    mut process: Process,
    janitor: Janitor,
    told: watch::Sender<Option<Error>>,
) {
    let name = server.name();
    let error = tokio::select! {
        exit = process.wait() => {
            let message = format!("the display is gone: {name}, process {}", server.pid);
            Error::new(ErrorKind::Display, message).with_exit(exit)
        }
        () = server.stop.notified() => {
            process.stop(GRACE).await;
            Error::new(ErrorKind::Display, format!("{name} was stopped"))
        }
    };
    tracing::debug!(%error, stderr = process.stderr().snapshot(), "the display ended");
    told.send_replace(Some(error));
    janitor.finish().await;
}
