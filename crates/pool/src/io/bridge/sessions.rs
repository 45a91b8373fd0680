//! The client's sessions: how they come and how they go.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::{Either, select};
use plushie_pool_core::{Error, ErrorKind, RequestId};

use super::{Bridge, Phase, Source};
use crate::io::says::{self, Code};
use crate::io::tenant::{Closing, State, Tenant};
use crate::io::work::{Key, NextEvent, Purpose, Sending, Sent, Work};
use crate::session::Session;

/// How long a client waits for a session before the log says so.
const UNNOTED: Duration = Duration::from_secs(2);

/// What comes after every answer.
const LAST: RequestId = RequestId::new(u64::MAX);

impl Bridge {
    /// The client's session of this name, opened if need be. None if it cannot be, which the
    /// client was told.
    pub(super) fn tenant(&mut self, name: &str) -> Option<Key> {
        if let Some(key) = self.names.get(name) {
            return Some(*key);
        }
        let most = match self.source {
            Source::Pool(_) => self.config.max_sessions,
            Source::One(_) => 1,
        };
        if self.tenants.len() >= most {
            let error = format!(
                "max sessions ({most}) of one connection reached; session {name:?} rejected"
            );
            self.say(name, None, &says::session_error(&Code::MaxSessions, &error));
            return None;
        }
        let key = Key(self.next_key);
        self.next_key += 1;
        let (place, given_up) = oneshot::channel();
        let slot = match &self.source {
            Source::Pool(pool) => pool.try_acquire().ok(),
            Source::One(_) => None,
        };
        let has_permit = Arc::new(AtomicBool::new(slot.is_some()));
        let state = State::Opening {
            since: Instant::now(),
            has_permit: has_permit.clone(),
            noted: false,
            _place: place,
        };
        self.tenants.insert(key, Tenant::new(name, state));
        self.names.insert(name.into(), key);
        if let Some(gauge) = &self.config.gauge {
            gauge.entered(name);
        }
        match &self.source {
            Source::Pool(pool) => {
                let pool = pool.clone();
                let fonts = self.fonts;
                let opening = async move {
                    let permitted = || has_permit.store(true, Ordering::Relaxed);
                    let opened = pool.register_loading(slot, fonts, permitted);
                    match select(pin!(opened), given_up).await {
                        Either::Left((opened, _)) => opened,
                        Either::Right(_) => Err(crate::engine::closed()),
                    }
                };
                self.work.push(Work::Opening(key, Box::pin(opening)));
            }
            Source::One(session) => {
                let session = session.clone();
                // It was placed before the client said what it loads.
                session.loads_fonts(self.fonts);
                self.begin(key, session);
            }
        }
        Some(key)
    }

    pub(super) fn opened(&mut self, key: Key, opened: Result<Session, Error>) {
        let Some(tenant) = self.tenants.get(&key) else {
            return;
        };
        let error = match opened {
            Ok(session) => return self.begin(key, Arc::new(session)),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::PoolClosed {
            return self.end_with(&error.to_string());
        }
        let code = match error.kind() {
            ErrorKind::Timeout(_) => Code::MaxSessions,
            _ => Code::RendererPanic,
        };
        let name = tenant.name.clone();
        let closing = tenant.closing.clone();
        self.say(&name, None, &says::session_error(&code, &error.to_string()));
        self.confirm(&name, closing);
        self.remove(key, Some(&error));
    }

    /// The session is open: sends what waited for it.
    fn begin(&mut self, key: Key, session: Arc<Session>) {
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return;
        };
        if let (Some(gauge), State::Opening { since, .. }) = (&self.config.gauge, &tenant.state) {
            let pid = session.renderer_pid();
            gauge.opened(&tenant.name, session.id, pid, since.elapsed());
        }
        tenant.state = State::Open(session.clone());
        let closing = tenant.closing.is_some();
        self.events.push(NextEvent { key, session });
        self.send_waiting(key);
        if closing {
            self.wind_down(key);
        }
    }

    /// Closes a session once what was asked before is answered.
    pub(super) fn wind_down(&mut self, key: Key) {
        let Some(tenant) = self.tenants.get(&key) else {
            return;
        };
        match &tenant.state {
            // Once it is open and what waited is sent.
            State::Opening { .. } | State::Closing(_) => {}
            State::Open(_) if tenant.is_idle() && tenant.interacts.is_empty() => self.close(key),
            State::Open(_) => {
                if tenant.is_in_step() {
                    self.send_no_change(key);
                }
                self.send_barrier(key);
            }
        }
    }

