//! Frames, written and cut with as little as can be done by hand.

use std::io::Write;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::args::Format;
use crate::workload::Entries;

/// A message with what the pool would put in.
pub(crate) struct Addressed<'a, T> {
    pub(crate) session: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) message: &'a T,
}

impl<T: Entries> Serialize for Addressed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = 1 + usize::from(self.id.is_some());
        let mut map = serializer.serialize_map(Some(T::COUNT + own))?;
        map.serialize_entry("session", self.session)?;
        if let Some(id) = self.id {
            map.serialize_entry("id", id)?;
        }
        self.message.write(&mut map)?;
        map.end()
    }
}

impl Format {
    /// Appends a frame whose payload `write` appends.
    pub(crate) fn frame(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Json => {
                write(out);
                out.push(b'\n');
            }
            Self::Msgpack => {
                let start = out.len();
                out.extend_from_slice(&[0; 4]);
                write(out);
                let len = u32::try_from(out.len() - start - 4).expect("no payload is that long");
                out[start..start + 4].copy_from_slice(&len.to_be_bytes());
            }
        }
    }

    /// Appends a value.
    pub(crate) fn value<T: Serialize + ?Sized>(self, out: &mut Vec<u8>, value: &T) {
        match self {
            Self::Json => serde_json::to_writer(out, value).expect("it is JSON"),
            Self::Msgpack => {
                rmp_serde::encode::write_named(out, value).expect("it is MessagePack");
            }
        }
    }

    /// Where the first payload of `input` lies, and where the next frame begins.
    pub(crate) fn cut(self, input: &[u8], scanned: usize) -> Option<(usize, usize, usize)> {
        match self {
            Self::Json => {
                let end = find_byte(&input[scanned..], b'\n')? + scanned;
                Some((0, end, end + 1))
            }
            Self::Msgpack => {
                let len = u32::from_be_bytes(*input.first_chunk()?) as usize;
                (input.len() >= 4 + len).then_some((4, 4 + len, 4 + len))
            }
        }
    }

    /// The first text under `key`: where it is in what the pool and the raw loop write.
    pub(crate) fn first<'a>(self, payload: &'a [u8], key: &Key) -> &'a str {
        let key = self.spelling(key);
        let at = payload.windows(key.len()).position(|window| window == key);
        self.text(payload, at.map(|at| at + key.len()))
    }

    /// The text under `key` in what a renderer writes: near the end in JSON, where its keys are
    /// in the order of the alphabet, and near the beginning in MessagePack.
    pub(crate) fn envelope<'a>(self, payload: &'a [u8], key: &Key) -> &'a str {
        if self == Self::Msgpack {
            return self.first(payload, key);
        }
        let key = self.spelling(key);
        let at = payload.windows(key.len()).rposition(|window| window == key);
        self.text(payload, at.map(|at| at + key.len()))
    }

    fn spelling(self, key: &Key) -> &'static [u8] {
        match self {
            Self::Json => key.json,
            Self::Msgpack => key.msgpack,
        }
    }

    /// The short text at this place; empty if there is none.
    fn text(self, payload: &[u8], at: Option<usize>) -> &str {
        let rest = at.map_or(&[][..], |at| &payload[at..]);
        let text = match (self, rest) {
            (_, []) => rest,
            (Self::Json, _) => rest.split(|byte| *byte == b'"').next().unwrap_or(rest),
            // A text of less than 32 bytes has its length in the low bits of one.
            (Self::Msgpack, [len, rest @ ..]) => &rest[..usize::from(len & 0x1f)],
        };
        std::str::from_utf8(text).expect("it was written as text")
    }
}

/// A key, as each format spells it together with the beginning of a text.
pub(crate) struct Key {
    json: &'static [u8],
    msgpack: &'static [u8],
}

pub(crate) const SESSION: Key = Key {
    json: b"\"session\":\"",
    msgpack: b"\xa7session",
};
pub(crate) const ID: Key = Key {
    json: b"\"id\":\"",
    msgpack: b"\xa2id",
};
pub(crate) const TYPE: Key = Key {
    json: b"\"type\":\"",
    msgpack: b"\xa4type",
};

/// A small number after a letter, such as `q17`.
pub(crate) fn number(text: &str) -> usize {
    text[1..].parse().expect("it was written as a number")
}

/// Writes a letter and a number where the text was.
pub(crate) fn name(text: &mut Vec<u8>, letter: u8, number: usize) -> &str {
    text.clear();
    text.push(letter);
    write!(text, "{number}").expect("memory takes everything");
    std::str::from_utf8(text).expect("digits are text")
}

fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    // The way to std's memchr; reading from a slice cannot fail.
    let mut rest = bytes;
    let read = std::io::BufRead::skip_until(&mut rest, byte).ok()?;
    bytes[..read].ends_with(&[byte]).then(|| read - 1)
}
