//! What a session has said, until it is done.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use plushie_pool_core::link::{Answer, Outcome, Submission};
use plushie_pool_core::{Class, Error, ErrorKind, Message, RequestId};
use plushie_pool_renderer::Completed;

use crate::builder::bounded;
use crate::session::Session;

/// A message on its way, and what becomes of it.
///
/// Nothing is sent before the first poll; dropped before it is done, it is taken back if it was
/// not sent yet, and what answers it is ignored.
pub(crate) struct Sending<'a> {
    session: &'a Session,
    id: RequestId,
    timeout: Duration,
    state: State,
}

enum State {
    New(Result<Frame, Error>),
    Waiting(Completed),
    Done,
}

/// A message, encoded.
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    pub(crate) class: Class,
    pub(crate) answer: Answer,
    /// Whether it is worth looking whether it does.
    pub(crate) may_load_fonts: bool,
}

impl<'a> Sending<'a> {
    pub(crate) fn new(session: &'a Session, id: RequestId, frame: Result<Frame, Error>) -> Self {
        Self {
            session,
            id,
            timeout: session.timeout(),
            state: State::New(frame),
        }
    }

    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Result<Outcome, Error>> {
        let renderer = &self.session.renderer;
        let mut completed = match std::mem::replace(&mut self.state, State::Done) {
            State::New(frame) => self.submit(frame?)?,
            State::Waiting(completed) => completed,
            State::Done => panic!("polled after it was done"),
        };
        let outcome = renderer.poll_completed(&mut completed, context);
        if outcome.is_pending() {
            self.state = State::Waiting(completed);
        }
        outcome.map(|outcome| outcome.unwrap_or_else(|| Err(self.lost())))
    }

    fn submit(&self, frame: Frame) -> Result<Completed, Error> {
        let Session { renderer, id, .. } = self.session;
        let (completion, completed) = renderer.completion();
        let written = self.session.may_write_clipboard(&frame);
        let submission = Submission {
            id: self.id,
            frame: frame.bytes,
            class: frame.class,
            answer: frame.answer,
            deadline: Instant::now() + self.timeout,
            timeout: self.timeout,
            completion,
        };
        renderer.submit(*id, submission)?;
        if let Some(frame) = written {
            self.session.submitted(&frame);
        }
        Ok(completed)
    }

    /// The link keeps each completion until it has an outcome, so this is a defect of the
    /// pool: better an error than a caller who waits for ever.
    fn lost(&self) -> Error {
        Error::new(
            ErrorKind::SessionClosed,
            "the request was dropped by the pool",
        )
        .with_session(self.session.id)
        .with_request(self.id)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let State::Waiting(completed) = &mut self.state {
            let Session { renderer, id, .. } = self.session;
            renderer.cancel(*id, self.id, completed);
        }
    }
}

macro_rules! sending {
    (
        $(#[$doc:meta])*
        $name:ident -> $output:ty, $outcome:pat, $this:ident => $value:expr
    ) => {
        $(#[$doc])*
        #[must_use = "nothing is sent before it is awaited"]
        pub struct $name<'a>(pub(crate) Sending<'a>);

        impl $name<'_> {
            /// Sets how long it may take, counted from the first poll, in place of the pool's
            /// timeout.
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.0.timeout = bounded(timeout);
                self
            }
        }

        /// # Panics
        ///
        /// If polled after it was done.
        impl Future for $name<'_> {
            type Output = Result<$output, Error>;

            fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                let $this = &mut self.0;
                Poll::Ready(match ready!($this.poll_outcome(context)) {
                    Ok($outcome) => Ok($value),
                    Ok(other) => unreachable!("{other:?} from the link"),
                    Err(error) => Err(error),
                })
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("session", &self.0.session.id)
                    .field("id", &self.0.id)
                    .finish_non_exhaustive()
            }
        }
    };
}

sending! {
    /// A request, from [`Session::request`]; gives the reply.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the reply up. If the request was still waiting for its turn it is
    /// never sent; if it was sent, the renderer carries it out.
    Request -> Message, Outcome::Reply(message), _this => message
}

sending! {
    /// A message without a reply, from [`Session::send`]; done when it was handed over to be
    /// written.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the message waits for its turn, it is never sent.
    SendMessage -> (), Outcome::Sent, _this => ()
}

sending! {
    /// An interact, from [`Session::send_interact`]; done when it was handed over to be
    /// written, and gives the id that its events carry.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the interact waits for its turn, it is never sent. Dropped later but before
    /// it was done, it has no owner: steps are answered with no change.
    SendInteract -> RequestId, Outcome::Sent, this => this.id
}
