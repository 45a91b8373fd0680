//! Who may connect.

use std::fmt;

use plushie_pool::io::{Admission, Refusal};
use plushie_pool::{Error, ErrorKind};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The token a client has to show. Debug output never shows it.
///
/// White space around it does not count, on either side. Clients that show its SHA-256 may have
/// taken it with that white space, from the same variable as the server: that is right, too.
#[derive(Clone)]
pub struct Token {
    text: Box<str>,
    /// Of the text, and of what it was made from.
    digests: [Digested; 2],
}

type Digested = [u8; 32];

/// How many random bytes a token is made of.
const RANDOM: usize = 16;

impl Token {
    /// A token of one's own. A blank one is refused by [`Server::start`](crate::Server::start).
    pub fn new(token: impl Into<Box<str>>) -> Self {
        let given = token.into();
        let text = given.trim();
        Self {
            digests: [digest(text), digest(&given)],
            text: text.into(),
        }
    }

    /// 128 random bits, in hexadecimal, as the renderer makes them.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if the system has no random numbers to give.
    pub fn random() -> Result<Self, Error> {
        Ok(Self::new(random_hex()?))
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }
}

fn digest(text: &str) -> Digested {
    Sha256::digest(text.as_bytes()).into()
}

fn random_hex() -> Result<String, Error> {
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
        let is_token =
            token.is_some_and(|shown| bool::from(digest(shown.trim()).ct_eq(&self.digests[0])));
        let is_digest = token_sha256.is_some_and(|shown| {
            let fits = |digest: &Digested| shown.as_bytes().ct_eq(hex(digest).as_bytes());
            bool::from(fits(&self.digests[0]) | fits(&self.digests[1]))
        });
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
            (Some("listen -token"), None),
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
    fn white_space_around_it_does_not_count() {
        let token = Token::new(" listen-token\n");
        assert_eq!(token.reveal(), "listen-token");
        let digests = [
            "af84a4f1a6d2ff0ec31b6cae05bca90736ddc3b8d925661db8bd19ecf37a6cab".to_owned(),
            hex(&digest(" listen-token\n")),
        ];
        for digest in &digests {
            assert_eq!(token.admit(None, Some(digest)), Ok(()));
        }
        for shown in ["listen-token", "listen-token\r\n"] {
            assert_eq!(token.admit(Some(shown), None), Ok(()));
        }
        assert!(Token::new(" \t").is_blank());
    }

    #[test]
    fn random_tokens_differ_and_are_not_shown() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.reveal().len(), 32);
        assert_ne!(one.reveal(), other.reveal());
        assert!(!format!("{one:?} {one:#?}").contains(one.reveal()));
    }
}
