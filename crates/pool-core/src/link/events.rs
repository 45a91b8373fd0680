//! What waits for a session's owner to read it.

use std::collections::{HashMap, VecDeque};

use crate::{Error, Message, RequestId};

/// Something a session's owner is told without having asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// An `event`: a click, an input, a status. A `status` that repeats the widget's last one
    /// is left out: an idle window sends thousands of those a second.
    Event(Message),
    /// A `diagnostic`.
    Diagnostic(Message),
    /// A step of an interact: the renderer waits for the tree these events lead to, sent as
    /// `snapshot` or `patch`.
    InteractStep {
        /// The interact.
        id: RequestId,
        /// The `interact_step`, with its `events`.
        message: Message,
    },
    /// The end of an interact sent with `send_interact`.
    InteractResponse {
        /// The interact.
        id: RequestId,
        /// The `interact_response`, with its `events`.
        message: Message,
    },
    /// An interact sent with `send_interact` got no response.
    InteractFailed {
        /// The interact.
        id: RequestId,
        /// Why.
        error: Error,
    },
    /// Anything else that belongs to no request of the pool's, such as the reply to a
    /// message that was sent with an id of the caller's choice.
    Message(Message),
    /// This many events were dropped here, because the owner did not read them in time.
    Lagged(u64),
    /// The renderer is gone, and the session with it. Nothing follows.
    RendererExited(Error),
    /// The renderer gave up this session. Nothing follows.
    Failed(Error),
}

/// A bounded queue that says what it lost.
#[derive(Debug)]
pub(super) struct EventQueue {
    events: VecDeque<SessionEvent>,
    bytes: usize,
    bounds: EventBounds,
    lost: u64,
    end: Option<SessionEvent>,
    over: bool,
    statuses: HashMap<Box<str>, Box<str>>,
}

/// How much may wait for a session's owner.
#[derive(Debug, Clone, Copy)]
pub struct EventBounds {
    /// Events.
    pub count: usize,
    /// Their payloads, in bytes.
    pub bytes: usize,
}

/// How many widgets' last status is remembered; past it all are forgotten, which costs one
/// repeated event each.
const STATUSES: usize = 4096;

/// How long the names of what is remembered may be, in bytes.
const STATUS_BYTES: usize = 256;

impl EventQueue {
    pub(super) fn new(bounds: EventBounds) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            bounds,
            lost: 0,
            end: None,
            over: false,
            statuses: HashMap::new(),
        }
    }

    /// Appends an event, at the cost of the oldest if there is no room; returns how many were
    /// lost by it. What an interact waits for is the last to go.
    pub(super) fn push(&mut self, event: SessionEvent) -> u64 {
        if self.end.is_some() || self.over {
            return 0;
        }
        let event = detached(event);
        self.bytes += size(&event);
        self.events.push_back(event);
        let mut lost = 0;
        while self.events.len() > self.bounds.count
            || (self.bytes > self.bounds.bytes && self.events.len() > 1)
        {
            let oldest = self.events.iter().position(|event| !is_interact(event));
            if let Some(oldest) = self.events.remove(oldest.unwrap_or(0)) {
                self.bytes -= size(&oldest);
                lost += 1;
            }
        }
        if lost > 0 {
            self.lost += lost;
            // The lost one may have been a widget's last status.
            self.statuses.clear();
        }
        lost
    }

    /// An event was lost before it got here; returns how many were.
    pub(super) fn lose(&mut self) -> u64 {
        if self.end.is_some() || self.over {
            return 0;
        }
        self.lost += 1;
        self.statuses.clear();
        1
    }

    /// Whether a widget reports the status it reported last; remembers it if not.
    pub(super) fn repeats_status(&mut self, widget: &str, value: &str) -> bool {
        if widget.len().max(value.len()) > STATUS_BYTES {
            self.statuses.remove(widget);
            return false;
        }
        if let Some(known) = self.statuses.get_mut(widget) {
            if **known == *value {
                return true;
            }
            *known = value.into();
            return false;
        }
        if self.statuses.len() >= STATUSES {
            self.statuses.clear();
        }
        self.statuses.insert(widget.into(), value.into());
        false
    }

    /// Nothing more will be pushed; `last` is what the owner reads at the end.
    pub(super) fn finish(&mut self, last: Option<SessionEvent>) {
        if self.end.is_none() && !self.over {
            self.end = last;
            self.over = self.end.is_none();
            self.statuses = HashMap::new();
        }
    }

    /// The next event. `Err(true)` if there will never be one again.
    pub(super) fn pop(&mut self) -> Result<SessionEvent, bool> {
        if self.lost > 0 {
            return Ok(SessionEvent::Lagged(std::mem::take(&mut self.lost)));
        }
        if let Some(event) = self.events.pop_front() {
            self.bytes -= size(&event);
            return Ok(event);
        }
        match self.end.take() {
            Some(end) => {
                self.over = true;
                Ok(end)
            }
            None => Err(self.over),
        }
    }
}

