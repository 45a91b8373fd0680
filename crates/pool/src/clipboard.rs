//! A clipboard of a session's own: what is written to it and what is read from it.

use std::collections::BTreeSet;

use plushie_pool_core::{Transport, decode_payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The effects on a clipboard that plushie-renderer 0.7.1 knows.
const KINDS: [&str; 7] = [
    "clipboard_read",
    "clipboard_write",
    "clipboard_read_html",
    "clipboard_write_html",
    "clipboard_clear",
    "clipboard_read_primary",
    "clipboard_write_primary",
];

/// What a session has written, and what it answers to each effect on it.
#[derive(Debug, Default)]
pub(crate) struct Clipboard {
    text: String,
    html: String,
    primary: String,
    /// Effects that others answer: the pool by a stub it was given, or the session's owner.
    stubbed: BTreeSet<String>,
}

/// The `result` of an effect, as plushie-renderer 0.7.1 shapes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Contents {
    /// Of `clipboard_read` and `clipboard_read_primary`; empty if nothing was written.
    Text { text: String },
    /// Of `clipboard_read_html`.
    Html { html: String },
    /// Of all that write.
    Done,
}

/// Effects that are to be answered from now on like this.
type Changes = Vec<(&'static str, Contents)>;

impl Clipboard {
    /// An empty one, but for effects of these kinds, which others answer.
    pub(crate) fn new(stubbed: impl IntoIterator<Item = String>) -> Self {
        Self {
            stubbed: stubbed.into_iter().collect(),
            ..Self::default()
        }
    }

    /// How it answers each effect now.
    pub(crate) fn all(&self) -> Changes {
        self.answers(&KINDS)
    }

    /// Takes in what a message of the session's owner writes, and returns what is answered
    /// differently after it.
    pub(crate) fn after(&mut self, transport: &dyn Transport, payload: &[u8]) -> Changes {
        let Ok(envelope) = transport.envelope(payload) else {
            return Vec::new();
        };
        match &*envelope.kind {
            // Without an id the renderer carries out nothing.
            "effect" if envelope.id.as_ref().is_some_and(|id| !id.is_empty()) => {
                let changed = self.write(transport, payload);
                self.answers(changed)
            }
            "register_effect_stub" => {
                self.stubbed.extend(kind_of(transport, payload));
                Vec::new()
            }
            // Without a stub the effect would be carried out on the machine's clipboard.
            "unregister_effect_stub" => match kind_of(transport, payload) {
                Some(kind) => {
                    self.stubbed.remove(&kind);
                    let known = KINDS.iter().position(|known| *known == kind);
                    self.answers(known.map_or(&[], |at| &KINDS[at..=at]))
                }
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Carries out an effect; which others it changes. One that the renderer refuses changes
    /// none.
    fn write(&mut self, transport: &dyn Transport, payload: &[u8]) -> &'static [&'static str] {
        let kind = kind_of(transport, payload);
        let changed = match kind.as_deref() {
            Some("clipboard_write") => fields(transport, payload).map(|Text { text }| {
                self.text = text;
                self.html.clear();
            }),
            Some("clipboard_write_html") => {
                fields(transport, payload).map(|Html { html, alt_text }| {
                    self.text = alt_text.unwrap_or_default();
                    self.html = html;
                })
            }
            Some("clipboard_clear") => fields(transport, payload).map(|Nothing {}| {
                self.text.clear();
                self.html.clear();
            }),
            Some("clipboard_write_primary") => {
                let Some(Text { text }) = fields(transport, payload) else {
                    return &[];
                };
                self.primary = text;
                return &["clipboard_read_primary"];
            }
            _ => None,
        };
        match changed {
            Some(()) => &["clipboard_read", "clipboard_read_html"],
            None => &[],
        }
    }

    fn answers(&self, kinds: &[&'static str]) -> Changes {
        let own = kinds.iter().filter(|kind| !self.stubbed.contains(**kind));
        own.map(|kind| (*kind, self.answer(kind))).collect()
    }

    fn answer(&self, kind: &str) -> Contents {
        match kind {
            "clipboard_read" => Contents::Text {
                text: self.text.clone(),
            },
            "clipboard_read_html" => Contents::Html {
                html: self.html.clone(),
            },
            "clipboard_read_primary" => Contents::Text {
                text: self.primary.clone(),
            },
            _ => Contents::Done,
        }
    }
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Html {
    html: String,
    #[serde(default)]
    alt_text: Option<String>,
}

#[derive(Deserialize)]
struct Nothing {}

fn kind_of(transport: &dyn Transport, payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    let message = decode_payload::<Kind>(transport, payload).ok()?;
    Some(message.kind)
}

/// What an effect brings, if that is what the renderer takes.
fn fields<T: DeserializeOwned>(transport: &dyn Transport, payload: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct Effect<T> {
        payload: T,
    }
    let message = decode_payload::<Effect<T>>(transport, payload).ok()?;
    Some(message.payload)
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use plushie_pool_transport_json::Json;
    use serde_json::{Value, json};

    use super::*;

    fn effect(kind: &str, payload: Value) -> Value {
        json!({"type": "effect", "session": "s1", "id": "e1", "kind": kind, "payload": payload})
    }

    fn stub(change: &str, kind: &str) -> Value {
        let kind_of_message = format!("{change}_effect_stub");
        json!({"type": kind_of_message, "session": "s1", "kind": kind, "response": 1})
    }

    /// What is answered differently after the message.
    fn after(clipboard: &mut Clipboard, message: &Value) -> Value {
        let changes = clipboard.after(&Json, message.to_string().as_bytes());
        let changes = changes
            .into_iter()
            .map(|(kind, contents)| (kind.to_owned(), json!(contents)));
        Value::Object(changes.collect())
    }

    #[test]
    fn what_is_written_is_read() {
        let mut clipboard = Clipboard::default();
        for (message, changes) in [
            (
                effect("clipboard_write", json!({"text": "a"})),
                json!({"clipboard_read": {"text": "a"}, "clipboard_read_html": {"html": ""}}),
            ),
            (
                effect("clipboard_write_primary", json!({"text": "b"})),
                json!({"clipboard_read_primary": {"text": "b"}}),
            ),
            (
                effect(
                    "clipboard_write_html",
                    json!({"html": "<b>", "alt_text": "c"}),
                ),
                json!({"clipboard_read": {"text": "c"}, "clipboard_read_html": {"html": "<b>"}}),
            ),
            (
                effect("clipboard_write_html", json!({"html": "<i>"})),
                json!({"clipboard_read": {"text": ""}, "clipboard_read_html": {"html": "<i>"}}),
            ),
            (
                effect("clipboard_clear", json!({})),
                json!({"clipboard_read": {"text": ""}, "clipboard_read_html": {"html": ""}}),
            ),
        ] {
            assert_eq!(after(&mut clipboard, &message), changes, "{message}");
        }
        let all: Value = json!(clipboard.all());
        assert_eq!(
            all,
            json!([
                ["clipboard_read", {"text": ""}],
                ["clipboard_write", null],
                ["clipboard_read_html", {"html": ""}],
                ["clipboard_write_html", null],
                ["clipboard_clear", null],
                ["clipboard_read_primary", {"text": "b"}],
                ["clipboard_write_primary", null],
            ])
        );
    }

    #[test]
    fn what_the_renderer_refuses_writes_nothing() {
        let mut clipboard = Clipboard::default();
        let mut without_id = effect("clipboard_write", json!({"text": "a"}));
        without_id["id"] = "".into();
        for refused in [
            effect("clipboard_write", json!({})),
            effect("clipboard_write", json!({"text": 1})),
            effect("clipboard_write", json!(null)),
            effect("clipboard_write_html", json!({"html": "a", "alt_text": 1})),
            effect("clipboard_clear", json!("all")),
            effect("clipboard_read", json!({})),
            effect("notification", json!({"text": "a"})),
            json!({"type": "query", "id": "1", "kind": "clipboard_write"}),
            without_id,
        ] {
            assert_eq!(after(&mut clipboard, &refused), json!({}), "{refused}");
        }
    }

    #[test]
    fn the_owners_stub_comes_first_until_it_is_gone() {
        let mut clipboard = Clipboard::new(["clipboard_read_html".to_owned()]);
        assert!(
            clipboard
                .all()
                .iter()
                .all(|(kind, _)| *kind != "clipboard_read_html")
        );
        after(&mut clipboard, &stub("register", "clipboard_read"));
        let write = effect("clipboard_write", json!({"text": "a"}));
        assert_eq!(after(&mut clipboard, &write), json!({}));
        assert_eq!(
            after(&mut clipboard, &stub("unregister", "clipboard_read")),
            json!({"clipboard_read": {"text": "a"}})
        );
        assert_eq!(
            after(&mut clipboard, &stub("unregister", "clipboard_write")),
            json!({"clipboard_write": null})
        );
        assert_eq!(
            after(&mut clipboard, &stub("unregister", "notification")),
            json!({})
        );
    }
}
