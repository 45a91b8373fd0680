//! CBOR, each message with its length in front.

use std::borrow::Cow;

use bytes::Bytes;
use plushie_pool::Transport;
use plushie_pool_core::framing::{LengthPrefixed, check_len, excerpt};
use plushie_pool_core::strict::Strict;
use plushie_pool_core::textual::Textual;
use plushie_pool_core::{Envelope, Error, ErrorKind, FrameDecoder, Header, Read};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The length in front of a frame.
const PREFIX: usize = 4;
const MAP: u8 = 5;
const MAP_WITHOUT_END: u8 = 0xbf;
const END: u8 = 0xff;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cbor;

impl Transport for Cbor {
    fn name(&self) -> &str {
        "cbor"
    }

    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Box::new(LengthPrefixed::default())
    }

    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error> {
        let mut frame = vec![0; PREFIX];
        // A map that says where it ends need not be counted.
        frame.push(MAP_WITHOUT_END);
        write(&mut frame, &"session")?;
        write(&mut frame, &header.session)?;
        if let Some(id) = header.id {
            write(&mut frame, &"id")?;
            write(&mut frame, &id)?;
        }
        let start = frame.len();
        write(&mut frame, body)?;
        let first = frame[start];
        if first >> 5 != MAP {
            let message = "the message is not a map";
            return Err(Error::new(ErrorKind::InvalidMessage, message));
        }
        // The body's own beginning goes, and its end stays or is made up for.
        let counted = first != MAP_WITHOUT_END;
        let count = match first & 0x1f {
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => 0,
        };
        frame.drain(start..=start + count);
        if counted {
            frame.push(END);
        }
        let len = frame.len() - PREFIX;
        check_len(len)?;
        frame[..PREFIX].copy_from_slice(&(len as u32).to_be_bytes());
        Ok(frame.into())
    }

    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        // serde would fill the fields from an array, too.
        if payload.first().is_none_or(|first| first >> 5 != MAP) {
            return Err(unreadable(payload, &"it is not a map"));
        }
        let wire: Wire<'_> =
            serde_cbor_2::from_slice(payload).map_err(|error| unreadable(payload, &error))?;
        Ok(Envelope {
            kind: wire.kind,
            session: wire.session,
            id: wire.id.text(),
            family: wire.family.text(),
            tag: wire.tag.text(),
            stub: wire.stub.text(),
            value: wire.value.text(),
        })
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        let mut cbor = serde_cbor_2::Deserializer::from_slice(payload);
        let textual = Textual::new(&mut cbor);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(textual))
            .map_err(|error| unreadable(payload, &error))?;
        cbor.end().map_err(|error| unreadable(payload, &error))
    }
}

fn write(frame: &mut Vec<u8>, value: &dyn erased_serde::Serialize) -> Result<(), Error> {
    let mut cbor = serde_cbor_2::Serializer::new(frame);
    erased_serde::serialize(value, Strict::binary(&mut cbor)).map_err(|error| {
        let message = format!("the message cannot be written as CBOR: {error}");
        Error::new(ErrorKind::Encode, message)
    })
}

fn unreadable(payload: &[u8], reason: &dyn std::fmt::Display) -> Error {
    let start = excerpt(payload);
    let message = format!("cannot read the CBOR message {start}: {reason}");
    Error::new(ErrorKind::Decode, message)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    session: Cow<'a, str>,
    #[serde(default, borrow)]
    id: IfText<'a>,
    #[serde(default, borrow)]
    family: IfText<'a>,
    #[serde(default, borrow)]
    tag: IfText<'a>,
    #[serde(rename = "kind", default, borrow)]
    stub: IfText<'a>,
    #[serde(default, borrow)]
    value: IfText<'a>,
}

/// A string, or the fact that there was something else.
#[derive(Deserialize)]
#[serde(untagged)]
enum IfText<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Else(IgnoredAny),
}

impl Default for IfText<'_> {
    fn default() -> Self {
        Self::Else(IgnoredAny)
    }
}

impl<'a> IfText<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Else(_) => None,
        }
    }
}
