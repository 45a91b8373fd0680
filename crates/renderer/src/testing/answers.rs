//! What a renderer in mock mode answers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

/// The sessions of one renderer in memory.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_name: BTreeMap<String, Session>,
}

#[derive(Debug, Default)]
struct Session {
    tree: Value,
    stubs: BTreeMap<String, Value>,
}

impl Sessions {
    /// Does what a message says; returns the answers, without `session` and `id`.
    pub(super) fn answers(&mut self, message: &Value) -> Vec<Value> {
        let text = |key: &str| message[key].as_str().unwrap_or_default();
        let name = text("session");
        let session = self.by_name.entry(name.to_owned()).or_default();
        match text("type") {
            "snapshot" => session.tree = message["tree"].clone(),
            "query" => {
                let data = match text("target") {
                    "tree" => Some(&session.tree),
                    _ => find(&session.tree, &message["selector"]),
                };
                return vec![json!({
                    "type": "query_response", "target": text("target"), "data": data,
                })];
            }
            "tree_hash" => {
                let hash = hash(&session.tree);
                return vec![json!({
                    "type": "tree_hash_response", "name": text("name"), "hash": hash,
                })];
            }
            "screenshot" => {
                return vec![json!({
                    "type": "screenshot_response", "name": text("name"), "hash": "",
                    "width": 0, "height": 0,
                })];
            }
            "interact" => {
                let events = session.interact(message, name);
                return vec![json!({"type": "interact_response", "events": events})];
            }
            "register_effect_stub" => {
                let response = message["response"].clone();
                session.stubs.insert(text("kind").to_owned(), response);
                return vec![stub_ack(
                    "effect_stub_register_ack",
                    text("kind"),
                    "registered",
                )];
            }
            "unregister_effect_stub" => {
                session.stubs.remove(text("kind"));
                return vec![stub_ack(
                    "effect_stub_unregister_ack",
                    text("kind"),
                    "unregistered",
                )];
            }
            "effect" => {
                return vec![match session.stubs.get(text("kind")) {
                    Some(result) => {
                        json!({"type": "effect_response", "status": "ok", "result": result})
                    }
                    None => json!({"type": "effect_response", "status": "unsupported"}),
                }];
            }
            "system_query" => {
                let (kind, tag) = (text("op"), &message["payload"]["tag"]);
                return vec![json!({
                    "type": "op_query_response", "kind": kind, "tag": tag, "data": null,
                })];
            }
            "reset" => {
                self.by_name.remove(name);
                return vec![
                    json!({"type": "reset_response", "status": "ok"}),
                    json!({"type": "event", "family": "session_closed", "id": ""}),
                ];
            }
            _ => {}
        }
        Vec::new()
    }
}

impl Session {
    fn interact(&self, message: &Value, session: &str) -> Vec<Value> {
        let Some(node) = find(&self.tree, &message["selector"]) else {
            return Vec::new();
        };
        let (action, payload) = (&message["action"], &message["payload"]);
        let (family, value) = match action.as_str() {
            Some("type_text") => ("input", &payload["text"]),
            Some("paste") => ("paste", &payload["text"]),
            Some(action) => (action, &payload["value"]),
            None => return Vec::new(),
        };
        let mut event = json!({
            "type": "event", "session": session, "family": family, "id": node["id"],
        });
        if !value.is_null() {
            event["value"] = value.clone();
        }
        vec![event]
    }
}

fn stub_ack(kind: &str, effect: &str, status: &str) -> Value {
    json!({"type": kind, "kind": effect, "status": status})
}

/// The node that a selector by id, or by what it shows, names.
fn find<'a>(node: &'a Value, selector: &Value) -> Option<&'a Value> {
    let wanted = selector["value"].as_str()?;
    let is_it = match selector["by"].as_str()? {
        // The window may stand before it, as in `main#save`.
        "id" => node["id"].as_str() == wanted.rsplit('#').next(),
        "text" => {
            let shown = ["content", "label", "value", "placeholder"];
            shown.iter().any(|key| node["props"][key] == *wanted)
        }
        _ => return None,
    };
    if is_it {
        return Some(node);
    }
    let children = node["children"].as_array()?;
    children.iter().find_map(|child| find(child, selector))
}

/// Equal for equal trees; empty for none.
fn hash(tree: &Value) -> String {
    if tree.is_null() {
        return String::new();
    }
    let mut hasher = DefaultHasher::new();
    tree.to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
