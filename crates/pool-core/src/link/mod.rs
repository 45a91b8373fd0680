//! One renderer's traffic: which session a message is for, which request it answers, and
//! what may be sent when.
//!
//! A [`Link`] does no I/O and reads no clock. Whoever drives it
//!
//! 1. calls a method with what happened (a call, a payload, a deadline, the end);
//! 2. writes what [`transmit`](Link::transmit) hands out, and says so with
//!    [`transmitted`](Link::transmitted);
//! 3. carries out the [`Effects`], after letting go of any lock;
//! 4. calls [`expire`](Link::expire) when [`deadline`](Link::deadline) has passed.

mod credit;
mod events;
mod gate;
mod own;
mod requests;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;

pub use events::{EventBounds, SessionEvent};
use session::Session;

use crate::message::decode_payload;
use crate::{
    Addressing, Class, Close, Envelope, Error, ErrorKind, Message, RequestId, SessionId, Transport,
};

/// How a [`Link`] behaves.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The wire format.
    pub transport: Arc<dyn Transport>,
    /// How the renderer tells sessions apart.
    pub addressing: Addressing,
    /// How sessions are closed.
    pub close: Close,
    /// How much may wait for a session's owner.
    pub events: EventBounds,
    /// How many messages a session may have on their way unanswered. The renderer stalls from
    /// about 510 on. At least 2: one, and one more to learn that it was taken.
    pub credit: u64,
    /// How long an owner may take to answer an `interact_step`. The renderer ejects the session
    /// after 30 s.
    pub step_patience: Duration,
    /// How long the renderer may take to confirm that a session closed.
    pub close_patience: Duration,
    /// From how many bytes waiting to be written on sessions are held back.
    pub unsent_bytes: usize,
}

impl LinkConfig {
    /// The bounds fit for the renderer as it is.
    pub fn new(transport: Arc<dyn Transport>, addressing: Addressing, close: Close) -> Self {
        Self {
            transport,
            addressing,
            close,
            events: EventBounds {
                count: 1024,
                bytes: 16 * 1024 * 1024,
            },
            credit: 256,
            step_patience: Duration::from_secs(25),
            close_patience: Duration::from_secs(5),
            unsent_bytes: 4 * 1024 * 1024,
        }
    }
}

/// A message on its way out.
#[derive(Debug)]
pub struct Submission<C> {
    /// Names it; the id in the frame, if it is answered.
    pub id: RequestId,
    /// The whole frame.
    pub frame: Bytes,
    /// What sending it does to the session.
    pub class: Class,
    /// What answers it.
    pub answer: Answer,
    /// When waiting ends, to be sent and to be answered.
    pub deadline: Instant,
    /// How long that was, for the error.
    pub timeout: Duration,
    /// Handed back, exactly once, with the outcome.
    pub completion: C,
}

/// What answers a message.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing: it is done when it is sent.
    None,
    /// A reply of this `type`; if the reply has no id, one that repeats this `tag` or `kind`.
    Reply {
        /// `type` of the reply.
        kind: Box<str>,
        /// What an id-less reply repeats.
        tag: Option<Box<str>>,
    },
    /// Events, the last being an `InteractResponse` or `InteractFailed`: it is done when sent.
    Events,
}

/// How a submission or a close ended well.
#[derive(Debug)]
pub enum Outcome {
    /// It was handed to the writer.
    Sent,
    /// It was answered.
    Reply(Message),
    /// The session is closed.
    Closed,
}

/// What to do once the link is unlocked.
#[derive(Debug)]
pub struct Effects<C> {
    /// Submissions and closes that ended.
    pub finished: Vec<(C, Result<Outcome, Error>)>,
    /// Owners with events to read.
    pub wakers: Vec<Waker>,
    /// Sessions that no longer occupy the renderer, each named once.
    pub released: Vec<SessionId>,
    /// A close was not confirmed in time: the renderer should take no new sessions.
    pub suspect: bool,
    /// The renderer was told to exit: its input should be closed once all is written.
    pub exiting: bool,
    /// The link's deadline is now earlier than the one last asked for.
    pub rearm: bool,
}

impl<C> Default for Effects<C> {
    fn default() -> Self {
        Self {
            finished: Vec::new(),
            wakers: Vec::new(),
            released: Vec::new(),
            suspect: false,
            exiting: false,
            rearm: false,
        }
    }
}

/// What a link has seen; each count only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Messages sent, the pool's own included.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Payloads that could not be read, and were dropped.
    pub malformed: u64,
    /// Replies to requests that had ended: timed out or cancelled.
    pub late: u64,
    /// Messages for no session that is open.
    pub stray: u64,
    /// Events dropped because their owner did not read them in time.
    pub lagged: u64,
    /// Status events left out because they repeated the last one.
    pub coalesced: u64,
    /// Barriers sent to regain credit.
    pub barriers: u64,
}

