//! Hands bytes as base64 to types that know nothing of bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::SeqDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use crate::strict::BINARY;

mod key;

/// A deserialiser around another whose format has bytes: MessagePack, CBOR.
///
/// A type that asks for bytes gets them as they are, and one that asks for a sequence gets
/// their numbers. Any other gets a string of standard, padded base64 in their place, at
/// whatever depth they lie: `serde_json::Value`, a `String`, and what serde buffers for
/// `flatten` and `untagged`. A key of a map reads as the number or boolean that is asked for
/// if its text says one. And it is [human readable](Deserializer::is_human_readable), whatever
/// the format, so that an address, say, reads from its text. So a message reads the same as it
/// would from a text format.
///
/// It asks the format for whatever there is
/// ([`deserialize_any`](Deserializer::deserialize_any)) except where the answer depends on the
/// question: options, newtypes, enums and 128-bit integers. So the format must describe
/// itself, and may be strict about what it is asked for, as `ciborium` is.
#[derive(Debug)]
pub struct Textual<D>(D);

impl<D> Textual<D> {
    /// Wraps `inner`.
    pub fn new(inner: D) -> Self {
        Self(inner)
    }
}

/// What a visitor gets in place of bytes.
const BYTES: u8 = 0;
const TEXT: u8 = 1;
const NUMBERS: u8 = 2;

macro_rules! any {
    ($bytes:expr; $($method:ident($($arg:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $arg,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.deserialize_any(Wrapped::<V, { $bytes }>(visitor))
        }
    )*};
}

macro_rules! forward {
    ($bytes:expr; $($method:ident($($arg:ident: $ty:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($arg,)* Wrapped::<V, { $bytes }>(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Textual<D> {
    type Error = D::Error;

    any! { BYTES;
        deserialize_bytes()
        deserialize_byte_buf()
    }

    any! { NUMBERS;
        deserialize_seq()
        deserialize_tuple(usize)
        deserialize_tuple_struct(&'static str, usize)
    }

    any! { TEXT;
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_unit()
        deserialize_unit_struct(&'static str)
        deserialize_map()
        deserialize_struct(&'static str, &'static [&'static str])
        deserialize_identifier()
    }

    forward! { TEXT;
        deserialize_i128()
        deserialize_u128()
        deserialize_option()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    // Not that it wants bytes: what is ignored need not be converted.
    forward! { BYTES;
        deserialize_ignored_any()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if name == BINARY {
            return self.deserialize_byte_buf(visitor);
        }
        self.0
            .deserialize_newtype_struct(name, Wrapped::<V, TEXT>(visitor))
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

/// What stands between a format and a visitor, a seed, or the parts of a map, array or enum.
struct Wrapped<T, const AS: u8>(T);

macro_rules! visit {
    ($($method:ident($ty:ty))*) => {$(
        fn $method<E: Error>(self, v: $ty) -> Result<V::Value, E> {
            self.0.$method(v)
        }
    )*};
}

impl<'de, V: Visitor<'de>, const AS: u8> Visitor<'de> for Wrapped<V, AS> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit! {
        visit_bool(bool)
        visit_i8(i8)
        visit_i16(i16)
        visit_i32(i32)
        visit_i64(i64)
        visit_i128(i128)
        visit_u8(u8)
        visit_u16(u16)
        visit_u32(u32)
        visit_u64(u64)
        visit_u128(u128)
        visit_f32(f32)
        visit_f64(f64)
        visit_char(char)
        visit_str(&str)
        visit_borrowed_str(&'de str)
        visit_string(String)
    }

    fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<V::Value, E> {
        match AS {
            BYTES => self.0.visit_bytes(v),
            NUMBERS => self.0.visit_seq(numbers(v)),
            _ => self.0.visit_string(STANDARD.encode(v)),
        }
    }

    fn visit_borrowed_bytes<E: Error>(self, v: &'de [u8]) -> Result<V::Value, E> {
        match AS {
            BYTES => self.0.visit_borrowed_bytes(v),
            _ => self.visit_bytes(v),
        }
    }

    fn visit_byte_buf<E: Error>(self, v: Vec<u8>) -> Result<V::Value, E> {
        match AS {
            BYTES => self.0.visit_byte_buf(v),
            _ => self.visit_bytes(&v),
        }
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Textual(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Textual(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Parts(inner))
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Parts(inner))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Parts(inner))
    }
}

fn numbers<'de, E: Error>(bytes: &[u8]) -> impl SeqAccess<'de, Error = E> {
    SeqDeserializer::new(bytes.iter().copied())
}

struct Parts<A>(A);

struct Seed<T>(T);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Textual(inner))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_key_seed(key::Seed(seed))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Parts<A> {
    type Error = A::Error;
    type Variant = Parts<A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Parts<A::Variant>), A::Error> {
        let (value, variant) = self.0.variant_seed(Seed(seed))?;
        Ok((value, Parts(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.newtype_variant_seed(Seed(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Wrapped::<V, TEXT>(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Wrapped::<V, TEXT>(visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Binary;
    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    use serde::de::value::{BytesDeserializer, MapDeserializer, SeqDeserializer};
    use serde_json::{Value, json};
    use std::ffi::CString;

    type Plain = serde::de::value::Error;

    /// Bytes that a map or an array can hold; a stand-in for a format that has them.
    #[derive(Clone, Copy)]
    struct Raw(&'static [u8]);

    impl<'de> IntoDeserializer<'de, Plain> for Raw {
        type Deserializer = BytesDeserializer<'de, Plain>;

        fn into_deserializer(self) -> Self::Deserializer {
            BytesDeserializer::new(self.0)
        }
    }

    fn read<'de, T: Deserialize<'de>>(format: impl Deserializer<'de, Error = Plain>) -> T {
        T::deserialize(Textual::new(format)).unwrap()
    }

    fn map() -> impl Deserializer<'static, Error = Plain> {
        MapDeserializer::new([("a", Raw(b"hi")), ("b", Raw(b""))].into_iter())
    }

    #[test]
    fn who_knows_no_bytes_gets_base64() {
        assert_eq!(read::<String>(Raw(b"hi").into_deserializer()), "aGk=");
        assert_eq!(read::<Value>(map()), json!({"a": "aGk=", "b": ""}));
        let list = SeqDeserializer::<_, Plain>::new([Raw(b"hi")].into_iter());
        assert_eq!(read::<Value>(list), json!(["aGk="]));
    }

    #[test]
    fn who_asks_for_bytes_gets_them() {
        #[derive(Deserialize)]
        struct Asks {
            a: Binary,
            b: Binary,
        }
        let asked: Asks = read(map());
        assert_eq!(&*asked.a, b"hi");
        assert_eq!(&*asked.b, b"");
        // Takes text as bytes that are not encoded.
        let asked: CString = read(Raw(b"hi").into_deserializer());
        assert_eq!(asked.as_c_str(), c"hi");
    }

    #[test]
    fn who_asks_for_a_sequence_gets_numbers() {
        assert_eq!(read::<Vec<u8>>(Raw(b"hi").into_deserializer()), b"hi");
        assert_eq!(read::<[u8; 2]>(Raw(b"hi").into_deserializer()), *b"hi");
    }

    #[test]
    fn what_serde_buffers_still_comes_out_right() {
        #[derive(Deserialize, Debug, PartialEq)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Data { a: Binary, b: String },
        }
        let data = Either::Data {
            a: Binary::from(&b"hi"[..]),
            b: String::new(),
        };
        assert_eq!(read::<Either>(map()), data);
    }
}
