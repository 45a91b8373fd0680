//! What arrives when the other end is broken, or means harm.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use super::checks::{Hex, panic_text};
use super::harness::{HEADER, Subject};
use super::nesting::Nesting;
use super::random::Random;
use super::samples::{Any, Entries, Nest, Numbers, Pixels, With};
use crate::{Binary, ErrorKind, Header, MAX_DEPTH, MAX_PAYLOAD};

/// What a format's own bytes can do that no change of a good payload would yield, for
/// [`transport_with`](super::transport_with).
///
/// ```
/// use plushie_pool_core::conformance::Hostile;
///
/// let hostile = Hostile::new()
///     // MessagePack: a map of one entry whose value is an array of 4 G elements.
///     .payload(b"\x81\xa1a\xdd\xff\xff\xff\xff")
///     // A length over the limit.
///     .output(b"\xff\xff\xff\xff");
/// ```
#[derive(Clone, Default)]
pub struct Hostile<'a> {
    payloads: Vec<Vec<u8>>,
    output: Vec<Vec<u8>>,
    allocated: Option<&'a dyn Fn() -> usize>,
}

/// How much reading one payload may allocate in all, apart from what its length justifies.
const ALLOCATED: usize = MAX_PAYLOAD;

/// And for each byte of it: an empty map in an array is two bytes and a tree node.
const ALLOCATED_FOR_EACH_BYTE: usize = 1024;

/// How many payloads of each random kind are tried.
const RANDOM: usize = 2048;

impl<'a> Hostile<'a> {
    /// Nothing besides what the suite makes itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a payload that [`deserialize`](crate::Transport::deserialize) is to refuse with
    /// [`ErrorKind::Decode`]; the envelope, which passes over most of it, need not.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payloads.push(payload.into());
        self
    }

    /// Adds output after which no frame can be found, to be refused with
    /// [`ErrorKind::Framing`].
    #[must_use]
    pub fn output(mut self, output: impl Into<Vec<u8>>) -> Self {
        self.output.push(output.into());
        self
    }

    /// Says how many bytes this thread has allocated so far, those that were freed again
    /// included; for that the test has an allocator that counts. Without it the suite does
    /// not check what a payload makes the format allocate.
    #[must_use]
    pub fn allocated(mut self, allocated: &'a dyn Fn() -> usize) -> Self {
        self.allocated = Some(allocated);
        self
    }

    pub(super) fn check(&self, subject: &Subject<'_>) {
        let attack = Attack {
            subject,
            hostile: self,
            samples: samples(subject),
        };
        let checks = &subject.checks;
        checks.property("a changed bit is answered", || attack.bits());
        checks.property("a length that lies is answered", || attack.lengths());
        checks.property("random and exchanged bytes are answered", || {
            attack.random()
        });
        checks.property("nesting beyond the limit is refused", || attack.nesting());
        checks.property("hostile payloads of the format are refused", || {
            for payload in &self.payloads {
                attack.try_payload(payload);
                let what = format_args!("the payload {}", Hex(payload));
                subject.refuse_message::<Any>(payload, what);
            }
        });
        checks.property("output that is no frames is answered", || attack.output());
    }
}

impl std::fmt::Debug for Hostile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hostile")
            .field("payloads", &self.payloads.len())
            .field("output", &self.output.len())
            .field("allocated", &self.allocated.is_some())
            .finish()
    }
}

/// Good payloads, small enough to be changed in every place.
fn samples(subject: &Subject<'_>) -> Vec<Bytes> {
    let header = Header {
        id: Some("~1"),
        ..HEADER
    };
    let mixed = (
        "text",
        -70_000,
        0.5,
        [true, false],
        (),
        Binary::from(&b"hi"[..]),
    );
    let nested = BTreeMap::from([("a", BTreeMap::from([("b", [1, 2, 3])]))]);
    let event = [
        ("type", "event"),
        ("family", "click"),
        ("value", "\u{e9}\n"),
    ];
    vec![
        subject.payload(header, &With::data(mixed)),
        subject.payload(HEADER, &With::data(nested)),
        subject.payload(header, &Entries(&event)),
    ]
}

struct Attack<'a> {
    subject: &'a Subject<'a>,
    hostile: &'a Hostile<'a>,
    samples: Vec<Bytes>,
}

