//! Refuses, while a message is written, what a renderer would drop without a word.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::MAX_DEPTH;

mod key;

/// A serialiser around another that keeps a message within what both ends can express, and the
/// same in every format.
///
/// It refuses
///
/// - maps and arrays nested deeper than [`MAX_DEPTH`]. The outermost counts, empty ones
///   count, and an enum's variant with data is a map of one entry. This is how a renderer
///   counts JSON; in MessagePack it passes over empty ones and accepts one level more, but
///   what a caller may send must not depend on the format;
/// - integers that need more than 64 bits, which libraries write each in their own way;
/// - floats that are not finite: JSON has no number for them, and the renderer reads them as
///   `null`;
/// - keys of a map that are no text and have no text that says the same, such as arrays;
/// - what a library passes to itself and no renderer reads: MessagePack's extension types, and
///   in a binary format JSON text (`serde_json::value::RawValue`).
///
/// It writes
///
/// - keys that are numbers, booleans or characters as text, as `serde_json` does: to the
///   renderer every key is text;
/// - a unit struct as a unit, and an `f32` as the `f64` of the same value;
/// - in a text format ([`Strict::text`]) bytes as a string of base64.
///
/// To the types it writes it is [human readable](Serializer::is_human_readable) whatever the
/// format, so that an address, say, is the same text in all of them.
///
/// Everything else goes to the serialiser inside as it is.
#[derive(Debug)]
pub struct Strict<S> {
    inner: S,
    rules: Rules,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    /// How many more maps and arrays may be opened within each other.
    levels: usize,
    text: bool,
    /// Within binary data, whose own type decides how it is written: bytes where the format has
    /// them.
    binary: bool,
}

/// The name of the newtype in which binary data is written and read.
pub(crate) const BINARY: &str = "$plushie_pool::Binary";

impl<S> Strict<S> {
    /// For a format that has bytes.
    pub fn binary(inner: S) -> Self {
        Self::with(inner, false)
    }

    /// For a format that is text: no bytes.
    pub fn text(inner: S) -> Self {
        Self::with(inner, true)
    }

    fn with(inner: S, text: bool) -> Self {
        let rules = Rules {
            levels: MAX_DEPTH,
            text,
            binary: false,
        };
        Self { inner, rules }
    }
}

impl<S: Serializer> Strict<S> {
    fn open(self, levels: usize) -> Result<(S, Rules), S::Error> {
        let Some(levels) = self.rules.levels.checked_sub(levels) else {
            return Err(S::Error::custom(format_args!(
                "it nests deeper than {MAX_DEPTH} maps and arrays"
            )));
        };
        let rules = Rules {
            levels,
            binary: false,
            ..self.rules
        };
        Ok((self.inner, rules))
    }

    fn check_float(&self, value: f64) -> Result<(), S::Error> {
        if value.is_finite() {
            return Ok(());
        }
        Err(S::Error::custom(format_args!(
            "it holds {value}, which the renderer has no number for"
        )))
    }
}

macro_rules! forward {
    ($($method:ident($($arg:ident: $ty:ty),*))*) => {$(
        fn $method(self $(, $arg: $ty)*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($arg),*)
        }
    )*};
}

macro_rules! open {
    ($($method:ident($($arg:ident: $ty:ty),*) -> $level:ident, $levels:literal)*) => {$(
        fn $method(self $(, $arg: $ty)*) -> Result<Level<S::$level>, S::Error> {
            let (inner, rules) = self.open($levels)?;
            let inner = inner.$method($($arg),*)?;
            Ok(Level { inner, rules })
        }
    )*};
}

