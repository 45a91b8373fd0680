//! A report in the text format of Prometheus.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::report::{PoolReport, Report};

impl Report {
    /// In the text format of Prometheus. What concerns one pool has its mode as the label `mode`.
    pub fn to_prometheus(&self) -> String {
        let mut page = Page(String::new());
        // Writing to a string cannot fail.
        let _ = self.write_server(&mut page);
        let _ = self.write_pools(&mut page);
        let _ = self.write_latency(&mut page);
        page.0
    }

    fn write_server(&self, page: &mut Page) -> fmt::Result {
        let server = &self.server;
        page.metric(
            "uptime_seconds",
            "gauge",
            "For how long the server has been there.",
        )?;
        page.sample("uptime_seconds", "", seconds(self.uptime_us))?;
        page.metric("clients", "gauge", "Clients connected.")?;
        page.sample("clients", "", server.clients.len() as f64)?;
        page.metric("clients_total", "counter", "Clients ever connected.")?;
        page.sample("clients_total", "", server.clients_served as f64)?;
        page.metric(
            "clients_rejected_total",
            "counter",
            "Clients refused or cut off.",
        )?;
        page.sample("clients_rejected_total", "", server.clients_rejected as f64)
    }

    fn write_pools(&self, page: &mut Page) -> fmt::Result {
        for (name, kind, help, value) in OF_A_POOL {
            page.metric(name, kind, help)?;
            for pool in &self.pools {
                let labels = format!("{{mode={:?}}}", pool.mode);
                page.sample(name, &labels, value(self, pool))?;
            }
        }
        Ok(())
    }

    fn write_latency(&self, page: &mut Page) -> fmt::Result {
        let (name, latency) = ("round_trip_seconds", &self.server.latency);
        let help = "How long answers took, as the server sees it.";
        page.metric(name, "summary", help)?;
        for (labels, value) in [
            ("{quantile=\"0.5\"}", seconds(latency.p50_us)),
            ("{quantile=\"0.99\"}", seconds(latency.p99_us)),
            ("{quantile=\"1\"}", seconds(latency.max_us)),
            ("_sum", seconds(latency.sum_us)),
            ("_count", self.server.round_trips as f64),
        ] {
            page.sample(name, labels, value)?;
        }
        Ok(())
    }

    /// Sessions of clients that wait for the pool in this mode.
    fn waiting(&self, mode: &str) -> usize {
        let clients = self.server.clients.iter();
        clients
            .filter(|client| client.mode.as_deref() == Some(mode))
            .flat_map(|client| &client.sessions)
            .filter(|session| session.session.is_none())
            .count()
    }
}

/// Its name, its type, its meaning, and how to have it.
type Metric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Report, &PoolReport) -> f64,
);

const OF_A_POOL: [Metric; 16] = [
    (
        "sessions_max",
        "gauge",
        "How many sessions may be open at once.",
        |_, pool| pool.max_sessions as f64,
    ),
    (
        "sessions",
        "gauge",
        "Sessions open, being opened or being closed.",
        |_, pool| pool.sessions as f64,
    ),
    (
        "sessions_most",
        "gauge",
        "The most sessions open at once.",
        |_, pool| pool.most_sessions as f64,
    ),
    (
        "sessions_waiting",
        "gauge",
        "Sessions of clients that wait for their turn.",
        |report, pool| report.waiting(&pool.mode) as f64,
    ),
    (
        "requests_pending",
        "gauge",
        "Requests sent and not answered.",
        |_, pool| pool.pending_requests as f64,
    ),
    (
        "messages_queued",
        "gauge",
        "Messages waiting to be sent.",
        |_, pool| pool.queued_messages as f64,
    ),
    (
        "renderers",
        "gauge",
        "Renderers that are of use.",
        |_, pool| pool.renderers.len() as f64,
    ),
    (
        "launch_backoff_seconds",
        "gauge",
        "For how long no renderer is launched, since others died or could not be started.",
        |_, pool| match &pool.backoff {
            Some(backoff) => backoff.remaining_us.map_or(f64::INFINITY, seconds),
            None => 0.0,
        },
    ),
    (
        "renderer_oldest_seconds",
        "gauge",
        "The age of the oldest renderer.",
        |_, pool| {
            let ages = pool.renderers.iter().map(|renderer| renderer.age_us);
            seconds(ages.max().unwrap_or(0))
        },
    ),
    (
        "sessions_total",
        "counter",
        "Sessions ever opened.",
        |_, pool| pool.sessions_served as f64,
    ),
    (
        "waits_total",
        "counter",
        "Sessions that had to wait to be opened.",
        |_, pool| pool.waits as f64,
    ),
    (
        "failures_total",
        "counter",
        "Sessions that ended against a client's wish.",
        |_, pool| pool.failures as f64,
    ),
    (
        "messages_sent_total",
        "counter",
        "Messages sent to renderers.",
        |_, pool| pool.messages_sent as f64,
    ),
    (
        "messages_received_total",
        "counter",
        "Messages from renderers.",
        |_, pool| pool.messages_received as f64,
    ),
    (
        "renderer_launches_total",
        "counter",
        "Renderers launched.",
        |_, pool| pool.launches as f64,
    ),
    (
        "renderer_deaths_total",
        "counter",
        "Renderers that died by themselves.",
        |_, pool| pool.deaths as f64,
    ),
];

/// What is written so far.
struct Page(String);

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.0, "# HELP plushie_pool_{name} {help}")?;
        writeln!(self.0, "# TYPE plushie_pool_{name} {kind}")
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) -> fmt::Result {
        if value == f64::INFINITY {
            return writeln!(self.0, "plushie_pool_{name}{labels} +Inf");
        }
        writeln!(self.0, "plushie_pool_{name}{labels} {value}")
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
