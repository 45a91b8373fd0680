//! What a renderer says that cannot be read: data, never a panic, and never somebody else's
//! trouble.

use futures::FutureExt;
use plushie_pool::{ErrorKind, Exit, SessionEvent, WireFormat};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{SHORT, in_both_formats, pids, scripted, until, within};

in_both_formats! {
    what_cannot_be_read_is_counted_and_dropped
    a_request_whose_answer_cannot_be_read_runs_out_of_time
    an_answer_of_another_shape_is_the_callers_error
    an_answer_with_text_that_is_none_does_no_harm
    a_message_over_the_cap_ends_the_renderer_and_says_so
    a_message_that_ends_too_early_ends_the_renderer_and_says_so
    a_renderer_of_which_only_garbage_comes_is_ended_too
}

async fn what_cannot_be_read_is_counted_and_dropped(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let query = query();
    let mut asked = session.request(&query, "query_response");
    assert!((&mut asked).now_or_never().is_none());
    let message = peer.expect("query").await;

    let garbage: &[&[u8]] = &[
        b"not a message",
        b"\xff\xfe\xc1",
        b"\"text\"",
        b"{\"type\":",
        b"7",
    ];
    for payload in garbage {
        peer.frame(payload).await;
    }
    let session_id = session.id().to_string();
    let deep = (0..200).fold(json!([]), |inner, _| json!([inner]));
    let twice: &[u8] = match format {
        WireFormat::Json => br#"{"type":"query_response","session":"s1","id":"~1","id":"~1"}"#,
        _ => b"\x84\xa4type\xaequery_response\xa7session\xa2s1\xa2id\xa2~1\xa2id\xa2~1",
    };
    peer.frame(twice).await;
    let odd = [
        json!([1, 2]),
        json!({"session": session_id}),
        json!({"session": session_id, "type": 7}),
        json!({"session": 7, "type": "event"}),
        json!({"session": session_id, "type": "event", "value": deep}),
    ];
    for message in &odd {
        peer.say(message).await;
    }
    peer.answer(&message, json!("read")).await;
    let reply: Value = within(asked).await.unwrap().decode().unwrap();
    assert_eq!(reply["data"], "read");
    let status = pool.status();
    assert_eq!(status.counters.malformed, 11);
    assert_eq!((status.deaths, status.pending_requests), (0, 0));
    assert!(session.next_event().now_or_never().is_none());
    peer.serve();
}

async fn a_request_whose_answer_cannot_be_read_runs_out_of_time(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let asked = session.request(&query(), "query_response").timeout(SHORT);
    let (outcome, ()) = futures::join!(within(asked), async {
        peer.expect("query").await;
        peer.frame(b"the answer, more or less").await;
    });
    assert_eq!(
        outcome.unwrap_err().phase(),
        Some(plushie_pool::Phase::Reply)
    );
    until("it was counted", || pool.status().counters.malformed == 1).await;
    assert_eq!(pool.status().pending_requests, 0);
    peer.serve();
}

async fn an_answer_of_another_shape_is_the_callers_error(format: WireFormat) {
    #[derive(Debug, Deserialize)]
    struct Shape {
        #[serde(rename = "data")]
        _data: u32,
    }
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    peers.next().await.serve();
    let session = pool.register().await.unwrap();
    let reply = within(session.request(&query(), "query_response"))
        .await
        .unwrap();
    let error = reply.decode::<Shape>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.session(), Some(session.id()));
    let value: Value = reply.decode().unwrap();
    assert_eq!(value["data"], Value::Null, "it can still be read as it is");
}

/// Bytes of a string that are not UTF-8 spoil the message at most, never the renderer.
async fn an_answer_with_text_that_is_none_does_no_harm(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let asked = session.request(&query(), "query_response").timeout(SHORT);
    let (outcome, ()) = futures::join!(within(asked), async {
        peer.expect("query").await;
        let spoilt: &[u8] = match format {
            WireFormat::Json => {
                b"{\"type\":\"query_response\",\"session\":\"s1\",\"id\":\"~1\",\"data\":\"\xff\"}"
            }
            _ => b"\x84\xa4type\xaequery_response\xa7session\xa2s1\xa2id\xa2~1\xa4data\xa1\xff",
        };
        peer.frame(spoilt).await;
    });
    match outcome {
        Ok(reply) => {
            let error = reply.decode::<Value>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        }
        Err(error) => {
            assert_eq!(error.phase(), Some(plushie_pool::Phase::Reply), "{error}");
            until("it was counted", || pool.status().counters.malformed == 1).await;
        }
    }
    peer.serve();
    within(session.request(&query(), "query_response"))
        .await
        .unwrap();
    assert_eq!(pool.status().deaths, 0);
}

async fn a_message_over_the_cap_ends_the_renderer_and_says_so(format: WireFormat) {
    let pool = scripted(["hello", "take 2", "over-cap", "serve"]).format(format);
    let pool = pool.start().await.unwrap();
    let spoilt = pids(&pool)[0];
    let session = pool.register().await.unwrap();
    let error = within(session.request(&query(), "query_response")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Framing, "{error}");
    assert!(error.to_string().contains("67108864"), "{error}");
    let event = within(session.next_event()).await;
    assert!(
        matches!(event, Some(SessionEvent::RendererExited(_))),
        "{event:?}"
    );

    let next = within(pool.register()).await.unwrap();
    assert_ne!(next.renderer_pid(), Some(spoilt));
    until("it was ended", || !crate::support::exists(spoilt)).await;
    assert_eq!(pool.status().deaths, 1);
}

async fn a_message_that_ends_too_early_ends_the_renderer_and_says_so(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let (outcome, ()) = futures::join!(session.request(&query(), "query_response"), async {
        let message = peer.expect("query").await;
        let mut reply = message.clone();
        reply["type"] = json!("query_response");
        peer.tear(&reply).await;
        drop(peer);
    });
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererExited);
    assert_eq!(error.exit(), Some(Exit::Disconnected));
    assert!(
        error.to_string().contains("ended inside a message"),
        "{error}"
    );
    assert_eq!(pool.status().pending_requests, 0);
}

/// Text where lengths should be, and the other way round.
async fn a_renderer_of_which_only_garbage_comes_is_ended_too(format: WireFormat) {
    let babble = "print thread 'main' panicked at src/main.rs:1:\\n";
    let pool = scripted(["hello", "take 2", babble, "serve"]).format(format);
    let pool = pool.start().await.unwrap();
    let session = pool.register().await.unwrap();
    let query = query();
    let asked = session.request(&query, "query_response");
    match format {
        // Where a line ends is still known.
        WireFormat::Json => {
            let error = within(asked.timeout(SHORT)).await.unwrap_err();
            assert_eq!(error.phase(), Some(plushie_pool::Phase::Reply));
            assert_eq!(pool.status().counters.malformed, 1);
            within(session.request(&query, "query_response"))
                .await
                .unwrap();
        }
        _ => {
            let error = within(asked).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Framing, "{error}");
            for words in ["thread 'main' panicked", "nothing else prints"] {
                assert!(error.to_string().contains(words), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_message_of_no_length_ends_the_renderer_and_says_so() {
    let (builder, mut peers) = played(WireFormat::Msgpack);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    peer.frame(b"").await;
    let event = within(session.next_event()).await;
    let Some(SessionEvent::RendererExited(error)) = event else {
        panic!("{event:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Framing);
    assert!(error.to_string().contains("zero length"), "{error}");
}
