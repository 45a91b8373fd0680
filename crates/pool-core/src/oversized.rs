//! Payloads that are longer than a message may be: passed over in pieces, of which no more is
//! kept than whose they are.

use std::borrow::Cow;
use std::fmt;

use crate::Envelope;

/// What is known of a payload over [`MAX_PAYLOAD`](crate::MAX_PAYLOAD) that was passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oversized {
    /// Its length in bytes.
    pub len: u64,
    /// Its envelope. What could not be read is empty or `None`, `kind` included.
    pub envelope: Envelope<'static>,
}

impl Oversized {
    /// A payload of `len` bytes with what was read of its envelope.
    pub fn new(len: u64, envelope: Envelope<'static>) -> Self {
        Self { len, envelope }
    }
}

/// Reads the envelope of a payload that arrives in pieces, none of which is kept.
///
/// For a format whose frames are passed over where they are too long:
/// [`LengthPrefixed::skimming`](crate::framing::LengthPrefixed::skimming),
/// [`Lines::skimming`](crate::framing::Lines::skimming).
pub trait Skim: Send + fmt::Debug {
    /// Looks at the next bytes of the payload.
    ///
    /// # Errors
    ///
    /// [`NoMessage`] if what was seen so far begins no message of this format: then the length
    /// that was read is not one either.
    fn look(&mut self, piece: &[u8]) -> Result<(), NoMessage>;

    /// What the envelope says, as far as it was read.
    fn envelope(&mut self) -> Envelope<'static>;
}

/// The bytes are not a message of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a message of the format")]
pub struct NoMessage;

/// The longest value of an envelope that a [`Skim`] should keep, in bytes.
pub const LONGEST_FIELD: usize = 4096;

/// A key of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// `type`.
    Kind,
    /// `session`.
    Session,
    /// `id`.
    Id,
    /// `family`.
    Family,
    /// `tag`.
    Tag,
    /// `kind`.
    Stub,
    /// `value`.
    Value,
}

impl Field {
    /// The field that a key of the message names, if it is one of the envelope's.
    pub fn of_key(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"type" => Self::Kind,
            b"session" => Self::Session,
            b"id" => Self::Id,
            b"family" => Self::Family,
            b"tag" => Self::Tag,
            b"kind" => Self::Stub,
            b"value" => Self::Value,
            _ => return None,
        })
    }

    /// Puts a value where it belongs.
    pub fn set(self, envelope: &mut Envelope<'static>, value: String) {
        let value = Cow::Owned(value);
        match self {
            Self::Kind => envelope.kind = value,
            Self::Session => envelope.session = value,
            Self::Id => envelope.id = Some(value),
            Self::Family => envelope.family = Some(value),
            Self::Tag => envelope.tag = Some(value),
            Self::Stub => envelope.stub = Some(value),
            Self::Value => envelope.value = Some(value),
        }
    }
}
