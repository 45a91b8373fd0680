//! One client's connection: its bytes to the bridge, the bridge's to it.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use plushie_pool::io::Bridge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::handshakes::Handshake;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// How long a client that was told why it is cut off may take to read it.
const FAREWELL: Duration = Duration::from_millis(500);

/// How much of what such a client still sends is read, in chunks.
const REST: usize = 16;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// To say who it is.
    pub(crate) handshake: Duration,
    /// To take some of what it is sent.
    pub(crate) stall: Duration,
    /// To send something; none for as long as it likes.
    pub(crate) idle: Option<Duration>,
}

/// How a client's connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Why, if it was not the client's wish.
    pub(crate) reason: Option<String>,
    /// It had to make room for another, at once.
    pub(crate) is_cut: bool,
}

/// Serves a client until either end ends it. Its sessions are given back by then.
pub(crate) async fn serve<S>(
    stream: &mut S,
    mut bridge: Bridge,
    patience: Patience,
    handshake: Handshake,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (exchanged, is_cut) = {
        let mut exchange = Exchange {
            stream,
            bridge: &mut bridge,
            patience,
            admission: Admission::Handshake(handshake),
            handshake: pin!(sleep(patience.handshake)),
            stall: pin!(sleep(patience.stall)),
            stalled: false,
            idle: pin!(sleep(patience.idle.unwrap_or_default())),
            heard: Instant::now(),
            buffer: vec![0; CHUNK].into_boxed_slice(),
        };
        let exchanged = poll_fn(|context| exchange.poll(context)).await;
        (exchanged, matches!(exchange.admission, Admission::Cut))
    };
    let reason = match exchanged {
        Ok(()) => bridge.reason().map(str::to_owned),
        Err(Broken::Stalled) => Some(format!(
            "it took nothing of what it was sent for {:?}",
            patience.stall
        )),
        // It went without a word, which is its right.
        Err(Broken::Io(error)) => {
            tracing::debug!(%error, "a client's connection broke");
            None
        }
    };
    Ended { reason, is_cut }
}

/// Lets the client read the last words: closing while it still sends could take them from it.
pub(crate) async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let goodbye = async {
        stream.shutdown().await?;
        let mut rest = vec![0; CHUNK];
        for _ in 0..REST {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // Late or broken: either way it is over.
    let _ = timeout(FAREWELL, goodbye).await;
}

struct Exchange<'a, S> {
    stream: &'a mut S,
    bridge: &'a mut Bridge,
    patience: Patience,
    admission: Admission,
    handshake: Pin<&'a mut Sleep>,
    stall: Pin<&'a mut Sleep>,
    /// It does not take what it is sent.
    stalled: bool,
    idle: Pin<&'a mut Sleep>,
    /// When it last sent something, if that matters.
    heard: Instant,
    buffer: Box<[u8]>,
}

/// How far a client has come.
enum Admission {
    /// It has yet to say who it is, or waits for a place.
    Handshake(Handshake),
    Served(#[expect(dead_code, reason = "given back when dropped")] OwnedSemaphorePermit),
    /// It had to make room for another.
    Cut,
}

enum Broken {
    Stalled,
    Io(io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<'_, S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.bridge.awaits_settings() {
            self.check_handshake(context);
        } else {
            self.check_idle(context);
        }
        loop {
            let is_over = self.bridge.poll(context).is_ready();
            if !is_over && !self.has_place(context) {
                // It is neither told hello nor read from.
                return Poll::Pending;
            }
            let mut moved = match self.write(context) {
                Ok(moved) => moved,
                Err(broken) => return Poll::Ready(Err(broken)),
            };
            if is_over && self.bridge.output().is_empty() {
                return Poll::Ready(Ok(()));
            }
            match self.read(context) {
                Ok(read) => moved |= read,
                Err(error) => return Poll::Ready(Err(Broken::Io(error))),
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    fn check_handshake(&mut self, context: &mut Context<'_>) {
        if let Admission::Handshake(handshake) = &mut self.admission
            && handshake.poll_cut(context).is_ready()
        {
            self.admission = Admission::Cut;
            self.bridge
                .end_with("no settings were sent before too many others connected");
        } else if self.handshake.as_mut().poll(context).is_ready() {
            self.bridge.end_with("no settings were sent in time");
        }
    }

    /// Ends the connection of a client that has long sent nothing. What it is sent meanwhile does
    /// not count, nor the time in which nothing is read from it.
    fn check_idle(&mut self, context: &mut Context<'_>) {
        let Some(limit) = self.patience.idle else {
            return;
        };
        while self.idle.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if !self.bridge.wants_input() {
                self.heard = now;
            }
            if self.heard + limit <= now {
                let message = format!("no message was sent for {limit:?}, the idle timeout");
                return self.bridge.end_with(&message);
            }
            self.idle.as_mut().reset(self.heard + limit);
        }
    }

    /// Whether the client may go on: it has yet to say who it is, or it has a place.
    fn has_place(&mut self, context: &mut Context<'_>) -> bool {
        let Admission::Handshake(handshake) = &mut self.admission else {
            return true;
        };
        if self.bridge.awaits_settings() {
            return true;
        }
        match handshake.poll_place(context) {
            Poll::Ready(place) => {
                self.admission = Admission::Served(place);
                self.heard = Instant::now();
                self.check_idle(context);
                true
            }
            Poll::Pending => false,
        }
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<bool, Broken> {
        let mut moved = false;
        while !self.bridge.output().is_empty() {
            let stream = Pin::new(&mut *self.stream);
            match stream.poll_write(context, self.bridge.output()) {
                Poll::Ready(Ok(0)) => return Err(Broken::Io(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(bytes)) => {
                    self.bridge.written(bytes);
                    self.stalled = false;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(Broken::Io(error)),
                Poll::Pending => {
                    if !std::mem::replace(&mut self.stalled, true) {
                        let until = Instant::now() + self.patience.stall;
                        self.stall.as_mut().reset(until);
                    }
                    return match self.stall.as_mut().poll(context) {
                        Poll::Ready(()) => Err(Broken::Stalled),
                        Poll::Pending => Ok(moved),
                    };
                }
            }
        }
        Ok(moved)
    }

    fn read(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        if !self.bridge.wants_input() {
            return Ok(false);
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match Pin::new(&mut *self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(read) => read?,
        }
        match buffer.filled() {
            [] => self.bridge.push_end(),
            bytes => {
                if self.patience.idle.is_some() {
                    self.heard = Instant::now();
                }
                self.bridge.push(bytes);
            }
        }
        Ok(true)
    }
}
