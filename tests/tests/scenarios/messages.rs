//! What a caller may not send: refused before a byte of it goes out, and no harm done.

use plushie_pool::{Binary, Error, ErrorKind, Origin, RendererMode, Session, WireFormat};
use serde::Serialize;
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{counter, everywhere, find, in_both_formats, pool, shown, snapshot, within};

everywhere! {
    what_is_no_message_is_refused
    binary_data_is_written_the_way_the_format_wants_it
}

in_both_formats! {
    what_is_too_deep_or_too_long_is_refused
    the_deepest_and_the_longest_that_are_allowed_arrive
    a_float_that_is_no_number_is_refused_in_both_formats
    a_caller_of_many_messages_waits_rather_than_have_its_session_thrown_out
}

/// That nothing was sent, and that the session is as good as before.
async fn harmless(session: &Session, pool: &plushie_pool::SessionPool, sent: u64) {
    assert_eq!(pool.status().counters.sent, sent);
    assert_eq!(within(shown(session)).await, "8");
}

fn refused(error: &Error, kind: ErrorKind, words: &str, session: &Session) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "no {words:?} in {error}");
    assert_eq!(error.origin(), Origin::Caller);
    assert_eq!(error.session(), Some(session.id()));
}

async fn what_is_no_message_is_refused(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(8))).await.unwrap();
    assert_eq!(shown(&session).await, "8");
    let mut sent = 2;
    for (message, words) in [
        (json!([{"type": "query"}]), "not a map"),
        (json!("query"), "not a map"),
        (json!(null), "not a map"),
        (json!({"target": "tree"}), "no string `type`"),
        (json!({"type": 7}), "no string `type`"),
        (
            json!({"type": "query", "session": "s2"}),
            "`session` of its own",
        ),
        (
            json!({"type": "query", "session": null}),
            "`session` of its own",
        ),
        (json!({"type": "query", "id": "~1"}), "starts with `~`"),
        (json!({"type": "reset"}), "unregister"),
    ] {
        let by_send = session.send(&message).await.unwrap_err();
        refused(&by_send, ErrorKind::InvalidMessage, words, &session);
        let by_request = session.request(&message, "query_response").await;
        refused(
            &by_request.unwrap_err(),
            ErrorKind::InvalidMessage,
            words,
            &session,
        );
        let by_interact = session.send_interact(&message).await.unwrap_err();
        refused(&by_interact, ErrorKind::InvalidMessage, words, &session);
        harmless(&session, &pool, sent).await;
        sent += 1;
    }
    let own_id = json!({"type": "query", "id": "mine", "target": "tree", "selector": {}});
    let error = session.request(&own_id, "query_response").await;
    refused(
        &error.unwrap_err(),
        ErrorKind::InvalidMessage,
        "`id` of its own",
        &session,
    );
    harmless(&session, &pool, sent).await;

    // In a message that nothing of the pool's answers, an id is the caller's business.
    let command = json!({"type": "command", "id": "name", "family": "focus", "value": {}});
    session.send(&command).await.unwrap();
    harmless(&session, &pool, sent + 2).await;
}

async fn what_is_too_deep_or_too_long_is_refused(format: WireFormat) {
    let pool = pool(RendererMode::Mock, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(8))).await.unwrap();
    assert_eq!(shown(&session).await, "8");
    let error = session.send(&snapshot(&nested(127))).await.unwrap_err();
    refused(&error, ErrorKind::Encode, "deeper than 127", &session);
    harmless(&session, &pool, 2).await;

    let long = json!({"type": "patch", "ops": [], "padding": "x".repeat(64 << 20)});
    let error = session.send(&long).await.unwrap_err();
    refused(
        &error,
        ErrorKind::Encode,
        "all a renderer accepts",
        &session,
    );
    harmless(&session, &pool, 3).await;
}

async fn the_deepest_and_the_longest_that_are_allowed_arrive(format: WireFormat) {
    let pool = pool(RendererMode::Mock, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let stub =
        json!({"type": "register_effect_stub", "kind": "file_open", "response": nested(126)});
    let ack = session.request(&stub, "effect_stub_register_ack");
    within(ack).await.unwrap();
    session.send(&snapshot(&counter(8))).await.unwrap();
    let long = json!({"type": "patch", "ops": [], "padding": "x".repeat(63 << 20)});
    session.send(&long).await.unwrap();
    harmless(&session, &pool, 3).await;
}

/// So many maps in each other.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({"a": inner}))
}

async fn a_float_that_is_no_number_is_refused_in_both_formats(format: WireFormat) {
    #[derive(Serialize)]
    struct Patch {
        r#type: &'static str,
        ops: [(); 0],
        width: f64,
    }
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    for width in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let patch = Patch {
            r#type: "patch",
            ops: [],
            width,
        };
        let error = session.send(&patch).await.unwrap_err();
        refused(&error, ErrorKind::Encode, &width.to_string(), &session);
    }
    session.send(&find("a")).await.unwrap();
    peer.expect("query").await;
    peer.serve();
}

async fn binary_data_is_written_the_way_the_format_wants_it(
    mode: RendererMode,
    format: WireFormat,
) {
    #[derive(Serialize)]
    struct ImageOp {
        r#type: &'static str,
        op: &'static str,
        payload: Image,
    }
    #[derive(Serialize)]
    struct Image {
        handle: &'static str,
        width: u32,
        height: u32,
        pixels: Binary,
    }
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    // The renderer takes only as many bytes as the picture has.
    for (handle, bytes) in [("red", 1024), ("torn", 1023)] {
        let image = ImageOp {
            r#type: "image_op",
            op: "create_image",
            payload: Image {
                handle,
                width: 16,
                height: 16,
                pixels: vec![255; bytes].into(),
            },
        };
        session.send(&image).await.unwrap();
    }
    let list =
        |tag: &str| json!({"type": "widget_op", "op": "list_images", "payload": {"tag": tag}});
    let (first, second) = (list("first"), list("second"));
    let (second, first) = futures::join!(
        session.request(&second, "op_query_response"),
        session.request(&first, "op_query_response"),
    );
    for (images, tag) in [(first, "first"), (second, "second")] {
        let images: Value = images.unwrap().decode().unwrap();
        assert_eq!(images["data"]["handles"], json!(["red"]), "{images}");
        assert_eq!(images["tag"], tag);
    }
}

async fn a_caller_of_many_messages_waits_rather_than_have_its_session_thrown_out(
    format: WireFormat,
) {
    let pool = pool(RendererMode::Mock, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    for n in 0..3000 {
        session
            .send(&crate::support::show(n % 8 + 1))
            .await
            .unwrap();
    }
    assert_eq!(within(shown(&session)).await, "8");
    let status = pool.status();
    assert!(status.counters.barriers > 0, "{:?}", status.counters);

    // A renderer that answers nothing is not sent without end.
    let (builder, mut peers) = played(format);
    let pool = builder
        .timeout(crate::support::SHORT)
        .start()
        .await
        .unwrap();
    let _silent = peers.next().await;
    let session = pool.register().await.unwrap();
    let mut sent = 0;
    let error = loop {
        match session.send(&query()).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.phase(), Some(plushie_pool::Phase::Send), "{error}");
    assert!((100..510).contains(&sent), "{sent}");
}
