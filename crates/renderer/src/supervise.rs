//! The tasks behind a renderer, from its start to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plushie_pool_core::{Error, ErrorKind, Exit, Phase};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::RendererConfig;
use crate::connector::{Connection, Connector, Launch};
use crate::handshake;
use crate::input::Source;
use crate::patience;
use crate::process::{Grace, Process};
use crate::renderer::{End, Identity, Observer, Renderer};
use crate::shared::Shared;
use crate::stderr::StderrTail;

/// How long after the end of one sign of life the others are waited for: output that is still
/// in the pipe, the exit status, the last lines of stderr. All three come at once from a
/// process that died; a grandchild that holds the pipes keeps them from ending.
pub(crate) const LAST_SIGNS: Duration = Duration::from_millis(50);

pub(crate) async fn start(
    connector: &dyn Connector,
    config: RendererConfig,
    observer: Arc<dyn Observer>,
    cancelled: impl Future<Output = Error>,
) -> Result<Renderer, Error> {
    let since = Instant::now();
    let origin = connector.describe();
    let format = config
        .link
        .transport
        .launch_args()
        .iter()
        .map(|arg| (*arg).to_owned());
    let launch = Launch::new(config.args.iter().cloned().chain(format));
    let mut cancelled = std::pin::pin!(cancelled);
    let mut connection = tokio::select! {
        connected = patience::timeout(config.launch_timeout, connector.connect(&launch)) => {
            connected.ok_or_else(|| {
                Error::timeout(Phase::Launch, since.elapsed()).with_hint(origin.clone())
            })??
        }
        error = &mut cancelled => return Err(error),
    };
    let remaining = config.launch_timeout.saturating_sub(since.elapsed());
    let display_death = display_death(connection.process.as_ref());
    let greeting = tokio::select! {
        // What it said counts, also if there was no time to listen.
        biased;
        greeting = handshake::shake_hands(&mut connection, &config) => greeting,
        () = patience::sleep_until(Instant::now() + remaining) => {
            Err(handshake::too_slow(since, &origin))
        }
        death = display_death => Err(death),
        error = cancelled => Err(error),
    };
    let (hello, input) = match greeting {
        Ok(greeting) => greeting,
        Err(error) => {
            let error = error.about(&origin);
            return Err(give_up(connection, error, config.grace).await);
        }
    };
    let Connection {
        reader,
        writer,
        process,
        ..
    } = connection;
    let identity = Identity {
        origin,
        pid: process.as_ref().map(Process::pid),
        hello,
        ready_at: Instant::now(),
        launch_time: since.elapsed(),
    };
    tracing::debug!(?identity, "renderer ready");
    let grace = config.grace;
    let source = Source::new(reader, input);
    let shared = Arc::new(Shared::new(config, identity, observer, writer, source));
    if let Some(process) = &process {
        let complained = Arc::downgrade(&shared);
        process.stderr().listen(move |line| {
            if let Some(shared) = complained.upgrade() {
                let now = Instant::now();
                shared.with_link(|link, effects| link.complained(line, now, effects));
            }
        });
    }
    tokio::spawn(supervise(shared.clone(), process, grace));
    Ok(Renderer::new(shared))
}

/// Ends a renderer that never was one, and adds how it ended to the error. What it still has
/// to say is not read: nothing it could say would be understood.
async fn give_up(connection: Connection, error: Error, grace: Grace) -> Error {
    let Connection {
        mut reader,
        writer,
        process,
        ..
    } = connection;
    drop(writer);
    let Some(mut process) = process else {
        return error;
    };
    // Its output is drained, since with it full a renderer does not see the end of its input.
    let drain = async {
        let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
        std::future::pending::<()>().await;
    };
    let exit = tokio::select! {
        exit = process.stop(grace) => exit,
        () = drain => Exit::Unknown,
    };
    process.stderr().ended(LAST_SIGNS).await;
    let error = match process.display() {
        Some(display) => match timeout(LAST_SIGNS, display.death()).await {
            Ok(death) => Error::new(death.kind(), died_with(&death)),
            Err(_) => error,
        },
        None => error,
    };
    error
        .with_exit(exit)
        .with_stderr(&process.stderr().snapshot())
}

fn died_with(display: &Error) -> String {
    format!("{display}, and the renderer with it")
}

