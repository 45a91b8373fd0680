//! What a client shows to be served.

use std::fmt;
use std::sync::Arc;

use plushie_pool_core::{Error, ErrorKind};
use sha2::{Digest, Sha256};

use crate::variable;

/// The token that a renderer which listens printed, and without which it serves no client.
///
/// White space around it does not count. It never travels itself: the settings have its SHA-256,
/// as `token_sha256`, so that whatever the address leads to cannot use it elsewhere. Renderer
/// 0.7.1 takes both (`renderer/src/startup.rs`, `token_matches`); later ones refuse the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Arc<str>);

/// The variable that holds a token.
const VARIABLE: &str = "PLUSHIE_TOKEN";

impl Credential {
    /// A token as the renderer printed it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into().trim().into())
    }

    /// The same, from something that has a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is blank or has several lines, with the name of where it is
    /// from.
    pub fn of(token: &str, origin: &str) -> Result<Self, Error> {
        let credential = Self::new(token);
        let problem = match &*credential.0 {
            "" => "is a blank token",
            token if token.contains(['\n', '\r']) => "is a token of several lines",
            _ => return Ok(credential),
        };
        Err(Error::new(ErrorKind::Config, format!("{origin} {problem}"))
            .with_hint("give the one that the server printed, or none at all"))
    }

    /// The token in `PLUSHIE_TOKEN`; none if that is unset or empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is not UTF-8, blank, or has several lines.
    pub fn from_env() -> Result<Option<Self>, Error> {
        let token = variable(VARIABLE)?;
        token.map(|token| Self::of(&token, VARIABLE)).transpose()
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// Its SHA-256, in lower-case hexadecimal, as a client shows it.
    pub fn sha256(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Never shows the token: what is logged is read by more people than may connect.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_token_does_not_count_and_only_that_is_an_error() {
        let token = Credential::new("listen-token");
        let digest = "af84a4f1a6d2ff0ec31b6cae05bca90736ddc3b8d925661db8bd19ecf37a6cab";
        assert_eq!(token.sha256(), digest);
        assert_eq!(Credential::of(" listen-token\r\n", "x").unwrap(), token);
        for wrong in ["", " ", "\n\t", "two\nlines"] {
            let error = Credential::of(wrong, "--the-option").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("--the-option"), "{error}");
        }
    }
}
