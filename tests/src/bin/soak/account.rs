//! What was asked, and what became of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use plushie_pool::ErrorKind;
use serde_json::json;

/// Counts what is asked and how it ends.
#[derive(Debug, Default)]
pub(crate) struct Account {
    requests: AtomicU64,
    replies: AtomicU64,
    cancelled: AtomicU64,
    sessions: AtomicU64,
    wrong: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
    request_errors: AtomicU64,
}

impl Account {
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A session was opened.
    pub(crate) fn opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was made.
    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was answered; `right` if with what it should be.
    pub(crate) fn answered(&self, right: bool) {
        self.replies.fetch_add(1, Ordering::Relaxed);
        self.wrong.fetch_add(u64::from(!right), Ordering::Relaxed);
    }

    /// A request was given up by whoever made it.
    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ended with an error.
    pub(crate) fn failed(&self, kind: ErrorKind) {
        self.request_errors.fetch_add(1, Ordering::Relaxed);
        self.error(kind);
    }

    /// Something that is no request ended with an error.
    pub(crate) fn error(&self, kind: ErrorKind) {
        let mut errors = self.errors.lock().expect("no panic while it is held");
        *errors.entry(format!("{kind:?}")).or_default() += 1;
    }

    pub(crate) fn report(&self, leftovers: Leftovers) -> Report {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let requests = of(&self.requests);
        let ended = of(&self.replies) + of(&self.cancelled) + of(&self.request_errors);
        Report {
            requests,
            replies: of(&self.replies),
            cancelled: of(&self.cancelled),
            wrong: of(&self.wrong),
            unaccounted: requests.abs_diff(ended),
            sessions: of(&self.sessions),
            errors: self
                .errors
                .lock()
                .expect("no panic while it is held")
                .clone(),
            leftovers,
        }
    }
}

/// What is still there when all is over.
#[derive(Debug)]
pub(crate) struct Leftovers {
    pub(crate) stuck: usize,
    pub(crate) leaked: usize,
    pub(crate) pending: usize,
    pub(crate) processes: usize,
    pub(crate) descriptors: i64,
    pub(crate) kills: u64,
    pub(crate) growth_kib: i64,
}

/// The outcome of it all.
#[derive(Debug)]
pub(crate) struct Report {
    requests: u64,
    replies: u64,
    cancelled: u64,
    wrong: u64,
    unaccounted: u64,
    sessions: u64,
    errors: BTreeMap<String, u64>,
    leftovers: Leftovers,
}

impl Report {
    /// Nothing was lost, mixed up or left behind. Memory is for the reader to judge.
    pub(crate) fn is_clean(&self) -> bool {
        let Leftovers {
            stuck,
            leaked,
            pending,
            processes,
            descriptors,
            ..
        } = self.leftovers;
        self.unaccounted == 0
            && self.wrong == 0
            && stuck + leaked + pending + processes == 0
            && descriptors <= 0
    }

    pub(crate) fn print(&self, as_json: bool) {
        let left = &self.leftovers;
        if as_json {
            let report = json!({
                "ok": self.is_clean(),
                "requests": self.requests,
                "replies": self.replies,
                "cancelled": self.cancelled,
                "wrong": self.wrong,
                "errors": self.errors,
                "unaccounted": self.unaccounted,
                "sessions": self.sessions,
                "sessions_leaked": left.leaked,
                "pending_left": left.pending,
                "workers_stuck": left.stuck,
                "processes_left": left.processes,
                "fds_left": left.descriptors,
                "renderer_kills": left.kills,
                "rss_growth_kib": left.growth_kib,
            });
            println!("{report}");
            return;
        }
        let row = |name: &str, value: &dyn std::fmt::Display| println!("{name:<28}{value:>14}");
        row("requests", &self.requests);
        row("  replies", &self.replies);
        row("  cancelled by the caller", &self.cancelled);
        row("  unaccounted for", &self.unaccounted);
        row("wrong replies", &self.wrong);
        row("sessions", &self.sessions);
        row("sessions leaked", &left.leaked);
        row("requests left pending", &left.pending);
        row("workers stuck", &left.stuck);
        row("renderer kills", &left.kills);
        row("processes left", &left.processes);
        row("descriptors left", &left.descriptors);
        row("memory growth, KiB", &left.growth_kib);
        println!("errors");
        for (kind, count) in &self.errors {
            row(&format!("  {kind}"), count);
        }
    }
}
