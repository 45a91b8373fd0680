//! Messages that were too long to keep: whose they are, and what ends for it.

use std::time::Instant;

use super::{Effects, Link};
use crate::{Addressing, Envelope, Error, ErrorKind, MAX_PAYLOAD, Oversized, RequestId, SessionId};

/// `family` of the reply by which a server of sessions says that the real one was too long; the
/// reply has no body, and `value` is what happened. Renderers' replies have no `family`.
pub const TOO_LARGE: &str = "reply_too_large";

impl<C> Link<C> {
    /// A payload over [`MAX_PAYLOAD`] arrived and was passed over. The request that it answers
    /// ends with [`ErrorKind::ReplyTooLarge`]; an event is counted as lost.
    ///
    /// If the payload does not say whose it is, the request ends that alone can be meant. If there
    /// are several, all go on to their timeouts.
    pub fn pass_over(&mut self, oversized: &Oversized, now: Instant, effects: &mut Effects<C>) {
        self.wire.counters.received += 1;
        self.wire.counters.oversized += 1;
        let Oversized { len, envelope } = oversized;
        let Some((session, request)) = self.addressee(envelope) else {
            tracing::warn!(
                bytes = len, kind = %envelope.kind, session = %envelope.session,
                "passed over a message that is too long, and it is not known which request it \
                 answers: that one will time out"
            );
            return;
        };
        tracing::warn!(bytes = len, kind = %envelope.kind, %session, "passed over a message that is too long");
        if let Some(found) = self.sessions.get_mut(&session) {
            found.passed_over(oversized, request, now, &mut self.wire, effects);
            if found.forget_if_over() {
                self.sessions.remove(&session);
            }
        }
    }

    /// The session a message is for, and the request that it answers, where that takes a look at
    /// all of them.
    fn addressee(&self, envelope: &Envelope<'_>) -> Option<(SessionId, Option<RequestId>)> {
        let named = match self.wire.config.addressing {
            Addressing::BySession => envelope.session.parse().ok(),
            Addressing::Single => self.sessions.keys().next().copied(),
        };
        if let Some(session) = named
            && (envelope.id.is_some() || is_told(envelope))
        {
            let lives = self.sessions.get(&session)?;
            return (!lives.is_over()).then_some((session, None));
        }
        if named.is_none() && !envelope.session.is_empty() {
            return None;
        }
        let id = envelope.id.as_deref().map(str::parse);
        let mut candidates = self
            .sessions
            .iter()
            .filter(|(session, _)| named.is_none_or(|named| named == **session))
            .flat_map(|(session, found)| {
                let fitting = found.requests_answered_by(envelope);
                fitting.map(move |request| (*session, request))
            })
            .filter(|(_, request)| match &id {
                Some(id) => id.as_ref() == Ok(request),
                None => true,
            });
        let (session, request) = candidates.next()?;
        candidates
            .next()
            .is_none()
            .then_some((session, Some(request)))
    }
}

/// Whether it is for the owner of a session, whatever was asked.
fn is_told(envelope: &Envelope<'_>) -> bool {
    matches!(&*envelope.kind, "event" | "diagnostic")
}

/// What a request ends with whose reply was passed over.
pub(super) fn too_large(oversized: &Oversized) -> Error {
    let Oversized { len, envelope } = oversized;
    let message = format!(
        "the renderer's reply takes {len} bytes, over the limit of {MAX_PAYLOAD} (64 MiB), and \
         was passed over"
    );
    Error::new(ErrorKind::ReplyTooLarge, message).with_hint(match &*envelope.kind {
        "screenshot_response" => {
            "ask for a smaller picture: 4095x4095 fits in MessagePack, 3547x3547 in JSON"
        }
        "query_response" => "ask for less of the tree: `find` with a selector, or a smaller tree",
        _ => "ask for less at once",
    })
}
