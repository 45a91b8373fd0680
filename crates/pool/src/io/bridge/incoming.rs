//! What the client says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plushie_pool_core::link::{Answer, Outcome, Submission};
use plushie_pool_core::{Class, Envelope, Error, ErrorKind, Forwarded, Header, Outline, RequestId};
use plushie_pool_renderer::Completed;

use super::whole::Whole;
use super::{Bridge, MOST, Phase, Source, TURN, unsaid};
use crate::builder::LONGEST;
use crate::choice::splice;
use crate::fonts;
use crate::io::says::{self, Code};
use crate::io::tenant::{Closing, Interact, State, Tenant};
use crate::io::work::{Key, Purpose, Sending, Sent, Work};
use crate::session::Session;

/// How long the name of a session may be, in bytes. It is kept in several places for as long as
/// the session lives.
const NAME: usize = 64 * 1024;

/// How long a renderer may take at least to answer everything it was asked before a session is
/// closed.
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
                    Err(error) => {
                        self.cut_off(&error);
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

    /// Reads no more of what the client sends. A renderer says why only if that was the first
    /// message, and answers what it was asked before.
    fn cut_off(&mut self, error: &Error) {
        // Not what exactly: it may be a token.
        let reason = match error.kind() {
            ErrorKind::Framing if self.awaits_settings() => {
                "the first message is empty or longer than 64 MiB"
            }
            ErrorKind::PoolFull => {
                "the first message is long, and clients without a token hold all the memory there \
                 is for such; try again"
            }
            ErrorKind::Framing => "a message is empty, longer than 64 MiB, or not UTF-8",
            _ => "the format of the first message is not one of this pool's",
        };
        if self.phase == Phase::Settings {
            return self.end_with(reason);
        }
        self.reason.get_or_insert_with(|| reason.to_owned());
        self.client.cut();
    }

    /// A message for a session; handed back if that has no room for it yet. What a renderer would
    /// drop without a word is dropped here, with a word in the log.
    fn take_message(&mut self, payload: Bytes) -> Option<Bytes> {
        let transport = self.client.transport()?;
        let Ok(envelope) = transport.envelope(&payload) else {
            dropped(
                &payload,
                "it is not one map with a text as `type`, or nests too deep",
            );
            return None;
        };
        let name = &*envelope.session;
        if name.len() > NAME {
            dropped(&payload, "its `session` is longer than 64 KiB");
            return None;
        }
        let kind = &*envelope.kind;
        let is_tree = Class::of(kind) == Class::Tree;
        let tenant = self.names.get(name).and_then(|key| self.tenants.get(key));
        // What the bridge acts on itself, and what decides how others go on, has to be what the
        // renderer would act on; all else the renderer reads in time.
        let decides = match tenant {
            Some(tenant) => tenant.closing.is_some() || is_tree && !tenant.interacts.is_empty(),
            None if !is_known(kind) => {
                dropped(&payload, "its `type` is none of the renderer's");
                return None;
            }
            None => true,
        };
        let whole = if decides || matches!(kind, "reset" | "widget_op" | "interact" | "pool_status")
        {
            let Some(whole) = Whole::of(&*transport, &payload) else {
                dropped(&payload, "a part of it cannot be read");
                return None;
            };
            whole
        } else {
            Whole::default()
        };
        let id = envelope.id.as_deref();
        match kind {
            "reset" => match id {
                Some(id) => self.reset(name, id),
                None => dropped(&payload, "a reset needs a text as `id`"),
            },
            "pool_status" => self.report(name, id),
            "interact" if id.is_none() || whole.action.is_none() => {
                dropped(&payload, "an interact needs texts as `id` and `action`");
            }
            // What was sent along with it is answered first.
            "widget_op" if whole.op.as_deref() == Some("exit") && self.ends_with(name) => {
                self.exits = true;
            }
            // In mock and headless the renderer ignores it; no session is opened for that.
            "widget_op"
                if whole.op.as_deref() == Some("exit") && !self.names.contains_key(name) => {}
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
            None => tracing::debug!("a client asks for a pool_status, which is a server's to tell"),
        }
    }

    /// Whether the client ends with an `exit` in this session: it has no other. A windowed renderer
    /// exits whatever session is named; the SDK for Elixir names none.
    fn ends_with(&self, name: &str) -> bool {
        let mut tenants = self.tenants.values();
        tenants.all(|tenant| *tenant.name == *name) || self.tenants.len() == 1 && self.is_windowed()
    }

    fn is_windowed(&self) -> bool {
        match &self.source {
            Source::Pool(pool) => pool.engine().mode() == "windowed",
            Source::One(session) => session.renderer.identity().hello.mode == "windowed",
        }
    }

    fn reset(&mut self, name: &str, id: &str) {
        let Some(key) = self.names.get(name).copied() else {
            // As the renderer does.
            self.say(name, Some(id), &says::reset_response());
            self.say(name, None, &says::session_closed());
            return;
        };
        match self.tenants.get_mut(&key) {
            // No renderer has heard of it, and none needs to.
            Some(tenant) if tenant.closing.is_none() && tenant.waits_for_permit() => {
                self.remove(key, None);
                self.confirm(name, Some(Closing::Reset(id.into())));
            }
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
        let error = says::session_error(&Code::ResetInProgress, error);
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
        let id = envelope.id.as_deref();
        let asks = match &*envelope.kind {
            "query" | "tree_hash" | "screenshot" | "interact" => id,
            // That is the name of a widget.
            "command" => None,
            // May take as long as a person does, so nobody waits for it; but under an id like
            // the pool's own its answer would not find the way.
            _ => id.filter(|id| id.parse::<RequestId>().is_ok()),
        };
        let outline = Outgoing {
            class: Class::of(&envelope.kind),
            asks: asks.map(Into::into),
            reply: unsaid::reply_to(&envelope.kind),
            purpose: Purpose::Tell,
            bytes: payload.len(),
        };
        let hides = matches!(&*envelope.kind, "settings" | "window_op");
        self.submit(key, Body::Theirs { payload, hides }, outline);
        if let (Some(session), Some(client)) = (
            self.tenants.get(&key).and_then(Tenant::session),
            self.client.transport(),
        ) {
            session.follow_clipboard(&*client, payload);
        }
    }

    /// Answers a step of an interact whose client sends no more trees.
    pub(super) fn send_no_change(&mut self, key: Key) {
        let outline = Outgoing {
            class: Class::Tree,
            asks: None,
            reply: "query_response",
            purpose: Purpose::Tell,
            bytes: 0,
        };
        self.submit(key, Body::Own(&says::no_change()), outline);
    }

    /// Asks the renderer something, to know when all that was asked before is answered.
    pub(super) fn send_barrier(&mut self, key: Key) {
        let outline = Outgoing {
            class: Class::Plain,
            asks: None,
            reply: "query_response",
            purpose: Purpose::Barrier,
            bytes: 0,
        };
        self.submit(key, Body::Own(&says::barrier()), outline);
    }

    fn submit(&mut self, key: Key, body: Body<'_>, outline: Outgoing) {
        let Outgoing {
            class,
            asks,
            reply,
            mut purpose,
            bytes,
        } = outline;
        let Some(session) = self.tenants.get(&key).and_then(Tenant::session).cloned() else {
            return;
        };
        let id = session.next_id();
        let is_answered = asks.is_some() || matches!(purpose, Purpose::Barrier);
        let wire_id = is_answered.then(|| id.text());
        let header = Header {
            session: &session.id.text(),
            id: wire_id.as_deref(),
        };
        let Ok(frame) = self.frame(header, &body) else {
            // Not why: the error quotes the message, which may hold a token.
            if let Body::Theirs { payload, .. } = body {
                dropped(
                    payload,
                    "a part of it cannot be read, or the pool's format has no room",
                );
            }
            return;
        };
        let now = Instant::now();
        let timeout = match purpose {
            Purpose::Barrier => LAST_ANSWERS.max(session.timeout()),
            _ if is_answered => session.timeout(),
            _ => LONGEST,
        };
        let answer = match (class, asks) {
            (Class::Interact, Some(name)) => {
                let interact = Interact {
                    id: name,
                    since: now,
                    in_step: false,
                };
                if let Some(tenant) = self.tenants.get_mut(&key) {
                    tenant.interacts.insert(id, interact);
                }
                purpose = Purpose::Interact;
                Answer::Any
            }
            (_, Some(name)) => {
                purpose = Purpose::Ask {
                    id: name,
                    since: now,
                    reply,
                };
                Answer::Any
            }
            (_, None) if is_answered => Answer::Any,
            (_, None) => Answer::None,
        };
        let bytes = bytes.max(frame.len());
        if class == Class::Tree
            && let Some(tenant) = self.tenants.get_mut(&key)
        {
            tenant.answers_step();
        }
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
            // It is over, which its last event says.
            Err(error) => self.unsent(sent, &error),
        }
    }

    /// The message as the pool's renderer is sent it.
    fn frame(&self, header: Header<'_>, body: &Body<'_>) -> Result<Bytes, Error> {
        let (payload, hides) = match body {
            Body::Own(message) => return self.transport.encode(header, *message),
            Body::Theirs { payload, hides } => (*payload, *hides),
        };
        let Some(client) = self.client.transport() else {
            return Err(crate::engine::closed());
        };
        if !hides && let Some(spliced) = splice(&*client, &*self.transport, header, payload) {
            return spliced;
        }
        let mut message = Forwarded::new(&*client, payload).for_renderer();
        if hides {
            message = message.without_credentials();
        }
        if header.id.is_none() {
            message = message.keeping_id();
        }
        self.transport.encode(header, &message)
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
        tracing::debug!(%error, "a client's message was not sent");
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
    /// `type` of that answer.
    reply: &'static str,
    purpose: Purpose,
    /// What the client's message takes, its id included.
    bytes: usize,
}

/// A message for a renderer.
#[derive(Clone, Copy)]
enum Body<'a> {
    /// The bridge's own.
    Own(&'a dyn erased_serde::Serialize),
    /// The client's, which may hold what opens the server and goes no further.
    Theirs { payload: &'a Bytes, hides: bool },
}

/// Whether renderer 0.7.1 knows messages of this `type`: any other begins no session
/// (`IncomingMessage` in `protocol/incoming.rs` of `plushie-core`). To a session that there is all
/// are passed on, since a later renderer may know more.
fn is_known(kind: &str) -> bool {
    matches!(
        kind,
        "snapshot"
            | "patch"
            | "effect"
            | "widget_op"
            | "subscribe"
            | "unsubscribe"
            | "window_op"
            | "system_op"
            | "system_query"
            | "settings"
            | "query"
            | "interact"
            | "tree_hash"
            | "screenshot"
            | "reset"
            | "image_op"
            | "command"
            | "commands"
            | "advance_frame"
            | "register_effect_stub"
            | "unregister_effect_stub"
            | "load_font"
            | "pool_status"
    )
}

/// Says in the log what a renderer would say on its standard error. Nothing of the message is
/// quoted: it may hold a token.
fn dropped(payload: &[u8], why: &str) {
    let bytes = payload.len();
    tracing::warn!(
        bytes,
        why,
        "dropped a client's message, as a renderer would"
    );
}
