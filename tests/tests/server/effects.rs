//! Effects that the pool answers, for a server's clients.

use serde_json::{Value, json};

use crate::support::{FORMATS, SocketClient, admitted, everywhere, pool, served, within};

/// The `result` of an effect that succeeds.
async fn result(client: &mut SocketClient, session: &str, kind: &str, payload: Value) -> Value {
    let ask = json!({"type": "effect", "kind": kind, "payload": payload});
    let answer = within(client.ask(session, &ask)).await;
    assert_eq!(answer["type"], "effect_response", "{answer}");
    assert_eq!(answer["status"], "ok", "{kind}: {answer}");
    answer["result"].clone()
}

#[tokio::test]
async fn the_pools_stubs_answer_every_client() {
    for (mode, format) in everywhere() {
        let pool = pool().mode(mode).format(format);
        let server = served(pool.effect_stub("clipboard_read", json!({"text": "hello"}))).await;
        for spoken in FORMATS {
            let mut client = admitted(&server, spoken).await;
            for _ in 0..2 {
                let read = result(&mut client, "a", "clipboard_read", json!({})).await;
                assert_eq!(read, json!({"text": "hello"}));
                // A reset takes away what the client registered, not what the pool did.
                let mine = json!({
                    "type": "register_effect_stub", "kind": "clipboard_read",
                    "response": {"text": "mine"},
                });
                client.tell("a", &mine).await;
                within(client.hear_of("a", "effect_stub_register_ack")).await;
                let read = result(&mut client, "a", "clipboard_read", json!({})).await;
                assert_eq!(read, json!({"text": "mine"}));
                within(client.reset("a")).await;
            }
        }
    }
}

#[tokio::test]
async fn each_session_of_each_client_has_a_clipboard_of_its_own() {
    for (mode, format) in everywhere() {
        let pool = pool().mode(mode).format(format).private_clipboard(true);
        let server = served(pool).await;
        let mut clients = Vec::new();
        for spoken in FORMATS {
            clients.push(admitted(&server, spoken).await);
        }
        for (n, client) in clients.iter_mut().enumerate() {
            for session in ["a", "b"] {
                let text = json!({"text": format!("{n} {session}")});
                result(client, session, "clipboard_write", text).await;
            }
        }
        for (n, client) in clients.iter_mut().enumerate() {
            for session in ["a", "b"] {
                let read = result(client, session, "clipboard_read", json!({})).await;
                assert_eq!(read, json!({"text": format!("{n} {session}")}));
            }
            within(client.reset("a")).await;
            let read = result(client, "a", "clipboard_read", json!({})).await;
            assert_eq!(read, json!({"text": ""}));
            // The client gets no answer for a stub that it did not register.
            let passed = std::iter::from_fn(|| client.passed());
            let acks = passed.filter(|message| message["type"] == "effect_stub_register_ack");
            assert_eq!(acks.count(), 0);
        }
    }
}
