//! What came of it: a table for people, JSON for programs.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use plushie_pool::{RendererStatus, SessionId};
use serde_json::{Value, json};

use crate::failure::{Failure, say};

pub(crate) struct Report {
    sessions: Vec<SessionReport>,
    /// Of all sessions together.
    time: Duration,
}

impl Report {
    pub(crate) fn new(mut sessions: Vec<SessionReport>, time: Duration) -> Self {
        // Those that could not be opened come last.
        sessions.sort_by_key(|session| (session.id.is_none(), session.id));
        Self { sessions, time }
    }
}

#[derive(Default)]
pub(crate) struct SessionReport {
    /// None if it could not be opened.
    pub(crate) id: Option<SessionId>,
    pub(crate) renderer: Option<RendererStatus>,
    /// Requests that were answered.
    pub(crate) round_trips: u64,
    /// From before it is opened until it is closed.
    pub(crate) time: Duration,
    pub(crate) failure: Option<Failure>,
}

/// Prints the outcome, to standard output, and what went wrong, to standard error.
pub(crate) fn publish(outcome: &Result<Report, Failure>, as_json: bool) -> ExitCode {
    let text = match outcome {
        _ if as_json => format!("{}\n", to_json(outcome)),
        Ok(report) => report.to_string(),
        Err(_) => String::new(),
    };
    let failed = error(outcome);
    if let Some((error, _)) = &failed {
        say(&format!("error: {error}"));
    }
    if let Err(error) = io::stdout().write_all(text.as_bytes()) {
        say(&format!(
            "error: cannot write the result to standard output: {error}"
        ));
        return ExitCode::FAILURE;
    }
    failed.map_or(ExitCode::SUCCESS, |(_, exit_code)| exit_code)
}

/// What went wrong, in full, and the exit code for it.
fn error(outcome: &Result<Report, Failure>) -> Option<(String, ExitCode)> {
    let report = match outcome {
        Ok(report) => report,
        Err(failure) => return Some((failure.to_string(), failure.exit_code())),
    };
    let failures = || {
        report
            .sessions
            .iter()
            .filter_map(|session| session.failure.as_ref())
    };
    let first = failures().next()?;
    let (failed, all) = (failures().count(), report.sessions.len());
    let error = format!("{failed} of {all} sessions failed; the first: {first}");
    Some((error, first.exit_code()))
}

fn to_json(outcome: &Result<Report, Failure>) -> Value {
    let sessions = match outcome {
        Ok(report) => report.sessions.iter().map(SessionReport::to_json).collect(),
        Err(_) => Vec::new(),
    };
    match error(outcome) {
        None => json!({"ok": true, "sessions": sessions}),
        Some((error, _)) => json!({"ok": false, "error": error, "sessions": sessions}),
    }
}

impl SessionReport {
    fn to_json(&self) -> Value {
        let mut session = json!({
            "id": self.id.map(|id| id.to_string()),
            "round_trips": self.round_trips,
            "ms": (ms(self.time) * 1000.0).round() / 1000.0,
            "ok": self.failure.is_none(),
        });
        if let Some(failure) = &self.failure {
            session["error"] = failure.to_string().into();
        }
        session
    }
}

/// The table, and a line that sums it up.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "session  round trips        time  result")?;
        for session in &self.sessions {
            writeln!(f, "{session}")?;
        }
        let round_trips: u64 = self
            .sessions
            .iter()
            .map(|session| session.round_trips)
            .sum();
        write!(
            f,
            "\nsessions: {}, round trips: {round_trips}, wall time: {:.1} ms",
            self.sessions.len(),
            ms(self.time),
        )?;

        let renderers = || {
            self.sessions
                .iter()
                .filter_map(|session| session.renderer.as_ref())
        };
        let versions: BTreeSet<_> = renderers().map(|renderer| &*renderer.version).collect();
        let pids: BTreeSet<_> = renderers().filter_map(|renderer| renderer.pid).collect();
        if !versions.is_empty() {
            let versions: Vec<_> = versions.into_iter().collect();
            let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
            write!(
                f,
                ", renderer: {} (pid {})",
                versions.join(", "),
                pids.join(" ")
            )?;
        }
        writeln!(f)
    }
}

/// A row of the table.
impl fmt::Display for SessionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        write!(
            f,
            "{id:<7}  {:>11}  {:>7.1} ms  ",
            self.round_trips,
            ms(self.time)
        )?;
        match &self.failure {
            None => f.write_str("ok"),
            Some(failure) => {
                let failure = failure.to_string();
                write!(f, "{}", failure.lines().next().unwrap_or("failed"))
            }
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
