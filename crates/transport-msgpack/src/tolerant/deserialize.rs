//! A checked payload as what a renderer makes of it.

use std::fmt::{self, Write};

use serde::de::value::Error;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess,
};
use serde::de::{Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::value::{Value, Values};
use crate::scan::Malformed;

/// Reads values from front to back. It goes as deep as they nest, so they have to be
/// [checked](super::walk::check) first.
pub(super) struct Reader<'de> {
    values: Values<'de>,
}

impl<'de> Reader<'de> {
    pub(super) fn new(payload: &'de [u8]) -> Self {
        Self {
            values: Values::new(payload),
        }
    }

    fn next(&mut self) -> Result<Value<'de>, Error> {
        self.values.next().map_err(broken)
    }

    fn seq<V: Visitor<'de>>(&mut self, len: u32, visitor: V) -> Result<V::Value, Error> {
        let mut elements = Parts {
            reader: self,
            left: len,
        };
        let seen = visitor.visit_seq(&mut elements)?;
        match elements.left {
            0 => Ok(seen),
            left => Err(Error::invalid_length(len as usize, &Fewer(len - left))),
        }
    }

    fn map<V: Visitor<'de>>(&mut self, len: u32, visitor: V) -> Result<V::Value, Error> {
        let mut entries = Parts {
            reader: self,
            left: len,
        };
        let seen = visitor.visit_map(&mut entries)?;
        match entries.left {
            0 => Ok(seen),
            left => Err(Error::invalid_length(len as usize, &Fewer(len - left))),
        }
    }

    /// A key that is no text, as the renderer displays it.
    fn show(&mut self, value: Value<'de>, out: &mut String) -> Result<(), Error> {
        let shown = match value {
            Value::Nil => write!(out, "nil"),
            Value::Bool(value) => write!(out, "{value}"),
            Value::Unsigned(value) => write!(out, "{value}"),
            Value::Signed(value) => write!(out, "{value}"),
            Value::F32(value) => write!(out, "{value}"),
            Value::F64(value) => write!(out, "{value}"),
            Value::Str(text) => write!(out, "{}", String::from_utf8_lossy(text)),
            Value::Bin(bytes) => write!(out, "{bytes:?}"),
            Value::Ext(kind, bytes) => write!(out, "[{kind}, {bytes:?}]"),
            Value::Array(len) => {
                out.push('[');
                for at in 0..len {
                    out.push_str(if at == 0 { "" } else { ", " });
                    let value = self.next()?;
                    self.show(value, out)?;
                }
                write!(out, "]")
            }
            Value::Map(len) => {
                out.push('{');
                for at in 0..len {
                    out.push_str(if at == 0 { "" } else { ", " });
                    let key = self.next()?;
                    self.show(key, out)?;
                    out.push_str(": ");
                    let value = self.next()?;
                    self.show(value, out)?;
                }
                write!(out, "}}")
            }
        };
        shown.map_err(Error::custom)
    }
}

fn broken(error: Malformed) -> Error {
    Error::custom(error)
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| broken(Malformed::Utf8))
}

/// So many were asked for.
struct Fewer(u32);

impl serde::de::Expected for Fewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.next()? {
            Value::Nil | Value::Ext(..) => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Unsigned(value) => visitor.visit_u64(value),
            Value::Signed(value) => match u64::try_from(value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(value),
            },
            Value::F32(value) if value.is_finite() => visitor.visit_f64(value.into()),
            Value::F64(value) if value.is_finite() => visitor.visit_f64(value),
            Value::F32(_) | Value::F64(_) => visitor.visit_unit(),
            Value::Str(bytes) => visitor.visit_borrowed_str(text(bytes)?),
            Value::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Value::Array(len) => self.seq(len, visitor),
            Value::Map(len) => self.map(len, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut ahead = self.values;
        let is_null = match ahead.next().map_err(broken)? {
            Value::Nil | Value::Ext(..) => true,
            Value::F32(value) => !value.is_finite(),
            Value::F64(value) => !value.is_finite(),
            _ => false,
        };
        if is_null {
            self.values = ahead;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.next()? {
            Value::Str(bytes) => visitor.visit_enum(text(bytes)?.into_deserializer()),
            _ => Err(Error::invalid_type(
                Unexpected::Other("another value"),
                &"a text",
            )),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.next()?;
        self.values.pass(value, 0).map_err(broken)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// What is left of an array or a map.
struct Parts<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: u32,
}

impl<'de> SeqAccess<'de> for &mut Parts<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

impl<'de> MapAccess<'de> for &mut Parts<'_, 'de> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let key = self.reader.next()?;
        if let Value::Str(bytes) = key {
            let key = serde::de::value::BorrowedStrDeserializer::new(text(bytes)?);
            return seed.deserialize(key).map(Some);
        }
        let mut shown = String::new();
        self.reader.show(key, &mut shown)?;
        seed.deserialize(shown.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}
