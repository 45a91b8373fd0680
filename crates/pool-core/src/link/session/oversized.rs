//! What a message that was too long to keep ends or leaves out.

use std::time::Instant;

use super::{Session, State};
use crate::link::events::SessionEvent;
use crate::link::gate::Step;
use crate::link::own::{self, OWN};
use crate::link::{Answer, Effects, Wire, oversized};
use crate::{Envelope, Oversized, RequestId};

impl<C> Session<C> {
    /// The requests that such a message may answer.
    pub(in crate::link) fn requests_answered_by(
        &self,
        envelope: &Envelope<'_>,
    ) -> impl Iterator<Item = RequestId> {
        let expects = |answer: &Answer| match answer {
            Answer::Reply { kind, .. } => envelope.kind.is_empty() || **kind == *envelope.kind,
            Answer::Any => true,
            Answer::None | Answer::Events => {
                matches!(&*envelope.kind, "" | "interact_step" | "interact_response")
            }
        };
        self.requests
            .unanswered()
            .filter(move |(_, answer)| expects(answer))
            .map(|(id, _)| id)
    }

    /// A message for this session was passed over; the answer to `request`, if that is known
    /// already.
    pub(in crate::link) fn passed_over(
        &mut self,
        oversized: &Oversized,
        request: Option<RequestId>,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        let envelope = &oversized.envelope;
        let named = || envelope.id.as_deref().and_then(|id| id.parse().ok());
        let id = request.or_else(named);
        match (&*envelope.kind, envelope.family.as_deref()) {
            ("event", Some("session_closed")) => self.closed_by_renderer(wire, effects),
            ("event", Some("session_error")) => {
                let error = self.failure(
                    "the renderer gave up the session, and its reason was too long to keep",
                );
                self.fail(error, SessionEvent::Failed, wire, effects);
            }
            ("event" | "diagnostic", _) => {
                wire.counters.lagged += self.events.lose();
                effects.wakers.append(&mut self.readers);
            }
            ("reset_response", _) if matches!(self.state, State::Closing { .. }) => {
                self.confirm_close(wire, effects);
            }
            ("interact_step", _) => self.step_passed_over(oversized, id, now, wire, effects),
            _ => match id {
                Some(id) => self.reply_passed_over(oversized, id, wire, effects),
                None => wire.counters.stray += 1,
            },
        }
    }

    fn reply_passed_over(
        &mut self,
        oversized: &Oversized,
        id: RequestId,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        self.credit.answered(id, id == OWN);
        self.gate.answered(id);
        self.requests.settle(&self.credit);
        match self.requests.remove(id) {
            Some(pending) => {
                let error = oversized::too_large(oversized);
                self.end(id, pending.completion, error, wire, effects);
            }
            None if own::is_own(id) => {}
            None => wire.counters.late += 1,
        }
        self.pump(wire, effects);
    }

    /// Its owner cannot react to a step that it does not see: the interact fails, and the renderer
    /// goes on without a change.
    fn step_passed_over(
        &mut self,
        oversized: &Oversized,
        id: Option<RequestId>,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        if !matches!(self.state, State::Open) {
            return;
        }
        match (self.gate.step(id, now, wire.config.step_patience), id) {
            (Step::Deliver, Some(id)) => {
                self.credit.everything_taken();
                if let Some(pending) = self.requests.remove(id) {
                    let error = oversized::too_large(oversized);
                    self.end(id, pending.completion, error, wire, effects);
                }
                self.orphan(id, wire, effects);
            }
            (Step::AnswerEmpty, _) => {
                self.credit.everything_taken();
                self.send_empty_patch(wire, effects);
            }
            (Step::Answered, _) => self.credit.everything_taken(),
            _ => wire.counters.stray += 1,
        }
    }
}
