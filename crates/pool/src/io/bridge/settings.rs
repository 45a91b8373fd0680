//! The first message: who the client is, and what it speaks.

use bytes::{Bytes, BytesMut};
use plushie_pool_core::{Error, Forwarded, Header, Transport, decode_payload};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Bridge, Phase, Source};
use crate::fonts;
use crate::io::alarm::Alarm;
use crate::io::work::Work;
use crate::pool::SessionPool;

/// The version of the protocol that renderers speak.
const PROTOCOL_VERSION: u64 = 1;

/// How long the name of a mode may be, in bytes.
const MODE: usize = 64;

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
    /// The mode of the pool it wants sessions of; none for the default one.
    #[serde(default)]
    pool_mode: Option<Lenient<String>>,
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
            self.fonts = fonts::of_message(&*transport, &payload);
        }
        self.version = version;
        self.phase = Phase::Hello;
        match &shown.pool_mode {
            None => self.begin_to_serve(),
            Some(mode) => match mode.fitting() {
                Some(mode) if mode.len() <= MODE => self.choose(mode.clone()),
                _ => self.end_with("`pool_mode` in the settings is not the name of a mode"),
            },
        }
    }

    /// Asks for the pool of this mode, which may have to start.
    fn choose(&mut self, mode: String) {
        let pools = self.pools.clone();
        let choosing = async move { pools.pool(&mode).await };
        self.work.push(Work::Choosing(Box::pin(choosing)));
    }

    /// Goes on with this pool, if it is to be had.
    pub(super) fn chosen(&mut self, pool: Result<SessionPool, Error>) {
        let pool = match pool {
            Ok(pool) => pool,
            Err(error) => return self.end_with(&error.to_string()),
        };
        // One session stays the one it is; that its mode is this one is known by now.
        if matches!(self.source, Source::Pool(_)) {
            let engine = pool.engine();
            self.transport = engine.config.transport.clone();
            self.alarm = Alarm::new(engine.io());
            self.source = Source::Pool(pool);
        }
        self.begin_to_serve();
    }

    fn begin_to_serve(&mut self) {
        if let (Some(gauge), Source::Pool(pool)) = (&self.config.gauge, &self.source) {
            let status = pool.status();
            gauge.admitted(&status.mode, status.max_sessions);
        }
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
