//! Clients that mean harm, or might as well.

use std::time::Duration;

use plushie_pool::SessionPool;
use plushie_pool_core::{Close, Mode, Placement, RendererView};
use plushie_pool_server::{ServerConfig, Token};
use plushie_pool_tests::wire::Format;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::support::{
    FORMATS, admitted, admitted_with, connected, find, label, pool, resident, served, served_with,
    shown, until, within,
};

/// Held by those who look at how much memory the process takes.
static SCALES: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn who_never_reads_is_cut_off_and_takes_no_memory() {
    let _scales = SCALES.lock().await;
    let mut config = ServerConfig::default();
    config.stall_timeout = Duration::from_millis(500);
    let server = served_with(pool(), config).await;
    let mut other = admitted(&server, Format::Json).await;
    other.tell("", &label("other")).await;
    let mut deaf = admitted(&server, Format::Msgpack).await;
    // Each makes the renderer say as much.
    let loud = "x".repeat(10_000);
    let announce = json!({
        "type": "widget_op", "op": "announce", "session": "", "payload": {"text": loud},
    });
    let frame = Format::Msgpack.frame(&announce);
    let before = resident();
    let (mut most, mut sent) = (before, 0);
    // Until it is cut off; nothing of what it is told is read.
    let flood = async {
        while deaf.stream().write_all(&frame).await.is_ok() {
            sent += frame.len();
            if sent % (100 * frame.len()) == 0 {
                most = most.max(resident());
            }
        }
    };
    within(flood).await;
    println!("sent {sent} bytes; resident before {before} KiB, at most {most} KiB");
    // 16 MiB of events, twice as much while one replaces the other, and what is on its way.
    assert!(most < before + 80 * 1024, "from {before} to {most} KiB");
    assert!(sent < 100 << 20, "it is read from without end");
    assert_eq!(shown(&mut other, "").await, "other");
    until("its session is back", || {
        server.pool().status().sessions == 1
    })
    .await;
    assert_eq!(server.stats().clients_rejected, 1);
}

#[tokio::test]
async fn who_asks_for_much_and_reads_nothing_is_cut_off() {
    let _scales = SCALES.lock().await;
    let mut config = ServerConfig::default();
    config.stall_timeout = Duration::from_millis(500);
    let server = served_with(pool(), config).await;
    let mut other = admitted(&server, Format::Json).await;
    let mut deaf = admitted(&server, Format::Json).await;
    deaf.tell("", &label(&"y".repeat(100_000))).await;
    let mut query = find("label");
    query["id"] = "q".into();
    query["session"] = "".into();
    let frame = Format::Json.frame(&query);
    let before = resident();
    let mut most = before;
    within(async {
        while deaf.stream().write_all(&frame).await.is_ok() {
            most = most.max(resident());
        }
    })
    .await;
    println!("resident before {before} KiB, at most {most} KiB");
    assert!(most < before + 160 * 1024, "from {before} to {most} KiB");
    assert!(shown(&mut other, "").await.is_null());
}

#[tokio::test]
async fn garbage_ends_nobody_but_its_sender() {
    let server = served(pool()).await;
    let mut other = admitted(&server, Format::Msgpack).await;
    other.tell("", &label("other")).await;
    // Not even a first message.
    for garbage in [
        &b"\x00\x00\x00\x00"[..],
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"{\n",
        b"{}\n",
        b"{\"type\":\"settings\"}\n",
        b"\x00\x00\x00\x01\xc0",
    ] {
        let mut client = connected(&server, Format::Json).await;
        client.stream().write_all(garbage).await.unwrap();
        client.stream().shutdown().await.unwrap();
        let mut heard = Vec::new();
        use tokio::io::AsyncReadExt;
        within(client.stream().read_to_end(&mut heard))
            .await
            .unwrap();
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(heard.is_empty() || heard.contains("error"), "{heard}");
    }
    // In between: what can be passed over is, without a word, as a renderer does it.
    let mut client = admitted(&server, Format::Json).await;
    for line in [
        "{}",
        "[]",
        "{\"type\":1}",
        "{\"type\":\"query\",\"session\":1}",
        "{\"type\":\"reset\",\"id\":1}",
        // Nor an interact without an id, which cannot be answered.
        "{\"type\":\"interact\",\"action\":\"click\"}",
        "x",
        "\u{0}",
    ] {
        client.stream().write_all(line.as_bytes()).await.unwrap();
        client.stream().write_all(b"\n").await.unwrap();
    }
    client.tell("", &label("still")).await;
    let mut query = find("label");
    query["id"] = "q".into();
    client.tell("", &query).await;
    let answer = within(client.hear()).await.unwrap();
    assert_eq!(answer["id"], "q", "{answer}");
    // An id like the pool's own is as good as any.
    let effect = json!({"type": "effect", "id": "~3", "kind": "x", "payload": {}});
    client.tell("", &effect).await;
    let answer = within(client.hear()).await.unwrap();
    assert_eq!(
        (&answer["type"], &answer["id"]),
        (&json!("effect_response"), &json!("~3"))
    );
    assert_eq!(shown(&mut client, "").await, "still");
    assert_eq!(shown(&mut other, "").await, "other");
}

