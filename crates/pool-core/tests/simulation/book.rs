//! What must be true of one session, kept beside the link from what went in and what came out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Instant;

use super::coverage::Coverage;
use super::peer::is_probe;
use super::pool_core::link::{LinkConfig, Outcome};
use super::pool_core::{Class, Envelope, Error, ErrorKind, Phase, RequestId, SessionId};

pub(crate) struct Book {
    pub(crate) id: SessionId,
    next: u64,
    /// Submitted and not sent, in order.
    unsent: VecDeque<(RequestId, Class)>,
    /// Submissions whose completion has not come back.
    pub(crate) live: BTreeMap<RequestId, Live>,
    /// Interacts that are sent, and end with an event; and until when.
    pub(crate) told_later: BTreeMap<RequestId, Instant>,
    /// Interacts that were cancelled when their end may have been told, and not read yet.
    pub(crate) may_be_told: BTreeSet<RequestId>,
    pub(crate) running: Option<Running>,
    /// Closes that wait, and until when.
    pub(crate) closes: usize,
    pub(crate) closing: Option<Instant>,
    reset: bool,
    pub(crate) released: bool,
    /// Its owner holds on to it.
    pub(crate) owned: bool,
    /// Events were dropped, so that what they told is not known.
    pub(crate) lagged: bool,
    /// Nothing has happened since all events were read.
    pub(crate) drained: bool,
    /// The last event was read.
    pub(crate) ended: bool,
    /// Whether the owner waits for an event.
    pub(crate) waits: bool,
    pub(crate) woken: Arc<Woken>,
}

