//! Effects that the pool answers in every session, and clipboards of sessions' own.

use plushie_pool::{ErrorKind, RendererMode, Session, WireFormat};
use serde_json::{Value, json};

use crate::support::{everywhere, pool, within};

everywhere! {
    a_stub_of_the_pools_answers_in_every_session
    a_session_may_replace_a_stub_of_the_pools
    a_stub_for_an_effect_that_there_is_not_is_an_error
    each_session_has_a_clipboard_of_its_own
    a_clipboard_takes_each_kind_of_effect
    a_stub_of_the_sessions_own_comes_before_its_clipboard
}

/// The answer to an effect.
async fn effect(session: &Session, kind: &str, payload: Value) -> Value {
    let ask = json!({"type": "effect", "kind": kind, "payload": payload});
    let answer = within(session.request(&ask, "effect_response")).await;
    answer.unwrap().decode().unwrap()
}

/// The `result` of an effect that succeeds.
async fn result(session: &Session, kind: &str, payload: Value) -> Value {
    let answer = effect(session, kind, payload).await;
    assert_eq!(answer["status"], "ok", "{kind}: {answer}");
    answer["result"].clone()
}

/// Has the session answer an effect itself, or no longer.
async fn change_stub(session: &Session, change: &str, kind: &str, response: Value) {
    let message = json!({
        "type": format!("{change}_effect_stub"), "kind": kind, "response": response,
    });
    let ack = format!("effect_stub_{change}_ack");
    within(session.request(&message, &ack)).await.unwrap();
}

async fn a_stub_of_the_pools_answers_in_every_session(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format)
        .effect_stub("clipboard_read", json!({"text": "replaced"}))
        .effect_stub("clipboard_read", json!({"text": "hello"}))
        .effect_stub("file_open", json!({"path": "/a/file"}))
        .effect_stub("notification", ())
        .start()
        .await
        .unwrap();
    for _ in 0..3 {
        let session = pool.register().await.unwrap();
        for (kind, payload, expected) in [
            ("clipboard_read", json!({}), json!({"text": "hello"})),
            ("file_open", json!({}), json!({"path": "/a/file"})),
            (
                "notification",
                json!({"title": "a", "body": "b"}),
                Value::Null,
            ),
        ] {
            assert_eq!(result(&session, kind, payload).await, expected);
        }
        session.unregister().await.unwrap();
        // That the renderer took the stubs is the pool's affair.
        let told = session.next_event().await;
        assert!(told.is_none(), "{told:?}");
    }
    within(pool.shutdown()).await.unwrap();
}

async fn a_session_may_replace_a_stub_of_the_pools(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format)
        .effect_stub("clipboard_read", json!({"text": "the pool's"}))
        .start()
        .await
        .unwrap();
    let (one, other) = (
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    );
    change_stub(&one, "register", "clipboard_read", json!({"text": "mine"})).await;
    assert_eq!(
        result(&one, "clipboard_read", json!({})).await,
        json!({"text": "mine"})
    );
    assert_eq!(
        result(&other, "clipboard_read", json!({})).await,
        json!({"text": "the pool's"})
    );
    within(pool.shutdown()).await.unwrap();
}

async fn a_stub_for_an_effect_that_there_is_not_is_an_error(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format)
        .effect_stub("clipbord_read", json!({"text": "hello"}))
        .start()
        .await
        .unwrap();
    let error = within(pool.register()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("\"clipbord_read\""), "{error}");
    assert!(error.to_string().contains("clipboard_read"), "{error}");
    within(pool.shutdown()).await.unwrap();
}