/// As Ruby's `TCPAdapter` does in `format: :json`. The renderer says as much, and hangs up.
#[tokio::test]
async fn json_with_a_length_in_front_is_an_error_at_once() {
    let server = served(pool()).await;
    let settings = json!({"type": "settings", "session": "", "settings": {"protocol_version": 1}});
    for json in [
        format!("{settings}"),
        format!("{settings}\n"),
        format!(" {settings}"),
    ] {
        let mut client = connected(&server, Format::Msgpack).await;
        let length = u32::try_from(json.len()).unwrap().to_be_bytes();
        client.stream().write_all(&length).await.unwrap();
        client.stream().write_all(json.as_bytes()).await.unwrap();
        let error = within(client.hear()).await.unwrap();
        assert_eq!(error["type"], "error", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with("failed to parse initial settings: "),
            "{message}"
        );
        assert!(message.contains("JSON with a length in front"), "{message}");
        assert_eq!(within(client.hear()).await, None);
    }
    assert_eq!(server.stats().clients_rejected, 3);
}

#[tokio::test]
async fn one_connection_has_so_many_sessions_and_no_more() {
    let mut config = ServerConfig::default();
    config.max_sessions_per_client = 3;
    let server = served_with(pool(), config).await;
    let mut client = admitted(&server, Format::Json).await;
    for session in ["a", "b", "c"] {
        assert!(shown(&mut client, session).await.is_null());
    }
    client.tell("d", &label("d")).await;
    let error = within(client.hear_of("d", "session_error")).await;
    assert_eq!(error["data"]["code"], "max_sessions_reached", "{error}");
    within(client.reset("a")).await;
    assert!(shown(&mut client, "d").await.is_null());
}

#[tokio::test]
async fn who_says_nothing_is_shown_the_door() {
    let mut config = ServerConfig::default();
    // Long enough for whoever means to say something.
    config.handshake_timeout = Duration::from_millis(500);
    config.max_clients = 1;
    let server = served_with(pool(), config).await;
    let mut silent = connected(&server, Format::Json).await;
    let mut half = connected(&server, Format::Json).await;
    half.stream().write_all(b"{\"type\":").await.unwrap();
    assert_eq!(within(silent.hear()).await, None);
    let error = within(half.hear()).await.unwrap();
    assert_eq!(error["message"], "no settings were sent in time");
    // And so has whoever comes next.
    let mut next = admitted(&server, Format::Json).await;
    assert!(shown(&mut next, "").await.is_null());
}

/// Starts no renderer before it is needed.
#[derive(Debug)]
struct Lazy;

impl Mode for Lazy {
    fn name(&self) -> &str {
        "lazy"
    }

    fn place(&mut self, _: &[RendererView]) -> Placement {
        Placement::Launch
    }

    fn close(&self) -> Close {
        Close::Reset
    }

    fn initial_renderers(&self) -> usize {
        0
    }
}

#[tokio::test]
async fn who_waits_for_a_renderer_is_not_blamed() {
    let mut config = ServerConfig::default();
    config.handshake_timeout = Duration::from_secs(1);
    let pool = SessionPool::builder()
        .renderer(env!("CARGO_BIN_EXE_plushie-pool-scripted-renderer"))
        .renderer_args(["hang"])
        .custom_mode(Lazy)
        .launch_timeout(Duration::from_secs(2));
    let server = served_with(pool, config).await;
    let mut client = connected(&server, Format::Json).await;
    let settings = json!({"type": "settings", "session": "", "settings": {"protocol_version": 1}});
    client.say(&settings).await;
    let error = within(client.hear()).await.unwrap();
    let message = error["message"].as_str().unwrap();
    assert!(!message.contains("settings"), "{message}");
    assert!(message.contains("no hello"), "{message}");
}

/// The settings of an app with a font, as long as a message may be.
#[tokio::test]
async fn the_first_message_may_be_as_long_as_any() {
    let _scales = SCALES.lock().await;
    let mut config = ServerConfig::default();
    config.token = Some(Token::new("secret"));
    let guarded = served_with(pool(), config).await;
    let open = served(pool()).await;
    for format in FORMATS {
        for server in [&open, &guarded] {
            let long = "x".repeat(24 << 20);
            let settings = json!({"token": "secret", "x": long});
            let mut client = admitted_with(server, format, settings).await;
            client.tell("", &label(&"y".repeat(2 << 20))).await;
            let text = shown(&mut client, "").await;
            assert_eq!(text.as_str().unwrap().len(), 2 << 20);
        }
    }
}

