//! MessagePack as a renderer reads what a host sends it.

mod deserialize;
mod splice;
mod value;
mod walk;

use std::borrow::Cow;

use bytes::Bytes;
use plushie_pool_core::framing::LengthPrefixed;
use plushie_pool_core::textual::Textual;
use plushie_pool_core::{Envelope, Error, FrameDecoder, Header, Read, Transport};
use serde::Deserialize;
use serde::de::value::BytesDeserializer;

use crate::encode::encode;
use crate::scan::Malformed;
use crate::transport::unreadable;
use deserialize::Reader;
use value::{Value, Values};

pub use splice::splice;

/// The same format, for a client's messages: it takes all that renderer 0.7.1 takes from a host,
/// and reads it as that renderer does. [`Msgpack`](crate::Msgpack) is stricter, for what renderers
/// send.
///
/// From the renderer's source (`codec.rs` of `plushie-renderer-engine`, `codec_safety.rs` of
/// `plushie-core`):
///
/// - of a key that comes twice, at whatever depth, the last one counts;
/// - `bin` reads as base64 text, also as a `session` or an `id`;
/// - an extension, a float that is not finite and the reserved byte `0xc1` read as null;
/// - a key that is not text reads as how it is displayed: `1`, `nil`, `true`;
/// - bytes behind the message do no harm, unless they announce more than follows;
/// - empty maps and arrays do not count as nesting, of which 128 levels are read;
/// - text that is not UTF-8 makes a message unreadable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tolerant;

impl Transport for Tolerant {
    fn name(&self) -> &str {
        "msgpack"
    }

    fn launch_args(&self) -> &[&str] {
        &["--msgpack"]
    }

    /// Makes no room for bytes that are not there.
    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Box::new(LengthPrefixed::growing())
    }

    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error> {
        encode(header, body)
    }

    /// Text outside the envelope is not looked at.
    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        envelope(payload).map_err(|error| unreadable(payload, &error))
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        walk::check(payload).map_err(|error| unreadable(payload, &error))?;
        let mut reader = Reader::new(payload);
        let textual = Textual::new(&mut reader);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(textual))
            .map_err(|error| unreadable(payload, &error))
    }
}

fn envelope(payload: &[u8]) -> Result<Envelope<'_>, Malformed> {
    let mut values = Values::new(payload);
    let Value::Map(entries) = values.next()? else {
        return Err(Malformed::NotAMap);
    };
    let mut found = Envelope::default();
    let (mut kind, mut session) = (None, Some(Cow::Borrowed("")));
    for _ in 0..entries {
        let key = values.next()?;
        values.pass(key, 1)?;
        let value = values.next()?;
        values.pass(value, 1)?;
        let Value::Str(key) = key else {
            continue;
        };
        match key {
            b"type" => kind = text(value)?,
            b"session" => session = text(value)?,
            b"id" => found.id = text(value)?,
            b"family" => found.family = text(value)?,
            b"tag" => found.tag = text(value)?,
            b"kind" => found.stub = text(value)?,
            b"value" => found.value = text(value)?,
            _ => {}
        }
    }
    walk::check_rest(values)?;
    found.kind = kind.ok_or(Malformed::NoText("type"))?;
    found.session = session.ok_or(Malformed::NoText("session"))?;
    Ok(found)
}

/// What the value reads as, if that is text.
fn text(value: Value<'_>) -> Result<Option<Cow<'_, str>>, Malformed> {
    Ok(match value {
        Value::Str(text) => {
            let text = std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?;
            Some(Cow::Borrowed(text))
        }
        Value::Bin(bytes) => Some(Cow::Owned(base64(bytes))),
        _ => None,
    })
}

fn base64(bytes: &[u8]) -> String {
    let bytes = BytesDeserializer::<serde::de::value::Error>::new(bytes);
    String::deserialize(Textual::new(bytes)).expect("bytes that are asked for as text are base64")
}
