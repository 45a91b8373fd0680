//! One session of a renderer, from its first message to the renderer's word that it is over.
//!
//! ```text
//!   Open --- close ---> Closing --- confirmed, or out of patience ---> Over
//!    |                                                                  ^
//!    +---------- session_error, session_closed, renderer gone ----------+
//! ```

mod dropped;
mod ending;
mod incoming;
mod oversized;

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dropped::Doubt;

use super::credit::Credit;
use super::events::{EventQueue, SessionEvent};
use super::gate::{Gate, Orphaned};
use super::own::{self, OWN};
use super::requests::{Pending, Requests};
use super::{Answer, Effects, LinkConfig, LinkLoad, Outcome, Submission, Wire, closed};
use crate::{Class, Error, ErrorKind, Header, RequestId, SessionId, probe};

/// How many may wait for the events of one session at once, without being woken for nothing.
const READERS: usize = 1024;

#[derive(Debug)]
pub(super) struct Session<C> {
    id: SessionId,
    state: State,
    /// Whether the renderer has heard of it.
    begun: bool,
    /// Whether the renderer has not let go of it.
    occupies: bool,
    /// Those who wait for the renderer to let go of it.
    closers: Vec<C>,
    /// Its owner is gone.
    forgotten: bool,
    queue: VecDeque<Submission<C>>,
    requests: Requests<C>,
    gate: Gate,
    credit: Credit,
    events: EventQueue,
    /// Those who wait for an event.
    readers: Vec<Waker>,
    /// Probes sent so far.
    probes: u64,
    /// Whether requests were dropped is being found out.
    doubt: Option<Doubt>,
}

#[derive(Debug)]
enum State {
    Open,
    Closing {
        until: Instant,
        patience: Duration,
    },
    /// What later calls are told.
    Over(Error),
}

impl<C> Session<C> {
    pub(super) fn new(id: SessionId, config: &LinkConfig) -> Self {
        Self {
            id,
            state: State::Open,
            begun: false,
            occupies: true,
            closers: Vec::new(),
            forgotten: false,
            queue: VecDeque::new(),
            requests: Requests::new(),
            gate: Gate::default(),
            credit: Credit::new(config.credit),
            events: EventQueue::new(config.events),
            readers: Vec::new(),
            probes: 0,
            doubt: None,
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. })
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    pub(super) fn submit(
        &mut self,
        submission: Submission<C>,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) -> Result<(), Error> {
        match &self.state {
            State::Open => {}
            State::Closing { .. } => return Err(closed(self.id)),
            State::Over(error) => return Err(error.clone()),
        }
        if submission.class == Class::Interact && matches!(submission.answer, Answer::None) {
            // Without an id the renderer drops it, and the gate would wait for its end for good.
            let message = "an interact has steps and an answer, and nobody would be told of them";
            return Err(Error::new(ErrorKind::InvalidMessage, message)
                .with_session(self.id)
                .with_hint("send it with send_interact() or request()"));
        }
        wire.wake_by(submission.deadline, effects);
        let at_once = self.queue.is_empty()
            && self.may_go(submission.class)
            && self.has_room(wire)
            && self.credit.available();
        if at_once {
            self.send(submission, wire, effects);
        } else {
            self.queue.push_back(submission);
        }
        self.pump(wire, effects);
        Ok(())
    }

    /// Sends what may go.
    pub(super) fn pump(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        if !matches!(self.state, State::Open) {
            return;
        }
        while let Some(at) = self.next_to_go(wire) {
            let Some(submission) = self.queue.remove(at) else {
                break;
            };
            self.send(submission, wire, effects);
        }
        if self.credit.wants_barrier() && self.gate.is_open() && wire.has_room() {
            self.send_barrier(wire, effects);
        }
    }

    /// Where in the queue the next message to go is. The answer to a step overtakes what waits
    /// for the interact to end.
    fn next_to_go(&self, wire: &mut Wire) -> Option<usize> {
        let mut classes = self.queue.iter().map(|waiting| waiting.class);
        let at = classes.position(|class| self.may_go(class))?;
        (self.has_room(wire) && self.credit.available()).then_some(at)
    }

    /// Whether the gate lets such a message pass.
    fn may_go(&self, class: Class) -> bool {
        self.gate.is_open() || (class == Class::Tree && self.gate.wants_tree())
    }