#[tokio::test]
async fn first_messages_that_are_never_finished_take_little_memory() {
    const CLIENTS: usize = 450;
    const SENT: usize = 1_000_000;
    let _scales = SCALES.lock().await;
    let mut config = ServerConfig::default();
    config.token = Some(Token::new("secret"));
    let server = served_with(pool(), config).await;
    let before = resident();
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let format = FORMATS[n % 2];
        let mut bytes = match format {
            Format::Json => b"{\"x\":\"".to_vec(),
            Format::Msgpack => (60_u32 << 20).to_be_bytes().to_vec(),
        };
        bytes.resize(SENT, b'x');
        let mut client = connected(&server, format).await;
        // One that there is no memory for is told so, and may be cut off while it writes.
        let _ = within(client.stream().write_all(&bytes)).await;
        clients.push(client);
    }
    // Those with short settings are served meanwhile, which also shows that all is read.
    for format in FORMATS {
        let settings = json!({"token": "secret"});
        let mut honest = admitted_with(&server, format, settings).await;
        assert!(shown(&mut honest, "").await.is_null());
    }
    let grown = resident().saturating_sub(before);
    println!("{CLIENTS} clients with {SENT} bytes each take {grown} KiB");
    // What may be held, twice for buffers that grow, and some for each connection.
    assert!(grown < 2 * 128 * 1024 + CLIENTS as u64 * 128, "{grown} KiB");
    let mut last = clients.pop().unwrap();
    let refused = within(last.hear()).await.unwrap();
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("try again"), "{message}");
    // It comes back with those who had it.
    drop(clients);
    let long = json!({"token": "secret", "x": "x".repeat(24 << 20)});
    until("they are gone", || {
        server.stats().clients.len() == 1 || server.stats().clients.is_empty()
    })
    .await;
    admitted_with(&server, Format::Msgpack, long).await;
}

#[tokio::test]
async fn much_at_once_waits_for_the_renderer_and_arrives_in_order() {
    let server = served(pool()).await;
    for format in FORMATS {
        let client = admitted(&server, format).await;
        let (mut asked, mut bytes) = (0, Vec::new());
        bytes.extend(format.frame(&label("0")));
        for n in 1..=5_000 {
            let op =
                json!({"op": "update_props", "path": [0], "props": {"content": n.to_string()}});
            bytes.extend(format.frame(&json!({"type": "patch", "ops": [op]})));
            if n % 5 == 0 {
                let mut query = find("label");
                query["id"] = n.to_string().into();
                bytes.extend(format.frame(&query));
                asked += 1;
            }
        }
        let mut client = client;
        // Written by somebody else than who reads, or both would wait for each other.
        let stream = std::mem::replace(client.stream(), tokio::net::UnixStream::pair().unwrap().0);
        let (reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            writer.write_all(&bytes).await.unwrap();
            writer
        });
        let joined = tokio::io::join(reader, tokio::io::sink());
        let mut client = plushie_pool_tests::client::Client::new(joined, format);
        for n in 1..=asked {
            let answer = within(client.hear()).await.unwrap();
            assert_eq!(answer["id"], (n * 5).to_string());
            assert_eq!(answer["data"]["props"]["content"], (n * 5).to_string());
        }
        within(writing).await.unwrap();
    }
}

#[tokio::test]
async fn who_has_to_wait_cannot_fill_the_memory_meanwhile() {
    let _scales = SCALES.lock().await;
    let server = served(pool().max_sessions(1)).await;
    let mut first = admitted(&server, Format::Json).await;
    assert!(shown(&mut first, "").await.is_null());
    let mut greedy = admitted(&server, Format::Msgpack).await;
    let before = resident();
    let big = "z".repeat(8 << 20);
    let mut sent = 0;
    // Each session waits; it is read from until enough does.
    let flood = async {
        for session in 0.. {
            greedy.tell(&format!("g{session}"), &label(&big)).await;
            sent += big.len();
        }
    };
    let stopped = tokio::time::timeout(Duration::from_secs(2), flood).await;
    assert!(stopped.is_err(), "it is read from without end");
    let most = resident();
    println!("sent {sent} bytes; resident before {before} KiB, then {most} KiB");
    assert!(sent <= 160 << 20, "{sent}");
    assert!(shown(&mut first, "").await.is_null());
    drop(greedy);
    until("it is gone", || server.stats().clients.len() == 1).await;
    assert!(shown(&mut first, "").await.is_null());
}
