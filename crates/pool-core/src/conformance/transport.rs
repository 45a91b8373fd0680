//! What every wire format has to do.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::BytesMut;
use erased_serde::Serialize;

use super::harness::{HEADER, Subject};
use super::hostile::Hostile;
use super::samples::{Any, Entries, Keys, Nest, Numbers, Pixels, Shape, Texts, Transparent, With};
use super::types::Types;
use crate::{Binary, Envelope, ErrorKind, Header, MAX_DEPTH, MAX_PAYLOAD, Transport};

/// Checks a wire format; as [`transport_with`], without hostile payloads of the format's own.
///
/// # Panics
///
/// At the first property that does not hold, with its name, what was expected, and what the
/// format did.
pub fn transport(transport: &dyn Transport) {
    transport_with(transport, &Hostile::new());
}

/// Checks a wire format: that what it writes it reads back, that it refuses what a renderer
/// would not read, and that no payload makes it panic, allocate without a bound, or answer
/// with another kind of error.
///
/// The suite makes hostile payloads of the format's own good ones: cut off, with bits turned
/// over, bytes inserted that may announce long values, parts repeated or exchanged, nested
/// deeper than allowed. What no change of a good payload yields, `hostile` adds.
///
/// Takes some ten seconds without optimisation, and some hundred megabytes: it goes to the
/// limit of a message's size.
///
/// # Panics
///
/// As [`transport`].
pub fn transport_with(transport: &dyn Transport, hostile: &Hostile<'_>) {
    let subject = Subject::new(transport);
    for (property, check) in Subject::properties() {
        subject.checks.property(property, || check(&subject));
    }
    hostile.check(&subject);
}

