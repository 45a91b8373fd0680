//! Frames and messages, as the renderer writes and reads them.

use serde_json::{Value, json};

/// The longest payload either side accepts.
pub const CAP: usize = 64 * 1024 * 1024;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object a line.
    Json,
    /// A big-endian `u32` of bytes, and that much MessagePack.
    Msgpack,
}

impl Format {
    /// What a renderer with these arguments speaks.
    pub fn of_args(args: &[String]) -> Self {
        if args.iter().any(|arg| arg == "--json") {
            Self::Json
        } else {
            Self::Msgpack
        }
    }

    /// A message with its frame.
    ///
    /// # Panics
    ///
    /// If the format cannot express it.
    pub fn frame(self, message: &Value) -> Vec<u8> {
        match self {
            Self::Json => (message.to_string() + "\n").into_bytes(),
            Self::Msgpack => {
                let payload = rmp_serde::to_vec(message).expect("JSON fits into MessagePack");
                self.framed(&payload)
            }
        }
    }

    /// Any bytes with the frame of a message.
    ///
    /// # Panics
    ///
    /// If there are more than a length can say.
    pub fn framed(self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Json => [payload, b"\n"].concat(),
            Self::Msgpack => {
                let len = u32::try_from(payload.len()).expect("a payload has a length");
                [&len.to_be_bytes(), payload].concat()
            }
        }
    }

    /// What makes the other side give up this side's output: more than the cap, and no message.
    pub fn over_cap(self) -> Vec<u8> {
        match self {
            Self::Json => vec![b'x'; CAP + 1],
            Self::Msgpack => {
                let len = u32::try_from(CAP + 1).unwrap_or(u32::MAX);
                [&len.to_be_bytes()[..], b"x"].concat()
            }
        }
    }

    /// Takes the first message off `buffer`, once it is there as a whole.
    ///
    /// # Panics
    ///
    /// If it cannot be read: the pool never sends such.
    pub fn take(self, buffer: &mut Vec<u8>) -> Option<Value> {
        match self {
            Self::Json => {
                let end = buffer.iter().position(|byte| *byte == b'\n')?;
                let line: Vec<u8> = buffer.drain(..=end).collect();
                Some(serde_json::from_slice(&line).expect("the pool sends JSON"))
            }
            Self::Msgpack => {
                let len = u32::from_be_bytes(*buffer.first_chunk()?) as usize;
                let payload = buffer.get(4..4 + len)?;
                let message = rmp_serde::from_slice(payload).expect("the pool sends MessagePack");
                buffer.drain(..4 + len);
                Some(message)
            }
        }
    }
}

/// What a renderer says first.
pub fn hello() -> Value {
    json!({
        "type": "hello", "session": "", "protocol_version": 1, "version": "0.0.0-scripted",
        "name": "scripted", "backend": "none", "mode": "mock", "extensions": [],
        "transport": "stdio",
    })
}

/// The messages by which a renderer answers this one, if it does.
pub fn answers(message: &Value) -> Vec<Value> {
    let kind = message["type"].as_str().unwrap_or_default();
    let mut reply = json!({"session": message["session"], "id": message["id"]});
    reply["type"] = match kind {
        "query" | "tree_hash" | "screenshot" | "interact" | "reset" | "effect" => {
            format!("{kind}_response").into()
        }
        _ => return Vec::new(),
    };
    match kind {
        "query" => reply["data"] = Value::Null,
        "interact" => reply["events"] = json!([]),
        "reset" => {
            let closed = json!({
                "type": "event", "family": "session_closed", "session": message["session"],
            });
            return vec![reply, closed];
        }
        _ => {}
    }
    vec![reply]
}