impl std::ops::Add for LinkCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            malformed: self.malformed + other.malformed,
            late: self.late + other.late,
            stray: self.stray + other.stray,
            lagged: self.lagged + other.lagged,
            coalesced: self.coalesced + other.coalesced,
            barriers: self.barriers + other.barriers,
        }
    }
}

/// What a link holds at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkLoad {
    /// Sessions that occupy the renderer.
    pub sessions: usize,
    /// Requests sent and not answered.
    pub pending: usize,
    /// Messages waiting for their turn.
    pub queued: usize,
}

/// One renderer's traffic. `C` is handed back when what it was submitted with ends.
#[derive(Debug)]
pub struct Link<C> {
    /// In order, so that the same calls always come to the same.
    sessions: BTreeMap<SessionId, Session<C>>,
    wire: Wire,
    gone: Option<Error>,
    last_words: Option<String>,
}

/// What all sessions of a link share.
#[derive(Debug)]
struct Wire {
    config: LinkConfig,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    held_back: bool,
    deadline: Option<Instant>,
    armed: Option<Instant>,
    counters: LinkCounters,
}

impl<C> Link<C> {
    /// A link to a renderer that has said hello.
    pub fn new(config: LinkConfig) -> Self {
        Self {
            sessions: BTreeMap::new(),
            wire: Wire {
                config,
                unsent: VecDeque::new(),
                unsent_bytes: 0,
                held_back: false,
                deadline: None,
                armed: None,
                counters: LinkCounters::default(),
            },
            gone: None,
            last_words: None,
        }
    }

    /// Adds a session. Nothing is sent: to the renderer a session exists from its first
    /// message.
    ///
    /// # Errors
    ///
    /// What [`fail`](Self::fail) was called with, if the renderer is gone.
    /// [`ErrorKind::Config`] if a renderer of one session is given a second, as a faulty
    /// [`Mode`](crate::Mode) would.
    ///
    /// # Panics
    ///
    /// If the link has the session already.
    pub fn open(&mut self, id: SessionId) -> Result<(), Error> {
        if let Some(error) = &self.gone {
            return Err(error.clone().with_session(id));
        }
        if self.wire.config.addressing == Addressing::Single && !self.sessions.is_empty() {
            let message = "the mode placed a second session on a renderer that shows only one";
            return Err(Error::new(ErrorKind::Config, message).with_session(id));
        }
        let known = self
            .sessions
            .insert(id, Session::new(id, &self.wire.config));
        assert!(known.is_none(), "session {id} was opened twice");
        Ok(())
    }

    /// Sends a message as soon as it may go.
    ///
    /// # Errors
    ///
    /// At once, without taking the completion further: if the session is over, or
    /// [`ErrorKind::InvalidMessage`] for an interact with [`Answer::None`].
    pub fn submit(
        &mut self,
        session: SessionId,
        submission: Submission<C>,
        effects: &mut Effects<C>,
    ) -> Result<(), Error> {
        let id = submission.id;
        let found = self
            .sessions
            .get_mut(&session)
            .ok_or_else(|| closed(session));
        found
            .and_then(|found| found.submit(submission, &mut self.wire, effects))
            .map_err(|error| error.with_request(id))
    }

