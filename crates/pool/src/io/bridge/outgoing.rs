//! What the client is told.

use std::time::Instant;

use bytes::Bytes;
use plushie_pool_core::link::{Outcome, SessionEvent};
use plushie_pool_core::{
    Error, ErrorKind, Forwarded, MAX_PAYLOAD, Message, Phase as Waited, RequestId,
};
use plushie_pool_renderer::Hello;

use super::{Bridge, Phase, Source};
use crate::io::says::{self, Code};
use crate::io::work::{Key, Purpose, Sent, Work};

/// How long a reply is that the pool passed over, in bytes; exactly, in its error alone.
const AT_LEAST: usize = MAX_PAYLOAD + 1;

impl Bridge {
    /// Has the renderer's hello ready, or sees to it: only a renderer that runs can say it.
    pub(super) fn find_hello(&mut self) {
        match &self.source {
            Source::One(session) => {
                let hello = session.renderer.identity().hello.payload().clone();
                self.greet(hello);
            }
            Source::Pool(pool) => match pool.engine().hello() {
                Some(hello) => self.greet(hello.payload().clone()),
                None => {
                    let pool = pool.clone();
                    let asking = async move { pool.ask_hello().await };
                    self.work.push(Work::Hello(Box::pin(asking)));
                }
            },
        }
    }

    pub(super) fn hello_from(&mut self, hello: Result<Hello, Error>) {
        match hello {
            Ok(hello) => self.greet(hello.payload().clone()),
            Err(error) => self.end_with(&error.to_string()),
        }
    }

    fn greet(&mut self, hello: Bytes) {
        self.hello = Some(hello);
        self.say_hello();
        if self.check_version() {
            self.phase = Phase::Serving;
        }
    }

    /// Says something that no client acts on, so that it knows that somebody is there: to the
    /// SDK for Rust, which speaks JSON and calls a second hello an error, the end of an interact
    /// in which nothing happened; to the others, of which that for Python counts nothing else,
    /// hello once more.
    pub(super) fn show_life(&mut self) {
        let is_json = self
            .client
            .transport()
            .is_some_and(|format| format.name() == "json");
        if is_json {
            self.say("", Some(""), &says::sign_of_life());
        } else {
            self.say_hello();
        }
    }

    fn say_hello(&mut self) {
        let (Some(client), Some(hello)) = (self.client.transport(), self.hello.clone()) else {
            return;
        };
        let transport = self.transport.clone();
        let name = self.config.transport.clone();
        let instead = [("transport", &*name), ("codec", client.name())];
        let hello = Forwarded::new(&*transport, &hello).with(&instead);
        self.say("", None, &hello);
    }

    /// A message was sent, or answered, or will never be.
    pub(super) fn sent(&mut self, sent: Sent, outcome: Result<Outcome, Error>) {
        if let Purpose::Close = sent.purpose {
            return self.closed(sent.key);
        }
        let Some(tenant) = self.tenants.get_mut(&sent.key) else {
            return;
        };
        tenant.left(sent.bytes);
        let name = tenant.name.clone();
        let interact = tenant.interacts.remove(&sent.id);
        match (sent.purpose, outcome) {
            (Purpose::Interact, Ok(Outcome::Reply(message))) => {
                if let Some(interact) = &interact {
                    self.count(interact.since);
                }
                let theirs = interact.map(|interact| interact.id);
                self.pass_on_interact(&name, sent.id, theirs, &message);
            }
            (Purpose::Interact, Err(error)) if is_too_large(&error) => {
                if let Some(interact) = interact {
                    let reply = "interact_response";
                    self.answer_without_body(&name, &interact.id, reply, error, AT_LEAST);
                }
            }
            (Purpose::Interact, Err(error)) if is_timeout(&error) => {
                tracing::warn!(session = &*name, %error, "a client's interact ends");
                if error.kind() == ErrorKind::Timeout(Waited::Step) {
                    let message = "the host did not answer a step of an interact with a tree";
                    self.eject(sent.key, Code::HostDisconnect, message);
                }
            }
            (Purpose::Ask { id, since, .. }, Ok(Outcome::Reply(message))) => {
                self.count(since);
                self.pass_on(&name, Some(&id), &message);
            }
            (Purpose::Ask { id, reply, .. }, Err(error)) if is_too_large(&error) => {
                self.answer_without_body(&name, &id, reply, error, AT_LEAST);
            }
            // A renderer would say nothing, and the client has a timeout of its own.
            (Purpose::Ask { id, .. }, Err(error)) if is_timeout(&error) => {
                tracing::warn!(session = &*name, id = &*id, %error, "a client's request ends");
            }
            (Purpose::Barrier, _) => self.close(sent.key),
            // The end of the session is told by its last event.
            _ => {}
        }
    }

