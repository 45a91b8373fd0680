//! Driving a session from a test while an app has it as a stream.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plushie_pool_core::link::Answer;
use plushie_pool_core::{Class, Error, ErrorKind, Message, RequestId, SessionId};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::request::{Request, SendMessage, Sending};
use crate::session::{Session, invalid};

/// The test's hand on a session whose app talks to it as [`SessionIo`](super::SessionIo).
///
/// What the test asks and what the app does are one session's messages: each sees the tree that
/// the other made. Events go to the app, and so do the steps and the end of the test's own
/// [`interact`](Self::interact), because it is the app that reacts to them.
///
/// Dropping it changes nothing: the session belongs to the stream.
pub struct SessionControl {
    session: Arc<Session>,
    interacts: Interacts,
}

/// The interacts of a control that run, and who waits for each.
#[derive(Debug, Clone, Default)]
pub(super) struct Interacts(Arc<Mutex<Waiting>>);

type Waiting = HashMap<RequestId, oneshot::Sender<Result<Message, Error>>>;

impl SessionControl {
    pub(super) fn new(session: Arc<Session>, interacts: Interacts) -> Self {
        Self { session, interacts }
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.session.id()
    }

    /// The process that serves the session, if the pool started it.
    pub fn renderer_pid(&self) -> Option<u32> {
        self.session.renderer_pid()
    }

    /// Sends a request and waits for its reply: see [`Session::request`].
    ///
    /// # Errors
    ///
    /// As [`Session::request`]; an `interact` is refused, because the app would not hear of what
    /// it caused: use [`interact`](Self::interact).
    ///
    /// # Cancel safety
    ///
    /// See [`Request`].
    pub fn request<T: Serialize + ?Sized>(&self, message: &T, reply: &str) -> Request<'_> {
        let id = self.session.next_id();
        let frame = self.session.frame(message, Some(id), |outline| {
            if outline.class == Class::Interact {
                return Err(
                    invalid("the message is an interact, whose events are the app's")
                        .with_hint("use interact"),
                );
            }
            Session::answered_by(outline, reply)
        });
        Request(Sending::new(&self.session, id, frame))
    }

    /// Sends a message that has no reply: see [`Session::send`].
    ///
    /// # Errors
    ///
    /// As [`Session::send`].
    ///
    /// # Cancel safety
    ///
    /// See [`SendMessage`].
    pub fn send<T: Serialize + ?Sized>(&self, message: &T) -> SendMessage<'_> {
        self.session.send(message)
    }

    /// Clicks, types, or whatever the `interact` says, and waits for its response. The app reads
    /// the steps from its stream, answers them, and reads the response there too; it may still
    /// be reacting to that when this is done. Somebody has to poll the stream meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Session::send`]; [`Timeout`](ErrorKind::Timeout) of the reply or the step phase, of
    /// which the latter means that the app did not answer a step with a tree;
    /// [`SessionClosed`](ErrorKind::SessionClosed) if the stream was dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the interact runs on without anybody who waits for it.
    pub async fn interact<T: Serialize + ?Sized>(&self, message: &T) -> Result<Message, Error> {
        let id = self.session.next_id();
        let frame = self.session.frame(message, Some(id), |outline| {
            if outline.class != Class::Interact {
                return Err(invalid("the message is not an interact")
                    .with_hint("use send, or request if it has a reply"));
            }
            Ok(Answer::Events)
        });
        let waiting = self.interacts.expect(id);
        let sent = crate::request::SendInteract(Sending::new(&self.session, id, frame)).await;
        if let Err(error) = sent {
            self.interacts.forget(id);
            return Err(error);
        }
        waiting.await.unwrap_or_else(|_| {
            let message = "the app's stream ended before the interact did";
            Err(Error::new(ErrorKind::SessionClosed, message)
                .with_session(self.id())
                .with_request(id))
        })
    }

    /// Closes the session, and with it the app's stream, and waits until the renderer has let go
    /// of it: see [`Session::unregister`].
    ///
    /// # Errors
    ///
    /// As [`Session::unregister`].
    ///
    /// # Cancel safety
    ///
    /// Once polled, the session is closed whether the future is polled further or not.
    pub async fn close(&self) -> Result<(), Error> {
        self.session.unregister().await
    }
}

impl fmt::Debug for SessionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionControl")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Interacts {
    fn expect(&self, id: RequestId) -> oneshot::Receiver<Result<Message, Error>> {
        let (sender, receiver) = oneshot::channel();
        self.lock().insert(id, sender);
        receiver
    }

    fn forget(&self, id: RequestId) {
        self.lock().remove(&id);
    }

    /// Interact `id`, if it is one of these, has ended.
    pub(super) fn ended(&self, id: RequestId, outcome: Result<Message, Error>) {
        let waiting = self.lock().remove(&id);
        if let Some(waiting) = waiting {
            // Whoever gave up does not want to know.
            let _ = waiting.send(outcome);
        }
    }

    /// No more will end: nobody reads the session's events any more.
    pub(super) fn abandon(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
