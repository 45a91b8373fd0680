//! How many instructions the pool's hot paths take, which is the same on a busy machine and on
//! an idle one.
//!
//! ```sh
//! cargo run --release -p plushie-pool-bench --no-default-features --bin instructions
//! ```
//!
//! counts them under callgrind (Debian: `valgrind`) and shows them beside those in
//! `benches/instructions.txt`; `-- --check` fails if one has risen by more than 3 %, and
//! `-- --write` makes them the new ones.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clap::Parser;
use plushie_pool::core::link::{Answer, Effects, Link, LinkConfig, Outcome, Submission};
use plushie_pool::core::{
    Addressing, Class, Close, Header, Outline, RequestId, SessionId, Transport,
};
use plushie_pool::{Message, WireFormat};
use serde::Serialize;
use serde_json::Value;

/// How much a path may take more than it did.
const RISE: f64 = 1.03;

/// Counts the instructions of the pool's hot paths, under callgrind
#[derive(Debug, Parser)]
struct Args {
    /// Fails if a path takes over 3 % more than it did
    #[arg(long)]
    check: bool,
    /// Remembers the figures
    #[arg(long)]
    write: bool,
    /// Takes this path so many times, and does nothing else
    #[arg(long, hide = true, num_args = 2)]
    take: Vec<String>,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &*args.take {
        [path, times] => take(path, times),
        _ => count_all(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted.
const PATHS: [&str; 5] = ["encode", "correlate", "cut", "envelope", "decode"];

fn count_all(args: &Args) -> Result<(), Failure> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    let known = read(&file)?;
    let mut text = String::new();
    let mut risen = Vec::new();
    for format in [WireFormat::Msgpack, WireFormat::Json] {
        for path in PATHS {
            let name = format!("{format}-{path}");
            // What the process takes to start and end is in both.
            let count = (count(&name, 3_000)? - count(&name, 1_000)?) / 2_000;
            writeln!(text, "{name} {count}")?;
            let was = known.get(&name).copied();
            let beside = was.map(|was| format!("{:+.1} %", change(count, was)));
            println!("{name:<20} {count:>8}  {}", beside.unwrap_or_default());
            if was.is_some_and(|was| count as f64 > was as f64 * RISE) {
                risen.push(name);
            }
        }
    }
    if args.write {
        std::fs::write(&file, text)?;
    }
    if args.check && !risen.is_empty() {
        return Err(format!("more instructions than before: {}", risen.join(", ")).into());
    }
    Ok(())
}

fn change(now: u64, was: u64) -> f64 {
    (now as f64 / was as f64 - 1.0) * 100.0
}

fn read(file: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    text.lines()
        .map(|line| {
            let (name, count) = line.split_once(' ').ok_or("a line is a name and a count")?;
            Ok((name.to_owned(), count.parse()?))
        })
        .collect()
}

/// The instructions of a process that takes a path so many times.
fn count(path: &str, times: u32) -> Result<u64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--take", path, &times.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be started ({error}); is it installed?"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.ok_or_else(|| format!("callgrind counted nothing: {said}"))?;
    Ok(count.trim().parse()?)
}

fn take(path: &str, times: &str) -> Result<(), Failure> {
    let times: u64 = times.parse()?;
    let (format, path) = path.split_once('-').ok_or("a path has a format")?;
    let transport: Arc<dyn Transport> = match format {
        "json" => Arc::new(plushie_pool_transport_json::Json),
        _ => Arc::new(plushie_pool_transport_msgpack::Msgpack),
    };
    match path {
        "encode" => match format {
            "json" => encode(times, plushie_pool_transport_json::encode),
            _ => encode(times, plushie_pool_transport_msgpack::encode),
        },
        "correlate" => correlate(transport, times),
        "cut" => cut(&*transport, times),
        "envelope" => envelope(&*transport, times),
        "decode" => decode(transport, times),
        _ => Err(format!("there is no path {path}").into()),
    }
}

#[derive(Serialize)]
struct Query {
    r#type: &'static str,
    target: &'static str,
    selector: Selector,
}

#[derive(Serialize)]
struct Selector {
    by: &'static str,
    value: &'static str,
}

const QUERY: Query = Query {
    r#type: "query",
    target: "find",
    selector: Selector {
        by: "id",
        value: "label",
    },
};

/// A caller's part: a look at the message, and its frame.
fn encode(
    times: u64,
    write: impl Fn(Header<'_>, &Query) -> Result<Bytes, plushie_pool::Error>,
) -> Result<(), Failure> {
    for n in 0..times {
        let header = Header {
            session: &SessionId::new(17).text(),
            id: Some(&RequestId::new(n).text()),
        };
        black_box(Outline::of(&QUERY)?);
        black_box(write(header, &QUERY)?);
    }
    Ok(())
}

/// A request and its reply, one of 64 sessions after the other.
fn correlate(transport: Arc<dyn Transport>, times: u64) -> Result<(), Failure> {
    const SESSIONS: u64 = 64;
    let mut link = Link::new(LinkConfig::new(
        transport.clone(),
        Addressing::BySession,
        Close::Reset,
    ));
    for n in 0..SESSIONS {
        link.open(SessionId::new(n))?;
    }
    let now = Instant::now();
    let frame = Bytes::from_static(b"a frame of some length, which nobody looks at here");
    let mut frames = VecDeque::new();
    let id = RequestId::new(1);
    let replies = (0..SESSIONS).map(|n| reply(&*transport, SessionId::new(n), id));
    let replies = replies.collect::<Result<Vec<_>, _>>()?;
    let mut answered = 0;
    for (n, reply) in (0..times).zip(replies.iter().cycle()) {
        let session = SessionId::new(n % SESSIONS);
        let mut effects = Effects::default();
        let submission = Submission {
            id,
            frame: frame.clone(),
            class: Class::Plain,
            answer: Answer::Reply {
                kind: "query_response".into(),
                tag: None,
            },
            deadline: now + Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            completion: n,
        };
        link.submit(session, submission, &mut effects)?;
        link.transmit(&mut frames);
        frames.clear();
        link.transmitted(frame.len(), &mut effects);
        link.receive(reply.clone(), now, &mut effects);
        for (completion, outcome) in effects.finished {
            assert!(completion == n && matches!(outcome, Ok(Outcome::Reply(_))));
            answered += 1;
        }
    }
    assert_eq!(answered, times, "every request was answered");
    Ok(())
}

/// Payloads out of what one read brought.
fn cut(transport: &dyn Transport, times: u64) -> Result<(), Failure> {
    let mut decoder = transport.decoder();
    let frame = framed(transport, SessionId::new(17), RequestId::new(1))?;
    for _ in 0..times.div_ceil(64) {
        let mut buffer = BytesMut::from(&*frame.repeat(64));
        while let Some(payload) = decoder.decode(&mut buffer)? {
            black_box(payload);
        }
    }
    Ok(())
}

/// What routing reads of a message.
fn envelope(transport: &dyn Transport, times: u64) -> Result<(), Failure> {
    let payload = reply(transport, SessionId::new(17), RequestId::new(1))?;
    for _ in 0..times {
        black_box(transport.envelope(&payload)?);
    }
    Ok(())
}

/// What a caller makes of a reply.
fn decode(transport: Arc<dyn Transport>, times: u64) -> Result<(), Failure> {
    let session = SessionId::new(17);
    let payload = reply(&*transport, session, RequestId::new(1))?;
    let envelope = transport.envelope(&payload)?;
    let message = Message::new(
        transport.clone(),
        Addressing::BySession,
        session,
        payload.clone(),
        &envelope,
    );
    for _ in 0..times {
        black_box(message.decode::<Value>()?);
    }
    Ok(())
}

/// A reply that found a node.
fn framed(transport: &dyn Transport, session: SessionId, id: RequestId) -> Result<Bytes, Failure> {
    let header = Header {
        session: &session.to_string(),
        id: Some(&id.to_string()),
    };
    let reply = serde_json::json!({
        "type": "query_response",
        "target": "find",
        "data": {"id": "label", "type": "text", "props": {"content": "hello"}, "children": []},
    });
    Ok(transport.encode(header, &reply)?)
}

fn reply(transport: &dyn Transport, session: SessionId, id: RequestId) -> Result<Bytes, Failure> {
    let mut buffer = BytesMut::from(&*framed(transport, session, id)?);
    let payload = transport.decoder().decode(&mut buffer)?;
    Ok(payload.ok_or("a frame holds a payload")?)
}
