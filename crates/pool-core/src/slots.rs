//! Who may open a session: as many as the pool holds, the rest in the order they came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::{Error, ErrorKind, Phase};

/// The pool's places for sessions. `C` is handed back when waiting for one ends.
#[derive(Debug)]
pub struct Slots<C> {
    max: usize,
    used: usize,
    /// Those who wait, in the order of their turns.
    waiting: BTreeMap<Ticket, Waiting<C>>,
    /// The same, in the order of their deadlines.
    deadlines: BTreeSet<(Instant, Ticket)>,
    /// The tickets of the last who asked, and of the last who asked to come first.
    last: i64,
    first: i64,
    closed: Option<Error>,
}

/// Names one wait for a place. The lower comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(i64);

/// What became of the wish for a place.
#[derive(Debug)]
pub enum Acquired<C> {
    /// Here it is; the completion was not needed.
    Now(C),
    /// Somebody will hand the completion back.
    Later(Ticket),
}

#[derive(Debug)]
struct Waiting<C> {
    deadline: Instant,
    patience: Duration,
    completion: C,
}

impl<C> Slots<C> {
    /// `max` places, all free.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            used: 0,
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            last: 0,
            first: 0,
            closed: None,
        }
    }

    /// Takes a place if one is free and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolFull`], or what the pool was closed with.
    pub fn try_acquire(&mut self) -> Result<(), Error> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        if self.used < self.max && self.waiting.is_empty() {
            self.used += 1;
            return Ok(());
        }
        let message = format!("all {} sessions of the pool are in use", self.max);
        Err(Error::new(ErrorKind::PoolFull, message)
            .with_hint("end a session, raise max_sessions, or wait with register()"))
    }

    /// Takes a place, now or later.
    ///
    /// # Errors
    ///
    /// What the pool was closed with.
    pub fn acquire(
        &mut self,
        completion: C,
        now: Instant,
        patience: Duration,
    ) -> Result<Acquired<C>, Error> {
        self.acquire_or_wait(completion, now, patience, |slots| {
            slots.last += 1;
            Ticket(slots.last)
        })
    }

    /// As [`acquire`](Self::acquire), but before all who wait: for one who had a place, and had
    /// to give it back through no fault of its own.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_first(
        &mut self,
        completion: C,
        now: Instant,
        patience: Duration,
    ) -> Result<Acquired<C>, Error> {
        self.acquire_or_wait(completion, now, patience, |slots| {
            slots.first -= 1;
            Ticket(slots.first)
        })
    }

    fn acquire_or_wait(
        &mut self,
        completion: C,
        now: Instant,
        patience: Duration,
        ticket: impl FnOnce(&mut Self) -> Ticket,
    ) -> Result<Acquired<C>, Error> {
        match self.try_acquire() {
            Ok(()) => Ok(Acquired::Now(completion)),
            Err(error) if error.kind() != ErrorKind::PoolFull => Err(error),
            Err(_) => {
                let ticket = ticket(self);
                let deadline = now + patience;
                let waiting = Waiting {
                    deadline,
                    patience,
                    completion,
                };
                self.waiting.insert(ticket, waiting);
                self.deadlines.insert((deadline, ticket));
                Ok(Acquired::Later(ticket))
            }
        }
    }

    /// Gives a place back; it passes to the one who is returned, who waited longest.
    #[must_use]
    pub fn release(&mut self) -> Option<C> {
        debug_assert!(self.used > 0, "a place was given back twice");
        match self.waiting.pop_first() {
            Some((ticket, waiting)) => {
                self.deadlines.remove(&(waiting.deadline, ticket));
                Some(waiting.completion)
            }
            None => {
                self.used = self.used.saturating_sub(1);
                None
            }
        }
    }

    /// Ends a wait. Nothing happens if it ended already. It costs the same however many wait, but
    /// for a search in a tree of them.
    pub fn cancel(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            self.deadlines.remove(&(waiting.deadline, ticket));
        }
    }

    /// Ends the waits whose deadline has passed by `now`; each is told why.
    pub fn expire(&mut self, now: Instant) -> Vec<(C, Error)> {
        let mut told = Vec::new();
        while let Some((deadline, ticket)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(waiting) = self.waiting.remove(&ticket) {
                let error = Error::timeout(Phase::Acquire, waiting.patience).with_hint(
                    "raise max_sessions or acquire_timeout, or look for sessions kept open",
                );
                told.push((waiting.completion, error));
            }
        }
        told
    }

    /// The earliest deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Gives out no more places; those who wait are handed back.
    #[must_use]
    pub fn close(&mut self, error: Error) -> Vec<C> {
        self.closed = Some(error);
        self.deadlines.clear();
        let waiting = std::mem::take(&mut self.waiting).into_values();
        waiting.map(|waiting| waiting.completion).collect()
    }

    /// Places taken.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Places free.
    pub fn room(&self) -> usize {
        self.max - self.used
    }

    /// Those who wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn places_pass_on_in_the_order_of_asking() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        assert!(matches!(
            slots.acquire("a", now, PATIENCE),
            Ok(Acquired::Now("a"))
        ));
        for name in ["b", "c", "d"] {
            assert!(matches!(
                slots.acquire(name, now, PATIENCE),
                Ok(Acquired::Later(_))
            ));
        }
        assert_eq!(slots.release(), Some("b"));
        assert_eq!(slots.used(), 1);
        assert_eq!(slots.try_acquire().unwrap_err().kind(), ErrorKind::PoolFull);
        assert_eq!(slots.release(), Some("c"));
        assert_eq!(slots.release(), Some("d"));
        assert_eq!(slots.release(), None);
        assert_eq!(slots.used(), 0);
    }

    #[test]
    fn who_had_a_place_comes_before_all_who_wait() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        slots.try_acquire().unwrap();
        slots.acquire("a", now, PATIENCE).unwrap();
        assert!(matches!(
            slots.acquire_first("b", now, PATIENCE),
            Ok(Acquired::Later(_))
        ));
        assert_eq!((slots.release(), slots.release()), (Some("b"), Some("a")));
        assert_eq!((slots.release(), slots.room()), (None, 1));
    }

    #[test]
    fn whoever_gives_up_is_passed_over() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        slots.try_acquire().unwrap();
        let Ok(Acquired::Later(first)) = slots.acquire("a", now, PATIENCE) else {
            panic!("the pool is full");
        };
        let later = now + PATIENCE / 2;
        assert!(matches!(
            slots.acquire("b", later, PATIENCE),
            Ok(Acquired::Later(_))
        ));
        slots.cancel(first);
        assert_eq!(slots.deadline(), Some(later + PATIENCE));
        assert!(slots.expire(now + PATIENCE).is_empty());
        let expired = slots.expire(later + PATIENCE);
        assert_eq!(expired.len(), 1);
        assert_eq!(expired[0].1.phase(), Some(Phase::Acquire));
        assert_eq!(slots.release(), None);
    }

    /// With as many as 300 clients with 256 sessions each, of which all hang up: had each to be
    /// looked for among the others, this would take minutes.
    #[test]
    fn many_who_give_up_cost_little() {
        const WAITING: usize = 300 * 256;
        let now = Instant::now();
        let mut slots = Slots::new(1);
        slots.try_acquire().unwrap();
        let tickets: Vec<_> = (0..WAITING)
            .map(|n| match slots.acquire(n, now, PATIENCE) {
                Ok(Acquired::Later(ticket)) => ticket,
                other => panic!("the pool is full: {other:?}"),
            })
            .collect();
        for ticket in tickets.into_iter().rev().skip(1) {
            slots.cancel(ticket);
            assert_eq!(slots.deadline(), Some(now + PATIENCE));
        }
        assert_eq!(slots.waiting(), 1);
        assert_eq!(slots.release(), Some(WAITING - 1));
        assert_eq!((slots.deadline(), slots.waiting()), (None, 0));
    }

    #[test]
    fn a_closed_pool_gives_nothing_out() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        slots.try_acquire().unwrap();
        assert!(matches!(
            slots.acquire("a", now, PATIENCE),
            Ok(Acquired::Later(_))
        ));
        assert_eq!(
            slots.close(Error::new(ErrorKind::PoolClosed, "shut down")),
            ["a"]
        );
        assert_eq!(slots.release(), None);
        assert_eq!(
            slots.try_acquire().unwrap_err().kind(),
            ErrorKind::PoolClosed
        );
    }
}
