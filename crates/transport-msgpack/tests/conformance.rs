//! The suite every wire format runs, and what only MessagePack can get wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::BytesMut;
use plushie_pool_core::{
    Binary, Error, ErrorKind, Forwarded, Header, MAX_DEPTH, MAX_PAYLOAD, Transport, conformance,
};
use plushie_pool_transport_msgpack::Msgpack;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

const HEADER: Header<'static> = Header {
    session: "s1",
    id: None,
};

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Error> {
    let mut read = None;
    Msgpack.deserialize(payload, &mut |de| {
        read = Some(erased_serde::deserialize(de)?);
        Ok(())
    })?;
    Ok(read.expect("`deserialize` calls it"))
}

/// A message of type `a` with this at the end.
fn message(entries: u8, more: &[u8]) -> Vec<u8> {
    [&[0x81 + entries][..], b"\xa4type\xa1a", more].concat()
}

#[test]
fn conforms() {
    // An array, a map, a text, bytes and an extension type of 4 GiB each, alone and as values.
    let mut hostile = conformance::Hostile::new()
        .output(b"\0\0\0\0")
        .output(b"\xff\xff\xff\xff")
        .payload([b"\x81\xa4type".to_vec(), vec![0x91; 100_000]].concat());
    for huge in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        let huge = [huge, 0xff, 0xff, 0xff, 0xff];
        hostile = hostile
            .payload(huge)
            .payload(message(1, &[&b"\xa1x"[..], &huge].concat()));
    }
    conformance::transport_with(&Msgpack, &hostile);
}

#[test]
fn a_frame_is_as_short_as_it_can_be_for_every_width_of_map() {
    for (own, front) in [
        (0, 1),
        (14, 1),
        (15, 3),
        (16, 3),
        (65_534, 3),
        (65_535, 5),
        (65_536, 5),
    ] {
        let body: BTreeMap<String, ()> = (0..own).map(|n| (n.to_string(), ())).collect();
        let frame = Msgpack.encode(HEADER, &body).unwrap();
        let mut plain = Vec::new();
        rmp::encode::write_map_len(&mut plain, own + 1).unwrap();
        assert_eq!(plain.len(), front);
        plain.extend_from_slice(b"\xa7session\xa2s1");
        let width = if own < 16 {
            1
        } else if own < 65_536 {
            3
        } else {
            5
        };
        plain.extend_from_slice(&rmp_serde::to_vec(&body).unwrap()[width..]);
        assert_eq!(&frame[..4], (plain.len() as u32).to_be_bytes());
        assert_eq!(&frame[4..], plain);
    }
}

#[test]
fn structs_have_field_names_and_binary_data_is_bin() {
    #[derive(serde::Serialize)]
    struct Image {
        r#type: &'static str,
        data: Binary,
    }
    let image = Image {
        r#type: "i",
        data: Binary::from(&b"hi"[..]),
    };
    let frame = Msgpack.encode(HEADER, &image).unwrap();
    assert_eq!(
        &frame[4..],
        b"\x83\xa7session\xa2s1\xa4type\xa1i\xa4data\xc4\x02hi"
    );
    let value: Value = read(&frame[4..]).unwrap();
    assert_eq!(value, json!({"session": "s1", "type": "i", "data": "aGk="}));
}

#[test]
fn floats_must_be_finite_as_in_json() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Msgpack.encode(HEADER, &BTreeMap::from([("x", float)]));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert!(error.to_string().contains(&float.to_string()), "{error}");
    }
}

#[test]
fn an_infinity_is_passed_on_as_the_null_that_a_renderer_reads() {
    let payload = b"\x82\xa4type\xa1a\xa1x\xcb\xff\xf0\0\0\0\0\0\0";
    let forwarded = Forwarded::new(&Msgpack, payload);
    let frame = Msgpack.encode(HEADER, &forwarded).unwrap();
    assert!(frame.ends_with(b"\xa4type\xa1a\xa1x\xc0"), "{frame:?}");
}

