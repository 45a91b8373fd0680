//! What the fuzz targets share.

use bytes::BytesMut;
use plushie_pool_core::{Transport, decode_payload};
use serde_json::Value;

/// How much a decoder may reserve for a payload of which only the beginning is there, in bytes.
const AHEAD: usize = 8 * 1024 * 1024;

/// Cuts `input` into payloads, fed in pieces of a size that its first byte decides, and reads
/// each both ways: the envelope must agree with what decoding the whole gives. Payloads that are
/// too long are passed over, as a renderer's are.
pub fn read(transport: &dyn Transport, input: &[u8]) {
    let Some((size, input)) = input.split_first() else {
        return;
    };
    let mut decoder = transport.decoder();
    let mut buffer = BytesMut::new();
    for piece in input.chunks(usize::from(*size) + 1) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(payload)) => agree(transport, &payload),
                Ok(None) => match decoder.passed_over() {
                    Some(_) => {}
                    None => break,
                },
                Err(_) if decoder.pass_over() => {}
                Err(_) => return,
            }
        }
        // A length that lies reserves no more than that.
        assert!(buffer.capacity() <= 2 * (input.len() + AHEAD));
    }
}

fn agree(transport: &dyn Transport, payload: &[u8]) {
    let envelope = transport.envelope(payload);
    let Ok(Value::Object(body)) = decode_payload::<Value>(transport, payload) else {
        return;
    };
    let Ok(envelope) = envelope else {
        return;
    };
    assert_eq!(body["type"], *envelope.kind);
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    assert_eq!(text("session").unwrap_or(""), envelope.session);
    for (key, read) in [
        ("id", &envelope.id),
        ("family", &envelope.family),
        ("tag", &envelope.tag),
        ("kind", &envelope.stub),
    ] {
        assert_eq!(text(key), read.as_deref(), "{key}");
    }
}
