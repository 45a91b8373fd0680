//! What a client sends is taken as the renderer takes it: the same bytes go to a renderer and to
//! a server, and the answers are compared.
//!
//! `PLUSHIE_POOL_TAKEN_CASES` says how many messages are generated for each format (200 by
//! default), `PLUSHIE_POOL_TAKEN_SEED` with what they begin.

mod value;
mod variants;

use std::collections::BTreeMap;
use std::process::Stdio;

use plushie_pool::WireFormat;
use plushie_pool_tests::client::Client;
use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::support::{FORMATS, connected, label, pool, served, within};
use variants::{Case, Generator};

const RENDERER: &str = env!("CARGO_BIN_EXE_plushie-pool-test-renderer");

#[tokio::test]
async fn what_a_client_sends_is_taken_as_the_renderer_takes_it() {
    let var = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let cases = var("PLUSHIE_POOL_TAKEN_CASES").unwrap_or(200);
    let seed = var("PLUSHIE_POOL_TAKEN_SEED").unwrap_or(1);
    for format in FORMATS {
        let mut generator = Generator::new(format, seed);
        let cases: Vec<_> = (0..cases).map(|n| generator.case(n)).collect();
        let (_renderer, direct) = renderer(format);
        let expected = all_heard(direct, format, &cases, None).await;
        for pools in WireFormat::ALL {
            let server = served(pool().format(pools).max_sessions(8)).await;
            let client = connected(&server, format).await;
            let expected = Some(&expected[..]);
            all_heard(client, format, &cases, expected).await;
        }
    }
}

/// A renderer that is spoken to without anything in between.
fn renderer(format: Format) -> (Child, Client<impl AsyncRead + AsyncWrite + Unpin>) {
    let speaks = match format {
        Format::Json => "--json",
        Format::Msgpack => "--msgpack",
    };
    let mut renderer = Command::new(RENDERER)
        .args(["--mock", "--max-sessions", "8", speaks])
        .env("RUST_LOG", "off")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let input = renderer.stdin.take().unwrap();
    let output = renderer.stdout.take().unwrap();
    (
        renderer,
        Client::new(tokio::io::join(output, input), format),
    )
}

/// What is heard of each session in each case, compared with what is expected at once: later
/// cases would only show what the first difference leads to.
async fn all_heard<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: Client<S>,
    format: Format,
    cases: &[Case],
    expected: Option<&[Heard]>,
) -> Vec<Heard> {
    let settings = json!({"protocol_version": 1});
    client
        .say(&json!({"type": "settings", "session": "", "settings": settings}))
        .await;
    let hello = within(client.hear()).await.unwrap();
    assert_eq!(hello["type"], "hello", "{hello}");
    let mut all = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        let heard = heard(&mut client, format, case).await;
        if let Some(expected) = expected {
            for (session, said) in &expected[n] {
                let here = heard.get(session).map(|said| in_two(said));
                let place = format!("session {session:?} of case {n}");
                assert_eq!(here, Some(in_two(said)), "{place}, {format:?}: {case:?}");
            }
            assert_eq!(heard.len(), expected[n].len(), "case {n}: {case:?}");
        }
        all.push(heard);
    }
    all
}

/// What answers a request, and all else. Both keep their order; an answer comes after the events
/// before it, and may come after some that follow it. An effect may take as long as a person does,
/// and its response is passed on as events are.
fn in_two(said: &[Value]) -> (Vec<&Value>, Vec<&Value>) {
    let is_event = |kind: &Value| *kind == "event" || *kind == "effect_response";
    let answers = |said: &&Value| said["id"].is_string() && !is_event(&said["type"]);
    said.iter().partition(answers)
}

/// What was heard of each session, in order.
type Heard = BTreeMap<String, Vec<Value>>;

async fn heard<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    format: Format,
    case: &Case,
) -> Heard {
    let mut bytes = Vec::new();
    for session in &case.sessions {
        let mut tree = label("as it was");
        tree["session"] = (**session).into();
        bytes.extend(format.frame(&tree));
    }
    bytes.extend(&case.bytes);
    for session in &case.sessions {
        for mut probe in [
            json!({"type": "query", "id": "tree", "target": "tree"}),
            json!({"type": "tree_hash", "id": "hash", "name": "n"}),
        ] {
            probe["session"] = (**session).into();
            bytes.extend(format.frame(&probe));
        }
    }
    client.stream().write_all(&bytes).await.unwrap();
    client.stream().flush().await.unwrap();
    let mut heard = Heard::new();
    for session in &case.sessions {
        while !heard.get(session).is_some_and(|said| is_over(said, "hash")) {
            hear(client, &mut heard).await;
        }
    }
    for session in &case.sessions {
        client
            .tell(session, &json!({"type": "reset", "id": "end"}))
            .await;
    }
    for session in &case.sessions {
        while !heard[session]
            .iter()
            .any(|said| said["family"] == "session_closed")
        {
            hear(client, &mut heard).await;
        }
    }
    heard
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, heard: &mut Heard) {
    let message = within(client.hear()).await.expect("the stream goes on");
    let session = message["session"].as_str().unwrap_or_default().to_owned();
    // The renderer says in no session's name what it thinks of settings, so among many clients
    // the pool cannot know whom it means.
    if message["type"] == "diagnostic" && session.is_empty() {
        return;
    }
    heard.entry(session).or_default().push(message);
}

fn is_over(said: &[Value], id: &str) -> bool {
    said.iter().any(|message| message["id"] == id)
}
