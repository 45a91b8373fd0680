//! A message from the renderer, routed but not yet decoded.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::readdress::Readdressed;
use crate::{Addressing, Envelope, Error, ErrorKind, SessionId, Transport};

/// A message from the renderer. Its body is decoded when asked for, into the type asked for.
///
/// Cheap to clone. It keeps the renderer's bytes alive, which may be part of a larger read.
#[derive(Clone)]
pub struct Message {
    payload: Bytes,
    transport: Arc<dyn Transport>,
    addressing: Addressing,
    session: SessionId,
    kind: WireText,
    id: Option<WireText>,
    family: Option<WireText>,
}

impl Message {
    /// The message in `payload`, whose `envelope` the transport read, for `session`.
    pub fn new(
        transport: Arc<dyn Transport>,
        addressing: Addressing,
        session: SessionId,
        payload: Bytes,
        envelope: &Envelope<'_>,
    ) -> Self {
        let text = |field: &Cow<'_, str>| WireText::of(&payload, field);
        let kind = text(&envelope.kind);
        let id = envelope.id.as_ref().map(text);
        let family = envelope.family.as_ref().map(text);
        Self {
            payload,
            transport,
            addressing,
            session,
            kind,
            id,
            family,
        }
    }

    /// `type`: `query_response`, `event`, ...
    pub fn kind(&self) -> &str {
        self.kind.read(&self.payload)
    }

    /// The session it is for.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// `id`: of the request in a reply, of the widget in an event.
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(|id| id.read(&self.payload))
    }

    /// `family`, of an event: `click`, `input`, `status`, ...
    pub fn family(&self) -> Option<&str> {
        self.family
            .as_ref()
            .map(|family| family.read(&self.payload))
    }

    /// Decodes the whole message.
    ///
    /// Binary fields read into [`Binary`](crate::Binary), or, as base64, into anything that
    /// takes a string. `session` reads as [`session`](Self::session), also where the
    /// renderer leaves it empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if the message does not have the shape of `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let read = |inner: &mut dyn erased_serde::Deserializer<'_>| match self.addressing {
            Addressing::BySession => T::deserialize(inner),
            Addressing::Single => T::deserialize(Readdressed {
                inner,
                session: &self.session.to_string(),
            }),
        };
        read_payload(&*self.transport, &self.payload, read)
            .map_err(|error| error.with_session(self.session))
    }

    /// The renderer's bytes, in the wire format, without the frame around them.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Moves the message into memory of its own, so that it no longer keeps alive all that was
    /// read with it.
    pub(crate) fn detach(&mut self) {
        self.payload = Bytes::copy_from_slice(&self.payload);
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.kind())
            .field("session", &self.session)
            .field("id", &self.id())
            .field("family", &self.family())
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Decodes a payload that belongs to no session.
///
/// # Errors
///
/// [`ErrorKind::Decode`] if it does not have the shape of `T`.
pub fn decode_payload<T: DeserializeOwned>(
    transport: &dyn Transport,
    payload: &[u8],
) -> Result<T, Error> {
    read_payload(transport, payload, |inner| T::deserialize(inner))
}

fn read_payload<T>(
    transport: &dyn Transport,
    payload: &[u8],
    mut read: impl FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<T, erased_serde::Error>,
) -> Result<T, Error> {
    let mut decoded = None;
    transport.deserialize(payload, &mut |inner| {
        decoded = Some(read(inner)?);
        Ok(())
    })?;
    decoded.ok_or_else(|| {
        let message = format!("the {} transport offered no value", transport.name());
        Error::new(ErrorKind::Decode, message)
    })
}

/// A text of a message's envelope.
#[derive(Clone)]
enum WireText {
    /// It lies in the payload, from here to there.
    Part(Range<usize>),
    /// It was escaped, or the transport answered with a constant.
    Own(Box<str>),
}

impl WireText {
    fn of(payload: &Bytes, text: &str) -> Self {
        let (whole, part) = (payload.as_ptr_range(), text.as_bytes().as_ptr_range());
        if whole.start <= part.start && part.end <= whole.end {
            let start = part.start as usize - whole.start as usize;
            Self::Part(start..start + text.len())
        } else {
            Self::Own(text.into())
        }
    }

    fn read<'a>(&'a self, payload: &'a Bytes) -> &'a str {
        match self {
            Self::Part(range) => std::str::from_utf8(&payload[range.clone()])
                .expect("made from a str, and bytes do not change"),
            Self::Own(text) => text,
        }
    }
}
