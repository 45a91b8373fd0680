//! The client's side of a bridge: its bytes, cut into messages, and what it is sent.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use plushie_pool_core::{Error, ErrorKind, FrameDecoder, Header, Transport};

use crate::choice::WireFormat;

/// The bytes to and from a client, whose format shows with the first of them.
#[derive(Debug, Default)]
pub(super) struct Client {
    format: Option<Format>,
    input: BytesMut,
    output: BytesMut,
    /// Its first message was read.
    introduced: bool,
    /// What is read holds no whole message more.
    starved: bool,
    ended: bool,
}

#[derive(Debug)]
struct Format {
    transport: Arc<dyn Transport>,
    decoder: Box<dyn FrameDecoder>,
}

/// From how many bytes that wait to be read by the client on it is read from no more.
const HIGH_WATER: usize = 1024 * 1024;

/// How long its first message may be, in bytes: nobody knows yet who it is.
pub(super) const FIRST: usize = 1024 * 1024;

/// What comes before or after a message on the wire, at most.
const FRAMING: usize = 4;

/// What is kept for later use once it is empty.
const KEPT: usize = 256 * 1024;

impl Client {
    pub(super) fn new() -> Self {
        Self {
            starved: true,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.starved = self.starved && bytes.is_empty();
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Nothing more will come, and nothing that came is left.
    pub(super) fn has_ended(&self) -> bool {
        self.ended && self.starved
    }

    /// It ended in the middle of a message.
    pub(super) fn is_torn(&self) -> bool {
        self.has_ended() && !self.input.is_empty()
    }

    pub(super) fn wants_input(&self) -> bool {
        self.starved && !self.ended
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// If it can no longer be known where a message begins, the first is too long, or the format is not compiled in.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let format = match (&mut self.format, self.input.first()) {
            (Some(format), _) => format,
            (None, Some(first)) => self.format.insert(Format::detect(*first)?),
            (None, None) => {
                self.starved = true;
                return Ok(None);
            }
        };
        let payload = format.decoder.decode(&mut self.input)?;
        self.starved = payload.is_none();
        if !self.introduced {
            let len = match &payload {
                Some(payload) => payload.len(),
                None => self.input.len().saturating_sub(FRAMING),
            };
            if len > FIRST {
                let message = format!("the first message takes more than {FIRST} bytes");
                return Err(Error::new(ErrorKind::Framing, message));
            }
            self.introduced = payload.is_some();
        }
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = BytesMut::new();
        }
        Ok(payload)
    }

    /// Its format; none before its first byte.
    pub(super) fn transport(&self) -> Option<Arc<dyn Transport>> {
        Some(self.format.as_ref()?.transport.clone())
    }

    /// Appends a message to what it is sent.
    ///
    /// # Errors
    ///
    /// If its format cannot express it.
    pub(super) fn say(
        &mut self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<(), Error> {
        if let Some(format) = &self.format {
            let frame = format.transport.encode(header, body)?;
            self.output.extend_from_slice(&frame);
        }
        Ok(())
    }

    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.output.advance(bytes);
        if self.output.is_empty() && self.output.capacity() > KEPT {
            self.output = BytesMut::new();
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.output.len() < HIGH_WATER
    }

    pub(super) fn waiting(&self) -> usize {
        self.output.len()
    }
}

impl Format {
    /// As the renderer tells them apart.
    fn detect(first: u8) -> Result<Self, Error> {
        let format = match first {
            b'{' => WireFormat::Json,
            _ => WireFormat::Msgpack,
        };
        let transport = format.build()?;
        Ok(Self {
            decoder: transport.decoder(),
            transport,
        })
    }
}
