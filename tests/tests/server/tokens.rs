//! Who may connect, and what becomes of the token.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use plushie_pool::{ErrorKind, SessionPool, WireFormat};
use plushie_pool_server::{Listen, Server, ServerConfig, Token};
use serde_json::{Value, json};

use crate::support::{FORMATS, admitted_with, connected, label, pool, served_with, shown, within};
use crate::tap::Tapped;

const TOKEN: &str = "correct-horse-battery-staple";
const SHA256: &str = "d7ab7b9ab3f2d5bd26a23ac6ba86bd4e6fc4aa2c4dd4ba3ecd2f1c4f3ba3ed1f";

fn guarded() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.token = Some(Token::new(TOKEN));
    config
}

#[tokio::test]
async fn who_cannot_show_the_token_is_told_in_the_renderers_words_and_gets_nothing() {
    let server = served_with(pool(), guarded()).await;
    let before = server.pool().status().counters;
    let refusals = [
        (json!({}), "missing token credential: connection rejected"),
        (
            json!({"token": 1}),
            "missing token credential: connection rejected",
        ),
        (
            json!({"token": "wrong"}),
            "token mismatch: connection rejected",
        ),
        (
            json!({"token": format!("{} {}", &TOKEN[..1], &TOKEN[1..])}),
            "token mismatch: connection rejected",
        ),
        (
            json!({"token": &TOKEN[1..]}),
            "token mismatch: connection rejected",
        ),
        (
            json!({"token": format!("{TOKEN}x")}),
            "token mismatch: connection rejected",
        ),
        (json!({"token": ""}), "token mismatch: connection rejected"),
        (
            json!({"token_sha256": TOKEN}),
            "token mismatch: connection rejected",
        ),
        (
            json!({"token_sha256": SHA256}),
            "token mismatch: connection rejected",
        ),
    ];
    for (shown, refusal) in refusals {
        for format in FORMATS {
            let mut client = connected(&server, format).await;
            let mut settings = shown.clone();
            settings["protocol_version"] = 1.into();
            client
                .say(&json!({"type": "settings", "settings": settings}))
                .await;
            // What it goes on to say is not even read.
            client.tell("", &label("x")).await;
            let error = within(client.hear()).await.unwrap();
            assert_eq!(error["type"], "error", "{error}");
            assert_eq!(error["message"], refusal, "{shown}");
            assert_eq!(within(client.hear()).await, None);
        }
    }
    assert_eq!(server.pool().status().counters, before);
    assert_eq!(server.stats().sessions_served, 0);
    assert_eq!(server.stats().clients_rejected, 18);
}

/// What the renderer says to those who listen to it directly.
#[tokio::test]
async fn the_renderer_itself_says_the_same() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::process::Command;

    for (shown, refusal) in [
        (
            json!({"protocol_version": 1}),
            "missing token credential: connection rejected",
        ),
        (
            json!({"protocol_version": 1, "token": "wrong"}),
            "token mismatch: connection rejected",
        ),
    ] {
        // The renderer removes it with its socket.
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let mut renderer = Command::new(env!("CARGO_BIN_EXE_plushie-pool-test-renderer"))
            .args(["--mock", "--max-sessions", "2", "--listen"])
            .arg(&socket)
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(renderer.stderr.take().unwrap()).lines();
        while let Some(line) = within(lines.next_line()).await.unwrap() {
            if line.contains("Token:") {
                break;
            }
        }
        let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let mut client = plushie_pool_tests::client::Client::new(stream, FORMATS[0]);
        client
            .say(&json!({"type": "settings", "settings": shown}))
            .await;
        let hello = within(client.hear()).await.unwrap();
        assert_eq!(hello["type"], "hello");
        assert_eq!(hello["transport"], "listen");
        let error = within(client.hear()).await.unwrap();
        assert_eq!(error["message"], refusal);
        assert_eq!(within(client.hear()).await, None);
        within(renderer.wait()).await.unwrap();
    }
}

