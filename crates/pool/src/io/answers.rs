//! Answers on their way to the client.

use std::collections::BTreeMap;

use plushie_pool_core::link::Outcome;
use plushie_pool_core::{Error, RequestId};

use super::work::{Key, Sent};

/// Answers that the client has not been told, in the order in which a renderer gives those of a
/// session: that of the requests.
#[derive(Default)]
pub(super) struct Answers {
    waiting: BTreeMap<(Key, RequestId), (Sent, Result<Outcome, Error>)>,
    /// What they hold.
    pub(super) bytes: usize,
}

impl Answers {
    pub(super) fn add(&mut self, sent: Sent, outcome: Result<Outcome, Error>) {
        self.bytes += size(&outcome);
        self.waiting.insert((sent.key, sent.id), (sent, outcome));
    }

    pub(super) fn next(&mut self) -> Option<(Sent, Result<Outcome, Error>)> {
        let (_, (sent, outcome)) = self.waiting.pop_first()?;
        self.bytes -= size(&outcome);
        Some((sent, outcome))
    }
}

fn size(outcome: &Result<Outcome, Error>) -> usize {
    match outcome {
        Ok(Outcome::Reply(message)) => message.payload().len(),
        _ => 0,
    }
}
