//! One life of a renderer: its link, its sessions, their owners, and what is on the way.

mod accounts;
mod driver;
mod owners;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::book::{Book, Expects};
use super::coverage::Coverage;
use super::json::Json;
use super::peer::Peer;
use super::pool_core::link::{Effects, EventBounds, Link, LinkConfig};
use super::pool_core::{Addressing, Close, Error, ErrorKind, Exit, RequestId, SessionId};
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
}
