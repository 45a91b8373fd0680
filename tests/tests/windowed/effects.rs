//! Effects that the pool answers in sessions with a window.

use plushie_pool::{RendererMode, Session, WireFormat};
use serde_json::{Value, json};

use crate::display::start;
use crate::support::{in_both_formats, pool, within};

in_both_formats! {
    windows_have_the_pools_stubs_and_a_clipboard_of_their_own
}

async fn result(session: &Session, kind: &str, payload: Value) -> Value {
    let ask = json!({"type": "effect", "kind": kind, "payload": payload});
    let answer = within(session.request(&ask, "effect_response")).await;
    let answer: Value = answer.unwrap().decode().unwrap();
    assert_eq!(answer["status"], "ok", "{kind}: {answer}");
    answer["result"].clone()
}

async fn windows_have_the_pools_stubs_and_a_clipboard_of_their_own(format: WireFormat) {
    let builder = pool(RendererMode::Windowed, format)
        .max_sessions(3)
        .warm(1)
        .private_clipboard(true)
        .effect_stub("file_open", json!({"path": "/a/file"}));
    let Some(pool) = start(builder).await else {
        return;
    };
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(within(pool.register()).await.unwrap());
    }
    for session in &sessions {
        let text = json!({"text": session.id().to_string()});
        result(session, "clipboard_write", text).await;
    }
    for session in &sessions {
        let read = result(session, "clipboard_read", json!({})).await;
        assert_eq!(read, json!({"text": session.id().to_string()}));
        // No dialog opens.
        let opened = result(session, "file_open", json!({})).await;
        assert_eq!(opened, json!({"path": "/a/file"}));
    }
    within(pool.shutdown()).await.unwrap();
}
