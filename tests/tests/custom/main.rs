//! A wire format, a mode and a connector of somebody else's, with everything else from the pool.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

mod allocated;
mod cbor;
mod connectors;
mod keyed;
mod round_robin;

use std::collections::BTreeMap;

use cbor::Cbor;
use futures::future::join_all;
use keyed::ByKey;
use plushie_pool::blocking::Wait;
use plushie_pool::testing::{FakeRenderer, Hostile, mode, transport_with};
use plushie_pool::{ErrorKind, RendererMode, SessionEvent, SessionPool};
use round_robin::RoundRobin;
use serde_json::{Value, json};

/// Renderers that answer a query with their number.
fn numbered() -> FakeRenderer {
    FakeRenderer::new(Cbor).answering(|heard| {
        let answer = || json!({"type": "query_response", "data": heard.renderer});
        (heard.message["type"] == "query").then(|| vec![answer()])
    })
}

#[test]
fn the_wire_format_is_right() {
    let allocated = || allocated::by_this_thread();
    let mut hostile = Hostile::new()
        .allocated(&allocated)
        .output(b"\0\0\0\0")
        .output(b"\xff\xff\xff\xff");
    // Bytes, a text, an array and a map of 4 G and of 16 E, alone and as a value.
    for major in [2, 3, 4, 5] {
        for length in [26, 27] {
            let huge = [&[major << 5 | length][..], &[0xff; 8][..1 << (length - 24)]].concat();
            hostile = hostile
                .payload(&huge[..])
                .payload([b"\xa2dtypeaxad", &huge[..]].concat());
        }
    }
    transport_with(&Cbor, &hostile);
}

#[test]
fn the_mode_is_right() {
    mode(&mut RoundRobin::over(4));
    mode(&mut ByKey::default());
}

#[tokio::test]
async fn a_mode_sees_what_a_session_was_asked_for_with() {
    let pool = SessionPool::builder()
        .connector(numbered())
        .transport(Cbor)
        .custom_mode(ByKey::default())
        .start()
        .await
        .unwrap();
    let query = json!({"type": "query", "target": "find", "selector": {}});
    let mut sessions = Vec::new();
    for key in ["a", "b", "a", "b", "a"] {
        let session = pool.register_with(key).await.unwrap();
        sessions.push((Some(key), session));
    }
    sessions.push((None, pool.register().await.unwrap()));
    sessions.push((None, pool.try_register().await.unwrap()));
    let owned = pool.try_register_with("b".to_owned()).await.unwrap();
    sessions.push((Some("b"), owned));
    let mut by_key = BTreeMap::new();
    for (key, session) in &sessions {
        let reply = session.request(&query, "query_response").await.unwrap();
        let renderer = reply.decode::<Value>().unwrap()["data"].to_string();
        let known = by_key.entry(*key).or_insert_with(|| renderer.clone());
        assert_eq!(*known, renderer, "{key:?}");
    }
    assert_eq!(pool.status().renderers.len(), 3);
    let full = pool.try_register_with("a").await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::PoolFull);
}

#[test]
fn a_key_is_given_without_async_as_well() {
    let pool = SessionPool::builder()
        .renderer(env!("CARGO_BIN_EXE_plushie-pool-test-renderer"))
        .start()
        .wait()
        .unwrap();
    // The modes that come with the pool do not use it.
    let session = pool.register_with("a").wait().unwrap();
    session.unregister().wait().unwrap();
}

