//! Many clients, and how they go.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::future::join_all;
use plushie_pool_server::ServerConfig;
use plushie_pool_tests::wire::Format;
use serde_json::json;

use crate::support::{
    FORMATS, admitted, find, label, pool, served, served_with, shown, until, within,
};

#[tokio::test]
async fn sixty_four_clients_at_once() {
    const CLIENTS: usize = 64;
    let server = served(pool().max_sessions(CLIENTS)).await;
    let one = async |n: usize| {
        let mut client = admitted(&server, FORMATS[n % 2]).await;
        for time in 0..20 {
            let text = format!("{n} {time}");
            client.tell("", &label(&text)).await;
            assert_eq!(shown(&mut client, "").await, text);
        }
        client
    };
    let clients = join_all((0..CLIENTS).map(one)).await;
    assert_eq!(server.stats().clients.len(), CLIENTS);
    assert_eq!(server.stats().sessions, CLIENTS);
    assert_eq!(server.pool().status().renderers.len(), 1);
    drop(clients);
    until("all is back", || server.pool().status().sessions == 0).await;
    assert_eq!(server.stats().round_trips, 64 * 20);
}

#[tokio::test]
async fn what_a_killed_client_had_is_back_at_once_and_nobody_else_notices() {
    const SESSIONS: usize = 6;
    let server = served(pool().max_sessions(SESSIONS + 1)).await;
    let mut other = admitted(&server, Format::Json).await;
    other.tell("", &label("other")).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let mut killed = Command::new(env!("CARGO_BIN_EXE_plushie-pool-test-client"))
            .args([server.address(), &SESSIONS.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = BufReader::new(killed.stdout.take().unwrap());
        tokio::task::spawn_blocking(move || {
            let mut stdout = stdout;
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
        })
        .await
        .unwrap();
        assert_eq!(server.pool().status().sessions, SESSIONS + 1);
        let start = Instant::now();
        killed.kill().unwrap();
        until("its sessions are back", || {
            server.pool().status().sessions == 1
        })
        .await;
        slowest = slowest.max(start.elapsed());
        killed.wait().unwrap();
        assert_eq!(shown(&mut other, "").await, "other");
    }
    println!("sessions of a killed client are back after {slowest:?} at most");
    assert_eq!(server.stats().clients.len(), 1);
    assert_eq!(server.pool().status().deaths, 0);
}

#[tokio::test]
async fn who_is_silent_hears_something_now_and_then() {
    let mut config = ServerConfig::default();
    config.keep_alive = Duration::from_millis(20);
    let server = served_with(pool(), config).await;
    for format in FORMATS {
        let mut client = admitted(&server, format).await;
        for _ in 0..3 {
            let sign = within(client.hear()).await.unwrap();
            match format {
                Format::Json => assert_eq!(
                    (&sign["type"], &sign["id"], &sign["events"]),
                    (&json!("interact_response"), &json!(""), &json!([]))
                ),
                Format::Msgpack => assert_eq!(sign["type"], "hello", "{sign}"),
            }
        }
        assert!(shown(&mut client, "").await.is_null());
    }
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_answered() {
    use tokio::io::AsyncWriteExt;

    let server = served(pool()).await;
    for format in FORMATS {
        let mut client = admitted(&server, format).await;
        for session in ["a", "b"] {
            client.tell(session, &label(session)).await;
            let mut query = find("label");
            query["id"] = "q".into();
            client.tell(session, &query).await;
        }
        client.stream().shutdown().await.unwrap();
        for session in ["a", "b"] {
            let found = within(client.hear_of(session, "query_response")).await;
            assert_eq!(found["data"]["props"]["content"], session);
        }
        assert_eq!(within(client.hear()).await, None);
        assert_eq!(server.pool().status().sessions, 0);
    }
}

#[tokio::test]
async fn what_waits_for_a_session_at_the_end_is_answered_and_the_dead_wait_no_longer() {
    use tokio::io::AsyncWriteExt;

    let server = served(pool().max_sessions(1)).await;
    for format in FORMATS {
        let mut first = admitted(&server, format).await;
        assert!(shown(&mut first, "").await.is_null());
        let mut half = admitted(&server, format).await;
        half.tell("a", &label("a")).await;
        let mut query = find("label");
        query["id"] = "q".into();
        half.tell("a", &query).await;
        half.stream().shutdown().await.unwrap();
        let mut dead = admitted(&server, format).await;
        dead.tell("d", &label("d")).await;
        until("both wait", || server.pool().status().waiting == 2).await;
        drop(dead);
        until("the dead is gone", || server.pool().status().waiting == 1).await;
        drop(first);
        let found = within(half.hear_of("a", "query_response")).await;
        assert_eq!(found["data"]["props"]["content"], "a");
        while within(half.hear()).await.is_some() {}
        until("all is back", || server.pool().status().sessions == 0).await;
    }
}

#[tokio::test]
async fn a_session_that_waits_keeps_no_other_of_its_client_waiting() {
    let server = served(pool().max_sessions(1)).await;
    for format in FORMATS {
        let mut client = admitted(&server, format).await;
        assert!(shown(&mut client, "a").await.is_null());
        let mut query = find("label");
        for n in 0..300 {
            query["id"] = n.to_string().into();
            client.tell("b", &query).await;
        }
        within(client.reset("a")).await;
        for _ in 0..300 {
            within(client.hear_of("b", "query_response")).await;
        }
        // There is an end to what waits; it is that of the session alone.
        query["id"] = "c".into();
        for _ in 0..=1024 {
            client.tell("c", &query).await;
        }
        let error = within(client.hear_of("c", "session_error")).await;
        let code = &error["data"]["code"];
        assert_eq!(code, "session_backpressure_overflow", "{error}");
        within(client.hear_of("c", "session_closed")).await;
        assert_eq!(server.pool().status().waiting, 0);
        assert!(shown(&mut client, "b").await.is_null());
        within(client.reset("b")).await;
        assert!(shown(&mut client, "c").await.is_null());
        within(client.reset("c")).await;
    }
}

#[tokio::test]
async fn a_server_that_ends_lets_all_go() {
    let server = served(pool()).await;
    let mut client = admitted(&server, Format::Json).await;
    client.tell("", &label("x")).await;
    assert_eq!(shown(&mut client, "").await, "x");
    within(server.shutdown()).await;
    assert_eq!(within(client.hear()).await, None);
    until("all is back", || server.pool().status().sessions == 0).await;
}