impl Attack<'_> {
    fn bits(&self) {
        for sample in &self.samples {
            for at in 0..sample.len() {
                for bit in 0..8 {
                    let mut payload = sample.to_vec();
                    payload[at] ^= 1 << bit;
                    self.try_payload(&payload);
                }
            }
        }
    }

    /// Wherever a value may begin, every byte that may announce a long one.
    fn lengths(&self) {
        let sample = &self.samples[0];
        for at in 0..sample.len().min(64) {
            let (before, after) = sample.split_at(at);
            for first in 0..=u8::MAX {
                let announced = [first, 0xff, 0xff, 0xff, 0xff];
                self.try_payload(&[before, &announced, after].concat());
                self.try_payload(&[before, &announced, &[0xff; 4]].concat());
            }
        }
    }

    fn random(&self) {
        let mut random = Random::new();
        for _ in 0..RANDOM {
            let noise: Vec<u8> = (0..random.below(64)).map(|_| random.byte()).collect();
            self.try_payload(&noise);

            let [one, other] = [(); 2].map(|()| {
                let sample = &self.samples[random.below(self.samples.len())];
                (
                    sample,
                    random.below(sample.len()),
                    random.below(sample.len()),
                )
            });
            // The beginning of one and the end of another.
            self.try_payload(&[&one.0[..one.1], &other.0[other.1..]].concat());
            // A part again, a part left out, noise in its place.
            let (from, to) = (one.1.min(one.2), one.1.max(one.2));
            self.try_payload(&[&one.0[..to], &one.0[from..]].concat());
            self.try_payload(&[&one.0[..from], &one.0[to..]].concat());
            self.try_payload(&[&one.0[..from], &noise, &one.0[to..]].concat());
        }
    }

    fn nesting(&self) {
        let deepest = self
            .subject
            .payload(HEADER, &With::data(Nest(MAX_DEPTH - 1)));
        self.try_payload(&deepest);
        let level = "a payload that nests deeper than MAX_DEPTH";
        // With an even number of levels and with an odd one: the first refused have 128 and 129.
        for nest in [MAX_DEPTH - 2, MAX_DEPTH - 1] {
            let Some(nesting) = Nesting::find(nest, |nest| {
                self.subject.payload(HEADER, &With::data(Nest(nest)))
            }) else {
                // The format writes nesting in no way that can be repeated.
                continue;
            };
            // Once more is what was compared, and the most that is allowed.
            for more in [2, 3, 65, 100_000] {
                let payload = nesting.deeper(more);
                self.try_payload(&payload);
                self.subject.refuse_all::<Any>(&payload, level);
                // The same without an end.
                self.try_payload(&nesting.only_opened(more));
            }
        }
    }

    fn output(&self) {
        for output in &self.hostile.output {
            self.cut(&[output], true);
            self.cut(&output.chunks(1).collect::<Vec<_>>(), true);
        }
        let frames = [
            self.subject.frame(HEADER, &With::data("x")),
            self.subject.frame(HEADER, &With::data(Numbers::extremes())),
            self.subject.frame(HEADER, &With::data(Pixels::sample())),
        ]
        .concat();
        let mut random = Random::new();
        for _ in 0..RANDOM {
            let mut output = frames[..random.below(frames.len().min(4096))].to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(output.len());
                if let Some(byte) = output.get_mut(at) {
                    *byte = random.byte();
                }
            }
            let (one, two) = output.split_at(random.below(output.len()));
            self.cut(&[one, two], false);
        }
    }

    /// Cuts output that is read in these pieces.
    fn cut(&self, reads: &[&[u8]], is_refused: bool) {
        let subject = self.subject;
        let mut decoder = subject.transport.decoder();
        let mut buf = BytesMut::new();
        let read: usize = reads.iter().map(|read| read.len()).sum();
        let mut payloads = 0;
        for read_now in reads {
            buf.extend_from_slice(read_now);
            loop {
                match decoder.decode(&mut buf) {
                    Ok(Some(payload)) => {
                        payloads += 1;
                        self.try_payload(&payload);
                        subject.expect(
                            payloads <= read,
                            format_args!("at most {read} payloads in {read} bytes"),
                            "more",
                        );
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let what = "output that is no frames";
                        return subject.expect_kind(&error, ErrorKind::Framing, what);
                    }
                }
            }
            subject.expect(
                buf.capacity() <= ALLOCATED,
                format_args!("room for at most {ALLOCATED} bytes"),
                format_args!("{} reserved for output of {read}", buf.capacity()),
            );
        }
        subject.expect(
            !is_refused,
            format_args!("ErrorKind::Framing for {}", Hex(&reads.concat())),
            "no error",
        );
    }

    /// Reads a payload in every way, and expects an answer.
    fn try_payload(&self, payload: &[u8]) {
        let subject = self.subject;
        let kind = self.bounded("the envelope", payload, || {
            match subject.transport.envelope(payload) {
                Ok(envelope) => Some(envelope.kind.into_owned()),
                Err(error) => {
                    let what = format_args!("the envelope of {}", Hex(payload));
                    subject.expect_kind(&error, ErrorKind::Decode, what);
                    None
                }
            }
        });
        let read = self.bounded("the message", payload, || subject.try_read::<Any>(payload));
        if let Err(error) = &read {
            let what = format_args!("the message {}", Hex(payload));
            subject.expect_kind(error, ErrorKind::Decode, what);
        }
        // Both see the same message. Bytes in the place of text are base64 to a reader, and may
        // be text to the envelope.
        if let (Some(kind), Ok(_)) = (kind, read)
            && let Ok(typed) = subject.try_read::<Typed>(payload)
            && typed.kind != STANDARD.encode(&kind)
        {
            let what = format_args!("the `type` of {}", Hex(payload));
            subject.expect_same(what, typed.kind, kind);
        }
    }

    /// Neither panics nor allocates without a bound.
    fn bounded<T>(&self, what: &str, payload: &[u8], read: impl FnOnce() -> T) -> T {
        let subject = self.subject;
        let allocated = || self.hostile.allocated.map_or(0, |allocated| allocated());
        let before = allocated();
        let answer = catch_unwind(AssertUnwindSafe(read));
        let allocated = allocated().saturating_sub(before);
        let answer = answer.unwrap_or_else(|panic| {
            let text = panic_text(&*panic);
            if text.starts_with("transport ") {
                std::panic::resume_unwind(panic);
            }
            subject.fail(
                format_args!("an answer for {what} of {}", Hex(payload)),
                format_args!("a panic: {text}"),
            )
        });
        let bound = ALLOCATED + ALLOCATED_FOR_EACH_BYTE * payload.len();
        subject.expect(
            allocated <= bound,
            format_args!(
                "at most {bound} bytes allocated for {what} of {}",
                Hex(payload)
            ),
            allocated,
        );
        answer
    }
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}
