//! The display of a pool's renderers, started when it is first needed.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plushie_pool_core::{Error, ErrorKind};
use tokio::time::timeout;

use super::reach;
use super::search::{self, Choice, Source, Theirs};
use super::{Display, Server};
use crate::Environment;

/// A display for renderers to show their windows on, shared by all that are given it. One of
/// its own is started when it is first needed, and again if it has died. Whoever made this
/// [`stop`](Self::stop)s it.
#[derive(Debug)]
pub struct Screen {
    choice: Choice,
    size: (u32, u32),
    patience: Duration,
    own_process_group: bool,
    state: Mutex<State>,
    /// Held by whoever starts or stops the server.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    server: Option<Arc<Server>>,
    stopped: bool,
    /// What [`Choice::source`] came to, once it was asked.
    settled: Option<Source>,
}

/// How long a display that is there may take to answer: one that is well takes less than a
/// millisecond.
const ANSWER: Duration = Duration::from_secs(5);

/// A display server that a [`Screen`] has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScreenProcess {
    /// The program: `weston` or `Xvfb`.
    pub name: &'static str,
    /// Its process.
    pub pid: u32,
    /// Whether a new window gets the input focus.
    pub gives_focus: bool,
}

impl Screen {
    /// Finds a display, and starts nothing. `var` is the environment a renderer will have.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Display`] if there is none and none can be started, with what to install.
    pub fn find(display: Display, var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        Ok(Self {
            choice: search::choose(display, &var)?,
            size: (1280, 1024),
            patience: Duration::from_secs(30),
            own_process_group: false,
            state: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// How large one of its own is, in pixels; 1280 x 1024 by default.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    /// How long one of its own may take to be ready; 30 s by default. One that is there gets
    /// half of that, and at most 5 s, to answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Gives one of its own a process group of its own: see
    /// [`ChildProcess::own_process_group`](crate::ChildProcess::own_process_group).
    #[must_use]
    pub fn own_process_group(mut self) -> Self {
        self.own_process_group = true;
        self
    }

    /// Waits until renderers can show windows, for which it may start a server. Await it in a
    /// runtime, and on a thread, that outlive what shows windows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Display`] if the server does not start, with what it said, if the display
    /// that is there does not answer and [`Display::Auto`] finds no other, or if this was
    /// [`stop`](Self::stop)ped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was being started is killed.
    pub async fn ready(&self) -> Result<(), Error> {
        self.server().await.map(drop)
    }

    /// The server that runs, or a new one; none if it needs none.
    pub(crate) async fn server(&self) -> Result<Option<Arc<Server>>, Error> {
        let _changing = self.changing.lock().await;
        let since = Instant::now();
        let Source::Own(program, path) = self.settle().await? else {
            return Ok(None);
        };
        let last = {
            let state = self.state();
            if state.stopped {
                return Err(Error::new(ErrorKind::Display, "the display was stopped"));
            }
            state.server.clone()
        };
        match last {
            Some(server) if !server.is_gone() => return Ok(Some(server)),
            // The next one may have its number, and must not find it being cleared away.
            Some(server) => server.stop().await,
            None => {}
        }
        let server = Server::start(
            program,
            &path,
            self.size,
            self.patience.saturating_sub(since.elapsed()),
            self.own_process_group,
        )
        .await?;
        self.state().server = Some(server.clone());
        Ok(Some(server))
    }

    /// Which display it is to be, after one that is there was asked whether it answers.
    async fn settle(&self) -> Result<Source, Error> {
        let settled = self.state().settled.clone();
        if let Some(settled) = settled {
            return Ok(settled);
        }
        let settled = match &self.choice.source {
            Source::Theirs(theirs) => match (self.hangs(theirs).await, &self.choice.otherwise) {
                (Some(problem), Some(otherwise)) => {
                    tracing::warn!("{problem}; the pool starts a display of its own");
                    otherwise.clone()
                }
                (Some(problem), None) => {
                    let hint = "end the process that listens there, or have the pool start a \
                                display of its own with Display::Weston or Display::Xvfb";
                    return Err(Error::new(ErrorKind::Display, problem).with_hint(hint));
                }
                (None, _) => self.choice.source.clone(),
            },
            source => source.clone(),
        };
        self.state().settled = Some(settled.clone());
        Ok(settled)
    }

    /// Why a display that is there is of no use, if it is not.
    async fn hangs(&self, theirs: &Theirs) -> Option<String> {
        let (socket, protocol) = theirs.socket.as_ref()?;
        // What is left is for one of the pool's own.
        let patience = ANSWER.min(self.patience / 2);
        let named = &theirs.named;
        match timeout(patience, reach::answer(socket, *protocol)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{named}, where no server answers: {error}")),
            Err(_) => Some(format!(
                "{named}, where a server listens that has not answered within {patience:?}: it \
                 hangs or is stopped"
            )),
        }
    }

    /// Has a renderer's environment name this display and no other, and lead to nothing else of
    /// the user's desktop unless this is the one that is there.
    pub(crate) fn put_into(&self, environment: &mut Environment, server: Option<&Server>) {
        if let Some(Source::Theirs(_)) = &self.state().settled {
            return;
        }
        environment.hide_desktop();
        for (name, value) in server.map(Server::environment).unwrap_or_default() {
            environment.set(name, value);
        }
    }

    /// Stops what was started, and starts nothing more. Returns when nothing is left of it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it can be called again.
    pub async fn stop(&self) {
        self.state().stopped = true;
        let _changing = self.changing.lock().await;
        let server = self.state().server.clone();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// The server that was started last, if one was.
    pub fn process(&self) -> Option<ScreenProcess> {
        let state = self.state();
        let server = state.server.as_ref()?;
        Some(ScreenProcess {
            name: server.name(),
            pid: server.pid(),
            gives_focus: server.gives_focus(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
