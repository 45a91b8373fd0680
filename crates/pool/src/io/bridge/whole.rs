//! Whether a renderer can read a message at all, and what it acts on.

use std::borrow::Cow;
use std::fmt;

use plushie_pool_core::{Anything, Transport, decode_payload};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A message that was looked at from front to back, as renderer 0.7.1 looks at one before it acts
/// on it: one that cannot be read as a whole it drops. Of a key that comes twice the last counts.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// `op`, if it is text: of a `widget_op`.
    pub(super) op: Option<String>,
    /// `action`, if it is text: of an `interact`.
    pub(super) action: Option<String>,
}

impl Whole {
    /// None if a renderer cannot read it.
    pub(super) fn of(transport: &dyn Transport, payload: &[u8]) -> Option<Self> {
        decode_payload(transport, payload).ok()
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Entries)
    }
}

/// Reads a whole message.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Whole, A::Error> {
        let mut whole = Whole::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "op" => whole.op = map.next_value_seed(Text)?,
                "action" => whole.action = map.next_value_seed(Text)?,
                _ => drop(map.next_value::<Anything>()?),
            }
        }
        Ok(whole)
    }
}

/// A text, or none if it is anything else.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_any(self)
    }
}

macro_rules! no_text {
    ($($visit:ident($ty:ty))*) => {$(
        fn $visit<E>(self, _: $ty) -> Result<Self::Value, E> {
            Ok(None)
        }
    )*};
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    no_text! {
        visit_bool(bool)
        visit_i64(i64)
        visit_u64(u64)
        visit_f64(f64)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Anything.visit_seq(seq)?;
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Anything.visit_map(map)?;
        Ok(None)
    }
}
