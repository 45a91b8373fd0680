//! A renderer started by hand, without a pool: the least it takes.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};

/// From the start of the process until it has answered a query.
pub(crate) fn first_answer(environment: &[(String, String)]) -> io::Result<Duration> {
    let start = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .args([crate::RENDERER, "--msgpack"])
        .env_clear()
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let outcome = talk(&mut child, start);
    child.wait()?;
    outcome
}

fn talk(child: &mut Child, start: Instant) -> io::Result<Duration> {
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let mut stdout = child.stdout.take().expect("it is a pipe");
    let settings = json!({"type": "settings", "session": "", "settings": {"protocol_version": 1}});
    say(&mut stdin, &settings)?;
    expect(&mut stdout, "hello")?;
    let query = json!({
        "type": "query", "session": "", "id": "1", "target": "find", "selector": {},
    });
    say(&mut stdin, &query)?;
    expect(&mut stdout, "query_response")?;
    let took = start.elapsed();
    let exit = json!({"type": "widget_op", "session": "", "op": "exit", "payload": {}});
    say(&mut stdin, &exit)?;
    Ok(took)
}

fn say(stdin: &mut ChildStdin, message: &Value) -> io::Result<()> {
    stdin.write_all(&Format::Msgpack.frame(message))
}

fn expect(stdout: &mut ChildStdout, kind: &str) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stdout.read_exact(&mut length)?;
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        stdout.read_exact(&mut payload)?;
        let message: Value = rmp_serde::from_slice(&payload).map_err(io::Error::other)?;
        if message["type"] == kind {
            return Ok(());
        }
    }
}
