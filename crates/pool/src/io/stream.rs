//! A session as a stream of bytes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::bridge::Bridge;
use super::control::{Interacts, SessionControl};
use crate::session::Session;

/// A session as a renderer's standard input and output, from
/// [`Session::into_io`](crate::Session::into_io).
///
/// It needs no runtime. Reading and writing may be done by two tasks, as through
/// `tokio::io::split`. `shutdown` is the end of what is written: what was asked by then is
/// still answered.
pub struct SessionIo {
    bridge: Bridge,
    /// The two that may wait for it.
    both: Arc<Both>,
    waker: Waker,
}

#[derive(Default)]
struct Both {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// How much is taken of what is written at a time.
const CHUNK: usize = 64 * 1024;

impl SessionIo {
    pub(crate) fn new(session: Session) -> (Self, SessionControl) {
        let session = Arc::new(session);
        let interacts = Interacts::default();
        let control = SessionControl::new(session.clone(), interacts.clone());
        let both = Arc::new(Both::default());
        let io = Self {
            bridge: Bridge::to_session(session, interacts),
            waker: Waker::from(both.clone()),
            both,
        };
        (io, control)
    }

    /// Goes on as far as possible; true if it is over.
    fn go_on(&mut self) -> bool {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        self.bridge.poll(&mut context).is_ready()
    }

    /// The reader has gone on: tells the writer what that changed.
    fn read_on(&mut self) -> bool {
        let is_over = self.go_on();
        if is_over || self.bridge.wants_input() {
            self.both.writer.wake();
        }
        is_over
    }

    /// The writer has gone on: tells the reader what that changed.
    fn write_on(&mut self) -> bool {
        let is_over = self.go_on();
        if is_over || !self.bridge.output().is_empty() {
            self.both.reader.wake();
        }
        is_over
    }
}

impl AsyncRead for SessionIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bridge.output().is_empty() {
            self.both.reader.register(context.waker());
            let is_over = self.read_on();
            if self.bridge.output().is_empty() {
                return match is_over {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Pending,
                };
            }
        }
        let output = self.bridge.output();
        let bytes = output.len().min(buffer.remaining());
        buffer.put_slice(&output[..bytes]);
        self.bridge.written(bytes);
        if self.bridge.output().is_empty() {
            // What waited for the room may be what the writer waits for.
            self.read_on();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SessionIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.both.writer.register(context.waker());
        if !self.bridge.wants_input() && self.write_on() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !self.bridge.wants_input() {
            return Poll::Pending;
        }
        let taken = &bytes[..bytes.len().min(CHUNK)];
        self.bridge.push(taken);
        self.write_on();
        Poll::Ready(Ok(taken.len()))
    }

    /// What is written is on its way at once.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bridge.push_end();
        self.write_on();
        Poll::Ready(Ok(()))
    }
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl fmt::Debug for SessionIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionIo")
            .field("bridge", &self.bridge)
            .finish_non_exhaustive()
    }
}
