//! A message that arrived in one wire format, as the body of one that leaves in any.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::strict::BINARY;
use crate::{Anything, Binary, Transport};

/// A payload on its way to somebody else, to be [encoded](Transport::encode) under another
/// header.
///
/// It is written as it is read, in one pass, and never held as a value. `session` and `id` are
/// left out at the top, because the new header brings them. Pixels (`rgba` at the top, as in a
/// `screenshot_response`) become bytes where the format written to has them; all other binary
/// data becomes base64, which a renderer takes from either format. A float that a text format
/// has no number for becomes null, as a renderer reads it.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    transport: &'a dyn Transport,
    payload: &'a [u8],
    keeps_id: bool,
    keeps_credentials: bool,
    has_pixels: bool,
    owner: Option<&'a str>,
    instead: &'a [(&'a str, &'a str)],
    in_settings: &'a [(&'a str, &'a str)],
    not_in_settings: &'a [&'a str],
}

/// The keys of what a client says to a server only: the token, or the SHA-256 of it, and the mode
/// of the pool it wants.
const CREDENTIALS: [&str; 3] = ["token", "token_sha256", "pool_mode"];

impl<'a> Forwarded<'a> {
    /// The message in `payload`, which is written in the format of `transport`.
    pub fn new(transport: &'a dyn Transport, payload: &'a [u8]) -> Self {
        Self {
            transport,
            payload,
            keeps_id: false,
            keeps_credentials: true,
            has_pixels: true,
            owner: None,
            instead: &[],
            in_settings: &[],
            not_in_settings: &[],
        }
    }

    /// Keeps the message's own `id`, which is no request's: the header must bring none.
    #[must_use]
    pub fn keeping_id(mut self) -> Self {
        self.keeps_id = true;
        self
    }

    /// The message is for a renderer, to which `rgba` is an entry like any other.
    #[must_use]
    pub fn for_renderer(mut self) -> Self {
        self.has_pixels = false;
        self
    }

    /// Writes this name of a session in place of the `session` of each of its `events`, as they
    /// lie in an `interact_step` or an `interact_response`.
    #[must_use]
    pub fn with_events_of(mut self, session: &'a str) -> Self {
        self.owner = Some(session);
        self
    }

    /// Leaves out `token`, `token_sha256` and `pool_mode`, however deep they lie.
    #[must_use]
    pub fn without_credentials(mut self) -> Self {
        self.keeps_credentials = false;
        self
    }

    /// Writes these texts in place of what lies under their keys at the top, where it lies.
    #[must_use]
    pub fn with(mut self, instead: &'a [(&'a str, &'a str)]) -> Self {
        self.instead = instead;
        self
    }

    /// Puts these texts into the map under `settings` at the top, if there is one, in place of
    /// what lies under their keys there.
    #[must_use]
    pub fn with_in_settings(mut self, entries: &'a [(&'a str, &'a str)]) -> Self {
        self.in_settings = entries;
        self
    }

    /// Leaves these keys out of the map under `settings` at the top.
    #[must_use]
    pub fn without_in_settings(mut self, keys: &'a [&'a str]) -> Self {
        self.not_in_settings = keys;
        self
    }
}

impl Serialize for Forwarded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut serializer = Some(serializer);
        let mut written = None;
        let failure = Failure::default();
        let read = self.transport.deserialize(self.payload, &mut |inner| {
            if let Some(serializer) = serializer.take() {
                let copy = Copy {
                    serializer,
                    level: Level::top(self),
                    failure: &failure,
                };
                written = Some(inner.deserialize_any(copy)?);
            }
            Ok(())
        });
        read.map_err(|error| failure.or(error))?;
        written.ok_or_else(|| S::Error::custom("the wire format offered no value"))
    }
}

/// What goes for the entries of a map, and for what lies in it.
#[derive(Clone, Copy)]
struct Level<'a> {
    message: &'a Forwarded<'a>,
    place: Place,
}

/// Where in a message a value lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the message.
    Top,
    /// It is what lies under `settings` at the top.
    Settings,
    /// It is the list of events.
    Events,
    /// It is one of them.
    Event,
    Elsewhere,
}

