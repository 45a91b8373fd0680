//! All that is known of a server and its pool, as `plushie-pool status` and a scraper want it.

use std::time::{Duration, Instant};

use plushie_pool::{BackoffStatus, LinkCounters, RendererStatus, Status};
use serde::Serialize;

use crate::stats::{Counts, Stats, micros};

/// A server and its pool at one moment. Durations are in microseconds.
///
/// A client of the server gets it in answer to a message of type `pool_status`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of this crate.
    pub version: &'static str,
    /// Where clients connect.
    pub address: String,
    /// For how long the server has been there.
    pub uptime_us: u64,
    /// The clients and their sessions.
    pub server: Stats,
    /// The pool for clients that ask for no mode.
    pub pool: PoolReport,
    /// The pools that run or start: that one first, then those of other modes that were asked for.
    pub pools: Vec<PoolReport>,
}

/// A pool at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PoolReport {
    /// `mock`, `headless`, `windowed`.
    pub mode: String,
    /// `msgpack`, `json`: between pool and renderer.
    pub format: String,
    /// How many sessions may be open at once.
    pub max_sessions: usize,
    /// Sessions that are open, being opened or being closed.
    pub sessions: usize,
    /// The most sessions of the server's clients that were open at once.
    pub most_sessions: usize,
    /// Sessions of the server's clients ever opened.
    pub sessions_served: u64,
    /// Those of them that waited longer than 100 ms to be opened.
    pub waits: u64,
    /// Sessions of the server's clients that ended against their owner's wish, or could not be
    /// opened.
    pub failures: u64,
    /// Those who wait for a session.
    pub waiting: usize,
    /// Requests sent and not answered.
    pub pending_requests: usize,
    /// Messages waiting for their turn to be sent.
    pub queued_messages: usize,
    /// Renderers launched since the pool started.
    pub launches: u64,
    /// Renderers that died by themselves.
    pub deaths: u64,
    /// What keeps the pool from launching a renderer, if anything does.
    pub backoff: Option<BackoffReport>,
    /// Messages sent to renderers.
    pub messages_sent: u64,
    /// Messages received from renderers.
    pub messages_received: u64,
    /// Events dropped because nobody read them in time.
    pub events_lagged: u64,
    /// The renderers that are of use.
    pub renderers: Vec<RendererReport>,
}

/// Why a pool launches no renderer for the time being.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BackoffReport {
    /// How long that lasts; none if for ever.
    pub remaining_us: Option<u64>,
    /// What became of the last renderer.
    pub error: String,
}

/// One renderer.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RendererReport {
    /// Its process, if the pool started it.
    pub pid: Option<u32>,
    /// The path or address it was reached by.
    pub origin: String,
    /// Its version.
    pub version: String,
    /// For how long it has been of use.
    pub age_us: u64,
    /// How long it took to be of use.
    pub launch_us: u64,
    /// Its sessions now.
    pub sessions: usize,
    /// Its sessions ever.
    pub served: u64,
}

impl Report {
    pub(crate) fn new(
        address: String,
        uptime: Duration,
        server: Stats,
        pools: Vec<PoolReport>,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            address,
            uptime_us: micros(uptime),
            server,
            pool: pools[0].clone(), // a set has its default pool
            pools,
        }
    }
}

impl PoolReport {
    pub(crate) fn new(counts: Counts, status: Status) -> Self {
        let LinkCounters {
            sent,
            received,
            lagged,
            ..
        } = status.counters;
        let renderers = status.renderers.into_iter().map(RendererReport::new);
        Self {
            renderers: renderers.collect(),
            mode: status.mode,
            format: status.format,
            max_sessions: status.max_sessions,
            sessions: status.sessions,
            most_sessions: counts.most,
            sessions_served: counts.served,
            waits: counts.waits,
            failures: counts.failures,
            waiting: status.waiting,
            pending_requests: status.pending_requests,
            queued_messages: status.queued_messages,
            launches: status.launches,
            deaths: status.deaths,
            backoff: status.backoff.map(BackoffReport::new),
            messages_sent: sent,
            messages_received: received,
            events_lagged: lagged,
        }
    }
}

impl BackoffReport {
    fn new(status: BackoffStatus) -> Self {
        let remaining = |until: Instant| until.saturating_duration_since(Instant::now());
        Self {
            remaining_us: status.until.map(|until| micros(remaining(until))),
            error: status.error.to_string(),
        }
    }
}

impl RendererReport {
    fn new(status: RendererStatus) -> Self {
        Self {
            pid: status.pid,
            origin: status.origin,
            version: status.version,
            age_us: micros(status.age),
            launch_us: micros(status.launch_time),
            sessions: status.sessions,
            served: status.served,
        }
    }
}
