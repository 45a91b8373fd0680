//! The modes and formats that come with the pool, by name.

use std::any::Any;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use plushie_pool_core::{Error, ErrorKind, Header, Mode, Transport};
use serde::Serialize;

/// What a renderer does with what it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RendererMode {
    /// Everything but drawing; many sessions share a renderer. The fastest.
    #[default]
    Mock,
    /// Draws into memory, so that screenshots show real pixels; many sessions share a renderer.
    Headless,
    /// Draws real windows on a display; each session has a renderer of its own.
    Windowed,
}

impl RendererMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mock, Self::Headless, Self::Windowed];

    /// Whether the feature that has it is enabled: see the crate's documentation.
    pub const fn is_compiled_in(self) -> bool {
        match self {
            Self::Mock | Self::Headless => cfg!(feature = "multiplexed"),
            Self::Windowed => cfg!(feature = "windowed"),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Mock => "mock",
            Self::Headless => "headless",
            Self::Windowed => "windowed",
        }
    }

    /// The mode itself, if it is compiled in.
    pub(crate) fn build(self, shared: &Sharing) -> Result<Box<dyn Mode>, Error> {
        match self {
            #[cfg(feature = "multiplexed")]
            Self::Mock | Self::Headless => {
                use plushie_pool_mode_multiplexed::Multiplexed;
                let mode = match self {
                    Self::Mock => Multiplexed::mock(),
                    _ => Multiplexed::headless(),
                };
                let mode = mode.renderers(shared.renderers);
                Ok(Box::new(match shared.recycle_after {
                    Some(sessions) => mode.recycle_after(sessions),
                    None => mode,
                }))
            }
            #[cfg(feature = "windowed")]
            Self::Windowed => Ok(Box::new(plushie_pool_mode_windowed::Windowed::new())),
            #[allow(unreachable_patterns, reason = "reached where a feature is off")]
            _ => {
                let _ = shared;
                let feature = match self {
                    Self::Windowed => "windowed",
                    _ => "multiplexed",
                };
                Err(not_compiled_in("mode", self.text(), feature))
            }
        }
    }
}

/// How renderers that serve many sessions are shared.
#[derive(Debug, Clone)]
pub(crate) struct Sharing {
    pub(crate) renderers: usize,
    pub(crate) recycle_after: Option<u64>,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WireFormat {
    /// MessagePack with a length in front: compact for binary data.
    #[default]
    Msgpack,
    /// JSON lines: readable, and faster for the renderer in version 0.7.1.
    Json,
}

impl WireFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Msgpack, Self::Json];

    fn text(self) -> &'static str {
        match self {
            Self::Msgpack => "msgpack",
            Self::Json => "json",
        }
    }

    /// The format itself, if it is compiled in.
    pub(crate) fn build(self) -> Result<Arc<dyn Transport>, Error> {
        match self {
            #[cfg(feature = "msgpack")]
            Self::Msgpack => Ok(Arc::new(plushie_pool_transport_msgpack::Msgpack)),
            #[cfg(feature = "json")]
            Self::Json => Ok(Arc::new(plushie_pool_transport_json::Json)),
            #[allow(unreachable_patterns, reason = "reached where a feature is off")]
            _ => Err(not_compiled_in("format", self.text(), self.text())),
        }
    }
}

/// [`Transport::encode`]. For a format that is compiled in it is compiled for this very type of
/// message, which halves its cost.
pub(crate) fn encode<T: Serialize + ?Sized>(
    transport: &dyn Transport,
    header: Header<'_>,
    message: &T,
) -> Result<Bytes, Error> {
    let known: &dyn Any = transport;
    #[cfg(feature = "msgpack")]
    if known.is::<plushie_pool_transport_msgpack::Msgpack>() {
        return plushie_pool_transport_msgpack::encode(header, message);
    }
    #[cfg(feature = "json")]
    if known.is::<plushie_pool_transport_json::Json>() {
        return plushie_pool_transport_json::encode(header, message);
    }
    let _ = known;
    transport.encode(header, &message)
}

fn not_compiled_in(what: &str, name: &str, feature: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the {what} {name} is not compiled in"),
    )
    .with_hint(format!(
        "enable the feature `{feature}` of plushie-pool, or choose another {what}"
    ))
}

fn unknown(what: &str, name: &str, valid: &[&str]) -> Error {
    Error::new(ErrorKind::Config, format!("there is no {what} {name:?}"))
        .with_hint(format!("choose one of {}", valid.join(", ")))
}

impl fmt::Display for RendererMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl fmt::Display for WireFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl FromStr for RendererMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|mode| mode.text() == name);
        found.ok_or_else(|| unknown("mode", name, &Self::ALL.map(Self::text)))
    }
}

impl FromStr for WireFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|format| format.text() == name);
        found.ok_or_else(|| unknown("format", name, &Self::ALL.map(Self::text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_typos_are_told_what_there_is() {
        for mode in RendererMode::ALL {
            assert_eq!(mode.to_string().parse::<RendererMode>().unwrap(), mode);
        }
        for format in WireFormat::ALL {
            assert_eq!(format.to_string().parse::<WireFormat>().unwrap(), format);
        }
        let error = "Mock".parse::<RendererMode>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no mode \"Mock\"; choose one of mock, headless, windowed"
        );
    }

    #[test]
    fn what_is_not_compiled_in_is_an_error_that_names_the_feature() {
        let shared = Sharing {
            renderers: 1,
            recycle_after: None,
        };
        for mode in RendererMode::ALL {
            let is_compiled_in = mode.is_compiled_in();
            match mode.build(&shared) {
                Ok(built) => assert!(is_compiled_in && built.name() == mode.to_string()),
                Err(error) => assert!(!is_compiled_in && error.to_string().contains("feature")),
            }
        }
        assert_eq!(WireFormat::Json.build().is_ok(), cfg!(feature = "json"));
        assert_eq!(
            WireFormat::Msgpack.build().is_ok(),
            cfg!(feature = "msgpack")
        );
    }
}
