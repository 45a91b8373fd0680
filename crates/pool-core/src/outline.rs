//! What the pool must know of a message before it sends it.

use serde::ser::{Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::{Error, ErrorKind, RequestId};

/// The keys of an outgoing message that the pool acts on; every other value is passed over
/// unseen, so this costs the same for a small message as for a tree of 10,000 nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outline {
    /// What sending it does to the session.
    pub class: Class,
    /// Whether it brings an `id` of its own: a `command` names its widget there.
    pub own_id: bool,
    /// `tag`, at the top or in `payload`, which an `op_query_response` repeats.
    pub tag: Option<Box<str>>,
    /// `kind`, which the acknowledgement of an effect stub repeats.
    pub stub: Option<Box<str>>,
    /// Whether its `type` is one that may have the renderer load fonts: `settings`, `load_font`,
    /// `widget_op`.
    pub may_load_fonts: bool,
}

/// What sending a message does to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `interact`: the renderer may ask for trees before it answers.
    Interact,
    /// `snapshot`, `patch`: gives the renderer a tree.
    Tree,
    /// `reset`: ends the session.
    Reset,
    /// Anything else.
    Plain,
}

impl Class {
    /// What sending a message of this `type` does.
    pub fn of(kind: &str) -> Self {
        match kind {
            "interact" => Self::Interact,
            "snapshot" | "patch" => Self::Tree,
            "reset" => Self::Reset,
            _ => Self::Plain,
        }
    }
}

impl Outline {
    /// Whether messages of this `type` may have the renderer load fonts.
    pub fn is_of_fonts(kind: &str) -> bool {
        matches!(kind, "settings" | "load_font" | "widget_op")
    }

    /// Looks at `message`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidMessage`] if it does not serialise as a map, has no string
    /// `type`, brings a `session`, or an `id` that could be taken for one of the pool's.
    pub fn of<T: Serialize + ?Sized>(message: &T) -> Result<Self, Error> {
        let fields = message.serialize(Probe(Top)).map_err(|_| {
            invalid("the message is not a map")
                .with_hint("send a struct with named fields, a map, or json!({\"type\": ...})")
        })?;
        if fields.session {
            return Err(invalid("the message brings a `session` of its own")
                .with_hint("leave it out: the pool fills it in"));
        }
        if fields.reserved_id {
            return Err(invalid(format!(
                "the message's `id` starts with `{}`, as only the pool's do",
                RequestId::PREFIX
            )));
        }
        Ok(Self {
            class: fields
                .class
                .ok_or_else(|| invalid("the message has no string `type`"))?,
            own_id: fields.id,
            tag: fields.tag,
            stub: fields.stub,
            may_load_fonts: fields.may_load_fonts,
        })
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidMessage, message)
}

/// What was found under the keys of a map.
#[derive(Default)]
struct Fields {
    class: Option<Class>,
    session: bool,
    id: bool,
    reserved_id: bool,
    tag: Option<Box<str>>,
    stub: Option<Box<str>>,
    may_load_fonts: bool,
}

#[derive(Clone, Copy)]
enum Key {
    Type,
    Session,
    Id,
    Tag,
    Kind,
    Payload,
    Other,
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        match key {
            "type" => Self::Type,
            "session" => Self::Session,
            "id" => Self::Id,
            "tag" => Self::Tag,
            "kind" => Self::Kind,
            "payload" => Self::Payload,
            _ => Self::Other,
        }
    }
}

/// Collects the entries of one map. Inside `payload` only `tag` counts.
#[derive(Default)]
struct Collect {
    inside_payload: bool,
    fields: Fields,
}

impl Collect {
    fn entry<T: Serialize + ?Sized>(&mut self, key: Key, value: &T) {
        let fields = &mut self.fields;
        match key {
            Key::Tag => {
                let found = value.serialize(Probe(Text)).ok();
                fields.tag = found.or(fields.tag.take());
            }
            _ if self.inside_payload => {}
            Key::Type => {
                let found = value.serialize(Probe(Type)).ok();
                fields.class = found.map(|(class, _)| class);
                fields.may_load_fonts = found.is_some_and(|(_, fonts)| fonts);
            }
            Key::Session => fields.session = true,
            Key::Id => {
                fields.id = true;
                fields.reserved_id = value.serialize(Probe(Reserved)).unwrap_or(false);
            }
            Key::Kind => fields.stub = value.serialize(Probe(Text)).ok(),
            Key::Payload => {
                if let Ok(inner) = value.serialize(Probe(Payload))
                    && fields.tag.is_none()
                {
                    fields.tag = inner.tag;
                }
            }
            Key::Other => {}
        }
    }
}

/// What a probe looks for in one value.
trait Seek: Sized {
    type Found;

    fn text(self, _: &str) -> Option<Self::Found> {
        None
    }

    fn map(self) -> Option<Collect> {
        None
    }

    fn collected(_: Fields) -> Option<Self::Found> {
        None
    }
}

struct Top;
struct Payload;
struct KeyName;
struct Text;
struct Type;
struct Reserved;

impl Seek for Top {
    type Found = Fields;

    fn map(self) -> Option<Collect> {
        Some(Collect::default())
    }

    fn collected(fields: Fields) -> Option<Fields> {
        Some(fields)
    }
}

impl Seek for Payload {
    type Found = Fields;

    fn map(self) -> Option<Collect> {
        Some(Collect {
            inside_payload: true,
            ..Collect::default()
        })
    }

    fn collected(fields: Fields) -> Option<Fields> {
        Some(fields)
    }
}

impl Seek for KeyName {
    type Found = Key;

    fn text(self, text: &str) -> Option<Key> {
        Some(text.into())
    }
}

impl Seek for Text {
    type Found = Box<str>;

