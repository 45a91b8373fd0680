//! Messages that go on in another format, or in the same.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use plushie_pool_core::{Binary, Forwarded, Header, MAX_DEPTH, Transport, decode_payload};
use plushie_pool_transport_json::Json;
use plushie_pool_transport_msgpack::Msgpack;
use serde_json::{Value, json};

const FORMATS: [&dyn Transport; 2] = [&Json, &Msgpack];

const HEADER: Header<'static> = Header {
    session: "new",
    id: Some("~1"),
};

fn payload(transport: &dyn Transport, frame: &Bytes) -> Bytes {
    let mut buffer = BytesMut::from(&frame[..]);
    let payload = transport.decoder().decode(&mut buffer).unwrap().unwrap();
    assert!(buffer.is_empty());
    payload
}

/// A message as its sender writes it.
fn written(transport: &dyn Transport, message: &Value) -> Bytes {
    match transport.name() {
        "json" => message.to_string().into(),
        _ => rmp_serde::to_vec(message).unwrap().into(),
    }
}

fn forwarded(from: &dyn Transport, to: &dyn Transport, message: &Value) -> Value {
    let payload_in = written(from, message);
    let frame = to
        .encode(HEADER, &Forwarded::new(from, &payload_in))
        .unwrap();
    decode_payload(to, &payload(to, &frame)).unwrap()
}

#[test]
fn whatever_a_message_holds_arrives_under_its_new_header() {
    let mut rng = Rng::with_seed(7);
    for round in 0..2000 {
        let mut message = random_map(&mut rng, 5);
        message["type"] = "x".into();
        if round % 2 == 0 {
            message["session"] = "old".into();
            message["id"] = "theirs".into();
        }
        for from in FORMATS {
            for to in FORMATS {
                let mut expected = message.clone();
                expected["session"] = "new".into();
                expected["id"] = "~1".into();
                assert_eq!(forwarded(from, to, &message), expected);
            }
        }
    }
}

fn random_map(rng: &mut Rng, depth: usize) -> Value {
    let key = |rng: &mut Rng| format!("k{}", rng.u8(..));
    let entries = (0..rng.usize(..6)).map(|_| (key(rng), random(rng, depth)));
    Value::Object(entries.collect())
}

fn random(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.u64(..).into(),
        3 => rng.i64(..).into(),
        4 => rng.f64().into(),
        5 => (0..rng.usize(..300))
            .map(|_| rng.char(..))
            .collect::<String>()
            .into(),
        6 => (0..rng.usize(..20))
            .map(|_| random(rng, depth - 1))
            .collect(),
        _ => random_map(rng, depth - 1),
    }
}

#[test]
fn pixels_are_bytes_where_there_are_bytes() {
    #[derive(serde::Serialize)]
    struct Screenshot {
        r#type: &'static str,
        rgba: Binary,
    }
    let shot = Screenshot {
        r#type: "screenshot_response",
        rgba: vec![0xfb, 0xff, 0, 1].into(),
    };
    for from in FORMATS {
        let sent = payload(from, &from.encode(HEADER, &shot).unwrap());
        let frame = Json.encode(HEADER, &Forwarded::new(from, &sent)).unwrap();
        let text = String::from_utf8_lossy(&frame).into_owned();
        assert!(text.contains("\"rgba\":\"+/8AAQ==\""), "{text}");
        let frame = Msgpack
            .encode(HEADER, &Forwarded::new(from, &sent))
            .unwrap();
        let bytes = [&b"\xa4rgba\xc4\x04"[..], &[0xfb, 0xff, 0, 1]].concat();
        assert!(
            frame.windows(bytes.len()).any(|part| part == bytes),
            "{frame:?}"
        );
    }
}

#[test]
fn credentials_go_no_further_however_deep_they_lie() {
    let message = json!({
        "type": "window_op", "token": "secret", "payload": {
            "token": "secret", "token_sha256": "secret", "pool_mode": "secret", "title": "t",
            "settings": [{"token": {"a": "secret"}, "size": 1}],
        },
    });
    let expected = json!({
        "type": "window_op", "session": "new", "id": "~1",
        "payload": {"title": "t", "settings": [{"size": 1}]},
    });
    for from in FORMATS {
        for to in FORMATS {
            let sent = written(from, &message);
            let guarded = Forwarded::new(from, &sent).without_credentials();
            let frame = to.encode(HEADER, &guarded).unwrap();
            assert!(!frame.windows(6).any(|part| part == b"secret"));
            let arrived: Value = decode_payload(to, &payload(to, &frame)).unwrap();
            assert_eq!(arrived, expected);
        }
    }
}

