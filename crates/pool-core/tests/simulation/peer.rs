//! The renderer as a link sees it: a dispatcher, and for each session a queue and a thread.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::coverage::Coverage;
use super::json::Json;
use super::pool_core::{SessionId, Transport as _};
use super::rng::Rng;

/// What a session's channel holds; behind it messages stick.
const CHANNEL: usize = 512;
/// How long a session waits for the tree that answers a step.
const STEP_PATIENCE: Duration = Duration::from_secs(30);

/// Whether an id is that of a query by which the link asks whether an interact is over.
pub(crate) fn is_probe(id: Option<&str>) -> bool {
    let number = id.and_then(|id| id.strip_prefix('~')?.parse().ok());
    number.is_some_and(|number: u64| number > u64::MAX / 2)
}

pub(crate) struct Peer {
    window: usize,
    sessions: BTreeMap<SessionId, Thread>,
    ended: HashSet<SessionId>,
    /// What it has said and nobody has read yet.
    pub(crate) out: VecDeque<String>,
}

#[derive(Default)]
struct Thread {
    queue: VecDeque<Incoming>,
    interact: Option<Interact>,
    /// Taken off the queue, to be answered at some other time, as an effect is.
    later: Vec<Incoming>,
    /// Its reset was dispatched: nothing more may come.
    reset: bool,
}

struct Interact {
    id: String,
    steps: usize,
    /// Waiting for a tree since then.
    waiting: Option<Instant>,
}

#[derive(Debug)]
struct Incoming {
    kind: String,
    id: Option<String>,
    tag: String,
    /// What a reply repeats, so that the owner can tell whose it is.
    value: String,
}

impl Peer {
    pub(crate) fn new(window: u64) -> Self {
        Self {
            window: usize::try_from(window).unwrap(),
            sessions: BTreeMap::new(),
            ended: HashSet::new(),
            out: VecDeque::new(),
        }
    }

    /// The dispatcher reads a frame.
    pub(crate) fn dispatch(&mut self, frame: &Bytes, coverage: &mut Coverage) {
        let envelope = Json.envelope(frame).unwrap();
        let session: SessionId = envelope.session.parse().unwrap();
        if self.ended.contains(&session) {
            // On its way when the session failed: begins a session nobody wants.
            return;
        }
        if envelope.family.as_deref() == Some("unreadable") {
            return coverage.saw("unreadable");
        }
        let thread = self.sessions.entry(session).or_default();
        assert!(
            !thread.reset,
            "{session} was sent {} behind a reset",
            envelope.kind
        );
        thread.reset = envelope.kind == "reset";
        let text =
            |field: Option<std::borrow::Cow<'_, str>>| field.unwrap_or_default().into_owned();
        thread.queue.push_back(Incoming {
            kind: envelope.kind.into_owned(),
            id: envelope.id.map(Into::into),
            tag: text(envelope.tag.or(envelope.stub)),
            value: text(envelope.value),
        });
        // A reset may come on top: the session is over, and answers nothing else.
        let waiting = thread.queue.len() - usize::from(thread.reset);
        assert!(
            waiting <= self.window,
            "{waiting} messages wait in {session}"
        );
        assert!(
            thread.queue.len() < CHANNEL,
            "the queue of {session} sticks"
        );
        if waiting == self.window {
            coverage.saw("window full");
        }
    }

    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    /// A session's thread does one thing; whether there was one to do.
    pub(crate) fn turn(
        &mut self,
        session: SessionId,
        now: Instant,
        rng: &mut Rng,
        coverage: &mut Coverage,
    ) -> bool {
        let Some(thread) = self.sessions.get_mut(&session) else {
            return false;
        };
        if let Some(interact) = &mut thread.interact {
            let Some(since) = interact.waiting else {
                let kind = if interact.steps == 0 {
                    "interact_response"
                } else {
                    interact.steps -= 1;
                    interact.waiting = Some(now);
                    coverage.saw("step");
                    "interact_step"
                };
                let id = &interact.id;
                self.out.push_back(format!(
                    r#"{{"type":"{kind}","session":"{session}","id":"{id}","events":[]}}"#
                ));
                if kind == "interact_response" {
                    thread.interact = None;
                }
                return true;
            };
            if let Some(next) = thread.queue.pop_front() {
                match &*next.kind {
                    "snapshot" | "patch" => coverage.saw("step tree"),
                    "reset" => coverage.saw("reset swallowed"),
                    "query" if is_probe(next.id.as_deref()) => coverage.saw("probe swallowed"),
                    other => panic!("{other} was swallowed in a step of {session}"),
                }
                interact.waiting = None;
                return true;
            }
            if thread.reset || now >= since + STEP_PATIENCE {
                coverage.saw("host_disconnect");
                self.complain(session, "host_disconnect", "data");
                self.end(session, rng);
                return true;
            }
            return false;
        }
        match thread.queue.pop_front() {
            Some(message) => {
                self.take(session, message, rng, coverage);
                true
            }
            None if thread.reset => {
                self.end(session, rng);
                true
            }
            None => self.answer_later(session, rng),
        }
    }

