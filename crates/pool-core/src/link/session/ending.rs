//! How a session ends, and what waits in it: by its owner's wish, by the renderer, by the clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Session, State};
use crate::link::events::SessionEvent;
use crate::link::own::{self, OWN};
use crate::link::{Effects, Outcome, Wire, closed};
use crate::{Close, Error, Phase, RequestId};

impl<C> Session<C> {
    pub(in crate::link) fn close(
        &mut self,
        completion: Option<C>,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        self.closers.extend(completion);
        match self.state {
            State::Open => {}
            State::Closing { .. } => return,
            State::Over(_) => {
                if !self.occupies {
                    self.let_go(effects);
                }
                return;
            }
        }
        self.end_all(&closed(self.id), wire, effects);
        let patience = wire.config.close_patience;
        let until = now + patience;
        self.state = State::Closing { until, patience };
        // A renderer that outlives its sessions has nothing to forget of one it never heard of.
        if !self.begun && wire.config.close == Close::Reset {
            self.confirm_close(wire, effects);
            return;
        }
        wire.wake_by(until, effects);
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

    /// The renderer confirmed that the session that is being closed is.
    pub(super) fn confirm_close(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        self.over(closed(self.id), None, wire, effects);
    }

    pub(in crate::link) fn expire(
        &mut self,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        match self.state {
            State::Open => {}
            State::Closing {
                until, patience, ..
            } => {
                if until <= now {
                    self.close_unconfirmed(patience, wire, effects);
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
                .with_hint(self.why_unsent(wire))
                .with_session(self.id)
                .with_request(submission.id);
            effects.finished.push((submission.completion, Err(error)));
        }
    }

    fn expire_pending(&mut self, now: Instant, wire: &mut Wire, effects: &mut Effects<C>) {
        let overdue = self.requests.overdue(now, |at| wire.wake_by(at, effects));
        for id in overdue {
            if self.judge(id, wire, effects) {
                continue;
            }
            if let Some(pending) = self.requests.abandon(id, &self.credit) {
                let said = wire.complaints.text_since(pending.sent);
                let error = Error::timeout(Phase::Reply, pending.timeout)
                    .with_hint(self.why_unanswered(id, &said))
                    .with_stderr(&said);
                self.end(id, pending.completion, error, wire, effects);
                self.orphan(id, wire, effects);
            }
        }
    }

    /// Why a message that waits for its turn has not had it.
    fn why_unsent(&self, wire: &Wire) -> String {
        let waiting = match self.gate.running() {
            Some(id) if self.gate.wants_tree() => format!(
                "interact {id}, which waits for the tree of its step: answer every InteractStep \
                 with a snapshot or a patch"
            ),
            Some(id) => format!("interact {id}, which the renderer has not answered"),
            None if !self.credit.available() => format!(
                "the renderer to take {} messages that were sent before",
                self.credit.outstanding()
            ),
            None if !wire.has_room() => format!(
                "the renderer to read {} bytes that were written before",
                wire.unsent_bytes
            ),
            None => "messages before it".to_owned(),
        };
        format!("it was never sent: it waited for {waiting}")
    }

    /// What may keep the renderer from answering a request.
    fn why_unanswered(&self, id: RequestId, said: &str) -> &'static str {
        if self.gate.running() == Some(id) && self.gate.wants_tree() {
            "the interact waits for the tree of its step: answer every InteractStep with a \
             snapshot or a patch"
        } else if said.is_empty() {
            "the renderer may be busy, or the timeout too short; it has written nothing to its \
             stderr since, where it names messages that it cannot read, unless RUST_LOG or a \
             server keeps that from the pool"
        } else {
            "what the renderer wrote to its stderr since may say why"
        }
    }

    fn close_unconfirmed(&mut self, patience: Duration, wire: &mut Wire, effects: &mut Effects<C>) {
        effects.suspect = true;
        let error = Error::timeout(Phase::Close, patience).with_session(self.id);
        let told = self
            .closers
            .drain(..)
            .map(|closer| (closer, Err(error.clone())));
        effects.finished.extend(told);
        self.over(closed(self.id), None, wire, effects);
    }

    pub(in crate::link) fn renderer_gone(
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
            State::Closing { .. } => self.confirm_close(wire, effects),
            State::Over(_) => {}
        }
        self.let_go(effects);
    }

    /// The session ends against its owner's will.
    pub(super) fn fail(
        &mut self,
        error: Error,
        last: impl FnOnce(Error) -> SessionEvent,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        self.end_all(&error, wire, effects);
        self.over(error.clone(), Some(last(error)), wire, effects);
    }

    /// The session takes and gives nothing more. A renderer that ends with it has yet to.
    fn over(
        &mut self,
        error: Error,
        last: Option<SessionEvent>,
        wire: &Wire,
        effects: &mut Effects<C>,
    ) {
        self.state = State::Over(error);
        self.events.finish(last);
        effects.wakers.append(&mut self.readers);
        match wire.config.close {
            Close::Reset => self.let_go(effects),
            Close::Exit => effects.exiting = true,
        }
    }

    /// The renderer has let go of the session.
    fn let_go(&mut self, effects: &mut Effects<C>) {
        if std::mem::take(&mut self.occupies) {
            effects.released.push(self.id);
        }
        let closed = self
            .closers
            .drain(..)
            .map(|closer| (closer, Ok(Outcome::Closed)));
        effects.finished.extend(closed);
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
    pub(super) fn end(
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
}
