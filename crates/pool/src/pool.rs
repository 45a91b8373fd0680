//! The pool, for those who want sessions.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plushie_pool_core::{Error, LONGEST_PAUSE, SessionRequest};
use plushie_pool_renderer::Hello;

use crate::builder::Builder;
use crate::connected;
use crate::engine::{Engine, Slot, Wish};
use crate::registry;
use crate::session::Session;
use crate::spares;
use crate::status::Status;

/// Gives out isolated sessions on real renderers.
///
/// A cheap handle: clones share one pool, which ends when [`shutdown`](Self::shutdown) is
/// called, or when the last handle and the last [`Session`] are dropped. It belongs to no
/// runtime: it may be made in one, used in another, or kept in a `static`.
#[derive(Clone)]
pub struct SessionPool {
    shared: Arc<PoolShared>,
}

/// Ends the pool with its last user.
pub(crate) struct PoolShared {
    pub(crate) engine: Arc<Engine>,
}

impl SessionPool {
    /// Describes a pool: eight mock sessions over MessagePack, unless told otherwise.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The running pool that was given this name.
    pub fn named(name: &str) -> Option<Self> {
        registry::find(name).map(|shared| Self { shared })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// See [`Engine::ask_hello`].
    pub(crate) async fn ask_hello(&self) -> Result<Hello, Error> {
        self.shared.engine.ask_hello().await
    }

    pub(crate) fn new(shared: Arc<PoolShared>) -> Self {
        Self { shared }
    }

    /// Starts what is to run from the start; nothing is left running if that fails.
    pub(crate) async fn begin(&self) -> Result<(), Error> {
        let engine = &self.shared.engine;
        let begun = engine.begin().await;
        if begun.is_err() {
            engine.close();
            engine.over().await;
        }
        begun
    }

    /// Opens a session. Waits its turn if all are in use, for as long as `acquire_timeout`,
    /// and for the renderer to start, if a new one is needed. While the pool puts off launching
    /// one, because renderers died too often or could not be started ([`Status::backoff`]), it
    /// waits for that too, within the same time.
    ///
    /// The renderer hears of the session with its first message.
    ///
    /// # Errors
    ///
    /// [`Timeout`](plushie_pool_core::ErrorKind::Timeout) of the acquire phase;
    /// [`PoolClosed`](plushie_pool_core::ErrorKind::PoolClosed);
    /// [`RestartsExhausted`](plushie_pool_core::ErrorKind::RestartsExhausted), at once, if no
    /// renderer runs and the next is launched later than `acquire_timeout` allows, with what the
    /// last one died of; or why a new renderer could not be started.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the place in the queue, or in the pool, is given up.
    pub async fn register(&self) -> Result<Session, Error> {
        self.register_with(SessionRequest::default()).await
    }

    /// As [`register`](Self::register), with a request that the pool's
    /// [`Mode`](plushie_pool_core::Mode) sees, such as a key: `pool.register_with("editor")`.
    ///
    /// What it means is the mode's decision ([`Mode::place_with`]). The modes that come with
    /// the pool, and a pool whose sessions are a server's, do not use it.
    ///
    /// [`Mode::place_with`]: plushie_pool_core::Mode::place_with
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`register`](Self::register).
    pub async fn register_with(
        &self,
        request: impl Into<SessionRequest>,
    ) -> Result<Session, Error> {
        let request = request.into();
        self.register_wishing(&request, None, 0, || {}).await
    }

    /// [`register`](Self::register) for a session that will have its renderer load so many fonts
    /// by settings of its own, and that may have its permit already. Says when it has.
    pub(crate) async fn register_loading(
        &self,
        slot: Option<Slot>,
        fonts: usize,
        permitted: impl FnOnce(),
    ) -> Result<Session, Error> {
        let request = SessionRequest::default();
        self.register_wishing(&request, slot, fonts, permitted)
            .await
    }

