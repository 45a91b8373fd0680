//! Several modes behind one socket: each client has the one it asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use plushie_pool::{Builder, Error, ErrorKind, PoolSet, RendererMode, SessionPool};
use plushie_pool_server::{Listen, Server, ServerConfig};
use plushie_pool_tests::client::Client;
use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::support::{FORMATS, LONG, SocketClient, connected, label, pool, served, shown, within};

const BOTH: [RendererMode; 2] = [RendererMode::Mock, RendererMode::Headless];

/// A server of both, mock by default; `describe` is asked for the other.
async fn serving(
    describe: impl Fn(RendererMode) -> Result<Builder, Error> + Send + Sync + 'static,
) -> Server {
    let pools = within(PoolSet::start(BOTH[0], BOTH, describe));
    let pools = pools.await.unwrap();
    Server::start(pools, Listen::Private, ServerConfig::default()).unwrap()
}

async fn asking(server: &Server, format: Format, settings: Value) -> (SocketClient, Value) {
    let stream = UnixStream::connect(server.address()).await.unwrap();
    within(Client::admitted(stream, format, settings)).await
}

/// The first answer to a client with these settings.
async fn refused(server: &Server, format: Format, mode: Value) -> String {
    let mut client = connected(server, format).await;
    let settings = json!({"protocol_version": 1, "pool_mode": mode});
    let settings = json!({"type": "settings", "session": "", "settings": settings});
    client.say(&settings).await;
    let told = within(client.hear()).await.unwrap();
    assert_eq!(told["type"], "error", "{told}");
    assert_eq!(within(client.hear()).await, None);
    told["message"].as_str().unwrap().to_owned()
}

async fn draws(client: &mut SocketClient) -> bool {
    within(client.tell("", &label("x"))).await;
    assert_eq!(shown(client, "").await, "x");
    let screenshot = json!({"type": "screenshot", "name": "n", "width": 20, "height": 10});
    let answer = within(client.ask("", &screenshot)).await;
    assert_eq!(answer["type"], "screenshot_response");
    answer["width"] == 20 && answer["rgba"].is_string()
}

