//! How `plushie-pool attach` ends, beside a renderer that is started without it.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use bytes::BytesMut;
use plushie_pool::Transport;
use plushie_pool::core::{Header, decode_payload};
use plushie_pool_transport_json::Json;
use plushie_pool_transport_msgpack::Msgpack;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Serve, pid, pool, text};

const FORMATS: [(&dyn Transport, &str); 2] = [(&Json, "--json"), (&Msgpack, "--msgpack")];

/// A renderer, and what stands in for one.
fn renderers(serve: &Serve, format: &str) -> [Command; 2] {
    ["__renderer", "attach"].map(|name| {
        let mut command = pool(&[name, "--mock", "--max-sessions", "8", format]);
        command.env("PLUSHIE_SOCKET", &serve.socket);
        command.env("RUST_LOG", "off");
        command
    })
}

fn start(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// All that is said in one go before the input ends.
fn said(
    command: &mut Command,
    format: &dyn Transport,
    input: &[u8],
) -> Vec<(String, String, String)> {
    let mut child = start(command);
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut bytes = BytesMut::from(&output.stdout[..]);
    let mut decoder = format.decoder();
    let payloads = std::iter::from_fn(|| decoder.decode(&mut bytes).unwrap());
    let message = |payload: bytes::Bytes| decode_payload::<Value>(format, &payload).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut said: Vec<_> = payloads
        .map(message)
        // A renderer says farewell to each session when its input ends, which this test leaves out.
        .filter(|message| message["type"] != "hello" && message["family"] != "session_closed")
        .map(|said| {
            (
                text(&said["session"]),
                text(&said["type"]),
                text(&said["id"]),
            )
        })
        .collect();
    // Sessions do not wait for each other.
    said.sort_by(|one, other| one.0.cmp(&other.0));
    said
}

struct Input<'a> {
    format: &'a dyn Transport,
    bytes: Vec<u8>,
}

impl<'a> Input<'a> {
    fn new(format: &'a dyn Transport) -> Self {
        let settings = json!({"type": "settings", "settings": {"protocol_version": 1}});
        Self::behind(format).with("", None, settings)
    }

    /// What comes behind something else.
    fn behind(format: &'a dyn Transport) -> Self {
        let bytes = Vec::new();
        Self { format, bytes }
    }

    fn with(mut self, session: &str, id: Option<&str>, body: Value) -> Self {
        let header = Header { session, id };
        self.bytes
            .extend(self.format.encode(header, &body).unwrap());
        self
    }

    fn tree(self, session: &str) -> Self {
        let button = json!({"id": "b", "type": "button", "props": {"label": "+"}, "children": []});
        let tree = json!({"id": "main", "type": "window", "props": {}, "children": [button]});
        self.with(session, None, json!({"type": "snapshot", "tree": tree}))
    }

    fn query(self, session: &str, id: &str) -> Self {
        self.with(
            session,
            Some(id),
            json!({"type": "query", "target": "tree"}),
        )
    }

    fn click(self, session: &str, id: &str) -> Self {
        let button = json!({"by": "id", "value": "b"});
        let click = json!({"type": "interact", "action": "click", "selector": button});
        self.with(session, Some(id), click)
    }

    fn exit(self, session: &str) -> Self {
        self.with(
            session,
            None,
            json!({"type": "widget_op", "op": "exit", "payload": {}}),
        )
    }

    fn cut(mut self, bytes: usize) -> Self {
        self.bytes.truncate(self.bytes.len() - bytes);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }
}

#[test]
fn what_was_asked_before_the_end_is_answered_as_by_a_renderer() {
    let mut serve = Serve::start(&["--mode", "mock"]);
    for (format, argument) in FORMATS {
        let new = || Input::new(format);
        let asked = || new().tree("a").query("a", "1");
        let no_message: &[u8] = match argument {
            "--json" => b"\xff\n",
            _ => b"\0\0\0\0",
        };
        let inputs = [
            asked().query("a", "2").query("a", "3"),
            asked().tree("b").query("b", "2").query("", "3"),
            // A message of which the end is missing: all of it but a newline, or more than that.
            asked().query("a", "2").cut(1),
            asked().query("a", "2").cut(5),
            // What no message can begin behind.
            asked().raw(no_message).query("a", "2"),
            asked().click("a", "2"),
            asked().exit("a"),
            asked().exit("a").query("a", "2").query("a", "3"),
            asked().click("a", "2").exit("a"),
            asked().with("a", Some("2"), json!({"type": "reset"})),
            asked()
                .click("a", "2")
                .with("a", Some("3"), json!({"type": "reset"})),
            new(),
        ];
        for input in inputs {
            let [mut renderer, mut attach] = renderers(&serve, argument);
            let expected = said(&mut renderer, format, &input.bytes);
            let heard = said(&mut attach, format, &input.bytes);
            assert_eq!(heard, expected, "{}", text(&input.bytes));
        }
    }
    // Told what it will be, a renderer passes over what is before the first message.
    let input = [b"\r\n \n", &Input::new(&Json).query("a", "1").bytes[..]].concat();
    for mut command in renderers(&serve, "--json") {
        let heard = said(&mut command, &Json, &input);
        assert_eq!(heard.len(), 1, "{heard:?}");
    }
    serve.end();
}

#[test]
fn a_server_that_is_killed_is_an_error_that_says_so() {
    let mut serve = Serve::start(&["--mode", "mock"]);
    for (format, argument) in FORMATS {
        let [_, mut attach] = renderers(&serve, argument);
        let mut child = start(&mut attach);
        let input = Input::new(format).query("a", "1");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&input.bytes).unwrap();
        let mut first = [0];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut first)
            .unwrap();
        kill_process(pid(&serve.process), Signal::KILL).unwrap();
        serve.process.wait().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = text(&output.stderr);
        assert!(error.contains(&serve.socket), "{error}");
        assert!(error.contains("the server ended the connection"), "{error}");
        drop(stdin);
        serve = Serve::start(&["--mode", "mock"]);
    }
    serve.end();
}

#[test]
fn an_exit_whose_keys_come_twice_ends_it_as_the_exit_of_a_renderer() {
    let mut serve = Serve::start(&["--mode", "mock"]);
    let json = br#"{"type":"query","session":"z","op":3,"session":"a","type":"widget_op","payload":{},"op":"exit"}"#;
    let json = [&json[..], b"\n"].concat();
    let msgpack = b"\x86\xa2op\x03\xa4type\xa9widget_op\xa7session\xa1z\xa7session\xa1a\xa2op\xa4exit\xa7payload\x80";
    let len = u32::try_from(msgpack.len()).unwrap().to_be_bytes();
    let msgpack = [&len[..], msgpack].concat();
    for ((format, argument), exit) in FORMATS.into_iter().zip([json, msgpack]) {
        let [_, mut attach] = renderers(&serve, argument);
        let mut child = start(&mut attach);
        let mut stdin = child.stdin.take().unwrap();
        let input = Input::new(format).query("a", "1").raw(&exit);
        stdin.write_all(&input.bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{argument}: {output:?}");
        drop(stdin);
    }
    serve.end();
}

#[test]
fn one_whose_output_is_closed_ends_as_a_renderer_does() {
    let mut serve = Serve::start(&["--mode", "mock"]);
    for mut command in renderers(&serve, "--json") {
        let mut child = start(&mut command);
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        let mut input = Input::new(&Json).tree("a").bytes;
        // Until it takes no more.
        while stdin.write_all(&input).is_ok() {
            input = Input::behind(&Json).query("a", "1").bytes;
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    serve.end();
}