    async fn register_wishing(
        &self,
        request: &SessionRequest,
        slot: Option<Slot>,
        fonts: usize,
        permitted: impl FnOnce(),
    ) -> Result<Session, Error> {
        let engine = &self.shared.engine;
        let deadline = Instant::now() + engine.config.acquire_timeout;
        let slot = match slot {
            Some(slot) => slot,
            None => engine.acquire(engine.config.acquire_timeout).await?,
        };
        permitted();
        let wish = Wish {
            request,
            deadline,
            fonts,
        };
        self.open(slot, wish).await
    }

    /// A permit to have a session, if one is free and no other caller waits for it.
    pub(crate) fn try_acquire(&self) -> Result<Slot, Error> {
        self.shared.engine.try_acquire()
    }

    /// Opens a session if one is free and nobody waits for it. May still wait for a renderer
    /// to start, and for the pause of 5 s at most between the launches of renderers that die.
    ///
    /// # Errors
    ///
    /// [`PoolFull`](plushie_pool_core::ErrorKind::PoolFull), at once; otherwise as
    /// [`register`](Self::register).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn try_register(&self) -> Result<Session, Error> {
        self.try_register_with(SessionRequest::default()).await
    }

    /// As [`try_register`](Self::try_register), with a request that the pool's mode sees: see
    /// [`register_with`](Self::register_with).
    ///
    /// # Errors
    ///
    /// As [`try_register`](Self::try_register).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn try_register_with(
        &self,
        request: impl Into<SessionRequest>,
    ) -> Result<Session, Error> {
        let request = request.into();
        let engine = &self.shared.engine;
        let slot = engine.try_acquire()?;
        let patience = engine.config.acquire_timeout.min(LONGEST_PAUSE);
        let wish = Wish {
            request: &request,
            deadline: Instant::now() + patience,
            fonts: 0,
        };
        self.open(slot, wish).await
    }

    async fn open(&self, mut slot: Slot, wish: Wish<'_>) -> Result<Session, Error> {
        let engine = &self.shared.engine;
        loop {
            let opened = engine.open(slot, wish).await?;
            let was_spare = opened.spare;
            let mut session = Session::new(self.shared.clone(), opened);
            if !was_spare || spares::answers(&session).await {
                session.send_settings().await?;
                if engine.config.of_a_server {
                    connected::turn_of(&session).await?;
                }
                session.stub_effects().await?;
                return Ok(session);
            }
            slot = spares::replace(session, engine).await?;
        }
    }

    /// What the pool is and does at this moment.
    pub fn status(&self) -> Status {
        Status::of(&self.shared.engine)
    }

    /// How long a request waits for its reply unless told otherwise.
    pub fn timeout(&self) -> Duration {
        self.shared.engine.config.timeout
    }

    /// Ends the pool for all its users: sessions and those who wait for one get
    /// [`PoolClosed`](plushie_pool_core::ErrorKind::PoolClosed), renderers are stopped and
    /// reaped. Returns when nothing is left of them; a renderer that does not obey is killed,
    /// so that takes a few seconds at most.
    ///
    /// # Errors
    ///
    /// [`PoolClosed`](plushie_pool_core::ErrorKind::PoolClosed) in the child of a fork, which has no
    /// part in the pool.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the pool ends whether the future is polled further or not.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.shared.engine.home.check()?;
        self.shared.engine.close();
        self.shared.engine.over().await;
        Ok(())
    }
}

impl fmt::Debug for SessionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.shared.engine.config;
        f.debug_struct("SessionPool")
            .field("name", &config.name)
            .field("mode", &config.mode)
            .field("format", &config.transport.name())
            .finish_non_exhaustive()
    }
}

/// Never blocks: the I/O thread sees to the rest.
impl Drop for PoolShared {
    fn drop(&mut self) {
        // A copy that the child of a fork has is not the pool.
        if !self.engine.home.is_here() {
            return;
        }
        if let Some(name) = &self.engine.config.name {
            registry::remove(name);
        }
        self.engine.close();
    }
}
