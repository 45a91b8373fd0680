//! What the schedules came across: a check of something that never happens proves nothing.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<&'static str, u64>);

/// What a run of full length must have come across.
const EXPECTED: &[&str] = &[
    "acquire cancelled",
    "acquire later",
    "acquire now",
    "acquire timed out",
    "barrier",
    "cancelled in a step",
    "cancelled sent",
    "cancelled unsent",
    "close closed",
    "close repeated",
    "close timed out",
    "empty patch",
    "event lagged",
    "event step",
    "held back",
    "host_disconnect",
    "interact dropped unread",
    "interact failed",
    "interact responded",
    "malformed",
    "open refused",
    "probe",
    "probe swallowed",
    "refused interact",
    "refused over",
    "released",
    "renderer died",
    "reply",
    "reply late",
    "reply late, tagged",
    "reply tagged",
    "reset",
    "reset swallowed",
    "sent",
    "session_error",
    "step",
    "step tree",
    "timeout reply",
    "timeout send",
    "timeout step",
    "window full",
    "wrong type",
];

impl Coverage {
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn assert_all(&self) {
        for what in EXPECTED {
            assert!(self.0.contains_key(what), "no schedule came across: {what}");
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.0 {
            writeln!(f, "{count:>10}  {what}")?;
        }
        Ok(())
    }
}
