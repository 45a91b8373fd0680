//! Puts the session id back into a message whose renderer left it empty.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// A deserialiser of a map whose `session` reads as another than what was sent.
pub(crate) struct Readdressed<'s, D> {
    pub(crate) inner: D,
    pub(crate) session: &'s str,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Readdressed<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Map {
            visitor,
            session: self.session,
        })
    }

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

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    // A message is a map, whatever the type that asks for it.
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Map<'s, V> {
    visitor: V,
    session: &'s str,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Map<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Entries {
            entries,
            session: self.session,
            at_session: false,
        })
    }
}

struct Entries<'s, A> {
    entries: A,
    session: &'s str,
    at_session: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.at_session = false;
        self.entries.next_key_seed(Watched {
            inner: seed,
            at_session: &mut self.at_session,
        })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        if self.at_session {
            self.entries.next_value::<IgnoredAny>()?;
            seed.deserialize(Text(self.session.into_deserializer()))
        } else {
            self.entries.next_value_seed(seed)
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.entries.size_hint()
    }
}

/// A string, also for a type that may be absent or is wrapped.
struct Text<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Text<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_str(visitor)
    }

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

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A key on its way through, as seed, deserialiser and visitor; notes whether it is `session`.
struct Watched<'f, T> {
    inner: T,
    at_session: &'f mut bool,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Watched<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<K::Value, D::Error> {
        self.inner.deserialize(Watched {
            inner: key,
            at_session: self.at_session,
        })
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Watched<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(Watched {
            inner: visitor,
            at_session: self.at_session,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    // The keys of a message are strings.
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<V::Value, E> {
        *self.at_session = key == "session";
        self.inner.visit_str(key)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, key: &'de str) -> Result<V::Value, E> {
        *self.at_session = key == "session";
        self.inner.visit_borrowed_str(key)
    }

    fn visit_string<E: serde::de::Error>(self, key: String) -> Result<V::Value, E> {
        *self.at_session = key == "session";
        self.inner.visit_string(key)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> T {
        T::deserialize(Readdressed {
            inner: &mut serde_json::Deserializer::from_str(text),
            session: "s7",
        })
        .unwrap()
    }

    #[test]
    fn the_outer_session_is_replaced_and_no_other() {
        let text = r#"{"data":{"session":"inner"},"session":"","type":"event"}"#;
        assert_eq!(
            read::<Value>(text),
            json!({"data": {"session": "inner"}, "session": "s7", "type": "event"})
        );
    }

    #[test]
    fn structs_and_tagged_enums_see_it_too() {
        #[derive(Deserialize, PartialEq, Debug)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Incoming {
            Event { session: String },
        }
        #[derive(Deserialize)]
        struct Plain {
            session: Option<String>,
        }
        let text = r#"{"session":"","type":"event"}"#;
        assert_eq!(read::<Plain>(text).session.as_deref(), Some("s7"));
        assert_eq!(
            read::<Incoming>(text),
            Incoming::Event {
                session: "s7".into()
            }
        );
    }

    #[test]
    fn a_message_without_a_session_gets_none() {
        assert_eq!(
            read::<Value>(r#"{"type":"hello"}"#),
            json!({"type": "hello"})
        );
    }
}
