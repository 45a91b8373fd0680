//! Messages, and what becomes of them on the way from an encoder that means well.

use std::fmt;

use fastrand::Rng;
use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};

use super::value::Odd;

/// Bytes to be sent, and the sessions that may be touched by them.
pub(super) struct Case {
    pub(super) bytes: Vec<u8>,
    pub(super) sessions: Vec<String>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.bytes.escape_ascii())
    }
}

/// Makes cases from a seed.
pub(super) struct Generator {
    format: Format,
    rng: Rng,
}

/// Raw bytes that read as a text in base64, as a name of a session.
const BYTES: &[u8] = b"session";
const BYTES_AS_TEXT: &str = "c2Vzc2lvbg==";

impl Generator {
    pub(super) fn new(format: Format, seed: u64) -> Self {
        Self {
            format,
            rng: Rng::with_seed(seed),
        }
    }

    pub(super) fn case(&mut self, n: u64) -> Case {
        let name = format!("s{n}");
        let mut bytes = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            let message = self.message(&name);
            let mut message = Odd::from(&message);
            for _ in 0..self.rng.usize(0..4) {
                self.change(&mut message, 0);
            }
            let payload = self.written(&message);
            if !payload.is_empty() {
                bytes.extend(self.format.framed(&payload));
            }
        }
        let sessions = [&*name, "", "other", BYTES_AS_TEXT];
        Case {
            bytes,
            sessions: sessions.map(str::to_owned).into(),
        }
    }

    fn message(&mut self, session: &str) -> Value {
        let by_id = json!({"by": "id", "value": "label"});
        let button = json!({"by": "id", "value": "button"});
        let op = json!({"op": "update_props", "path": [0], "props": {"content": "patched"}});
        let tree = json!({"id": "main", "type": "window", "props": {"title": 1}, "children": [
            {"id": "label", "type": "text", "props": {"content": "new"}, "children": []},
        ]});
        let messages = [
            json!({"type": "query", "id": "q", "target": "find", "selector": by_id}),
            json!({"type": "query", "id": "q", "target": "tree"}),
            json!({"type": "tree_hash", "id": "h", "name": "n"}),
            json!({"type": "screenshot", "id": "x", "name": "n", "width": 10, "height": 10}),
            json!({"type": "interact", "id": "i", "action": "click", "selector": button}),
            json!({"type": "snapshot", "tree": tree}),
            json!({"type": "patch", "ops": [op]}),
            json!({"type": "widget_op", "op": "focus", "payload": {"target": "button"}}),
            json!({"type": "subscribe", "kind": "on_key_press", "tag": "keys"}),
            json!({"type": "register_effect_stub", "kind": "file_open", "response": {"a": 1}}),
            json!({"type": "unregister_effect_stub", "kind": "file_open"}),
            json!({"type": "effect", "id": "e", "kind": "file_open", "payload": {}}),
            json!({"type": "command", "id": "button", "family": "focus", "value": 1}),
            json!({"type": "advance_frame", "timestamp": 16}),
            json!({"type": "settings", "settings": {"default_text_size": 12.5}}),
            json!({"type": "window_op", "op": "resize", "window_id": "main", "payload": {}}),
            json!({"type": "nothing_that_is_known", "id": "u"}),
        ];
        let mut message = messages[self.rng.usize(..messages.len())].clone();
        match self.rng.u8(..8) {
            0 => {}
            1 => message["session"] = "".into(),
            2 => message["session"] = "other".into(),
            _ => message["session"] = session.into(),
        }
        message
    }

    /// Does to a value, or to what lies in it, what no encoder should.
    fn change(&mut self, value: &mut Odd, depth: usize) {
        let Odd::Map(entries) = value else {
            if let Odd::List(values) = value
                && let Some(at) = self.index(values.len())
                && self.rng.bool()
            {
                return self.change(&mut values[at], depth + 1);
            }
            *value = self.odd(depth);
            return;
        };
        let at = self.index(entries.len());
        match (self.rng.u8(..12), at) {
            // Twice, with another value or the same, before or behind.
            (0..=2, Some(at)) => {
                let mut entry = entries[at].clone();
                if self.rng.bool() {
                    entry.1 = self.odd(depth + 1);
                }
                let to = self.rng.usize(..=entries.len());
                entries.insert(to, entry);
            }
            (3, _) => self.rng.shuffle(entries),
            (4, Some(at)) => entries[at].1 = self.odd(depth + 1),
            (5, Some(at)) => drop(entries.remove(at)),
            (6, _) => {
                let key = self.key();
                entries.push((key, self.odd(depth + 1)));
            }
            (7, Some(at)) => entries[at].0 = self.key_like(&entries[at].0),
            (_, Some(at)) => self.change(&mut entries[at].1, depth + 1),
            (_, None) => {}
        }
    }

    fn index(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.rng.usize(..len))
    }

    /// A value of any kind. Below the top a map is left a map now and then.
    fn odd(&mut self, depth: usize) -> Odd {
        let json = self.format == Format::Json;
        match self.rng.u8(..22) {
            0 => Odd::Null,
            1 => Odd::Bool(self.rng.bool()),
            2 => Odd::Int(5),
            3 => Odd::Int(-1),
            4 => Odd::Int(u64::MAX.into()),
            5 => Odd::Int(i64::MIN.into()),
            6 => Odd::F64(-0.0),
            7 => Odd::F64(1.0),
            8 => Odd::F32(0.1),
            9 if json => Odd::Raw(b"1e400".into()),
            9 => Odd::F64(f64::NAN),
            10 if json => Odd::Raw(b"123456789012345678901234567890".into()),
            10 => Odd::F32(f32::INFINITY),
            11 => Odd::text("other"),
            12 => Odd::text("\u{0}\u{1f600}\u{feff}\u{fffd}\u{10ffff}"),
            13 if json => Odd::Raw(b"\"\\ud800\"".into()),
            13 => Odd::Text(b"\xff\xfe".into()),
            14 => Odd::Bytes(BYTES.into()),
            15 if json => Odd::Raw(b"\"a\tb\"".into()),
            15 => Odd::Raw(self.extension()),
            16 if json => Odd::Raw(b"-0".into()),
            16 => Odd::Raw(vec![0xc1]),
            17 => Odd::List(Vec::new()),
            18 => Odd::Map(Vec::new()),
            19 => Odd::List(vec![
                Odd::text("label"),
                Odd::text("text"),
                Odd::Map(Vec::new()),
            ]),
            20 => Odd::Map(vec![
                (Odd::text("a"), Odd::Int(1)),
                (Odd::text("a"), Odd::Int(2)),
                (self.key(), Odd::Null),
            ]),
            _ => {
                let levels = self.rng.usize(118..129).saturating_sub(depth);
                self.nested(levels)
            }
        }
    }

    fn nested(&mut self, levels: usize) -> Odd {
        let lists = self.rng.bool();
        let core = Odd::Int(1);
        (0..levels).fold(core, |inner, _| match lists {
            true => Odd::List(vec![inner]),
            false => Odd::Map(vec![(Odd::text("a"), inner)]),
        })
    }

    fn extension(&mut self) -> Vec<u8> {
        match self.rng.u8(..4) {
            0 => vec![0xd4, 1, 2],
            1 => vec![0xd6, 0xff, 0, 0, 0, 1],
            2 => vec![0xc7, 3, 5, 1, 2, 3],
            _ => vec![0xc7, 0, 5],
        }
    }

    fn key(&mut self) -> Odd {
        match self.rng.u8(..14) {
            0 => Odd::text("session"),
            1 => Odd::text("id"),
            2 => Odd::text("type"),
            3 => Odd::text("rgba"),
            4 => Odd::text("token"),
            5 => Odd::Int(7),
            6 => Odd::Null,
            7 => Odd::Bool(true),
            8 => Odd::Bytes(b"id".into()),
            9 => Odd::F64(1.5),
            10 => Odd::List(vec![Odd::Int(1), Odd::text("x")]),
            11 => Odd::Map(vec![(Odd::text("k"), Odd::Null)]),
            _ => Odd::text("unknown"),
        }
    }

    /// The same key, written in another way; or another one.
    fn key_like(&mut self, key: &Odd) -> Odd {
        match key {
            Odd::Text(text) if self.format == Format::Json => {
                let escaped = text.iter().map(|byte| format!("\\u{byte:04x}"));
                Odd::Raw(format!("\"{}\"", escaped.collect::<String>()).into())
            }
            Odd::Text(text) if self.rng.bool() => Odd::Bytes(text.clone()),
            _ => self.key(),
        }
    }

    /// A payload, with something around it now and then.
    fn written(&mut self, message: &Odd) -> Vec<u8> {
        let mut payload = message.written(self.format);
        match self.format {
            Format::Json => {
                // A newline would end it.
                payload.retain(|byte| *byte != b'\n');
                let space = [
                    "\r",
                    " \t",
                    "\u{a0}",
                    "\u{3000}",
                    "\u{b}\u{c}",
                    "\u{85}",
                    "\u{2028}",
                ];
                let space = space[self.rng.usize(..space.len())].as_bytes();
                match self.rng.u8(..16) {
                    0 => payload.splice(0..0, space.iter().copied()).for_each(drop),
                    1 => payload.extend(space),
                    2 => payload.splice(0..0, "\u{feff}".bytes()).for_each(drop),
                    3 => payload.extend(b"{}"),
                    4 => payload.extend(b"x"),
                    5 => payload.truncate(self.rng.usize(..payload.len())),
                    6 => payload = [b"[", &payload[..], b"]"].concat(),
                    7 => payload = [space, b"\n\r\n", &payload[..], b"\r"].concat(),
                    _ => {}
                }
                // A cut inside a character would end the stream, which is another test's.
                String::from_utf8_lossy(&payload).into_owned().into_bytes()
            }
            Format::Msgpack => {
                match self.rng.u8(..16) {
                    0 => payload.extend([0x20, 0x0a, 0xc0]),
                    1 => payload.extend([0x91]),
                    2 => payload.extend([0xdf, 0xff, 0xff, 0xff, 0xff]),
                    3 => payload.extend([0xdf, 0xff]),
                    4 => payload.extend([0x90, 0x80, 0x91, 0xc0, 0xa5, b'x']),
                    5 => payload.truncate(self.rng.usize(..payload.len())),
                    6 => payload.extend(payload.clone()),
                    7 => payload.insert(0, 0x91),
                    _ => {}
                }
                payload
            }
        }
    }
}
