//! The client's sessions: how they come and how they go.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::{Either, select};
use plushie_pool_core::{Error, ErrorKind, RequestId};

use super::{Bridge, Phase, Source};
use crate::io::says;
use crate::io::tenant::{Closing, State, Tenant};
use crate::io::work::{Key, NextEvent, Purpose, Sending, Sent, Work};
use crate::session::Session;

/// How long a client waits for a session before it is told what for.
const UNTOLD: Duration = Duration::from_secs(2);

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
            self.say(
                name,
                None,
                &says::session_error("max_sessions_reached", &error),
            );
            return None;
        }
        let key = Key(self.next_key);
        self.next_key += 1;
        let (place, given_up) = oneshot::channel();
        let state = State::Opening {
            since: Instant::now(),
            told: false,
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
                    match select(pin!(pool.register_loading(fonts)), given_up).await {
                        Either::Left((opened, _)) => opened,
                        Either::Right(_) => Err(crate::engine::closed()),
                    }
                };
                self.work.push(Work::Opening(key, Box::pin(opening)));
            }
            Source::One(session) => {
                let session = session.clone();
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
            ErrorKind::Timeout(_) => "max_sessions_reached",
            _ => "renderer_unavailable",
        };
        let name = tenant.name.clone();
        let closing = tenant.closing.clone();
        self.say(&name, None, &says::session_error(code, &error.to_string()));
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
            // An interact may wait for a tree that will not come.
            State::Open(_) if tenant.is_idle() || !tenant.interacts.is_empty() => self.close(key),
            State::Open(_) => self.send_barrier(key),
        }
    }

    /// The client will say no more: ends when what it asked is answered.
    pub(super) fn wind_up(&mut self) {
        match self.phase {
            Phase::Hello => return,
            Phase::Serving if !self.client.is_torn() => {}
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

    /// A session ended that nobody wanted to end.
    pub(super) fn lost(&mut self, key: Key, code: &str, error: &Error) {
        let Some(tenant) = self.tenants.get(&key) else {
            return;
        };
        let (name, closing) = (tenant.name.clone(), tenant.closing.clone());
        self.say(&name, None, &says::session_error(code, &error.to_string()));
        match closing {
            Some(Closing::Reset(_)) => self.confirm(&name, closing),
            _ => self.say(&name, None, &says::session_closed()),
        }
        self.remove(key, Some(error));
    }

    /// Gives up a session of which too much waits: the others of the connection do not wait
    /// for it. As a renderer does.
    pub(super) fn give_up(&mut self, key: Key) {
        let code = "session_backpressure_overflow";
        let message = "too many messages of the session wait to be sent or answered";
        let error = Error::new(ErrorKind::SessionFailed, message).with_code(code);
        if let Some(session) = self.tenants.get(&key).and_then(Tenant::session) {
            session.renderer.close(session.id, None);
        }
        self.lost(key, code, &error);
        if self.is_for_one() {
            self.over();
        }
    }

    /// Tells the client that the session it reset is gone.
    fn confirm(&mut self, name: &str, closing: Option<Closing>) {
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

    /// When the next of those who wait for a session is to be told so.
    pub(super) fn first_untold(&self) -> Option<Instant> {
        let untold = self
            .tenants
            .values()
            .filter_map(|tenant| match tenant.state {
                State::Opening {
                    since, told: false, ..
                } => Some(since + UNTOLD),
                _ => None,
            });
        untold.min()
    }

    /// Tells those who have waited for a while.
    pub(super) fn tell_those_who_wait(&mut self, now: Instant) {
        let mut waiting = Vec::new();
        for tenant in self.tenants.values_mut() {
            if let State::Opening { since, told, .. } = &mut tenant.state
                && !*told
                && *since + UNTOLD <= now
            {
                *told = true;
                waiting.push(tenant.name.clone());
            }
        }
        if let Source::Pool(pool) = &self.source
            && !waiting.is_empty()
        {
            let status = pool.status();
            let detail = format!(
                "waiting for a session: {} of {} are in use, {} wait for one; it is given up \
                 after {:?}",
                status.sessions,
                status.max_sessions,
                status.waiting,
                pool.engine().config.acquire_timeout,
            );
            for name in waiting {
                self.diagnose(&name, "waiting_for_session", &detail);
            }
        }
    }
}
