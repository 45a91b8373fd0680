//! From a line to what routing needs of it.

use std::borrow::Cow;
use std::fmt;

use plushie_pool_core::Envelope;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Reads the envelope of a message of any depth; the rest is checked to be JSON, not decoded.
pub(crate) fn envelope(payload: &[u8]) -> Result<Envelope<'_>, serde_json::Error> {
    // serde would fill the fields from an array too.
    if !payload.trim_ascii_start().starts_with(b"{") {
        return Err(serde_json::Error::custom("it is not a map"));
    }
    let wire: Wire<'_> = serde_json::from_slice(payload)?;
    Ok(Envelope {
        kind: wire.kind,
        session: wire.session,
        id: wire.id.0,
        family: wire.family.0,
        tag: wire.tag.0,
        stub: wire.stub.0,
        value: wire.value.0,
    })
}

#[derive(serde::Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    session: Cow<'a, str>,
    #[serde(default, borrow)]
    id: IfText<'a>,
    #[serde(default, borrow)]
    family: IfText<'a>,
    #[serde(default, borrow)]
    tag: IfText<'a>,
    #[serde(rename = "kind", default, borrow)]
    stub: IfText<'a>,
    #[serde(default, borrow)]
    value: IfText<'a>,
}

/// A string, or the fact that there was something else.
#[derive(Default)]
struct IfText<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for IfText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text).map(Self)
    }
}

struct Text;

macro_rules! not_text {
    ($($method:ident($($ty:ty)?))*) => {$(
        fn $method<E>(self $(, _: $ty)?) -> Result<Self::Value, E> {
            Ok(None)
        }
    )*};
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    not_text! {
        visit_unit()
        visit_bool(bool)
        visit_i64(i64)
        visit_u64(u64)
        visit_f64(f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while let Some(IgnoredAny) = seq.next_element()? {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some((IgnoredAny, IgnoredAny)) = map.next_entry()? {}
        Ok(None)
    }
}
