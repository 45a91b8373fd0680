//! A message from the renderer, routed but not yet decoded.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
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
        &self.kind
    }

    /// The session it is for.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// `id`: of the request in a reply, of the widget in an event.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// `family`, of an event: `click`, `input`, `status`, ...
    pub fn family(&self) -> Option<&str> {
        self.family.as_deref()
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
        let own = Bytes::copy_from_slice(&self.payload);
        let texts = [Some(&mut self.kind), self.id.as_mut(), self.family.as_mut()];
        for text in texts.into_iter().flatten() {
            *text = text.moved(&self.payload, &own);
        }
        self.payload = own;
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

/// A string that lies in the bytes of a message.
#[derive(Clone)]
struct WireText(Bytes);

impl WireText {
    /// `text`, which shares the memory of `payload` if it lies in it. A transport may also
    /// answer with a constant.
    fn of(payload: &Bytes, text: &str) -> Self {
        Self(match offset(payload, text.as_bytes()) {
            Some(_) => payload.slice_ref(text.as_bytes()),
            None => Bytes::copy_from_slice(text.as_bytes()),
        })
    }

    /// The same text in a `copy` of the payload it lies in.
    fn moved(&self, payload: &Bytes, copy: &Bytes) -> Self {
        Self(match offset(payload, &self.0) {
            Some(start) => copy.slice(start..start + self.0.len()),
            None => self.0.clone(),
        })
    }
}

/// Where `part` lies in `whole`, if it does.
fn offset(whole: &Bytes, part: &[u8]) -> Option<usize> {
    let (whole, part) = (whole.as_ptr_range(), part.as_ptr_range());
    let inside = part.start < part.end && whole.start <= part.start && part.end <= whole.end;
    inside.then(|| part.start as usize - whole.start as usize)
}

impl Deref for WireText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made from a str, and bytes do not change")
    }
}

impl fmt::Debug for WireText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