/// What becomes of an entry.
enum Entry<'a> {
    LeftOut,
    Copied,
    Replaced(&'a str),
    Bytes,
}

impl<'a> Level<'a> {
    fn top(message: &'a Forwarded<'a>) -> Self {
        let place = Place::Top;
        Self { message, place }
    }

    /// For what lies under this key.
    fn under(self, key: &str) -> Self {
        let place = match (self.place, key) {
            (Place::Top, "settings") => Place::Settings,
            (Place::Top, "events") => Place::Events,
            _ => Place::Elsewhere,
        };
        Self { place, ..self }
    }

    /// For the elements of a list.
    fn inside(self) -> Self {
        let place = match self.place {
            Place::Events => Place::Event,
            _ => Place::Elsewhere,
        };
        Self { place, ..self }
    }

    fn keeps_its_size(self) -> bool {
        self.place != Place::Top
            && self.message.keeps_credentials
            && self.added().is_empty()
            && self.removed().is_empty()
    }

    /// What a map here loses.
    fn removed(self) -> &'a [&'a str] {
        match self.place {
            Place::Settings => self.message.not_in_settings,
            _ => &[],
        }
    }

    /// What a map here gets besides its own entries.
    fn added(self) -> &'a [(&'a str, &'a str)] {
        match self.place {
            Place::Settings => self.message.in_settings,
            _ => &[],
        }
    }

    fn entry(self, key: &str) -> Entry<'a> {
        if !self.message.keeps_credentials && CREDENTIALS.contains(&key) {
            return Entry::LeftOut;
        }
        let is_added = self.added().iter().any(|(added, _)| *added == key);
        if is_added || self.removed().contains(&key) {
            return Entry::LeftOut;
        }
        match (self.place, key, self.message.owner) {
            (Place::Top, ..) => {}
            (Place::Event, "session", Some(owner)) => return Entry::Replaced(owner),
            _ => return Entry::Copied,
        }
        let instead = self.message.instead.iter().find(|(name, _)| *name == key);
        match (key, instead) {
            (_, Some((_, text))) => Entry::Replaced(text),
            ("session", _) => Entry::LeftOut,
            ("id", _) if !self.message.keeps_id => Entry::LeftOut,
            ("rgba", _) if self.message.has_pixels => Entry::Bytes,
            _ => Entry::Copied,
        }
    }
}

/// Why something cannot be written, on its way past the one who reads it. An error of
/// `erased_serde`'s says nothing, and panics when it is asked: it has to reach the writer that
/// gave it as it is.
struct Failure<E>(Cell<Option<E>>);

impl<E> Default for Failure<E> {
    fn default() -> Self {
        Self(Cell::new(None))
    }
}

impl<E: serde::ser::Error> Failure<E> {
    fn pass<T, D: serde::de::Error>(&self, written: Result<T, E>) -> Result<T, D> {
        written.map_err(|error| {
            self.0.set(Some(error));
            D::custom("it cannot be written")
        })
    }

    /// The failure, or that it could not be read.
    fn or(&self, unread: impl fmt::Display) -> E {
        self.0.take().unwrap_or_else(|| E::custom(unread))
    }
}

/// Writes what it visits.
struct Copy<'a, S: Serializer> {
    serializer: S,
    level: Level<'a>,
    failure: &'a Failure<S::Error>,
}

macro_rules! scalars {
    ($($visit:ident, $serialize:ident, $ty:ty;)*) => {$(
        fn $visit<E: serde::de::Error>(self, value: $ty) -> Result<S::Ok, E> {
            self.failure.pass(self.serializer.$serialize(value))
        }
    )*};
}

