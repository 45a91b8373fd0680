//! The pool's places, and who waits for one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::pool_core::{Acquired, ErrorKind, SessionId, Slots, Ticket};
use super::rng::Rng;

pub(crate) struct Tenancy {
    slots: Slots<SessionId>,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    ticket: Ticket,
    session: SessionId,
    until: Instant,
}

impl Tenancy {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            slots: Slots::new(places),
            waiting: VecDeque::new(),
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.slots.used()
    }

    /// Asks for a place; true if it is there at once.
    pub(crate) fn acquire(
        &mut self,
        session: SessionId,
        now: Instant,
        rng: &mut Rng,
        coverage: &mut Coverage,
    ) -> bool {
        let patience = Duration::from_millis(rng.below(60_000) as u64);
        match self.slots.acquire(session, now, patience).unwrap() {
            Acquired::Now(same) => {
                assert_eq!(same, session);
                assert!(self.waiting.is_empty(), "{session} overtook those who wait");
                coverage.saw("acquire now");
                true
            }
            Acquired::Later(ticket) => {
                coverage.saw("acquire later");
                self.waiting.push_back(Waiting {
                    ticket,
                    session,
                    until: now + patience,
                });
                false
            }
        }
    }

    /// A session let go of its place; who has it now.
    pub(crate) fn release(&mut self) -> Option<SessionId> {
        let next = self.slots.release();
        let expected = self.waiting.pop_front().map(|waiting| waiting.session);
        assert_eq!(next, expected, "the place passes to who waited longest");
        next
    }

    pub(crate) fn cancel_one(&mut self, rng: &mut Rng, coverage: &mut Coverage) {
        if self.waiting.is_empty() {
            return;
        }
        let gone = self.waiting.remove(rng.below(self.waiting.len())).unwrap();
        coverage.saw("acquire cancelled");
        self.slots.cancel(gone.ticket);
        self.slots.cancel(gone.ticket);
    }

    pub(crate) fn cancel_all(&mut self) {
        for gone in self.waiting.drain(..) {
            self.slots.cancel(gone.ticket);
        }
        assert_eq!(self.slots.deadline(), None);
    }

    pub(crate) fn expire(&mut self, now: Instant, coverage: &mut Coverage) {
        for (session, error) in self.slots.expire(now) {
            assert!(matches!(error.kind(), ErrorKind::Timeout(_)));
            let at = self
                .waiting
                .iter()
                .position(|waiting| waiting.session == session);
            let gone = self.waiting.remove(at.expect("it waited")).unwrap();
            assert!(gone.until <= now, "{session} was sent away early");
            coverage.saw("acquire timed out");
        }
        let next = self.waiting.iter().map(|waiting| waiting.until).min();
        assert_eq!(self.slots.deadline(), next);
        assert!(next.is_none_or(|next| next > now));
        assert_eq!(self.slots.waiting(), self.waiting.len());
    }
}
