//! The display of a pool's renderers, started when it is first needed.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plushie_pool_core::{Error, ErrorKind};

use super::search::{self, Source};
use super::{Display, Server};
use crate::Environment;

/// A display for renderers to show their windows on, shared by all that are given it. One of
/// its own is started when it is first needed, and again if it has died. Whoever made this
/// [`stop`](Self::stop)s it.
#[derive(Debug)]
pub struct Screen {
    source: Source,
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
}

impl Screen {
    /// Finds a display, and starts nothing. `var` is the environment a renderer will have.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Display`] if there is none and none can be started, with what to install.
    pub fn find(display: Display, var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        Ok(Self {
            source: search::choose(display, &var)?,
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

    /// How long one of its own may take to be ready; 30 s by default.
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
    /// [`ErrorKind::Display`] if the server does not start, with what it said, or if this was
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
        let Source::Own(program, path) = &self.source else {
            return Ok(None);
        };
        let _changing = self.changing.lock().await;
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
            *program,
            path,
            self.size,
            self.patience,
            self.own_process_group,
        )
        .await?;
        self.state().server = Some(server.clone());
        Ok(Some(server))
    }

    /// Has a renderer's environment name this display and no other.
    pub(crate) fn put_into(&self, environment: &mut Environment, server: Option<&Server>) {
        if self.source == Source::Theirs {
            return;
        }
        for name in search::NAMES {
            environment.remove(name);
        }
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

    /// The name and the process of the server that was started last.
    pub fn process(&self) -> Option<(&'static str, u32)> {
        let state = self.state();
        let server = state.server.as_ref()?;
        Some((server.name(), server.pid()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
