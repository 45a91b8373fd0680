//! A client receives no message that a renderer would not send: the SDKs have closed lists.

use plushie_core::Diagnostic;
use plushie_pool_tests::client::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::support::{FORMATS, SocketClient, admitted, find, label, pool, served, shown, within};

/// The types of message that renderer 0.7.1 sends (`protocol/outgoing.rs` of plushie-core), and
/// the one by which it refuses a host (`startup.rs` of plushie-renderer).
const TYPES: [&str; 15] = [
    "hello",
    "event",
    "diagnostic",
    "effect_response",
    "effect_stub_register_ack",
    "effect_stub_unregister_ack",
    "query_response",
    "interact_step",
    "interact_response",
    "tree_hash_response",
    "screenshot_response",
    "reset_response",
    "op_query_response",
    "error",
    "announce",
];

/// The codes of a `session_error` (`headless.rs` of plushie-renderer, `emitters.rs` and
/// `update.rs` of plushie-renderer-lib).
const CODES: [&str; 10] = [
    "max_sessions_reached",
    "session_reset_in_progress",
    "session_backpressure_overflow",
    "session_channel_closed",
    "session_panic",
    "host_disconnect",
    "writer_dead",
    "font_cap_exceeded",
    "renderer_panic",
    "renderer_write_failed",
];

/// Checks that a renderer could have said it.
pub(crate) fn known(message: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&message["type"]);
    assert!(TYPES.contains(&&*kind), "no renderer says {message}");
    if kind == "diagnostic" {
        let diagnostic = serde_json::from_value::<Diagnostic>(message["diagnostic"].clone());
        assert!(
            diagnostic.is_ok(),
            "no renderer says {message}: {diagnostic:?}"
        );
    }
    if message["family"] == "session_error" {
        let code = text(&message["data"]["code"]);
        assert!(CODES.contains(&&*code), "no renderer says {message}");
        assert!(message["data"]["error"].is_string(), "{message}");
    }
}

/// All that is still heard, up to the end, each of it known.
async fn rest<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some(message) = within(client.hear()).await {
        known(&message);
        all.push(message);
    }
    all
}

fn families(said: &[Value]) -> Vec<&str> {
    let events = said.iter().filter(|said| said["type"] == "event");
    events
        .filter_map(|event| event["family"].as_str())
        .collect()
}

/// An input that has the focus, and an interact that types into it, at its first step.
async fn in_a_step(client: &mut SocketClient, session: &str) {
    // In its corner, so that where to click does not depend on a font.
    let input = json!({
        "id": "name", "type": "text_input", "props": {"value": "", "width": 200}, "children": [],
    });
    let tree = json!({"id": "main", "type": "window", "props": {}, "children": [input]});
    client
        .tell(session, &json!({"type": "snapshot", "tree": tree}))
        .await;
    for focus in [
        json!({"type": "interact", "action": "move_to", "selector": {}, "payload": {"x": 5, "y": 5}}),
        json!({"type": "interact", "action": "click", "selector": {}}),
    ] {
        known(&within(client.ask(session, &focus)).await);
    }
    let typing = json!({
        "type": "interact", "id": "typing", "action": "type_text",
        "selector": {"by": "id", "value": "name"},
        "payload": {"text": "abc"},
    });
    client.tell(session, &typing).await;
    let step = within(client.hear_of(session, "interact_step")).await;
    assert_eq!(step["id"], "typing", "{step}");
    assert_eq!(step["events"][0]["session"], session, "{step}");
}

#[tokio::test]
async fn a_renderer_that_dies_in_an_interact_says_what_a_renderer_may() {
    for format in FORMATS {
        let server = served(pool()).await;
        let mut one = admitted(&server, format).await;
        in_a_step(&mut one, "").await;
        let mut many = admitted(&server, format).await;
        in_a_step(&mut many, "a").await;
        let pid = server.pool().status().renderers[0].pid.unwrap();
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();

        let said = rest(&mut one).await;
        assert_eq!(
            families(&said),
            ["session_error", "session_closed"],
            "{said:?}"
        );
        // One of many goes on.
        for family in ["session_error", "session_closed"] {
            known(&within(many.hear_of("a", family)).await);
        }
        many.tell("a", &label("again")).await;
        assert_eq!(shown(&mut many, "a").await, "again");
        many.stream().shutdown().await.unwrap();
        assert_eq!(families(&rest(&mut many).await), [""; 0]);
    }
}

#[tokio::test]
async fn whatever_goes_wrong_is_said_in_a_renderers_words() {
    let patience = std::time::Duration::from_millis(50);
    let server = served(
        pool()
            .max_sessions(1)
            .acquire_timeout(patience)
            .timeout(patience),
    )
    .await;
    for format in FORMATS {
        let mut client = admitted(&server, format).await;
        // No renderer answers this, and after a while the pool waits no more.
        let query = json!({"type": "query", "id": "q", "target": 1});
        client.tell("a", &query).await;
        // There is no room for a second.
        client.tell("b", &label("b")).await;
        known(&within(client.hear_of("b", "session_error")).await);
        for odd in [
            json!({"type": "pool_state"}),
            json!({"type": 1}),
            json!({"type": "interact", "id": "i"}),
            json!({"type": "interact", "action": "click"}),
            json!({"type": "reset"}),
            json!({"type": "snapshot", "session": null}),
            json!([]),
        ] {
            client.say(&odd).await;
        }
        tokio::time::sleep(2 * patience).await;
        let found = within(client.ask("a", &find("label"))).await;
        known(&found);
        client.stream().shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, [Value::Null; 0]);
    }
}