#[tokio::test]
async fn the_wrong_protocol_is_told_after_hello() {
    let server = served_with(pool(), guarded()).await;
    for (version, refusal) in [
        (
            json!(2),
            "protocol version mismatch: host sent 2, renderer expects 1",
        ),
        (
            Value::Null,
            "missing or invalid protocol_version in Settings (expected 1)",
        ),
    ] {
        let mut client = connected(&server, FORMATS[0]).await;
        let settings = json!({"protocol_version": version, "token": TOKEN});
        client
            .say(&json!({"type": "settings", "settings": settings}))
            .await;
        assert_eq!(within(client.hear()).await.unwrap()["type"], "hello");
        assert_eq!(within(client.hear()).await.unwrap()["message"], refusal);
        assert_eq!(within(client.hear()).await, None);
    }
    for first in [
        json!({"type": "snapshot", "tree": {}}),
        json!({"type": "settings"}),
    ] {
        let mut client = connected(&server, FORMATS[1]).await;
        client.say(&first).await;
        let error = within(client.hear()).await.unwrap();
        assert_eq!(error["type"], "error", "{error}");
        assert_eq!(within(client.hear()).await, None);
    }
}

#[tokio::test]
async fn only_this_user_may_come_near_the_socket() {
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let server = served_with(pool(), ServerConfig::default()).await;
    let socket = Path::new(server.address()).to_owned();
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    within(server.shutdown()).await;
    assert!(!socket.parent().unwrap().exists());

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("named.sock");
    let named = || Server::start(server.pool().clone(), Listen::Unix(path.clone()), guarded());
    let first = named().unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let error = named().unwrap_err();
    assert!(
        error.to_string().contains("another process listens there"),
        "{error}"
    );
    within(first.shutdown()).await;
    assert!(!path.exists());
    // One that was left behind is in nobody's way; anything else is.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    within(named().unwrap().shutdown()).await;
    std::fs::write(&path, "").unwrap();
    let error = named().unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
}

/// Servers that start at the same time see each other's sockets before they listen.
#[tokio::test]
async fn one_server_gets_a_place_that_several_want() {
    let pool = within(pool().start()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wanted.sock");
    for _ in 0..20 {
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let barrier = std::sync::Barrier::new(8);
        let started: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                let config = ServerConfig::default();
                Server::start(pool.clone(), Listen::Unix(path.clone()), config)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap());
            ended.collect()
        });
        let (servers, errors): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
        assert_eq!(servers.len(), 1, "{errors:?}");
        let server = servers.into_iter().next().unwrap().unwrap();
        admitted_with(&server, FORMATS[0], json!({})).await;
        within(server.shutdown()).await;
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_pool_that_connects_shows_the_digest_and_not_the_token() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    for blank in ["", " "] {
        let error = SessionPool::connect(":1", blank).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("`connect`"), "{error}");
    }
    let server = served_with(pool(), guarded()).await;
    let padded = format!(" {TOKEN}\n");
    let connected = within(SessionPool::connect(server.address(), &*padded))
        .await
        .unwrap();
    within(connected.shutdown()).await.unwrap();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connecting = tokio::spawn(async move { SessionPool::connect(&address, TOKEN).await });
    let (stream, _) = within(listener.accept()).await.unwrap();
    let mut first = Vec::new();
    // In either format it ends with the settings' last key, or goes on with what is read here.
    let mut stream = BufReader::new(stream);
    while !String::from_utf8_lossy(&first).contains(&sha256(TOKEN)) {
        let read = within(stream.fill_buf()).await.unwrap().to_vec();
        assert!(!read.is_empty(), "{}", String::from_utf8_lossy(&first));
        stream.consume(read.len());
        first.extend(read);
    }
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("token_sha256"), "{first}");
    assert!(!first.contains(TOKEN), "{first}");
    connecting.abort();
}

