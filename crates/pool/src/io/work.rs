//! What a bridge waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures::future::BoxFuture;
use plushie_pool_core::link::{Outcome, SessionEvent};
use plushie_pool_core::{Error, RequestId};
use plushie_pool_renderer::{Completed, Hello};

use crate::pool::SessionPool;
use crate::session::Session;

/// Names one of a client's sessions, also after another took its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u64);

/// Something whose end a bridge acts on.
pub(super) enum Work {
    Sending(Sending),
    Opening(Key, BoxFuture<'static, Result<Session, Error>>),
    /// Of the pool that the client asked for.
    Choosing(BoxFuture<'static, Result<SessionPool, Error>>),
    /// Of a renderer, to learn what it says of itself.
    Hello(BoxFuture<'static, Result<Hello, Error>>),
}

/// What became of it.
pub(super) enum Done {
    Sent(Sent, Result<Outcome, Error>),
    Opened(Key, Result<Session, Error>),
    Chosen(Result<SessionPool, Error>),
    Hello(Result<Hello, Error>),
}

/// A message on its way to the renderer, or the end of a session.
pub(super) struct Sending {
    pub(super) sent: Option<Sent>,
    pub(super) session: Arc<Session>,
    pub(super) completed: Completed,
}

/// What is to be remembered of a message.
pub(super) struct Sent {
    pub(super) key: Key,
    pub(super) id: RequestId,
    pub(super) bytes: usize,
    pub(super) purpose: Purpose,
}

pub(super) enum Purpose {
    /// Nobody waits for an answer.
    Tell,
    /// The client does, under this id.
    Ask {
        id: Box<str>,
        since: Instant,
        /// `type` of the answer.
        reply: &'static str,
    },
    /// The client does, for the end of an interact, of which the session knows more.
    Interact,
    /// The bridge does, to close the session when all else is answered.
    Barrier,
    /// It is the end of the session. Confirmed or not, its place is free then.
    Close,
}

impl Future for Work {
    type Output = Done;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        Poll::Ready(match self.get_mut() {
            Self::Sending(sending) => {
                let renderer = &sending.session.renderer;
                // Whoever leads would poll this again and again: see `Bell`.
                let outcome = ready!(renderer.poll_told(&mut sending.completed, context));
                let sent = sending.sent.take().expect("polled until it is done");
                Done::Sent(
                    sent,
                    outcome.unwrap_or_else(|| Err(crate::engine::closed())),
                )
            }
            Self::Opening(key, opening) => {
                let opened = ready!(opening.as_mut().poll(context));
                Done::Opened(*key, opened)
            }
            Self::Choosing(choosing) => Done::Chosen(ready!(choosing.as_mut().poll(context))),
            Self::Hello(asking) => Done::Hello(ready!(asking.as_mut().poll(context))),
        })
    }
}

/// The next event of a session.
pub(super) struct NextEvent {
    pub(super) key: Key,
    pub(super) session: Arc<Session>,
}

impl Future for NextEvent {
    type Output = (Key, Arc<Session>, Option<SessionEvent>);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let session = &self.session;
        let event = ready!(session.renderer.poll_event(session.id, context));
        Poll::Ready((self.key, session.clone(), event))
    }
}
