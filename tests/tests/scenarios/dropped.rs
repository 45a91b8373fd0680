//! Messages that the renderer cannot read: it says so on its stderr, and the caller's error repeats it.

use futures::FutureExt;
use plushie_pool::{Error, ErrorKind, Phase, RendererMode, Session, SessionEvent, WireFormat};
use serde_json::{Value, json};

use crate::support::{
    LONG, SHORT, click, counter, everywhere, find, in_both_formats, pool, scripted, shown,
    snapshot, within,
};

everywhere! {
    a_request_that_cannot_be_read_fails_at_once_and_says_why
    one_of_many_requests_fails_and_the_others_are_answered
    a_message_that_was_dropped_fails_no_request
}

in_both_formats! {
    a_request_that_runs_out_of_time_quotes_stderr
    an_interact_that_runs_out_of_time_in_a_step_says_what_it_waits_for
    a_message_that_was_never_sent_says_what_it_waited_for
    an_answer_that_may_take_long_is_not_given_up_for_a_complaint
}

/// A session with a tree, whose requests would take longer than a test may.
async fn session(mode: RendererMode, format: WireFormat) -> Session {
    let pool = pool(mode, format).timeout(10 * LONG).start().await.unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(7))).await.unwrap();
    session
}

async fn dropped(session: &Session, request: &Value, reply: &str) -> Error {
    let error = within(session.request(request, reply)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageDropped, "{error}");
    assert_eq!(error.session(), Some(session.id()));
    error
}

