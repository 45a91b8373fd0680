//! Does with a wire format what the pool does, and says what went wrong.

use bytes::{Bytes, BytesMut};
use erased_serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Envelope, Error, ErrorKind, Header, Transport};

/// The header of a message whose own does not matter.
pub(super) const HEADER: Header<'static> = Header {
    session: "s1",
    id: None,
};

/// The wire format under test.
pub(super) struct Subject<'a>(pub(super) &'a dyn Transport);

impl Subject<'_> {
    pub(super) fn frame(&self, header: Header<'_>, body: &dyn Serialize) -> Bytes {
        self.0
            .encode(header, body)
            .unwrap_or_else(|error| self.fail(&format!("refuses to write a good message: {error}")))
    }

    pub(super) fn payload_of(&self, frame: Bytes) -> Bytes {
        let len = frame.len();
        let mut payloads = self.payloads(&[&frame]);
        self.check(payloads.len() == 1, || {
            format!(
                "cuts its own frame of {len} bytes into {} payloads",
                payloads.len()
            )
        });
        payloads.remove(0)
    }

    pub(super) fn payload(&self, header: Header<'_>, body: &dyn Serialize) -> Bytes {
        self.payload_of(self.frame(header, body))
    }

    /// The payloads in what is read in these pieces, which must hold whole frames.
    pub(super) fn payloads(&self, reads: &[&[u8]]) -> Vec<Bytes> {
        let mut decoder = self.0.decoder();
        let mut buf = BytesMut::new();
        let mut payloads = Vec::new();
        for read in reads {
            buf.extend_from_slice(read);
            loop {
                match decoder.decode(&mut buf) {
                    Ok(Some(payload)) => payloads.push(payload),
                    Ok(None) => break,
                    Err(error) => self.fail(&format!("cannot cut its own frames: {error}")),
                }
            }
        }
        self.check(buf.is_empty(), || {
            format!("leaves {} bytes of its own frames", buf.len())
        });
        payloads
    }

    pub(super) fn try_read<T: DeserializeOwned>(&self, payload: &[u8]) -> Result<T, Error> {
        let mut read = None;
        self.0.deserialize(payload, &mut |deserializer| {
            read = Some(erased_serde::deserialize(deserializer)?);
            Ok(())
        })?;
        Ok(read.unwrap_or_else(|| self.fail("deserialises without calling `read`")))
    }

    pub(super) fn read<T: DeserializeOwned>(&self, payload: &[u8]) -> T {
        self.try_read(payload)
            .unwrap_or_else(|error| self.fail(&format!("cannot read what it wrote: {error}")))
    }

    pub(super) fn envelope<'a>(&self, payload: &'a [u8]) -> Envelope<'a> {
        self.0.envelope(payload).unwrap_or_else(|error| {
            self.fail(&format!(
                "cannot read the envelope of what it wrote: {error}"
            ))
        })
    }

    pub(super) fn refuse(&self, payload: &[u8], what: &str) {
        match self.0.envelope(payload) {
            Ok(envelope) => self.fail(&format!("reads {what} as {envelope:?}")),
            Err(error) => self.expect_kind(&error, ErrorKind::Decode, what),
        }
    }

    pub(super) fn refuse_to_write(&self, body: &dyn Serialize, what: &str) {
        match self.0.encode(HEADER, body) {
            Ok(frame) => self.fail(&format!("writes {what} ({} bytes)", frame.len())),
            Err(error) => self.expect_kind(&error, ErrorKind::Encode, what),
        }
    }

    pub(super) fn expect_kind(&self, error: &Error, expected: ErrorKind, what: &str) {
        self.check(error.kind() == expected, || {
            format!("calls {what} {:?}, not {expected:?}: {error}", error.kind())
        });
    }

    #[track_caller]
    pub(super) fn check(&self, right: bool, wrong: impl FnOnce() -> String) {
        if !right {
            self.fail(&wrong());
        }
    }

    #[track_caller]
    pub(super) fn fail(&self, wrong: &str) -> ! {
        panic!("transport {:?} {wrong}", self.0.name());
    }
}
