//! What the socket costs: sequential round trips through a served pool, as a ratio to those of
//! the same pool used in its own process.
//!
//! `cargo run -p plushie-pool-tests --bin plushie-pool-hop [-- ROUNDS]`, with `--release` for
//! figures that mean something. The two take turns, so that what else the machine does hits both.

use std::time::{Duration, Instant};

use plushie_pool::{RendererMode, Session, SessionPool, WireFormat};
use plushie_pool_server::{Listen, Server, ServerConfig};
use plushie_pool_tests::client::Client;
use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};
use tokio::net::UnixStream;

/// Round trips in a row, before it is the other's turn.
const TURN: u32 = 200;

fn main() {
    // The renderer is this program too.
    if std::env::args().any(|arg| arg == "--mock") {
        let app = plushie_widget_sdk::app::PlushieAppBuilder::new();
        return plushie_renderer::run(app).expect("the renderer runs");
    }
    let rounds = std::env::args()
        .nth(1)
        .map(|n| n.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(compare(rounds.unwrap_or(20)));
}

async fn compare(rounds: u32) {
    for format in WireFormat::ALL {
        let pool = SessionPool::builder()
            .renderer(std::env::current_exe().expect("it is running"))
            .mode(RendererMode::Mock)
            .format(format)
            .start()
            .await
            .expect("a renderer");
        let server = Server::start(pool.clone(), Listen::Private, ServerConfig::default());
        let server = server.expect("a server");
        let inside = pool.register().await.expect("a session");
        let connected = SessionPool::connect(server.address(), None).await;
        let outside = connected
            .expect("a server")
            .register()
            .await
            .expect("a session");
        let (mut json, mut msgpack) = (
            client(&server, Format::Json).await,
            client(&server, Format::Msgpack).await,
        );
        for session in [&inside, &outside] {
            session.send(&tree()).await.expect("it is sent");
        }
        let mut times = [Duration::ZERO; 4];
        for _ in 0..rounds {
            times[0] += through_pool(&inside).await;
            times[1] += through_pool(&outside).await;
            times[2] += through_client(&mut json).await;
            times[3] += through_client(&mut msgpack).await;
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(rounds * TURN);
        let [inside, outside, json, msgpack] = times.map(each);
        println!(
            "pool over {format}: in process {inside:.1} us a round trip; connected pool \
             {outside:.1} us, {:.2} times as much; bare JSON client {json:.1} us, {:.2} times; \
             bare MessagePack client {msgpack:.1} us, {:.2} times",
            outside / inside,
            json / inside,
            msgpack / inside,
        );
    }
}

async fn client(server: &Server, format: Format) -> Client<UnixStream> {
    let stream = UnixStream::connect(server.address()).await;
    let (mut client, _) = Client::admitted(stream.expect("a server"), format, json!({})).await;
    client.tell("", &tree()).await;
    client
}

async fn through_pool(session: &Session) -> Duration {
    let query = find();
    let start = Instant::now();
    for _ in 0..TURN {
        let found = session.request(&query, "query_response").await;
        let found: Value = found.expect("an answer").decode().expect("a map");
        assert_eq!(found["data"]["props"]["content"], "10");
    }
    start.elapsed()
}

async fn through_client(client: &mut Client<UnixStream>) -> Duration {
    let query = find();
    let start = Instant::now();
    for _ in 0..TURN {
        let found = client.ask("", &query).await;
        assert_eq!(found["data"]["props"]["content"], "10");
    }
    start.elapsed()
}

fn find() -> Value {
    json!({"type": "query", "target": "find", "selector": {"by": "id", "value": "t10"}})
}

/// A window with twenty texts.
fn tree() -> Value {
    let texts = (1..=20).map(|n| {
        json!({
            "id": format!("t{n}"), "type": "text", "props": {"content": n.to_string()},
            "children": [],
        })
    });
    json!({"type": "snapshot", "tree": {
        "id": "main", "type": "window", "props": {}, "children": texts.collect::<Vec<_>>(),
    }})
}
