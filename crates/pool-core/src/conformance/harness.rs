//! Does with a wire format what the pool does, and says what went wrong.

use std::fmt::{Debug, Display};

use bytes::{Bytes, BytesMut};
use erased_serde::Serialize;
use serde::de::DeserializeOwned;

use super::checks::{Checks, Hex};
use crate::{Envelope, Error, ErrorKind, Header, Transport};

/// The header of a message whose own does not matter.
pub(super) const HEADER: Header<'static> = Header {
    session: "s1",
    id: None,
};

/// The wire format under test.
pub(super) struct Subject<'a> {
    pub(super) transport: &'a dyn Transport,
    pub(super) checks: Checks,
}

impl<'a> Subject<'a> {
    pub(super) fn new(transport: &'a dyn Transport) -> Self {
        let checks = Checks::new(format!("transport {:?}", transport.name()));
        Self { transport, checks }
    }

    pub(super) fn frame(&self, header: Header<'_>, body: &dyn Serialize) -> Bytes {
        let frame = self.transport.encode(header, body);
        frame.unwrap_or_else(|error| self.fail("a message to be written", error))
    }

    pub(super) fn payload_of(&self, frame: Bytes) -> Bytes {
        let len = frame.len();
        let mut payloads = self.payloads(&[&frame]);
        self.expect(
            payloads.len() == 1,
            format_args!("one payload in a frame of {len} bytes"),
            payloads.len(),
        );
        payloads.remove(0)
    }

    pub(super) fn payload(&self, header: Header<'_>, body: &dyn Serialize) -> Bytes {
        self.payload_of(self.frame(header, body))
    }

    /// The payloads in what is read in these pieces, which must hold whole frames.
    pub(super) fn payloads(&self, reads: &[&[u8]]) -> Vec<Bytes> {
        let mut decoder = self.transport.decoder();
        let mut buf = BytesMut::new();
        let mut payloads = Vec::new();
        for read in reads {
            buf.extend_from_slice(read);
            loop {
                match decoder.decode(&mut buf) {
                    Ok(Some(payload)) => payloads.push(payload),
                    Ok(None) => break,
                    Err(error) => self.fail("its own frames to be cut", error),
                }
            }
        }
        self.expect(
            buf.is_empty(),
            "its own frames to be taken as a whole",
            format_args!("{} bytes left", buf.len()),
        );
        payloads
    }

    pub(super) fn try_read<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, Error> {
        let mut read = None;
        let mut calls = 0;
        self.transport.deserialize(payload, &mut |deserializer| {
            calls += 1;
            read = Some(erased_serde::deserialize(deserializer)?);
            Ok(())
        })?;
        match (read, calls) {
            (Some(read), 1) => Ok(read),
            _ => self.fail("`read` to be called once", format_args!("{calls} calls")),
        }
    }

    pub(super) fn read<T: DeserializeOwned>(&self, payload: &[u8]) -> T {
        let read = self.try_read(payload);
        read.unwrap_or_else(|error| self.fail("what it wrote to be read", error))
    }

    pub(super) fn envelope<'p>(&self, payload: &'p [u8]) -> Envelope<'p> {
        let envelope = self.transport.envelope(payload);
        envelope.unwrap_or_else(|error| self.fail("the envelope of what it wrote", error))
    }

    /// Expects that no envelope is read.
    pub(super) fn refuse(&self, payload: &[u8], what: impl Display) {
        let expected = format_args!("ErrorKind::Decode for {what}");
        match self.transport.envelope(payload) {
            Ok(envelope) => self.fail(expected, format_args!("{envelope:?} of {}", Hex(payload))),
            Err(error) => self.expect_kind(&error, ErrorKind::Decode, &what),
        }
    }

    /// Expects that neither an envelope nor a message is read.
    pub(super) fn refuse_all<T: DeserializeOwned + Debug>(
        &self,
        payload: &[u8],
        what: impl Display,
    ) {
        self.refuse(payload, &what);
        self.refuse_message::<T>(payload, what);
    }

    /// Expects that no message is read. Its envelope may be: it passes over what is in it.
    pub(super) fn refuse_message<T: DeserializeOwned + Debug>(
        &self,
        payload: &[u8],
        what: impl Display,
    ) {
        let expected = format_args!("ErrorKind::Decode for {what}, deserialised");
        match self.try_read::<T>(payload) {
            Ok(message) => self.fail(expected, format_args!("{message:?} of {}", Hex(payload))),
            Err(error) => self.expect_kind(&error, ErrorKind::Decode, &what),
        }
    }

    pub(super) fn refuse_to_write(&self, body: &dyn Serialize, what: impl Display) {
        match self.transport.encode(HEADER, body) {
            Ok(frame) => self.fail(
                format_args!("ErrorKind::Encode for {what}"),
                format_args!("a frame of {} bytes: {}", frame.len(), Hex(&frame)),
            ),
            Err(error) => self.expect_kind(&error, ErrorKind::Encode, what),
        }
    }

    pub(super) fn expect_kind(&self, error: &Error, expected: ErrorKind, what: impl Display) {
        self.expect(
            error.kind() == expected,
            format_args!("ErrorKind::{expected:?} for {what}"),
            format_args!("ErrorKind::{:?}: {error}", error.kind()),
        );
    }

    pub(super) fn expect_same<T: PartialEq + Debug>(
        &self,
        what: impl Display,
        expected: T,
        got: T,
    ) {
        self.expect(
            expected == got,
            format_args!("{what} as {expected:?}"),
            format_args!("{got:?}"),
        );
    }

    #[track_caller]
    pub(super) fn expect(&self, holds: bool, expected: impl Display, got: impl Display) {
        self.checks.expect(holds, expected, got);
    }

    #[track_caller]
    pub(super) fn fail(&self, expected: impl Display, got: impl Display) -> ! {
        self.checks.fail(expected, got)
    }
}
