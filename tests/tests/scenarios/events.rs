//! What a session's owner is told without having asked.

use futures::{FutureExt, StreamExt};
use plushie_pool::{ErrorKind, RendererMode, SessionEvent, WireFormat};
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{counter, everywhere, in_both_formats, pool, shown, snapshot, until, within};

everywhere! {
    only_the_session_it_concerns_hears_of_an_error
    events_end_with_the_session
}

in_both_formats! {
    events_come_in_order_by_either_way_of_reading_them
    what_nobody_reads_is_lost_at_a_bound_and_said_to_be
    an_owner_who_reads_nothing_holds_up_nobody
    a_status_that_repeats_itself_is_told_once
}

async fn only_the_session_it_concerns_hears_of_an_error(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let (faulty, other) = futures::join!(pool.register(), pool.register());
    let (faulty, other) = (faulty.unwrap(), other.unwrap());
    other.send(&snapshot(&counter(0))).await.unwrap();
    let mut twice = counter(0);
    let button = twice["children"][0]["children"][0].clone();
    twice["children"][0]["children"][1] = button;
    faulty.send(&snapshot(&twice)).await.unwrap();
    let event = within(faulty.next_event()).await.unwrap();
    let SessionEvent::Event(message) = event else {
        panic!("{event:?}");
    };
    assert_eq!(
        (message.id(), message.family()),
        (Some("duplicate_node_ids"), Some("error"))
    );
    let error: Value = message.decode().unwrap();
    assert_eq!(error["session"], faulty.id().to_string());

    // What was on its way to the other has arrived with this.
    shown(&other).await;
    assert!(other.next_event().now_or_never().is_none());
}

async fn events_end_with_the_session(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    shown(&session).await;
    let (event, closed) = futures::join!(within(session.next_event()), session.unregister());
    closed.unwrap();
    assert!(event.is_none(), "{event:?}");
    assert!(session.next_event().await.is_none(), "and so it stays");
    assert_eq!(session.events().count().await, 0);
}

async fn events_come_in_order_by_either_way_of_reading_them(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    for n in 0..6 {
        peer.say(&numbered(&session.id().to_string(), n)).await;
    }
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(number(within(session.next_event()).await));
    }
    let rest: Vec<_> = within(session.events().take(3).collect()).await;
    numbers.extend(rest.into_iter().map(|event| number(Some(event))));
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);

    let mut other = numbered(&session.id().to_string(), 0);
    for kind in ["diagnostic", "effect_response"] {
        other["type"] = json!(kind);
        peer.say(&other).await;
    }
    let event = within(session.next_event()).await;
    assert!(
        matches!(event, Some(SessionEvent::Diagnostic(_))),
        "{event:?}"
    );
    // Its id is the caller's, so the pool knows no request it could be for.
    let event = within(session.next_event()).await;
    assert!(matches!(event, Some(SessionEvent::Message(_))), "{event:?}");
    peer.serve();
}

async fn what_nobody_reads_is_lost_at_a_bound_and_said_to_be(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.event_capacity(10).start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    for n in 0..100 {
        peer.say(&numbered(&session.id().to_string(), n)).await;
    }
    until("all arrived", || pool.status().counters.received == 100).await;
    assert_eq!(pool.status().counters.lagged, 90);
    let first = session.next_event().await;
    assert!(matches!(first, Some(SessionEvent::Lagged(90))), "{first:?}");
    for n in 90..100 {
        assert_eq!(number(session.next_event().await), n);
    }
    peer.serve();
}

async fn an_owner_who_reads_nothing_holds_up_nobody(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let deaf = pool.register().await.unwrap();
    let other = pool.register().await.unwrap();
    // Over all that the connection and the session hold.
    let mut event = numbered(&deaf.id().to_string(), 0);
    event["padding"] = json!("x".repeat(64 * 1024));
    for _ in 0..512 {
        peer.say(&event).await;
    }
    peer.serve();
    within(other.request(&query(), "query_response"))
        .await
        .unwrap();
    within(deaf.request(&query(), "query_response"))
        .await
        .unwrap();
    let first = deaf.next_event().await;
    assert!(matches!(first, Some(SessionEvent::Lagged(_))), "{first:?}");
}

async fn a_status_that_repeats_itself_is_told_once(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    for value in ["active", "active", "hovered", "active", "active"] {
        let status = json!({
            "type": "event", "session": session.id().to_string(), "family": "status",
            "id": "increment", "value": value,
        });
        peer.say(&status).await;
    }
    let mut values = Vec::new();
    for _ in 0..3 {
        let event = within(session.next_event()).await;
        let Some(SessionEvent::Event(message)) = event else {
            panic!("{event:?}");
        };
        assert_eq!(message.family(), Some("status"));
        let body: Value = message.decode().unwrap();
        values.push(body["value"].clone());
    }
    assert_eq!(values, ["active", "hovered", "active"]);
    until("both were left out", || {
        pool.status().counters.coalesced == 2
    })
    .await;

    // When the renderer has gone there is one more, and then nothing.
    drop(peer);
    let event = within(session.next_event()).await;
    let Some(SessionEvent::RendererExited(error)) = event else {
        panic!("{event:?}");
    };
    assert_eq!(error.kind(), ErrorKind::RendererExited);
    assert!(within(session.next_event()).await.is_none());
}

fn numbered(session: &str, n: u64) -> Value {
    json!({"type": "event", "session": session, "family": "input", "id": "a", "value": n})
}

fn number(event: Option<SessionEvent>) -> u64 {
    let Some(SessionEvent::Event(message)) = event else {
        panic!("{event:?}");
    };
    let body: Value = message.decode().unwrap();
    body["value"].as_u64().unwrap()
}
