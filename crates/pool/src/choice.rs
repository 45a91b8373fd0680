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
                Err(NotCompiledIn {
                    what: "mode",
                    name: self.text(),
                    feature: match self {
                        Self::Windowed => "windowed",
                        _ => "multiplexed",
                    },
                    others: Self::ALL
                        .into_iter()
                        .filter(|mode| mode.is_compiled_in())
                        .map(|mode| (mode.text(), format!("mode(RendererMode::{mode:?})")))
                        .collect(),
                    own: "custom_mode",
                }
                .into())
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
///
/// By default MessagePack; JSON where that is the only one compiled in. The same test passes on
/// both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireFormat {
    /// MessagePack with a length in front: compact for binary data.
    Msgpack,
    /// JSON lines: readable, and faster for the renderer in version 0.7.1.
    Json,
}

impl Default for WireFormat {
    fn default() -> Self {
        let only_json = cfg!(all(feature = "json", not(feature = "msgpack")));
        if only_json { Self::Json } else { Self::Msgpack }
    }
}

impl WireFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Msgpack, Self::Json];

    fn is_compiled_in(self) -> bool {
        match self {
            Self::Msgpack => cfg!(feature = "msgpack"),
            Self::Json => cfg!(feature = "json"),
        }
    }

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
            _ => Err(NotCompiledIn {
                what: "format",
                name: self.text(),
                feature: self.text(),
                others: Self::ALL
                    .into_iter()
                    .filter(|format| format.is_compiled_in())
                    .map(|format| (format.text(), format!("format(WireFormat::{format:?})")))
                    .collect(),
                own: "transport",
            }
            .into()),
        }
    }

    /// The format for a client's messages, read as a renderer reads them.
    pub(crate) fn build_tolerant(self) -> Result<Arc<dyn Transport>, Error> {
        match self {
            #[cfg(feature = "msgpack")]
            Self::Msgpack => Ok(Arc::new(plushie_pool_transport_msgpack::Tolerant)),
            #[cfg(feature = "json")]
            Self::Json => Ok(Arc::new(plushie_pool_transport_json::Tolerant)),
            #[allow(unreachable_patterns, reason = "reached where a feature is off")]
            _ => self.build(),
        }
    }
}

/// A client's message in `payload` under another header, byte for byte where the client and the
/// pool speak the same format, which leaves to the renderer how to read it. None if they do not.
pub(crate) fn splice(
    client: &dyn Transport,
    pool: &dyn Transport,
    header: Header<'_>,
    payload: &[u8],
) -> Option<Result<Bytes, Error>> {
    let (client, pool): (&dyn Any, &dyn Any) = (client, pool);
    #[cfg(feature = "msgpack")]
    if client.is::<plushie_pool_transport_msgpack::Tolerant>()
        && pool.is::<plushie_pool_transport_msgpack::Msgpack>()
    {
        return Some(plushie_pool_transport_msgpack::splice(header, payload));
    }
    let _ = (client, pool, header, payload);
    None
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

/// A mode or a format that was chosen, or is the default, and is not there.
struct NotCompiledIn {
    what: &'static str,
    name: &'static str,
    feature: &'static str,
    /// Those that are there, and how the builder is told to use each.
    others: Vec<(&'static str, String)>,
    /// The builder's method for one of the caller's own.
    own: &'static str,
}

impl From<NotCompiledIn> for Error {
    fn from(missing: NotCompiledIn) -> Self {
        let NotCompiledIn {
            what,
            name,
            feature,
            others,
            own,
        } = missing;
        let names: Vec<_> = others.iter().map(|(name, _)| *name).collect();
        let there = match &*names {
            [] => format!("this build of plushie-pool has no {what}"),
            names => format!("this build of plushie-pool has {}", names.join(", ")),
        };
        let choose = match others.first() {
            Some((_, call)) => format!("choose it with .{call}"),
            None => format!("pass one of your own with .{own}(..)"),
        };
        Self::new(
            ErrorKind::Config,
            format!("the {what} {name} is not compiled in: {there}"),
        )
        .with_hint(format!("enable its feature `{feature}`, or {choose}"))
    }
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
                Err(error) => {
                    assert!(!is_compiled_in);
                    told_what_there_is(
                        &error,
                        RendererMode::ALL.map(|mode| (mode.text(), mode.is_compiled_in())),
                    );
                }
            }
        }
        for format in WireFormat::ALL {
            match format.build() {
                Ok(built) => assert!(format.is_compiled_in() && built.name() == format.text()),
                Err(error) => {
                    assert!(!format.is_compiled_in());
                    let all = WireFormat::ALL.map(|it| (it.text(), it.is_compiled_in()));
                    told_what_there_is(&error, all);
                }
            }
        }
    }

    fn told_what_there_is<const N: usize>(error: &Error, all: [(&str, bool); N]) {
        let text = error.to_string();
        assert!(text.contains("enable its feature `"), "{text}");
        for (name, there) in all {
            let (_, list) = text.split_once(": this build of plushie-pool has").unwrap();
            let (list, _) = list.split_once(';').unwrap();
            assert_eq!(list.contains(name), there, "{text}");
        }
    }

    /// Whatever is compiled in, a pool can be started without naming a format if there is one.
    #[test]
    fn the_default_format_is_one_that_is_compiled_in() {
        let any = WireFormat::ALL.into_iter().any(WireFormat::is_compiled_in);
        assert_eq!(WireFormat::default().is_compiled_in(), any);
        if cfg!(feature = "msgpack") {
            assert_eq!(WireFormat::default(), WireFormat::Msgpack);
        }
    }
}
