//! The format as a whole.

use bytes::Bytes;
use plushie_pool_core::framing::{LengthPrefixed, excerpt};
use plushie_pool_core::textual::Textual;
use plushie_pool_core::{Envelope, Error, ErrorKind, FrameDecoder, Header, Read, Transport};

use crate::encode::encode;
use crate::envelope::envelope;
use crate::scan::check;
use crate::skim::Skimmer;

/// MessagePack, each message with its length in front as a big-endian `u32`. Binary data is
/// `bin`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Msgpack;

impl Transport for Msgpack {
    fn name(&self) -> &str {
        "msgpack"
    }

    fn launch_args(&self) -> &[&str] {
        &["--msgpack"]
    }

    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Box::new(LengthPrefixed::skimming(|| Box::new(Skimmer::default())))
    }

    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error> {
        encode(header, body)
    }

    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        envelope(payload).map_err(|error| unreadable(payload, &error))
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        // rmp_serde believes every length, recurses 1024 levels deep, stops where its value
        // ends, and passes invalid text off as bytes. Checked before, none of that matters.
        check(payload).map_err(|error| unreadable(payload, &error))?;
        let mut msgpack = rmp_serde::Deserializer::from_read_ref(payload);
        let textual = Textual::new(&mut msgpack);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(textual))
            .map_err(|error| unreadable(payload, &error))
    }
}

pub(crate) fn unreadable(payload: &[u8], reason: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!(
            "cannot read the MessagePack message {}: {reason}",
            excerpt(payload)
        ),
    )
}
