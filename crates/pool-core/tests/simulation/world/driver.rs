//! What the driver of a link does, and the renderer in between.

use std::time::Duration;

use bytes::Bytes;

use super::World;
use crate::json::Json;
use crate::pool_core::Transport as _;

impl World<'_> {
    pub(super) fn write_some(&mut self) {
        let most = self.unwritten.min(1 + self.rng.below(4_000));
        let n = if self.rng.one_in(3) {
            self.unwritten
        } else {
            most
        };
        self.write(n);
    }

    /// So many bytes reach the renderer.
    fn write(&mut self, bytes: usize) {
        self.unwritten -= bytes;
        self.written += bytes;
        while let Some(first) = self.wire.front()
            && first.len() <= self.written
        {
            self.written -= first.len();
            self.peer.dispatch(first, self.coverage);
            self.wire.pop_front();
        }
        self.link.transmitted(bytes, &mut self.effects);
        self.settle_accounts();
    }

    pub(super) fn work_some(&mut self) {
        let sessions = self.peer.sessions();
        let Some(session) = self.rng.pick(&sessions) else {
            return;
        };
        for _ in 0..=self.rng.below(12) {
            let now = self.now;
            if !self.peer.turn(session, now, &mut self.rng, self.coverage) {
                break;
            }
        }
    }

    pub(super) fn deliver_some(&mut self) {
        for _ in 0..=self.rng.below(12) {
            if !self.deliver() {
                break;
            }
        }
    }

    fn deliver(&mut self) -> bool {
        let Some(payload) = self.peer.out.pop_front() else {
            return false;
        };
        let payload = Bytes::from(payload);
        let mut asked = None;
        let mut named = false;
        if let Ok(envelope) = Json.envelope(&payload) {
            let session = envelope.session.parse().ok();
            if let Some(book) = session.and_then(|id| self.books.get_mut(&id)) {
                book.receives(&envelope, &self.config, self.now);
                // A reply that names a request somebody waits for ends it.
                named = envelope.id.is_some();
                let id = envelope.id.and_then(|id| id.parse().ok());
                let id =
                    id.filter(|_| envelope.kind != "interact_step" && envelope.kind != "event");
                asked = id
                    .filter(|id| book.live.contains_key(id))
                    .map(|id| (book.id, id));
            }
        }
        self.received += 1;
        let late = self.link.counters().late;
        self.link.receive(payload, self.now, &mut self.effects);
        if self.link.counters().late > late {
            self.coverage.saw(if named {
                "reply late"
            } else {
                "reply late, tagged"
            });
        }
        self.settle_accounts();
        if let Some((session, id)) = asked {
            let book = self.books.get(&session);
            let waits = book.is_some_and(|book| book.live.contains_key(&id));
            assert!(!waits, "{session} {id} was answered and waits on");
        }
        assert_eq!(self.link.counters().received, self.received);
        true
    }

    pub(super) fn jump(&mut self, most_millis: usize) {
        let millis = self.rng.below(most_millis);
        self.pass(Duration::from_millis(millis as u64));
    }

    /// Time passes; the driver calls when its alarm rings.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.alarm.filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.expire();
        }
        self.now = end;
        self.tenancy.expire(end, self.coverage);
        for book in self.books.values() {
            book.check_expired(end);
        }
    }

    pub(super) fn expire(&mut self) {
        self.link.expire(self.now, &mut self.effects);
        for book in self.books.values_mut() {
            book.drained = false;
        }
        self.alarm = None;
        self.effects.rearm = true;
        self.settle_accounts();
        for book in self.books.values() {
            book.check_expired(self.now);
        }
    }

    /// Everything that can happen without time passing does.
    pub(super) fn settle(&mut self) {
        loop {
            self.write(self.unwritten);
            let mut moved = false;
            for session in self.peer.sessions() {
                while self
                    .peer
                    .turn(session, self.now, &mut self.rng, self.coverage)
                {
                    moved = true;
                }
            }
            while self.deliver() {
                moved = true;
            }
            if !moved && self.unwritten == 0 {
                break;
            }
        }
        let sessions: Vec<_> = self.books.keys().copied().collect();
        for session in sessions {
            self.books[&session].check_quiet();
        }
    }
}
