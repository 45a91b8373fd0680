//! The keys of maps, which are text to every renderer.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Impossible, Serialize, Serializer};

/// A key that is written as text in every format: as `serde_json` writes it, except for the
/// exponent of a float that has one.
pub(super) struct AsText<'a, T: ?Sized>(pub(super) &'a T);

impl<T: ?Sized + Serialize> Serialize for AsText<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Key(inner))
    }
}

struct Key<S>(S);

impl<S: Serializer> Key<S> {
    fn finite(self, value: f64, text: impl std::fmt::Debug) -> Result<S::Ok, S::Error> {
        if !value.is_finite() {
            return Err(no_text(value));
        }
        // With a point even where the value is whole.
        self.0.collect_str(&format_args!("{text:?}"))
    }
}

fn no_text<E: serde::ser::Error>(key: impl Display) -> E {
    E::custom(format_args!(
        "it holds a map with {key} for a key, not a text"
    ))
}

macro_rules! as_text {
    ($($method:ident($ty:ty))*) => {$(
        fn $method(self, v: $ty) -> Result<S::Ok, S::Error> {
            self.0.collect_str(&v)
        }
    )*};
}

macro_rules! refuse {
    ($($method:ident($($arg:ty),*) -> $ok:ty, $what:literal;)*) => {$(
        fn $method(self, $(_: $arg),*) -> Result<$ok, S::Error> {
            Err(no_text($what))
        }
    )*};
}

impl<S: Serializer> Serializer for Key<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = Impossible<S::Ok, S::Error>;
    type SerializeStructVariant = Impossible<S::Ok, S::Error>;

    as_text! {
        serialize_bool(bool)
        serialize_i8(i8)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u128(u128)
        serialize_char(char)
    }

    refuse! {
        serialize_none() -> S::Ok, "nothing";
        serialize_unit() -> S::Ok, "nothing";
        serialize_unit_struct(&'static str) -> S::Ok, "nothing";
        serialize_seq(Option<usize>) -> Self::SerializeSeq, "an array";
        serialize_tuple(usize) -> Self::SerializeTuple, "an array";
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct, "an array";
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeTupleVariant, "a map";
        serialize_map(Option<usize>) -> Self::SerializeMap, "a map";
        serialize_struct(&'static str, usize) -> Self::SerializeStruct, "a map";
        serialize_struct_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeStructVariant, "a map";
    }

    fn serialize_str(self, v: &str) -> Result<S::Ok, S::Error> {
        self.0.serialize_str(v)
    }

    fn serialize_f32(self, v: f32) -> Result<S::Ok, S::Error> {
        self.finite(v.into(), v)
    }

    fn serialize_f64(self, v: f64) -> Result<S::Ok, S::Error> {
        self.finite(v, v)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<S::Ok, S::Error> {
        self.0.serialize_str(&STANDARD.encode(v))
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_str(variant)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        Err(no_text("a map"))
    }

    fn collect_str<T: ?Sized + Display>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The text of a key, as written through this and as `serde_json` writes it.
    fn both<T: Serialize + Eq + std::hash::Hash>(key: T) -> [Result<String, String>; 2] {
        let map = HashMap::from([(key, 0)]);
        let plain = serde_json::to_string(&map);
        let mut strict = Vec::new();
        let mut json = serde_json::Serializer::new(&mut strict);
        let written = map.serialize(crate::strict::Strict::text(&mut json));
        let strict = String::from_utf8(strict).unwrap();
        [
            written.map(|()| strict).map_err(|error| error.to_string()),
            plain.map_err(|error| error.to_string()),
        ]
    }

    #[test]
    fn a_key_is_the_text_that_json_has_for_it() {
        #[derive(PartialEq, Eq, Hash, serde::Serialize)]
        struct Newtype<T>(T);
        for [strict, plain] in [
            both(-1_i8),
            both(u64::MAX),
            both(i128::MIN),
            both(true),
            both('\u{e9}'),
            both(Newtype(7)),
            both(Some("some")),
            both(std::net::Ipv4Addr::LOCALHOST),
        ] {
            assert!(plain.is_ok());
            assert_eq!(strict, plain);
        }
    }

    #[test]
    fn floats_too() {
        struct Map(f64);
        impl Serialize for Map {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map([(self.0, 0)])
            }
        }
        for float in [0.0, -0.0, 1.0, 0.1, -2.5] {
            let mut strict = Vec::new();
            let mut json = serde_json::Serializer::new(&mut strict);
            Map(float)
                .serialize(crate::strict::Strict::text(&mut json))
                .unwrap();
            let plain = serde_json::to_string(&Map(float)).unwrap();
            assert_eq!(String::from_utf8(strict).unwrap(), plain);
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for [strict, _] in [both(()), both(None::<u8>), both([1]), both(vec![1])] {
            let error = strict.unwrap_err();
            assert!(error.contains("for a key, not a text"), "{error}");
        }
    }
}
