//! What the renderer writes to its standard error, and which request it means.
//!
//! A renderer drops a message that it cannot read, and says so on its standard error: why, but not
//! which one. A session answers most requests in order: one that is not answered when a later one is
//! was dropped. So after a complaint each session that waits for such a request is asked something
//! more. An interact keeps its session from being asked: if it is the last message, and all before it
//! are known to have been read, it is given a moment. Others, such as an effect, may take long, and
//! the complaint may be a late one about an earlier message: they end by their timeout, which quotes
//! it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Effects, Link};
use crate::{Addressing, Error, ErrorKind, RequestId, SessionId};

/// How long a request that seems to have been dropped may yet take.
pub(super) const MOMENT: Duration = Duration::from_millis(500);

/// How many lines are kept.
const LINES: usize = 20;

/// How many bytes of each.
const LONGEST: usize = 1000;

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// Each with how many messages had been sent by then.
    lines: VecDeque<(u64, Box<str>)>,
}

impl Complaints {
    fn add(&mut self, sent: u64, line: &str) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        let line = &line[..line.floor_char_boundary(LONGEST)];
        self.lines.push_back((sent, line.into()));
    }

    /// Those that came once the `sent`-th message was sent.
    fn since(&self, sent: u64) -> impl Iterator<Item = &str> {
        let later = self.lines.iter().skip_while(move |(by, _)| *by < sent);
        later.map(|(_, line)| &**line)
    }

    /// The same as one text.
    pub(super) fn text_since(&self, sent: u64) -> String {
        self.since(sent).collect::<Vec<_>>().join("\n")
    }

    /// What a request ends with that was the `sent`-th message, and that the renderer dropped.
    pub(super) fn dropped(&self, sent: u64) -> Error {
        let mut reasons = self.since(sent).filter_map(unreadable);
        let message = match (reasons.next(), reasons.next()) {
            (Some(reason), None) => {
                format!("the renderer cannot read the request, and dropped it: {reason}")
            }
            _ => "the renderer cannot read the request, and dropped it".to_owned(),
        };
        Error::new(ErrorKind::MessageDropped, message)
            .with_hint("check its `type` and its fields")
            .with_stderr(&self.text_since(sent))
    }
}

/// Why the renderer cannot read a message, if this line says that it cannot.
///
/// Renderer 0.7.1: `[.. ERROR plushie_renderer::headless] decode error: missing field ..` in mock
/// and headless, `[.. WARN  plushie_renderer_lib::update] stdin warning: parse error: ..` with
/// windows.
pub fn unreadable(line: &str) -> Option<&str> {
    let signs = ["] decode error: ", "] stdin warning: parse error: "];
    let reason = signs
        .iter()
        .find_map(|sign| line.split_once(sign).map(|(_, reason)| reason))?;
    let prefixes = ["json decode: ", "msgpack decode (tag dispatch): "];
    let bare = prefixes
        .iter()
        .find_map(|prefix| reason.strip_prefix(prefix));
    Some(bare.unwrap_or(reason))
}

impl<C> Link<C> {
    /// The renderer wrote this line to its standard error. A later timeout quotes it; a
    /// request that it means ends soon, with [`ErrorKind::MessageDropped`].
    pub fn complained(&mut self, line: &str, now: Instant, effects: &mut Effects<C>) {
        let sent = self.wire.counters.sent;
        self.wire.complaints.add(sent, line);
        let Some(reason) = unreadable(line) else {
            return;
        };
        // No other message has this field.
        if reason.starts_with("missing field `action`") {
            if let Some((session, interact)) = self.only_unread_interact()
                && let Some(found) = self.sessions.get_mut(&session)
            {
                found.end_dropped(interact, &mut self.wire, effects);
            }
            return;
        }
        let is_last = self.wire.read + 1 >= sent;
        for session in self.sessions.values_mut() {
            session.doubt(&mut self.wire, effects);
            if is_last {
                session.suspect(sent, now, &mut self.wire, effects);
            }
        }
    }

    fn only_unread_interact(&self) -> Option<(SessionId, RequestId)> {
        let mut unread = self
            .sessions
            .iter()
            .filter(|(_, session)| session.may_have_unread_interact());
        let (id, session) = unread.next()?;
        if unread.next().is_some() {
            return None;
        }
        Some((*id, session.unread_interact()?))
    }
}

/// Whether a session answers requests for such a reply in the order in which it gets them.
pub(super) fn is_in_order(reply: &str, addressing: Addressing) -> bool {
    match reply {
        // The last of those: of a message that only looks like an interact; one that is keeps
        // everything else from being asked.
        "query_response" | "tree_hash_response" | "interact_response" => true,
        "effect_stub_register_ack" | "effect_stub_unregister_ack" => true,
        // A window draws when it can.
        "screenshot_response" => addressing == Addressing::BySession,
        _ => false,
    }
}
