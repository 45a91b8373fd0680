//! All that is known of a server and its pool, as `plushie-pool status` and a scraper want it.

use std::fmt::Write as _;
use std::time::Duration;

use plushie_pool::{LinkCounters, RendererStatus, SessionPool, Status};
use serde::Serialize;

use crate::stats::{Stats, micros};

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
    /// The pool and its renderers.
    pub pool: PoolReport,
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
    /// Messages sent to renderers.
    pub messages_sent: u64,
    /// Messages received from renderers.
    pub messages_received: u64,
    /// Events dropped because nobody read them in time.
    pub events_lagged: u64,
    /// The renderers that are of use.
    pub renderers: Vec<RendererReport>,
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
        pool: &SessionPool,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            address,
            uptime_us: micros(uptime),
            server,
            pool: PoolReport::new(pool.status()),
        }
    }

    /// In the text format of Prometheus.
    pub fn to_prometheus(&self) -> String {
        let Self { server, pool, .. } = self;
        let waiting: usize = server
            .clients
            .iter()
            .flat_map(|client| &client.sessions)
            .filter(|session| session.session.is_none())
            .count();
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP plushie_pool_{name} {help}");
            let _ = writeln!(text, "# TYPE plushie_pool_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "plushie_pool_{name}{labels} {value}");
            }
        };
        let gauges: [(&str, &str, f64); 10] = [
            (
                "uptime_seconds",
                "For how long the server has been there.",
                seconds(self.uptime_us),
            ),
            ("clients", "Clients connected.", server.clients.len() as f64),
            (
                "sessions_max",
                "How many sessions may be open at once.",
                pool.max_sessions as f64,
            ),
            (
                "sessions",
                "Sessions open, being opened or being closed.",
                pool.sessions as f64,
            ),
            (
                "sessions_most",
                "The most sessions open at once.",
                server.most_sessions as f64,
            ),
            (
                "sessions_waiting",
                "Sessions of clients that wait for their turn.",
                waiting as f64,
            ),
            (
                "requests_pending",
                "Requests sent and not answered.",
                pool.pending_requests as f64,
            ),
            (
                "messages_queued",
                "Messages waiting to be sent.",
                pool.queued_messages as f64,
            ),
            (
                "renderers",
                "Renderers that are of use.",
                pool.renderers.len() as f64,
            ),
            (
                "renderer_oldest_seconds",
                "The age of the oldest renderer.",
                seconds(
                    pool.renderers
                        .iter()
                        .map(|renderer| renderer.age_us)
                        .max()
                        .unwrap_or(0),
                ),
            ),
        ];
        for (name, help, value) in gauges {
            metric(name, "gauge", help, &[("", value)]);
        }
        let counters: [(&str, &str, u64); 9] = [
            (
                "clients_total",
                "Clients ever connected.",
                server.clients_served,
            ),
            (
                "clients_rejected_total",
                "Clients refused or cut off.",
                server.clients_rejected,
            ),
            (
                "sessions_total",
                "Sessions ever opened.",
                server.sessions_served,
            ),
            (
                "waits_total",
                "Sessions that had to wait to be opened.",
                server.waits,
            ),
            (
                "failures_total",
                "Sessions that ended against a client's wish.",
                server.failures,
            ),
            (
                "messages_sent_total",
                "Messages sent to renderers.",
                pool.messages_sent,
            ),
            (
                "messages_received_total",
                "Messages from renderers.",
                pool.messages_received,
            ),
            (
                "renderer_launches_total",
                "Renderers launched.",
                pool.launches,
            ),
            (
                "renderer_deaths_total",
                "Renderers that died by themselves.",
                pool.deaths,
            ),
        ];
        for (name, help, value) in counters {
            metric(name, "counter", help, &[("", value as f64)]);
        }
        metric(
            "round_trip_seconds",
            "summary",
            "How long answers took, as the server sees it.",
            &[
                ("{quantile=\"0.5\"}", seconds(server.latency.p50_us)),
                ("{quantile=\"0.99\"}", seconds(server.latency.p99_us)),
                ("{quantile=\"1\"}", seconds(server.latency.max_us)),
                ("_sum", seconds(server.latency.sum_us)),
                ("_count", server.round_trips as f64),
            ],
        );
        text
    }
}

impl PoolReport {
    fn new(status: Status) -> Self {
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
            waiting: status.waiting,
            pending_requests: status.pending_requests,
            queued_messages: status.queued_messages,
            launches: status.launches,
            deaths: status.deaths,
            messages_sent: sent,
            messages_received: received,
            events_lagged: lagged,
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
