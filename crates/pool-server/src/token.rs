//! Who may connect.

use std::fmt;

use plushie_pool::io::{Admission, Refusal};
use plushie_pool::{Error, ErrorKind};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The token a client has to show. Debug output never shows it.
#[derive(Clone)]
pub struct Token(Box<str>);

/// How many random bytes a token is made of.
const RANDOM: usize = 16;

impl Token {
    /// A token of one's own.
    pub fn new(token: impl Into<Box<str>>) -> Self {
        Self(token.into())
    }

    /// 128 random bits, in hexadecimal, as the renderer makes them.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if the system has no random numbers to give.
    pub fn random() -> Result<Self, Error> {
        Ok(Self(random_hex()?.into()))
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

pub(crate) fn random_hex() -> Result<String, Error> {
    let mut bytes = [0; RANDOM];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = format!("the system gives no random numbers: {error}");
        Error::new(ErrorKind::Config, message)
    })?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shows the renderer's own words to whoever does not know it.
impl Admission for Token {
    fn admit(&self, token: Option<&str>, token_sha256: Option<&str>) -> Result<(), Refusal> {
        // Over digests, so that not even the length can be timed.
        let expected = Sha256::digest(self.0.as_bytes());
        let plain = token.map(|token| Sha256::digest(token.as_bytes()));
        let is_token = plain.is_some_and(|shown| bool::from(shown.ct_eq(&expected)));
        let digest = token_sha256.map(|shown| shown.as_bytes().ct_eq(hex(&expected).as_bytes()));
        let is_digest = digest.is_some_and(bool::from);
        if is_token || is_digest {
            return Ok(());
        }
        Err(Refusal(match (token, token_sha256) {
            (None, None) => "missing token credential: connection rejected".to_owned(),
            _ => "token mismatch: connection rejected".to_owned(),
        }))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_or_its_digest_opens_and_nothing_else_does() {
        let token = Token::new("listen-token");
        let digest = "af84a4f1a6d2ff0ec31b6cae05bca90736ddc3b8d925661db8bd19ecf37a6cab";
        assert_eq!(token.admit(Some("listen-token"), None), Ok(()));
        assert_eq!(token.admit(None, Some(digest)), Ok(()));
        assert_eq!(token.admit(Some("wrong"), Some(digest)), Ok(()));
        let missing = token.admit(None, None).unwrap_err();
        assert!(missing.0.starts_with("missing token"), "{missing}");
        for (shown, shown_digest) in [
            (Some(""), None),
            (Some("listen-toke"), None),
            (Some("listen-token "), None),
            (Some(digest), None),
            (None, Some("listen-token")),
            (None, Some("")),
            (None, Some(&digest[1..])),
        ] {
            let refusal = token.admit(shown, shown_digest).unwrap_err();
            assert_eq!(refusal.0, "token mismatch: connection rejected");
        }
    }

    #[test]
    fn random_tokens_differ_and_are_not_shown() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.reveal().len(), 32);
        assert_ne!(one.reveal(), other.reveal());
        assert!(!format!("{one:?} {one:#?}").contains(one.reveal()));
    }
}
