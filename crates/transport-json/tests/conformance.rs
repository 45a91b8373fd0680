//! The suite every wire format runs, and what only JSON can get wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::BytesMut;
use plushie_pool_core::{ErrorKind, Header, MAX_DEPTH, MAX_PAYLOAD, Transport, conformance};
use plushie_pool_transport_json::Json;

const HEADER: Header<'static> = Header {
    session: "s1",
    id: None,
};

#[test]
fn conforms() {
    let hostile = conformance::Hostile::new()
        .payload([&b"{\"type\":"[..], &[b'['; 100_000]].concat())
        .payload(b"{\"type\":\"a\",\"x\":1e999}")
        .payload(b"{\"type\":\"a\",\"x\":\"\xff\"}")
        .payload(b"{\"type\":\"a\",\"x\":\"\\ud800\"}")
        .payload(b"{\"type\":\"a\",\"x\":\"\n\"}");
    conformance::transport_with(&Json, &hostile);
}

#[test]
fn a_message_is_one_line_with_the_header_in_front() {
    let empty = BTreeMap::<&str, &str>::new();
    let frame = Json.encode(HEADER, &empty).unwrap();
    assert_eq!(frame, "{\"session\":\"s1\" }\n");

    let header = Header {
        session: "\n\"",
        id: Some("~7"),
    };
    let body = BTreeMap::from([("a\n", "\u{2028}\n")]);
    let frame = Json.encode(header, &body).unwrap();
    let expected = "{\"session\":\"\\n\\\"\",\"id\":\"~7\",\"a\\n\":\"\u{2028}\\n\"}\n";
    assert_eq!(frame, expected);
}

#[test]
fn a_body_that_is_json_already_stays_on_one_line() {
    let raw = |json: &str| serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
    let frame = Json.encode(HEADER, &raw("{\n\"a\": [\n]\r\n}"));
    let expected = "{\"session\":\"s1\", \"a\": [ ]\r }\n";
    assert_eq!(frame.unwrap(), expected);
    let frame = Json.encode(HEADER, &raw("{ \n }")).unwrap();
    assert_eq!(
        Json.decoder().decode(&mut frame.into()).unwrap().unwrap(),
        "{\"session\":\"s1\"    }"
    );
}

#[test]
fn the_newline_counts_towards_the_limit() {
    let frame = |len| Json.encode(HEADER, &BTreeMap::from([("x", "x".repeat(len))]));
    let around = frame(0).unwrap().len();
    assert_eq!(frame(MAX_PAYLOAD - around).unwrap().len(), MAX_PAYLOAD);
    let error = frame(MAX_PAYLOAD - around + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(error.to_string().contains("67108865 bytes"), "{error}");
}

#[test]
fn floats_that_json_has_no_number_for_are_refused() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Json
            .encode(HEADER, &BTreeMap::from([("x", [float])]))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert!(error.to_string().contains(&float.to_string()), "{error}");
    }
}

#[test]
fn an_envelope_borrows_what_is_not_escaped() {
    let payload = br#"{"type":"a","session":"b\"","id":"c","data":{"id":"d"}}"#;
    let envelope = Json.envelope(payload).unwrap();
    assert!(matches!(envelope.kind, Cow::Borrowed("a")));
    assert!(matches!(&envelope.session, Cow::Owned(session) if session == "b\""));
    assert!(matches!(envelope.id, Some(Cow::Borrowed("c"))));
}

#[test]
fn an_envelope_needs_one_map_with_a_type() {
    for payload in [
        "",
        " ",
        "Starting up...",
        "null",
        "[]",
        "\"type\"",
        "7",
        r#"["type","session",null,null,null,null,null]"#,
        "{}",
        r#"{"session":"s1"}"#,
        r#"{"type":null}"#,
        r#"{"type":7}"#,
        r#"{"type":"a","session":null}"#,
        r#"{"type":"a","session":7}"#,
        r#"{"type":"a","id":null,"id":null}"#,
        r#"{"type":"a","type":"a"}"#,
        r#"{"type":"a","ty\u0070e":"a"}"#,
        r#"{"type":"a"}}"#,
        r#"{"type":"a"} {}"#,
        r#"{"type":"a",}"#,
        r#"{"type":"a" "b":1}"#,
        r#"{'type':'a'}"#,
        "{\"type\":\"a\nb\"}",
    ] {
        let error = Json.envelope(payload.as_bytes()).expect_err(payload);
        assert_eq!(error.kind(), ErrorKind::Decode, "{payload}");
    }
    for payload in [
        &b"{\"type\":\"\xff\"}"[..],
        b"{\"type\":\"a\",\"id\":\"\xff\"}",
    ] {
        assert!(Json.envelope(payload).is_err(), "{payload:?}");
    }
    let error = Json.envelope(b"Starting up...").unwrap_err().to_string();
    assert!(
        error.contains("\"Starting up...\": it is not a map"),
        "{error}"
    );
}

#[test]
fn an_envelope_does_not_decode_what_it_passes_over() {
    let odd = r#" {"data":[1e999,"\ud800",123456789012345678901234567890],"type":"a"} "#;
    let envelope = Json.envelope(odd.as_bytes()).unwrap();
    assert_eq!((&*envelope.kind, &*envelope.session), ("a", ""));
}

#[test]
fn depth_is_bounded_wherever_it_lies() {
    for key in ["data", "value", "id"] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize| {
                let (open, close) = (open.repeat(levels), close.repeat(levels));
                format!("{{\"type\":\"a\",\"{key}\":{open}0{close}}}")
            };
            let read = |payload: &str| {
                Json.deserialize(payload.as_bytes(), &mut |de| {
                    erased_serde::deserialize::<serde_json::Value>(de).map(drop)
                })
            };
            let deepest = nested(MAX_DEPTH - 1);
            Json.envelope(deepest.as_bytes()).unwrap();
            read(&deepest).unwrap();
            for levels in [MAX_DEPTH, 1_000_000] {
                let deeper = nested(levels);
                let error = Json.envelope(deeper.as_bytes()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Decode);
                assert_eq!(read(&deeper).unwrap_err().kind(), ErrorKind::Decode);
            }
        }
    }
}

#[test]
fn a_line_over_the_limit_ends_the_stream() {
    let mut decoder = Json.decoder();
    let mut buf = BytesMut::from(&vec![b' '; MAX_PAYLOAD + 1][..]);
    let error = decoder.decode(&mut buf).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Framing);
}
