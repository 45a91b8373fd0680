//! Drives a link and tells what came of it in short words, so that a test reads as a script.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::json::Json;
use crate::link::{Answer, Effects, Link, LinkConfig, Outcome, SessionEvent, Submission};
use crate::{Addressing, Class, Close, Error, Header, RequestId, SessionId, Transport};

/// How long a request may take, unless a test says otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Rig {
    pub(super) link: Link<&'static str>,
    pub(super) effects: Effects<&'static str>,
    pub(super) now: Instant,
    next: u64,
    timeout: Duration,
    woken: Arc<Woken>,
}

/// Counts how often an owner was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The bounds a pool of the real renderer has.
pub(super) fn config() -> LinkConfig {
    LinkConfig::new(Arc::new(Json), Addressing::BySession, Close::Reset)
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: LinkConfig) -> Self {
        Self {
            link: Link::new(config),
            effects: Effects::default(),
            now: Instant::now(),
            next: 1,
            timeout: TIMEOUT,
            woken: Arc::default(),
        }
    }

    /// A rig with one session in it.
    pub(super) fn of_one() -> (Self, SessionId) {
        let mut rig = Self::new();
        let session = rig.open(1);
        (rig, session)
    }

    pub(super) fn open(&mut self, n: u64) -> SessionId {
        let id = SessionId::new(n);
        self.link.open(id).unwrap();
        id
    }

    /// What is submitted from now on may take this long.
    pub(super) fn patience(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(super) fn send(&mut self, session: SessionId, name: &'static str) -> RequestId {
        let body = json!({"type": "subscribe", "name": name});
        self.submit(session, name, Class::Plain, Answer::None, body)
    }

    pub(super) fn tree(&mut self, session: SessionId, name: &'static str) -> RequestId {
        let body = json!({"type": "snapshot", "name": name});
        self.submit(session, name, Class::Tree, Answer::None, body)
    }

    pub(super) fn query(&mut self, session: SessionId, name: &'static str) -> RequestId {
        let body = json!({"type": "query", "name": name});
        let answer = reply("query_response", None);
        self.submit(session, name, Class::Plain, answer, body)
    }

    /// A request whose reply has no id, and may repeat `tag`.
    pub(super) fn op(
        &mut self,
        session: SessionId,
        name: &'static str,
        tag: Option<&str>,
    ) -> RequestId {
        let body = json!({"type": "widget_op", "name": name});
        let answer = reply("op_query_response", tag);
        self.submit(session, name, Class::Plain, answer, body)
    }

    /// An interact whose end is an event.
    pub(super) fn interact(&mut self, session: SessionId, name: &'static str) -> RequestId {
        let body = json!({"type": "interact", "name": name});
        self.submit(session, name, Class::Interact, Answer::Events, body)
    }

    /// An interact whose end is a reply.
    pub(super) fn interact_request(&mut self, session: SessionId, name: &'static str) -> RequestId {
        let body = json!({"type": "interact", "name": name});
        let answer = reply("interact_response", None);
        self.submit(session, name, Class::Interact, answer, body)
    }

    pub(super) fn submit(
        &mut self,
        session: SessionId,
        name: &'static str,
        class: Class,
        answer: Answer,
        body: Value,
    ) -> RequestId {
        self.try_submit(session, name, class, answer, body).unwrap()
    }

    pub(super) fn try_submit(
        &mut self,
        session: SessionId,
        name: &'static str,
        class: Class,
        answer: Answer,
        body: Value,
    ) -> Result<RequestId, Error> {
        let id = RequestId::new(self.next);
        self.next += 1;
        let answered = !matches!(answer, Answer::None);
        let name_of_request = id.to_string();
        let header = Header {
            session: &session.to_string(),
            id: answered.then_some(&*name_of_request),
        };
        let submission = Submission {
            id,
            frame: Json.encode(header, &body)?,
            class,
            answer,
            deadline: self.now + self.timeout,
            timeout: self.timeout,
            completion: name,
        };
        self.link.submit(session, submission, &mut self.effects)?;
        Ok(id)
    }

    pub(super) fn cancel(&mut self, session: SessionId, id: RequestId) {
        self.link.cancel(session, id, &mut self.effects);
    }

    pub(super) fn close(&mut self, session: SessionId, name: &'static str) {
        self.link
            .close(session, Some(name), self.now, &mut self.effects);
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.link.forget(session, self.now, &mut self.effects);
    }

    /// The renderer says this.
    pub(super) fn peer(&mut self, message: &Value) {
        self.payload(message.to_string());
    }

    pub(super) fn payload(&mut self, payload: String) {
        self.link
            .receive(Bytes::from(payload), self.now, &mut self.effects);
    }

    /// The renderer answers request `id`.
    pub(super) fn reply(&mut self, session: SessionId, kind: &str, id: RequestId) {
        let [session, id] = [session.to_string(), id.to_string()];
        self.peer(&json!({"type": kind, "session": session, "id": id}));
    }

    /// The renderer answers a request that has no id.
    pub(super) fn reply_tagged(&mut self, session: SessionId, kind: &str, key: &str, tag: &str) {
        self.peer(&json!({"type": kind, "session": session.to_string(), key: tag}));
    }

    pub(super) fn step(&mut self, session: SessionId, id: RequestId) {
        self.reply(session, "interact_step", id);
    }

    pub(super) fn event(&mut self, session: SessionId, family: &str) {
        let session = session.to_string();
        self.peer(&json!({"type": "event", "session": session, "family": family, "id": ""}));
    }

    pub(super) fn session_error(&mut self, session: SessionId, code: &str, under: &str) {
        self.peer(&json!({
            "type": "event", "session": session.to_string(), "family": "session_error", "id": "",
            under: {"code": code, "error": "it was too much"},
        }));
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.link.fail(error, &mut self.effects);
    }

    /// Time passes; the link is called whenever it wanted to be.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.link.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.link.expire(self.now, &mut self.effects);
        }
        self.now = end;
    }

    /// What has been handed to the writer, all of it written at once: `s1 query a`.
    pub(super) fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        loop {
            let frames = self.frames();
            if frames.is_empty() {
                return sent;
            }
            self.written(frames.iter().map(Bytes::len).sum());
            sent.extend(frames.iter().map(|frame| in_short(frame)));
        }
    }

    /// What has been handed to the writer, none of it written yet.
    pub(super) fn frames(&mut self) -> VecDeque<Bytes> {
        let mut frames = VecDeque::new();
        self.link.transmit(&mut frames);
        frames
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.link.transmitted(bytes, &mut self.effects);
    }

    /// What ended since this was last asked: `a: query_response ~1`.
    pub(super) fn finished(&mut self) -> Vec<String> {
        let finished = std::mem::take(&mut self.effects.finished).into_iter();
        let told = finished.map(|(name, result)| match result {
            Ok(Outcome::Sent) => format!("{name}: sent"),
            Ok(Outcome::Closed) => format!("{name}: closed"),
            Ok(Outcome::Reply(message)) => match message.id() {
                Some(id) => format!("{name}: {} {id}", message.kind()),
                None => format!("{name}: {}", message.kind()),
            },
            Err(error) => format!("{name}: {}", error_in_short(&error)),
        });
        told.collect()
    }

    pub(super) fn released(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.effects.released)
    }

    /// What the owner of `session` reads until it would have to wait.
    pub(super) fn events(&mut self, session: SessionId) -> Vec<String> {
        let waker = self.woken.clone().into();
        let mut context = Context::from_waker(&waker);
        let mut events = Vec::new();
        loop {
            let event = match self
                .link
                .poll_event(session, &mut context, &mut self.effects)
            {
                Poll::Pending => return events,
                Poll::Ready(None) => {
                    events.push("end".into());
                    return events;
                }
                Poll::Ready(Some(event)) => event,
            };
            events.push(match event {
                SessionEvent::Event(message) => {
                    format!("event {}", message.family().unwrap_or("?"))
                }
                SessionEvent::Diagnostic(_) => "diagnostic".into(),
                SessionEvent::InteractStep { id, .. } => format!("step {id}"),
                SessionEvent::InteractResponse { id, .. } => format!("response {id}"),
                SessionEvent::InteractFailed { error, .. } => {
                    format!("interact: {}", error_in_short(&error))
                }
                SessionEvent::Message(message) => format!("message {}", message.kind()),
                SessionEvent::Lagged(n) => format!("lagged {n}"),
                SessionEvent::RendererExited(error) => {
                    format!("exited: {}", error_in_short(&error))
                }
                SessionEvent::Failed(error) => format!("failed: {}", error_in_short(&error)),
            });
        }
    }

    /// How many owners have been woken since this was last asked.
    pub(super) fn woken(&mut self) -> usize {
        for waker in std::mem::take(&mut self.effects.wakers) {
            waker.wake();
        }
        self.woken.0.swap(0, Ordering::Relaxed)
    }
}

pub(super) fn reply(kind: &str, tag: Option<&str>) -> Answer {
    Answer::Reply {
        kind: kind.into(),
        tag: tag.map(Into::into),
    }
}

/// `Timeout(Reply) in s1 ~3`
fn error_in_short(error: &Error) -> String {
    let mut text = format!("{:?}", error.kind());
    if let Some(session) = error.session() {
        text += &format!(" in {session}");
    }
    if let Some(request) = error.request() {
        text += &format!(" {request}");
    }
    text
}

/// `s1 query a`, or `s1 reset ~0` if it is the link's own.
fn in_short(frame: &[u8]) -> String {
    let message: Value = serde_json::from_slice(frame).unwrap();
    let text = |key: &str| message[key].as_str().unwrap_or_default();
    let name = message["name"].as_str().unwrap_or(text("id"));
    format!("{} {} {name}", text("session"), text("type"))
}
