//! The client's side of a bridge: its bytes, cut into messages, and what it is sent.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use plushie_pool_core::{Error, ErrorKind, FrameDecoder, Header, Transport};

use super::handshake_memory::{Claim, HandshakeMemory};
use crate::choice::WireFormat;

/// The bytes to and from a client, whose format shows with the first of them.
#[derive(Debug, Default)]
pub(super) struct Client {
    format: Option<Format>,
    input: BytesMut,
    output: BytesMut,
    /// What its first message takes, until it is admitted.
    claim: Option<Claim>,
    /// There is no memory for its first message.
    refused: bool,
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

/// What is kept for later use once it is empty.
const KEPT: usize = 256 * 1024;

impl Client {
    /// A client whose first message may take no more than there is of this memory.
    pub(super) fn new(memory: Option<Arc<HandshakeMemory>>) -> Self {
        Self {
            starved: true,
            claim: memory.map(Claim::new),
            ..Self::default()
        }
    }

    /// It may send what it likes.
    pub(super) fn admit(&mut self) {
        self.claim = None;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(claim) = &mut self.claim
            && !claim.cover(self.input.len() + bytes.len())
        {
            self.refused = true;
            self.starved = false;
            self.input = BytesMut::new();
            return;
        }
        self.input.extend_from_slice(bytes);
        self.starved = self.starved && bytes.is_empty();
    }

    /// A line that it began is whole then, as the renderer takes it.
    pub(super) fn end(&mut self) {
        self.ended = true;
        let is_json = match (&self.format, self.input.first()) {
            (Some(format), _) => format.transport.name() == "json",
            (None, first) => first == Some(&b'{'),
        };
        if is_json && !self.input.is_empty() {
            self.input.extend_from_slice(b"\n");
            self.starved = false;
        }
    }

    /// Reads no more of it: where its next message begins cannot be known.
    pub(super) fn cut(&mut self) {
        self.input = BytesMut::new();
        self.starved = true;
        self.ended = true;
    }

    /// Nothing more will come, and nothing that came is left.
    pub(super) fn has_ended(&self) -> bool {
        self.ended && self.starved
    }

    /// What it has sent so far was read.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    pub(super) fn wants_input(&self) -> bool {
        self.starved && !self.ended
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// If it can no longer be known where a message begins, there is no memory for the first, or
    /// the format is not compiled in.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.refused {
            let message = "clients that have not shown a token send too much at once";
            return Err(Error::new(ErrorKind::PoolFull, message));
        }
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
        let transport = format.build_tolerant()?;
        Ok(Self {
            decoder: transport.decoder(),
            transport,
        })
    }
}
