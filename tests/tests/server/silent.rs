//! Clients that say nothing: before they have said who they are, and after.

use std::time::{Duration, Instant};

use futures::future::join_all;
use plushie_pool::SessionPool;
use plushie_pool_server::{Listen, Server, ServerConfig};
use plushie_pool_tests::wire::Format;
use tokio::io::AsyncWriteExt;

use crate::support::{
    FORMATS, admitted, connected, find, label, pool, served_with, shown, until, within,
};

fn few(handshakes: usize, clients: usize) -> ServerConfig {
    let mut config = ServerConfig::default();
    config.max_handshakes = handshakes;
    config.max_clients = clients;
    config
}

#[tokio::test]
async fn those_who_say_nothing_take_no_place_from_those_who_do() {
    let server = served_with(pool(), few(4, 2)).await;
    let mut silent = Vec::new();
    for n in 0..12 {
        let mut client = connected(&server, FORMATS[n % 2]).await;
        if n % 3 == 0 {
            client.stream().write_all(b"{\"type\":").await.unwrap();
        }
        silent.push(client);
    }
    let mut one = admitted(&server, Format::Json).await;
    let mut other = admitted(&server, Format::Msgpack).await;
    for client in [&mut one, &mut other] {
        assert!(shown(client, "").await.is_null());
    }
    // The oldest had to go, long before their time to say something was over.
    match within(silent[0].hear()).await {
        Some(told) => assert!(told["message"].as_str().unwrap().contains("no settings")),
        None => panic!("it had said what it speaks"),
    }
    assert_eq!(within(silent[1].hear()).await, None);
    assert!(server.stats().clients.len() <= 2 + 4);
    assert!(server.stats().clients_rejected >= 8);
}

#[tokio::test]
async fn those_who_come_all_at_once_are_all_served() {
    const CLIENTS: usize = 100;
    let server = served_with(pool().max_sessions(CLIENTS), few(2, CLIENTS)).await;
    let one = async |n: usize| {
        let mut client = admitted(&server, FORMATS[n % 2]).await;
        client.tell("", &label("x")).await;
        assert_eq!(shown(&mut client, "").await, "x");
        client
    };
    let clients = join_all((0..CLIENTS).map(one)).await;
    assert_eq!(server.stats().clients.len(), CLIENTS);
    assert_eq!(server.stats().clients_rejected, 0);
    drop(clients);
}

#[tokio::test]
async fn one_client_too_many_is_served_when_another_goes() {
    let server = served_with(pool(), few(4, 1)).await;
    for format in FORMATS {
        let first = admitted(&server, format).await;
        let mut second = Box::pin(admitted(&server, format));
        let waits = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
        assert!(waits.is_err(), "both are served");
        drop(first);
        let mut second = second.await;
        assert!(shown(&mut second, "").await.is_null());
    }
}

#[tokio::test]
async fn a_client_that_is_idle_for_too_long_is_cut_off() {
    let mut config = ServerConfig::default();
    config.idle_timeout = Some(Duration::from_millis(400));
    // What the server says by itself is no message of the client's.
    config.keep_alive = Duration::from_millis(20);
    let server = served_with(pool(), config).await;
    for format in FORMATS {
        let mut busy = admitted(&server, format).await;
        let mut idle = admitted(&server, format).await;
        let cut = async {
            loop {
                let told = within(idle.hear()).await.expect("it is told why");
                if told["type"] == "error" {
                    let message = told["message"].as_str().unwrap();
                    assert!(message.contains("idle timeout"), "{message}");
                    assert_eq!(within(idle.hear()).await, None);
                    break;
                }
            }
        };
        let goes_on = async {
            loop {
                assert!(shown(&mut busy, "").await.is_null());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = cut => {}
            () = goes_on => {}
        }
        assert!(shown(&mut busy, "").await.is_null());
        drop(busy);
        until("its sessions are back", || {
            server.pool().status().sessions == 0
        })
        .await;
    }
}

/// The system asks silent clients of another machine whether they are there, and servers, too.
#[tokio::test]
async fn both_ends_of_a_tcp_connection_notice_when_the_other_is_gone() {
    let pool = within(pool().start()).await.unwrap();
    let anywhere = Listen::Tcp("127.0.0.1:0".parse().unwrap());
    let server = Server::start(pool, anywhere, ServerConfig::default()).unwrap();
    let connected = within(SessionPool::connect(server.address(), None))
        .await
        .unwrap();
    let session = within(connected.register()).await.unwrap();
    let (_, port) = server.address().rsplit_once(':').unwrap();
    let port = format!(":{:04X}", port.parse::<u16>().unwrap());
    // Local address, remote address, state, queues, what timer runs: 2 is that of keepalive.
    let start = Instant::now();
    loop {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let rows: Vec<Vec<_>> = table
            .lines()
            .map(|row| row.split_whitespace().collect())
            .filter(|row: &Vec<_>| row[3] == "01")
            .filter(|row| row[1].ends_with(&port) || row[2].ends_with(&port))
            .collect();
        assert_eq!(rows.len(), 2, "{table}");
        // While data is on its way another timer runs.
        if rows.iter().all(|row| row[5].starts_with("02:")) {
            break;
        }
        assert!(start.elapsed() < crate::support::LONG, "{rows:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(session);
}

#[tokio::test]
async fn a_wait_counts_whatever_comes_of_it() {
    let server = served_with(pool().max_sessions(1), ServerConfig::default()).await;
    let mut first = admitted(&server, Format::Json).await;
    assert!(shown(&mut first, "").await.is_null());
    assert_eq!(server.stats().waits, 0);
    let mut gives_up = admitted(&server, Format::Json).await;
    gives_up.tell("a", &find("label")).await;
    until("it waits", || server.stats().waits == 1).await;
    drop(gives_up);
    until("it is gone", || server.stats().clients.len() == 1).await;
    assert_eq!(server.stats().waits, 1);
    let mut patient = admitted(&server, Format::Json).await;
    patient.tell("b", &find("label")).await;
    until("it waits", || server.stats().waits == 2).await;
    drop(first);
    assert!(shown(&mut patient, "b").await.is_null());
    assert_eq!(server.stats().waits, 2);
}
