//! Replies that are longer than the pool keeps: their request fails, and nothing else does.

use futures::FutureExt;
use plushie_pool::{ErrorKind, RendererMode, SessionEvent, WireFormat};
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{counter, in_both_formats, pids, pool, shown, snapshot, until, within};

in_both_formats! {
    a_screenshot_over_the_limit_fails_alone
    an_oversized_reply_is_found_wherever_its_envelope_is
    an_oversized_reply_without_an_id_ends_the_only_request_it_can_answer
    an_oversized_event_is_told_as_lost
    an_oversized_step_ends_its_interact_and_the_renderer_goes_on
}

/// A text that takes a message over the limit.
fn long() -> String {
    "x".repeat(65 * 1024 * 1024)
}

async fn a_screenshot_over_the_limit_fails_alone(format: WireFormat) {
    let pool = pool(RendererMode::Headless, format).start().await.unwrap();
    let renderer = pids(&pool);
    let (one, two) = futures::join!(pool.register(), pool.register());
    let (one, two) = (one.unwrap(), two.unwrap());
    for session in [&one, &two] {
        session.send(&snapshot(&counter(7))).await.unwrap();
    }
    let side = if format == WireFormat::Json {
        3550
    } else {
        4100
    };
    let shot =
        |side: u32| json!({"type": "screenshot", "name": "x", "width": side, "height": side});

    let (big, shot_of) = (shot(side), "screenshot_response");
    let asked = one.request(&big, shot_of);
    let (outcome, count) = futures::join!(within(asked), shown(&two));
    assert_eq!(count, "7", "the other session goes on");
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReplyTooLarge, "{error}");
    assert_eq!(error.session(), Some(one.id()));
    assert!(error.request().is_some());
    let smallest = if format == WireFormat::Json {
        67_213_000
    } else {
        4 * 4100 * 4100
    };
    let text = error.to_string();
    let said = text
        .split(' ')
        .find_map(|word| word.parse().ok().filter(|n| *n > 67_108_864));
    let len: u64 = said.unwrap_or_else(|| panic!("no length in {text}"));
    assert!((smallest..smallest + 10_000).contains(&len), "{text}");
    assert!(text.contains("smaller picture"), "{text}");

    // Also on the way of a request that nothing waits for any more.
    drop(one.request(&big, shot_of).now_or_never());
    let small = shot(64);
    let reply: Value = within(one.request(&small, shot_of))
        .await
        .unwrap()
        .decode()
        .unwrap();
    assert_eq!(reply["width"], 64);
    assert_eq!(shown(&one).await, "7");
    let status = pool.status();
    assert_eq!((status.counters.oversized, status.counters.late), (2, 1));
    assert_eq!((status.deaths, status.pending_requests), (0, 0));
    assert_eq!(pids(&pool), renderer);
}

async fn an_oversized_reply_is_found_wherever_its_envelope_is(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let (one, two) = futures::join!(pool.register(), pool.register());
    let (one, two) = (one.unwrap(), two.unwrap());
    let query = query();
    // Keys are written in the order of the alphabet: `data` first, `aaa` before it.
    for key in ["data", "zzz"] {
        let mut waits = two.request(&query, "query_response");
        assert!((&mut waits).now_or_never().is_none());
        let last = peer.expect("query").await;
        let (outcome, ()) = futures::join!(within(one.request(&query, "query_response")), async {
            let message = peer.expect("query").await;
            let mut reply = crate::peer::answers(&message, &Value::Null).remove(0);
            reply[key] = long().into();
            peer.say(&reply).await;
        });
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReplyTooLarge, "{error}");
        assert_eq!(error.session(), Some(one.id()));
        assert!(error.to_string().contains("less of the tree"), "{error}");
        peer.answer(&last, json!("mine")).await;
        let reply: Value = within(waits).await.unwrap().decode().unwrap();
        assert_eq!(reply["data"], "mine");
    }
    assert_eq!(pool.status().counters.oversized, 2);
    assert_eq!(pool.status().deaths, 0);
    peer.serve();
}

