//! The keys of maps, which are text on the wire whatever type they are read into.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

/// A key that reads as the type that is asked for if its text says such a value, as
/// `serde_json` reads keys.
pub(super) struct Seed<T>(pub(super) T);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Key(inner))
    }
}

struct Key<D>(D);

/// What a key is read as.
#[derive(Clone, Copy)]
enum As {
    Text,
    Boolean,
    Integer,
    Float,
}

macro_rules! read {
    ($as:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let kind = As::$as;
            self.0.deserialize_any(Text { visitor, kind })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Key<D> {
    type Error = D::Error;

    read! { Text: deserialize_any }
    read! { Boolean: deserialize_bool }
    read! { Integer:
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }
    read! { Float: deserialize_f32 deserialize_f64 }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        true
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// Shows a text to a visitor as what it asks for.
struct Text<V> {
    visitor: V,
    kind: As,
}

impl<'de, V: Visitor<'de>> Text<V> {
    /// What the text says, if it says a value of the kind that is asked for.
    fn parsed<E: Error>(self, text: &str) -> Result<Result<V::Value, E>, V> {
        let Self { visitor, kind } = self;
        fn from<T: FromStr>(text: &str) -> Option<T> {
            text.parse().ok()
        }
        Ok(match kind {
            As::Text => return Err(visitor),
            As::Boolean => match from(text) {
                Some(value) => visitor.visit_bool(value),
                None => return Err(visitor),
            },
            As::Integer => match (from(text), from(text), from(text)) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, Some(value)) => visitor.visit_i128(value),
                _ => return Err(visitor),
            },
            As::Float => match from(text) {
                Some(value) => visitor.visit_f64(value),
                None => return Err(visitor),
            },
        })
    }
}

macro_rules! visit {
    ($($method:ident($ty:ty))*) => {$(
        fn $method<E: Error>(self, v: $ty) -> Result<V::Value, E> {
            self.visitor.$method(v)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Text<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool(bool)
        visit_i64(i64)
        visit_i128(i128)
        visit_u64(u64)
        visit_u128(u128)
        visit_f64(f64)
        visit_char(char)
        visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8])
        visit_byte_buf(Vec<u8>)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        self.parsed(text)
            .unwrap_or_else(|visitor| visitor.visit_str(text))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<V::Value, E> {
        self.parsed(text)
            .unwrap_or_else(|visitor| visitor.visit_borrowed_str(text))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<V::Value, E> {
        match self.parsed(&text) {
            Ok(parsed) => parsed,
            Err(visitor) => visitor.visit_string(text),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }
}
