//! One session, for its owner.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use plushie_pool_core::link::{Answer, SessionEvent};
use plushie_pool_core::{
    Class, Close, Error, ErrorKind, Header, Outline, RendererId, RequestId, SessionId,
};
use plushie_pool_renderer::{AppSettings, Renderer};
use serde::Serialize;

use crate::choice::encode;
use crate::clipboard::Clipboard;
use crate::engine::{Engine, EngineConfig, Opened};
use crate::fonts;
use crate::io::{SessionControl, SessionIo};
use crate::pool::{PoolShared, SessionPool};
use crate::request::{Frame, Request, SendInteract, SendMessage, Sending};

/// An isolated session on a renderer.
///
/// All methods take `&self`, so several requests may be on their way at once, and the session
/// may be shared. Messages go out in the order in which their futures are first polled.
///
/// Dropping it closes it, without waiting for the renderer;
/// [`unregister`](Self::unregister) waits.
pub struct Session {
    pub(crate) id: SessionId,
    pub(crate) renderer: Renderer,
    seat: RendererId,
    pool: Arc<PoolShared>,
    next_request: AtomicU64,
    /// Its own, if it has one.
    pub(crate) clipboard: Option<Box<Mutex<Clipboard>>>,
}

impl Session {
    pub(crate) fn new(pool: Arc<PoolShared>, opened: Opened) -> Self {
        Self {
            id: opened.id,
            renderer: opened.renderer,
            seat: opened.seat,
            pool,
            // 0 is the id of what the pool itself asks of the renderer.
            next_request: AtomicU64::new(1),
            clipboard: None,
        }
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The process that serves the session, if the pool started it.
    pub fn renderer_pid(&self) -> Option<u32> {
        self.renderer.identity().pid
    }

    /// Sends a message that has no reply: `snapshot`, `patch`, `subscribe`, ... One that the
    /// renderer cannot read it drops, which only the log tells, at `warn`.
    ///
    /// `message` serialises as a map with a `type`; the pool adds `session`. It waits while an
    /// interact runs, unless it is the `snapshot` or `patch` that answers a step, and while
    /// the renderer has as many messages as it can hold.
    ///
    /// # Errors
    ///
    /// [`InvalidMessage`](ErrorKind::InvalidMessage) or [`Encode`](ErrorKind::Encode), with
    /// nothing sent; [`Timeout`](ErrorKind::Timeout) of the send phase; or why the session is
    /// over. An `interact` is refused, since it must be followed to its end
    /// ([`send_interact`](Self::send_interact)), and so is a `reset`
    /// ([`unregister`](Self::unregister)).
    ///
    /// # Cancel safety
    ///
    /// See [`SendMessage`].
    pub fn send<T: Serialize + ?Sized>(&self, message: &T) -> SendMessage<'_> {
        let id = self.next_id();
        let frame = self.frame(message, None, |outline| {
            refuse_interact(outline)?;
            Ok(Answer::None)
        });
        SendMessage(Sending::new(self, id, frame))
    }