async fn each_session_has_a_clipboard_of_its_own(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format)
        .private_clipboard(true)
        .max_sessions(4)
        .start()
        .await
        .unwrap();
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(pool.register().await.unwrap());
    }
    // All write before any reads, and each more than once.
    for round in 0..3 {
        for session in &sessions {
            let text = format!("{} {round}", session.id());
            let written = result(session, "clipboard_write", json!({"text": text})).await;
            assert_eq!(written, Value::Null);
        }
        for session in &sessions {
            let text = format!("{} {round}", session.id());
            let read = result(session, "clipboard_read", json!({})).await;
            assert_eq!(read, json!({"text": text}));
        }
    }
    // The next session in a place finds nothing of the last one's.
    let gone = sessions.remove(0);
    gone.unregister().await.unwrap();
    let fresh = pool.register().await.unwrap();
    let read = result(&fresh, "clipboard_read", json!({})).await;
    assert_eq!(read, json!({"text": ""}));
    // No session gets the renderer's answers to the stubs that the pool registered.
    let told = gone.next_event().await;
    assert!(told.is_none(), "{told:?}");
    within(pool.shutdown()).await.unwrap();
}

async fn a_clipboard_takes_each_kind_of_effect(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format)
        .private_clipboard(true)
        .start()
        .await
        .unwrap();
    let session = pool.register().await.unwrap();
    for (kind, payload, expected) in [
        ("clipboard_read", json!({}), json!({"text": ""})),
        ("clipboard_read_html", json!({}), json!({"html": ""})),
        ("clipboard_read_primary", json!({}), json!({"text": ""})),
        ("clipboard_write_primary", json!({"text": "p"}), Value::Null),
        (
            "clipboard_write_html",
            json!({"html": "<b>b</b>", "alt_text": "b"}),
            Value::Null,
        ),
        (
            "clipboard_read_html",
            json!({}),
            json!({"html": "<b>b</b>"}),
        ),
        ("clipboard_read", json!({}), json!({"text": "b"})),
        ("clipboard_read_primary", json!({}), json!({"text": "p"})),
        ("clipboard_write", json!({"text": "ä\u{0}\n"}), Value::Null),
        ("clipboard_read", json!({}), json!({"text": "ä\u{0}\n"})),
        ("clipboard_read_html", json!({}), json!({"html": ""})),
        ("clipboard_clear", json!({}), Value::Null),
        ("clipboard_read", json!({}), json!({"text": ""})),
        ("clipboard_read_primary", json!({}), json!({"text": "p"})),
    ] {
        assert_eq!(result(&session, kind, payload).await, expected, "{kind}");
    }
    // What the renderer refuses is not written.
    let refused = effect(&session, "clipboard_write", json!({"text": 1})).await;
    assert_eq!(refused["status"], "error", "{refused}");
    let read = result(&session, "clipboard_read", json!({})).await;
    assert_eq!(read, json!({"text": ""}));
    // Many at once, none of which is waited for before the last.
    let writes = (0..600).map(async |n: u32| {
        result(&session, "clipboard_write", json!({"text": n.to_string()})).await;
    });
    futures::future::join_all(writes).await;
    let read = result(&session, "clipboard_read", json!({})).await;
    assert_eq!(read, json!({"text": "599"}));
    within(pool.shutdown()).await.unwrap();
}

async fn a_stub_of_the_sessions_own_comes_before_its_clipboard(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format)
        .private_clipboard(true)
        .effect_stub("clipboard_read_primary", json!({"text": "the pool's"}))
        .start()
        .await
        .unwrap();
    let session = pool.register().await.unwrap();
    change_stub(
        &session,
        "register",
        "clipboard_read",
        json!({"text": "stub"}),
    )
    .await;
    for kind in ["clipboard_write", "clipboard_write_primary"] {
        result(&session, kind, json!({"text": "written"})).await;
    }
    for (kind, text) in [
        ("clipboard_read", "stub"),
        ("clipboard_read_primary", "the pool's"),
    ] {
        assert_eq!(
            result(&session, kind, json!({})).await,
            json!({"text": text})
        );
    }
    change_stub(&session, "unregister", "clipboard_read", Value::Null).await;
    let read = result(&session, "clipboard_read", json!({})).await;
    assert_eq!(read, json!({"text": "written"}));
    within(pool.shutdown()).await.unwrap();
}