async fn an_oversized_reply_without_an_id_ends_the_only_request_it_can_answer(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let (one, two) = futures::join!(pool.register(), pool.register());
    let (one, two) = (one.unwrap(), two.unwrap());
    let (query, shot) = (query(), json!({"type": "screenshot", "name": "x"}));
    let mut waits = two.request(&query, "query_response");
    assert!((&mut waits).now_or_never().is_none());
    let last = peer.expect("query").await;

    let nameless = json!({"type": "screenshot_response", "rgba": long()});
    let (outcome, ()) = futures::join!(within(one.request(&shot, "screenshot_response")), async {
        peer.expect("screenshot").await;
        peer.say(&nameless).await;
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ReplyTooLarge);

    // With two it may be for, none is guessed.
    let mut first = one.request(&shot, "screenshot_response");
    assert!((&mut first).now_or_never().is_none());
    let mut second = two.request(&shot, "screenshot_response");
    assert!((&mut second).now_or_never().is_none());
    peer.expect("screenshot").await;
    peer.expect("screenshot").await;
    peer.say(&nameless).await;
    until("it was passed over", || {
        pool.status().counters.oversized == 2
    })
    .await;
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    peer.answer(&last, json!("mine")).await;
    let reply: Value = within(waits).await.unwrap().decode().unwrap();
    assert_eq!(reply["data"], "mine");
    peer.serve();
}

async fn an_oversized_event_is_told_as_lost(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let name = session.id().to_string();
    let event = |value: String| json!({"type": "event", "family": "paste", "id": "field", "session": name, "value": value});
    peer.say(&event(long())).await;
    peer.say(&event("short".to_owned())).await;
    let told = within(session.next_event()).await;
    assert!(matches!(told, Some(SessionEvent::Lagged(1))), "{told:?}");
    let told = within(session.next_event()).await;
    assert!(matches!(told, Some(SessionEvent::Event(_))), "{told:?}");
    assert_eq!(pool.status().counters.lagged, 1);
    peer.serve();
}

async fn an_oversized_step_ends_its_interact_and_the_renderer_goes_on(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let typing = json!({"type": "interact", "action": "type_text", "selector": {}, "payload": {}});
    session.send_interact(&typing).await.unwrap();
    let mut step = peer.expect("interact").await;
    step["type"] = "interact_step".into();
    step["events"] = json!([long()]);
    peer.say(&step).await;
    // The renderer waits for a tree, and gets the one before.
    peer.expect("patch").await;
    let told = within(session.next_event()).await;
    let Some(SessionEvent::InteractFailed { error, .. }) = told else {
        panic!("{told:?}");
    };
    assert_eq!(error.kind(), ErrorKind::ReplyTooLarge, "{error}");
    step["type"] = "interact_response".into();
    step["events"] = json!([]);
    peer.say(&step).await;
    peer.serve();
    within(session.request(&query(), "query_response"))
        .await
        .unwrap();
}

/// A length that is none: what follows is no message.
#[tokio::test]
async fn a_length_that_lies_ends_the_renderer_and_says_so() {
    for output in [
        &b"\x7f\xff\xff\xff\xc1"[..],
        b"\x04\0\0\x01\x93\x01",
        b"\xff\xff\xff\xff\xff",
    ] {
        let (builder, mut peers) = played(WireFormat::Msgpack);
        let pool = builder.start().await.unwrap();
        let mut peer = peers.next().await;
        let session = pool.register().await.unwrap();
        let (outcome, ()) =
            futures::join!(within(session.request(&query(), "query_response")), async {
                peer.expect("query").await;
                peer.print(output).await;
            });
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Framing, "{output:?}: {error}");
        assert_eq!(pool.status().pending_requests, 0);
    }
}