#[test]
fn json_text_and_extension_types_are_refused() {
    let raw = serde_json::value::RawValue::from_string("[1]".to_owned()).unwrap();
    let error = Msgpack.encode(HEADER, &BTreeMap::from([("x", raw)]));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("only JSON can carry"), "{error}");
}

#[test]
fn the_limit_is_on_the_payload() {
    let frame = |len| Msgpack.encode(HEADER, &BTreeMap::from([("x", Binary::from(vec![0; len]))]));
    let around = frame(1 << 16).unwrap().len() - (1 << 16);
    let longest = frame(MAX_PAYLOAD + 4 - around).unwrap();
    assert_eq!(longest.len(), MAX_PAYLOAD + 4);
    let error = frame(MAX_PAYLOAD + 5 - around).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
}

#[test]
fn an_envelope_borrows() {
    let payload = b"\x83\xa4type\xa1a\xa7session\xd9\x02b\"\xa2id\xda\x00\x01c";
    let envelope = Msgpack.envelope(payload).unwrap();
    assert!(matches!(envelope.kind, Cow::Borrowed("a")));
    assert!(matches!(envelope.session, Cow::Borrowed("b\"")));
    assert!(matches!(envelope.id, Some(Cow::Borrowed("c"))));
}

#[test]
fn an_envelope_needs_one_map_with_a_type() {
    let payloads: [&[u8]; 14] = [
        b"",
        b"{\"type\":\"a\"}",
        b"\xc0",
        b"\x90",
        b"\x07",
        b"\xa4type",
        b"\x80",
        b"\x81\xa4type\xc0",
        b"\x81\xa4type\xc4\x01a",
        b"\x81\xa4type\xa1\xff",
        b"\x82\xa4type\xa1a\xa7session\xc0",
        b"\x82\xa4type\xa1a\xa2id\xa1\xff",
        b"\x83\xa4type\xa1a\xa2id\xc0\xa2id\xc0",
        b"\x81\xa4type\xa1a\xc0",
    ];
    for payload in payloads {
        let error = Msgpack
            .envelope(payload)
            .expect_err(&format!("{payload:02x?}"));
        assert_eq!(error.kind(), ErrorKind::Decode);
    }
    let error = Msgpack
        .envelope(b"\x81\xa4type\xa1a\xc0")
        .unwrap_err()
        .to_string();
    assert!(error.contains("1 bytes follow it"), "{error}");
}

#[test]
fn every_kind_of_value_is_passed_over() {
    let kinds: &[(&[u8], usize)] = &[
        (b"\x7f", 0),
        (b"\xe0", 0),
        (b"\xc0", 0),
        (b"\xc2", 0),
        (b"\xc3", 0),
        (b"\xc4\x05", 5),
        (b"\xc5\x00\x05", 5),
        (b"\xc6\x00\x00\x00\x05", 5),
        (b"\xc7\x05\x01", 5),
        (b"\xc8\x00\x05\x01", 5),
        (b"\xc9\x00\x00\x00\x05\x01", 5),
        (b"\xca", 4),
        (b"\xcb", 8),
        (b"\xcc", 1),
        (b"\xcd", 2),
        (b"\xce", 4),
        (b"\xcf", 8),
        (b"\xd0", 1),
        (b"\xd1", 2),
        (b"\xd2", 4),
        (b"\xd3", 8),
        (b"\xd4\x01", 1),
        (b"\xd5\x01", 2),
        (b"\xd6\x01", 4),
        (b"\xd7\x01", 8),
        (b"\xd8\x01", 16),
        (b"\xa5", 5),
        (b"\xd9\x05", 5),
        (b"\xda\x00\x05", 5),
        (b"\xdb\x00\x00\x00\x05", 5),
        (b"\x92", 2),
        (b"\xdc\x00\x02", 2),
        (b"\xdd\x00\x00\x00\x02", 2),
        (b"\x81", 2),
        (b"\xde\x00\x01", 2),
        (b"\xdf\x00\x00\x00\x01", 2),
    ];
    for (start, len) in kinds {
        // A byte that is a small number where it stands for a value, and no text.
        let value = [start, &vec![0x7f; *len][..]].concat();
        let payload = message(2, &[&value, &value[..], b"\xa2id", &value].concat());
        let read = Msgpack.envelope(&payload);
        let envelope = read.unwrap_or_else(|error| panic!("{value:02x?}: {error}"));
        assert_eq!(envelope.kind, "a");
        let is_text = matches!(start[0], 0xa0..=0xbf | 0xd9..=0xdb);
        assert_eq!(envelope.id.is_some(), is_text, "{value:02x?}");
        for end in 0..payload.len() {
            assert!(
                Msgpack.envelope(&payload[..end]).is_err(),
                "{value:02x?} to {end}"
            );
        }
    }
    assert!(Msgpack.envelope(&message(1, b"\xa1x\xc1")).is_err());
    assert!(Msgpack.envelope(&message(1, b"\xa1x\xa1\xff")).is_ok());
}