    /// Whether the link has room; if not, the session is let go on when it has.
    fn has_room(&self, wire: &mut Wire) -> bool {
        if !wire.has_room() {
            wire.held_back = true;
            wire.held_again = true;
        }
        wire.has_room()
    }

    fn send(&mut self, submission: Submission<C>, wire: &mut Wire, effects: &mut Effects<C>) {
        let Submission {
            id,
            frame,
            class,
            answer,
            deadline,
            timeout,
            completion,
        } = submission;
        self.transmit(frame, wire);
        self.gate.sent(class, id);
        let answered = !matches!(answer, Answer::None);
        self.credit.sent(answered.then_some(id));
        let completion = match answer {
            Answer::Reply { .. } | Answer::Any => Some(completion),
            Answer::None | Answer::Events => {
                effects.finished.push((completion, Ok(Outcome::Sent)));
                None
            }
        };
        if answered {
            let pending = Pending {
                answer,
                deadline,
                timeout,
                sent: wire.counters.sent,
                suspected: None,
                completion,
            };
            self.requests.insert(id, pending);
        }
    }

    /// Asks for an acknowledgement.
    fn send_barrier(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        if self.send_own(OWN, &probe(), wire, effects) {
            self.credit.sent_barrier(OWN);
            wire.counters.barriers += 1;
        }
    }

    /// Answers a step that nobody else will.
    fn send_empty_patch(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        if self.send_own(OWN, &own::empty_patch(), wire, effects) {
            self.credit.sent(None);
        }
    }

    /// Asks whether the renderer is done with an interact, which it may have dropped unread.
    fn send_probe(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        self.probes += 1;
        let id = own::probe_id(self.probes);
        if self.send_own(id, &probe(), wire, effects) {
            self.credit.sent(Some(id));
            self.gate.probed(id);
        }
    }

    /// Sends a message of the pool's own; false, and the session fails, if the transport
    /// cannot express it.
    fn send_own(
        &mut self,
        id: RequestId,
        message: &dyn erased_serde::Serialize,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        let header = Header {
            session: &self.id.text(),
            id: Some(&id.text()),
        };
        match wire.config.transport.encode(header, message) {
            Ok(frame) => {
                self.transmit(frame, wire);
                true
            }
            Err(error) => {
                let error = error.with_session(self.id);
                self.fail(error, SessionEvent::Failed, wire, effects);
                false
            }
        }
    }

    fn transmit(&mut self, frame: Bytes, wire: &mut Wire) {
        self.begun = true;
        wire.send(frame);
    }

    pub(super) fn cancel(&mut self, id: RequestId, wire: &mut Wire, effects: &mut Effects<C>) {
        if let Some(at) = self.queue.iter().position(|waiting| waiting.id == id) {
            self.queue.remove(at);
            self.pump(wire, effects);
        } else if self.requests.abandon(id, &self.credit).is_some() {
            self.orphan(id, wire, effects);
        }
    }

    /// Interact `id`, if it is that, has nobody left to answer its steps.
    fn orphan(&mut self, id: RequestId, wire: &mut Wire, effects: &mut Effects<C>) {
        match self.gate.orphan(id) {
            Orphaned::InStep => self.send_empty_patch(wire, effects),
            Orphaned::BetweenSteps => self.send_probe(wire, effects),
            Orphaned::NotRunning => {}
        }
    }

    /// The owner is gone.
    pub(super) fn forget(&mut self) {
        self.forgotten = true;
    }

    pub(super) fn forget_if_over(&self) -> bool {
        self.forgotten && self.is_over() && !self.occupies
    }

    pub(super) fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        effects: &mut Effects<C>,
    ) -> Poll<Option<SessionEvent>> {
        match self.events.pop() {
            Ok(event) => Poll::Ready(Some(event)),
            Err(true) => Poll::Ready(None),
            Err(false) => {
                self.wait_for_event(context.waker(), effects);
                Poll::Pending
            }
        }
    }

    pub(super) fn has_listeners(&self) -> bool {
        !self.readers.is_empty()
    }

    fn wait_for_event(&mut self, waker: &Waker, effects: &mut Effects<C>) {
        if self.readers.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if self.readers.len() >= READERS {
            // Woken for nothing, it asks again if it still waits.
            effects.wakers.push(self.readers.remove(0));
        }
        self.readers.push(waker.clone());
    }

    pub(super) fn add_to(&self, load: &mut LinkLoad) {
        load.sessions += usize::from(self.occupies);
        load.pending += self.requests.len();
        load.queued += self.queue.len();
    }
}
