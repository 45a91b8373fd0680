//! What the test pool of the SDK for Elixir says to a renderer, in `plushie-pool run`.
//!
//! The messages are made here, in the form that plushie-elixir 0.7.2 gives to its own
//! (`lib/plushie/test/session_pool.ex`, `pool_adapter.ex`, `protocol/encode.ex`). The pool's own
//! messages name their session once. An app's are encoded from a map that has the session under
//! an atom and under a string, so they name it twice.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use plushie_pool::Transport;
use plushie_pool::core::decode_payload;
use plushie_pool_transport_json::Json;
use plushie_pool_transport_msgpack::Msgpack;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::support::{pool, text};

const MODES: [&str; 2] = ["mock", "headless"];
const FORMATS: [Format; 2] = [Format::Msgpack, Format::Json];

/// What the SDK's pool asks for on a machine with up to 16 cores.
const SESSIONS: usize = 128;

/// Longer than anything here takes on any machine. Only a failing test waits this long.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn it_is_answered_as_by_the_renderer_alone() {
    for mode in MODES {
        for format in FORMATS {
            let mut alone = Renderer::alone(mode, format);
            let mut pooled = Renderer::pooled(mode, format);
            for session in ["pool_1", "pool_2"] {
                let expected = alone.test_of_an_app(session);
                let answers = pooled.test_of_an_app(session);
                assert_eq!(answers, expected, "{mode}, {format:?}");
            }
            alone.end();
            let summary = pooled.end();
            assert!(
                summary.contains(": 2 sessions served to 1 clients"),
                "{summary}"
            );
        }
    }
}

#[test]
fn it_has_as_many_sessions_at_once_as_it_asks_for() {
    for mode in MODES {
        let mut pooled = Renderer::pooled(mode, Format::Msgpack);
        let sessions: Vec<_> = (1..=SESSIONS).map(|n| format!("pool_{n}")).collect();
        for (n, session) in (1..).zip(&sessions) {
            pooled.say(session, shown(n, ""));
        }
        // Each is open while the others are asked.
        for (n, session) in (1..).zip(&sessions) {
            let found = pooled.request(session, find_count(), "query_response");
            let shown: u32 = n;
            assert_eq!(
                found["data"]["props"]["content"],
                shown.to_string(),
                "{found}"
            );
        }
        for session in &sessions {
            let id = pooled.next_id("rel");
            pooled.say_once(&json!({"session": session, "type": "reset", "id": id}));
        }
        let mut open: BTreeSet<_> = sessions.iter().map(String::as_str).collect();
        while !open.is_empty() {
            let message = pooled.hear();
            if message["type"] == "reset_response" {
                let closed = message["session"].as_str().unwrap();
                assert!(open.remove(closed), "{message}");
            } else {
                assert_eq!(message["family"], "session_closed", "{message}");
            }
        }
        let summary = pooled.end();
        let served = format!(": {SESSIONS} sessions served to 1 clients");
        assert!(summary.contains(&served), "{summary}");
        let at_once = format!(", {SESSIONS} at once at most, ");
        assert!(summary.contains(&at_once), "{summary}");
    }
}

/// A renderer's process, or what stands in for one.
struct Renderer {
    process: Child,
    input: Option<ChildStdin>,
    output: Receiver<Value>,
    format: Format,
    requests: u32,
}

impl Renderer {
    fn alone(mode: &str, format: Format) -> Self {
        let mut command = pool(&["__renderer"]);
        command.args(arguments(mode, format));
        Self::greeted(&mut command, format)
    }

    fn pooled(mode: &str, format: Format) -> Self {
        // The SDK keeps most of its environment from what it starts.
        let script = r#"exec env -i "$PLUSHIE_BINARY_PATH" "$@""#;
        let mut command = pool(&["run", "--mode", mode, "--", "sh", "-c", script, "sh"]);
        command.args(arguments(mode, format));
        command.env_remove("PLUSHIE_BINARY_PATH");
        Self::greeted(&mut command, format)
    }

