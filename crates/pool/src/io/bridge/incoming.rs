//! What the client says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plushie_pool_core::link::{Answer, Outcome, Submission};
use plushie_pool_core::{
    Class, Envelope, Error, ErrorKind, Forwarded, Header, Outline, RequestId, Transport,
    decode_payload,
};
use plushie_pool_renderer::Completed;
use serde::Deserialize;

use super::{Bridge, MOST, Phase, TURN};
use crate::builder::LONGEST;
use crate::fonts;
use crate::io::says;
use crate::io::tenant::{Closing, Interact, State, Tenant};
use crate::io::work::{Key, Purpose, Sending, Sent, Work};
use crate::session::Session;

/// How long the name of a session or of a request may be, in bytes.
const NAME: usize = 1024;

/// How long a renderer may take to answer everything it was asked before a session is closed.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

impl Bridge {
    /// Takes what the client sent, for as long as there is room; whether there was any.
    pub(super) fn take_input(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..TURN {
            let listens = matches!(self.phase, Phase::Settings | Phase::Serving);
            if !listens || !self.client.has_room() {
                break;
            }
            let payload = match self.held.take() {
                Some(held) => held,
                None => match self.client.next() {
                    Ok(Some(payload)) => payload,
                    Ok(None) => break,
                    // Not what exactly: it may be a token.
                    Err(error) => {
                        let message = match error.kind() {
                            ErrorKind::Framing if self.awaits_settings() => {
                                "the first message is empty or longer than 1 MiB"
                            }
                            ErrorKind::Framing => "a message is empty or longer than 64 MiB",
                            _ => "the format of the first message is not one of this pool's",
                        };
                        self.end_with(message);
                        break;
                    }
                },
            };
            self.held = match self.phase {
                Phase::Settings => {
                    self.take_settings(payload);
                    None
                }
                _ => self.take_message(payload),
            };
            if self.held.is_some() {
                break;
            }
            moved = true;
        }
        moved
    }

    /// A message for a session; handed back if that has no room for it yet.
    fn take_message(&mut self, payload: Bytes) -> Option<Bytes> {
        let transport = self.client.transport()?;
        let Ok(envelope) = transport.envelope(&payload) else {
            let detail = format!(
                "a message of {} bytes is not one map with a `type`, or nests too deep; it was \
                 dropped",
                payload.len()
            );
            self.diagnose("", "unreadable_message", &detail);
            return None;
        };
        let id = envelope.id.as_deref();
        if envelope.session.len().max(id.map_or(0, str::len)) > NAME {
            let detail = format!("a `session` or `id` is longer than {NAME} bytes");
            self.diagnose("", "unreadable_message", &detail);
            return None;
        }
        let name = &*envelope.session;
        match &*envelope.kind {
            "reset" => self.reset(name, id.unwrap_or_default()),
            "pool_status" => self.report(name, id),
            "widget_op" if self.is_alone(name) && is_exit(&*transport, &payload) => self.over(),
            _ => {
                let key = self.tenant(name)?;
                let bytes: usize = self.tenants.values().map(Tenant::bytes).sum();
                let is_only = self.tenants.len() == 1;
                let tenant = self.tenants.get_mut(&key)?;
                if tenant.closing.is_some() {
                    self.say_closing(name);
                    return None;
                }
                // A tree may be what the others wait for.
                let is_tree = Class::of(&envelope.kind) == Class::Tree;
                let is_urgent = is_tree && !tenant.interacts.is_empty();
                if bytes >= MOST && !is_urgent {
                    return Some(payload);
                }
                if !tenant.has_room(is_urgent) {
                    if is_only && tenant.flows() {
                        return Some(payload);
                    }
                    self.give_up(key);
                    return None;
                }
                match tenant.state {
                    State::Opening { .. } => {
                        tenant.joined(payload.len());
                        tenant.waiting.push_back(payload.clone());
                    }
                    _ => self.send_counted(key, &payload, &envelope),
                }
            }
        }
        None
    }

