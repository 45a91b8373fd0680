//! How many fonts a message has its renderer load.
//!
//! As plushie-renderer 0.7.1 has it: `fonts` of `settings`, the message `load_font`, and the
//! `widget_op` of that name. A renderer loads 256 in its life, for all its sessions together, and
//! the same font again counts again; after that sessions go without.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use plushie_pool_core::{Header, Transport, decode_payload};
use plushie_pool_renderer::AppSettings;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// How many fonts a renderer loads before it gets no more sessions: all it can load, less what
/// the sessions that it has may still load by messages.
pub(crate) const MOST: usize = 256 - 64;

/// How many fonts a renderer loads for this message.
pub(crate) fn of_message(transport: &dyn Transport, payload: &[u8]) -> usize {
    #[derive(Deserialize)]
    struct Message {
        r#type: String,
        op: Option<String>,
        settings: Option<Settings>,
    }
    #[derive(Deserialize)]
    struct Settings {
        #[serde(default)]
        fonts: Length,
    }

    // What cannot be read here the renderer cannot read either.
    let Ok(message) = decode_payload::<Message>(transport, payload) else {
        return 0;
    };
    match (&*message.r#type, message.op.as_deref()) {
        ("load_font", _) | ("widget_op", Some("load_font")) => 1,
        ("settings", _) => message.settings.map_or(0, |settings| settings.fonts.0),
        _ => 0,
    }
}

/// How many fonts a renderer loads for the message in this frame.
pub(crate) fn of_frame(transport: &dyn Transport, frame: &[u8]) -> usize {
    let payload = transport.decoder().decode(&mut BytesMut::from(frame));
    match payload {
        Ok(Some(payload)) => of_message(transport, &payload),
        // A format that cannot read what it wrote shows that elsewhere.
        _ => 0,
    }
}

/// How many fonts a renderer loads for a session that starts with these settings.
pub(crate) fn of_settings(transport: &dyn Transport, settings: &AppSettings) -> usize {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: &'static str,
        settings: &'a AppSettings,
    }
    let message = Message {
        r#type: "settings",
        settings,
    };
    let header = Header {
        session: "",
        id: None,
    };
    // What is wrong with them is said where they are first sent.
    let encoded = catch_unwind(AssertUnwindSafe(|| transport.encode(header, &message)));
    match encoded {
        Ok(Ok(frame)) => of_frame(transport, &frame),
        _ => 0,
    }
}

/// The length of an array; 0 for anything else.
#[derive(Debug, Default)]
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counter).map(Self)
    }
}

struct Counter;

macro_rules! not_an_array {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E>(self, _: $type) -> Result<usize, E> {
            Ok(0)
        })*
    };
}

impl<'de> Visitor<'de> for Counter {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<usize, A::Error> {
        let mut length = 0;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(length)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<usize, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(0)
    }

    fn visit_unit<E>(self) -> Result<usize, E> {
        Ok(0)
    }

    not_an_array! {
        visit_bool(bool)
        visit_i64(i64)
        visit_u64(u64)
        visit_f64(f64)
        visit_str(&str)
        visit_bytes(&[u8])
    }
}

#[cfg(all(test, feature = "json", feature = "msgpack"))]
mod tests {
    use plushie_pool_transport_json::Json;
    use plushie_pool_transport_msgpack::Msgpack;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_loads_fonts_is_counted_in_both_formats() {
        let header = Header {
            session: "s",
            id: None,
        };
        for (message, fonts) in [
            (json!({"type": "load_font", "payload": {"data": ""}}), 1),
            (json!({"type": "widget_op", "op": "load_font"}), 1),
            (json!({"type": "widget_op", "op": "focus"}), 0),
            (json!({"type": "query", "op": "load_font"}), 0),
            (json!({"type": "settings", "settings": {}}), 0),
            (json!({"type": "settings", "settings": {"fonts": []}}), 0),
            (
                json!({"type": "settings", "settings": {"fonts": ["a", {"data": "b"}, 3]}}),
                3,
            ),
            // No renderer takes these for fonts.
            (json!({"type": "settings", "settings": {"fonts": "a"}}), 0),
            (json!({"type": "settings", "settings": {"fonts": null}}), 0),
            (json!({"type": "settings", "settings": {"fonts": 1.5}}), 0),
            (
                json!({"type": "settings", "settings": {"fonts": {"a": ["b"]}}}),
                0,
            ),
            (json!({"type": "settings", "settings": ["fonts"]}), 0),
            (json!({"type": "settings"}), 0),
        ] {
            for transport in [&Json as &dyn Transport, &Msgpack] {
                let frame = transport.encode(header, &message).unwrap();
                assert_eq!(of_frame(transport, &frame), fonts, "{message}");
            }
        }
        let settings = json!({"fonts": ["a", "b"]});
        assert_eq!(of_settings(&Json, &settings), 2);
        assert_eq!(of_settings(&Msgpack, &json!(["no", "map"])), 0);
    }
}
