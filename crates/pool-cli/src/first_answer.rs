//! What a server says first: hello, or why it does not serve.

use bytes::{Bytes, BytesMut};
use plushie_pool::Transport;
use plushie_pool::core::decode_payload;
use plushie_pool_transport_json::Tolerant as Json;
use plushie_pool_transport_msgpack::Tolerant as Msgpack;
use serde::Deserialize;

/// Looks for a refusal in the first message of all that a server sends.
#[derive(Debug, Default)]
pub(crate) struct FirstAnswer {
    read: BytesMut,
    is_over: bool,
    refusal: Option<String>,
}

/// How much of it is kept: a hello takes less.
const MOST: usize = 64 * 1024;

impl FirstAnswer {
    /// The server sent this next.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        if self.is_over {
            return;
        }
        self.read.extend_from_slice(bytes);
        let transport = transport_of(&self.read);
        let payload = transport.decoder().decode(&mut self.read.clone());
        let payload = match payload {
            Ok(None) if self.read.len() < MOST => return,
            Ok(payload) => payload,
            // The client says what it thinks of that.
            Err(_) => None,
        };
        self.refusal = payload.and_then(|payload| refusal(transport, &payload));
        self.is_over = true;
        self.read = BytesMut::new();
    }

    /// Why it does not serve, if it said so.
    pub(crate) fn refusal(self) -> Option<String> {
        self.refusal
    }
}

/// The format that begins like this, read as a renderer reads it.
pub(crate) fn transport_of(bytes: &[u8]) -> &'static dyn Transport {
    match bytes.first() {
        Some(b'{') => &Json,
        _ => &Msgpack,
    }
}

fn refusal(transport: &dyn Transport, payload: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Refused {
        message: String,
    }
    let is_error = transport.envelope(payload).ok()?.kind == "error";
    let refused: Refused = is_error.then(|| decode_payload(transport, payload).ok())??;
    Some(refused.message)
}
