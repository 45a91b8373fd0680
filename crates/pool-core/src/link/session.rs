//! One session of a renderer, from its first message to the renderer's word that it is over.
//!
//! ```text
//!   Open --- close ---> Closing --- confirmed, or out of patience ---> Over
//!    |                                                                  ^
//!    +---------- session_error, session_closed, renderer gone ----------+
//! ```

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::credit::Credit;
use super::events::{EventQueue, SessionEvent};
use super::gate::{Gate, Orphaned, Step};
use super::own::{self, OWN};
use super::requests::{Pending, Requests};
use super::{Answer, Effects, LinkConfig, LinkLoad, Outcome, Submission, Wire, closed};
use crate::{
    Class, Close, Envelope, Error, ErrorKind, Header, Message, Phase, RequestId, SessionId,
};

/// How many may wait for the events of one session at once, without being woken for nothing.
const READERS: usize = 16;

#[derive(Debug)]
pub(super) struct Session<C> {
    id: SessionId,
    state: State<C>,
    /// Whether the renderer has heard of it.
    begun: bool,
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
}

#[derive(Debug)]
enum State<C> {
    Open,
    Closing {
        waiters: Vec<C>,
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
            forgotten: false,
            queue: VecDeque::new(),
            requests: Requests::new(),
            gate: Gate::default(),
            credit: Credit::new(config.credit),
            events: EventQueue::new(config.events),
            readers: Vec::new(),
            probes: 0,
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
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
        self.queue.push_back(submission);
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
        let at = if self.gate.is_open() {
            (!self.queue.is_empty()).then_some(0)?
        } else if self.gate.wants_tree() {
            self.queue
                .iter()
                .position(|waiting| waiting.class == Class::Tree)?
        } else {
            return None;
        };
        if !wire.has_room() {
            wire.held_back = true;
            return None;
        }
        self.credit.available().then_some(at)
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
            Answer::Reply { .. } => Some(completion),
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
                completion,
            };
            self.requests.insert(id, pending);
        }
    }

    /// Asks for an acknowledgement.
    fn send_barrier(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        if self.send_own(OWN, &own::query(), wire, effects) {
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
        if self.send_own(id, &own::query(), wire, effects) {
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
            session: &self.id.to_string(),
            id: Some(&id.to_string()),
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

    pub(super) fn close(
        &mut self,
        completion: Option<C>,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        match &mut self.state {
            State::Over(_) => {
                let done = completion.map(|completion| (completion, Ok(Outcome::Closed)));
                effects.finished.extend(done);
                return;
            }
            State::Closing { waiters, .. } => {
                waiters.extend(completion);
                return;
            }
            State::Open => {}
        }
        self.end_all(&closed(self.id), wire, effects);
        let patience = wire.config.close_patience;
        self.state = State::Closing {
            waiters: completion.into_iter().collect(),
            until: now + patience,
            patience,
        };
        // A renderer that outlives its sessions has nothing to forget of one it never heard of.
        if !self.begun && wire.config.close == Close::Reset {
            self.confirm_close(effects);
            return;
        }
        wire.wake_by(now + patience, effects);
        if self.gate.wants_tree() {
            // Or the renderer would take the reset for the tree, and not answer it.
            self.send_empty_patch(wire, effects);
        }
        self.send_close(wire, effects);
    }

    fn send_close(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        match wire.config.close {
            Close::Reset => self.send_own(OWN, &own::reset(), wire, effects),
            Close::Exit => {
                effects.exiting = true;
                self.send_own(OWN, &own::exit(), wire, effects)
            }
        };
    }

    /// The renderer let go of the session that is being closed.
    fn confirm_close(&mut self, effects: &mut Effects<C>) {
        let state = std::mem::replace(&mut self.state, State::Over(closed(self.id)));
        if let State::Closing { waiters, .. } = state {
            let done = waiters
                .into_iter()
                .map(|waiter| (waiter, Ok(Outcome::Closed)));
            effects.finished.extend(done);
        }
        self.over(None, effects);
    }

    /// The owner is gone; true if the session is over and can be dropped now.
    pub(super) fn forget(&mut self) -> bool {
        self.forgotten = true;
        self.is_over()
    }

    pub(super) fn forget_if_over(&self) -> bool {
        self.forgotten && self.is_over()
    }

    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        match self.events.pop() {
            Ok(event) => Poll::Ready(Some(event)),
            Err(true) => Poll::Ready(None),
            Err(false) => {
                self.wait_for_event(context.waker());
                Poll::Pending
            }
        }
    }

    fn wait_for_event(&mut self, waker: &Waker) {
        if self.readers.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if self.readers.len() >= READERS {
            // Woken for nothing, it asks again if it still waits.
            self.readers.remove(0).wake();
        }
        self.readers.push(waker.clone());
    }

    pub(super) fn receive(
        &mut self,
        payload: &Bytes,
        envelope: &Envelope<'_>,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        let message = |wire: &Wire| {
            let LinkConfig {
                transport,
                addressing,
                ..
            } = &wire.config;
            Message::new(
                transport.clone(),
                *addressing,
                self.id,
                payload.clone(),
                envelope,
            )
        };
        match &*envelope.kind {
            "event" => match envelope.family.as_deref() {
                Some("session_closed") => self.closed_by_renderer(wire, effects),
                Some("session_error") => {
                    let (code, text) = own::complaint(&*wire.config.transport, payload);
                    let event = message(wire);
                    self.complained(&code, &text, event, wire, effects);
                }
                family => {
                    if family == Some("status")
                        && let (Some(id), Some(value)) = (&envelope.id, &envelope.value)
                        && self.events.repeats_status(id, value)
                    {
                        wire.counters.coalesced += 1;
                        return;
                    }
                    let event = SessionEvent::Event(message(wire));
                    self.tell(event, wire, effects);
                }
            },
            "diagnostic" => {
                let event = SessionEvent::Diagnostic(message(wire));
                self.tell(event, wire, effects);
            }
            "interact_step" => {
                let step = message(wire);
                self.stepped(step, now, wire, effects);
            }
            "reset_response" if matches!(self.state, State::Closing { .. }) => {
                self.confirm_close(effects);
            }
            _ => {
                let reply = message(wire);
                self.replied(reply, envelope, wire, effects);
            }
        }
    }

    fn closed_by_renderer(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        if matches!(self.state, State::Closing { .. }) {
            self.confirm_close(effects);
        } else {
            let error = self.failure("the renderer closed the session unasked");
            self.fail(error, SessionEvent::Failed, wire, effects);
        }
    }

    fn complained(
        &mut self,
        code: &str,
        text: &str,
        event: Message,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        if code == "font_cap_exceeded" {
            self.tell(SessionEvent::Event(event), wire, effects);
        } else if matches!(self.state, State::Closing { .. }) {
            self.confirm_close(effects);
        } else {
            let error = self
                .failure(&format!(
                    "the renderer gave up the session: {text} ({code})"
                ))
                .with_code(code);
            self.fail(error, SessionEvent::Failed, wire, effects);
        }
    }

    fn failure(&self, message: &str) -> Error {
        Error::new(ErrorKind::SessionFailed, message).with_session(self.id)
    }

    fn stepped(
        &mut self,
        message: Message,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        if !matches!(self.state, State::Open) {
            // The reset that is on its way answers it. Anything sent behind the reset would
            // begin a new session of the same name.
            return;
        }
        let id = message.id().and_then(|id| id.parse().ok());
        let patience = wire.config.step_patience;
        match (self.gate.step(id, now, patience), id) {
            (Step::Deliver, Some(id)) => {
                self.credit.everything_taken();
                wire.wake_by(now + patience, effects);
                self.tell(SessionEvent::InteractStep { id, message }, wire, effects);
                self.pump(wire, effects);
            }
            (Step::AnswerEmpty, _) => {
                self.credit.everything_taken();
                self.send_empty_patch(wire, effects);
            }
            (Step::Answered, _) => self.credit.everything_taken(),
            _ => {
                wire.counters.stray += 1;
                tracing::debug!(session = %self.id, "interact_step without an interact");
            }
        }
    }

    fn replied(
        &mut self,
        message: Message,
        envelope: &Envelope<'_>,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        let id = match &envelope.id {
            Some(id) => id.parse().ok(),
            None => self.requests.oldest_expecting(envelope),
        };
        let Some(id) = id else {
            self.tell(SessionEvent::Message(message), wire, effects);
            return;
        };
        self.credit.answered(id, id == OWN);
        self.gate.answered(id);
        self.requests.settle(&self.credit);
        match self.requests.remove(id) {
            Some(pending) => self.answer(id, pending, message, wire, effects),
            None if own::is_own(id) => {}
            None => {
                wire.counters.late += 1;
                tracing::debug!(session = %self.id, %id, "late reply");
            }
        }
        self.pump(wire, effects);
    }

    fn answer(
        &mut self,
        id: RequestId,
        pending: Pending<C>,
        message: Message,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        let expected = match &pending.answer {
            Answer::Reply { kind, .. } => kind,
            Answer::None | Answer::Events => "interact_response",
        };
        if *expected != *message.kind() {
            let text = format!(
                "expected {expected}, the renderer answered {}",
                message.kind()
            );
            let error = Error::new(ErrorKind::UnexpectedReply, text);
            self.end(id, pending.completion, error, wire, effects);
        } else if let Some(completion) = pending.completion {
            effects
                .finished
                .push((completion, Ok(Outcome::Reply(message))));
        } else {
            let event = SessionEvent::InteractResponse { id, message };
            self.tell(event, wire, effects);
        }
    }

    /// Puts an event before the owner.
    fn tell(&mut self, event: SessionEvent, wire: &mut Wire, effects: &mut Effects<C>) {
        wire.counters.lagged += self.events.push(event);
        effects.wakers.append(&mut self.readers);
    }

    pub(super) fn expire(&mut self, now: Instant, wire: &mut Wire, effects: &mut Effects<C>) {
        match self.state {
            State::Open => {}
            State::Closing {
                until, patience, ..
            } => {
                if until <= now {
                    self.close_unconfirmed(patience, effects);
                } else {
                    wire.wake_by(until, effects);
                }
                return;
            }
            State::Over(_) => return,
        }
        self.expire_queue(now, wire, effects);
        self.expire_pending(now, wire, effects);
        if let Some(id) = self.gate.overdue(now) {
            let error = Error::timeout(Phase::Step, wire.config.step_patience)
                .with_hint("answer every InteractStep with a snapshot or a patch");
            if let Some(pending) = self.requests.remove(id) {
                self.end(id, pending.completion, error, wire, effects);
            }
            self.orphan(id, wire, effects);
        } else if let Some(at) = self.gate.deadline() {
            wire.wake_by(at, effects);
        }
        self.pump(wire, effects);
    }

    fn expire_queue(&mut self, now: Instant, wire: &mut Wire, effects: &mut Effects<C>) {
        let (overdue, waiting) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|waiting| waiting.deadline <= now);
        self.queue = waiting;
        for waiting in &self.queue {
            wire.wake_by(waiting.deadline, effects);
        }
        let overdue: VecDeque<_> = overdue;
        for submission in overdue {
            let error = Error::timeout(Phase::Send, submission.timeout)
                .with_session(self.id)
                .with_request(submission.id);
            effects.finished.push((submission.completion, Err(error)));
        }
    }

    fn expire_pending(&mut self, now: Instant, wire: &mut Wire, effects: &mut Effects<C>) {
        let overdue = self.requests.overdue(now, |at| wire.wake_by(at, effects));
        for id in overdue {
            if let Some(pending) = self.requests.abandon(id, &self.credit) {
                let error = Error::timeout(Phase::Reply, pending.timeout).with_hint(
                    "the renderer drops a message it cannot read without a word: check its fields",
                );
                self.end(id, pending.completion, error, wire, effects);
                self.orphan(id, wire, effects);
            }
        }
    }

    fn close_unconfirmed(&mut self, patience: Duration, effects: &mut Effects<C>) {
        effects.suspect = true;
        let error = Error::timeout(Phase::Close, patience).with_session(self.id);
        let state = std::mem::replace(&mut self.state, State::Over(closed(self.id)));
        if let State::Closing { waiters, .. } = state {
            let told = waiters
                .into_iter()
                .map(|waiter| (waiter, Err(error.clone())));
            effects.finished.extend(told);
        }
        self.over(None, effects);
    }

    pub(super) fn renderer_gone(
        &mut self,
        error: &Error,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        match self.state {
            State::Open => {
                let error = error.clone().with_session(self.id);
                self.fail(error, SessionEvent::RendererExited, wire, effects);
            }
            State::Closing { .. } => self.confirm_close(effects),
            State::Over(_) => {}
        }
    }

    /// The session ends against its owner's will.
    fn fail(
        &mut self,
        error: Error,
        last: impl FnOnce(Error) -> SessionEvent,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        self.end_all(&error, wire, effects);
        let state = std::mem::replace(&mut self.state, State::Over(error.clone()));
        if let State::Closing { waiters, .. } = state {
            let done = waiters
                .into_iter()
                .map(|waiter| (waiter, Ok(Outcome::Closed)));
            effects.finished.extend(done);
        }
        self.over(Some(last(error)), effects);
    }

    fn over(&mut self, last: Option<SessionEvent>, effects: &mut Effects<C>) {
        self.events.finish(last);
        effects.wakers.append(&mut self.readers);
        effects.released.push(self.id);
    }

    /// Ends everything that waits.
    fn end_all(&mut self, error: &Error, wire: &mut Wire, effects: &mut Effects<C>) {
        for (id, pending) in self.requests.drain() {
            self.end(id, pending.completion, error.clone(), wire, effects);
        }
        for submission in std::mem::take(&mut self.queue) {
            let completion = Some(submission.completion);
            self.end(submission.id, completion, error.clone(), wire, effects);
        }
    }

    /// Ends a request that has left the books: its caller is told, or its owner.
    fn end(
        &mut self,
        id: RequestId,
        completion: Option<C>,
        error: Error,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        let error = error.with_session(self.id).with_request(id);
        match completion {
            Some(completion) => effects.finished.push((completion, Err(error))),
            None => {
                let event = SessionEvent::InteractFailed { id, error };
                self.tell(event, wire, effects);
            }
        }
    }

    pub(super) fn add_to(&self, load: &mut LinkLoad) {
        load.sessions += usize::from(!self.is_over());
        load.pending += self.requests.len();
        load.queued += self.queue.len();
    }
}
