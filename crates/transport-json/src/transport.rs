//! The format as a whole.

use bytes::Bytes;
use plushie_pool_core::framing::{Lines, excerpt};
use plushie_pool_core::{Envelope, Error, ErrorKind, FrameDecoder, Header, Read, Transport};

use crate::encode::encode;
use crate::envelope::{Doubled, envelope};
use crate::skim::Skimmer;

/// JSON, one object a line. Binary data is a string of base64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json;

impl Transport for Json {
    fn name(&self) -> &str {
        "json"
    }

    fn launch_args(&self) -> &[&str] {
        &["--json"]
    }

    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Box::new(Lines::skimming(|| Box::new(Skimmer::default())))
    }

    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error> {
        encode(header, body)
    }

    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        envelope(payload, Doubled::Refuse).map_err(|error| unreadable(payload, &error))
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        // Its own limit on recursion is `MAX_DEPTH`.
        let mut json = serde_json::Deserializer::from_slice(payload);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
            .map_err(|error| unreadable(payload, &error))?;
        json.end().map_err(|error| unreadable(payload, &error))
    }
}

pub(crate) fn unreadable(payload: &[u8], reason: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!(
            "cannot read the JSON message {}: {reason}",
            excerpt(payload)
        ),
    )
}