    fn greeted(command: &mut Command, format: Format) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = process.stdout.take().unwrap();
        let (heard, output) = channel();
        thread::spawn(move || format.read(&mut stdout, |message| heard.send(message)));
        let mut renderer = Self {
            input: process.stdin.take(),
            process,
            output,
            format,
            requests: 0,
        };
        renderer.say_once(&json!({
            "session": "", "type": "settings", "settings": {"protocol_version": 1},
        }));
        let hello = renderer.hear();
        assert_eq!(hello["type"], "hello", "{hello}");
        renderer
    }

    /// A test of a small app, from its start to its end: the answers to what is asked.
    fn test_of_an_app(&mut self, session: &str) -> Vec<Value> {
        self.say(
            session,
            json!({"type": "settings", "settings": {
                "protocol_version": 1, "antialiasing": true, "default_text_size": 16,
            }}),
        );
        self.say(session, shown(0, ""));
        self.say(
            session,
            json!({"type": "window_op", "op": "open", "window_id": "main", "payload": {
                "title": "Counter",
            }}),
        );
        self.say(
            session,
            json!({
                "type": "subscribe", "kind": "on_key_press", "tag": "keys", "window_id": "main",
            }),
        );
        let stub = json!({
            "type": "register_effect_stub", "kind": "clipboard_read", "response": {"text": "kept"},
        });
        let mut heard = vec![self.ask(session, stub, "effect_stub_register_ack")];
        let effect = json!({"type": "effect", "kind": "clipboard_read", "payload": {}});
        heard.push(self.request(session, effect, "effect_response"));

        heard.push(self.interact(session, "click", "increment", json!({})));
        self.say(
            session,
            json!({"type": "patch", "ops": [
                {"op": "update_props", "path": [0, 1], "props": {"content": "1"}},
            ]}),
        );
        heard.push(self.request(session, find_count(), "query_response"));

        // Into what has the focus, a letter a step.
        heard.push(self.interact(session, "click", "main#name", json!({})));
        heard.push(self.interact(session, "type_text", "main#name", json!({"text": "ab"})));
        let hash = json!({"type": "tree_hash", "name": "typed"});
        heard.push(self.request(session, hash, "tree_hash_response"));
        let picture = json!({"type": "screenshot", "name": "typed", "width": 64, "height": 48});
        heard.push(self.request(session, picture, "screenshot_response"));
        self.say(
            session,
            json!({
                "type": "unsubscribe", "kind": "on_key_press", "tag": "keys",
            }),
        );
        self.say(session, json!({"type": "advance_frame", "timestamp": 16}));

        let id = self.next_id("rel");
        self.say_once(&json!({"session": session, "type": "reset", "id": id}));
        heard.push(self.until(session, "reset_response"));
        heard
    }

    /// An interact, each step of which is followed by the tree that it led to: its steps and its
    /// response.
    fn interact(&mut self, session: &str, action: &str, target: &str, payload: Value) -> Value {
        let said = json!({
            "type": "interact", "id": self.next_id("interact"), "action": action,
            "selector": {"by": "id", "value": target}, "payload": payload,
        });
        self.say(session, said);
        let mut heard = Vec::new();
        loop {
            let message = self.hear();
            let step = message["type"] == "interact_step";
            let done = message["type"] == "interact_response";
            if step {
                let typed = message["events"][0]["value"].as_str().unwrap_or_default();
                let tree = shown(1, typed);
                self.say(session, tree);
            }
            if step || done {
                heard.push(message);
            }
            if done {
                return heard.into();
            }
        }
    }

    fn request(&mut self, session: &str, mut message: Value, kind: &str) -> Value {
        message["id"] = self.next_id("req").into();
        self.ask(session, message, kind)
    }

    fn ask(&mut self, session: &str, message: Value, kind: &str) -> Value {
        self.say(session, message);
        self.until(session, kind)
    }

    /// The next answer of this `type` in this session.
    fn until(&mut self, session: &str, kind: &str) -> Value {
        loop {
            let message = self.hear();
            if message["type"] == kind && message["session"] == session {
                return message;
            }
            // The renderer leaves these out when it is busy, and the pool those that repeat.
            let passed = ["session_closed", "status"].map(Value::from);
            assert!(passed.contains(&message["family"]), "{kind}: {message}");
        }
    }

    fn next_id(&mut self, prefix: &str) -> String {
        self.requests += 1;
        format!("{prefix}_{}", self.requests)
    }

    /// Sends a message of an app.
    fn say(&mut self, session: &str, mut message: Value) {
        message["session"] = session.into();
        self.write(&Twice(&message));
    }

    /// Sends a message of the SDK's pool.
    fn say_once(&mut self, message: &Value) {
        self.write(message);
    }

    fn write(&mut self, message: &impl Serialize) {
        let frame = self.format.frame(message);
        let input = self.input.as_mut().unwrap();
        input.write_all(&frame).unwrap();
        input.flush().unwrap();
    }

    fn hear(&mut self) -> Value {
        self.output.recv_timeout(LONG).expect("it is answered")
    }

    /// Closes its input, as Elixir closes a port, and waits for the end of the command: what it
    /// said on standard error.
    fn end(mut self) -> String {
        self.input = None;
        let output = self.process.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    }
}