    /// Something happened in a session; whether more may.
    pub(super) fn told(&mut self, key: Key, event: Option<SessionEvent>) -> bool {
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return false;
        };
        let name = tenant.name.clone();
        match event {
            Some(
                SessionEvent::Event(message)
                | SessionEvent::Diagnostic(message)
                | SessionEvent::Message(message),
            ) => self.pass_on(&name, None, &message),
            Some(SessionEvent::InteractStep { id, message }) => {
                let theirs = tenant.interacts.get_mut(&id).map(|interact| {
                    interact.in_step = true;
                    interact.id.clone()
                });
                let is_closing = tenant.closing.is_some();
                self.pass_on_interact(&name, id, theirs, &message);
                if is_closing {
                    self.send_no_change(key);
                }
            }
            // Those of other users of the session; a client's own are answered like its other requests.
            Some(SessionEvent::InteractResponse { id, message }) => {
                self.pass_on_interact(&name, id, None, &message);
                self.interacts.ended(id, Ok(message));
            }
            Some(SessionEvent::InteractFailed { id, error }) => {
                self.interacts.ended(id, Err(error));
            }
            Some(SessionEvent::Lagged(lost)) => {
                tracing::warn!(
                    session = &*name,
                    lost,
                    "a client does not read its events in time; the oldest were dropped"
                );
            }
            Some(SessionEvent::RendererExited(error)) => {
                self.lost(key, Some(Code::RendererPanic), &error);
                // A client of one session has lost its renderer. One of many goes on: the pool
                // starts another.
                if name.is_empty() || self.is_for_one() {
                    self.end_with(&error.to_string());
                }
                return false;
            }
            Some(SessionEvent::Failed(error)) => {
                let code = error.code().map(Code::of);
                self.lost(key, code, &error);
                if self.is_for_one() {
                    self.over();
                }
                return false;
            }
            Some(_) => {}
            None => {
                // It is closed: by the bridge, which hears of it otherwise, or by whoever
                // shares the session.
                let is_open = tenant.session().is_some();
                if is_open && self.is_for_one() {
                    self.say(&name, None, &says::session_closed());
                    self.over();
                }
                return false;
            }
        }
        true
    }

    /// Something asked at `since` is answered.
    fn count(&self, since: Instant) {
        if let Some(gauge) = &self.config.gauge {
            gauge.answered(since.elapsed());
        }
    }

    fn pass_on_interact(
        &mut self,
        name: &str,
        id: RequestId,
        theirs: Option<Box<str>>,
        message: &Message,
    ) {
        // An interact of whoever shares the session: the client's app has to react to it.
        let id = theirs.map_or_else(|| id.to_string(), String::from);
        self.pass_on(name, Some(&id), message);
    }

    /// Passes on what the renderer said, under the client's names.
    fn pass_on(&mut self, name: &str, id: Option<&str>, message: &Message) {
        let transport = self.transport.clone();
        let mut forwarded = Forwarded::new(&*transport, message.payload());
        if message.kind().starts_with("interact") {
            forwarded = forwarded.with_events_of(name);
        }
        if id.is_none() {
            forwarded = forwarded.keeping_id();
        }
        if !self.try_to_say(name, id, &forwarded) {
            self.leave_unsaid(name, id, message);
        }
    }
}

fn is_too_large(error: &Error) -> bool {
    error.kind() == ErrorKind::ReplyTooLarge
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout(_))
}
