//! How a payload that is too long is taken off the buffer without being kept.

use bytes::{Buf as _, BytesMut};
use memchr::memchr;

use crate::{Error, ErrorKind, Oversized, Skim};

/// What is being passed over, if anything is.
#[derive(Debug, Default)]
pub(super) struct Passing {
    skim: Option<fn() -> Box<dyn Skim>>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// A payload was refused that could be passed over.
    Refused(Payload),
    UnderWay(Payload),
    Done(Oversized),
}

#[derive(Debug)]
struct Payload {
    skim: Option<Box<dyn Skim>>,
    /// How much of the buffer lies before it, which is dropped first.
    prefix: usize,
    /// Its length in bytes; where it ends with a newline, how much of it was seen.
    len: u64,
    left: u64,
    /// What to say if it turns out to be none.
    error: Error,
}

/// The most memory that the buffer keeps once a payload is passed over, in bytes.
const KEPT: usize = 1024 * 1024;

/// How many bytes of a payload have to look like the beginning of a message.
const BEGINNING: usize = 64;

impl Passing {
    pub(super) fn skimming(skim: fn() -> Box<dyn Skim>) -> Self {
        Self {
            skim: Some(skim),
            state: State::Idle,
        }
    }

    /// Whether `output` begins like a message; `None` if there is nothing that could tell.
    pub(super) fn begins(&self, output: &[u8]) -> Option<bool> {
        let beginning = &output[..output.len().min(BEGINNING)];
        self.skim.map(|skim| skim().look(beginning).is_ok())
    }

    /// A payload of `len` bytes behind a `prefix` was refused with `error`.
    pub(super) fn refuse(&mut self, credible: bool, prefix: usize, len: u64, error: &Error) {
        self.state = State::Idle;
        if credible {
            self.state = State::Refused(Payload {
                skim: self.skim.map(|skim| skim()),
                prefix,
                len,
                left: len,
                error: error.clone(),
            });
        }
    }

    /// Begins to pass over what was refused, if it can be.
    pub(super) fn begin(&mut self) -> bool {
        match std::mem::take(&mut self.state) {
            State::Refused(payload) => {
                self.state = State::UnderWay(payload);
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state, State::UnderWay(_))
    }

    /// Takes what there is of a payload whose length is known.
    ///
    /// # Errors
    ///
    /// That with which it was refused, if its bytes show that it is none.
    pub(super) fn take_counted(&mut self, buf: &mut BytesMut) -> Result<(), Error> {
        let State::UnderWay(payload) = &mut self.state else {
            return Ok(());
        };
        buf.advance(std::mem::take(&mut payload.prefix));
        let there = payload.left.min(buf.len() as u64);
        let piece = usize::try_from(there).unwrap_or(buf.len());
        let looked = payload.look(&buf[..piece]);
        drop_front(buf, piece);
        payload.left -= there;
        let is_over = payload.left == 0;
        self.went_on(looked, is_over)
    }

    /// Takes what there is of a payload that ends with a newline.
    ///
    /// # Errors
    ///
    /// As [`take_counted`](Self::take_counted); and if it does not end within 4 GiB.
    pub(super) fn take_line(&mut self, buf: &mut BytesMut) -> Result<(), Error> {
        let State::UnderWay(payload) = &mut self.state else {
            return Ok(());
        };
        let end = memchr(b'\n', buf);
        let piece = end.unwrap_or(buf.len());
        payload.len += piece as u64;
        let looked = if payload.len > u64::from(u32::MAX) {
            let message = "the renderer's output holds a line that does not end within 4 GiB";
            Err(Error::new(ErrorKind::Framing, message))
        } else {
            payload.look(&buf[..piece])
        };
        drop_front(buf, piece + usize::from(end.is_some()));
        self.went_on(looked, end.is_some())
    }

    fn went_on(&mut self, looked: Result<(), Error>, is_over: bool) -> Result<(), Error> {
        if is_over || looked.is_err() {
            let state = std::mem::take(&mut self.state);
            if let (State::UnderWay(payload), Ok(())) = (state, &looked) {
                self.state = State::Done(payload.end());
            }
        }
        looked
    }

    /// What was passed over, once.
    pub(super) fn end(&mut self) -> Option<Oversized> {
        match std::mem::take(&mut self.state) {
            State::Done(oversized) => Some(oversized),
            other => {
                self.state = other;
                None
            }
        }
    }
}

impl Payload {
    fn look(&mut self, piece: &[u8]) -> Result<(), Error> {
        let looked = self.skim.as_mut().map_or(Ok(()), |skim| skim.look(piece));
        looked.map_err(|_| self.error.clone())
    }

    fn end(mut self) -> Oversized {
        let envelope = self.skim.as_mut().map(|skim| skim.envelope());
        Oversized::new(self.len, envelope.unwrap_or_default())
    }
}

/// Drops the beginning of the buffer, and its memory, if that is much.
fn drop_front(buf: &mut BytesMut, len: usize) {
    buf.advance(len);
    if len.max(buf.capacity()) > KEPT && buf.len() < KEPT {
        *buf = BytesMut::from(&buf[..]);
    }
}
