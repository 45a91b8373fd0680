//! Sessions that wait for a permit, and are not wanted any more.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use plushie_pool::SessionPool;
use plushie_pool_server::Server;
use plushie_pool_tests::wire::Format;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::{FORMATS, admitted, find, label, pool, served, shown, until, within};

/// A server whose only session is taken, and the client that has it.
async fn full() -> (Server, crate::support::SocketClient) {
    let server = served(pool().max_sessions(1)).await;
    let mut holder = admitted(&server, Format::Json).await;
    assert!(shown(&mut holder, "").await.is_null());
    (server, holder)
}

fn waiting(server: &Server) -> usize {
    server.pool().status().waiting
}

#[tokio::test]
async fn a_reset_of_one_that_waits_is_answered_at_once() {
    let (server, mut holder) = full().await;
    for format in FORMATS {
        let mut client = admitted(&server, format).await;
        client.tell("a", &label("a")).await;
        client.tell("b", &label("b")).await;
        until("both wait", || waiting(&server) == 2).await;
        within(client.reset("a")).await;
        assert_eq!(waiting(&server), 1);
        // The id is as good as new, and waits behind the other.
        client.tell("a", &label("again")).await;
        until("both wait", || waiting(&server) == 2).await;
        within(client.reset("b")).await;
        holder.reset("").await;
        assert_eq!(shown(&mut client, "a").await, "again");
        within(client.reset("a")).await;
        assert!(shown(&mut holder, "").await.is_null());
    }
    assert_eq!(server.pool().status().launches, 1);
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_the_queue_at_once() {
    let (server, mut holder) = full().await;
    for format in FORMATS {
        let mut gone = admitted(&server, format).await;
        for session in ["a", "b", "c"] {
            gone.tell(session, &label(session)).await;
        }
        until("they wait", || waiting(&server) == 3).await;
        drop(gone);
        until("they do not", || waiting(&server) == 0).await;
        let mut next = admitted(&server, format).await;
        next.tell("", &label("next")).await;
        until("it waits", || waiting(&server) == 1).await;
        within(holder.reset("")).await;
        assert_eq!(shown(&mut next, "").await, "next");
        drop(next);
        assert!(shown(&mut holder, "").await.is_null());
    }
    assert_eq!(server.stats().sessions_served, 5);
}

/// One that only says no more still gets what it asked for.
#[tokio::test]
async fn a_client_that_says_no_more_waits_on() {
    let (server, holder) = full().await;
    for format in FORMATS {
        let mut client = admitted(&server, format).await;
        client.tell("a", &label("a")).await;
        let mut query = find("label");
        query["id"] = "q".into();
        client.tell("a", &query).await;
        client.stream().shutdown().await.unwrap();
        until("it waits", || waiting(&server) > 0).await;
        if format == FORMATS[0] {
            continue;
        }
        drop(holder);
        let found = within(client.hear_of("a", "query_response")).await;
        assert_eq!(found["data"]["props"]["content"], "a");
        return;
    }
}

#[tokio::test]
async fn a_registration_that_is_dropped_ends_at_the_server_and_costs_no_connection() {
    let (server, mut holder) = full().await;
    let connected = SessionPool::connect(server.address(), None).await.unwrap();
    for _ in 0..3 {
        let mut registering = Box::pin(connected.register());
        assert!((&mut registering).now_or_never().is_none());
        until("it waits", || {
            assert!((&mut registering).now_or_never().is_none());
            waiting(&server) == 1
        })
        .await;
        drop(registering);
        until("it does not", || waiting(&server) == 0).await;
    }
    within(holder.reset("")).await;
    let session = within(connected.register()).await.unwrap();
    session.send(&label("x")).await.unwrap();
    let status = connected.status();
    assert_eq!(
        (status.renderers.len(), status.launches),
        (1, 1),
        "{status:?}"
    );
    within(session.unregister()).await.unwrap();
    connected.shutdown().await.unwrap();
}

/// 60 clients with 256 sessions each that wait, all of which hang up at once.
#[tokio::test]
async fn many_who_hang_up_do_not_hold_up_the_others() {
    const CLIENTS: usize = 60;
    const SESSIONS: usize = 256;
    let (server, mut holder) = full().await;
    let clients = join_all((0..CLIENTS).map(async |n| {
        let mut client = admitted(&server, FORMATS[n % 2]).await;
        for session in 0..SESSIONS {
            let subscribe = json!({"type": "unsubscribe", "kind": "x"});
            client.tell(&format!("s{session}"), &subscribe).await;
        }
        client
    }))
    .await;
    until("all wait", || waiting(&server) == CLIENTS * SESSIONS).await;
    drop(clients);
    // It is served meanwhile.
    while waiting(&server) > 0 {
        let asked = tokio::time::timeout(Duration::from_secs(20), shown(&mut holder, "")).await;
        assert!(asked.unwrap().is_null());
    }
}
