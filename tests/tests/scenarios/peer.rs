//! A renderer's end of an in-memory connection, played by the test itself.

use async_trait::async_trait;
use plushie_pool::{Builder, Connection, Connector, Error, Launch, SessionPool, WireFormat};
use plushie_pool_tests::wire::{self, Format};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use crate::support::within;

/// A pool whose renderers are played by the test, and the renderers it starts.
pub(crate) fn played(format: WireFormat) -> (Builder, Peers) {
    let (connector, peers) = in_memory(format);
    let builder = SessionPool::builder().connector(connector).format(format);
    (builder, peers)
}

/// What makes such renderers reachable.
pub(crate) fn in_memory(format: WireFormat) -> (impl Connector, Peers) {
    let (sender, peers) = mpsc::unbounded_channel();
    let wire = match format {
        WireFormat::Json => Format::Json,
        _ => Format::Msgpack,
    };
    (InMemory { wire, sender }, Peers(peers))
}

#[derive(Debug)]
struct InMemory {
    wire: Format,
    sender: mpsc::UnboundedSender<Peer>,
}

#[async_trait]
impl Connector for InMemory {
    fn describe(&self) -> String {
        "a test".to_owned()
    }

    async fn connect(&self, _: &Launch) -> Result<Connection, Error> {
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        let mut peer = Peer {
            wire: self.wire,
            stream: theirs,
            input: Vec::new(),
        };
        peer.say(&wire::hello()).await;
        let _ = self.sender.send(peer);
        let (reader, writer) = tokio::io::split(ours);
        Ok(Connection::new(reader, writer))
    }
}

/// The renderers a pool starts, in order.
pub(crate) struct Peers(mpsc::UnboundedReceiver<Peer>);

impl Peers {
    /// The next one.
    pub(crate) async fn untouched(&mut self) -> Peer {
        let peer = within(self.0.recv()).await;
        peer.expect("the pool holds the other end")
    }

    /// The next one; `None` when there will be no more.
    pub(crate) async fn any(&mut self) -> Option<Peer> {
        self.0.recv().await
    }

    /// The next one, once it was sent its settings.
    pub(crate) async fn next(&mut self) -> Peer {
        let mut peer = self.untouched().await;
        peer.expect("settings").await;
        peer
    }
}

/// One renderer.
pub(crate) struct Peer {
    wire: Format,
    stream: DuplexStream,
    input: Vec<u8>,
}

impl Peer {
    /// The next message the renderer is sent; `None` at the end.
    pub(crate) async fn read(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.wire.take(&mut self.input) {
                return Some(message);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message, which is of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let message = within(self.read()).await.expect("the pool says more");
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// As [`say`](Self::say), but the pool may not listen any more: false then.
    pub(crate) async fn offer(&mut self, message: &Value) -> bool {
        let frame = self.wire.frame(message);
        within(self.stream.write_all(&frame)).await.is_ok()
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        let frame = self.wire.frame(message);
        self.print(&frame).await;
    }

    /// These bytes, in the frame of a message.
    pub(crate) async fn frame(&mut self, payload: &[u8]) {
        let frame = self.wire.framed(payload);
        self.print(&frame).await;
    }

    /// These bytes as they are.
    pub(crate) async fn print(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes))
            .await
            .expect("the pool listens");
    }

    /// The first half of a message.
    pub(crate) async fn tear(&mut self, message: &Value) {
        let frame = self.wire.frame(message);
        self.print(&frame[..frame.len() / 2]).await;
    }

    /// Answers a message as a renderer would, `data` being what was asked for.
    pub(crate) async fn answer(&mut self, message: &Value, data: Value) {
        for answer in answers(message, &data) {
            self.say(&answer).await;
        }
    }

    /// Answers everything from now on, elsewhere.
    pub(crate) fn serve(mut self) {
        tokio::spawn(async move {
            while let Some(message) = self.read().await {
                self.answer(&message, Value::Null).await;
            }
        });
    }
}

/// A request whose answer the peer chooses.
pub(crate) fn query() -> Value {
    json!({"type": "query", "target": "find", "selector": {}})
}

/// What a renderer answers to a message, `data` being what was asked for.
pub(crate) fn answers(message: &Value, data: &Value) -> Vec<Value> {
    let mut answers = wire::answers(message);
    for answer in &mut answers {
        if answer["type"] == "query_response" {
            answer["data"] = data.clone();
        }
    }
    answers
}
