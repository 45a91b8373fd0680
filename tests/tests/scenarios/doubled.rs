//! Ids that one tree has twice, which the renderer reports and goes on.

use plushie_pool::{RendererMode, WireFormat};
use serde_json::{Value, json};

use crate::support::{everywhere, find, pool, shown, snapshot, within};

everywhere! {
    a_tree_with_an_id_twice_is_shown
}

async fn a_tree_with_an_id_twice_is_shown(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let text = |content: &str| json!({"id": "count", "type": "text", "props": {"content": content}, "children": []});
    let tree = json!({
        "id": "main", "type": "window", "props": {}, "children": [
            {"id": "root", "type": "column", "props": {}, "children": [text("1"), text("2")]},
        ],
    });
    session.send(&snapshot(&tree)).await.unwrap();
    assert!(["1", "2"].map(Value::from).contains(&shown(&session).await));
    // The renderer lives on, for this session and for others.
    let patch = json!({"type": "patch", "ops": [
        {"op": "update_props", "path": [0, 1], "props": {"content": "3"}},
        {"op": "insert_child", "path": [0], "index": 0, "node": text("4")},
    ]});
    session.send(&patch).await.unwrap();
    let found = within(session.request(&find("count"), "query_response")).await;
    found.unwrap();
    let other = pool.register().await.unwrap();
    other.send(&snapshot(&tree)).await.unwrap();
    assert!(!shown(&other).await.is_null());
    assert_eq!(pool.status().deaths, 0);
    within(pool.shutdown()).await.unwrap();
}
