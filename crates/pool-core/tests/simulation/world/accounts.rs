//! What must come of each call.

use std::collections::VecDeque;

use super::{Token, World};
use crate::json::Json;
use crate::pool_core::link::Outcome;
use crate::pool_core::{Error, Phase, SessionId, Transport as _};

impl World<'_> {
    /// Carries out the effects of a call, and checks that they fit what led to them.
    pub(super) fn settle_accounts(&mut self) {
        for waker in self.effects.wakers.drain(..) {
            waker.wake();
        }
        let finished = std::mem::take(&mut self.effects.finished);
        let (ended, failed): (Vec<_>, Vec<_>) =
            finished.into_iter().partition(|(_, result)| result.is_ok());
        self.finish(failed);
        self.take_frames();
        self.finish(ended);
        self.effects.suspect = false;
        self.release();
        if std::mem::take(&mut self.effects.rearm) {
            self.alarm = self.link.deadline();
        }
        self.check();
    }

    fn finish(&mut self, finished: Vec<(Token, Result<Outcome, Error>)>) {
        for (token, result) in finished {
            match token {
                Token::Request(session, id) => {
                    let book = self.books.get_mut(&session).expect("its owner is there");
                    book.finished(id, &result, self.now, self.coverage);
                }
                Token::Close(session) => {
                    let book = self.books.get_mut(&session).expect("its owner is there");
                    assert!(book.closes > 0, "a close of {session} ended twice");
                    book.closes -= 1;
                    match result {
                        Ok(outcome) => {
                            assert!(matches!(outcome, Outcome::Closed));
                            self.coverage.saw("close closed");
                        }
                        Err(error) => {
                            assert_eq!(error.phase(), Some(Phase::Close));
                            assert!(self.effects.suspect);
                            self.coverage.saw("close timed out");
                        }
                    }
                }
            }
        }
    }

    fn take_frames(&mut self) {
        let mut frames = VecDeque::new();
        self.link.transmit(&mut frames);
        for frame in frames {
            let envelope = Json.envelope(&frame).unwrap();
            let session: SessionId = envelope.session.parse().unwrap();
            let book = self.books.get_mut(&session).expect("its owner is there");
            let room = self.unwritten < self.config.unsent_bytes;
            book.sent(&envelope, room, self.now, self.coverage);
            self.unwritten += frame.len();
            if self.unwritten >= self.config.unsent_bytes {
                self.coverage.saw("held back");
            }
            self.wire.push_back(frame);
        }
    }

    fn release(&mut self) {
        let released = std::mem::take(&mut self.effects.released);
        if released.is_empty() {
            return;
        }
        for session in released {
            let book = self.books.get_mut(&session).expect("its owner is there");
            assert!(!book.released, "{session} was released twice");
            book.released = true;
            self.coverage.saw("released");
            // Who is given the place may fail to use it, and has to give it back.
            while let Some(next) = self.tenancy.release() {
                if !self.link.is_gone() {
                    self.open(next);
                    break;
                }
                assert!(self.link.open(next).is_err());
                self.coverage.saw("open refused");
            }
        }
        self.drop_books();
    }

    pub(super) fn drop_books(&mut self) {
        self.books.retain(|_, book| book.owned || !book.released);
    }

    fn check(&mut self) {
        let load = self.link.load();
        assert_eq!(
            load.sessions,
            self.tenancy.used(),
            "sessions and places differ"
        );
        let mut live = 0;
        let mut told_later = 0;
        for book in self.books.values() {
            book.check(self.now);
            live += book.live.len();
            told_later += book.told_later.len();
        }
        let held = load.pending + load.queued;
        let expected = live..=live + told_later;
        assert!(
            expected.contains(&held),
            "{held} held, {expected:?} expected"
        );
    }

    pub(super) fn check_alarm(&self) {
        for book in self.books.values() {
            if let Some(earliest) = book.earliest() {
                let alarm = self.alarm.expect("something has to happen");
                assert!(alarm <= earliest, "{} would wait too long", book.id);
            }
        }
    }
}
