//! Renderers in memory, for tests of transports, modes and connectors.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::BytesMut;
use plushie_pool_core::{Error, ErrorKind, Header, Transport, decode_payload};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::answers::Sessions;
use crate::{Connection, Connector, Launch};

/// Makes renderers that live in memory and speak any [`Transport`]: a [`Connector`] for tests
/// of a transport, a mode or a connector that need no window, no pixels and no process.
///
/// Each keeps the trees of its sessions and answers `query`, `tree_hash`, `screenshot` (empty,
/// as in mock), `interact` (one event for the node that is named by id), `effect`, effect
/// stubs, `system_query` and `reset` as plushie-renderer 0.7.1 does in mock mode. It applies no
/// `patch`. Where that is not enough, [`answering`](Self::answering) says otherwise.
///
/// Clones share the renderers made, so that one may be kept to look at them:
///
/// ```
/// use plushie_pool_renderer::testing::FakeRenderer;
/// # #[derive(Debug)] struct MyFormat;
/// # fn pool_of(_: FakeRenderer) {}
/// # fn test(my_format: impl plushie_pool_core::Transport) {
/// let renderers = FakeRenderer::new(my_format).answering(|heard| {
///     (heard.message["type"] == "tree_hash").then(|| {
///         // `session` and `id` are added.
///         vec![serde_json::json!({"type": "tree_hash_response", "hash": "cafe"})]
///     })
/// });
/// pool_of(renderers.clone()); // SessionPool::builder().connector(..).transport(..)
/// assert_eq!(renderers.launches().len(), 1);
/// # }
/// ```
#[derive(Clone)]
pub struct FakeRenderer {
    transport: Arc<dyn Transport>,
    script: Option<Arc<Script>>,
    is_single: bool,
    started: Arc<Mutex<Vec<Started>>>,
}

type Script = dyn Fn(&Heard<'_>) -> Option<Vec<Value>> + Send + Sync;

/// A message that a [`FakeRenderer`] received.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Heard<'a> {
    /// Which of the renderers received it, from 0 in the order in which they were started.
    pub renderer: usize,
    /// The message, `session` and `id` included.
    pub message: &'a Value,
}

struct Started {
    launch: Launch,
    unasked: mpsc::UnboundedSender<Value>,
    task: AbortHandle,
}