    /// The client will say no more: ends when what it asked is answered. Of a message of which only
    /// a part came a renderer knows nothing either.
    pub(super) fn wind_up(&mut self) {
        match self.phase {
            Phase::Hello => return,
            Phase::Serving => {}
            _ => return self.over(),
        }
        let mut opens = false;
        for key in self.tenants.keys().copied().collect::<Vec<_>>() {
            match self.tenants.get_mut(&key) {
                Some(tenant) if tenant.closing.is_none() => {
                    opens |= matches!(tenant.state, State::Opening { .. });
                    tenant.closing = Some(Closing::Gone);
                    self.wind_down(key);
                }
                _ => {}
            }
        }
        if self.tenants.is_empty() {
            self.over();
        } else if opens {
            // One that is gone altogether shows when it is sent something, and frees its place.
            self.show_life();
        }
    }

    /// Has the renderer let go of a session.
    pub(super) fn close(&mut self, key: Key) {
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return;
        };
        if let Some(session) = tenant.session().cloned() {
            tenant.state = State::Closing(session.clone());
            let (completion, completed) = session.renderer.completion();
            session.renderer.close(session.id, Some(completion));
            let sent = Some(Sent {
                key,
                id: LAST,
                bytes: 0,
                purpose: Purpose::Close,
            });
            self.work.push(Work::Sending(Sending {
                sent,
                session,
                completed,
            }));
        }
    }

    /// The renderer has let go of a session.
    pub(super) fn closed(&mut self, key: Key) {
        let Some(tenant) = self.tenants.get(&key) else {
            return;
        };
        let (name, closing) = (tenant.name.clone(), tenant.closing.clone());
        self.remove(key, None);
        self.confirm(&name, closing);
        if self.is_for_one() {
            self.over();
        }
    }

    /// A session ended without a request to end it. Without a code a renderer said no more than
    /// that it is closed.
    pub(super) fn lost(&mut self, key: Key, code: Option<Code>, error: &Error) {
        let Some(tenant) = self.tenants.get(&key) else {
            return;
        };
        let (name, closing) = (tenant.name.clone(), tenant.closing.clone());
        if let Some(code) = code {
            self.say(&name, None, &says::session_error(&code, &error.to_string()));
        }
        match closing {
            Some(Closing::Reset(_)) => self.confirm(&name, closing),
            _ => self.say(&name, None, &says::session_closed()),
        }
        self.remove(key, Some(error));
    }

    /// Gives up a session of which too much waits: the others of the connection do not wait
    /// for it. As a renderer does.
    pub(super) fn give_up(&mut self, key: Key) {
        let message = "too many messages of the session wait to be sent or answered";
        self.eject(key, Code::Overflow, message);
    }

    /// Ends a session as a renderer does one whose host did not do its part.
    pub(super) fn eject(&mut self, key: Key, code: Code, message: &str) {
        let error = Error::new(ErrorKind::SessionFailed, message).with_code(code.text());
        if let Some(session) = self.tenants.get(&key).and_then(Tenant::source) {
            session.renderer.close(session.id, None);
        }
        self.lost(key, Some(code), &error);
        if self.is_for_one() {
            self.over();
        }
    }

    /// Tells the client that the session it reset is gone.
    pub(super) fn confirm(&mut self, name: &str, closing: Option<Closing>) {
        if let Some(Closing::Reset(id)) = closing {
            self.say(name, Some(&id), &says::reset_response());
            self.say(name, None, &says::session_closed());
        }
    }

    /// Forgets a session; its name may be used again.
    pub(super) fn remove(&mut self, key: Key, error: Option<&Error>) {
        if let Some(tenant) = self.tenants.remove(&key) {
            self.names.remove(&tenant.name);
            if let Some(gauge) = &self.config.gauge {
                gauge.left(&tenant.name, error);
            }
        }
    }

    /// Whether there is one session, whatever the client calls it.
    pub(super) fn is_for_one(&self) -> bool {
        matches!(self.source, Source::One(_))
    }

    /// When the log is to say of the next session that it waits.
    pub(super) fn first_unnoted(&self) -> Option<Instant> {
        let unnoted = self
            .tenants
            .values()
            .filter_map(|tenant| match tenant.state {
                State::Opening {
                    since,
                    noted: false,
                    ..
                } => Some(since + UNNOTED),
                _ => None,
            });
        unnoted.min()
    }

    /// Says in the log which sessions have waited for a while. Not to the client: a renderer has
    /// no message for that, and the SDKs end at one that they do not know.
    pub(super) fn note_those_who_wait(&mut self, now: Instant) {
        let (Source::Pool(pool), true) = (&self.source, self.first_unnoted() <= Some(now)) else {
            return;
        };
        let status = pool.status();
        for tenant in self.tenants.values_mut() {
            if let State::Opening { since, noted, .. } = &mut tenant.state
                && !*noted
                && *since + UNNOTED <= now
            {
                *noted = true;
                tracing::warn!(
                    session = &*tenant.name,
                    in_use = status.sessions,
                    max_sessions = status.max_sessions,
                    waiting = status.waiting,
                    given_up_after = ?pool.engine().config.acquire_timeout,
                    "a client waits for a session: all are in use"
                );
            }
        }
    }
}