    fn text(self, text: &str) -> Option<Box<str>> {
        Some(text.into())
    }
}

impl Seek for Type {
    type Found = (Class, bool);

    fn text(self, text: &str) -> Option<(Class, bool)> {
        Some((Class::of(text), Outline::is_of_fonts(text)))
    }
}

impl Seek for Reserved {
    type Found = bool;

    fn text(self, text: &str) -> Option<bool> {
        Some(text.starts_with(RequestId::PREFIX))
    }
}

/// The value is not of the shape sought; nobody sees this.
#[derive(Debug, thiserror::Error)]
#[error("not sought")]
struct NotSought;

impl serde::ser::Error for NotSought {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Serialises a value to what `S` seeks in it.
struct Probe<S>(S);

/// A map being read, whose fields become what `S` seeks.
struct Reading<S> {
    collect: Collect,
    key: Option<Key>,
    seek: std::marker::PhantomData<S>,
}

impl<S: Seek> Probe<S> {
    fn read(self) -> Result<Reading<S>, NotSought> {
        Ok(Reading {
            collect: self.0.map().ok_or(NotSought)?,
            key: None,
            seek: std::marker::PhantomData,
        })
    }
}

impl<S: Seek> SerializeMap for Reading<S> {
    type Ok = S::Found;
    type Error = NotSought;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NotSought> {
        self.key = key.serialize(Probe(KeyName)).ok();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotSought> {
        if let Some(key) = self.key.take() {
            self.collect.entry(key, value);
        }
        Ok(())
    }

    fn end(self) -> Result<S::Found, NotSought> {
        S::collected(self.collect.fields).ok_or(NotSought)
    }
}

impl<S: Seek> SerializeStruct for Reading<S> {
    type Ok = S::Found;
    type Error = NotSought;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), NotSought> {
        self.collect.entry(key.into(), value);
        Ok(())
    }

    fn end(self) -> Result<S::Found, NotSought> {
        S::collected(self.collect.fields).ok_or(NotSought)
    }
}

macro_rules! not_sought {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, NotSought> {
            Err(NotSought)
        })*
    };
}

impl<S: Seek> Serializer for Probe<S> {
    type Ok = S::Found;
    type Error = NotSought;
    type SerializeSeq = Impossible<S::Found, NotSought>;
    type SerializeTuple = Impossible<S::Found, NotSought>;
    type SerializeTupleStruct = Impossible<S::Found, NotSought>;
    type SerializeTupleVariant = Impossible<S::Found, NotSought>;
    type SerializeMap = Reading<S>;
    type SerializeStruct = Reading<S>;
    type SerializeStructVariant = Impossible<S::Found, NotSought>;

    fn serialize_str(self, text: &str) -> Result<S::Found, NotSought> {
        self.0.text(text).ok_or(NotSought)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<S::Found, NotSought> {
        self.serialize_str(variant)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Found, NotSought> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<S::Found, NotSought> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<S::Found, NotSought> {
        Err(NotSought)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Reading<S>, NotSought> {
        self.read()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Reading<S>, NotSought> {
        self.read()
    }

    not_sought! {
        serialize_bool(bool) -> S::Found;
        serialize_i8(i8) -> S::Found;
        serialize_i16(i16) -> S::Found;
        serialize_i32(i32) -> S::Found;
        serialize_i64(i64) -> S::Found;
        serialize_u8(u8) -> S::Found;
        serialize_u16(u16) -> S::Found;
        serialize_u32(u32) -> S::Found;
        serialize_u64(u64) -> S::Found;
        serialize_f32(f32) -> S::Found;
        serialize_f64(f64) -> S::Found;
        serialize_char(char) -> S::Found;
        serialize_bytes(&[u8]) -> S::Found;
        serialize_none() -> S::Found;
        serialize_unit() -> S::Found;
        serialize_unit_struct(&'static str) -> S::Found;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(message: &serde_json::Value) -> String {
        let error = Outline::of(message).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMessage);
        error.to_string()
    }

    #[test]
    fn only_the_keys_the_pool_acts_on_are_seen() {
        let outline = Outline::of(&json!({
            "type": "widget_op", "op": "find_focused", "payload": {"tag": "t1", "id": "x"},
        }))
        .unwrap();
        assert_eq!(outline.class, Class::Plain);
        assert_eq!(outline.tag.as_deref(), Some("t1"));
        assert!(!outline.own_id);

        let outline = Outline::of(&json!({"type": "command", "id": "w", "family": "f"})).unwrap();
        assert!(outline.own_id);
    }

    #[test]
    fn structs_count_as_maps() {
        #[derive(serde::Serialize)]
        struct Register {
            r#type: &'static str,
            kind: &'static str,
        }
        let outline = Outline::of(&Some(Register {
            r#type: "register_effect_stub",
            kind: "clipboard_read",
        }))
        .unwrap();
        assert_eq!(outline.stub.as_deref(), Some("clipboard_read"));
    }

    #[test]
    fn classes_follow_the_type() {
        for (kind, class) in [
            ("interact", Class::Interact),
            ("snapshot", Class::Tree),
            ("patch", Class::Tree),
            ("reset", Class::Reset),
            ("query", Class::Plain),
        ] {
            assert_eq!(Outline::of(&json!({"type": kind})).unwrap().class, class);
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused_with_the_reason() {
        for not_a_map in [json!(1), json!("x"), json!([1]), json!(null)] {
            assert!(refused(&not_a_map).contains("not a map"));
        }
        assert!(refused(&json!({})).contains("no string `type`"));
        assert!(refused(&json!({"type": 1})).contains("no string `type`"));
        assert!(refused(&json!({"type": "query", "session": ""})).contains("`session`"));
        assert!(refused(&json!({"type": "query", "id": "~1"})).contains("`id`"));
    }
}
