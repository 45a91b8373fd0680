//! Which display renderers show their windows on, by name.

use std::fmt;
use std::str::FromStr;

use plushie_pool_core::{Error, ErrorKind};

/// Which display renderers show their windows on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Display {
    /// The display that is there; else a headless weston of the pool's own; else an Xvfb of
    /// its own. On macOS and Windows, the native one.
    #[default]
    Auto,
    /// The display that is there: `WAYLAND_DISPLAY`, `WAYLAND_SOCKET` or `DISPLAY` name it.
    Inherit,
    /// A headless weston of the pool's own, whatever is there. A new window gets the input focus
    /// if it knows `--fake-seat`, which version 10 does not.
    Weston,
    /// An Xvfb of the pool's own, whatever is there. A new window gets the input focus.
    Xvfb,
    /// None: one that is there is hidden. A plushie-renderer then opens no window, and ends.
    None,
}

impl Display {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Inherit,
        Self::Weston,
        Self::Xvfb,
        Self::None,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Inherit => "inherit",
            Self::Weston => "weston",
            Self::Xvfb => "xvfb",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl FromStr for Display {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|choice| choice.text() == name);
        found.ok_or_else(|| {
            let message = format!("there is no display {name:?}");
            let names = Self::ALL.map(Self::text).join(", ");
            Error::new(ErrorKind::Config, message).with_hint(format!("choose one of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_typos_are_told_what_there_is() {
        for choice in Display::ALL {
            assert_eq!(choice.to_string().parse::<Display>().unwrap(), choice);
        }
        let error = "Xvfb".parse::<Display>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no display \"Xvfb\"; choose one of auto, inherit, weston, xvfb, none"
        );
    }
}