    /// Nobody waits for a submission any more. If it was not sent, it never will be; its
    /// completion is dropped.
    pub fn cancel(&mut self, session: SessionId, id: RequestId, effects: &mut Effects<C>) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.cancel(id, &mut self.wire, effects);
        }
    }

    /// Closes a session: its requests end with an error, the renderer is told, and the
    /// completion ends when it has confirmed. A session that is over already is closed.
    pub fn close(
        &mut self,
        session: SessionId,
        completion: Option<C>,
        now: Instant,
        effects: &mut Effects<C>,
    ) {
        match self.sessions.get_mut(&session) {
            Some(session) => session.close(completion, now, &mut self.wire, effects),
            None => effects
                .finished
                .extend(completion.map(|completion| (completion, Ok(Outcome::Closed)))),
        }
    }

    /// The session's owner is gone: closes it if need be, and forgets it once it is over.
    pub fn forget(&mut self, session: SessionId, now: Instant, effects: &mut Effects<C>) {
        if let Some(found) = self.sessions.get_mut(&session) {
            found.close(None, now, &mut self.wire, effects);
            if found.forget() {
                self.sessions.remove(&session);
            }
        }
    }

    /// The session's next event; `None` when there will be no more.
    pub fn poll_event(
        &mut self,
        session: SessionId,
        context: &mut Context<'_>,
    ) -> Poll<Option<SessionEvent>> {
        match self.sessions.get_mut(&session) {
            Some(session) => session.poll_event(context),
            None => Poll::Ready(None),
        }
    }

    /// A payload arrived.
    pub fn receive(&mut self, payload: Bytes, now: Instant, effects: &mut Effects<C>) {
        self.wire.counters.received += 1;
        let transport = self.wire.config.transport.clone();
        let envelope = match transport.envelope(&payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.wire.counters.malformed += 1;
                let start = payload[..payload.len().min(80)].escape_ascii();
                tracing::warn!(%error, bytes = payload.len(), %start, "dropped a malformed message");
                return;
            }
        };
        let session = match self.wire.config.addressing {
            Addressing::BySession => {
                let id = envelope.session.parse().ok();
                id.and_then(|id| self.sessions.get_mut(&id))
            }
            Addressing::Single => self.sessions.values_mut().next(),
        };
        match session {
            Some(session) if !session.is_over() => {
                session.receive(&payload, &envelope, now, &mut self.wire, effects);
                if session.forget_if_over() {
                    let id = session.id();
                    self.sessions.remove(&id);
                }
            }
            _ => self.receive_for_nobody(&payload, &envelope),
        }
    }

    /// A message for the renderer as a whole, or for a session that is over.
    fn receive_for_nobody(&mut self, payload: &[u8], envelope: &Envelope<'_>) {
        #[derive(Deserialize)]
        struct Fatal {
            message: String,
        }
        let transport = &*self.wire.config.transport;
        let for_all = envelope.session.is_empty();
        match (&*envelope.kind, envelope.family.as_deref()) {
            // The second of the two that confirm a close.
            ("event", Some("session_closed")) | ("reset_response", _) if !for_all => {}
            ("error", _) => match decode_payload::<Fatal>(transport, payload) {
                Ok(fatal) => self.last_words = Some(fatal.message),
                Err(error) => tracing::warn!(%error, "unreadable error from the renderer"),
            },
            ("event", Some("session_error")) if for_all => {
                let (code, text) = own::complaint(transport, payload);
                self.last_words = Some(format!("{text} ({code})"));
            }
            _ => {
                self.wire.counters.stray += 1;
                tracing::debug!(kind = %envelope.kind, session = %envelope.session, "stray message");
            }
        }
    }

    /// The renderer is gone: every session ends, with every request it had.
    pub fn fail(&mut self, error: &Error, effects: &mut Effects<C>) {
        if self.gone.is_some() {
            return;
        }
        self.gone = Some(error.clone());
        self.wire.unsent.clear();
        self.wire.unsent_bytes = 0;
        for session in self.sessions.values_mut() {
            session.renderer_gone(error, &mut self.wire, effects);
        }
        self.sessions.retain(|_, session| !session.forget_if_over());
    }

    /// Deadlines up to `now` have passed.
    pub fn expire(&mut self, now: Instant, effects: &mut Effects<C>) {
        self.wire.deadline = None;
        self.wire.armed = None;
        for session in self.sessions.values_mut() {
            session.expire(now, &mut self.wire, effects);
        }
        self.sessions.retain(|_, session| !session.forget_if_over());
    }

    /// When [`expire`](Self::expire) should be called: never later than the earliest deadline,
    /// sometimes earlier. [`Effects::rearm`] tells when it has moved forward since.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.wire.armed = self.wire.deadline;
        self.wire.deadline
    }

    /// Moves what is to be written to the end of `frames`, and counts it as waiting until
    /// [`transmitted`](Self::transmitted) says otherwise.
    pub fn transmit(&mut self, frames: &mut VecDeque<Bytes>) {
        frames.append(&mut self.wire.unsent);
    }

    /// Whether there is anything to write.
    pub fn has_unsent(&self) -> bool {
        !self.wire.unsent.is_empty()
    }

    /// That many bytes were written.
    pub fn transmitted(&mut self, bytes: usize, effects: &mut Effects<C>) {
        self.wire.unsent_bytes = self.wire.unsent_bytes.saturating_sub(bytes);
        if self.wire.held_back && self.wire.has_room() {
            self.wire.held_back = false;
            for session in self.sessions.values_mut() {
                session.pump(&mut self.wire, effects);
            }
        }
    }

    /// What the renderer said of itself before it went.
    pub fn last_words(&self) -> Option<&str> {
        self.last_words.as_deref()
    }

    /// Whether the renderer is gone.
    pub fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    /// What the link has seen.
    pub fn counters(&self) -> LinkCounters {
        self.wire.counters
    }

    /// What the link holds.
    pub fn load(&self) -> LinkLoad {
        let mut load = LinkLoad::default();
        for session in self.sessions.values() {
            session.add_to(&mut load);
        }
        load
    }
}

impl Wire {
    fn has_room(&self) -> bool {
        self.unsent_bytes < self.config.unsent_bytes
    }

    fn send(&mut self, frame: Bytes) {
        self.counters.sent += 1;
        self.unsent_bytes += frame.len();
        self.unsent.push_back(frame);
    }

    fn wake_by<C>(&mut self, at: Instant, effects: &mut Effects<C>) {
        if self.deadline.is_none_or(|deadline| at < deadline) {
            self.deadline = Some(at);
        }
        if self.armed.is_none_or(|armed| at < armed) {
            effects.rearm = true;
        }
    }
}

fn closed(session: SessionId) -> Error {
    Error::new(ErrorKind::SessionClosed, "the session is closed").with_session(session)
}

#[cfg(test)]
mod tests;