    /// Sends a request and waits for its reply, whose `type` is `reply`: a `query` is answered
    /// by a `query_response`, see the
    /// [table of them](crate#requests-and-their-replies).
    ///
    /// `message` serialises as a map with a `type`; the pool adds `session` and `id`. Several
    /// requests may be on their way at once. An `interact` may be sent this way too: its steps
    /// arrive as events, its response as the reply.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`UnexpectedReply`](ErrorKind::UnexpectedReply) if what came
    /// back has another type; [`ReplyTooLarge`](ErrorKind::ReplyTooLarge) if it is over 64 MiB, as
    /// a screenshot of 4100x4100 is; [`MessageDropped`](ErrorKind::MessageDropped) if the
    /// renderer says that it cannot read a message, and only this one can be meant;
    /// [`Timeout`](ErrorKind::Timeout) of the reply phase, with what the renderer wrote to its
    /// stderr since.
    ///
    /// # Cancel safety
    ///
    /// See [`Request`].
    pub fn request<T: Serialize + ?Sized>(&self, message: &T, reply: &str) -> Request<'_> {
        let id = self.next_id();
        let frame = self.frame(message, Some(id), |outline| {
            Self::answered_by(outline, reply)
        });
        Request(Sending::new(self, id, frame))
    }

    /// Sends an `interact` and does not wait for its end, which comes as
    /// [`SessionEvent::InteractResponse`] or [`SessionEvent::InteractFailed`]. Before that
    /// there may be [`SessionEvent::InteractStep`]s, each to be answered with a `snapshot` or
    /// `patch` within 25 s; anything else that is sent meanwhile waits. Trees keep their order:
    /// one sent while the interact runs, before there is a step, answers the next step.
    ///
    /// Which interacts take steps is the renderer's affair: one aimed by `selector` is mostly
    /// answered at once, typing into what has the focus takes one for each key. A loop like this
    /// is ready for both:
    ///
    /// ```
    /// # use plushie_pool::{Error, Session, SessionEvent};
    /// # use serde_json::{Value, json};
    /// async fn type_in(session: &Session, text: &str) -> Result<(), Error> {
    ///     let typing = json!({
    ///         "type": "interact", "action": "type_text", "selector": {}, "payload": {"text": text},
    ///     });
    ///     let id = session.send_interact(&typing).await?;
    ///     while let Some(event) = session.next_event().await {
    ///         match event {
    ///             SessionEvent::InteractStep { message, .. } => {
    ///                 let step: Value = message.decode()?;
    ///                 println!("the app reacts to {}", step["events"]);
    ///                 session.send(&json!({"type": "patch", "ops": []})).await?;
    ///             }
    ///             SessionEvent::InteractResponse { id: ended, .. } if ended == id => break,
    ///             SessionEvent::InteractFailed { error, .. } => return Err(error),
    ///             SessionEvent::RendererExited(error) | SessionEvent::Failed(error) => {
    ///                 return Err(error);
    ///             }
    ///             _ => {}
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// See [`SendInteract`].
    pub fn send_interact<T: Serialize + ?Sized>(&self, message: &T) -> SendInteract<'_> {
        let id = self.next_id();
        let frame = self.frame(message, Some(id), |outline| {
            refuse_own_id(outline)?;
            if outline.class != Class::Interact {
                return Err(invalid("the message is not an interact")
                    .with_hint("use send, or request if it has a reply"));
            }
            Ok(Answer::Events)
        });
        SendInteract(Sending::new(self, id, frame))
    }

    /// Waits for the session's next event, however long that takes; `None` when there will be
    /// no more, because the session is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost. Each event goes to one of those who wait.
    pub async fn next_event(&self) -> Option<SessionEvent> {
        poll_fn(|context| self.renderer.poll_event(self.id, context)).await
    }

    /// The session's events as a stream, which ends when the session is over. The methods of
    /// streams come from `futures::StreamExt`.
    pub fn events(&self) -> Events<'_> {
        Events { session: self }
    }

    /// Closes the session, and waits until the renderer has let go of it and its place is free
    /// again. Requests on their way end with [`SessionClosed`](ErrorKind::SessionClosed), and
    /// so does everything sent later. Closing it again does no harm.
    ///
    /// # Errors
    ///
    /// [`Timeout`](ErrorKind::Timeout) of the close phase, if the renderer does not confirm it.
    /// The place is free all the same, and the renderer gets no more sessions.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the session is closed whether the future is polled further or not.
    pub async fn unregister(&self) -> Result<(), Error> {
        self.engine().home.check()?;
        let (completion, mut completed) = self.renderer.completion();
        self.renderer.close(self.id, Some(completion));
        let outcome =
            poll_fn(|context| self.renderer.poll_completed(&mut completed, context)).await;
        // Without an outcome the I/O thread is gone, and every renderer with it.
        outcome.map_or(Ok(()), |outcome| outcome.map(drop))
    }

    /// Makes the session a stream that speaks the renderer's own protocol, in either format, so
    /// that whatever would talk to a renderer of its own can run on it; and something to drive
    /// the same session with from a test.
    ///
    /// The first byte written decides the format, `{` being JSON. The first message is the
    /// settings, which `hello` answers. The session may be called anything, it is the same
    /// session; a `reset` or a `widget_op` `exit` ends the stream. The session is closed when
    /// the stream is dropped, or by [`SessionControl::close`].
    pub fn into_io(self) -> (SessionIo, SessionControl) {
        SessionIo::new(self)
    }

    /// Closes the session without waiting for the renderer, as dropping it does.
    pub fn release(self) {}

    pub(crate) fn timeout(&self) -> Duration {
        self.config().timeout
    }

    /// Gives the session the settings it starts with: a renderer of many gives those of the
    /// handshake to its first session only. A server gives them to each.
    pub(crate) async fn send_settings(&self) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Settings<'a> {
            r#type: &'static str,
            settings: &'a AppSettings,
        }
        let config = self.config();
        match &config.settings {
            Some(settings) if config.renderer.link.close == Close::Reset && !config.of_a_server => {
                let settings = Settings {
                    r#type: "settings",
                    settings: &**settings,
                };
                // Their fonts were counted when the session was placed.
                let frame = self.encoded(&settings, None, |_| Ok(Answer::None));
                SendMessage(Sending::new(self, self.next_id(), frame)).await
            }
            _ => Ok(()),
        }
    }

    /// The answer to a request that asks for a reply of this type.
    pub(crate) fn answered_by(outline: &mut Outline, reply: &str) -> Result<Answer, Error> {
        refuse_own_id(outline)?;
        let tag = outline.tag.take().or_else(|| outline.stub.take());
        let kind = reply.into();
        Ok(Answer::Reply { kind, tag })
    }

    pub(crate) fn pool(&self) -> SessionPool {
        SessionPool::new(self.pool.clone())
    }

    /// It has its renderer load so many fonts.
    pub(crate) fn loads_fonts(&self, fonts: usize) {
        if fonts > 0 {
            self.engine().fleet().loaded_fonts(self.seat, fonts);
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.pool.engine
    }

    fn config(&self) -> &EngineConfig {
        &self.pool.engine.config
    }

    pub(crate) fn next_id(&self) -> RequestId {
        RequestId::new(self.next_request.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn frame<T: Serialize + ?Sized>(
        &self,
        message: &T,
        id: Option<RequestId>,
        answer: impl FnOnce(&mut Outline) -> Result<Answer, Error>,
    ) -> Result<Frame, Error> {
        let frame = self.encoded(message, id, answer)?;
        if frame.may_load_fonts {
            self.loads_fonts(fonts::of_frame(&*self.config().transport, &frame.bytes));
        }
        Ok(frame)
    }

    /// A message whose fonts are counted otherwise.
    fn encoded<T: Serialize + ?Sized>(
        &self,
        message: &T,
        id: Option<RequestId>,
        answer: impl FnOnce(&mut Outline) -> Result<Answer, Error>,
    ) -> Result<Frame, Error> {
        let encode = || {
            let mut outline = Outline::of(message)?;
            if outline.class == Class::Reset {
                return Err(invalid("the message is a reset, which ends the session")
                    .with_hint("use unregister, and register for a fresh session"));
            }
            let answer = answer(&mut outline)?;
            let id = id.map(RequestId::text);
            let header = Header {
                session: &self.id.text(),
                id: id.as_deref(),
            };
            Ok(Frame {
                bytes: encode(&*self.config().transport, header, message)?,
                class: outline.class,
                answer,
                may_load_fonts: outline.may_load_fonts,
            })
        };
        encode().map_err(|error: Error| error.with_session(self.id))
    }
}

fn refuse_interact(outline: &Outline) -> Result<(), Error> {
    if outline.class == Class::Interact {
        return Err(
            invalid("the message is an interact, which is followed to its end")
                .with_hint("use send_interact, or request with \"interact_response\""),
        );
    }
    Ok(())
}

fn refuse_own_id(outline: &Outline) -> Result<(), Error> {
    if outline.own_id {
        return Err(invalid("the request brings an `id` of its own")
            .with_hint("leave it out: the pool fills it in"));
    }
    Ok(())
}

pub(crate) fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidMessage, message)
}

/// Never blocks: the message that closes the session is written now if there is room, or by
/// the I/O thread.
impl Drop for Session {
    fn drop(&mut self) {
        self.renderer.forget(self.id);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A session's events, from [`Session::events`].
#[derive(Debug)]
pub struct Events<'a> {
    session: &'a Session,
}

impl Stream for Events<'_> {
    type Item = SessionEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        self.session.renderer.poll_event(self.session.id, context)
    }
}
