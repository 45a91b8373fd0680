//! One of a client's sessions, from its first message to its end.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures::channel::oneshot;
use plushie_pool_core::RequestId;

use crate::session::Session;

/// How many messages of one session may be on their way, unsent or unanswered, before it is
/// given up, or, if no other could suffer from it, before no more are read from its client.
const MESSAGES: usize = 1024;

/// What a message takes besides its bytes, roughly.
const OVERHEAD: usize = 512;

/// The same in bytes; a single message may be larger.
const BYTES: usize = plushie_pool_core::MAX_PAYLOAD;

/// A session, as its client sees it.
pub(super) struct Tenant {
    /// What the client calls it.
    pub(super) name: Box<str>,
    pub(super) state: State,
    /// What waits for it to be open.
    pub(super) waiting: VecDeque<Bytes>,
    /// Messages unsent or unanswered, and their bytes.
    messages: usize,
    bytes: usize,
    /// The interacts that run.
    pub(super) interacts: BTreeMap<RequestId, Interact>,
    pub(super) closing: Option<Closing>,
}

/// An interact that runs.
pub(super) struct Interact {
    /// What the client calls it.
    pub(super) id: Box<str>,
    pub(super) since: Instant,
    /// The renderer waits for a tree of the client's.
    pub(super) in_step: bool,
}

pub(super) enum State {
    /// It waits for a permit of the pool, or has one and waits for a renderer to start.
    Opening {
        since: Instant,
        has_permit: Arc<AtomicBool>,
        /// The log says that it waits.
        noted: bool,
        /// Gives up when it is dropped.
        _place: oneshot::Sender<Infallible>,
    },
    Open(Arc<Session>),
    /// The renderer is to let go of it.
    Closing(Arc<Session>),
}

/// What follows once nothing of the session is on its way any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closing {
    /// The client asked for it, under this id.
    Reset(Box<str>),
    /// The client is gone.
    Gone,
}

impl Tenant {
    pub(super) fn new(name: &str, state: State) -> Self {
        Self {
            name: name.into(),
            state,
            waiting: VecDeque::new(),
            messages: 0,
            bytes: 0,
            interacts: BTreeMap::new(),
            closing: None,
        }
    }

    /// The session, while messages can be sent to it.
    pub(super) fn session(&self) -> Option<&Arc<Session>> {
        match &self.state {
            State::Open(session) => Some(session),
            State::Opening { .. } | State::Closing(_) => None,
        }
    }

    /// The session, while something may be heard from it.
    pub(super) fn source(&self) -> Option<&Arc<Session>> {
        match &self.state {
            State::Open(session) | State::Closing(session) => Some(session),
            State::Opening { .. } => None,
        }
    }

    /// Whether it waits for a permit of the pool, so that no renderer knows of it.
    pub(super) fn waits_for_permit(&self) -> bool {
        match &self.state {
            State::Opening { has_permit, .. } => !has_permit.load(Ordering::Relaxed),
            State::Open(_) | State::Closing(_) => false,
        }
    }

    /// Whether the renderer waits for a tree of the client's.
    pub(super) fn is_in_step(&self) -> bool {
        self.interacts.values().any(|interact| interact.in_step)
    }

    /// The client, or the bridge for it, sends a tree.
    pub(super) fn answers_step(&mut self) {
        for interact in self.interacts.values_mut() {
            interact.in_step = false;
        }
    }

    /// Whether one more message may join those on their way; with twice the room for an
    /// `urgent` one, which is what the others wait for.
    pub(super) fn has_room(&self, urgent: bool) -> bool {
        let factor = 1 + usize::from(urgent);
        self.messages < MESSAGES * factor && self.bytes < BYTES * factor
    }

    /// The memory that those on their way take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.messages * OVERHEAD
    }

    /// Whether what is on its way will be answered, whatever the client says next.
    pub(super) fn flows(&self) -> bool {
        matches!(self.state, State::Open(_)) && self.interacts.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.messages == 0
    }

    pub(super) fn joined(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    pub(super) fn left(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
    }
}