#[tokio::test]
async fn pixels_come_from_the_mode_that_draws_and_no_other() {
    let server = serving(|_| Ok(pool())).await;
    for (settings, mode) in [
        (json!({}), "mock"),
        (json!({"pool_mode": null}), "mock"),
        (json!({"pool_mode": "headless"}), "headless"),
        (json!({"pool_mode": "mock"}), "mock"),
    ] {
        for format in FORMATS {
            let (mut client, hello) = asking(&server, format, settings.clone()).await;
            assert_eq!(hello["mode"], mode, "{hello}");
            assert_eq!(draws(&mut client).await, mode == "headless");
            let clients = server.stats().clients;
            assert!(
                clients
                    .iter()
                    .any(|client| client.mode.as_deref() == Some(mode))
            );
        }
    }
    let report = server.report();
    let pools = report.pools.iter();
    let pools: Vec<_> = pools
        .map(|pool| (&*pool.mode, pool.sessions_served, pool.launches))
        .collect();
    assert_eq!(pools, [("mock", 6, 1), ("headless", 2, 1)]);
    assert_eq!(report.pool.mode, "mock");
    assert_eq!(report.server.sessions_served, 8);
    let text = report.to_prometheus();
    for line in [
        "plushie_pool_sessions_total{mode=\"mock\"} 6\n",
        "plushie_pool_sessions_total{mode=\"headless\"} 2\n",
        "plushie_pool_renderer_launches_total{mode=\"headless\"} 1\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    within(server.pools().shutdown()).await.unwrap();
}

#[tokio::test]
async fn all_who_ask_first_share_one_pool() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = serving({
        let asked = asked.clone();
        move |mode| {
            asked.fetch_add(
                usize::from(mode == RendererMode::Headless),
                Ordering::Relaxed,
            );
            Ok(pool())
        }
    })
    .await;
    assert_eq!(
        server.report().pools.len(),
        1,
        "no client has asked for another"
    );
    let headless = || asking(&server, FORMATS[0], json!({"pool_mode": "headless"}));
    let clients = join_all((0..16).map(|_| headless())).await;
    assert!(clients.iter().all(|(_, hello)| hello["mode"] == "headless"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(server.report().pools[1].launches, 1);
}

#[tokio::test]
async fn a_pool_that_cannot_start_is_an_error_for_those_who_asked_and_is_tried_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = serving({
        let asked = asked.clone();
        move |mode| {
            let is_first = || asked.fetch_add(1, Ordering::Relaxed) == 0;
            Ok(match mode {
                RendererMode::Headless if is_first() => {
                    SessionPool::builder().renderer("/no/such/renderer")
                }
                _ => pool(),
            })
        }
    })
    .await;
    let (mut other, _) = asking(&server, FORMATS[0], json!({})).await;
    let told = refused(&server, FORMATS[1], "headless".into()).await;
    assert!(told.contains("/no/such/renderer"), "{told}");
    assert_eq!(server.report().pools.len(), 1);
    let (mut client, hello) = asking(&server, FORMATS[1], json!({"pool_mode": "headless"})).await;
    assert_eq!(hello["mode"], "headless");
    assert!(draws(&mut client).await);
    assert!(!draws(&mut other).await);
}

#[tokio::test]
async fn a_pool_that_was_shut_down_is_started_again() {
    let server = serving(|_| Ok(pool())).await;
    for launches in 1..=2 {
        let headless = server.pools().pool("headless");
        let headless = within(headless).await.unwrap();
        assert_eq!(headless.status().launches, 1, "{launches}");
        within(headless.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_served_is_refused_with_what_is() {
    let one = served(pool().mode(RendererMode::Headless)).await;
    let both = serving(|_| Ok(pool())).await;
    for format in FORMATS {
        for mode in ["mock", "windowed", "Headless", ""] {
            let told = refused(&one, format, mode.into()).await;
            let says = format!("no pool in mode {mode:?} is served here, only in headless");
            assert!(told.contains(&says), "{told}");
        }
        let told = refused(&both, format, "windowed".into()).await;
        assert!(told.contains("only in mock, headless"), "{told}");
        for senseless in [
            json!(1),
            json!(["mock"]),
            json!({}),
            json!("x".repeat(1000)),
        ] {
            let told = refused(&both, format, senseless).await;
            assert!(told.contains("`pool_mode`"), "{told}");
        }
        let (_, hello) = asking(&one, format, json!({"pool_mode": "headless"})).await;
        assert_eq!(hello["mode"], "headless");
    }
    let modes = [RendererMode::Headless];
    let error = PoolSet::start(RendererMode::Mock, modes, |_| Ok(pool())).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_mode_is_asked_for_by_the_address_too() {
    let server = serving(|_| Ok(pool())).await;
    let address = std::path::Path::new(server.address());
    for (name, settings, mode) in [
        ("headless.sock", json!({}), "headless"),
        ("mock.sock", json!({}), "mock"),
        ("mock.sock", json!({"pool_mode": "headless"}), "headless"),
    ] {
        for format in FORMATS {
            let stream = UnixStream::connect(address.with_file_name(name));
            let stream = stream.await.unwrap();
            let (mut client, hello) =
                within(Client::admitted(stream, format, settings.clone())).await;
            assert_eq!(hello["mode"], mode, "{name}");
            assert_eq!(draws(&mut client).await, mode == "headless");
        }
    }
    assert!(!address.with_file_name("windowed.sock").exists());
    within(server.shutdown()).await;
    assert!(!address.parent().unwrap().exists());

    let one = served(pool().mode(RendererMode::Headless)).await;
    let directory = std::path::Path::new(one.address()).parent().unwrap();
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1);
}

#[tokio::test]
async fn the_end_of_the_set_ends_a_pool_that_starts() {
    let base = tempfile::tempdir().unwrap();
    let (renderer, started) = (base.path().join("silent"), base.path().join("started"));
    let script = format!(
        "#!/bin/sh\necho $$ > '{0}.new'; mv '{0}.new' '{0}'\nexec sleep 1000\n",
        started.display()
    );
    std::fs::write(&renderer, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&renderer, mode).unwrap();
    let server = serving(move |mode| {
        Ok(match mode {
            RendererMode::Headless => SessionPool::builder()
                .renderer(&renderer)
                .launch_timeout(10 * LONG),
            _ => pool(),
        })
    })
    .await;
    let pools = server.pools().clone();
    let waiting = tokio::spawn(async move { pools.pool("headless").await });
    let pid = loop {
        match std::fs::read_to_string(&started) {
            Ok(pid) => break pid,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    // A client of it waits, and those of the other do not.
    let (_, hello) = asking(&server, FORMATS[0], json!({})).await;
    assert_eq!(hello["mode"], "mock");
    within(server.pools().shutdown()).await.unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
    let told = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(told.kind(), ErrorKind::PoolClosed);
    let told = within(server.pools().pool("headless")).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::PoolClosed);
}
