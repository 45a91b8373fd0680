//! The least a wire format can be: `serde_json`, one object a line.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::pool_core::framing::Lines;
use super::pool_core::{Envelope, Error, ErrorKind, FrameDecoder, Header, Read, Transport};

#[derive(Debug)]
pub(crate) struct Json;

impl Transport for Json {
    fn name(&self) -> &str {
        "test json"
    }

    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Box::new(Lines::default())
    }

    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error> {
        let failed = |error| Error::new(ErrorKind::Encode, format!("{error}"));
        let mut message = serde_json::to_value(body).map_err(failed)?;
        message["session"] = header.session.into();
        if let Some(id) = header.id {
            message["id"] = id.into();
        }
        Ok(Bytes::from(format!("{message}\n")))
    }

    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        let fields: Fields<'a> = serde_json::from_slice(payload).map_err(unreadable)?;
        Ok(Envelope {
            kind: fields.r#type,
            session: fields.session,
            id: fields.id,
            family: fields.family,
            tag: fields.tag,
            stub: fields.kind,
            value: fields.value.and_then(|value| match value {
                Value::String(text) => Some(text.into()),
                _ => None,
            }),
        })
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        let mut json = serde_json::Deserializer::from_slice(payload);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json)).map_err(unreadable)?;
        json.end().map_err(unreadable)
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    session: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    family: Option<Cow<'a, str>>,
    tag: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    value: Option<Value>,
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Decode, error.to_string())
}
