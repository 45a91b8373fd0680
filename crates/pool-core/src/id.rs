//! The names of sessions and requests.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// Names one session of a pool; never used again once the session has ended.
///
/// On the wire and in messages it reads `s17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// The `n`-th session of a pool.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The number behind the name.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl SessionId {
    /// As it reads on the wire.
    pub fn text(self) -> IdText {
        IdText::new(b's', self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for SessionId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        number_after(text, "s").map(Self)
    }
}

/// Names one request of a session.
///
/// On the wire it reads `~17`. The prefix keeps the pool's ids apart from ids that callers
/// put into messages of their own: an `effect`, or a `command`, whose `id` is a widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl RequestId {
    /// What every id of the pool starts with on the wire.
    pub const PREFIX: &'static str = "~";

    /// The `n`-th request of a session.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The number behind the name.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl RequestId {
    /// As it reads on the wire.
    pub fn text(self) -> IdText {
        IdText::new(Self::PREFIX.as_bytes()[0], self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for RequestId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        number_after(text, Self::PREFIX).map(Self)
    }
}

/// An id as text, where it costs no memory. Every message has two of them.
#[derive(Debug, Clone, Copy)]
pub struct IdText {
    /// One letter, and as many digits as a `u64` can have.
    bytes: [u8; 1 + 20],
    len: usize,
}

impl IdText {
    fn new(letter: u8, number: u64) -> Self {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let mut bytes = [letter; 1 + 20];
        bytes[1..=digits.len()].copy_from_slice(digits);
        Self {
            bytes,
            len: 1 + digits.len(),
        }
    }
}

impl Deref for IdText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("a letter and digits are text")
    }
}

/// Names one renderer of a pool: a process or a connection. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RendererId(u64);

impl RendererId {
    /// The `n`-th renderer of a pool.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }
}

impl fmt::Display for RendererId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "renderer {}", self.0)
    }
}

/// The text is not an id that a pool gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this pool")]
pub struct NotAnId;

fn number_after(text: &str, prefix: &str) -> Result<u64, NotAnId> {
    let digits = text.strip_prefix(prefix).ok_or(NotAnId)?;
    // One spelling for each number: `str::parse` would also take "+1" and "01".
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    if !canonical {
        return Err(NotAnId);
    }
    digits.parse().map_err(|_| NotAnId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_written_and_nothing_else_does() {
        for n in [0, 1, 10, u64::MAX] {
            assert_eq!(SessionId::new(n).to_string().parse(), Ok(SessionId::new(n)));
            assert_eq!(RequestId::new(n).to_string().parse(), Ok(RequestId::new(n)));
        }
        for text in [
            "",
            "s",
            "s01",
            "s+1",
            "S1",
            "1",
            "s-1",
            "s18446744073709551616",
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(NotAnId), "{text:?}");
        }
        assert_eq!("s1".parse::<RequestId>(), Err(NotAnId));
    }
}
