//! One life of a renderer: its link, its sessions, their owners, and what is on the way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::book::{Book, Expects};
use super::coverage::Coverage;
use super::json::Json;
use super::peer::Peer;
use super::pool_core::link::{
    Answer, Effects, EventBounds, Link, LinkConfig, Outcome, SessionEvent, Submission,
};
use super::pool_core::{
    Addressing, Class, Close, Error, ErrorKind, Exit, Phase, RequestId, SessionId, Transport as _,
};
use super::rng::Rng;
use super::tenancy::Tenancy;

pub(crate) struct World<'a> {
    rng: Rng,
    coverage: &'a mut Coverage,
    now: Instant,
    config: LinkConfig,
    link: Link<Token>,
    effects: Effects<Token>,
    tenancy: Tenancy,
    books: BTreeMap<SessionId, Book>,
    opened: u64,
    peer: Peer,
    /// Handed out, and not read by the renderer yet.
    wire: VecDeque<Bytes>,
    /// How much of the first of those is written, and of all together is not.
    written: usize,
    unwritten: usize,
    /// When the driver will call: the deadline as it was last asked for.
    alarm: Option<Instant>,
    received: u64,
}

#[derive(Debug, Clone, Copy)]
enum Token {
    Request(SessionId, RequestId),
    Close(SessionId),
}

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, coverage: &'a mut Coverage) -> Self {
        let mut rng = Rng::new(seed);
        let credit = rng.pick(&[2, 3, 8, 32, 256]).unwrap();
        let config = LinkConfig {
            events: EventBounds {
                count: rng.pick(&[4, 1024]).unwrap(),
                bytes: 16 * 1024 * 1024,
            },
            credit,
            unsent_bytes: rng.pick(&[100, 1_000, 1_000_000]).unwrap(),
            ..LinkConfig::new(Arc::new(Json), Addressing::BySession, Close::Reset)
        };
        let places = 1 + rng.below(6);
        Self {
            rng,
            coverage,
            now: Instant::now(),
            link: Link::new(config.clone()),
            config,
            effects: Effects::default(),
            tenancy: Tenancy::new(places),
            books: BTreeMap::new(),
            opened: 0,
            peer: Peer::new(credit),
            wire: VecDeque::new(),
            written: 0,
            unwritten: 0,
            alarm: None,
            received: 0,
        }
    }

    pub(crate) fn life_span(&mut self) -> u64 {
        100 + self.rng.below(3_000) as u64
    }

    pub(crate) fn step(&mut self) {
        self.now += Duration::from_micros(self.rng.below(1_000) as u64);
        match self.rng.below(100) {
            0..=2 => self.acquire(),
            3..=32 => self.submit_any(),
            33..=36 => self.cancel(),
            37 => self.close(),
            38 => self.let_go(),
            39..=48 => self.read_some(),
            49..=63 => self.write_some(),
            64..=79 => self.work_some(),
            80..=94 => self.deliver_some(),
            95 => self.tenancy.cancel_one(&mut self.rng, self.coverage),
            96 => self.peer.babble(&mut self.rng, self.coverage),
            97 => self.expire(),
            98 if self.rng.one_in(2) => self.settle(),
            98 if self.rng.one_in(3) => self.jump(40_000),
            _ => self.jump(200),
        }
        if self.rng.one_in(16) {
            self.check_alarm();
        }
    }

    // What owners do.

    fn acquire(&mut self) {
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

    fn open(&mut self, session: SessionId) {
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

    fn submit_any(&mut self) {
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

    fn cancel(&mut self) {
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

    fn close(&mut self) {
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
    fn let_go(&mut self) {
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

    fn read_some(&mut self) {
        let Some(session) = self.a_session() else {
            return;
        };
        if self.books[&session].owned {
            while self.read_event(session) {}
        }
    }

    /// Whether there was an event to read.
    fn read_event(&mut self, session: SessionId) -> bool {
        let Some(book) = self.books.get_mut(&session) else {
            return false;
        };
        let waker = book.woken.clone().into();
        let polled = self
            .link
            .poll_event(session, &mut Context::from_waker(&waker));
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

    // What the driver does.

    fn write_some(&mut self) {
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

    fn work_some(&mut self) {
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

    fn deliver_some(&mut self) {
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

    fn jump(&mut self, most_millis: usize) {
        let millis = self.rng.below(most_millis);
        self.pass(Duration::from_millis(millis as u64));
    }

    /// Time passes; the driver calls when its alarm rings.
    fn pass(&mut self, time: Duration) {
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

    fn expire(&mut self) {
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
    fn settle(&mut self) {
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

    /// The life ends: by the death of the renderer, or because nobody wants it any more.
    pub(crate) fn end(mut self) {
        if self.rng.one_in(3) {
            self.die();
        } else {
            self.wind_down();
        }
        assert_eq!(self.link.load(), Default::default());
        assert_eq!(self.tenancy.used(), 0, "a place was not given back");
        let now = self.now;
        self.link.expire(now, &mut self.effects);
        assert_eq!(self.link.deadline(), None);
        for book in self.books.values() {
            assert!(book.released && book.live.is_empty() && book.closes == 0);
        }
    }

    fn die(&mut self) {
        self.coverage.saw("renderer died");
        self.unwritten = 0;
        self.wire.clear();
        let error = Error::new(ErrorKind::RendererExited, "gone").with_exit(Exit::Signal(9));
        self.link.fail(&error, &mut self.effects);
        self.settle_accounts();
        self.link.fail(&error, &mut self.effects);
        self.settle_accounts();
        self.read_all();
    }

    fn wind_down(&mut self) {
        self.tenancy.cancel_all();
        let sessions: Vec<_> = self.books.keys().copied().collect();
        for session in sessions {
            let book = self.books.get_mut(&session).unwrap();
            book.closed(&self.config, self.now, false);
            self.link.close(session, None, self.now, &mut self.effects);
            self.settle_accounts();
        }
        self.settle();
        self.pass(self.config.close_patience);
        self.read_all();
    }

    fn read_all(&mut self) {
        let sessions: Vec<_> = self.books.keys().copied().collect();
        for session in sessions {
            if self.books[&session].owned {
                while self.read_event(session) {}
                assert!(
                    self.books[&session].ended,
                    "{session} is not told of its end"
                );
            }
        }
    }

    // What must come of each call.

    /// Carries out the effects of a call, and checks that they fit what led to them.
    fn settle_accounts(&mut self) {
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

    fn drop_books(&mut self) {
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

    fn check_alarm(&self) {
        for book in self.books.values() {
            if let Some(earliest) = book.earliest() {
                let alarm = self.alarm.expect("something has to happen");
                assert!(alarm <= earliest, "{} would wait too long", book.id);
            }
        }
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
