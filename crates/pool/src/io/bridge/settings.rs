//! The first message: who the client is, and what it speaks.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use plushie_pool_core::{Error, Forwarded, Header, Transport, decode_payload};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::whole::Whole;
use super::{Bridge, Phase, Source};
use crate::fonts;
use crate::io::alarm::Alarm;
use crate::io::work::Work;
use crate::pool::SessionPool;

/// The version of the protocol that renderers speak.
const PROTOCOL_VERSION: u32 = 1;

/// How long the name of a mode may be, in bytes.
const MODE: usize = 64;

/// What a client has to show. As everywhere, the last of a key counts.
struct Settings {
    settings: Shown,
}

#[derive(Default)]
struct Shown {
    protocol_version: Option<u32>,
    token: Option<String>,
    token_sha256: Option<String>,
    /// The mode of the pool it wants sessions of, if that is a text; none for the default one.
    pool_mode: Option<Option<String>>,
}

/// A value, or the fact that there was something else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Fitting(T),
    Other(IgnoredAny),
}

impl<T> From<Lenient<T>> for Option<T> {
    fn from(value: Lenient<T>) -> Self {
        match value {
            Lenient::Fitting(value) => Some(value),
            Lenient::Other(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Message;

        impl<'de> Visitor<'de> for Message {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message with settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
                let mut settings = None;
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "settings" => {
                            let shown: Option<Shown> = map.next_value::<Lenient<_>>()?.into();
                            settings = Some(shown.unwrap_or_default());
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                let settings = settings.ok_or_else(|| A::Error::missing_field("settings"))?;
                Ok(Settings { settings })
            }
        }

        deserializer.deserialize_map(Message)
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Shown;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shown, A::Error> {
                let mut shown = Shown::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "protocol_version" => {
                            shown.protocol_version = map.next_value::<Lenient<_>>()?.into();
                        }
                        "token" => shown.token = map.next_value::<Lenient<_>>()?.into(),
                        "token_sha256" => {
                            shown.token_sha256 = map.next_value::<Lenient<_>>()?.into();
                        }
                        "pool_mode" => {
                            let mode = map.next_value::<Option<Lenient<_>>>()?;
                            shown.pool_mode = mode.map(Option::from);
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(shown)
            }
        }

        deserializer.deserialize_map(Map)
    }
}

impl Bridge {
    /// The first message: it must be the settings, and show who the client is.
    pub(super) fn take_settings(&mut self, payload: Bytes) {
        let Some(transport) = self.client.transport() else {
            return;
        };
        // Nothing of what it sent is repeated in an error: it may be a token.
        let (Ok(envelope), Some(_)) = (
            transport.envelope(&payload),
            Whole::of(&*transport, &payload),
        ) else {
            // A client that writes JSON and frames it as MessagePack waits for an answer that it
            // can read. The renderer has none either: it says as much, in MessagePack.
            let is_json = payload.trim_ascii_start().first() == Some(&b'{');
            return self.end_with(if is_json && transport.name() != "json" {
                "failed to parse initial settings: they are JSON with a length in front, and \
                 JSON is one message a line, without a length; use MessagePack where lengths are \
                 written"
            } else {
                "failed to decode initial settings"
            });
        };
        if envelope.kind != "settings" {
            return self.end_with("expected settings as first message");
        }
        let Ok(Settings { settings: shown }) = decode_payload(&*transport, &payload) else {
            return self.end_with("failed to parse initial settings");
        };
        if let Some(admission) = &self.config.admission {
            let (token, sha256) = (shown.token.as_deref(), shown.token_sha256.as_deref());
            if let Err(refusal) = admission.admit(token, sha256) {
                return self.end_with(&refusal.0);
            }
        }
        self.client.admit();
        let version = shown.protocol_version;
        if version == Some(PROTOCOL_VERSION) {
            self.settings = without_credentials(&*transport, &payload);
            self.fonts = fonts::of_message(&*transport, &payload);
        }
        self.version = version;
        self.phase = Phase::Hello;
        match shown.pool_mode {
            None => match self.config.mode.clone() {
                Some(mode) => self.choose(mode),
                None => self.begin_to_serve(),
            },
            Some(mode) => match mode {
                Some(mode) if mode.len() <= MODE => self.choose(mode),
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
    let settings = Forwarded::new(transport, payload)
        .for_renderer()
        .without_credentials();
    let frame = transport.encode(header, &settings).ok()?;
    let mut frame = BytesMut::from(&*frame);
    transport.decoder().decode(&mut frame).ok()?
}
