//! What starts a renderer, in `plushie-pool run`: it gets the pool.

// The renderer is the command itself, and what it runs are shell scripts.
#![cfg(all(target_os = "linux", feature = "embedded-renderer"))]
#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// SDKs keep their environment from what they start.
const START: &str = r#"exec env -i "$PLUSHIE_BINARY_PATH" --mock --max-sessions 128 --json"#;

#[test]
fn it_is_a_renderer_whose_sessions_are_the_pools() {
    let mut run = run_in_mock(START)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = run.stdin.take().unwrap();
    let mut output = BufReader::new(run.stdout.take().unwrap()).lines();
    let mut hear = |kind: &str| -> Value {
        let messages = output.by_ref().map(|line| line.unwrap());
        let mut messages = messages.map(|line| serde_json::from_str::<Value>(&line).unwrap());
        messages.find(|message| message["type"] == kind).unwrap()
    };

    let settings = json!({"protocol_version": 1});
    let first = json!({"type": "settings", "session": "", "settings": settings});
    // What comes in one piece with the settings is not lost.
    let tree = json!({"id": "main", "type": "window", "props": {}, "children": []});
    let snapshot = json!({"type": "snapshot", "session": "a", "tree": tree});
    write!(input, "{first}\n{snapshot}\n").unwrap();
    assert_eq!(hear("hello")["mode"], "mock");
    for (session, shown) in [("a", json!("main")), ("b", Value::Null)] {
        let query = json!({"type": "query", "session": session, "id": "1", "target": "tree"});
        writeln!(input, "{query}").unwrap();
        let answer = hear("query_response");
        assert_eq!(answer["session"], session, "{answer}");
        assert_eq!(answer["data"]["id"], shown, "{answer}");
    }
    drop(input);

    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(" 2 sessions served to 1 clients"), "{said}");
    assert!(said.contains("renderers started: 1 "), "{said}");
}

#[test]
fn a_renderer_that_was_chosen_stays_chosen() {
    let mut run = run_in_mock(r#"echo "$PLUSHIE_BINARY_PATH""#);
    let output = run.env("PLUSHIE_BINARY_PATH", "/chosen").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "/chosen\n");
}

fn run_in_mock(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plushie-pool"));
    command.args(["run", "--mode", "mock", "--", "sh", "-c", script]);
    command.env_remove("PLUSHIE_BINARY_PATH");
    command
}
