//! Between a client that speaks the renderer's protocol and sessions of a pool.
//!
//! ```text
//!   Settings --- admitted ---> Hello --- said ---> Serving
//!      |                         |                    |
//!      +--- refused -------------+--- client gone ----+---> Over
//! ```
//!
//! A message of the client's is followed from `incoming.rs`, where it goes to the session it
//! names, to `outgoing.rs`, where what answers it goes back under the client's own ids.

mod incoming;
mod outgoing;
mod sessions;
mod settings;
mod unsaid;
mod whole;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use plushie_pool_core::{Error, Header, MAX_PAYLOAD, SessionId, Transport};

use super::alarm::Alarm;
use super::answers::Answers;
use super::bell::Bell;
use super::client::Client;
use super::control::Interacts;
use super::handshake_memory::HandshakeMemory;
use super::says;
use super::tenant::Tenant;
use super::work::{Done, Key, NextEvent, Work};
use crate::builder::bounded;
use crate::pool::SessionPool;
use crate::pools::PoolSet;
use crate::session::Session;

/// A client that speaks the renderer's protocol, in either format, and the sessions it has.
///
/// It moves no bytes: whoever drives it hands over what the client sends
/// ([`push`](Self::push)) while it [wants that](Self::wants_input), [polls](Self::poll) it, and
/// sends the client its [`output`](Self::output). It needs no runtime.
///
/// To the client it is a renderer: `hello` follows the settings, a session exists from its first
/// message and ends with its `reset`. Dropping it gives all sessions back.
pub struct Bridge {
    /// What the client may choose from when it says who it is.
    pools: PoolSet,
    source: Source,
    transport: Arc<dyn Transport>,
    config: BridgeConfig,
    client: Client,
    phase: Phase,
    /// What the client wants each session to start with, without credentials.
    settings: Option<Bytes>,
    /// How many fonts these have the renderer load for each session.
    fonts: usize,
    /// What a renderer says first.
    hello: Option<Bytes>,
    /// The version of the protocol that the client speaks.
    version: Option<u32>,
    tenants: BTreeMap<Key, Tenant>,
    names: HashMap<Box<str>, Key>,
    next_key: u64,
    /// A message that there is no room for yet: in the connection, or in its only session.
    held: Option<Bytes>,
    work: FuturesUnordered<Work>,
    answers: Answers,
    events: FuturesUnordered<NextEvent>,
    bell: Bell,
    alarm: Alarm,
    last_said: Instant,
    /// The client asked for the end of its renderer.
    exits: bool,
    interacts: Interacts,
    reason: Option<String>,
}

/// How a [`Bridge`] treats its client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BridgeConfig {
    /// What `hello` says under `transport`: `listen` for a socket.
    pub transport: String,
    /// How many sessions the client may have at once, at least 1.
    pub max_sessions: usize,
    /// The mode of the pool for a client whose settings name none; that of the default pool
    /// unless told otherwise.
    pub mode: Option<String>,
    /// How long the client may hear nothing, before it is sent something that means nothing:
    /// the SDKs give up a renderer that is silent for 30 s.
    pub keep_alive: Duration,
    /// Who may have sessions; by default anybody.
    pub admission: Option<Arc<dyn Admission>>,
    /// What the first message may take until the client is admitted; by default whatever it does.
    pub handshake_memory: Option<Arc<HandshakeMemory>>,
    /// Who is told what the client does.
    pub gauge: Option<Arc<dyn Gauge>>,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            transport: "pool".to_owned(),
            max_sessions: 256,
            mode: None,
            keep_alive: Duration::from_secs(20),
            admission: None,
            handshake_memory: None,
            gauge: None,
        }
    }
}

/// Decides who may have sessions.
pub trait Admission: Send + Sync + fmt::Debug + 'static {
    /// Looks at what a client shows: a token, or the SHA-256 of one in hexadecimal.
    ///
    /// # Errors
    ///
    /// What the client is told before the connection ends.
    fn admit(&self, token: Option<&str>, token_sha256: Option<&str>) -> Result<(), Refusal>;
}