impl<S: Serializer> Serializer for Strict<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Level<S::SerializeSeq>;
    type SerializeTuple = Level<S::SerializeTuple>;
    type SerializeTupleStruct = Level<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Level<S::SerializeTupleVariant>;
    type SerializeMap = Level<S::SerializeMap>;
    type SerializeStruct = Level<S::SerializeStruct>;
    type SerializeStructVariant = Level<S::SerializeStructVariant>;

    forward! {
        serialize_bool(v: bool)
        serialize_i8(v: i8)
        serialize_i16(v: i16)
        serialize_i32(v: i32)
        serialize_i64(v: i64)
        serialize_u8(v: u8)
        serialize_u16(v: u16)
        serialize_u32(v: u32)
        serialize_u64(v: u64)
        serialize_char(v: char)
        serialize_str(v: &str)
        serialize_none()
        serialize_unit()
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str)
    }

    open! {
        serialize_seq(len: Option<usize>) -> SerializeSeq, 1
        serialize_tuple(len: usize) -> SerializeTuple, 1
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct, 1
        serialize_map(len: Option<usize>) -> SerializeMap, 1
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeTupleVariant, 2
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeStructVariant, 2
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Level<S::SerializeStruct>, S::Error> {
        if !self.rules.text && name == RAW_JSON {
            return Err(S::Error::custom(
                "it holds text that is JSON already (RawValue), which only JSON can carry",
            ));
        }
        let (inner, rules) = self.open(1)?;
        let inner = inner.serialize_struct(name, len)?;
        Ok(Level { inner, rules })
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<S::Ok, S::Error> {
        // Some formats write an empty array, which no renderer takes for the same.
        self.inner.serialize_unit()
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (inner, rules) = self.open(1)?;
        inner.serialize_newtype_variant(name, index, variant, &Nested { value, rules })
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        if name == EXTENSION {
            return Err(S::Error::custom(
                "it holds an extension type of MessagePack, which no renderer reads",
            ));
        }
        let rules = Rules {
            binary: name == BINARY,
            ..self.rules
        };
        self.inner
            .serialize_newtype_struct(name, &Nested { value, rules })
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<S::Ok, S::Error> {
        let rules = self.rules;
        self.inner.serialize_some(&Nested { value, rules })
    }

    fn serialize_i128(self, v: i128) -> Result<S::Ok, S::Error> {
        if let Ok(v) = i64::try_from(v) {
            self.inner.serialize_i64(v)
        } else if let Ok(v) = u64::try_from(v) {
            self.inner.serialize_u64(v)
        } else {
            Err(too_wide(v))
        }
    }

    fn serialize_u128(self, v: u128) -> Result<S::Ok, S::Error> {
        match u64::try_from(v) {
            Ok(v) => self.inner.serialize_u64(v),
            Err(_) => Err(too_wide(v)),
        }
    }

    fn serialize_f32(self, v: f32) -> Result<S::Ok, S::Error> {
        // Text of as few digits as tell one `f32` from another would read as another `f64`.
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<S::Ok, S::Error> {
        self.check_float(v)?;
        self.inner.serialize_f64(v)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<S::Ok, S::Error> {
        if self.rules.text {
            self.inner.serialize_str(&STANDARD.encode(v))
        } else {
            self.inner.serialize_bytes(v)
        }
    }

    fn collect_str<T: ?Sized + std::fmt::Display>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.rules.text || !self.rules.binary
    }
}

/// As `rmp_serde` and `serde_json` name to themselves what only they write.
const EXTENSION: &str = "_ExtStruct";
const RAW_JSON: &str = "$serde_json::private::RawValue";

fn too_wide<E: serde::ser::Error>(value: impl std::fmt::Display) -> E {
    E::custom(format_args!(
        "it holds {value}, which needs more than 64 bits"
    ))
}

/// A map or an array that is being written through a [`Strict`].
#[derive(Debug)]
pub struct Level<C> {
    inner: C,
    rules: Rules,
}

macro_rules! level {
    ($level:ident: $($method:ident($($key:ident)?))* $(; $skip:ident)?) => {
        impl<C: $level> $level for Level<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            $(
                fn $method<T: ?Sized + Serialize>(
                    &mut self,
                    $($key: &'static str,)?
                    value: &T,
                ) -> Result<(), C::Error> {
                    let rules = self.rules;
                    self.inner.$method($($key,)? &Nested { value, rules })
                }
            )*

            $(
                fn $skip(&mut self, key: &'static str) -> Result<(), C::Error> {
                    self.inner.$skip(key)
                }
            )?

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    };
}

level!(SerializeSeq: serialize_element());
level!(SerializeTuple: serialize_element());
level!(SerializeTupleStruct: serialize_field());
level!(SerializeTupleVariant: serialize_field());
impl<C: SerializeMap> SerializeMap for Level<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&key::AsText(key))
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), C::Error> {
        let rules = self.rules;
        self.inner.serialize_value(&Nested { value, rules })
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
level!(SerializeStruct: serialize_field(key); skip_field);
level!(SerializeStructVariant: serialize_field(key); skip_field);

/// A value that passes the rules on to whatever serialiser it meets.
struct Nested<'a, T: ?Sized> {
    value: &'a T,
    rules: Rules,
}

impl<T: ?Sized + Serialize> Serialize for Nested<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        let rules = self.rules;
        self.value.serialize(Strict { inner, rules })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn write<T: Serialize + ?Sized>(value: &T) -> Result<String, String> {
        let mut out = Vec::new();
        value
            .serialize(Strict::text(&mut serde_json::Serializer::new(&mut out)))
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[derive(serde::Serialize)]
    enum Node {
        Leaf,
        Newtype(Box<Node>),
        Tuple(Box<Node>, u8),
        Struct { inner: Box<Node> },
    }

    #[derive(serde::Serialize)]
    struct Wrapper(Option<Vec<BTreeMap<u8, Node>>>);

    /// What is allowed is what the renderer's own JSON reader reads: 127 and no more.
    #[test]
    fn every_way_to_nest_counts_as_it_does_for_the_reader() {
        let wrap: [fn(Node) -> Node; 3] = [
            |node| Node::Newtype(Box::new(node)),
            |node| Node::Tuple(Box::new(node), 1),
            |node| Node::Struct {
                inner: Box::new(node),
            },
        ];
        for wrap in wrap {
            for times in 0..140 {
                let node = (0..times).fold(Node::Leaf, |node, _| wrap(node));
                let body = Wrapper(Some(vec![[(1, node)].into()]));
                let plain = serde_json::to_string(&body).unwrap();
                let readable = serde_json::from_str::<serde_json::Value>(&plain).is_ok();
                match write(&body) {
                    Ok(text) => assert!(readable && text == plain, "{times}"),
                    Err(error) => {
                        assert!(!readable, "{times}");
                        assert!(error.contains("nests deeper than 127"), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn empty_ones_count() {
        let nested = |levels| (1..levels).fold(json!([]), |inner, _| json!([inner]));
        assert!(write(&nested(MAX_DEPTH)).is_ok());
        assert!(write(&nested(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn what_text_cannot_say_is_refused_or_said_otherwise() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = write(&[value]).unwrap_err();
            assert!(error.contains(&value.to_string()), "{error}");
            let mut json = serde_json::Serializer::new(Vec::new());
            let binary = [value].serialize(Strict::binary(&mut json)).unwrap_err();
            assert!(error.contains(&binary.to_string()), "{binary}");
            assert!(write(&BTreeMap::from([("x", value as f32)])).is_err());
        }
        struct Raw;
        impl Serialize for Raw {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(b"hi")
            }
        }
        assert_eq!(write(&Raw).unwrap(), r#""aGk=""#);
        let address = std::net::Ipv4Addr::LOCALHOST;
        assert_eq!(write(&address).unwrap(), r#""127.0.0.1""#);
    }

    #[test]
    fn wide_integers_are_kept_while_they_fit() {
        assert_eq!(write(&u128::from(u64::MAX)).unwrap(), u64::MAX.to_string());
        assert_eq!(write(&i128::from(u64::MAX)).unwrap(), u64::MAX.to_string());
        assert_eq!(write(&i128::from(i64::MIN)).unwrap(), i64::MIN.to_string());
        assert!(write(&(u128::from(u64::MAX) + 1)).is_err());
        assert!(write(&(i128::from(i64::MIN) - 1)).is_err());
    }
}
