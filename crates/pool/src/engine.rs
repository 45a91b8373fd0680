//! What a pool does: gives out places, finds each session a renderer, and sees all of them off.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use plushie_pool_core::{
    Acquired, Addressing, Error, ErrorKind, LONGEST_PAUSE, RendererId, SessionId, SessionRequest,
    Slots, Ticket, Transport,
};
use plushie_pool_renderer::{
    AppSettings, Connector, End, Hello, Home, Observer, Renderer, RendererConfig, Screen, patience,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

use crate::effects::EffectStub;
use crate::fleet::{Fleet, Launch, Launched};
use crate::spares::Spares;

/// One pool's state, shared by its handles, its sessions and its I/O thread.
pub(crate) struct Engine {
    pub(crate) config: EngineConfig,
    slots: Mutex<Slots<SlotSender>>,
    fleet: Mutex<Fleet>,
    next_session: AtomicU64,
    io: Handle,
    waiting: Notify,
    pub(crate) spares: Spares,
    closing: watch::Sender<bool>,
    /// No renderer is left.
    deserted: watch::Sender<bool>,
    /// Nothing is left.
    over: Over,
    /// The process whose threads serve it.
    pub(crate) home: Home,
    /// What the renderer that was started last said of itself.
    hello: Mutex<Option<Hello>>,
}

/// What a pool was built with.
pub(crate) struct EngineConfig {
    pub(crate) name: Option<String>,
    pub(crate) mode: String,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) renderer: RendererConfig,
    pub(crate) settings: Option<Arc<AppSettings>>,
    /// Effects that every session's renderer answers with these.
    pub(crate) stubs: Vec<EffectStub>,
    pub(crate) private_clipboard: bool,
    /// How many fonts each session has its renderer load by these.
    pub(crate) settings_fonts: usize,
    pub(crate) max_sessions: usize,
    pub(crate) initial_renderers: usize,
    pub(crate) warm: usize,
    pub(crate) screen: Option<Arc<Screen>>,
    pub(crate) timeout: Duration,
    pub(crate) acquire_timeout: Duration,
    /// Its sessions are a server's, who gives each its turn.
    pub(crate) of_a_server: bool,
}

type SlotSender = oneshot::Sender<Result<Slot, Error>>;

/// A session's place in the pool, given back when dropped.
pub(crate) struct Slot(Option<Arc<Engine>>);

/// What a session needs of its renderer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// How it was asked for, for the mode.
    pub(crate) request: &'a SessionRequest,
    /// How long it may wait for a launch to begin, if none may be begun yet.
    pub(crate) deadline: Instant,
    /// How many fonts it has the renderer load besides those of the pool's settings.
    pub(crate) fonts: usize,
}

/// A session's place on a renderer, given back when dropped.
struct Seat {
    engine: Option<Arc<Engine>>,
    renderer: RendererId,
    launched: Launched,
}

/// A session that was opened.
pub(crate) struct Opened {
    pub(crate) id: SessionId,
    pub(crate) seat: RendererId,
    pub(crate) renderer: Renderer,
    /// It was not launched for this session.
    pub(crate) spare: bool,
}

/// How often another renderer is tried when the one a session was to go to has just died.
const ATTEMPTS: usize = 3;

impl Engine {
    pub(crate) fn new(config: EngineConfig, fleet: Fleet, io: Handle) -> Self {
        Self {
            slots: Mutex::new(Slots::new(config.max_sessions)),
            fleet: Mutex::new(fleet),
            next_session: AtomicU64::new(1),
            io,
            waiting: Notify::new(),
            spares: Spares::default(),
            closing: watch::Sender::new(false),
            deserted: watch::Sender::new(false),
            over: Over::default(),
            home: Home::here(),
            hello: Mutex::new(None),
            config,
        }
    }

    pub(crate) fn slots(&self) -> MutexGuard<'_, Slots<SlotSender>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the pool until it is over; the future of its I/O thread.
    pub(crate) async fn run(self: Arc<Self>) {
        // Also by a panic: those who wait for the end must not wait for ever.
        let _over = Ends(&self.over);
        let mut deserted = self.deserted.subscribe();
        tokio::select! {
            // Fails only without a sender, and `self` holds it.
            _ = deserted.wait_for(|deserted| *deserted) => {}
            () = self.expire_waits() => {}
            () = self.keep_spares() => {}
        }
        if let Some(screen) = &self.config.screen {
            screen.stop().await;
        }
    }