/// Serves a renderer until it ends, one way or another, and sees to it that it does.
async fn supervise(shared: Arc<Shared>, mut process: Option<Process>, grace: Grace) {
    let mut writing = tokio::spawn(resume_writing(shared.clone()));
    let mut timing = tokio::spawn(expire(shared.clone()));
    let pumped = shared.clone();
    let mut reading = tokio::spawn(async move { pumped.pump().await });

    let display_death = display_death(process.as_ref());
    let mut end = tokio::select! {
        read = &mut reading => ending(read.ok()),
        exit = exited(&mut process) => Ending::exited(exit),
        () = shared.deaf.notified() => Ending::of("the renderer closed its input"),
        () = shared.stop.notified() => Ending::asked(),
        // It may not notice, or not end of it.
        death = display_death => Ending::of(death.to_string()),
        // They never end of themselves; without them nothing would end in time.
        _ = &mut writing => Ending::of("the pool's writer to the renderer panicked"),
        _ = &mut timing => Ending::of("the pool's timer for the renderer panicked"),
    };
    end.asked |= shared.link().is_exiting();
    // Once its owners are told, nothing it still says matters; before, a reply may be on its
    // way. A process that was asked to end takes the time it takes.
    if !end.asked {
        gather_last_signs(&mut end, &mut reading, &mut process).await;
        tell(&shared, &end, process.as_ref()).await;
    }
    shared.close_output();
    if let Some(process) = &mut process {
        let exit = process.stop(grace).await;
        end.exit.get_or_insert(exit);
    }
    if end.asked {
        if !reading.is_finished() {
            let _ = timeout(LAST_SIGNS, &mut reading).await;
        }
        tell(&shared, &end, process.as_ref()).await;
    }
    for task in [
        writing.abort_handle(),
        timing.abort_handle(),
        reading.abort_handle(),
    ] {
        task.abort();
    }
    shared.close_input();
    let error = end.error(&shared, &tail(process.as_ref()));
    tracing::debug!(%error, asked = end.asked, "renderer ended");
    let end = End {
        error,
        asked: end.asked,
    };
    shared.observer.ended(&Renderer::new(shared.clone()), &end);
    shared.end.send_replace(Some(end));
}

/// Why a renderer is at its end.
struct Ending {
    kind: ErrorKind,
    message: String,
    exit: Option<Exit>,
    asked: bool,
}

impl Ending {
    fn of(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::RendererExited,
            message: message.into(),
            exit: None,
            asked: false,
        }
    }

    fn exited(exit: Exit) -> Self {
        Self {
            exit: Some(exit),
            ..Self::of("the renderer is gone")
        }
    }

    fn asked() -> Self {
        Self {
            asked: true,
            ..Self::of("the renderer was stopped")
        }
    }

    /// Its display was first.
    fn of_display(&mut self, death: &Error) {
        self.kind = death.kind();
        self.message = died_with(death);
    }

    fn error(&self, shared: &Shared, stderr: &str) -> Error {
        let message = match shared.link().last_words() {
            Some(words) => format!("{}; it said: {words}", self.message),
            None => self.message.clone(),
        };
        let error = Error::new(self.kind, message).with_stderr(stderr);
        match self.exit {
            Some(exit) => error.with_exit(exit),
            None => error,
        }
    }
}

fn ending(read: Option<Result<(), Error>>) -> Ending {
    match read {
        Some(Ok(())) => Ending::of("the renderer is gone"),
        Some(Err(error)) => Ending {
            kind: error.kind(),
            ..Ending::of(error.to_string())
        },
        None => Ending::of("the pool's reader of the renderer's output panicked"),
    }
}

/// Waits until the renderer's display is gone; for ever if that is not the pool's.
fn display_death(process: Option<&Process>) -> impl Future<Output = Error> + use<> {
    let display = process.and_then(Process::display).cloned();
    async move {
        match display {
            Some(display) => display.death().await,
            None => std::future::pending().await,
        }
    }
}

async fn exited(process: &mut Option<Process>) -> Exit {
    match process {
        Some(process) => process.wait().await,
        None => std::future::pending().await,
    }
}

/// Waits a little for what belongs to the end that was noticed first.
async fn gather_last_signs(
    end: &mut Ending,
    reading: &mut JoinHandle<Result<(), Error>>,
    process: &mut Option<Process>,
) {
    if !reading.is_finished() {
        let _ = timeout(LAST_SIGNS, reading).await;
    }
    match process {
        Some(process) => {
            if let Ok(exit) = timeout(LAST_SIGNS, process.wait()).await {
                end.exit = Some(exit);
            }
            process.stderr().ended(LAST_SIGNS).await;
            if let Some(display) = process.display()
                && let Ok(death) = timeout(LAST_SIGNS, display.death()).await
            {
                end.of_display(&death);
            }
        }
        None => end.exit = Some(Exit::Disconnected),
    }
}

/// Ends the renderer's sessions.
async fn tell(shared: &Shared, end: &Ending, process: Option<&Process>) {
    let error = end.error(shared, &tail(process));
    shared.with_link(|link, effects| link.fail(&error, effects));
}

fn tail(process: Option<&Process>) -> String {
    process
        .map(Process::stderr)
        .map(StderrTail::snapshot)
        .unwrap_or_default()
}

async fn resume_writing(shared: Arc<Shared>) {
    loop {
        shared.writable.notified().await;
        shared.resume();
    }
}

/// Ends what has waited too long.
async fn expire(shared: Arc<Shared>) {
    loop {
        let deadline = shared.link().deadline();
        let passed = async {
            match deadline {
                Some(deadline) => patience::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = passed => {
                // What came in time counts, also if there was no time to read it.
                shared.catch_up();
                let now = Instant::now();
                shared.with_link(|link, effects| link.expire(now, effects));
            }
            () = shared.rearm.notified() => {}
        }
    }
}
