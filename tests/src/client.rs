//! A client of a renderer, over any stream of bytes.

use std::collections::VecDeque;

use serde_cbor_2::Value as Binary;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::wire::Format;

/// A client that waits for each thing it is told.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    format: Format,
    input: Vec<u8>,
    /// Heard while something else was waited for.
    passed: VecDeque<Value>,
    asked: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client that has said nothing yet.
    pub fn new(stream: S, format: Format) -> Self {
        Self {
            stream,
            format,
            input: Vec::new(),
            passed: VecDeque::new(),
            asked: 0,
        }
    }

    /// A client that showed this in its settings, and was told hello.
    ///
    /// # Panics
    ///
    /// If it is told anything else.
    pub async fn admitted(stream: S, format: Format, mut settings: Value) -> (Self, Value) {
        let mut client = Self::new(stream, format);
        settings["protocol_version"] = 1.into();
        client
            .say(&json!({"type": "settings", "session": "", "settings": settings}))
            .await;
        let hello = client.hear().await.expect("a renderer says hello");
        assert_eq!(hello["type"], "hello", "{hello}");
        (client, hello)
    }

    /// The stream itself.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends a message.
    ///
    /// # Panics
    ///
    /// If nobody takes it.
    pub async fn say(&mut self, message: &Value) {
        let frame = self.format.frame(message);
        self.stream.write_all(&frame).await.expect("it is taken");
        self.stream.flush().await.expect("it is taken");
    }

    /// The next message; none at the end of the stream.
    pub async fn hear(&mut self) -> Option<Value> {
        match self.passed.pop_front() {
            Some(message) => Some(message),
            None => self.read().await,
        }
    }

    /// The next message of this `type`, or, if it is an event, of this `family`, in this
    /// session. Others are kept for later.
    ///
    /// # Panics
    ///
    /// If the stream ends before.
    pub async fn hear_of(&mut self, session: &str, kind: &str) -> Value {
        let fits = |message: &Value| {
            message["session"] == session && (message["type"] == kind || message["family"] == kind)
        };
        if let Some(at) = self.passed.iter().position(fits) {
            return self.passed.remove(at).expect("it was found");
        }
        loop {
            let message = self.read().await;
            let message = message.unwrap_or_else(|| panic!("no {kind}; {:?}", self.passed));
            if fits(&message) {
                return message;
            }
            self.passed.push_back(message);
        }
    }

    /// A message that came while another was waited for, if there is one.
    pub fn passed(&mut self) -> Option<Value> {
        self.passed.pop_front()
    }

    /// Sends a request and waits for what answers it, whatever its `type`.
    ///
    /// # Panics
    ///
    /// If the stream ends before.
    pub async fn ask(&mut self, session: &str, message: &Value) -> Value {
        self.asked += 1;
        let id = format!("c{}", self.asked);
        let mut message = message.clone();
        message["session"] = session.into();
        message["id"] = (&*id).into();
        self.say(&message).await;
        loop {
            let reply = self.read().await;
            let reply =
                reply.unwrap_or_else(|| panic!("no answer to {message}: {:?}", self.passed));
            if reply["id"] == *id && reply["session"] == session {
                return reply;
            }
            self.passed.push_back(reply);
        }
    }

    /// Sends a message for a session.
    ///
    /// # Panics
    ///
    /// If nobody takes it.
    pub async fn tell(&mut self, session: &str, message: &Value) {
        let mut message = message.clone();
        message["session"] = session.into();
        self.say(&message).await;
    }

    /// Resets a session, and waits until it is closed.
    ///
    /// # Panics
    ///
    /// If the stream ends before.
    pub async fn reset(&mut self, session: &str) {
        let reply = self.ask(session, &json!({"type": "reset"})).await;
        assert_eq!(reply["type"], "reset_response", "{reply}");
        assert_eq!(reply["status"], "ok", "{reply}");
        self.hear_of(session, "session_closed").await;
    }

    async fn read(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            self.input.reserve(64 * 1024);
            // One that was cut off may be told so by an error.
            let read = self.stream.read_buf(&mut self.input).await;
            if read.unwrap_or(0) == 0 {
                assert!(self.input.is_empty(), "it ends in the middle of a message");
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<Value> {
        if self.format == Format::Json {
            return self.format.take(&mut self.input);
        }
        let payload = self.take_payload()?;
        let message = rmp_serde::from_slice(&payload).expect("it is MessagePack");
        Some(readable(message))
    }

    fn take_payload(&mut self) -> Option<Vec<u8>> {
        let len = u32::from_be_bytes(*self.input.first_chunk()?) as usize;
        let payload = self.input.get(4..4 + len)?.to_vec();
        self.input.drain(..4 + len);
        Some(payload)
    }
}

/// Bytes become a text that says how many there are.
fn readable(value: Binary) -> Value {
    match value {
        Binary::Bytes(bytes) => format!("{} bytes", bytes.len()).into(),
        Binary::Array(values) => values.into_iter().map(readable).collect(),
        Binary::Map(entries) => {
            let entry = |(key, value)| match key {
                Binary::Text(key) => (key, readable(value)),
                other => panic!("a key is {other:?}"),
            };
            Value::Object(entries.into_iter().map(entry).collect())
        }
        other => serde_cbor_2::value::from_value(other).expect("JSON has it too"),
    }
}
