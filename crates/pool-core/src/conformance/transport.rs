//! What every wire format has to do.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::BytesMut;
use erased_serde::Serialize;

use super::harness::{HEADER, Subject};
use super::samples::{Any, Entries, Keys, Nest, Numbers, Pixels, Shape, Texts, Transparent, With};
use crate::{Binary, Envelope, ErrorKind, Header, MAX_DEPTH, MAX_PAYLOAD, Transport};

/// Checks a wire format.
///
/// What needs bytes that no encoder writes (a payload that is no map, a `type` that is no
/// string, nesting beyond the limit) is for the format's own tests.
///
/// Takes a few seconds and some hundred megabytes: it goes to the limit of a message's size.
///
/// # Panics
///
/// At the first thing the format does wrong, saying what.
pub fn transport(transport: &dyn Transport) {
    let subject = Subject(transport);
    subject.frames_are_cut_wherever_reads_end();
    subject.output_that_never_ends_is_not_kept();
    subject.header_keys_are_added_once();
    subject.only_maps_are_messages();
    subject.maps_of_every_size_are_counted();
    subject.envelope_says_what_was_encoded();
    subject.envelope_passes_over_everything_else();
    subject.envelope_refuses_what_is_not_one_message();
    subject.text_survives();
    subject.numbers_survive();
    subject.binary_survives();
    subject.depth_is_bounded();
    subject.size_is_bounded();
}

