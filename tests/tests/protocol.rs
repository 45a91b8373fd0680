//! The tables of messages in the crate's documentation, each row sent to the real renderer.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use plushie_pool::{SessionPool, WireFormat};
use serde_json::{Value, json};

const DOCUMENT: &str = include_str!("../../crates/pool/docs/protocol.md");
const RENDERER: &str = env!("CARGO_BIN_EXE_plushie-pool-test-renderer");

/// The rows below this heading: a message, and what stands in the second column.
fn rows(heading: &str) -> Vec<(Value, String)> {
    let (_, section) = DOCUMENT.split_once(&format!("## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `{"));
    let rows = rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
        let message = cells.next().unwrap().trim_matches('`');
        let message =
            serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message}"));
        let second = cells.next().unwrap_or_default();
        (message, second.trim_matches('`').to_owned())
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 5, "{heading}");
    rows
}

/// A widget for each that the tables name.
fn tree() -> Value {
    let node = |kind: &str, id: &str, props: Value| json!({"id": id, "type": kind, "props": props, "children": []});
    let list = json!({"id": "list", "type": "scrollable", "props": {}, "children": [
        node("text", "item", json!({"content": "item"})),
    ]});
    let panes = json!({"id": "panes", "type": "pane_grid", "props": {}, "children": [
        node("text", "left", json!({"content": "left"})),
    ]});
    json!({"id": "main", "type": "window", "props": {}, "children": [
        {"id": "column", "type": "column", "props": {}, "children": [
            node("button", "save", json!({"label": "Save"})),
            node("text_input", "name", json!({"value": ""})),
            node("checkbox", "done", json!({"label": "Done", "checked": false})),
            node("pick_list", "color", json!({"options": ["red", "blue"]})),
            node("slider", "volume", json!({"range": [0, 100], "value": 10})),
            list,
            node("table", "rows", json!({"columns": [{"key": "name", "label": "Name"}], "rows": []})),
            panes,
            node("canvas", "drawing", json!({"width": 100, "height": 100, "on_press": true, "on_release": true, "on_move": true})),
        ]},
    ]})
}

#[tokio::test]
async fn each_request_is_answered_as_the_table_says() {
    for format in WireFormat::ALL {
        let pool = SessionPool::builder().renderer(RENDERER).format(format);
        let pool = pool.start().await.unwrap();
        let session = pool.register().await.unwrap();
        let snapshot = json!({"type": "snapshot", "tree": tree()});
        session.send(&snapshot).await.unwrap();
        for (request, reply) in rows("Requests and their replies") {
            let answer = session.request(&request, &reply).await;
            answer.unwrap_or_else(|error| panic!("{request}: {error}"));
        }
    }
}

#[tokio::test]
async fn each_action_causes_the_event_that_the_table_names() {
    for format in WireFormat::ALL {
        let pool = SessionPool::builder().renderer(RENDERER).format(format);
        let pool = pool.start().await.unwrap();
        for (interact, family) in rows("Actions") {
            let session = pool.register().await.unwrap();
            let snapshot = json!({"type": "snapshot", "tree": tree()});
            session.send(&snapshot).await.unwrap();
            let answer = session.request(&interact, "interact_response").await;
            let answer: Value = answer.unwrap().decode().unwrap();
            let events = answer["events"].as_array().unwrap();
            let families: Vec<_> = events.iter().map(|event| &event["family"]).collect();
            assert!(
                families.contains(&&json!(family)),
                "{interact} caused {answer}, not {family}"
            );
        }
    }
}

/// The renderer has each action, and the table has each of the renderer's.
#[test]
fn no_action_is_missing() {
    let said = |action: &str| {
        let rows = rows("Actions");
        rows.iter()
            .any(|(interact, _)| interact["action"] == action)
    };
    for action in [
        "click",
        "type_text",
        "submit",
        "toggle",
        "select",
        "slide",
        "paste",
        "scroll",
        "sort",
        "pane_focus_cycle",
        "press",
        "release",
        "type_key",
        "move_to",
        "canvas_press",
        "canvas_release",
        "canvas_move",
    ] {
        assert!(said(action), "{action}");
    }
}

/// A renderer names on its standard error what it cannot read.
#[test]
fn the_renderer_can_read_every_message_of_the_tables() {
    let mut input = json!({"type": "settings", "settings": {"protocol_version": 1}}).to_string();
    let snapshot = json!({"type": "snapshot", "tree": tree()});
    let mut count = 0;
    let requests = rows("Requests and their replies").into_iter();
    let messages = requests.chain(rows("Messages without a reply"));
    for (mut message, _) in std::iter::once((snapshot, String::new())).chain(messages) {
        count += 1;
        message["session"] = "s1".into();
        if message.get("id").is_none() {
            message["id"] = format!("~{count}").into();
        }
        input.push('\n');
        input.push_str(&message.to_string());
    }
    input.push_str("\n{\"type\":\"nonsense\"}\n");
    let mut renderer = Command::new(RENDERER)
        .args(["--mock", "--max-sessions", "8", "--json"])
        .env("RUST_LOG", "warn")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = renderer.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = renderer.wait_with_output().unwrap();
    writer.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // That it names what it cannot read shows the last line; the table has no font.
    let named = stderr
        .lines()
        .filter(|line| !line.contains("empty font data"));
    let named: Vec<_> = named.collect();
    assert_eq!(named.len(), 1, "{stderr}");
    assert!(named[0].contains("nonsense"), "{stderr}");
}
