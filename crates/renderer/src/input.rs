//! Reading from a renderer on the I/O thread, and routing what was read.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
#[cfg(unix)]
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use plushie_pool_core::{Error, ErrorKind, FrameDecoder, Oversized};
use tokio::io::AsyncReadExt;

use crate::handshake::READ;
use crate::reader::Reader;
use crate::shared::{CarryOut, Shared};

/// A renderer's output while it is read.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) buffer: BytesMut,
    pub(crate) decoder: Box<dyn FrameDecoder>,
}

/// A message that was read.
#[derive(Debug)]
enum Read {
    Payload(Bytes),
    /// It was too long to keep.
    Oversized(Box<Oversized>),
}

/// What a renderer sends.
#[derive(Debug)]
pub(crate) struct Source {
    /// `None` once nothing is to be read any more.
    pub(crate) reader: Option<Reader>,
    #[cfg(unix)]
    pub(crate) lent: Option<Arc<crate::lent::Lent>>,
    pub(crate) input: Input,
    /// What came with the hello was looked at.
    begun: bool,
    read: Vec<Read>,
    /// How the output ended, which is for the I/O thread to see to.
    pub(crate) end: Option<Result<(), Error>>,
}

impl Shared {
    /// Reads, on the I/O thread, until the output ends.
    pub(crate) async fn pump(&self) -> Result<(), Error> {
        loop {
            if let Some(end) = poll_fn(|context| self.poll_input(context)).await {
                return end;
            }
            #[cfg(unix)]
            self.lent().await;
        }
    }

    /// Reads once, and routes what there is. `Some` is the end.
    fn poll_input(&self, context: &mut Context<'_>) -> Poll<Option<Result<(), Error>>> {
        let mut carry = CarryOut::new(self);
        let mut source = self.source();
        // First what came with the hello; and what a caller found is known already.
        if std::mem::replace(&mut source.begun, true) && source.end.is_none() {
            let Source { reader, input, .. } = &mut *source;
            let Some(reader) = reader else {
                return Poll::Ready(Some(Ok(())));
            };
            input.buffer.reserve(READ);
            let read = ready!(pin!(reader.read_buf(&mut input.buffer)).poll(context));
            source.note(read);
        }
        self.route(&mut source, &mut carry);
        let end = source.end.take();
        // Before anybody is woken, who would ask again at once.
        #[cfg(unix)]
        let lending = match end {
            None => self.lend(&mut source, carry.effects.finished.len()),
            Some(_) => None,
        };
        drop(source);
        carry.flush();
        #[cfg(unix)]
        if let Some(lending) = lending {
            self.turns.begin(lending);
        }
        Poll::Ready(end)
    }

    /// Reads what there is now and routes it, whichever caller's turn it is to read: before something is
    /// given up for want of it. What is no descriptor the I/O thread reads by itself.
    pub(crate) fn catch_up(&self) {
        #[cfg(unix)]
        {
            let mut carry = CarryOut::new(self);
            let mut source = self.source();
            if source.begun && source.end.is_none() {
                source.read_waiting();
                self.route(&mut source, &mut carry);
            }
            drop(source);
            carry.flush();
        }
    }

    /// Hands what was read to the sessions, in order.
    pub(crate) fn route(&self, source: &mut Source, carry: &mut CarryOut<'_>) {
        source.cut();
        if !source.read.is_empty() {
            let now = Instant::now();
            let mut link = self.link();
            for read in source.read.drain(..) {
                match read {
                    Read::Payload(payload) => link.receive(payload, now, &mut carry.effects),
                    Read::Oversized(passed) => link.pass_over(&passed, now, &mut carry.effects),
                }
            }
            carry.unsent = link.has_unsent();
        }
    }
}

impl Source {
    pub(crate) fn new(reader: Reader, input: Input) -> Self {
        Self {
            reader: Some(reader),
            #[cfg(unix)]
            lent: None,
            input,
            begun: false,
            read: Vec::new(),
            end: None,
        }
    }

    /// Whether it can be lent.
    pub(crate) fn is_descriptor(&self) -> bool {
        self.reader.as_ref().is_some_and(Reader::is_descriptor)
    }

    /// Reads what lies in the pipe, up to a bound: another renderer may be waiting.
    #[cfg(unix)]
    fn read_waiting(&mut self) {
        /// How many reads that takes at most.
        const READS: usize = 64;

        let Some(output) = self.reader.as_ref().and_then(Reader::raw) else {
            return;
        };
        for _ in 0..READS {
            let buffer = &mut self.input.buffer;
            buffer.reserve(READ);
            match rustix::io::read(&output, buffer.spare_capacity_mut()) {
                Ok((read, _)) => {
                    let read = read.len();
                    // SAFETY: `read` has written so many bytes behind those there were.
                    unsafe { buffer.set_len(buffer.len() + read) };
                    if read == 0 {
                        // The end, which the I/O thread will find, too.
                        return;
                    }
                    self.cut();
                }
                // Nothing more; or an error that the I/O thread will find, too.
                Err(_) => return,
            }
        }
    }

    /// Cuts what was read into payloads.
    fn cut(&mut self) {
        let Input { buffer, decoder } = &mut self.input;
        loop {
            match decoder.decode(buffer) {
                Ok(Some(payload)) => self.read.push(Read::Payload(payload)),
                Ok(None) => match decoder.passed_over() {
                    Some(passed) => self.read.push(Read::Oversized(Box::new(passed))),
                    None => return,
                },
                Err(_) if decoder.pass_over() => {}
                Err(error) => {
                    self.end.get_or_insert(Err(error));
                    return;
                }
            }
        }
    }

    /// Notes the end, if that is what a read came to.
    pub(crate) fn note(&mut self, read: io::Result<usize>) {
        let gone = |message| Some(Err(Error::new(ErrorKind::RendererExited, message)));
        self.end = match read {
            Ok(0) if self.input.buffer.is_empty() => Some(Ok(())),
            Ok(0) => gone(format!(
                "the renderer's output ended inside a message, {} bytes into it",
                self.input.buffer.len()
            )),
            Ok(_) => None,
            Err(error) => gone(format!("the renderer's output cannot be read: {error}")),
        };
    }
}