    /// Tells the client how the whole pool does.
    fn report(&mut self, name: &str, id: Option<&str>) {
        let report = self.config.gauge.as_ref().and_then(|gauge| gauge.report());
        match report {
            Some(report) => self.say(name, id, &says::pool_status(&*report)),
            None => self.diagnose(name, "unknown_message", "nobody answers a pool_status here"),
        }
    }

    /// Whether the client has no session but this, if any.
    fn is_alone(&self, name: &str) -> bool {
        self.tenants.values().all(|tenant| *tenant.name == *name)
    }

    fn reset(&mut self, name: &str, id: &str) {
        let Some(key) = self.names.get(name).copied() else {
            // As the renderer does.
            self.say(name, Some(id), &says::reset_response());
            self.say(name, None, &says::session_closed());
            return;
        };
        match self.tenants.get_mut(&key) {
            Some(tenant) if tenant.closing.is_none() => {
                tenant.closing = Some(Closing::Reset(id.into()));
                self.wind_down(key);
            }
            _ => self.say_closing(name),
        }
    }

    /// As the renderer does to whoever does not wait for a session to be closed.
    fn say_closing(&mut self, name: &str) {
        let error = "session is closing; wait for session_closed before reusing this ID";
        let error = says::session_error("session_reset_in_progress", error);
        self.say(name, None, &error);
    }

    /// Sends what waited for the session to be open.
    pub(super) fn send_waiting(&mut self, key: Key) {
        let Some(transport) = self.client.transport() else {
            return;
        };
        let waiting = self.tenants.get_mut(&key).map(|tenant| {
            let waiting = std::mem::take(&mut tenant.waiting);
            for payload in &waiting {
                tenant.left(payload.len());
            }
            waiting
        });
        if let Some(settings) = self.settings.clone()
            && let Ok(envelope) = transport.envelope(&settings)
        {
            // Their fonts were counted when the session was placed.
            self.send(key, &settings, &envelope);
        }
        for payload in waiting.into_iter().flatten() {
            if let Ok(envelope) = transport.envelope(&payload) {
                self.send_counted(key, &payload, &envelope);
            }
        }
    }

    /// Passes a message on to its session, and counts the fonts that it loads.
    fn send_counted(&mut self, key: Key, payload: &Bytes, envelope: &Envelope<'_>) {
        if Outline::is_of_fonts(&envelope.kind)
            && let Some(transport) = self.client.transport()
            && let Some(session) = self.tenants.get(&key).and_then(Tenant::session)
        {
            session.loads_fonts(fonts::of_message(&*transport, payload));
        }
        self.send(key, payload, envelope);
    }

    /// Passes a message on to its session.
    fn send(&mut self, key: Key, payload: &Bytes, envelope: &Envelope<'_>) {
        let Some(transport) = self.client.transport() else {
            return;
        };
        let mut message = Forwarded::new(&*transport, payload);
        if let "settings" | "window_op" = &*envelope.kind {
            message = message.without_credentials();
        }
        let id = envelope.id.as_deref();
        let asks = match &*envelope.kind {
            "query" | "tree_hash" | "screenshot" | "interact" => id,
            // That is the name of a widget.
            "command" => None,
            // May take as long as a person does, so nobody waits for it; but under an id like
            // the pool's own its answer would not find the way.
            _ => id.filter(|id| id.parse::<RequestId>().is_ok()),
        };
        if asks.is_none() {
            message = message.keeping_id();
        }
        let outline = Outgoing {
            class: Class::of(&envelope.kind),
            asks: asks.map(Into::into),
            purpose: Purpose::Tell,
        };
        self.submit(key, &message, outline);
        if let Some(session) = self.tenants.get(&key).and_then(Tenant::session) {
            session.follow_clipboard(&*transport, payload);
        }
    }