/// Fails if it is told to make room for an array.
#[derive(Debug)]
struct Eager;

impl<'de> Deserialize<'de> for Eager {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Eager)
    }
}

impl<'de> Visitor<'de> for Eager {
    type Value = Eager;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, _: &str) -> Result<Eager, E> {
        Ok(Eager)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Eager, A::Error> {
        panic!("told to make room for {:?}", seq.size_hint());
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Eager, A::Error> {
        panic!("told to make room for {:?}", map.size_hint());
    }
}

#[test]
fn a_length_that_lies_is_found_out_before_it_is_believed() {
    for header in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\xdf\xff\xff\xff\xff",
        b"\xdc\x00\x02",
    ] {
        let payload = message(1, &[b"\xa1x", header, b"\x00"].concat());
        assert!(Msgpack.envelope(&payload).is_err());
        let error = read::<BTreeMap<String, Eager>>(&payload)
            .map(drop)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains("it ends too early"), "{error}");
    }
}

#[test]
fn text_that_is_not_utf8_does_not_pass_for_base64() {
    let error = read::<Value>(&message(1, b"\xa1x\xa1\xff")).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}

#[test]
fn depth_is_bounded_wherever_it_lies() {
    for key in [&b"\xa1x"[..], b"\xa2id", b"\xa5value"] {
        for open in [&b"\x91"[..], b"\x81\xa0"] {
            let nested = |levels| message(1, &[key, &open.repeat(levels), b"\x00"].concat());
            let deepest = nested(MAX_DEPTH - 1);
            Msgpack.envelope(&deepest).unwrap();
            read::<Value>(&deepest).unwrap();
            for levels in [MAX_DEPTH, 1_000_000] {
                let deeper = nested(levels);
                for error in [
                    Msgpack.envelope(&deeper).map(drop).unwrap_err(),
                    read::<Value>(&deeper).map(drop).unwrap_err(),
                ] {
                    assert_eq!(error.kind(), ErrorKind::Decode);
                    assert!(
                        error.to_string().contains("nests deeper than 127"),
                        "{error}"
                    );
                }
            }
        }
    }
    let empty = message(
        1,
        &[b"\xa1x", &b"\x91".repeat(MAX_DEPTH - 1)[..], b"\x90"].concat(),
    );
    assert!(Msgpack.envelope(&empty).is_err());
}

#[test]
fn a_length_over_the_limit_ends_the_stream() {
    for (start, is_text) in [(&b"Starting up..."[..], true), (b"\x04\x00\x00\x01", false)] {
        let mut buf = BytesMut::from(start);
        let error = Msgpack.decoder().decode(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Framing);
        let hinted = error
            .to_string()
            .contains("begins \"Starting up...\"; that is text");
        assert_eq!(hinted, is_text, "{error}");
    }
}
