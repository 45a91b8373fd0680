//! The requests a renderer has, and which of them a reply is for.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::Answer;
use super::credit::Credit;
use crate::{Envelope, RequestId};

/// The requests of one session that were sent and not answered.
#[derive(Debug)]
pub(super) struct Requests<C> {
    /// In the order in which they were sent: they are mostly answered in that order, too, so
    /// that what is looked for is near the front.
    pending: VecDeque<(RequestId, Pending<C>)>,
    /// Those nobody waits for any more, which may still be answered.
    abandoned: BTreeMap<RequestId, Answer>,
}

/// A request that somebody waits for.
#[derive(Debug)]
pub(super) struct Pending<C> {
    pub(super) answer: Answer,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    /// How many messages the link had sent with it.
    pub(super) sent: u64,
    /// The renderer seems to have dropped it: the deadline that it had before.
    pub(super) suspected: Option<Instant>,
    /// `None` if its end is told as an event.
    pub(super) completion: Option<C>,
}

impl<C> Requests<C> {
    pub(super) fn new() -> Self {
        Self {
            pending: VecDeque::new(),
            abandoned: BTreeMap::new(),
        }
    }

    pub(super) fn insert(&mut self, id: RequestId, pending: Pending<C>) {
        // Most sessions ask one thing at a time, and there may be thousands of them.
        if self.pending.capacity() == 0 {
            self.pending.reserve_exact(1);
        }
        self.pending.push_back((id, pending));
    }

    /// Those that something waits for.
    pub(super) fn pending(&self) -> impl Iterator<Item = (RequestId, &Pending<C>)> {
        self.pending.iter().map(|(id, pending)| (*id, pending))
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Pending<C>> {
        let mut pending = self.pending.iter_mut();
        let found = pending.find(|(known, _)| *known == id);
        found.map(|(_, pending)| pending)
    }

    /// The request that was the link's `sent`-th message.
    pub(super) fn sent_as(&mut self, sent: u64) -> Option<(RequestId, &mut Pending<C>)> {
        let mut pending = self.pending.iter_mut();
        let found = pending.find(|(_, pending)| pending.sent == sent);
        found.map(|(id, pending)| (*id, pending))
    }

    /// Takes a request off the books for good.
    pub(super) fn remove(&mut self, id: RequestId) -> Option<Pending<C>> {
        let at = self.pending.iter().position(|(known, _)| *known == id)?;
        self.pending.remove(at).map(|(_, pending)| pending)
    }

    /// Takes a request off the books that the renderer may still answer. Its reply must not be
    /// taken for that of a later one.
    pub(super) fn abandon(&mut self, id: RequestId, credit: &Credit) -> Option<Pending<C>> {
        let pending = self.remove(id)?;
        if credit.expects(id) {
            self.abandoned.insert(id, pending.answer.clone());
        }
        Some(pending)
    }

    /// Forgets those that will not be answered any more: something sent later was.
    pub(super) fn settle(&mut self, credit: &Credit) {
        self.abandoned.retain(|id, _| credit.expects(*id));
    }

    /// Takes all requests off the books.
    pub(super) fn drain(&mut self) -> VecDeque<(RequestId, Pending<C>)> {
        self.abandoned.clear();
        std::mem::take(&mut self.pending)
    }

    /// Those whose deadline has passed by `now`; the others' deadlines go to `waiting`.
    pub(super) fn overdue(&self, now: Instant, mut waiting: impl FnMut(Instant)) -> Vec<RequestId> {
        let mut overdue = Vec::new();
        for (id, pending) in &self.pending {
            if pending.deadline <= now {
                overdue.push(*id);
            } else {
                waiting(pending.deadline);
            }
        }
        overdue
    }

    /// The requests that may still be answered, whether anything waits for it or not.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (RequestId, &Answer)> {
        let waiting = self.pending.iter();
        let waiting = waiting.map(|(id, pending)| (*id, &pending.answer));
        let abandoned = self.abandoned.iter().map(|(id, answer)| (*id, answer));
        waiting.chain(abandoned)
    }

    /// The request that a reply without an id is for: such replies come in order, but for those
    /// that repeat what was asked.
    pub(super) fn oldest_expecting(&self, envelope: &Envelope<'_>) -> Option<RequestId> {
        let repeated = envelope.tag.as_deref().or(envelope.stub.as_deref());
        let fitting = self.unanswered().filter_map(|(id, answer)| {
            let Answer::Reply { kind, tag } = answer else {
                return None;
            };
            let loosely = tag.is_none() || repeated.is_none();
            let fits = **kind == *envelope.kind && (loosely || tag.as_deref() == repeated);
            fits.then_some((loosely, id))
        });
        fitting.min().map(|(_, id)| id)
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}