impl FakeRenderer {
    /// Renderers that speak this format.
    pub fn new(transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
            script: None,
            is_single: false,
            started: Arc::default(),
        }
    }

    /// Asks `script` what to answer each message with. With `None` it is answered as usual;
    /// with an empty list not at all.
    ///
    /// Each answer is a map with a `type`. A `session` that it does not bring is that of the
    /// message, and so is the `id` of a `.._response` and of an `interact_step`.
    #[must_use]
    pub fn answering(
        mut self,
        script: impl Fn(&Heard<'_>) -> Option<Vec<Value>> + Send + Sync + 'static,
    ) -> Self {
        self.script = Some(Arc::new(script));
        self
    }

    /// Makes each a renderer of one session, as one that shows windows: `session` is empty in
    /// all it says ([`Addressing::Single`](plushie_pool_core::Addressing::Single)), and
    /// `widget_op` `exit` ends it.
    #[must_use]
    pub fn single_session(mut self) -> Self {
        self.is_single = true;
        self
    }

    /// What each renderer was started with, in that order.
    pub fn launches(&self) -> Vec<Launch> {
        let started = self.started();
        started.iter().map(|it| it.launch.clone()).collect()
    }

    /// How many renderers are running.
    pub fn running(&self) -> usize {
        let started = self.started();
        started.iter().filter(|it| !it.task.is_finished()).count()
    }

    /// Ends a renderer at once, without a word. Nothing happens if there is none of that
    /// number, or it has ended.
    pub fn kill(&self, renderer: usize) {
        if let Some(started) = self.started().get(renderer) {
            started.task.abort();
        }
    }

    /// Has a renderer say something of its own accord: an event, a diagnostic. Nothing happens
    /// if there is none of that number, or it has ended.
    pub fn say(&self, renderer: usize, message: Value) {
        if let Some(started) = self.started().get(renderer) {
            // Fails if it has ended.
            let _ = started.unasked.send(message);
        }
    }

    fn started(&self) -> MutexGuard<'_, Vec<Started>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(
        self,
        renderer: usize,
        (mut input, mut output): (DuplexStream, DuplexStream),
        mut unasked: mpsc::UnboundedReceiver<Value>,
    ) -> Result<(), Error> {
        let mut sessions = Sessions::default();
        let mut decoder = self.transport.decoder();
        let mut buffer = BytesMut::new();
        self.write(&mut output, hello(self.is_single)).await?;
        loop {
            while let Some(payload) = decoder.decode(&mut buffer)? {
                let message: Value = decode_payload(&*self.transport, &payload)?;
                let heard = Heard {
                    renderer,
                    message: &message,
                };
                let scripted = self.script.as_ref().and_then(|script| script(&heard));
                // It keeps the trees in any case.
                let usual = sessions.answers(&message);
                for answer in scripted.unwrap_or(usual) {
                    let answer = addressed(answer, &message);
                    self.write(&mut output, answer).await?;
                }
                if self.is_single && message["type"] == "widget_op" && message["op"] == "exit" {
                    return Ok(());
                }
            }
            tokio::select! {
                read = input.read_buf(&mut buffer) => match read {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(hung_up(&error)),
                },
                Some(message) = unasked.recv() => self.write(&mut output, message).await?,
            }
        }
    }

    async fn write(&self, output: &mut DuplexStream, mut message: Value) -> Result<(), Error> {
        let mut take = |key| match message.as_object_mut().and_then(|map| map.remove(key)) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (session, id) = (take("session").unwrap_or_default(), take("id"));
        let header = Header {
            session: if self.is_single { "" } else { &session },
            id: id.as_deref(),
        };
        let frame = self.transport.encode(header, &message)?;
        let written = output.write_all(&frame).await;
        written.map_err(|error| hung_up(&error))
    }
}

fn hello(is_single: bool) -> Value {
    let mode = if is_single { "windowed" } else { "mock" };
    json!({
        "type": "hello", "protocol_version": 1, "version": "0.0.0-fake", "name": "fake",
        "backend": "none", "mode": mode, "extensions": [], "transport": "memory",
    })
}

/// Adds the session and the id of what is answered.
fn addressed(mut answer: Value, message: &Value) -> Value {
    let kind = answer["type"].as_str().unwrap_or_default();
    let repeats_id = kind.ends_with("_response") || kind == "interact_step";
    for (key, wanted) in [("session", true), ("id", repeats_id)] {
        if wanted && answer.get(key).is_none() {
            answer[key] = message[key].clone();
        }
    }
    answer
}

fn hung_up(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::RendererExited, error.to_string())
}

#[async_trait]
impl Connector for FakeRenderer {
    fn describe(&self) -> String {
        "a renderer in memory".to_owned()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        const PIPE: usize = 64 * 1024;
        // One for each direction: half of a stream that is split does not end when dropped.
        let (writer, input) = tokio::io::duplex(PIPE);
        let (output, reader) = tokio::io::duplex(PIPE);
        let (unasked, to_say) = mpsc::unbounded_channel();
        let mut started = self.started();
        let number = started.len();
        let serving = self.clone().serve(number, (input, output), to_say);
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::debug!(number, %error, "a renderer in memory ended");
            }
        });
        started.push(Started {
            launch: launch.clone(),
            unasked,
            task: task.abort_handle(),
        });
        Ok(Connection::new(reader, writer))
    }
}

impl fmt::Debug for FakeRenderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeRenderer")
            .field("transport", &self.transport.name())
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}
