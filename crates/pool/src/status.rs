//! What a pool is and does, at one moment.

use std::time::{Duration, Instant};

use plushie_pool_core::link::{LinkCounters, LinkLoad};
use plushie_pool_core::{Error, RendererId};

use crate::engine::Engine;
use crate::fleet::Backoff;

/// A snapshot of a pool. Its numbers belong together only roughly: the pool goes on while they
/// are collected.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The name it was given.
    pub name: Option<String>,
    /// The mode's name; that of the server, if the sessions are a server's.
    pub mode: String,
    /// The wire format's name.
    pub format: String,
    /// How many sessions may be open at once.
    pub max_sessions: usize,
    /// Sessions that are open, being opened or being closed.
    pub sessions: usize,
    /// Those who wait for a session.
    pub waiting: usize,
    /// Requests sent and not answered, over all renderers.
    pub pending_requests: usize,
    /// Messages waiting for their turn to be sent, over all renderers.
    pub queued_messages: usize,
    /// The display server the pool has started.
    pub display: Option<DisplayStatus>,
    /// The renderers that are of use, those kept warm among them.
    pub renderers: Vec<RendererStatus>,
    /// Renderers launched since the pool started, failed launches included.
    pub launches: u64,
    /// Renderers that died by themselves since the pool started.
    pub deaths: u64,
    /// What keeps the pool from launching a renderer at this moment, if anything does. Those that
    /// run serve on.
    pub backoff: Option<BackoffStatus>,
    /// What all renderers, those that are gone included, have sent and received.
    pub counters: LinkCounters,
}

/// Why a pool launches no renderer for the time being.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackoffStatus {
    /// When it launches one again, if one is needed; `None` if never, as the
    /// [`RestartPolicy`](crate::RestartPolicy) of 0 restarts has it.
    pub until: Option<Instant>,
    /// What became of the last renderer, as a session that cannot wait so long gets it.
    pub error: Error,
}

/// A pool's own display.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DisplayStatus {
    /// The program: `weston` or `Xvfb`.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Whether a new window gets the input focus.
    pub gives_focus: bool,
}

/// One renderer of a pool.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RendererStatus {
    /// Its name in the pool.
    pub id: RendererId,
    /// Its process, if the pool started it.
    pub pid: Option<u32>,
    /// The path or address it was reached by.
    pub origin: String,
    /// Its version, as it says.
    pub version: String,
    /// How long it has been of use.
    pub age: Duration,
    /// How long it took to be of use.
    pub launch_time: Duration,
    /// The sessions it has.
    pub sessions: usize,
    /// The sessions it has had, those it has now included.
    pub served: u64,
}

impl Status {
    /// What the child of a fork may know: its copy of the pool serves no sessions.
    fn of_a_stranger(engine: &Engine) -> Self {
        let config = &engine.config;
        Self {
            name: config.name.clone(),
            mode: config.mode.clone(),
            format: config.transport.name().to_owned(),
            max_sessions: config.max_sessions,
            sessions: 0,
            waiting: 0,
            pending_requests: 0,
            queued_messages: 0,
            display: None,
            backoff: None,
            renderers: Vec::new(),
            launches: 0,
            deaths: 0,
            counters: LinkCounters::default(),
        }
    }

    pub(crate) fn of(engine: &Engine) -> Self {
        if !engine.home.is_here() {
            return Self::of_a_stranger(engine);
        }
        let (sessions, waiting) = {
            let slots = engine.slots();
            (slots.used(), slots.waiting())
        };
        let now = Instant::now();
        let (past, backoff, members) = {
            let mut fleet = engine.fleet();
            let backoff = fleet.backoff(now);
            (fleet.past(), backoff, fleet.renderers().collect::<Vec<_>>())
        };
        let mut load = LinkLoad::default();
        let mut counters = past.counters;
        let mut renderers = Vec::new();
        for (id, renderer, sessions, served) in members {
            let its = renderer.load();
            load.pending += its.pending;
            load.queued += its.queued;
            counters = counters + renderer.counters();
            let identity = renderer.identity();
            renderers.push(RendererStatus {
                id,
                pid: identity.pid,
                origin: identity.origin.clone(),
                version: identity.hello.version.clone(),
                age: now.saturating_duration_since(identity.ready_at),
                launch_time: identity.launch_time,
                sessions,
                served,
            });
        }
        let config = &engine.config;
        let display = config.screen.as_ref().and_then(|screen| screen.process());
        Self {
            name: config.name.clone(),
            mode: engine.mode(),
            format: config.transport.name().to_owned(),
            max_sessions: config.max_sessions,
            sessions,
            waiting,
            pending_requests: load.pending,
            queued_messages: load.queued,
            display: display.map(|process| DisplayStatus {
                name: process.name.to_owned(),
                pid: process.pid,
                gives_focus: process.gives_focus,
            }),
            renderers,
            launches: past.launches,
            deaths: past.deaths,
            backoff: backoff.map(|Backoff { until, error }| BackoffStatus { until, error }),
            counters,
        }
    }
}