    async fn expire_waits(&self) {
        loop {
            let deadline = self.slots().deadline();
            let passed = async {
                match deadline {
                    Some(deadline) => patience::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => {
                    // A session may have ended, and nothing had the time to notice.
                    let renderers: Vec<_> = self.fleet().renderers().collect();
                    for (_, renderer, ..) in renderers {
                        renderer.catch_up();
                    }
                    let expired = self.slots().expire(Instant::now());
                    for (sender, error) in expired {
                        let _ = sender.send(Err(error));
                    }
                }
                () = self.waiting.notified() => {}
            }
        }
    }

    /// Waits for the display, and for the renderers that are to be there from the start.
    pub(crate) async fn begin(self: &Arc<Self>) -> Result<(), Error> {
        self.raise_screen().await?;
        let mut launched = Vec::new();
        for _ in 0..self.config.initial_renderers {
            let now = Instant::now();
            // One of them may have failed already: what it failed of is found below.
            let launch = self.fleet().launch(now, now + LONGEST_PAUSE)?;
            launched.push(launch.tell.subscribe());
            self.start_launch(launch);
        }
        launched.extend(self.refill());
        for mut launched in launched {
            settled(&mut launched).await?;
        }
        Ok(())
    }

    /// On the I/O thread, which the display is to end with.
    async fn raise_screen(&self) -> Result<(), Error> {
        let Some(screen) = self.config.screen.clone() else {
            return Ok(());
        };
        let mut closing = self.closing.subscribe();
        let ready = self.io.spawn(async move {
            tokio::select! {
                ready = screen.ready() => ready,
                _ = closing.wait_for(|closing| *closing) => Err(closed()),
            }
        });
        // Fails if it panicked, or with the I/O thread.
        ready.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(crate) fn start_launch(self: &Arc<Self>, launch: Launch) {
        self.io.spawn(self.clone().launch(launch));
    }

    async fn launch(self: Arc<Self>, launch: Launch) {
        let Launch {
            id,
            not_before,
            tell,
        } = launch;
        let mut closing = self.closing.subscribe();
        if let Some(not_before) = not_before {
            tokio::select! {
                () = tokio::time::sleep_until(not_before.into()) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
        let observer = Arc::new(Watch {
            engine: self.clone(),
            renderer: id,
        });
        let config = self.config.renderer.clone();
        let cancelled = async move {
            let _ = closing.wait_for(|closing| *closing).await;
            closed()
        };
        let start = Renderer::start(&*self.config.connector, config, observer, cancelled);
        // A connector or a wire format of the user's may panic; those who wait must hear of it.
        let started = AssertUnwindSafe(start).catch_unwind().await;
        let started = started.unwrap_or_else(|_| {
            let message = "the connector, the wire format or the settings panicked";
            Err(Error::new(ErrorKind::Launch, message))
        });
        match started {
            Ok(renderer) => {
                self.spares.started();
                self.fleet().launched();
                *self.last_hello() = Some(renderer.identity().hello.clone());
                tell.send_replace(Some(Ok(renderer.clone())));
                // Both may have happened while nobody could tell the renderer.
                if *self.closing.borrow() {
                    renderer.abandon(&closed());
                }
                if let Some(unwanted) = self.fleet().done(id) {
                    unwanted.stop();
                }
            }
            Err(error) => {
                self.launch_failed(id, &error);
                self.spares.failed();
                tell.send_replace(Some(Err(error)));
            }
        }
    }

    fn launch_failed(&self, renderer: RendererId, error: &Error) {
        self.fleet().launch_failed(renderer, error, Instant::now());
        self.check_over();
    }

    /// Waits for a place in the pool.
    pub(crate) async fn acquire(self: &Arc<Self>, patience: Duration) -> Result<Slot, Error> {
        self.wait_for_slot(|slots, sender| slots.acquire(sender, Instant::now(), patience))
            .await
    }

    /// As [`acquire`](Self::acquire), but before all who wait.
    pub(crate) async fn acquire_first(self: &Arc<Self>, patience: Duration) -> Result<Slot, Error> {
        self.wait_for_slot(|slots, sender| slots.acquire_first(sender, Instant::now(), patience))
            .await
    }

    async fn wait_for_slot(
        self: &Arc<Self>,
        ask: impl FnOnce(&mut Slots<SlotSender>, SlotSender) -> Result<Acquired<SlotSender>, Error>,
    ) -> Result<Slot, Error> {
        self.home.check()?;
        let (sender, receiver) = oneshot::channel();
        let acquired = ask(&mut self.slots(), sender)?;
        let ticket = match acquired {
            Acquired::Now(_) => return Ok(Slot(Some(self.clone()))),
            Acquired::Later(ticket) => ticket,
        };
        self.waiting.notify_one();
        let wait = Wait {
            engine: self,
            ticket,
        };
        // The slot may arrive while this is dropped: then it is dropped with the channel.
        let slot = receiver.await;
        drop(wait);
        slot.unwrap_or_else(|_| Err(closed()))
    }

    pub(crate) fn try_acquire(self: &Arc<Self>) -> Result<Slot, Error> {
        self.home.check()?;
        self.slots().try_acquire()?;
        Ok(Slot(Some(self.clone())))
    }

    /// Opens a session in a place of the pool.
    pub(crate) async fn open(
        self: &Arc<Self>,
        mut slot: Slot,
        wish: Wish<'_>,
    ) -> Result<Opened, Error> {
        let mut attempt = 1;
        loop {
            self.home.check()?;
            let (mut seat, spare) = self.seat(wish)?;
            let renderer = match settled(&mut seat.launched).await {
                Ok(renderer) => renderer,
                // Its display died while it started; the next one gets a new one.
                Err(error) if error.kind() == ErrorKind::Display && attempt < ATTEMPTS => {
                    attempt += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let id = SessionId::new(self.next_session.fetch_add(1, Ordering::Relaxed));
            match renderer.open(id) {
                Ok(()) => {
                    // From here on the renderer says when both are free again.
                    seat.engine = None;
                    slot.0 = None;
                    return Ok(Opened {
                        id,
                        seat: seat.renderer,
                        renderer,
                        spare,
                    });
                }
                Err(error) if is_death(&error) && attempt < ATTEMPTS + self.config.warm => {
                    attempt += 1;
                    // The fleet has not heard of its end yet.
                    self.fleet().retire(seat.renderer);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What a renderer says of itself. If none has run yet one is launched, which stays for the
    /// first session.
    pub(crate) async fn ask_hello(self: &Arc<Self>) -> Result<Hello, Error> {
        if let Some(hello) = self.hello() {
            return Ok(hello);
        }
        let now = Instant::now();
        let any = self.fleet().any(now, now + self.config.acquire_timeout);
        let (mut launched, launch) = any?;
        if let Some(launch) = launch {
            self.start_launch(launch);
        }
        let renderer = settled(&mut launched).await?;
        Ok(renderer.identity().hello.clone())
    }

    /// Also says whether the renderer was a spare.
    fn seat(self: &Arc<Self>, wish: Wish<'_>) -> Result<(Seat, bool), Error> {
        let fonts = self.config.settings_fonts.saturating_add(wish.fonts);
        let now = Instant::now();
        let full = self.fleet().retire_full_of_fonts(now, fonts);
        for full in full {
            full.stop();
        }
        let place = self
            .fleet()
            .place(wish.request, now, wish.deadline, fonts)?;
        let is_single = self.config.renderer.link.addressing == Addressing::Single;
        let spare = is_single && place.launch.is_none();
        if let Some(launch) = place.launch {
            self.start_launch(launch);
        }
        self.spares.look();
        let seat = Seat {
            engine: Some(self.clone()),
            renderer: place.renderer,
            launched: place.launched,
        };
        Ok((seat, spare))
    }

    fn give_back(self: &Arc<Self>) {
        if !self.home.is_here() {
            return;
        }
        let next = self.slots().release();
        if let Some(next) = next {
            // If the other end is gone, the slot comes back and passes on.
            let _ = next.send(Ok(Slot(Some(self.clone()))));
        }
        self.spares.look();
    }

    /// Takes no more sessions, ends those there are, and stops all renderers.
    pub(crate) fn close(&self) {
        if !self.home.is_here() {
            return;
        }
        let error = closed();
        let waiting = self.slots().close(error.clone());
        for sender in waiting {
            let _ = sender.send(Err(error.clone()));
        }
        // In this order: a launch that finishes now either finds this, or is found below.
        self.closing.send_replace(true);
        let renderers = self.fleet().close(&error);
        for renderer in renderers {
            renderer.abandon(&error);
        }
        self.check_over();
    }

    /// Runs what is to run on the pool's own thread.
    pub(crate) fn io(&self) -> Handle {
        self.io.clone()
    }

    /// What the renderer that was started last said of itself; none before there was one.
    pub(crate) fn hello(&self) -> Option<Hello> {
        self.last_hello().clone()
    }

    /// The mode's name: a server says which one it is in.
    pub(crate) fn mode(&self) -> String {
        let of_server = self.config.of_a_server.then(|| self.hello()).flatten();
        of_server.map_or_else(|| self.config.mode.clone(), |hello| hello.mode)
    }

    fn last_hello(&self) -> MutexGuard<'_, Option<Hello>> {
        self.hello.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closing.borrow()
    }

    /// Whether it will open no more sessions: it was closed, its I/O thread ended, or its last
    /// renderer died and is not to be replaced.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_closed()
            || self.over.is_so.load(Ordering::Acquire)
            || self.fleet().is_spent(Instant::now())
    }

    fn check_over(&self) {
        if self.fleet().is_over() {
            self.deserted.send_replace(true);
        }
    }

    /// Waits until nothing of a closed pool is left.
    pub(crate) async fn over(&self) {
        self.over.told().await;
    }
}

/// The outcome of a launch.
async fn settled(launched: &mut Launched) -> Result<Renderer, Error> {
    match launched.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().expect("waited for"),
        // The launch was dropped with the I/O thread.
        Err(_) => Err(closed()),
    }
}

/// Whether that is what a renderer ended with that nobody asked to.
fn is_death(error: &Error) -> bool {
    use ErrorKind::{Display, Framing, RendererExited};
    matches!(error.kind(), RendererExited | Framing | Display)
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::PoolClosed, "the pool was shut down")
}

/// Whether a pool is at its end, which is waited for without anything that belongs to a thread:
/// also by what runs when the process exits.
#[derive(Default)]
struct Over {
    is_so: AtomicBool,
    told: Notify,
}

impl Over {
    async fn told(&self) {
        loop {
            let told = self.told.notified();
            if self.is_so.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }
}

/// Tells those who wait for the end of a pool.
struct Ends<'a>(&'a Over);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_so.store(true, Ordering::Release);
        self.0.told.notify_waiters();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(engine) = self.0.take() {
            engine.give_back();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take()
            && engine.home.is_here()
        {
            let unused = engine.fleet().leave(self.renderer, true);
            if let Some(unused) = unused {
                unused.stop();
            }
        }
    }
}

/// Somebody waits for a place, or stops waiting.
struct Wait<'a> {
    engine: &'a Engine,
    ticket: Ticket,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.engine.home.is_here() {
            self.engine.slots().cancel(self.ticket);
        }
    }
}

/// Hears of one renderer.
struct Watch {
    engine: Arc<Engine>,
    renderer: RendererId,
}

impl Observer for Watch {
    fn released(&self, sessions: &[SessionId]) {
        for _ in sessions {
            let done = self.engine.fleet().leave(self.renderer, false);
            if let Some(done) = done {
                done.stop();
            }
            self.engine.give_back();
        }
    }

    fn suspect(&self) {
        let done = self.engine.fleet().retire(self.renderer);
        if let Some(done) = done {
            done.stop();
        }
    }

    fn ended(&self, renderer: &Renderer, end: &End) {
        let counters = renderer.counters();
        let engine = &self.engine;
        let spare_died = engine
            .fleet()
            .ended(self.renderer, end, counters, Instant::now());
        if spare_died {
            engine.spares.failed();
        } else {
            // One process less.
            engine.spares.look();
        }
        engine.check_over();
    }
}
