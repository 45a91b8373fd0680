//! What the scenarios share: pools on the real renderer, and a counter to show in them.

use plushie_pool::{Builder, RendererMode, SessionPool, WireFormat};
use serde_json::{Value, json};

/// The real renderer, built with these tests.
pub(crate) const RENDERER: &str = env!("CARGO_BIN_EXE_plushie-pool-test-renderer");

/// A pool on the real renderer.
pub(crate) fn pool(mode: RendererMode, format: WireFormat) -> Builder {
    SessionPool::builder()
        .renderer(RENDERER)
        .mode(mode)
        .format(format)
}

/// A window with a button, a count, and a text field.
pub(crate) fn counter(count: u64) -> Value {
    let node = |id: &str, kind: &str, props: Value| json!({"id": id, "type": kind, "props": props, "children": []});
    json!({
        "id": "main", "type": "window", "props": {"title": "Counter"},
        "children": [{
            "id": "root", "type": "column", "props": {},
            "children": [
                node("increment", "button", json!({"label": "+"})),
                node("count", "text", json!({"content": count.to_string()})),
                node("name", "text_input", json!({"value": "", "placeholder": "name"})),
            ],
        }],
    })
}

pub(crate) fn snapshot(tree: &Value) -> Value {
    json!({"type": "snapshot", "tree": tree})
}

/// A patch that shows another count.
pub(crate) fn show(count: u64) -> Value {
    json!({"type": "patch", "ops": [
        {"op": "update_props", "path": [0, 1], "props": {"content": count.to_string()}},
    ]})
}

pub(crate) fn find(id: &str) -> Value {
    json!({"type": "query", "target": "find", "selector": {"by": "id", "value": id}})
}

pub(crate) fn click(id: &str) -> Value {
    json!({"type": "interact", "action": "click", "selector": {"by": "id", "value": id}})
}

/// Runs a scenario in each mode that needs no display, in each format.
macro_rules! everywhere {
    ($($name:ident)*) => {
        $(mod $name {
            use plushie_pool::{RendererMode, WireFormat};

            #[tokio::test]
            async fn mock_msgpack() {
                super::$name(RendererMode::Mock, WireFormat::Msgpack).await;
            }

            #[tokio::test]
            async fn mock_json() {
                super::$name(RendererMode::Mock, WireFormat::Json).await;
            }

            #[tokio::test]
            async fn headless_msgpack() {
                super::$name(RendererMode::Headless, WireFormat::Msgpack).await;
            }

            #[tokio::test]
            async fn headless_json() {
                super::$name(RendererMode::Headless, WireFormat::Json).await;
            }
        })*
    };
}
pub(crate) use everywhere;