async fn a_request_that_cannot_be_read_fails_at_once_and_says_why(
    mode: RendererMode,
    format: WireFormat,
) {
    let session = session(mode, format).await;
    let faulty = [
        (
            json!({"type": "qeury", "target": "tree"}),
            "query_response",
            "unknown variant `qeury`",
        ),
        (
            json!({"type": "query", "selector": {}}),
            "query_response",
            "missing field `target`",
        ),
        (
            json!({"type": "query", "target": 7}),
            "query_response",
            "invalid type",
        ),
        (
            json!({"type": "tree_hash"}),
            "tree_hash_response",
            "missing field `name`",
        ),
        (
            json!({"type": "screenshot", "name": "x", "width": "wide"}),
            "screenshot_response",
            "invalid type",
        ),
        (
            json!({"type": "interact", "selector": {}}),
            "interact_response",
            "missing field `action`",
        ),
        (
            json!({"type": "register_effect_stub", "response": 1}),
            "effect_stub_register_ack",
            "missing field `kind`",
        ),
    ];
    for (request, reply, reason) in &faulty {
        let error = dropped(&session, request, reply).await;
        let text = error.to_string();
        assert!(text.contains(reason), "{request}: {text}");
        assert!(
            error.stderr().unwrap_or_default().contains(reason),
            "{text}"
        );
        // Nothing that was said before.
        assert_eq!(
            error.stderr().unwrap_or_default().lines().count(),
            1,
            "{text}"
        );
        assert_eq!(shown(&session).await, "7");
    }

    let id = session
        .send_interact(&json!({"type": "interact"}))
        .await
        .unwrap();
    match within(session.next_event()).await {
        Some(SessionEvent::InteractFailed { id: failed, error }) if failed == id => {
            assert_eq!(error.kind(), ErrorKind::MessageDropped, "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(shown(&session).await, "7");
}

async fn one_of_many_requests_fails_and_the_others_are_answered(
    mode: RendererMode,
    format: WireFormat,
) {
    let one = session(mode, format).await;
    let (find, shot) = (find("count"), json!({"type": "tree_hash", "name": "x"}));
    let faulty = json!({"type": "query"});
    let reply = "query_response";
    let (first, second, third, fourth, fifth) = futures::join!(
        within(one.request(&find, reply)),
        within(one.request(&faulty, reply)),
        within(one.request(&shot, "tree_hash_response")),
        within(one.request(&faulty, reply)),
        within(one.request(&find, reply)),
    );
    for error in [second.unwrap_err(), fourth.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::MessageDropped, "{error}");
        assert!(
            error.to_string().contains("missing field `target`"),
            "{error}"
        );
    }
    assert!(first.is_ok() && third.is_ok() && fifth.is_ok());
}

async fn a_message_that_was_dropped_fails_no_request(mode: RendererMode, format: WireFormat) {
    let session = session(mode, format).await;
    for _ in 0..20 {
        let (sent, count) = futures::join!(
            async { session.send(&json!({"type": "snapshot"})).await },
            async { shown(&session).await },
        );
        sent.unwrap();
        assert_eq!(count, "7");
        let clicked = session.request(&click("increment"), "interact_response");
        let (sent, clicked) = futures::join!(session.send(&json!({"type": "pacth"})), clicked);
        sent.unwrap();
        within(async { clicked }).await.unwrap();
    }
}

async fn a_request_that_runs_out_of_time_quotes_stderr(format: WireFormat) {
    let complaint = "complain [now WARN  renderer] this takes long";
    let earlier = "complain earlier trouble";
    let steps = [
        "hello", "take 1", earlier, "answer 1", "take 1", complaint, "drain",
    ];
    let pool = scripted(steps).format(format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    within(session.request(&find("x"), "query_response"))
        .await
        .unwrap();
    let find = find("x");
    let mut asked = session.request(&find, "query_response").timeout(SHORT * 50);
    assert!((&mut asked).now_or_never().is_none());
    let error = within(asked).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Reply), "{error}");
    assert!(
        error
            .stderr()
            .unwrap_or_default()
            .contains("this takes long"),
        "{error}"
    );
    assert!(!error.to_string().contains("earlier trouble"), "{error}");
    assert!(!error.to_string().contains("without a word"), "{error}");
}

async fn an_interact_that_runs_out_of_time_in_a_step_says_what_it_waits_for(format: WireFormat) {
    let pool = pool(RendererMode::Mock, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(7))).await.unwrap();
    let focus = json!({"by": "id", "value": "main#name"});
    let typing = json!({"type": "interact", "action": "click", "selector": focus});
    let patience = SHORT * 25;
    let asked = session
        .request(&typing, "interact_response")
        .timeout(patience);
    let (asked, error) = futures::join!(within(asked), async {
        let step = within(session.next_event()).await;
        assert!(
            matches!(step, Some(SessionEvent::InteractStep { .. })),
            "{step:?}"
        );
        let find = find("count");
        let waits = session.request(&find, "query_response").timeout(SHORT);
        within(waits).await.unwrap_err()
    });
    let asked = asked.unwrap_err();
    assert_eq!(asked.phase(), Some(Phase::Reply), "{asked}");
    assert!(
        asked.to_string().contains("waits for the tree of its step"),
        "{asked}"
    );
    assert_eq!(error.phase(), Some(Phase::Send), "{error}");
    for words in ["never sent", "interact ~2", "tree of its step"] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

async fn a_message_that_was_never_sent_says_what_it_waited_for(format: WireFormat) {
    let pool = scripted(["hello", "drain"])
        .format(format)
        .start()
        .await
        .unwrap();
    let session = pool.register().await.unwrap();
    let message = json!({"type": "subscribe", "kind": "on_event", "tag": "t"});
    let error = loop {
        if let Err(error) = within(session.send(&message).timeout(SHORT)).await {
            break error;
        }
    };
    assert_eq!(error.phase(), Some(Phase::Send), "{error}");
    assert!(error.to_string().contains("never sent"), "{error}");
    assert!(
        error.to_string().contains("to take 255 messages"),
        "{error}"
    );
}

/// A complaint that may be about another message.
async fn an_answer_that_may_take_long_is_not_given_up_for_a_complaint(format: WireFormat) {
    let complaint = "complain [now ERROR plushie_renderer::headless] decode error: it is odd";
    let answer = r#"say {"type":"effect_response","session":"s1","id":"~1","status":"ok"}"#;
    let steps = ["hello", "take 3", complaint, "answer 1", answer, "serve"];
    let pool = scripted(steps).format(format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let effect = json!({"type": "effect", "kind": "file_open", "payload": {}});
    let mut asked = session.request(&effect, "effect_response");
    assert!((&mut asked).now_or_never().is_none());
    session.send(&json!({"type": "odd"})).await.unwrap();
    within(session.request(&find("x"), "query_response"))
        .await
        .unwrap();
    within(asked).await.unwrap();
}