#[test]
fn texts_are_put_into_the_settings_and_nowhere_else() {
    let message = json!({
        "type": "settings", "a": 1, "settings": {"a": 2, "deep": {"settings": {"a": 3}}},
        "list": [{"settings": {}}],
    });
    let expected = json!({
        "type": "settings", "session": "new", "id": "~1", "a": 1,
        "settings": {"a": "in", "b": "too", "deep": {"settings": {"a": 3}}},
        "list": [{"settings": {}}],
    });
    let entries = [("a", "in"), ("b", "too")];
    for from in FORMATS {
        for to in FORMATS {
            let sent = written(from, &message);
            let shown = Forwarded::new(from, &sent).with_in_settings(&entries);
            let frame = to.encode(HEADER, &shown).unwrap();
            let arrived: Value = decode_payload(to, &payload(to, &frame)).unwrap();
            assert_eq!(arrived, expected);
        }
    }
    for other in [
        json!({"type": "settings"}),
        json!({"type": "x", "settings": "none"}),
    ] {
        let sent = written(FORMATS[0], &other);
        let shown = Forwarded::new(FORMATS[0], &sent).with_in_settings(&entries);
        let frame = FORMATS[1].encode(HEADER, &shown).unwrap();
        let arrived: Value = decode_payload(FORMATS[1], &payload(FORMATS[1], &frame)).unwrap();
        assert_eq!(arrived.get("settings"), other.get("settings"));
    }
}

#[test]
fn an_id_can_be_kept_and_texts_replaced_where_they_are() {
    let header = Header {
        session: "s",
        id: None,
    };
    let message = json!({"type": "hello", "id": "w", "transport": "stdio", "session": ""});
    let instead = [("transport", "listen"), ("codec", "json")];
    for from in FORMATS {
        for to in FORMATS {
            let sent = written(from, &message);
            let kept = Forwarded::new(from, &sent).keeping_id().with(&instead);
            let frame = to.encode(header, &kept).unwrap();
            let arrived: Value = decode_payload(to, &payload(to, &frame)).unwrap();
            let expected =
                json!({"type": "hello", "id": "w", "transport": "listen", "session": "s"});
            assert_eq!(arrived, expected);
        }
    }
}

#[test]
fn what_the_other_format_cannot_express_is_null_and_what_is_torn_an_error() {
    let mut infinite = vec![0x82, 0xa4];
    infinite.extend(b"type\xa1x\xa1a");
    infinite.extend([0xcb]);
    infinite.extend(f64::INFINITY.to_be_bytes());
    let number = Forwarded::new(&Msgpack, &infinite);
    assert!(Msgpack.encode(HEADER, &number).is_ok());
    let frame = Json.encode(HEADER, &number).unwrap();
    let arrived: Value = decode_payload(&Json, &payload(&Json, &frame)).unwrap();
    assert_eq!(arrived["a"], Value::Null);
    for torn in [&b"{\"type\":"[..], b"[]", b""] {
        assert!(Json.encode(HEADER, &Forwarded::new(&Json, torn)).is_err());
    }
}

/// A message is torn or garbled in every place; nothing but an error may come of it.
#[test]
fn nothing_but_an_error_comes_of_garbage() {
    let mut rng = Rng::with_seed(11);
    for _ in 0..300 {
        let mut message = random_map(&mut rng, 4);
        message["type"] = "window_op".into();
        for from in FORMATS {
            let sent = written(from, &message);
            for _ in 0..20 {
                let mut garbled = sent.to_vec();
                let at = rng.usize(..garbled.len());
                match rng.u8(..3) {
                    0 => garbled.truncate(at),
                    1 => garbled[at] = rng.u8(..),
                    _ => garbled.insert(at, rng.u8(..)),
                }
                for to in FORMATS {
                    let forwarded = Forwarded::new(from, &garbled).without_credentials();
                    if let Ok(frame) = to.encode(HEADER, &forwarded) {
                        payload(to, &frame);
                    }
                }
            }
        }
    }
}

/// On a thread like those that serve clients.
#[test]
fn the_deepest_message_there_may_be_fits_on_a_thread() {
    let mut deep = json!(1);
    for n in 2..MAX_DEPTH {
        deep = if n % 2 == 0 {
            json!([deep])
        } else {
            json!({"a": deep})
        };
    }
    let message = json!({"type": "x", "a": deep});
    let all = move || {
        for from in FORMATS {
            for to in FORMATS {
                assert_eq!(forwarded(from, to, &message)["a"], message["a"]);
                let deeper = json!({"type": "x", "a": {"a": [message["a"]]}});
                let sent = written(from, &deeper);
                assert!(to.encode(HEADER, &Forwarded::new(from, &sent)).is_err());
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    thread.spawn(all).unwrap().join().unwrap();
}
