//! Walks over MessagePack without recursion, without allocation, and without believing it.

use std::fmt;

use plushie_pool_core::MAX_DEPTH;
use rmp::Marker;

/// Checks that `payload` is one whole map: every length is true, the text is UTF-8, nothing
/// nests deeper than [`MAX_DEPTH`], and nothing follows.
pub(crate) fn check(payload: &[u8]) -> Result<(), Malformed> {
    let mut scanner = Scanner::new(payload);
    let map @ Token::Map(_) = scanner.token()? else {
        return Err(Malformed::NotAMap);
    };
    scanner.walk(map, 0, |text| {
        std::str::from_utf8(text).map_or(Err(Malformed::Utf8), |_| Ok(()))
    })?;
    scanner.end()
}

/// Reads a payload from front to back.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    rest: &'a [u8],
}

/// What stands at one place of a payload.
#[derive(Debug)]
pub(crate) enum Token<'a> {
    /// A string, which may not be UTF-8.
    Str(&'a [u8]),
    /// The beginning of a map of so many entries.
    Map(u32),
    /// The beginning of an array of so many elements.
    Array(u32),
    /// A value of another type.
    Other,
}

/// What is wrong with a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    Truncated,
    Trailing(usize),
    TooDeep,
    Reserved,
    Utf8,
    NotAMap,
    NoText(&'static str),
    Twice(&'static str),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// Passes over the next value, but not over what a map or an array holds.
    // Every value of every message comes through here: inlined it takes half the time.
    #[inline(always)]
    pub(crate) fn token(&mut self) -> Result<Token<'a>, Malformed> {
        use Marker::*;
        let [marker] = self.array()?;
        match Marker::from_u8(marker) {
            FixStr(len) => return Ok(Token::Str(self.take(len.into())?)),
            Str8 => return Ok(Token::Str(self.sized::<1>(0)?)),
            Str16 => return Ok(Token::Str(self.sized::<2>(0)?)),
            Str32 => return Ok(Token::Str(self.sized::<4>(0)?)),
            FixMap(len) => return Ok(Token::Map(len.into())),
            Map16 => return Ok(Token::Map(self.len::<2>()?)),
            Map32 => return Ok(Token::Map(self.len::<4>()?)),
            FixArray(len) => return Ok(Token::Array(len.into())),
            Array16 => return Ok(Token::Array(self.len::<2>()?)),
            Array32 => return Ok(Token::Array(self.len::<4>()?)),
            FixPos(_) | FixNeg(_) | Null | True | False => &[],
            U8 | I8 => self.take(1)?,
            U16 | I16 => self.take(2)?,
            U32 | I32 | F32 => self.take(4)?,
            U64 | I64 | F64 => self.take(8)?,
            Bin8 => self.sized::<1>(0)?,
            Bin16 => self.sized::<2>(0)?,
            Bin32 => self.sized::<4>(0)?,
            // A byte of an extension is its type; its length does not count it.
            FixExt1 => self.take(1 + 1)?,
            FixExt2 => self.take(1 + 2)?,
            FixExt4 => self.take(1 + 4)?,
            FixExt8 => self.take(1 + 8)?,
            FixExt16 => self.take(1 + 16)?,
            Ext8 => self.sized::<1>(1)?,
            Ext16 => self.sized::<2>(1)?,
            Ext32 => self.sized::<4>(1)?,
            Reserved => return Err(Malformed::Reserved),
        };
        Ok(Token::Other)
    }

    /// Passes over what is left of the value that `token` began, an entry of a message.
    pub(crate) fn finish(&mut self, token: Token<'a>) -> Result<(), Malformed> {
        match token {
            Token::Map(_) | Token::Array(_) => self.walk(token, 1, |_| Ok(())),
            Token::Str(_) | Token::Other => Ok(()),
        }
    }

    /// That nothing follows.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Malformed::Trailing(left)),
        }
    }

    /// Passes over the value that `token` began, which lies within `outer` maps and arrays,
    /// and shows `text` every string.
    fn walk(
        &mut self,
        mut token: Token<'a>,
        outer: usize,
        text: impl Fn(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        // How many values are still to come in each map and array that is open.
        let mut open = [0_u64; MAX_DEPTH];
        let mut depth = outer;
        loop {
            let values = match token {
                Token::Map(len) => Some(u64::from(len) * 2),
                Token::Array(len) => Some(len.into()),
                Token::Str(bytes) => text(bytes).map(|()| None)?,
                Token::Other => None,
            };
            if let Some(values) = values {
                // One more than its values, for itself.
                *open.get_mut(depth).ok_or(Malformed::TooDeep)? = values + 1;
                depth += 1;
            }
            while depth > outer {
                open[depth - 1] -= 1;
                if open[depth - 1] > 0 {
                    break;
                }
                depth -= 1;
            }
            if depth == outer {
                return Ok(());
            }
            token = self.token()?;
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    /// A length of `N` bytes.
    fn len<const N: usize>(&mut self) -> Result<u32, Malformed> {
        let mut len = [0; size_of::<u32>()];
        len[size_of::<u32>() - N..].copy_from_slice(&self.array::<N>()?);
        Ok(u32::from_be_bytes(len))
    }

    /// Data behind its length, and so many bytes that the length does not count.
    fn sized<const N: usize>(&mut self, more: usize) -> Result<&'a [u8], Malformed> {
        let len = self.len::<N>()? as usize;
        self.take(len.saturating_add(more))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.rest.split_at_checked(len);
        let (taken, rest) = taken.ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends too early"),
            Self::Trailing(len) => write!(f, "{len} bytes follow it"),
            Self::TooDeep => write!(f, "it nests deeper than {MAX_DEPTH} maps and arrays"),
            Self::Reserved => f.write_str("it holds a byte that begins no value"),
            Self::Utf8 => f.write_str("it holds text that is not UTF-8"),
            Self::NotAMap => f.write_str("it is not a map"),
            Self::NoText(key) => write!(f, "it has no string `{key}`"),
            Self::Twice(key) => write!(f, "it has `{key}` twice"),
        }
    }
}