impl<'de, S: Serializer> Visitor<'de> for Copy<'_, S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    scalars! {
        visit_bool, serialize_bool, bool;
        visit_i64, serialize_i64, i64;
        visit_i128, serialize_i128, i128;
        visit_u64, serialize_u64, u64;
        visit_u128, serialize_u128, u128;
        visit_str, serialize_str, &str;
        visit_bytes, serialize_bytes, &[u8];
    }

    fn visit_f32<E: serde::de::Error>(self, value: f32) -> Result<S::Ok, E> {
        self.visit_f64(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<S::Ok, E> {
        if !value.is_finite() {
            return self.visit_unit();
        }
        self.failure.pass(self.serializer.serialize_f64(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.failure.pass(self.serializer.serialize_unit())
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<S::Ok, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<S::Ok, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<S::Ok, A::Error> {
        let failure = self.failure;
        let level = self.level.inside();
        let mut writer = failure.pass(self.serializer.serialize_seq(seq.size_hint()))?;
        loop {
            let element = Element {
                writer: &mut writer,
                level,
                failure,
            };
            if seq.next_element_seed(element)?.is_none() {
                return failure.pass(writer.end());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Ok, A::Error> {
        let failure = self.failure;
        let level = self.level;
        // How many entries are left out is known at the end only.
        let entries = map.size_hint().filter(|_| level.keeps_its_size());
        let mut writer = failure.pass(self.serializer.serialize_map(entries))?;
        while let Some(key) = map.next_key_seed(Key)? {
            match level.entry(&key) {
                Entry::LeftOut => drop(map.next_value::<Anything>()?),
                Entry::Replaced(text) => {
                    map.next_value::<Anything>()?;
                    failure.pass(writer.serialize_entry(&*key, text))?;
                }
                entry @ (Entry::Bytes | Entry::Copied) => {
                    failure.pass(writer.serialize_key(&*key))?;
                    map.next_value_seed(Value {
                        writer: &mut writer,
                        level: level.under(&key),
                        as_bytes: matches!(entry, Entry::Bytes),
                        failure,
                    })?;
                }
            }
        }
        for (key, text) in level.added() {
            failure.pass(writer.serialize_entry(key, text))?;
        }
        failure.pass(writer.end())
    }
}

/// The name of an entry.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<Cow<'de, str>, D::Error> {
        inner.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text that names an entry")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Where the next element of an array goes.
struct Element<'a, W: SerializeSeq> {
    writer: &'a mut W,
    level: Level<'a>,
    failure: &'a Failure<W::Error>,
}

impl<'de, W: SerializeSeq> DeserializeSeed<'de> for Element<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        let element = Once::new(inner, self.level);
        self.failure.pass(self.writer.serialize_element(&element))
    }
}

/// Where the value of an entry goes.
struct Value<'a, W: SerializeMap> {
    writer: &'a mut W,
    level: Level<'a>,
    as_bytes: bool,
    failure: &'a Failure<W::Error>,
}

impl<'de, W: SerializeMap> DeserializeSeed<'de> for Value<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        let value = Once::new(inner, self.level);
        self.failure.pass(if self.as_bytes {
            self.writer.serialize_value(&Bytes(value))
        } else {
            self.writer.serialize_value(&value)
        })
    }
}

/// A value that becomes bytes where the format written to has them.
struct Bytes<'a, D>(Once<'a, D>);

impl<'de, D: Deserializer<'de>> Serialize for Bytes<'_, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(BINARY, &Inside(&self.0))
    }
}

/// The same, where the format says whether it has bytes.
struct Inside<'a, 'b, D>(&'b Once<'a, D>);

impl<'de, D: Deserializer<'de>> Serialize for Inside<'_, '_, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        let bytes = self.0.take()?;
        let bytes: Option<Binary> = Option::deserialize(bytes).map_err(S::Error::custom)?;
        match bytes {
            Some(bytes) => serializer.serialize_bytes(&bytes),
            None => serializer.serialize_none(),
        }
    }
}

/// A value that is read while it is written, which can be done once.
struct Once<'a, D> {
    inner: Cell<Option<D>>,
    level: Level<'a>,
}

impl<'a, D> Once<'a, D> {
    fn new(inner: D, level: Level<'a>) -> Self {
        Self {
            inner: Cell::new(Some(inner)),
            level,
        }
    }

    fn take<E: serde::ser::Error>(&self) -> Result<D, E> {
        let inner = self.inner.take();
        inner.ok_or_else(|| E::custom("the wire format wrote a value twice"))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Once<'_, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner: D = self.take()?;
        let failure = Failure::default();
        let copy = Copy {
            serializer,
            level: self.level,
            failure: &failure,
        };
        inner
            .deserialize_any(copy)
            .map_err(|error| failure.or(error))
    }
}
