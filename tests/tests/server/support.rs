//! What the scenarios share: served pools, and clients of them.

use std::time::{Duration, Instant};

use plushie_pool::{Builder, RendererMode, SessionPool, WireFormat};
use plushie_pool_server::{Listen, Server, ServerConfig};
use plushie_pool_tests::client::Client;
use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};
use tokio::net::UnixStream;

/// Longer than anything here takes on any machine. Only a failing test waits this long.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(LONG, future).await;
    done.expect("it should long have happened")
}

/// Looks again and again until it is so: for what nobody is told of.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) const FORMATS: [Format; 2] = [Format::Json, Format::Msgpack];

/// A pool on the real renderer.
pub(crate) fn pool() -> Builder {
    SessionPool::builder().renderer(env!("CARGO_BIN_EXE_plushie-pool-test-renderer"))
}

pub(crate) async fn served(pool: Builder) -> Server {
    served_with(pool, ServerConfig::default()).await
}

pub(crate) async fn served_with(pool: Builder, config: ServerConfig) -> Server {
    let pool = within(pool.start()).await.unwrap();
    Server::start(pool, Listen::Private, config).unwrap()
}

pub(crate) type SocketClient = Client<UnixStream>;

pub(crate) async fn connected(server: &Server, format: Format) -> SocketClient {
    Client::new(UnixStream::connect(server.address()).await.unwrap(), format)
}

pub(crate) async fn admitted(server: &Server, format: Format) -> SocketClient {
    admitted_with(server, format, json!({})).await
}

pub(crate) async fn admitted_with(
    server: &Server,
    format: Format,
    settings: Value,
) -> SocketClient {
    let stream = UnixStream::connect(server.address()).await.unwrap();
    let (client, hello) = within(Client::admitted(stream, format, settings)).await;
    assert_eq!(hello["transport"], "listen", "{hello}");
    assert_eq!(hello["name"], "plushie-renderer", "{hello}");
    client
}

/// Every mode without a display, in every format.
pub(crate) fn everywhere() -> impl Iterator<Item = (RendererMode, WireFormat)> {
    [RendererMode::Mock, RendererMode::Headless]
        .into_iter()
        .flat_map(|mode| WireFormat::ALL.map(|format| (mode, format)))
}

pub(crate) fn label(text: &str) -> Value {
    let label = json!({"id": "label", "type": "text", "props": {"content": text}, "children": []});
    json!({"type": "snapshot", "tree": {
        "id": "main", "type": "window", "props": {}, "children": [
            label,
            {"id": "button", "type": "button", "props": {"label": "+"}, "children": []},
        ],
    }})
}

pub(crate) fn find(id: &str) -> Value {
    json!({"type": "query", "target": "find", "selector": {"by": "id", "value": id}})
}

pub(crate) fn click() -> Value {
    let button = json!({"by": "id", "value": "button"});
    json!({"type": "interact", "action": "click", "selector": button})
}

/// What a session shows; null if it has no label.
pub(crate) async fn shown(client: &mut SocketClient, session: &str) -> Value {
    let found = within(client.ask(session, &find("label"))).await;
    assert_eq!(found["type"], "query_response", "{found}");
    found["data"]["props"]["content"].clone()
}

/// What this process has in memory, in KiB.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    size.unwrap().parse().unwrap()
}
