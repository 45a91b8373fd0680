//! JSON as a renderer reads what a host sends it.

use bytes::{Bytes, BytesMut};
use plushie_pool_core::framing::Lines;
use plushie_pool_core::{Envelope, Error, ErrorKind, FrameDecoder, Header, Read, Transport};

use crate::encode::encode;
use crate::envelope::{Doubled, envelope};
use crate::transport::{Json, unreadable};

/// The same format, for a client's messages: it takes all that renderer 0.7.1 takes from a host,
/// and reads it as that renderer does. [`Json`] is stricter, for what renderers send.
///
/// From the renderer's source (`codec.rs` of `plushie-renderer-engine`):
///
/// - of a key that comes twice, at whatever depth, the last one counts;
/// - white space of any script around a message does no harm, and a line of nothing else is no
///   message;
/// - a line that is not UTF-8 ends the stream: the renderer reads no further.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tolerant;

impl Transport for Tolerant {
    fn name(&self) -> &str {
        Json.name()
    }

    fn launch_args(&self) -> &[&str] {
        Json.launch_args()
    }

    /// Makes no room for bytes that are not there.
    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Box::new(Trimmed(Lines::growing()))
    }

    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error> {
        encode(header, body)
    }

    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        envelope(payload, Doubled::TakeLast).map_err(|error| unreadable(payload, &error))
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        Json.deserialize(payload, read)
    }
}

/// Lines of text, without the white space around it.
#[derive(Debug)]
struct Trimmed(Lines);

impl FrameDecoder for Trimmed {
    fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        while let Some(line) = self.0.decode(buf)? {
            let Ok(text) = std::str::from_utf8(&line) else {
                let message = "a line is not UTF-8, and a renderer reads nothing behind it";
                return Err(Error::new(ErrorKind::Framing, message));
            };
            let text = text.trim();
            if !text.is_empty() {
                return Ok(Some(line.slice_ref(text.as_bytes())));
            }
        }
        Ok(None)
    }
}
