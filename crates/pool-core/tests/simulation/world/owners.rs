//! What owners do.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::{Book, Expects, Token, World};
use crate::pool_core::link::{Answer, SessionEvent, Submission};
use crate::pool_core::{Class, ErrorKind, RequestId, SessionId};

impl World<'_> {
    pub(super) fn acquire(&mut self) {
        self.opened += 1;
        let session = SessionId::new(self.opened);
        let now = self.now;
        if self
            .tenancy
            .acquire(session, now, &mut self.rng, self.coverage)
        {
            self.open(session);
        }
        self.settle_accounts();
    }

    pub(super) fn open(&mut self, session: SessionId) {
        self.link.open(session).unwrap();
        self.books.insert(session, Book::new(session));
    }

    /// A session somebody owns; seldom one that is over.
    fn a_session(&mut self) -> Option<SessionId> {
        let also_over = self.rng.one_in(30);
        let sessions = self
            .books
            .values()
            .filter(|book| also_over || book.is_open());
        let sessions: Vec<_> = sessions.map(|book| book.id).collect();
        self.rng.pick(&sessions)
    }

    pub(super) fn submit_any(&mut self) {
        let Some(session) = self.a_session() else {
            return;
        };
        // Bursts are what uses the credit up.
        let times = if self.rng.one_in(6) {
            self.rng.below(40)
        } else {
            1
        };
        for _ in 0..times {
            self.submit_one(session);
        }
    }

    fn submit_one(&mut self, session: SessionId) {
        let reply = |kind| (Class::Plain, Expects::Reply(kind));
        let (kind, (class, expects)) = match self.rng.below(32) {
            0..=7 => ("query", reply("query_response")),
            8..=9 => ("effect", reply("effect_response")),
            10..=13 => ("widget_op", reply("op_query_response")),
            14..=15 => ("register_effect_stub", reply("effect_stub_register_ack")),
            16..=22 => ("subscribe", (Class::Plain, Expects::Nothing)),
            23..=27 => ("patch", (Class::Tree, Expects::Nothing)),
            28 => (
                "interact",
                (Class::Interact, Expects::Reply("interact_response")),
            ),
            29..=30 => ("interact", (Class::Interact, Expects::Events)),
            _ => ("interact", (Class::Interact, Expects::Nothing)),
        };
        self.submit(session, kind, class, expects);
    }

    fn submit(&mut self, session: SessionId, kind: &str, class: Class, expects: Expects) {
        let book = self.books.get_mut(&session).unwrap();
        let id = book.next_id();
        let tagged = ["widget_op", "register_effect_stub"].contains(&kind);
        // Of several that share a tag none may be lost: the replies could not be told apart.
        let own_tag = tagged && self.rng.one_in(3);
        let tag = match (tagged, own_tag) {
            (false, _) => None,
            (true, true) => Some(format!("t{id}")),
            (true, false) => Some("t".to_owned()),
        };
        let lost = (!tagged || own_tag) && self.rng.one_in(60);
        let timeout = Duration::from_millis(match self.rng.below(4) {
            0 => self.rng.below(500),
            1 => self.rng.below(30_000),
            2 => 120_000,
            _ => 30_000,
        } as u64);
        let submission = Submission {
            id,
            frame: frame(session, id, kind, expects, tag.as_deref(), lost),
            class,
            answer: match expects {
                Expects::Nothing => Answer::None,
                Expects::Events => Answer::Events,
                Expects::Reply(kind) => Answer::Reply {
                    kind: kind.into(),
                    tag: tag.map(Into::into),
                },
            },
            deadline: self.now + timeout,
            timeout,
            completion: Token::Request(session, id),
        };
        let open = book.is_open();
        let refused = class == Class::Interact && expects == Expects::Nothing;
        if open && !refused {
            book.submitted(id, class, expects, self.now + timeout);
        }
        match self.link.submit(session, submission, &mut self.effects) {
            Ok(()) => assert!(open && !refused),
            Err(error) => {
                assert_eq!(
                    (error.session(), error.request()),
                    (Some(session), Some(id))
                );
                if open {
                    assert!(refused && error.kind() == ErrorKind::InvalidMessage);
                    self.coverage.saw("refused interact");
                } else {
                    self.coverage.saw("refused over");
                }
            }
        }
        self.settle_accounts();
    }

    pub(super) fn cancel(&mut self) {
        let Some(session) = self.a_session() else {
            return;
        };
        let book = self.books.get_mut(&session).unwrap();
        let running = book.running.as_ref().map(|running| running.id);
        let recent = book.live.keys().next_back().copied();
        let id = match self.rng.below(4) {
            0 => running,
            1 => recent,
            _ => Some(book.numbered(self.rng.below(1 << 20))),
        };
        let Some(id) = id else { return };
        if book.is_open() {
            book.cancelled(id, self.coverage);
        }
        self.link.cancel(session, id, &mut self.effects);
        self.settle_accounts();
    }

    pub(super) fn close(&mut self) {
        let Some(session) = self.a_session() else {
            return;
        };
        let book = self.books.get_mut(&session).unwrap();
        if book.closed(&self.config, self.now, true) {
            self.coverage.saw("close");
        } else {
            self.coverage.saw("close repeated");
        }
        let token = Some(Token::Close(session));
        self.link.close(session, token, self.now, &mut self.effects);
        self.settle_accounts();
    }

    /// An owner drops its session.
    pub(super) fn let_go(&mut self) {
        let Some(session) = self.a_session() else {
            return;
        };
        let book = self.books.get_mut(&session).unwrap();
        book.closed(&self.config, self.now, false);
        book.owned = false;
        self.link.forget(session, self.now, &mut self.effects);
        self.settle_accounts();
        self.drop_books();
    }

    pub(super) fn read_some(&mut self) {
        let Some(session) = self.a_session() else {
            return;
        };
        if self.books[&session].owned {
            while self.read_event(session) {}
        }
    }

    /// Whether there was an event to read.
    pub(super) fn read_event(&mut self, session: SessionId) -> bool {
        let Some(book) = self.books.get_mut(&session) else {
            return false;
        };
        let waker = book.woken.clone().into();
        let polled =
            self.link
                .poll_event(session, &mut Context::from_waker(&waker), &mut self.effects);
        let woken = book.woken.0.swap(false, Ordering::Relaxed);
        let Poll::Ready(event) = polled else {
            book.waits = true;
            book.drained = true;
            return false;
        };
        assert!(woken || !book.waits, "{session} was not woken");
        book.waits = false;
        let Some(event) = event else {
            assert!(
                book.released,
                "{session} has no more events and is not over"
            );
            book.ended = true;
            let known = book.lagged || book.told_later.is_empty();
            assert!(known, "{session} was not told how its interacts ended");
            return false;
        };
        assert!(!book.ended, "{event:?} after the end of {session}");
        let now = self.now;
        match event {
            SessionEvent::InteractStep { id, .. } => {
                self.coverage.saw("event step");
                let current = book.running.as_ref().map(|running| running.id);
                if current == Some(id) && !self.rng.one_in(4) {
                    self.submit(session, "snapshot", Class::Tree, Expects::Nothing);
                }
            }
            SessionEvent::InteractResponse { id, .. } => {
                self.coverage.saw("interact responded");
                let known = book.told_later.remove(&id).is_some();
                let known = known || book.may_be_told.remove(&id);
                assert!(known, "{session} {id} was told twice");
            }
            SessionEvent::InteractFailed { id, error } => {
                self.coverage.saw("interact failed");
                match book.told_later.remove(&id) {
                    Some(until) => book.failed(id, &error, false, until, now, self.coverage),
                    None => {
                        let known = book.may_be_told.remove(&id);
                        assert!(known, "{session} {id} was told twice");
                    }
                }
            }
            SessionEvent::Lagged(n) => {
                assert!(n > 0);
                self.coverage.saw("event lagged");
                book.lagged = true;
            }
            SessionEvent::Failed(error) => {
                assert!(book.released && error.session() == Some(session));
                self.coverage.saw("event failed");
            }
            _ => {}
        }
        true
    }
}

fn frame(
    session: SessionId,
    id: RequestId,
    kind: &str,
    expects: Expects,
    tag: Option<&str>,
    lost: bool,
) -> Bytes {
    use std::fmt::Write as _;

    let mut frame = format!(r#"{{"type":"{kind}","session":"{session}","value":"{id}""#);
    if expects != Expects::Nothing {
        write!(frame, r#","id":"{id}""#).unwrap();
    }
    if let Some(tag) = tag {
        write!(frame, r#","tag":"{tag}""#).unwrap();
    }
    if lost {
        frame += r#","family":"unreadable""#;
    }
    frame += "}\n";
    Bytes::from(frame)
}