fn is_interact(event: &SessionEvent) -> bool {
    matches!(
        event,
        SessionEvent::InteractStep { .. }
            | SessionEvent::InteractResponse { .. }
            | SessionEvent::InteractFailed { .. }
    )
}

/// An event may wait for long: in memory of its own it does not keep alive all that was read
/// with it.
fn detached(mut event: SessionEvent) -> SessionEvent {
    match &mut event {
        SessionEvent::Event(message)
        | SessionEvent::Diagnostic(message)
        | SessionEvent::Message(message)
        | SessionEvent::InteractStep { message, .. }
        | SessionEvent::InteractResponse { message, .. } => message.detach(),
        _ => {}
    }
    event
}

fn size(event: &SessionEvent) -> usize {
    match event {
        SessionEvent::Event(message)
        | SessionEvent::Diagnostic(message)
        | SessionEvent::Message(message)
        | SessionEvent::InteractStep { message, .. }
        | SessionEvent::InteractResponse { message, .. } => message.payload().len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn numbered(n: u64) -> SessionEvent {
        SessionEvent::InteractFailed {
            id: RequestId::new(n),
            error: Error::new(ErrorKind::SessionClosed, "closed"),
        }
    }

    fn drain(queue: &mut EventQueue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop().ok())
            .map(|event| match event {
                SessionEvent::InteractFailed { id, .. } => id.to_string(),
                SessionEvent::Lagged(n) => format!("lagged {n}"),
                SessionEvent::Failed(_) => "failed".into(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_is_lost_is_said_where_it_is_missing() {
        let mut queue = EventQueue::new(EventBounds { count: 2, bytes: 9 });
        for n in 1..=5 {
            queue.push(numbered(n));
        }
        assert_eq!(drain(&mut queue), ["lagged 3", "~4", "~5"]);
        assert!(matches!(queue.pop(), Err(false)));
    }

    #[test]
    fn the_end_comes_after_what_was_waiting_and_nothing_after_the_end() {
        let mut queue = EventQueue::new(EventBounds { count: 2, bytes: 9 });
        queue.push(numbered(1));
        queue.finish(Some(SessionEvent::Failed(Error::new(
            ErrorKind::SessionFailed,
            "thrown out",
        ))));
        queue.push(numbered(2));
        assert_eq!(drain(&mut queue), ["~1", "failed"]);
        assert!(matches!(queue.pop(), Err(true)));
    }

    #[test]
    fn a_status_repeats_only_if_its_widget_said_the_same_before() {
        let mut queue = EventQueue::new(EventBounds { count: 2, bytes: 9 });
        assert!(!queue.repeats_status("a", "active"));
        assert!(queue.repeats_status("a", "active"));
        assert!(!queue.repeats_status("b", "active"));
        assert!(!queue.repeats_status("a", "hovered"));
        assert!(!queue.repeats_status("a", "active"));
    }
}