#[tokio::test]
async fn a_server_with_a_blank_token_does_not_start() {
    let pool = within(pool().start()).await.unwrap();
    let mut config = ServerConfig::default();
    config.token = Some(Token::new(" \n"));
    let error = Server::start(pool, Listen::Private, config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("blank"), "{error}");
}

#[tokio::test]
async fn what_others_can_reach_needs_a_token() {
    let pool = within(pool().start()).await.unwrap();
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let open = ServerConfig::default();
    let error = Server::start(pool.clone(), Listen::Tcp(anywhere), open.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("set a token"), "{error}");
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(pool, Listen::Tcp(loopback), open).unwrap();
    let stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    let admitted = plushie_pool_tests::client::Client::admitted(stream, FORMATS[0], json!({}));
    let (mut client, hello) = within(admitted).await;
    assert_eq!(hello["transport"], "listen");
    client.tell("", &label("x")).await;
    let found = within(client.ask("", &crate::support::find("label"))).await;
    assert_eq!(found["data"]["props"]["content"], "x");
}

/// Where everything that is logged ends up.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_token_goes_no_further_and_into_no_log() {
    let log = Log::default();
    let writer = {
        let log = log.clone();
        move || log.clone()
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(writer)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let tapped = Tapped::new();
    let sent = tapped.copy.clone();
    let pool = SessionPool::builder()
        .format(WireFormat::Json)
        .connector(tapped);
    let server = served_with(pool, guarded()).await;
    for shows in [
        json!({"token": TOKEN, "pool_mode": "mock"}),
        json!({"token_sha256": sha256(TOKEN)}),
    ] {
        for format in FORMATS {
            let mut client = admitted_with(&server, format, shows.clone()).await;
            client.tell("", &label("x")).await;
            let mut payload = shows.clone();
            payload["title"] = "t".into();
            payload["nested"] = json!([shows]);
            let open = json!({
                "type": "window_op", "op": "open", "window_id": "main", "payload": payload,
            });
            client.tell("", &open).await;
            client
                .tell("", &json!({"type": "settings", "settings": shows}))
                .await;
            assert_eq!(shown(&mut client, "").await, "x");
            // Nothing was complained of.
            client.tell("", &json!({"type": "reset", "id": "r"})).await;
            assert_eq!(
                within(client.hear()).await.unwrap()["type"],
                "reset_response"
            );
        }
    }
    // The same where it cannot be understood, and with a token that is wrong.
    for garbled in [
        format!("{{\"type\":\"settings\",\"settings\":{{\"token\":\"{TOKEN}\"}}\n"),
        format!("{{\"settings\":{{\"token\":\"{TOKEN}\"}}}}\n"),
        format!("{TOKEN}\n"),
    ] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut client = connected(&server, FORMATS[0]).await;
        client.stream().write_all(garbled.as_bytes()).await.unwrap();
        client.stream().shutdown().await.unwrap();
        let mut told = Vec::new();
        within(client.stream().read_to_end(&mut told))
            .await
            .unwrap();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(!told.contains(TOKEN), "{told}");
    }
    let config = guarded();
    assert!(!format!("{server:?} {config:?}").contains(TOKEN));
    within(server.shutdown()).await;
    within(server.pool().shutdown()).await.unwrap();

    let sent = String::from_utf8(sent.lock().unwrap().clone()).unwrap();
    for kept in [
        "\"type\":\"window_op\"",
        "\"title\":\"t\"",
        "\"nested\":[{}]",
    ] {
        assert!(sent.contains(kept), "{sent}");
    }
    assert!(!sent.contains("token"), "{sent}");
    assert!(!sent.contains("pool_mode"), "{sent}");
    assert!(
        !sent.contains(TOKEN) && !sent.contains(&sha256(TOKEN)),
        "{sent}"
    );
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("cut off a client"), "{logged}");
    assert!(
        logged.contains("TRACE") || logged.contains("DEBUG"),
        "{logged}"
    );
    assert!(
        !logged.contains(TOKEN) && !logged.contains(&sha256(TOKEN)),
        "{logged}"
    );
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