/// In MessagePack the SDK leaves it to the first byte to tell the format.
fn arguments(mode: &str, format: Format) -> Vec<String> {
    let mut arguments = vec![
        format!("--{mode}"),
        "--max-sessions".to_owned(),
        SESSIONS.to_string(),
    ];
    if format == Format::Json {
        arguments.push("--json".to_owned());
    }
    arguments
}

fn shown(count: u32, name: &str) -> Value {
    let node = |id: &str, kind: &str, props: Value, children: Value| json!({"id": id, "type": kind, "props": props, "children": children});
    let children = json!([
        node(
            "name",
            "text_input",
            json!({"value": name, "on_input": true}),
            json!([])
        ),
        node(
            "count",
            "text",
            json!({"content": count.to_string()}),
            json!([])
        ),
        node("increment", "button", json!({"label": "+"}), json!([])),
    ]);
    let column = node("root", "column", json!({}), children);
    let tree = node(
        "main",
        "window",
        json!({"title": "Counter"}),
        json!([column]),
    );
    json!({"type": "snapshot", "tree": tree})
}

fn find_count() -> Value {
    json!({"type": "query", "target": "find", "selector": {"by": "id", "value": "count"}})
}

/// A message that names its session among its other fields, and again where the encoders of the
/// SDK put it: in JSON first, in MessagePack last.
struct Twice<'a>(&'a Value);

impl Serialize for Twice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first = serializer.is_human_readable();
        let fields = self.0.as_object().unwrap();
        let mut map = serializer.serialize_map(Some(fields.len() + 1))?;
        if first {
            map.serialize_entry("session", &fields["session"])?;
        }
        for (name, value) in fields {
            map.serialize_entry(name, value)?;
        }
        if !first {
            map.serialize_entry("session", &fields["session"])?;
        }
        map.end()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Msgpack,
}

impl Format {
    fn frame(self, message: &impl Serialize) -> Vec<u8> {
        match self {
            Self::Json => [&serde_json::to_vec(message).unwrap()[..], b"\n"].concat(),
            Self::Msgpack => {
                let payload = rmp_serde::to_vec(message).unwrap();
                let length = u32::try_from(payload.len()).unwrap();
                [&length.to_be_bytes(), &payload[..]].concat()
            }
        }
    }

    /// Until the end, or until `take` fails.
    fn read<E>(self, from: &mut impl Read, mut take: impl FnMut(Value) -> Result<(), E>) {
        let transport: &dyn Transport = match self {
            Self::Json => &Json,
            Self::Msgpack => &Msgpack,
        };
        let mut decoder = transport.decoder();
        let (mut read, mut chunk) = (BytesMut::new(), vec![0; 64 * 1024]);
        loop {
            match from.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(count) => read.extend_from_slice(&chunk[..count]),
            }
            while let Some(payload) = decoder.decode(&mut read).unwrap() {
                let message = decode_payload(transport, &payload).unwrap();
                if take(message).is_err() {
                    return;
                }
            }
        }
    }
}
