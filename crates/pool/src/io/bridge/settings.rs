//! The first message: who the client is, and what it speaks.

use bytes::{Bytes, BytesMut};
use plushie_pool_core::{Forwarded, Header, Transport, decode_payload};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Bridge, Phase};

/// The version of the protocol that renderers speak.
const PROTOCOL_VERSION: u64 = 1;

/// What a client has to show.
#[derive(Deserialize)]
struct Settings {
    settings: Shown,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    protocol_version: Lenient<u64>,
    #[serde(default)]
    token: Lenient<String>,
    #[serde(default)]
    token_sha256: Lenient<String>,
}

/// A value, or the fact that there was something else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Fitting(T),
    Other(IgnoredAny),
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl<T> Lenient<T> {
    fn fitting(&self) -> Option<&T> {
        match self {
            Self::Fitting(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

impl Bridge {
    /// The first message: it must be the settings, and show who the client is.
    pub(super) fn take_settings(&mut self, payload: Bytes) {
        let Some(transport) = self.client.transport() else {
            return;
        };
        // Nothing of what it sent is repeated in an error: it may be a token.
        let Ok(envelope) = transport.envelope(&payload) else {
            return self.end_with("failed to decode initial settings");
        };
        if envelope.kind != "settings" {
            return self.end_with("expected settings as first message");
        }
        let Ok(Settings { settings: shown }) = decode_payload(&*transport, &payload) else {
            return self.end_with("failed to parse initial settings");
        };
        if let Some(admission) = &self.config.admission {
            let token = shown.token.fitting().map(String::as_str);
            let sha256 = shown.token_sha256.fitting().map(String::as_str);
            if let Err(refusal) = admission.admit(token, sha256) {
                return self.end_with(&refusal.0);
            }
        }
        let version = shown.protocol_version.fitting().copied();
        if version == Some(PROTOCOL_VERSION) {
            self.settings = without_credentials(&*transport, &payload);
        }
        self.version = version;
        self.phase = Phase::Hello;
        self.find_hello();
    }

    /// Whether the client speaks a renderer's version of the protocol; ends if not.
    pub(super) fn check_version(&mut self) -> bool {
        let expected = PROTOCOL_VERSION;
        let message = match self.version {
            Some(PROTOCOL_VERSION) => return true,
            Some(other) => {
                format!("protocol version mismatch: host sent {other}, renderer expects {expected}")
            }
            None => {
                format!("missing or invalid protocol_version in Settings (expected {expected})")
            }
        };
        self.end_with(&message);
        false
    }
}

/// What of the settings each session is to start with, in memory of its own: the frame shares
/// its with whatever was read along with it. None if the format cannot express it, which it just
/// has.
fn without_credentials(transport: &dyn Transport, payload: &[u8]) -> Option<Bytes> {
    let header = Header {
        session: "",
        id: None,
    };
    let settings = Forwarded::new(transport, payload).without_credentials();
    let frame = transport.encode(header, &settings).ok()?;
    let mut frame = BytesMut::from(&*frame);
    transport.decoder().decode(&mut frame).ok()?
}