/// A property's name, and what checks it.
type Property<S> = (&'static str, fn(&S));

impl Subject<'_> {
    fn properties() -> [Property<Self>; 14] {
        [
            (
                "frames are cut wherever reads end",
                Self::frames_are_cut_wherever_reads_end,
            ),
            (
                "output that never ends is not kept",
                Self::output_that_never_ends_is_not_kept,
            ),
            (
                "header keys are added once",
                Self::header_keys_are_added_once,
            ),
            ("only maps are messages", Self::only_maps_are_messages),
            (
                "maps of every size are counted",
                Self::maps_of_every_size_are_counted,
            ),
            (
                "the envelope says what was encoded",
                Self::envelope_says_what_was_encoded,
            ),
            (
                "the envelope passes over everything else",
                Self::envelope_passes_over_everything_else,
            ),
            (
                "the envelope refuses what is not one message",
                Self::envelope_refuses_what_is_not_one_message,
            ),
            ("text survives", Self::text_survives),
            ("numbers survive", Self::numbers_survive),
            ("binary data survives", Self::binary_survives),
            (
                "types are read as in any other format",
                Self::types_are_read_alike,
            ),
            ("depth is bounded", Self::depth_is_bounded),
            ("size is bounded", Self::size_is_bounded),
        ]
    }

    fn frames_are_cut_wherever_reads_end(&self) {
        let texts = ["", "two\nlines\r\n", "three"];
        let frames = texts.map(|text| self.frame(HEADER, &With::data(text)));
        let whole = frames.concat();
        let expected = frames.map(|frame| self.payload_of(frame));

        for split in 0..=whole.len() {
            let (one, two) = whole.split_at(split);
            let got = self.payloads(&[one, two]);
            let what = format_args!("three frames, read up to byte {split} and from there,");
            self.expect_same(what, &expected[..], &got);
        }
        let got = self.payloads(&whole.chunks(1).collect::<Vec<_>>());
        self.expect_same("three frames, read byte by byte,", &expected[..], &got);

        let long = self.frame(HEADER, &With::data("x".repeat(4_000_000)));
        let got = self.payloads(&long.chunks(65_536).collect::<Vec<_>>());
        self.expect(
            got == [self.payload_of(long)],
            "a message of 4 MB that arrives in pieces",
            "something else",
        );
    }

    fn output_that_never_ends_is_not_kept(&self) {
        const STEP: usize = 1024 * 1024;
        for byte in [0, b'x', 0xff] {
            let mut decoder = self.transport.decoder();
            let mut buf = BytesMut::new();
            for _ in 0..MAX_PAYLOAD / STEP + 2 {
                buf.extend_from_slice(&[byte; STEP]);
                let mut results = std::iter::from_fn(|| decoder.decode(&mut buf).transpose());
                if let Some(error) = results.find_map(Result::err) {
                    self.expect_kind(&error, ErrorKind::Framing, "output without a message");
                    break;
                }
            }
            self.expect(
                buf.len() <= MAX_PAYLOAD + STEP,
                format_args!("an error after {MAX_PAYLOAD} bytes of {byte:#04x}"),
                "none",
            );
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
                    let what = format_args!("the keys of {body:?} with {header:?}");
                    self.expect_same(what, expected, keys.iter().map(String::as_str).collect());
                    let read: BTreeMap<String, String> = self.read(&payload);
                    let written = (session, id);
                    let read = (read["session"].as_str(), read.get("id").map(String::as_str));
                    self.expect_same("session and id", written, read);
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
            self.expect(
                others.next().is_some_and(|first| first == key),
                format_args!("a map with the key {key:?}"),
                format_args!("one of {keys:?}"),
            );
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
            match self.transport.encode(HEADER, body) {
                Ok(frame) => self.fail(
                    format_args!("ErrorKind::InvalidMessage for {what}"),
                    format_args!("the frame {frame:?}"),
                ),
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
            let what = format_args!("the number of keys of {len} and two of the header");
            self.expect_same(what, len + 2, keys.len());
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
            self.expect_same("the envelope", expected, envelope);
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
            self.expect_same("the envelope beside what lies deeper", &bare, &envelope);
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
                let what = format_args!("the envelope with a `{key}` that is no string");
                self.expect_same(what, &bare, &envelope);
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
            let what = format_args!("a message cut off at byte {end}");
            self.refuse_all::<Any>(&payload[..end], what);
        }
        let twice = [&payload[..], &payload[..]].concat();
        self.refuse_all::<Keys>(&twice, "two messages in one payload");

        self.refuse(
            &self.payload(HEADER, &Entries(&[])),
            "a message without `type`",
        );
        for key in ["type", "session", "id", "family", "tag", "kind", "value"] {
            let body = [("type", "x"), (key, "a"), (key, "a")];
            let payload = self.payload(HEADER, &Entries(&body));
            self.refuse(&payload, format_args!("a message with two `{key}`"));
        }
        let odd: [&dyn Serialize; 6] = [&(), &7, &-0.5, &true, &["x"], &Entries(&[("type", "no")])];
        for value in odd {
            let payload = self.payload(HEADER, &BTreeMap::from([("type", value)]));
            self.refuse(&payload, "a `type` that is no string");
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
        self.expect_same("text", &body, &read.data);
    }

    fn numbers_survive(&self) {
        let numbers = With::data(Numbers::extremes());
        let payload = self.payload(HEADER, &numbers);
        let read: With<Numbers> = self.read(&payload);
        self.expect_same("numbers", &numbers, &read);
        self.expect_same("floats, bit by bit,", numbers.data.bits(), read.data.bits());
        for wide in [u64::MAX.into(), i64::MIN.into(), 0_i128] {
            let read: With<i128> = self.read(&self.payload(HEADER, &With::data(wide)));
            self.expect_same("a 128-bit integer that fits into 64", wide, read.data);
        }
        let wide = i128::from(u64::MAX) + 1;
        self.refuse_to_write(&With::data(wide), "an integer of more than 64 bits");
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            self.refuse_to_write(&With::data([float]), float);
            self.refuse_to_write(&With::data(float as f32), float);
        }
    }

    fn binary_survives(&self) {
        let pixels = With::data(Pixels::sample());
        let payload = self.payload(HEADER, &pixels);
        let read: With<Pixels> = self.read(&payload);
        self.expect_same("binary data", &pixels, &read);

        let read: With<Texts> = self.read(&payload);
        self.expect_same("binary data, as text,", Texts::sample(), read.data);
    }

    /// What a caller writes and reads back is the same in every format, and so is what the
    /// renderer reads.
    fn types_are_read_alike(&self) {
        let types = With::data(Types::sample());
        let payload = self.payload(HEADER, &types);
        let read: With<Types> = self.read(&payload);
        self.expect_same("values of many types", &types, &read);
        let read: With<Any> = self.read(&payload);
        self.expect_same("values of many types, as such,", Types::as_any(), read.data);

        let keys: [&dyn Serialize; 4] = [
            &BTreeMap::from([((), 1)]),
            &BTreeMap::from([(None::<&str>, 1)]),
            &BTreeMap::from([(["array"], 1)]),
            &BTreeMap::from([(BTreeMap::from([("a", "map")]), 1)]),
        ];
        for key in keys {
            self.refuse_to_write(&With::data(key), "a key that is no text");
        }
    }

    fn depth_is_bounded(&self) {
        let deepest = self.payload(HEADER, &With::data(Nest(MAX_DEPTH - 1)));
        self.envelope(&deepest);
        let _: With<Any> = self.read(&deepest);
        for nest in [MAX_DEPTH, MAX_DEPTH + 1, 1_000_000] {
            let body = With::data(Nest(nest));
            self.refuse_to_write(&body, format_args!("a message of {} levels", nest + 1));
        }
    }

    fn size_is_bounded(&self) {
        // More than any format needs around one string.
        const AROUND: usize = 1024;
        let mut text = "x".repeat(MAX_PAYLOAD - AROUND);
        let payload = self.payload(HEADER, &With::data(&text));
        self.expect(
            payload.len() <= MAX_PAYLOAD,
            format_args!(
                "at most {MAX_PAYLOAD} bytes of payload for a text of {}",
                text.len()
            ),
            payload.len(),
        );
        self.envelope(&payload);
        text.extend(std::iter::repeat_n('x', AROUND));
        self.refuse_to_write(&With::data(&text), "a message over the limit");
    }
}
