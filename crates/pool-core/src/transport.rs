//! A wire format: how messages become bytes and bytes become messages.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{Error, Oversized};

/// The longest payload a renderer accepts, in bytes (64 MiB): a longer one ends it, so the pool
/// sends none. It is also the longest that the pool keeps of what a renderer sends. Renderer 0.7.1
/// sends longer ones: a headless screenshot of 4100x4100 in MessagePack, of 3550x3550 in JSON. The
/// pool passes over those, and the request they answer fails.
pub const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// The deepest nesting of maps and arrays a renderer accepts in every format, the outer map
/// and empty ones included. It drops a deeper message without a word.
///
/// Its limit is called 128. Its JSON reader (`serde_json`) gives up on entering the 128th
/// level; its MessagePack reader accepts that one and does not count empty maps and arrays.
pub const MAX_DEPTH: usize = 127;

/// A wire format. It says how bytes are framed and messages encoded, never how bytes move.
///
/// # The least an implementor writes
///
/// [`name`](Self::name), [`decoder`](Self::decoder), [`encode`](Self::encode),
/// [`envelope`](Self::envelope) and [`deserialize`](Self::deserialize). Frames with a length
/// in front or a newline behind need no decoder of their own: see
/// [`LengthPrefixed`](crate::framing::LengthPrefixed) and [`Lines`](crate::framing::Lines).
/// The suite in [`conformance`](crate::conformance) says whether an implementation is right.
///
/// Everything here is synchronous and may be called from several threads at once.
pub trait Transport: Any + Send + Sync + fmt::Debug {
    /// The format's name, for errors, logs and status: `json`.
    fn name(&self) -> &str;

    /// The arguments that make a renderer speak this format: `--json`.
    fn launch_args(&self) -> &[&str] {
        &[]
    }

    /// A decoder for one renderer's output.
    fn decoder(&self) -> Box<dyn FrameDecoder>;

    /// Writes one whole frame: `body`, which serialises as a map, with the keys of `header`
    /// added to it. The caller has made sure that `body` does not bring them itself
    /// ([`Outline`](crate::Outline)).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidMessage`](crate::ErrorKind::InvalidMessage) if the body is not a
    /// map. [`ErrorKind::Encode`](crate::ErrorKind::Encode) if some format cannot express it,
    /// such as a float that is not finite ([`Strict`](crate::strict::Strict) refuses what no
    /// format of the pool's may write), or if it exceeds [`MAX_DEPTH`] or
    /// [`MAX_PAYLOAD`]. Nothing is written then.
    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error>;

    /// Reads what routing needs from a payload, and passes over the rest without building
    /// it. Borrows from `payload` wherever the format allows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) if the payload is not one whole map,
    /// has no string `type`, names a key of the envelope twice, or nests deeper than
    /// [`MAX_DEPTH`].
    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error>;

    /// Hands a deserialiser over the whole payload to `read`, exactly once.
    ///
    /// Binary data must reach a type that asks for bytes as bytes, and any other as a
    /// string of base64: [`Binary`](crate::Binary) relies on the first,
    /// `serde_json::Value` on the second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) with what `read` said, or if bytes
    /// follow the map.
    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error>;
}

/// What [`Transport::deserialize`] calls with the deserialiser.
pub type Read<'f, 'de> =
    &'f mut dyn FnMut(&mut dyn erased_serde::Deserializer<'de>) -> Result<(), erased_serde::Error>;

/// Cuts one renderer's output into payloads.
pub trait FrameDecoder: Send + fmt::Debug {
    /// Takes the next whole payload off the front of `buf`, without copying it. `None`
    /// means that more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Framing`](crate::ErrorKind::Framing) when where the next payload starts
    /// can no longer be known: a length over [`MAX_PAYLOAD`] (refused before anything is
    /// allocated for it) or of zero. The decoder is of no further use then, unless it can
    /// [`pass_over`](Self::pass_over) the payload.
    fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Bytes>, Error>;

    /// Whether the payload that [`decode`](Self::decode) has just refused for its length can be
    /// passed over. If so, `decode` takes it off the buffer as it comes, keeping nothing, and
    /// gives `None` at its end, where [`passed_over`](Self::passed_over) says what it was.
    ///
    /// `decode` may still fail on the way: when the bytes show that there is no such payload.
    ///
    /// By default no payload can be passed over.
    fn pass_over(&mut self) -> bool {
        false
    }

    /// The payload that [`decode`](Self::decode) has passed over to its end, once. More may
    /// follow it in the buffer.
    fn passed_over(&mut self) -> Option<Oversized> {
        None
    }
}

/// The keys the pool puts into every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// `session`: which session the message is for, empty for the renderer as a whole.
    pub session: &'a str,
    /// `id`, for a message that is answered.
    pub id: Option<&'a str>,
}

/// What routing needs to know of a message from the renderer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    /// `type`.
    pub kind: Cow<'a, str>,
    /// `session`; empty if the message has none.
    pub session: Cow<'a, str>,
    /// `id`: of the request in a reply, of the widget in an event.
    pub id: Option<Cow<'a, str>>,
    /// `family`, of an event.
    pub family: Option<Cow<'a, str>>,
    /// `tag`, which an `op_query_response` is correlated by.
    pub tag: Option<Cow<'a, str>>,
    /// `kind`, which the acknowledgement of an effect stub is correlated by.
    pub stub: Option<Cow<'a, str>>,
    /// `value`, where it is a string: what a `status` event reports.
    pub value: Option<Cow<'a, str>>,
}
