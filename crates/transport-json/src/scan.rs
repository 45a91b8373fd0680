//! Walks over JSON from front to back, without recursion and without building anything.
//!
//! The grammar is checked to the letter, but for what is inside a text that nobody asked for:
//! a screenshot is one text of megabytes, and whoever decodes it looks at each byte anyway.

use std::fmt;

use memchr::memchr2;
use plushie_pool_core::MAX_DEPTH;

/// How many bytes of a text are looked at one by one.
const SHORT: usize = 24;

/// What is left of a payload.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    rest: &'a [u8],
}

/// What is wrong with a payload.
#[derive(Debug)]
pub(crate) enum Malformed {
    NotAMap,
    Truncated,
    Unexpected(u8),
    TooDeep,
    Trailing(usize),
    Text(serde_json::Error),
    Utf8,
    NoText(&'static str),
    Twice(&'static str),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// The next byte that is no space, which stays.
    pub(crate) fn peek(&mut self) -> Result<u8, Malformed> {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied().ok_or(Malformed::Truncated)
    }

    /// Takes the next byte that is no space.
    pub(crate) fn take(&mut self) -> Result<u8, Malformed> {
        let byte = self.peek()?;
        self.rest = &self.rest[1..];
        Ok(byte)
    }

    pub(crate) fn expect(&mut self, wanted: u8) -> Result<(), Malformed> {
        match self.take()? {
            byte if byte == wanted => Ok(()),
            other => Err(Malformed::Unexpected(other)),
        }
    }

    /// Takes a text, as it is between its quotes.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a [u8], Malformed> {
        self.expect(b'"')?;
        let start = self.rest;
        let mut at = 0;
        loop {
            // Most texts end before a search by the dozen has begun.
            if at >= SHORT {
                let found = memchr2(b'"', b'\\', start.get(at..).unwrap_or_default());
                at += found.ok_or(Malformed::Truncated)?;
            }
            match start.get(at).ok_or(Malformed::Truncated)? {
                b'"' => break,
                // Whatever is escaped, it is no end.
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.rest = &start[at + 1..];
        Ok(&start[..at])
    }

    /// Passes over a value that lies within `outer` maps and arrays.
    pub(crate) fn skip(&mut self, outer: usize) -> Result<(), Malformed> {
        // For each map or array that is open, whether it is a map.
        let mut maps = 0_u128;
        let mut depth = 0;
        loop {
            match self.peek()? {
                b'"' => {
                    self.text()?;
                }
                open @ (b'{' | b'[') => {
                    self.take()?;
                    if outer + depth == MAX_DEPTH {
                        return Err(Malformed::TooDeep);
                    }
                    let is_map = open == b'{';
                    maps = maps << 1 | u128::from(is_map);
                    depth += 1;
                    let close = if is_map { b'}' } else { b']' };
                    if self.peek()? != close {
                        if is_map {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let is_map = maps & 1 == 1;
                match self.take()? {
                    b',' if is_map => {
                        self.key()?;
                        break;
                    }
                    b',' => break,
                    b'}' if is_map => {}
                    b']' if !is_map => {}
                    other => return Err(Malformed::Unexpected(other)),
                }
                maps >>= 1;
                depth -= 1;
            }
        }
    }

    fn key(&mut self) -> Result<(), Malformed> {
        self.text()?;
        self.expect(b':')
    }

    /// Passes over `true`, `false`, `null` or a number.
    fn scalar(&mut self) -> Result<(), Malformed> {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        let len = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (scalar, rest) = self.rest.split_at(len);
        if !matches!(scalar, b"true" | b"false" | b"null") && !is_number(scalar) {
            let first = scalar.first().or(rest.first()).copied();
            return Err(first.map_or(Malformed::Truncated, Malformed::Unexpected));
        }
        self.rest = rest;
        Ok(())
    }

    /// That nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Err(Malformed::Truncated) => Ok(()),
            _ => Err(Malformed::Trailing(self.rest.len())),
        }
    }
}

fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let places = digits(fraction);
        if places == 0 {
            return false;
        }
        rest = &fraction[places..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMap => f.write_str("it is not a map"),
            Self::Truncated => f.write_str("it ends too early"),
            Self::Unexpected(byte) => {
                write!(f, "it holds `{}` in the wrong place", byte.escape_ascii())
            }
            Self::TooDeep => write!(f, "it nests deeper than {MAX_DEPTH} maps and arrays"),
            Self::Trailing(len) => write!(f, "{len} bytes follow it"),
            Self::Text(error) => error.fmt(f),
            Self::Utf8 => f.write_str("it holds text that is not UTF-8"),
            Self::NoText(key) => write!(f, "it has no string `{key}`"),
            Self::Twice(key) => write!(f, "it has `{key}` twice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(json: &str) -> bool {
        let mut scanner = Scanner::new(json.as_bytes());
        scanner.skip(0).and_then(|()| scanner.end()).is_ok()
    }

    #[test]
    fn it_reads_what_serde_json_reads() {
        let values = [
            "0",
            "-0",
            "01",
            "1.",
            "1.5",
            ".5",
            "1e3",
            "1E-3",
            "1e",
            "1e+",
            "-",
            "--1",
            "1x",
            "true",
            "tru",
            "truex",
            "null",
            "nul",
            "false",
            "\"\"",
            "\"a\\\"b\"",
            "\"a",
            "\"\\",
            "\"\\\\\"",
            "{}",
            "{",
            "}",
            "[]",
            "[",
            "]",
            "[}",
            "{]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1,2]",
            "{\"a\":1}",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":}",
            "{:1}",
            "{\"a\":{\"b\":[{}]}}",
            "[[[]],{}]",
            " [ 1 , { \"a\" : [ ] } ] ",
            "",
            " ",
            "1 2",
            "[]]",
            "\"a\"\"b\"",
            "[\"a\":1]",
            "{\"a\",1}",
            "+1",
            "Infinity",
            "NaN",
            "[true,null]",
        ];
        for value in values {
            for json in [
                value.to_owned(),
                format!("[{value}]"),
                format!("{{\"k\":{value}}}"),
            ] {
                let known = serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok();
                assert_eq!(reads(&json), known, "{json}");
            }
        }
    }

    #[test]
    fn brackets_in_texts_do_not_count() {
        for text in [r#""[[""#, r#""\"[[""#, r#""\\\"[[\\""#, r#""]\\""#, r#""""#] {
            assert!(reads(&format!("[{text},[{text}],{{{text}:{text}}},[1]]")));
        }
    }

    #[test]
    fn depth_counts_from_where_the_value_lies() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels| open.repeat(levels) + "0" + &close.repeat(levels);
            let skip = |levels| Scanner::new(nested(levels).as_bytes()).skip(1);
            assert!(skip(MAX_DEPTH - 1).is_ok());
            assert!(matches!(skip(MAX_DEPTH), Err(Malformed::TooDeep)));
        }
    }
}