    fn take(
        &mut self,
        session: SessionId,
        message: Incoming,
        rng: &mut Rng,
        coverage: &mut Coverage,
    ) {
        let Some(thread) = self.sessions.get_mut(&session) else {
            return;
        };
        match &*message.kind {
            "query" => {
                let own = message.value.is_empty();
                let kind = if !own && rng.one_in(40) {
                    "tree_hash_response"
                } else {
                    "query_response"
                };
                self.reply(session, kind, &message);
                if !own && rng.one_in(40) {
                    self.reply(session, kind, &message);
                }
            }
            "effect" => thread.later.push(message),
            "widget_op" => self.reply_tagged(session, "op_query_response", "tag", &message),
            "register_effect_stub" => {
                self.reply_tagged(session, "effect_stub_register_ack", "kind", &message);
            }
            "interact" if rng.one_in(20) => coverage.saw("interact dropped unread"),
            "interact" => {
                let steps = match rng.below(8) {
                    0..=2 => 0,
                    7 => rng.below(30),
                    n => n - 2,
                };
                thread.interact = Some(Interact {
                    id: message.id.expect("an interact is answered"),
                    steps,
                    waiting: None,
                });
            }
            "reset" => {
                let early = rng.one_in(4);
                if early {
                    self.end(session, rng);
                }
                if !rng.one_in(16) {
                    self.reply(session, "reset_response", &message);
                } else {
                    coverage.saw("reset_response lost");
                }
                if !early {
                    self.end(session, rng);
                }
            }
            "subscribe" | "snapshot" | "patch" => {}
            other => panic!("the link sent a {other}"),
        }
    }

    /// Answers something it had put off, in any order.
    fn answer_later(&mut self, session: SessionId, rng: &mut Rng) -> bool {
        let Some(thread) = self.sessions.get_mut(&session) else {
            return false;
        };
        if thread.later.is_empty() {
            return false;
        }
        let message = thread.later.swap_remove(rng.below(thread.later.len()));
        self.reply(session, "effect_response", &message);
        true
    }

    fn reply(&mut self, session: SessionId, kind: &str, to: &Incoming) {
        let id = to.id.as_deref().expect("it is a request");
        let value = &to.value;
        self.out.push_back(format!(
            r#"{{"type":"{kind}","session":"{session}","id":"{id}","value":"{value}"}}"#
        ));
    }

    fn reply_tagged(&mut self, session: SessionId, kind: &str, key: &str, to: &Incoming) {
        let (tag, value) = (&to.tag, &to.value);
        self.out.push_back(format!(
            r#"{{"type":"{kind}","session":"{session}","{key}":"{tag}","value":"{value}"}}"#
        ));
    }

    fn complain(&mut self, session: SessionId, code: &str, under: &str) {
        self.out.push_back(format!(
            r#"{{"type":"event","session":"{session}","family":"session_error","id":"","{under}":{{"code":"{code}","error":"so it is"}}}}"#
        ));
    }

    /// The session's thread ends; the word of it is lost when the output is congested.
    fn end(&mut self, session: SessionId, rng: &mut Rng) {
        self.sessions.remove(&session);
        self.ended.insert(session);
        if !rng.one_in(4) {
            self.out.push_back(format!(
                r#"{{"type":"event","session":"{session}","family":"session_closed","id":"","data":{{}}}}"#
            ));
        }
    }

    /// Something nobody asked for.
    pub(crate) fn babble(&mut self, rng: &mut Rng, coverage: &mut Coverage) {
        let session = rng.pick(&self.sessions());
        let name = session.map_or_else(String::new, |session| session.to_string());
        let line = match rng.below(12) {
            0..=2 => format!(
                r#"{{"type":"event","session":"{name}","family":"status","id":"w{}","value":"v{}"}}"#,
                rng.below(3),
                rng.below(2)
            ),
            3 | 4 => format!(r#"{{"type":"event","session":"{name}","family":"click","id":"w"}}"#),
            5 => format!(r#"{{"type":"diagnostic","session":"{name}","message":"so so"}}"#),
            6 => format!(r#"{{"type":"effect_response","session":"{name}","id":"mine"}}"#),
            7 => format!(r#"{{"type":"query_response","session":"{name}","id":"~99999"}}"#),
            8 => r#"{"type":"error","session":"","message":"woe"}"#.into(),
            9 => {
                coverage.saw("malformed");
                r#"{"type":"query_resp"#.into()
            }
            10 => r#"{"type":"query_response","session":"s999999","id":"~1"}"#.into(),
            _ => {
                let Some(session) = session else { return };
                let under = if rng.one_in(2) { "data" } else { "value" };
                if rng.one_in(3) {
                    coverage.saw("session_error");
                    self.complain(session, "session_panic", under);
                    self.end(session, rng);
                } else {
                    self.complain(session, "font_cap_exceeded", under);
                }
                return;
            }
        };
        self.out.push_back(line);
    }
}