pub(crate) struct Live {
    pub(crate) expects: Expects,
    pub(crate) deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expects {
    /// To be sent.
    Nothing,
    /// A reply of this type.
    Reply(&'static str),
    /// To be sent, and an event at the end.
    Events,
}

/// The interact the renderer is at.
pub(crate) struct Running {
    pub(crate) id: RequestId,
    pub(crate) cancelled: bool,
    deadline: Instant,
    /// A step waits for its tree, until then.
    pub(crate) step: Option<Instant>,
    /// The id of the query that asks whether it is over.
    probe: Option<String>,
}

#[derive(Default)]
pub(crate) struct Woken(pub(crate) AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Book {
    pub(crate) fn new(id: SessionId) -> Self {
        Self {
            id,
            next: 1,
            unsent: VecDeque::new(),
            live: BTreeMap::new(),
            told_later: BTreeMap::new(),
            may_be_told: BTreeSet::new(),
            running: None,
            closes: 0,
            closing: None,
            reset: false,
            released: false,
            owned: true,
            lagged: false,
            drained: false,
            ended: false,
            waits: false,
            woken: Arc::default(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closing.is_none() && !self.released
    }

    pub(crate) fn next_id(&mut self) -> RequestId {
        let id = RequestId::new(self.next);
        self.next += 1;
        id
    }

    pub(crate) fn submitted(
        &mut self,
        id: RequestId,
        class: Class,
        expects: Expects,
        deadline: Instant,
    ) {
        self.unsent.push_back((id, class));
        self.live.insert(id, Live { expects, deadline });
    }

    /// Any request that could be cancelled: unsent, unanswered, or ended already.
    pub(crate) fn numbered(&self, n: usize) -> RequestId {
        RequestId::new(1 + n as u64 % self.next)
    }

    pub(crate) fn cancelled(&mut self, id: RequestId, coverage: &mut Coverage) {
        let live = self.live.remove(&id).is_some();
        let told_later = self.told_later.remove(&id).is_some();
        if told_later && !self.drained {
            self.may_be_told.insert(id);
        }
        if let Some(running) = &mut self.running
            && running.id == id
        {
            running.cancelled = true;
            coverage.saw(if running.step.is_some() {
                "cancelled in a step"
            } else {
                "cancelled between steps"
            });
        }
        let unsent = self.unsent.len();
        self.unsent.retain(|(waiting, _)| *waiting != id);
        if self.unsent.len() < unsent {
            coverage.saw("cancelled unsent");
        } else if live {
            coverage.saw("cancelled sent");
        }
    }

    pub(crate) fn closed(&mut self, config: &LinkConfig, now: Instant, waits: bool) -> bool {
        let first = self.is_open();
        if first {
            self.closing = Some(now + config.close_patience);
        }
        self.closes += usize::from(waits);
        first
    }

    /// A message is about to be received.
    pub(crate) fn receives(&mut self, message: &Envelope<'_>, config: &LinkConfig, now: Instant) {
        self.drained = false;
        let Some(running) = &mut self.running else {
            return;
        };
        if running.probe.is_some() && running.probe.as_deref() == message.id.as_deref() {
            self.running = None;
            return;
        }
        let id = message.id.as_deref().and_then(|id| id.parse().ok());
        if id != Some(running.id) {
            return;
        }
        match &*message.kind {
            // A probe that is on its way is what the renderer takes for the tree.
            "interact_step" if self.closing.is_none() && running.probe.take().is_none() => {
                running.step = Some(now + config.step_patience);
            }
            "interact_response" => self.running = None,
            _ => {}
        }
    }

    /// A frame was handed out; `room` tells if there was any for it.
    pub(crate) fn sent(
        &mut self,
        frame: &Envelope<'_>,
        room: bool,
        now: Instant,
        coverage: &mut Coverage,
    ) {
        let s = self.id;
        assert!(!self.reset, "{s} sent {} behind its reset", frame.kind);
        assert!(!self.released, "{s} sent {} after its end", frame.kind);
        if frame.id.as_deref() == Some("~0") {
            return self.sent_own(frame, room, now, coverage);
        }
        if is_probe(frame.id.as_deref()) {
            return self.sent_probe(frame, now, coverage);
        }
        assert!(self.is_open(), "{s} sent {} while closing", frame.kind);
        assert!(room, "{s} sent {} without room for it", frame.kind);
        let value = frame.value.as_deref().unwrap_or_default();
        let id: RequestId = value.parse().expect("the owner numbers all it sends");
        let at = match &mut self.running {
            None => 0,
            Some(running) => {
                let step = running.step.take();
                assert!(
                    step.is_some(),
                    "{s} sent {id} in an interact, outside a step"
                );
                let tree = |(_, class): &(_, Class)| *class == Class::Tree;
                let first = self.unsent.iter().position(tree);
                first.expect("only a tree goes out in a step")
            }
        };
        let (expected, class) = self.unsent.remove(at).expect("it was submitted");
        assert_eq!(id, expected, "{s} sent out of order");
        let live = &self.live[&id];
        if class == Class::Interact {
            if live.expects == Expects::Events {
                self.told_later.insert(id, live.deadline);
            }
            self.running = Some(Running {
                id,
                cancelled: false,
                deadline: live.deadline,
                step: None,
                probe: None,
            });
        }
    }

    fn sent_probe(&mut self, frame: &Envelope<'_>, now: Instant, coverage: &mut Coverage) {
        let s = self.id;
        coverage.saw("probe");
        let running = self.running.as_mut().expect("an interact runs");
        assert!(running.step.is_none(), "{s} sent a probe into a step");
        assert!(running.probe.is_none(), "{s} sent a second probe");
        running.cancelled |= running.deadline <= now;
        assert!(
            running.cancelled,
            "{s} probed an interact somebody waits for"
        );
        running.probe = frame.id.as_deref().map(str::to_owned);
    }

    fn sent_own(
        &mut self,
        frame: &Envelope<'_>,
        room: bool,
        now: Instant,
        coverage: &mut Coverage,
    ) {
        let s = self.id;
        match &*frame.kind {
            "query" => {
                coverage.saw("barrier");
                assert!(self.running.is_none(), "{s} sent a barrier in an interact");
                assert!(self.is_open() && room);
            }
            "patch" => {
                coverage.saw("empty patch");
                let running = self.running.as_mut().expect("an interact runs");
                let until = running.step.take().expect("a step waits");
                let abandoned = running.cancelled || running.deadline <= now || until <= now;
                running.cancelled = abandoned;
                assert!(
                    abandoned || self.closing.is_some(),
                    "{s} answered a step for its owner"
                );
            }
            "reset" => {
                coverage.saw("reset");
                assert!(self.closing.is_some(), "{s} was reset unasked");
                let in_step = self
                    .running
                    .as_ref()
                    .is_some_and(|running| running.step.is_some());
                assert!(!in_step, "the reset of {s} would be swallowed");
                self.reset = true;
            }
            other => panic!("{s} sent a {other} of its own"),
        }
    }

    /// A completion came back.
    pub(crate) fn finished(
        &mut self,
        id: RequestId,
        result: &Result<Outcome, Error>,
        now: Instant,
        coverage: &mut Coverage,
    ) {
        let s = self.id;
        let live = self.live.remove(&id);
        let Live { expects, deadline } = live.unwrap_or_else(|| panic!("{s} {id} ended twice"));
        let unsent = self.unsent.iter().any(|(waiting, _)| *waiting == id);
        match result {
            Ok(Outcome::Sent) => {
                coverage.saw("sent");
                assert!(!unsent && !matches!(expects, Expects::Reply(_)));
            }
            Ok(Outcome::Reply(message)) => {
                coverage.saw("reply");
                assert!(!unsent && expects == Expects::Reply(kind_of(message.kind())));
                let body: serde_json::Value = message.decode().unwrap();
                let meant = match body["value"].as_str() {
                    Some(value) => value.to_owned(),
                    None => message.id().unwrap().to_owned(),
                };
                assert_eq!(meant, id.to_string(), "{s} {id} got the reply of another");
                if message.id().is_none() {
                    coverage.saw("reply tagged");
                }
            }
            Ok(Outcome::Closed) => panic!("{s} {id} is not a close"),
            Err(error) => {
                assert_eq!((error.session(), error.request()), (Some(s), Some(id)));
                self.failed(id, error, unsent, deadline, now, coverage);
                self.unsent.retain(|(waiting, _)| *waiting != id);
            }
        }
    }

    /// Checks that what a request ended with is so.
    pub(crate) fn failed(
        &self,
        id: RequestId,
        error: &Error,
        unsent: bool,
        deadline: Instant,
        now: Instant,
        coverage: &mut Coverage,
    ) {
        let fits = match error.kind() {
            ErrorKind::Timeout(Phase::Send) => {
                coverage.saw("timeout send");
                unsent && deadline <= now
            }
            ErrorKind::Timeout(Phase::Reply) => {
                coverage.saw("timeout reply");
                !unsent && deadline <= now
            }
            ErrorKind::Timeout(Phase::Step) => {
                coverage.saw("timeout step");
                !unsent
            }
            ErrorKind::UnexpectedReply => {
                coverage.saw("wrong type");
                !unsent
            }
            ErrorKind::SessionClosed => self.closing.is_some(),
            // Why, the end of the session tells.
            ErrorKind::SessionFailed | ErrorKind::RendererExited => true,
            _ => false,
        };
        assert!(fits, "{} {id} ended with: {error}", self.id);
    }

    /// What must be true between any two steps.
    pub(crate) fn check(&self, now: Instant) {
        let s = self.id;
        if !self.is_open() {
            assert!(self.live.is_empty(), "{s} is closed and something waits");
            assert!(self.unsent.is_empty());
        }
        if self.released {
            assert_eq!(self.closes, 0, "{s} is over and a close waits");
        } else if let Some(running) = &self.running
            && self.is_open()
        {
            let left = running.step.is_some() && running.cancelled;
            assert!(!left, "{s} leaves a step unanswered at {now:?}");
        }
    }

    /// Deadlines up to `now` have been carried out.
    pub(crate) fn check_expired(&self, now: Instant) {
        let s = self.id;
        for (id, live) in &self.live {
            assert!(live.deadline > now, "{s} {id} outlived its deadline");
        }
        if !self.released {
            assert!(
                self.closing.is_none_or(|until| until > now),
                "{s} closes for good"
            );
        }
        if let Some(running) = &self.running
            && self.is_open()
        {
            assert!(
                running.step.is_none_or(|until| until > now),
                "{s} is stuck in a step"
            );
        }
    }

    /// Nothing is on its way anywhere, so nothing that may go waits.
    pub(crate) fn check_quiet(&self) {
        if self.running.is_none() {
            let stuck = self.unsent.len();
            assert_eq!(stuck, 0, "{} holds back what may go", self.id);
        }
    }

    /// The earliest time at which something must happen, as far as it is known.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        if self.released {
            return None;
        }
        if let Some(until) = self.closing {
            return Some(until);
        }
        let live = self.live.values().map(|live| live.deadline);
        let step = self.running.as_ref().and_then(|running| running.step);
        let told_later = self.told_later.values().copied();
        let told_later = told_later.filter(|_| self.drained && !self.lagged);
        live.chain(step).chain(told_later).min()
    }
}

/// The type as the owner would have named it.
fn kind_of(kind: &str) -> &'static str {
    const KINDS: [&str; 5] = [
        "query_response",
        "effect_response",
        "op_query_response",
        "effect_stub_register_ack",
        "interact_response",
    ];
    KINDS
        .into_iter()
        .find(|known| *known == kind)
        .expect("somebody asked for it")
}