impl Subject<'_> {
    fn frames_are_cut_wherever_reads_end(&self) {
        let texts = ["", "two\nlines\r\n", "three"];
        let frames = texts.map(|text| self.frame(HEADER, &With::data(text)));
        let whole = frames.concat();
        let expected = frames.map(|frame| self.payload_of(frame));

        for split in 0..=whole.len() {
            let (one, two) = whole.split_at(split);
            let got = self.payloads(&[one, two]);
            self.check(got == expected, || {
                format!("cuts three frames wrongly when reads end at byte {split}: {got:?}")
            });
        }
        let got = self.payloads(&whole.chunks(1).collect::<Vec<_>>());
        self.check(got == expected, || {
            format!("cuts three frames wrongly when read byte by byte: {got:?}")
        });

        let long = self.frame(HEADER, &With::data("x".repeat(4_000_000)));
        let got = self.payloads(&long.chunks(65_536).collect::<Vec<_>>());
        let expected = [self.payload_of(long)];
        self.check(got == expected, || {
            "loses a message of 4 MB that arrives in pieces".to_owned()
        });
    }

    fn output_that_never_ends_is_not_kept(&self) {
        const STEP: usize = 1024 * 1024;
        for byte in [0, b'x', 0xff] {
            let mut decoder = self.0.decoder();
            let mut buf = BytesMut::new();
            for _ in 0..MAX_PAYLOAD / STEP + 2 {
                buf.extend_from_slice(&[byte; STEP]);
                let mut results = std::iter::from_fn(|| decoder.decode(&mut buf).transpose());
                if let Some(error) = results.find_map(Result::err) {
                    self.expect_kind(&error, ErrorKind::Framing, "output without a message");
                    break;
                }
            }
            self.check(buf.len() <= MAX_PAYLOAD + STEP, || {
                format!("keeps more than {MAX_PAYLOAD} bytes of {byte:#04x} without an error")
            });
        }
    }

    fn header_keys_are_added_once(&self) {
        let odd = "s\"\\\u{0}\n\u{1f600}{}";
        for id in [None, Some("~1"), Some(odd)] {
            for session in ["", "s1", odd] {
                for body in [&[][..], &[("type", "x")], &[("type", "x"), ("a", "")]] {
                    let header = Header { session, id };
                    let payload = self.payload(header, &Entries(body));
                    let Keys(mut keys) = self.read(&payload);
                    let mut expected: Vec<_> = body.iter().map(|(key, _)| *key).collect();
                    expected.push("session");
                    expected.extend(id.map(|_| "id"));
                    keys.sort_unstable();
                    expected.sort_unstable();
                    self.check(keys == expected, || {
                        format!("writes {body:?} with {header:?} as a map of {keys:?}")
                    });
                    let read: BTreeMap<String, String> = self.read(&payload);
                    let written = (session, id);
                    let read = (read["session"].as_str(), read.get("id").map(String::as_str));
                    self.check(read == written, || {
                        format!("writes session and id {written:?} as {read:?}")
                    });
                }
            }
        }
    }

    fn only_maps_are_messages(&self) {
        let maps: [(&dyn Serialize, &str); 5] = [
            (&Shape::Newtype(1), "newtype"),
            (&Shape::Tuple(1, 2), "tuple"),
            (&Shape::Struct { a: 1 }, "struct"),
            (&Transparent(BTreeMap::from([("in", 1)])), "in"),
            (&Some(Entries(&[("some", "")])), "some"),
        ];
        for (body, key) in maps {
            let Keys(keys) = self.read(&self.payload(HEADER, body));
            let mut others = keys.iter().filter(|key| *key != "session");
            self.check(others.next().is_some_and(|first| first == key), || {
                format!("writes a body with the key {key:?} as a map of {keys:?}")
            });
        }

        let others: [(&dyn Serialize, &str); 7] = [
            (&1, "a number"),
            (&"{}", "a string"),
            (&true, "a boolean"),
            (&(), "nothing"),
            (&None::<Entries<'_>>, "no map"),
            (&vec![1], "an array"),
            (&(1, 2), "a tuple"),
        ];
        for (body, what) in others {
            match self.0.encode(HEADER, body) {
                Ok(frame) => self.fail(&format!("writes {what} as the message {frame:?}")),
                Err(error) => self.expect_kind(&error, ErrorKind::InvalidMessage, what),
            }
        }
    }

    fn maps_of_every_size_are_counted(&self) {
        for len in [
            0, 12, 13, 14, 15, 16, 253, 254, 65_532, 65_533, 65_534, 65_535,
        ] {
            let body: BTreeMap<_, _> = (0..len).map(|n| (n.to_string(), n)).collect();
            let header = Header {
                id: Some("~1"),
                ..HEADER
            };
            let Keys(keys) = self.read(&self.payload(header, &body));
            self.check(keys.len() == len + 2, || {
                format!(
                    "writes a map of {len} keys and two of the header as {}",
                    keys.len()
                )
            });
        }
    }

    fn envelope_says_what_was_encoded(&self) {
        let texts = [
            "",
            "plain",
            "q\"b\\n\nt\tz\0",
            "\u{1f600}\u{e9}\u{ffff}",
            "\u{7f}\u{80}",
        ];
        for text in texts {
            let text = text.to_owned();
            let keys = ["type", "family", "tag", "kind", "value"];
            let body = keys.map(|key| (key, format!("{key}{text}")));
            let body: Vec<_> = body
                .iter()
                .map(|(key, text)| (*key, text.as_str()))
                .collect();
            let (session, id) = (format!("s{text}"), format!("~{text}"));
            let header = Header {
                session: &session,
                id: Some(&id),
            };
            let payload = self.payload(header, &Entries(&body));
            let expected = Envelope {
                kind: body[0].1.into(),
                session: session.as_str().into(),
                id: Some(id.as_str().into()),
                family: Some(body[1].1.into()),
                tag: Some(body[2].1.into()),
                stub: Some(body[3].1.into()),
                value: Some(body[4].1.into()),
            };
            let envelope = self.envelope(&payload);
            self.check(envelope == expected, || {
                format!("reads the envelope {expected:?} as {envelope:?}")
            });
        }
    }

    fn envelope_passes_over_everything_else(&self) {
        let bare = Envelope {
            kind: Cow::Borrowed("sample"),
            session: Cow::Borrowed("s1"),
            ..Envelope::default()
        };
        let bodies: [&dyn Serialize; 4] = [
            &With::data(Numbers::extremes()),
            &With::data(Pixels::sample()),
            &With::data(Entries(&[("type", "no"), ("id", "no"), ("id", "twice")])),
            &With::data(Nest(MAX_DEPTH - 1)),
        ];
        for body in bodies {
            let payload = self.payload(HEADER, body);
            let envelope = self.envelope(&payload);
            self.check(envelope == bare, || {
                format!("is led astray by what lies below the first level: {envelope:?}")
            });
        }

        // A widget's `value` may be anything, and so may a key that only some messages use
        // as the pool does.
        for key in ["id", "family", "tag", "kind", "value"] {
            let odd: [&dyn Serialize; 6] =
                [&(), &7, &-0.5, &true, &[["x"]], &Entries(&[("type", "no")])];
            for value in odd {
                let body = BTreeMap::from([("type", &"sample" as &dyn Serialize), (key, value)]);
                let payload = self.payload(HEADER, &body);
                let envelope = self.envelope(&payload);
                self.check(envelope == bare, || {
                    format!("takes a `{key}` that is no string for one: {envelope:?}")
                });
            }
        }
    }

    fn envelope_refuses_what_is_not_one_message(&self) {
        let mixed = (
            Numbers::extremes(),
            Binary::from(&b"hi"[..]),
            "text",
            [true, false],
            (),
        );
        let payload = self.payload(HEADER, &With::data(mixed));
        for end in 0..payload.len() {
            self.refuse(&payload[..end], &format!("a message cut off at byte {end}"));
        }
        let twice = [&payload[..], &payload[..]].concat();
        self.refuse(&twice, "two messages in one payload");
        match self.0.deserialize(&twice, &mut |de| {
            erased_serde::deserialize::<Keys>(de).map(drop)
        }) {
            Ok(()) => self.fail("deserialises two messages in one payload as one"),
            Err(error) => self.expect_kind(&error, ErrorKind::Decode, "two messages in one"),
        }

        self.refuse(
            &self.payload(HEADER, &Entries(&[])),
            "a message without `type`",
        );
        for key in ["type", "session", "id", "family", "tag", "kind", "value"] {
            let body = [("type", "x"), (key, "a"), (key, "a")];
            let payload = self.payload(HEADER, &Entries(&body));
            self.refuse(&payload, &format!("a message with two `{key}`"));
        }

        // Whatever the answer, there has to be one.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for at in 0..payload.len() {
            for _ in 0..16 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let mut damaged = payload.to_vec();
                damaged[at] = random as u8;
                let _ = self.0.envelope(&damaged);
                let _ = self.try_read::<Any>(&damaged);
                let _ = self.0.envelope(&random.to_le_bytes()[..at % 9]);
            }
        }
    }

    fn text_survives(&self) {
        let texts = [
            "",
            "\0",
            "\"\\/\u{8}\u{c}\n\r\t",
            "\u{1f600}",
            "\u{10ffff}",
            "\u{feff}x",
        ];
        let mut body: BTreeMap<String, String> = texts
            .iter()
            .map(|text| (text.to_string(), text.repeat(3)))
            .collect();
        for len in [31, 32, 255, 256, 65_535, 65_536] {
            body.insert(len.to_string(), "x".repeat(len));
        }
        let read: With<BTreeMap<String, String>> =
            self.read(&self.payload(HEADER, &With::data(&body)));
        self.check(read.data == body, || {
            format!(
                "does not give back the text that was written: {:?}",
                read.data
            )
        });
    }

    fn numbers_survive(&self) {
        let numbers = With::data(Numbers::extremes());
        let payload = self.payload(HEADER, &numbers);
        let read: With<Numbers> = self.read(&payload);
        self.check(
            read == numbers && read.data.bits() == numbers.data.bits(),
            || format!("reads {numbers:?} as {read:?}"),
        );
        for wide in [u64::MAX.into(), i64::MIN.into(), 0_i128] {
            let read: With<i128> = self.read(&self.payload(HEADER, &With::data(wide)));
            self.check(read.data == wide, || {
                format!("reads {wide} as {}", read.data)
            });
        }
        let wide = i128::from(u64::MAX) + 1;
        self.refuse_to_write(&With::data(wide), "an integer of more than 64 bits");
    }

    fn binary_survives(&self) {
        let pixels = With::data(Pixels::sample());
        let payload = self.payload(HEADER, &pixels);
        let read: With<Pixels> = self.read(&payload);
        self.check(read == pixels, || {
            format!("reads binary data {pixels:?} as {read:?}")
        });

        let read: With<Texts> = self.read(&payload);
        let texts = Texts::sample();
        self.check(read.data == texts, || {
            format!(
                "hands to types that know no bytes {:?}, not {texts:?}",
                read.data
            )
        });
    }

    fn depth_is_bounded(&self) {
        let deepest = self.payload(HEADER, &With::data(Nest(MAX_DEPTH - 1)));
        self.envelope(&deepest);
        let _: With<Any> = self.read(&deepest);
        for nest in [MAX_DEPTH, MAX_DEPTH + 1, 1_000_000] {
            let body = With::data(Nest(nest));
            self.refuse_to_write(&body, &format!("a message of {} levels", nest + 1));
        }
    }

    fn size_is_bounded(&self) {
        // More than any format needs around one string.
        const AROUND: usize = 1024;
        let mut text = "x".repeat(MAX_PAYLOAD - AROUND);
        let payload = self.payload(HEADER, &With::data(&text));
        self.check(payload.len() <= MAX_PAYLOAD, || {
            format!(
                "makes a payload of {} bytes out of {}",
                payload.len(),
                text.len()
            )
        });
        self.envelope(&payload);
        text.extend(std::iter::repeat_n('x', AROUND));
        self.refuse_to_write(&With::data(&text), "a message over the limit");
    }
}
