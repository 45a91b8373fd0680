//! Requests that the renderer may have dropped unread.

use std::time::Instant;

use super::{Session, State};
use crate::link::complaints::{MOMENT, is_in_order};
use crate::link::own;
use crate::link::requests::Pending;
use crate::link::{Answer, Effects, Wire};
use crate::{RequestId, probe};

/// A question whose answer shows that all requests before it were answered or dropped.
#[derive(Debug)]
pub(super) struct Doubt {
    probe: RequestId,
    /// How many messages had been sent with it.
    sent: u64,
    /// Something was dropped since.
    again: bool,
}

impl<C> Session<C> {
    /// The interact that runs, if nothing shows that the renderer has read it.
    pub(in crate::link) fn unread_interact(&self) -> Option<RequestId> {
        self.gate.unread()
    }

    /// Whether an unread interact may be this session's, even one that was cancelled or timed out.
    pub(in crate::link) fn may_have_unread_interact(&self) -> bool {
        self.gate.may_be_unread()
    }

    /// The renderer has dropped a message, which seems to be the link's `sent`-th. If that is the
    /// interact of this session, which keeps everything else from being asked, it gets a moment to
    /// be answered. Other requests are not ended for it: one that may take long, such as an effect,
    /// says nothing by its silence.
    pub(in crate::link) fn suspect(
        &mut self,
        sent: u64,
        now: Instant,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        let unread = self.gate.unread();
        let Some((id, pending)) = self.requests.sent_as(sent) else {
            return;
        };
        let until = now + MOMENT;
        if unread == Some(id) && pending.suspected.is_none() && until < pending.deadline {
            pending.suspected = Some(pending.deadline);
            pending.deadline = until;
            wire.wake_by(until, effects);
        }
    }

    /// The moment is over that a suspected request had: whether it was one.
    pub(super) fn judge(
        &mut self,
        id: RequestId,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) -> bool {
        let is_read = self.gate.running() == Some(id) && self.gate.unread() != Some(id);
        let Some(pending) = self.requests.get_mut(id) else {
            return false;
        };
        match pending.suspected {
            Some(deadline) if is_read => {
                pending.suspected = None;
                pending.deadline = deadline;
                wire.wake_by(deadline, effects);
                true
            }
            Some(_) => {
                self.end_dropped(id, wire, effects);
                true
            }
            None => false,
        }
    }

    /// The renderer has dropped a message, which may be a request of this session: asks something
    /// that is answered behind those.
    pub(in crate::link) fn doubt(&mut self, wire: &mut Wire, effects: &mut Effects<C>) {
        if let Some(doubt) = &mut self.doubt {
            doubt.again = true;
            return;
        }
        let open = matches!(self.state, State::Open) && self.gate.is_open();
        let waits = self
            .requests
            .pending()
            .any(|(_, pending)| in_order(pending, wire));
        if !open || !waits || !self.credit.available() {
            return;
        }
        self.probes += 1;
        let id = own::probe_id(self.probes);
        if self.send_own(id, &probe(), wire, effects) {
            self.credit.sent(Some(id));
            self.doubt = Some(Doubt {
                probe: id,
                sent: wire.counters.sent,
                again: false,
            });
        }
    }

    /// The renderer answered what the pool itself asked under this id.
    pub(super) fn own_answered(
        &mut self,
        id: RequestId,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        if self.doubt.as_ref().is_none_or(|doubt| doubt.probe != id) {
            return;
        }
        let Some(doubt) = self.doubt.take() else {
            return;
        };
        let dropped: Vec<_> = self
            .requests
            .pending()
            .filter(|(_, pending)| pending.sent < doubt.sent && in_order(pending, wire))
            .map(|(id, _)| id)
            .collect();
        for id in dropped {
            self.end_dropped(id, wire, effects);
        }
        if doubt.again {
            self.doubt(wire, effects);
        }
    }

    /// Ends a request that the renderer dropped.
    pub(in crate::link) fn end_dropped(
        &mut self,
        id: RequestId,
        wire: &mut Wire,
        effects: &mut Effects<C>,
    ) {
        let Some(pending) = self.requests.remove(id) else {
            return;
        };
        // An interact that was not read does not run.
        self.gate.answered(id);
        let error = wire.complaints.dropped(pending.sent);
        self.end(id, pending.completion, error, wire, effects);
        self.pump(wire, effects);
    }
}

fn in_order<C>(pending: &Pending<C>, wire: &Wire) -> bool {
    match &pending.answer {
        Answer::Reply { kind, .. } => is_in_order(kind, wire.config.addressing),
        Answer::None | Answer::Any | Answer::Events => false,
    }
}
