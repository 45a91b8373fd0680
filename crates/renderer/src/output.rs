//! Writing to a renderer, from whichever thread has something to say.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

/// How many frames one write takes.
const BATCH: usize = 64;

/// The renderer's input, and what is to be written to it.
pub(crate) struct Output {
    stream: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    frames: VecDeque<Bytes>,
    waker: Waker,
    unflushed: bool,
}

/// How far writing got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// All of it.
    All,
    /// The renderer takes no more for now; the signal given to [`Output::new`] is notified
    /// when it does.
    Blocked,
    /// Its input is closed, by either side.
    Closed,
}

impl Output {
    pub(crate) fn new(stream: Box<dyn AsyncWrite + Send + Unpin>, writable: Arc<Notify>) -> Self {
        Self {
            stream: Some(stream),
            frames: VecDeque::new(),
            waker: Waker::from(Arc::new(Signal(writable))),
            unflushed: false,
        }
    }

    /// Where frames to be written go.
    pub(crate) fn frames(&mut self) -> &mut VecDeque<Bytes> {
        &mut self.frames
    }

    /// Writes as much as can be written at once, and adds to `bytes` how much that was.
    pub(crate) fn write(&mut self, bytes: &mut usize) -> Written {
        let written = catch_unwind(AssertUnwindSafe(|| self.write_frames(bytes)));
        // A stream of the user's panicked, which is the renderer's end and not the affair of
        // whoever writes: who knows what it wrote.
        written.unwrap_or_else(|_| {
            tracing::error!("a connector's stream panicked");
            self.close();
            Written::Closed
        })
    }

    fn write_frames(&mut self, bytes: &mut usize) -> Written {
        let Some(stream) = &mut self.stream else {
            self.frames.clear();
            return Written::Closed;
        };
        let mut context = Context::from_waker(&self.waker);
        let mut stream = Pin::new(stream);
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let mut used = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(frame);
                used += 1;
            }
            let written = stream
                .as_mut()
                .poll_write_vectored(&mut context, &slices[..used]);
            match written {
                Poll::Ready(Ok(0)) => return self.broken(&io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    *bytes += n;
                    self.unflushed = true;
                    advance(&mut self.frames, n);
                }
                Poll::Ready(Err(error)) => return self.broken(&error),
                Poll::Pending => return Written::Blocked,
            }
        }
        if self.unflushed {
            match stream.as_mut().poll_flush(&mut context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return self.broken(&error),
                Poll::Pending => return Written::Blocked,
            }
        }
        Written::All
    }

    /// A renderer that reads no more is as good as gone; what it wrote before tells why.
    fn broken(&mut self, error: &io::Error) -> Written {
        tracing::debug!(%error, "the renderer's input is closed");
        self.close();
        Written::Closed
    }

    /// Lets the renderer see the end of its input.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.frames = VecDeque::new();
    }
}

fn advance(frames: &mut VecDeque<Bytes>, mut written: usize) {
    while written > 0
        && let Some(front) = frames.front_mut()
    {
        let from_front = written.min(front.len());
        front.advance(from_front);
        written -= from_front;
        if front.is_empty() {
            frames.pop_front();
        }
    }
}

struct Signal(Arc<Notify>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_written_when_there_is_room() {
        use tokio::io::AsyncReadExt;

        let (mut theirs, ours) = tokio::io::duplex(4);
        let writable = Arc::new(Notify::new());
        let mut output = Output::new(Box::new(ours), writable.clone());
        for frame in ["one", "two", "three"] {
            output
                .frames()
                .push_back(Bytes::from_static(frame.as_bytes()));
        }
        let mut bytes = 0;
        assert_eq!(output.write(&mut bytes), Written::Blocked);
        assert!(bytes <= 4);
        let mut read = Vec::new();
        while output.write(&mut bytes) == Written::Blocked {
            read.push(theirs.read_u8().await.unwrap());
            writable.notified().await;
        }
        assert_eq!(bytes, 11);
        output.close();
        theirs.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"onetwothree");
    }

    #[tokio::test]
    async fn a_renderer_that_hung_up_is_noticed() {
        let (theirs, ours) = tokio::io::duplex(4);
        drop(theirs);
        let mut output = Output::new(Box::new(ours), Arc::new(Notify::new()));
        output.frames().push_back(Bytes::from_static(b"frame"));
        assert_eq!(output.write(&mut 0), Written::Closed);
        assert_eq!(output.write(&mut 0), Written::Closed);
    }
}
