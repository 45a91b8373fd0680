//! Replies that are too long: for the pool, or for the format of one client.

use plushie_pool::{ErrorKind, RendererMode, SessionPool, WireFormat};
use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};

use crate::support::{FORMATS, admitted, label, pool, served, shown, within};

fn screenshot(side: u32) -> Value {
    json!({"type": "screenshot", "name": "x", "width": side, "height": side})
}

/// What ends the client's request, and the messages before it.
fn assert_is_empty(reply: &Value, overflow: &Value) {
    assert_eq!(reply["type"], "screenshot_response", "{reply}");
    assert_eq!((&reply["width"], &reply["height"]), (&json!(0), &json!(0)));
    assert_eq!((&reply["hash"], &reply["rgba"]), (&json!(""), &Value::Null));
    let diagnostic = &overflow["diagnostic"];
    assert_eq!(diagnostic["kind"], "buffer_overflow", "{overflow}");
    assert_eq!(diagnostic["limit"], 64 * 1024 * 1024);
    assert!(diagnostic["size"].as_u64() > diagnostic["limit"].as_u64());
}

#[tokio::test]
async fn a_reply_that_is_too_long_for_the_clients_format_ends_its_request() {
    let server = served(pool().mode(RendererMode::Headless)).await;
    let mut client = admitted(&server, Format::Json).await;
    client.tell("a", &label("a")).await;
    client.tell("b", &label("b")).await;
    // 52 MB in the pool's MessagePack, 69 MB in the client's JSON.
    let reply = within(client.ask("a", &screenshot(3600))).await;
    let overflow = within(client.hear_of("a", "diagnostic")).await;
    assert_is_empty(&reply, &overflow);
    for session in ["a", "b"] {
        assert_eq!(shown(&mut client, session).await, session);
    }
}

#[tokio::test]
async fn a_reply_that_is_too_long_for_the_pool_ends_the_clients_request() {
    let server = served(pool().mode(RendererMode::Headless)).await;
    for format in FORMATS {
        let mut client = admitted(&server, format).await;
        client.tell("a", &label("a")).await;
        let reply = within(client.ask("a", &screenshot(4100))).await;
        let overflow = within(client.hear_of("a", "diagnostic")).await;
        assert_is_empty(&reply, &overflow);
        assert_eq!(shown(&mut client, "a").await, "a");
    }
    assert_eq!(server.pool().status().deaths, 0);
}

#[tokio::test]
async fn a_pool_that_is_connected_has_the_error_of_one_that_is_not() {
    for format in WireFormat::ALL {
        let server = served(pool().mode(RendererMode::Headless).format(format)).await;
        let connected = within(SessionPool::connect(server.address(), None)).await;
        let session = within(connected.unwrap().register()).await.unwrap();
        session.send(&label("x")).await.unwrap();
        let shot = screenshot(4100);
        let error = within(session.request(&shot, "screenshot_response")).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReplyTooLarge, "{error}");
        assert_eq!(error.session(), Some(session.id()));
        assert_eq!(error.to_string().matches("session ").count(), 1, "{error}");
        assert!(error.to_string().contains("smaller picture"), "{error}");
        let small = within(session.request(&screenshot(16), "screenshot_response")).await;
        assert_eq!(small.unwrap().decode::<Value>().unwrap()["width"], 16);
    }
}
