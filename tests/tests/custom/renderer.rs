//! Renderers that speak CBOR, in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use plushie_pool::{Connection, Connector, Error, Launch};
use plushie_pool_tests::wire;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::AbortHandle;

/// Makes renderers that answer everything, a query with their number.
#[derive(Debug)]
pub(crate) struct InMemory {
    made: AtomicUsize,
    switches: Switches,
}

/// What each of them is turned off with.
pub(crate) type Switches = Arc<Mutex<Vec<AbortHandle>>>;

impl InMemory {
    pub(crate) fn new() -> (Self, Switches) {
        let switches = Switches::default();
        let made = AtomicUsize::new(0);
        let renderers = Self {
            made,
            switches: switches.clone(),
        };
        (renderers, switches)
    }
}

#[async_trait]
impl Connector for InMemory {
    fn describe(&self) -> String {
        "in memory".to_owned()
    }

    async fn connect(&self, _: &Launch) -> Result<Connection, Error> {
        let (ours, theirs) = tokio::io::duplex(4096);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let renderer = tokio::spawn(async move {
            // It ends when the pool hangs up.
            let _ = serve(theirs, number).await;
        });
        self.switches.lock().unwrap().push(renderer.abort_handle());
        let (reader, writer) = tokio::io::split(ours);
        Ok(Connection::new(reader, writer))
    }
}

async fn serve(mut stream: DuplexStream, number: usize) -> std::io::Result<()> {
    say(&mut stream, &wire::hello()).await?;
    loop {
        let len = stream.read_u32().await?;
        let mut payload = vec![0; len as usize];
        stream.read_exact(&mut payload).await?;
        let message: Value = serde_cbor_2::from_slice(&payload).expect("the pool sends CBOR");
        for mut answer in wire::answers(&message) {
            if message["type"] == "query" {
                answer["data"] = json!(number);
            }
            say(&mut stream, &answer).await?;
        }
    }
}

async fn say(stream: &mut DuplexStream, message: &Value) -> std::io::Result<()> {
    let payload = serde_cbor_2::to_vec(message).expect("JSON fits into CBOR");
    stream.write_u32(payload.len() as u32).await?;
    stream.write_all(&payload).await
}