#[tokio::test]
async fn a_pool_works_with_all_three() {
    let pool = SessionPool::builder()
        .connector(numbered())
        .transport(Cbor)
        .custom_mode(RoundRobin::over(4))
        .max_sessions(8)
        .start()
        .await
        .unwrap();
    let sessions = join_all((0..8).map(|_| pool.register())).await;
    let sessions: Vec<_> = sessions.into_iter().map(Result::unwrap).collect();
    let query = json!({"type": "query", "target": "find", "selector": {}});
    let mut served = BTreeMap::new();
    for session in &sessions {
        let reply = session.request(&query, "query_response").await.unwrap();
        let reply: Value = reply.decode().unwrap();
        assert_eq!(reply["session"], session.id().to_string());
        *served.entry(reply["data"].to_string()).or_insert(0) += 1;
    }
    assert_eq!(served.into_values().collect::<Vec<_>>(), [2, 2, 2, 2]);

    let status = pool.status();
    assert_eq!((&*status.mode, &*status.format), ("round robin", "cbor"));
    assert_eq!((status.launches, status.renderers.len()), (4, 4));
    assert_eq!(status.renderers[0].origin, "a renderer in memory");
    assert_eq!(status.renderers[0].pid, None);
    for session in sessions {
        session.unregister().await.unwrap();
    }
    assert_eq!(pool.status().sessions, 0);
    pool.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_renderer_that_goes_takes_only_its_own_sessions_along() {
    let renderers = numbered();
    let pool = SessionPool::builder()
        .connector(renderers.clone())
        .transport(Cbor)
        .custom_mode(RoundRobin::over(2))
        .start()
        .await
        .unwrap();
    let [goes, stays] = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    let hash = json!({"type": "tree_hash", "name": "x"});
    for session in [&goes, &stays] {
        session.request(&hash, "tree_hash_response").await.unwrap();
    }
    // The first session went to the first renderer.
    renderers.kill(0);
    let event = goes.next_event().await;
    assert!(
        matches!(event, Some(SessionEvent::RendererExited(_))),
        "{event:?}"
    );
    let error = goes.request(&hash, "tree_hash_response").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::RendererExited);
    stays.request(&hash, "tree_hash_response").await.unwrap();

    let next = pool.register().await.unwrap();
    next.request(&hash, "tree_hash_response").await.unwrap();
    assert_eq!(pool.status().deaths, 1);
}

#[tokio::test]
async fn a_renderer_in_memory_is_driven_like_any_other() {
    let renderers = FakeRenderer::new(Cbor);
    let pool = SessionPool::builder()
        .connector(renderers.clone())
        .transport(Cbor)
        .start()
        .await
        .unwrap();
    let session = pool.register().await.unwrap();
    let button =
        json!({"id": "save", "type": "button", "props": {"label": "Save"}, "children": []});
    let tree = json!({"id": "main", "type": "window", "props": {}, "children": [button]});
    let ask = async |message: Value, reply: &str| -> Value {
        let reply = session.request(&message, reply).await.unwrap();
        reply.decode().unwrap()
    };
    session
        .send(&json!({"type": "snapshot", "tree": tree}))
        .await
        .unwrap();

    let selector = json!({"by": "id", "value": "save"});
    let query = json!({"type": "query", "target": "find", "selector": selector});
    assert_eq!(ask(query, "query_response").await["data"], button);
    let click = json!({"type": "interact", "action": "click", "selector": selector});
    let clicked = ask(click, "interact_response").await;
    assert_eq!(clicked["events"][0]["family"], "click");
    assert_eq!(clicked["events"][0]["id"], "save");
    let hash = json!({"type": "tree_hash", "name": "x"});
    assert_ne!(ask(hash, "tree_hash_response").await["hash"], "");
    let stub = json!({"type": "register_effect_stub", "kind": "clipboard_read", "response": 7});
    ask(stub, "effect_stub_register_ack").await;
    let effect = json!({"type": "effect", "kind": "clipboard_read", "payload": {}});
    assert_eq!(ask(effect, "effect_response").await["result"], 7);

    // Another session has nothing of that.
    let other = pool.register().await.unwrap();
    let whole = json!({"type": "query", "target": "tree", "selector": {}});
    let reply = other.request(&whole, "query_response").await.unwrap();
    assert_eq!(reply.decode::<Value>().unwrap()["data"], Value::Null);

    let name = session.id().to_string();
    renderers.say(
        0,
        json!({"type": "event", "session": name, "family": "tick", "id": "timer"}),
    );
    let event = session.next_event().await;
    let Some(SessionEvent::Event(event)) = event else {
        panic!("{event:?}");
    };
    assert_eq!((event.family(), event.id()), (Some("tick"), Some("timer")));
    assert_eq!(renderers.launches().len(), 1);
    pool.shutdown().await.unwrap();
    assert_eq!(renderers.running(), 0);
}

#[tokio::test]
async fn a_renderer_in_memory_may_be_one_of_a_single_session() {
    let renderers = FakeRenderer::new(Cbor).single_session();
    let pool = SessionPool::builder()
        .connector(renderers.clone())
        .transport(Cbor)
        .mode(RendererMode::Windowed)
        .start()
        .await
        .unwrap();
    let sessions = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    assert_eq!(renderers.running(), 2);
    let hash = json!({"type": "tree_hash", "name": "x"});
    for session in sessions {
        let reply = session.request(&hash, "tree_hash_response").await.unwrap();
        let reply: Value = reply.decode().unwrap();
        assert_eq!(reply["session"], session.id().to_string());
        session.unregister().await.unwrap();
    }
    pool.shutdown().await.unwrap();
    assert_eq!(renderers.running(), 0);
}