/// Why a client is not served, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Is told what a client does, on the thread that polls its [`Bridge`]. It must not block.
pub trait Gauge: Send + Sync + fmt::Debug + 'static {
    /// The client is admitted, to the pool of this mode, which may have so many sessions open at
    /// once. By default nothing happens.
    fn admitted(&self, mode: &str, max_sessions: usize) {
        let _ = (mode, max_sessions);
    }

    /// The client used this name first: a session is to be opened.
    fn entered(&self, name: &str);

    /// The session is open, after this long.
    fn opened(&self, name: &str, session: SessionId, renderer_pid: Option<u32>, waited: Duration);

    /// The name is free again: its session ended, or was never opened. With an error if that
    /// was nobody's wish.
    fn left(&self, name: &str, error: Option<&Error>);

    /// A request was answered, after this long.
    fn answered(&self, took: Duration);

    /// What a client is told that asks for it, with a message of type `pool_status`; by default
    /// that is nobody's business.
    fn report(&self) -> Option<Box<dyn erased_serde::Serialize>> {
        None
    }
}

/// Where sessions come from.
enum Source {
    Pool(SessionPool),
    One(Arc<Session>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Settings,
    Hello,
    Serving,
    Over,
}

/// How much is done in one go before others have their turn.
const TURN: usize = 64;

/// How soon it is noticed that a client which says no more has gone altogether, while a session
/// of it waits: it must not take one that others wait for.
const GONE: Duration = Duration::from_millis(500);

/// How many bytes of one client's may be on their way: of what it sent, before it is read from
/// no more, and of what it asked for and does not read, before it is cut off. Room for one
/// message of any size.
const MOST: usize = 2 * MAX_PAYLOAD;

impl Bridge {
    /// A bridge to as many sessions as the client asks for: of the pool whose mode its settings
    /// name under `pool_mode`, or else of the default one.
    pub fn new(pools: impl Into<PoolSet>, config: BridgeConfig) -> Self {
        let pools = pools.into();
        let source = Source::Pool(pools.default_pool().clone());
        Self::to(pools, source, config, Interacts::default())
    }

    /// A bridge to this session, whatever the client calls it.
    pub(super) fn to_session(session: Arc<Session>, interacts: Interacts) -> Self {
        let pools = session.pool().into();
        let config = BridgeConfig::default();
        Self::to(pools, Source::One(session), config, interacts)
    }

    fn to(pools: PoolSet, source: Source, mut config: BridgeConfig, interacts: Interacts) -> Self {
        config.keep_alive = bounded(config.keep_alive);
        let engine = match &source {
            Source::Pool(pool) => pool.engine(),
            Source::One(session) => session.engine(),
        };
        Self {
            transport: engine.config.transport.clone(),
            alarm: Alarm::new(engine.io()),
            pools,
            source,
            client: Client::new(config.handshake_memory.clone()),
            config,
            phase: Phase::Settings,
            settings: None,
            fonts: 0,
            hello: None,
            version: None,
            tenants: BTreeMap::new(),
            names: HashMap::new(),
            next_key: 0,
            held: None,
            work: FuturesUnordered::new(),
            answers: Answers::default(),
            events: FuturesUnordered::new(),
            bell: Bell::new(),
            last_said: Instant::now(),
            exits: false,
            interacts,
            reason: None,
        }
    }

    /// Whether more of what the client sends should be handed over now. While it should not,
    /// leave it unread: that is how the client learns to wait.
    pub fn wants_input(&self) -> bool {
        let listens = self.phase != Phase::Over && !self.exits;
        listens && self.client.wants_input() && self.held.is_none()
    }

    /// The client sent this. [`poll`](Self::poll) afterwards.
    pub fn push(&mut self, bytes: &[u8]) {
        self.client.push(bytes);
    }

    /// The client will send no more. What it asked for by then is answered.
    /// [`poll`](Self::poll) afterwards.
    pub fn push_end(&mut self) {
        self.client.end();
    }

    /// Goes on as far as possible; ready when the connection should end, once the
    /// [`output`](Self::output) is written. Only the last task that polled it is woken.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waker = self.bell.hand_to(context);
        let context = &mut Context::from_waker(&waker);
        let mut turns = TURN;
        loop {
            let mut moved = self.take_input();
            moved |= self.poll_work(context);
            moved |= self.poll_events(context);
            if self.client.waiting() + self.answers.bytes > MOST {
                self.end("it does not read what it asked for");
            }
            let has_ended = self.client.has_ended() || self.exits && self.client.is_starved();
            if has_ended && self.held.is_none() {
                self.wind_up();
            }
            if self.phase == Phase::Over {
                return Poll::Ready(());
            }
            if !moved {
                break;
            }
            turns -= 1;
            if turns == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.poll_alarm(context);
        Poll::Pending
    }

    /// What the client is to be sent.
    pub fn output(&self) -> &[u8] {
        self.client.output()
    }

