//! Reading from a renderer where the answer is waited for.
//!
//! ```text
//!             callers wait, and are answered fast
//!   Pumped ------------------------------------------> Lent
//!     ^                                                 |
//!     +-------------------------------------------------+
//!       one waits long, or for an event, or nobody reads
//! ```
//!
//! A reply that the I/O thread reads costs two changes of thread: to it, and to the caller. For
//! somebody who asks and waits, asks and waits, that is most of what the pool costs. So while
//! that is all that happens the I/O thread lends the renderer's output, and the callers take
//! [turns](crate::turns) in reading it, as they would without a pool. Where the output is no
//! descriptor, it is never lent.

use std::io::{self, PipeReader, PipeWriter, Write, pipe};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use plushie_pool_core::{Error, ErrorKind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::handshake::READ;
use crate::input::Source;
use crate::shared::{CarryOut, Shared};
use crate::turns::Lending;

/// What a caller needs to wait for the renderer, and to be told that it is not to any more.
#[derive(Debug)]
pub(crate) struct Lent {
    output: Arc<OwnedFd>,
    cancelled: PipeReader,
    cancel: PipeWriter,
}

impl Lent {
    fn new(output: Arc<OwnedFd>) -> io::Result<Self> {
        let (cancelled, cancel) = pipe()?;
        Ok(Self {
            output,
            cancelled,
            cancel,
        })
    }

    /// Waits until there is something to read. False if it was cancelled.
    fn wait(&self) -> bool {
        let mut either = [
            PollFd::new(&self.output, PollFlags::IN),
            PollFd::new(&self.cancelled, PollFlags::IN),
        ];
        matches!(poll(&mut either, None), Ok(_) | Err(Errno::INTR))
            && either[1].revents().is_empty()
    }

    /// Ends the wait of whoever is in it.
    pub(crate) fn cancel(&self) {
        if let Err(error) = (&self.cancel).write(&[0]) {
            tracing::warn!(%error, "a reader of the renderer's output was not called back");
        }
    }
}

impl Shared {
    /// Leaves reading to the callers, if they have earned it.
    pub(crate) fn lend(&self, source: &mut Source, woken: usize) -> Option<Lending> {
        if !self.turns.is_earned() || self.link().has_listeners() {
            return None;
        }
        let lending = self.turns.lend(woken)?;
        // Somebody may have come before he could know that he is to call it back.
        let listened_to = self.link().has_listeners();
        let output = match &mut source.reader {
            Some(reader) if !listened_to => reader.detach(),
            _ => None,
        };
        source.lent = output.and_then(|output| match Lent::new(output) {
            Ok(lent) => Some(Arc::new(lent)),
            Err(error) => {
                tracing::debug!(%error, "the renderer's output cannot be lent");
                None
            }
        });
        if source.lent.is_none() {
            self.turns.take_back();
            return None;
        }
        Some(lending)
    }

    /// Waits until the output, if it is lent, is to be read by the I/O thread again.
    pub(crate) async fn lent(&self) {
        let Some(lent) = self.source().lent.clone() else {
            return;
        };
        self.turns.until_recalled().await;
        {
            let mut source = self.source();
            self.turns.take_back();
            source.lent = None;
        }
        // Whoever is in it, and whoever still has to find out that it is over.
        lent.cancel();
    }

    /// Waits for the renderer on this thread, and takes in what it says. False if there was
    /// nothing: the I/O thread is to read.
    pub(crate) fn read_here(&self) -> bool {
        let Some(lent) = self.source().lent.clone() else {
            return false;
        };
        let (is_readable, took) = self.turns.read(|| lent.wait());
        let replies = is_readable.then(|| self.read_lent(&lent)).flatten();
        if let Some(replies @ 1..) = replies {
            self.turns.answered(replies, took);
        }
        replies.is_some()
    }

    /// Reads once and routes what there is. Returns how many were answered; `None` if the I/O
    /// thread has to see to it.
    fn read_lent(&self, lent: &Lent) -> Option<usize> {
        let mut carry = CarryOut::new(self);
        let mut source = self.source();
        let is_over = |now: &Arc<Lent>| !std::ptr::eq(&**now, lent);
        if source.lent.as_ref().is_none_or(is_over) || source.end.is_some() {
            return None;
        }
        // A wire format of the user's may panic. That is the renderer's end, and not this
        // caller's affair.
        let took = catch_unwind(AssertUnwindSafe(|| {
            let buffer = &mut source.input.buffer;
            buffer.reserve(READ);
            match rustix::io::read(&lent.output, buffer.spare_capacity_mut()) {
                Ok((read, _)) => {
                    let read = read.len();
                    // SAFETY: `read` has written so many bytes behind those there were.
                    unsafe { buffer.set_len(buffer.len() + read) };
                    source.note(Ok(read));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => return,
                Err(error) => source.note(Err(error.into())),
            }
            self.route(&mut source, &mut carry);
        }));
        if took.is_err() {
            let message = "the pool's reader of the renderer's output panicked";
            let error = Error::new(ErrorKind::RendererExited, message);
            source.end = Some(Err(error));
        }
        let go_on = source.end.is_none();
        drop(source);
        if !go_on {
            // Also if what was waited for came before the end.
            self.turns.recall();
        }
        let replies = carry.effects.finished.len();
        carry.flush();
        go_on.then_some(replies)
    }
}
