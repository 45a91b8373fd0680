//! The suite for connectors, on the pool's own and on some that are wrong.

use async_trait::async_trait;
use plushie_pool::blocking::Wait;
use plushie_pool::testing::{ConnectorSuite, FakeRenderer};
use plushie_pool::{ChildProcess, Connection, Connector, Error, Launch, SessionPool};
use plushie_pool_server::{Listen, Server, ServerConfig};
use plushie_pool_transport_json::Json;
use plushie_pool_transport_msgpack::Msgpack;

use crate::cbor::Cbor;

const RENDERER: &str = env!("CARGO_BIN_EXE_plushie-pool-test-renderer");
const MOCK: [&str; 3] = ["--mock", "--max-sessions", "8"];

#[test]
fn renderers_in_memory_are_right() {
    ConnectorSuite::new(&FakeRenderer::new(Cbor), Cbor)
        .expect_mode("mock")
        .run();
    ConnectorSuite::new(&FakeRenderer::new(Json), Json).run();
}

#[test]
fn processes_are_right() {
    let process = ChildProcess::new(RENDERER);
    ConnectorSuite::new(&process, Json)
        .args(MOCK)
        .expect_mode("mock")
        .run();
    ConnectorSuite::new(&process, Msgpack)
        .args(["--headless", "--max-sessions", "8"])
        .expect_mode("headless")
        .run();
}

#[test]
fn sockets_are_right() {
    let pool = SessionPool::builder().renderer(RENDERER).start().wait();
    let server = Server::start(pool.unwrap(), Listen::Private, ServerConfig::default()).unwrap();
    let address: plushie_pool::Address = server.address().parse().unwrap();
    let socket = address.connector(None).unwrap();
    ConnectorSuite::new(&socket, Msgpack)
        .expect_mode("mock")
        .run();
    server.shutdown().wait();
}

/// Starts a renderer without the arguments of the mode.
#[derive(Debug)]
struct WithoutMode(ChildProcess);

#[async_trait]
impl Connector for WithoutMode {
    fn describe(&self) -> String {
        "without mode".to_owned()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        let args = launch.args.iter().filter(|arg| *arg != "--headless");
        let args: Vec<_> = ["--mock".to_owned()]
            .into_iter()
            .chain(args.cloned())
            .collect();
        self.0.connect(&Launch::new(args)).await
    }
}

#[test]
#[should_panic(
    expected = "property \"a renderer says hello and answers\" does not hold: expected \
                           the mode \"headless\""
)]
fn arguments_that_do_not_arrive_are_noticed() {
    ConnectorSuite::new(&WithoutMode(ChildProcess::new(RENDERER)), Json)
        .args(["--headless", "--max-sessions", "8"])
        .expect_mode("headless")
        .run();
}

/// Says nothing of itself.
#[derive(Debug)]
struct Nameless;

#[async_trait]
impl Connector for Nameless {
    fn describe(&self) -> String {
        String::new()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        FakeRenderer::new(Json).connect(launch).await
    }
}

#[test]
#[should_panic(expected = "property \"it says what it connects to\" does not hold")]
fn a_connector_that_says_nothing_of_itself_is_noticed() {
    ConnectorSuite::new(&Nameless, Json).run();
}

/// Connects to a renderer once, and then to none.
#[derive(Debug)]
struct Once(std::sync::Mutex<Option<FakeRenderer>>);

#[async_trait]
impl Connector for Once {
    fn describe(&self) -> String {
        "once".to_owned()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        let renderer = self.0.lock().unwrap().take();
        match renderer {
            Some(renderer) => renderer.connect(launch).await,
            None => Ok(Connection::new(tokio::io::empty(), tokio::io::sink())),
        }
    }
}

#[test]
#[should_panic(
    expected = "property \"long messages pass both ways\" does not hold: expected hello"
)]
fn a_connector_that_connects_once_is_noticed() {
    let once = Once(std::sync::Mutex::new(Some(FakeRenderer::new(Json))));
    ConnectorSuite::new(&once, Json).run();
}
