//! What the renderer says to a session.

use std::time::Instant;

use bytes::Bytes;

use super::{Session, State};
use crate::link::events::SessionEvent;
use crate::link::gate::Step;
use crate::link::own::{self, OWN};
use crate::link::requests::Pending;
use crate::link::{Answer, Effects, LinkConfig, Outcome, TOO_LARGE, Wire};
use crate::{Envelope, Error, ErrorKind, Message, RequestId};

impl<C> Session<C> {
    pub(in crate::link) fn receive(
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
                self.confirm_close(wire, effects);
            }
            _ => {
                let reply = message(wire);
                self.replied(reply, envelope, wire, effects);
            }
        }
    }

    pub(super) fn closed_by_renderer(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        if matches!(self.state, State::Closing { .. }) {
            self.confirm_close(wire, effects);
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
            // Nor will any later session get one from it.
            effects.suspect = true;
            self.tell(SessionEvent::Event(event), wire, effects);
        } else if matches!(self.state, State::Closing { .. }) {
            self.confirm_close(wire, effects);
        } else {
            let error = self
                .failure(&format!(
                    "the renderer gave up the session: {text} ({code})"
                ))
                .with_code(code);
            self.fail(error, SessionEvent::Failed, wire, effects);
        }
    }

    pub(super) fn failure(&self, message: &str) -> Error {
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
            Some(pending) if envelope.family.as_deref() == Some(TOO_LARGE) => {
                let text = envelope.value.as_deref().unwrap_or("the reply is too long");
                let error = Error::new(ErrorKind::ReplyTooLarge, text);
                self.end(id, pending.completion, error, wire, effects);
            }
            Some(pending) => {
                wire.read = wire.read.max(pending.sent);
                self.answer(id, pending, message, wire, effects);
            }
            None if own::is_own(id) => self.own_answered(id, wire, effects),
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
            Answer::Any => message.kind(),
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
    pub(super) fn tell(&mut self, event: SessionEvent, wire: &mut Wire, effects: &mut Effects<C>) {
        wire.counters.lagged += self.events.push(event);
        effects.wakers.append(&mut self.readers);
    }
}