    /// That much of the output was sent. If it was all, [`poll`](Self::poll) again: more may
    /// have waited for the room.
    ///
    /// # Panics
    ///
    /// If it is more than there was.
    pub fn written(&mut self, bytes: usize) {
        self.client.written(bytes);
    }

    /// Whether the client was admitted, and knows.
    pub fn is_serving(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Whether the client has yet to show who it is.
    pub fn awaits_settings(&self) -> bool {
        self.phase == Phase::Settings
    }

    /// Why the bridge ended the connection, if it was not the client who did.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Ends the connection, and tells the client why.
    pub fn end_with(&mut self, message: &str) {
        if self.phase != Phase::Over {
            self.say("", None, &says::fatal(message));
            self.end(message);
        }
    }

    fn end(&mut self, reason: &str) {
        self.reason.get_or_insert_with(|| reason.to_owned());
        self.over();
    }

    /// Gives everything back.
    fn over(&mut self) {
        self.phase = Phase::Over;
        for key in self.tenants.keys().copied().collect::<Vec<_>>() {
            self.remove(key, None);
        }
        self.held = None;
        self.work = FuturesUnordered::new();
        self.answers = Answers::default();
        self.events = FuturesUnordered::new();
        if let Source::One(session) = &self.source {
            session.renderer.close(session.id, None);
        }
        self.interacts.abandon();
    }

    /// Tells the client what happened.
    fn poll_events(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        while self.client.has_room() {
            match self.bell.poll_next(&mut self.events, context) {
                Poll::Ready(Some((key, session, event))) => {
                    if self.told(key, event) {
                        self.events.push(NextEvent { key, session });
                    }
                }
                Poll::Ready(None) | Poll::Pending => match self.answers.next() {
                    Some((sent, outcome)) => {
                        self.catch_up(sent.key);
                        self.sent(sent, outcome);
                    }
                    None => break,
                },
            }
            moved = true;
        }
        moved
    }

    /// Tells the client what happened in a session before it was answered: nobody may have been
    /// woken for that yet.
    fn catch_up(&mut self, key: Key) {
        let mut context = Context::from_waker(Waker::noop());
        while let Some(session) = self.tenants.get(&key).and_then(Tenant::source) {
            let event = session.renderer.poll_event(session.id, &mut context);
            let Poll::Ready(event) = event else {
                return;
            };
            if !self.told(key, event) {
                return;
            }
        }
    }

    fn poll_work(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Poll::Ready(Some(done)) = self.bell.poll_next(&mut self.work, context) {
            moved = true;
            match done {
                Done::Sent(sent, outcome) => self.answers.add(sent, outcome),
                Done::Opened(key, opened) => self.opened(key, opened),
                Done::Chosen(pool) => self.chosen(pool),
                Done::Hello(hello) => self.hello_from(hello),
            }
        }
        moved
    }

    fn poll_alarm(&mut self, context: &mut Context<'_>) {
        while let Some(at) = self.deadline() {
            if self.alarm.poll(at, context).is_pending() {
                return;
            }
            let now = Instant::now();
            self.note_those_who_wait(now);
            if self.is_serving() && self.last_said + self.keep_alive() <= now {
                self.show_life();
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let silence = self.last_said + self.keep_alive();
        let silence = self.is_serving().then_some(silence);
        self.first_unnoted().into_iter().chain(silence).min()
    }

    /// How long the client may hear nothing. One that says no more, and waits for a session, may be
    /// gone: that shows when it is sent something.
    fn keep_alive(&self) -> Duration {
        let waits = || self.tenants.values().any(Tenant::waits_for_permit);
        match self.client.has_ended() && waits() {
            true => self.config.keep_alive.min(GONE),
            false => self.config.keep_alive,
        }
    }

    /// Says something to the client.
    fn say(&mut self, session: &str, id: Option<&str>, body: &dyn erased_serde::Serialize) {
        self.try_to_say(session, id, body);
    }

    /// Whether the client's format can express it; if not, the client hears nothing.
    fn try_to_say(
        &mut self,
        session: &str,
        id: Option<&str>,
        body: &dyn erased_serde::Serialize,
    ) -> bool {
        self.last_said = Instant::now();
        let header = Header { session, id };
        let said = self.client.say(header, body);
        if let Err(error) = &said {
            tracing::warn!(%error, "a client's format cannot express what it was to be told");
        }
        said.is_ok()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.over();
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("phase", &self.phase)
            .field("sessions", &self.tenants.len())
            .field("output", &self.client.output().len())
            .finish_non_exhaustive()
    }
}
