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

mod complaints;
mod credit;
mod events;
mod gate;
mod oversized;
mod own;
mod requests;
mod session;
mod types;

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use complaints::Complaints;
use serde::Deserialize;

pub use complaints::unreadable;
pub use events::{EventBounds, SessionEvent};
pub use oversized::TOO_LARGE;
use session::Session;
pub use types::{Answer, Effects, LinkConfig, LinkCounters, LinkLoad, Outcome, Submission};

use crate::message::decode_payload;
use crate::{Addressing, Close, Envelope, Error, ErrorKind, RequestId, SessionId};

/// One renderer's traffic. `C` is handed back when what it was submitted with ends.
#[derive(Debug)]
pub struct Link<C> {
    /// In order, so that the same calls always come to the same.
    /// Boxed, since the map's nodes are half empty.
    sessions: BTreeMap<SessionId, Box<Session<C>>>,
    wire: Wire,
    /// Which session is let first when there is room again.
    next_turn: SessionId,
    gone: Option<Error>,
    last_words: Option<String>,
    /// What it said went wrong, which may or may not be its end.
    complaint: Option<String>,
}

/// What all sessions of a link share.
#[derive(Debug)]
struct Wire {
    config: LinkConfig,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// A session waits for room.
    held_back: bool,
    /// A session was told to wait for room since this was last cleared.
    held_again: bool,
    deadline: Option<Instant>,
    armed: Option<Instant>,
    counters: LinkCounters,
    /// How many of the messages that were sent the renderer has read, as its replies show.
    read: u64,
    complaints: Complaints,
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
                held_again: false,
                deadline: None,
                armed: None,
                counters: LinkCounters::default(),
                read: 0,
                complaints: Complaints::default(),
            },
            next_turn: SessionId::new(0),
            gone: None,
            last_words: None,
            complaint: None,
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
            .insert(id, Box::new(Session::new(id, &self.wire.config)));
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
    /// Whether that is still to come.
    pub fn forget(&mut self, session: SessionId, now: Instant, effects: &mut Effects<C>) -> bool {
        let Some(found) = self.sessions.get_mut(&session) else {
            return false;
        };
        found.forget();
        found.close(None, now, &mut self.wire, effects);
        let over = found.forget_if_over();
        if over {
            self.sessions.remove(&session);
        }
        !over
    }

    /// The session's next event; `None` when there will be no more.
    pub fn poll_event(
        &mut self,
        session: SessionId,
        context: &mut Context<'_>,
        effects: &mut Effects<C>,
    ) -> Poll<Option<SessionEvent>> {
        match self.sessions.get_mut(&session) {
            Some(session) => session.poll_event(context, effects),
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
                // It lives on, so whatever it complained of was not its end.
                self.complaint = None;
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
                self.last_words = None;
                self.complaint = Some(format!("{text} ({code})"));
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
            self.pump_in_turn(effects);
        }
    }

    /// Lets every session send what it may, beginning with the one that was not let last time.
    fn pump_in_turn(&mut self, effects: &mut Effects<C>) {
        let first = self.next_turn;
        let turns = self
            .sessions
            .range(first..)
            .chain(self.sessions.range(..first));
        let turns: Vec<_> = turns.map(|(id, _)| *id).collect();
        self.wire.held_again = false;
        for id in turns {
            if !self.wire.has_room() {
                self.next_turn = id;
                return;
            }
            if let Some(session) = self.sessions.get_mut(&id) {
                session.pump(&mut self.wire, effects);
            }
        }
        // Last, so that nobody is forgotten if a wire format panics on the way.
        self.wire.held_back = self.wire.held_again;
    }

    /// Whether anybody waits for an event.
    pub fn has_listeners(&self) -> bool {
        self.sessions
            .values()
            .any(|session| session.has_listeners())
    }

    /// What the renderer said of itself before it went.
    pub fn last_words(&self) -> Option<&str> {
        self.last_words.as_deref().or(self.complaint.as_deref())
    }

    /// Whether the renderer is gone.
    pub fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    /// Whether the renderer was told to end, as one is that ends with its session. It may obey
    /// before whoever told it comes to say so.
    pub fn is_exiting(&self) -> bool {
        self.wire.config.close == Close::Exit
            && self.sessions.values().any(|session| session.is_closing())
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
