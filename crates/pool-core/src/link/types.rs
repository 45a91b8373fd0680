//! What goes into a [`Link`](super::Link) and what comes out of it.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::events::EventBounds;
use crate::{Addressing, Class, Close, Error, Message, RequestId, SessionId, Transport};

/// How a [`Link`](super::Link) behaves.
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
    /// A reply of any `type` that carries its id: for those who pass on what others ask.
    Any,
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
    /// A close was not confirmed in time, or the renderer loads no more fonts: it should take no
    /// new sessions.
    pub suspect: bool,
    /// The renderer is to end, as its session did: its input should be closed once all is
    /// written, and the process seen off.
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
    /// Payloads over [`MAX_PAYLOAD`](crate::MAX_PAYLOAD) that were passed over.
    pub oversized: u64,
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
            oversized: self.oversized + other.oversized,
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