    /// Asks the renderer something, to know when all that was asked before is answered.
    pub(super) fn send_barrier(&mut self, key: Key) {
        let outline = Outgoing {
            class: Class::Plain,
            asks: None,
            purpose: Purpose::Barrier,
        };
        self.submit(key, &says::barrier(), outline);
    }

    fn submit(&mut self, key: Key, message: &dyn erased_serde::Serialize, outline: Outgoing) {
        let Outgoing {
            class,
            asks,
            mut purpose,
        } = outline;
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return;
        };
        let Some(session) = tenant.session().cloned() else {
            return;
        };
        let id = session.next_id();
        let is_answered = asks.is_some() || matches!(purpose, Purpose::Barrier);
        let wire_id = is_answered.then(|| id.text());
        let header = Header {
            session: &session.id.text(),
            id: wire_id.as_deref(),
        };
        let Ok(frame) = self.transport.encode(header, message) else {
            let name = tenant.name.clone();
            // Not why: the error quotes the message, which may hold a token.
            let detail = "a message cannot be expressed in the pool's own format: it holds a \
                          number that is none, or is too large; it was dropped";
            return self.diagnose(&name, "unreadable_message", detail);
        };
        let now = Instant::now();
        let timeout = match purpose {
            Purpose::Barrier => LAST_ANSWERS,
            _ if is_answered => session.timeout(),
            _ => LONGEST,
        };
        let answer = match (class, asks) {
            (Class::Interact, Some(name)) => {
                let interact = Interact {
                    id: name,
                    since: now,
                };
                tenant.interacts.insert(id, interact);
                Answer::Events
            }
            (_, Some(name)) => {
                purpose = Purpose::Ask {
                    id: name,
                    since: now,
                };
                Answer::Any
            }
            (_, None) if is_answered => Answer::Any,
            (_, None) => Answer::None,
        };
        let bytes = frame.len();
        let (completion, completed) = session.renderer.completion();
        let submission = Submission {
            id,
            frame,
            class,
            answer,
            deadline: now + timeout,
            timeout,
            completion,
        };
        let submitted = session.renderer.submit(session.id, submission);
        let sent = Sent {
            key,
            id,
            bytes,
            purpose,
        };
        match submitted {
            Ok(()) => self.follow(sent, session, completed),
            // It is over, which its last event says; or the interact brings no id, and the
            // renderer would drop it.
            Err(error) => self.unsent(sent, &error),
        }
    }

    fn follow(&mut self, sent: Sent, session: Arc<Session>, mut completed: Completed) {
        if let Some(tenant) = self.tenants.get_mut(&sent.key) {
            tenant.joined(sent.bytes);
        }
        // Most messages without an answer are on their way by now.
        match completed.outcome() {
            Some(Ok(Outcome::Sent)) => self.sent(sent, Ok(Outcome::Sent)),
            Some(outcome) => self.answers.add(sent, outcome),
            None => {
                let sent = Some(sent);
                self.work.push(Work::Sending(Sending {
                    sent,
                    session,
                    completed,
                }));
            }
        }
    }

    fn unsent(&mut self, sent: Sent, error: &Error) {
        let Some(tenant) = self.tenants.get_mut(&sent.key) else {
            return;
        };
        tenant.interacts.remove(&sent.id);
        if error.kind() == ErrorKind::InvalidMessage {
            let name = tenant.name.clone();
            let detail = "an interact without an `id` is never answered; it was dropped";
            self.diagnose(&name, "unreadable_message", detail);
        }
        if matches!(sent.purpose, Purpose::Barrier) {
            self.close(sent.key);
        }
    }
}

/// What passing a message on needs to know of it.
struct Outgoing {
    class: Class,
    /// The client waits for an answer under this id.
    asks: Option<Box<str>>,
    purpose: Purpose,
}

/// Whether a `widget_op` asks the renderer to end.
fn is_exit(transport: &dyn Transport, payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct WidgetOp {
        op: String,
    }
    decode_payload::<WidgetOp>(transport, payload).is_ok_and(|message| message.op == "exit")
}
