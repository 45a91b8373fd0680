//! A renderer started as a child process.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use plushie_pool_core::{Error, ErrorKind};
use tokio::process::{Child, ChildStdout, Command};

use crate::discovery::require_program;
use crate::display::{Screen, Server};
use crate::{Connection, Connector, Discovery, Environment, Launch, Process, Reader};

/// How often a start is tried again because the program's file is open for writing: it is
/// being written, or another thread's child still holds a copy of the descriptor.
const BUSY_RETRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// Starts a renderer as a child process, and speaks to it over its standard input and output.
///
/// The child gets an [`Environment`] and nothing else of its host's. Its three standard
/// streams are pipes: a test runner would take an inherited one for a leak. It stays in the
/// process group of its host: a test runner that kills the group must reach it.
///
/// # It ends with its host
///
/// However the host ends, the child sees the end of its input. On Linux a child that ignores
/// this is killed too, by the parent-death signal, unless a sandbox forbids that signal, which is
/// logged as a warning. The signal belongs to the *thread* that
/// started the child, so [`connect`](Connector::connect) has to be awaited on a thread that
/// outlives the process: a child started on a thread of a worker pool dies with that thread.
#[derive(Debug, Clone)]
pub struct ChildProcess {
    program: PathBuf,
    prefix_args: Vec<OsString>,
    args: Vec<OsString>,
    additions: Environment,
    screen: Option<Arc<Screen>>,
    hides_desktop: bool,
    own_process_group: bool,
}

impl ChildProcess {
    /// Starts the program at this path. It is not searched for in `PATH`, and if relative, is
    /// taken from the directory that is current now.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self {
            // What cannot be made absolute (nothing at all) is found out by `check`.
            program: std::path::absolute(&program).unwrap_or(program),
            prefix_args: Vec::new(),
            args: Vec::new(),
            additions: Environment::default(),
            screen: None,
            hides_desktop: false,
            own_process_group: false,
        }
    }

    /// Starts the renderer that [`Discovery::here`] finds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RendererNotFound`], with every place that was looked at.
    pub fn discover() -> Result<Self, Error> {
        Discovery::here().find().map(Self::new)
    }

    /// Adds arguments in front of those of the launch: what makes the program a renderer, if
    /// it is something else besides.
    #[must_use]
    pub fn prefix_args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.prefix_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds arguments behind those of the launch.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable in the renderer's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.additions.set(name, value);
        self
    }

    /// Has renderers show their windows on this display, rather than on one they find in
    /// their environment.
    #[must_use]
    pub fn on_screen(mut self, screen: Arc<Screen>) -> Self {
        self.screen = Some(screen);
        self
    }

    /// Hides the user's desktop from renderers, for those that show nothing on it: see
    /// [`Environment::hide_desktop`]. What [`env`](Self::env) sets is still set.
    #[must_use]
    pub fn without_desktop(mut self) -> Self {
        self.hides_desktop = true;
        self
    }

    /// Gives each renderer a process group of its own, on Unix: it hears of no interrupt that is
    /// typed at a terminal, for a host that survives them; and what kills the host's group, as a
    /// test runner does, leaves it to end with its host.
    #[must_use]
    pub fn own_process_group(mut self) -> Self {
        self.own_process_group = true;
        self
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn command(&self, launch: &Launch, display: Option<&Server>) -> Command {
        let mut environment = Environment::inherited();
        if self.hides_desktop {
            environment.hide_desktop();
        }
        if let Some(screen) = &self.screen {
            screen.put_into(&mut environment, display);
        }
        let mut command = Command::new(&self.program);
        command
            .args(&self.prefix_args)
            .args(&launch.args)
            .args(&self.args)
            .env_clear()
            .envs(environment.iter())
            .envs(self.additions.iter())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        tie_to_host(&mut command, self.own_process_group);
        command
    }

    fn launch_error(&self, error: &io::Error) -> Error {
        let program = self.program.display();
        if error.kind() == io::ErrorKind::NotFound
            && let Err(missing) = require_program(&self.program, "")
        {
            return missing;
        }
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "the file is there, so what is missing is the interpreter its first line names, \
                 or its dynamic loader"
            }
            io::ErrorKind::PermissionDenied => {
                "make the file executable, on a file system that allows it"
            }
            io::ErrorKind::ExecutableFileBusy => {
                "something has the file open for writing; let that end first"
            }
            _ => "check that the file is a program for this machine and that the system has room",
        };
        Error::new(
            ErrorKind::Launch,
            format!("cannot start the renderer {program}: {error}"),
        )
        .with_hint(hint)
    }
}

#[async_trait]
impl Connector for ChildProcess {
    fn describe(&self) -> String {
        self.program.display().to_string()
    }

    fn check(&self) -> Result<(), Error> {
        require_program(&self.program, "")
    }

    /// Starts the process. The environment is read now, so that it is as it is when the
    /// renderer starts, not as it was when the pool was described.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RendererNotFound`] if there is no program at the path,
    /// [`ErrorKind::Launch`] with the system's reason if it cannot be started;
    /// [`ErrorKind::Display`] if the display it is to be shown on cannot.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only ever waits while there is no renderer yet.
    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        let display = match &self.screen {
            Some(screen) => screen.server().await?,
            None => None,
        };
        let mut command = self.command(launch, display.as_deref());
        let mut child = spawn(&mut command)
            .await
            .map_err(|error| self.launch_error(&error))?;
        let stdin = child.stdin.take().expect("stdin was asked to be a pipe");
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let process = Process::new(child).on_display(display);
        tracing::debug!(
            pid = process.pid(),
            program = %self.program.display(),
            args = ?launch.args,
            "started a renderer"
        );
        let mut connection = Connection::new(tokio::io::empty(), stdin).with_process(process);
        connection.reader = reader(stdout).map_err(|error| self.launch_error(&error))?;
        Ok(connection)
    }
}

/// Starts a process, once nobody has its program open for writing.
pub(crate) async fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY_RETRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result,
        }
    }
    command.spawn()
}

#[cfg(unix)]
fn reader(stdout: ChildStdout) -> io::Result<Reader> {
    Reader::descriptor(stdout.into_owned_fd()?)
}

#[cfg(not(unix))]
fn reader(stdout: ChildStdout) -> io::Result<Reader> {
    Ok(Reader::stream(stdout))
}

/// Has the child end with the thread that starts it, where the system sees to that, and with that
/// thread's process group, unless it is to have its own.
pub(crate) fn tie_to_host(command: &mut Command, own_process_group: bool) {
    #[cfg(unix)]
    if own_process_group {
        command.process_group(0);
    }
    #[cfg(target_os = "linux")]
    crate::parent_death::die_with_this_thread(command);
}
