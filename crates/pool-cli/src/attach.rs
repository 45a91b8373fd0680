//! `plushie-pool attach`: stands in for a renderer where a program insists on starting one.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use bytes::{Buf as _, Bytes, BytesMut};
use plushie_pool::core::{Forwarded, Header, decode_payload};
use plushie_pool::{Address, Credential, RendererMode, Transport};
use plushie_pool_renderer::variable;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::failure::Failure;
use crate::first_answer::{FirstAnswer, transport_of};
use crate::streams::{self, Streams};

/// Be a renderer on standard input and output, with the sessions of a served pool
///
/// For the test pools of SDKs, which start what PLUSHIE_BINARY_PATH names. Connects to the
/// server at PLUSHIE_SOCKET with PLUSHIE_TOKEN. `plushie-pool run` sets PLUSHIE_BINARY_PATH to a
/// script that does this, unless it is set already.
#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    /// The arguments of a renderer. --mock, --headless, or any others without these (windowed)
    /// choose the pool; the rest is up to the server. With none at all, and no
    /// PLUSHIE_TEST_BACKEND, the pool is that of the server's --mode
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// How much is read at a time, in bytes.
const READ: usize = 64 * 1024;

impl Attach {
    pub(crate) fn run(&self) -> ExitCode {
        match self.attach() {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }

    fn attach(&self) -> Result<(), Failure> {
        let address: Address = variable("PLUSHIE_SOCKET")?
            .ok_or(Failure::Usage(
                "PLUSHIE_SOCKET, the address of the server, is not set; start this inside \
                 `plushie-pool run`, or set it to what `plushie-pool serve` prints",
            ))?
            .parse()?;
        let credential = Credential::from_env()?;
        let failed = |error: io::Error| Failure::Server {
            address: address.to_string(),
            problem: error.to_string(),
        };
        let streams = streams::connect(&address, None).map_err(failed)?;
        let credential = credential.map(|credential| (SHOWN, credential.sha256()));
        let mode = self.mode()?.map(|mode| ("pool_mode", mode.to_string()));
        let additions = credential.into_iter().chain(mode).collect();
        let is_json = self.arguments.iter().any(|argument| argument == "--json");
        forward(streams, additions, is_json).map_err(failed)
    }

    /// What a renderer with these arguments would do: one without `--mock` and `--headless` shows
    /// windows. None where there is nothing that speaks of a renderer at all.
    fn mode(&self) -> Result<Option<RendererMode>, Failure> {
        let has = |flag: &str| self.arguments.iter().any(|argument| argument == flag);
        Ok(match () {
            () if has("--mock") => Some(RendererMode::Mock),
            () if has("--headless") => Some(RendererMode::Headless),
            () if self.arguments.is_empty() && variable("PLUSHIE_TEST_BACKEND")?.is_none() => None,
            () => Some(RendererMode::Windowed),
        })
    }
}

/// Under which key the server is shown the digest of its token.
const SHOWN: &str = "token_sha256";

/// What is added to the client's settings.
type Additions = Vec<(&'static str, String)>;

/// How one of the two directions ended.
enum End {
    /// The client sends no more, or cannot be heard.
    Input,
    /// The server sends no more, and this is what to make of it.
    Output(io::Result<Last>),
}

/// What the server's output ended with.
enum Last {
    /// There was no more of it.
    End { refusal: Option<String> },
    /// The client reads no more.
    Unread,
}

/// What has been sent to the server, as far as it matters.
#[derive(Debug, Default)]
struct Sent {
    /// The end of it.
    tail: Vec<u8>,
    is_over: bool,
}

/// Until the server has answered all that the client asked.
fn forward(
    (mut reader, mut writer): Streams,
    additions: Additions,
    is_json: bool,
) -> io::Result<()> {
    let (ended, end) = mpsc::channel();
    let other = ended.clone();
    let sent = Arc::new(Mutex::new(Sent::default()));
    let sending = sent.clone();
    spawn(move || {
        let mut input = io::stdin().lock();
        let passed_on = greet(&mut input, &mut writer, &additions, is_json, &sending)
            .and_then(|()| send(&mut input, &mut writer, &sending));
        // If the server takes no more, the other direction ends as well and says so.
        if passed_on.is_ok() {
            lock(&sending).is_over = true;
            let _ = writer.end();
        }
        let _ = ended.send(End::Input);
    })?;
    spawn(move || {
        let _ = other.send(End::Output(answer(&mut reader, &mut io::stdout().lock())));
    })?;
    loop {
        match end.recv() {
            // The SDK asks for nothing more; what it asked is still answered.
            Ok(End::Input) => {}
            Ok(End::Output(last)) => return conclude(last?, &lock(&sent)),
            Err(_) => return Err(io::Error::other("a thread of this process ended")),
        }
    }
}

/// Passes bytes on in one direction. At a thread limit that is an error and no panic.
fn spawn(direction: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let spawned = thread::Builder::new().spawn(direction);
    spawned.map(drop).map_err(|error| {
        let message = format!("no thread can be started to pass bytes on: {error}");
        io::Error::new(error.kind(), message)
    })
}

/// What the end of the server's output means.
fn conclude(last: Last, sent: &Sent) -> io::Result<()> {
    match last {
        Last::End {
            refusal: Some(message),
        } => Err(io::Error::other(message)),
        Last::End { refusal: None } if !sent.is_over && !asks_for_exit(&sent.tail) => {
            let message = "the server ended the connection: it was stopped or killed, or cut this \
                           client off; see what it says on its standard error";
            Err(io::Error::other(message))
        }
        // A renderer whose output is closed ends as well.
        Last::End { .. } | Last::Unread => Ok(()),
    }
}

fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends on the first message, with `additions` in its settings, and what was read behind it. One
/// that is not understood goes on as it is: the server says what is wrong with it.
fn greet(
    input: &mut impl Read,
    writer: &mut impl Write,
    additions: &[(&str, String)],
    is_json: bool,
    sent: &Mutex<Sent>,
) -> io::Result<()> {
    let mut read = BytesMut::new();
    let mut chunk = vec![0; READ];
    let mut decoder = None;
    loop {
        let count = heard(input, &mut chunk);
        read.extend_from_slice(&chunk[..count]);
        if is_json && decoder.is_none() {
            // Told what comes, a renderer passes over what is before it.
            let space = read.len() - read.trim_ascii_start().len();
            read.advance(space);
        }
        if read.is_empty() && count > 0 {
            continue;
        }
        let transport = transport_of(&read);
        let decoder = decoder.get_or_insert_with(|| transport.decoder());
        let first = match decoder.decode(&mut read) {
            Ok(None) if count > 0 => continue,
            Ok(Some(payload)) => with_settings(transport, &payload, additions)
                .unwrap_or_else(|| framed(transport, &payload)),
            Ok(None) | Err(_) => Bytes::new(),
        };
        writer.write_all(&first)?;
        writer.write_all(&read)?;
        lock(sent).note(&read);
        return writer.flush();
    }
}

/// Reads what the client sends. An input that cannot be read is at its end.
fn heard(input: &mut impl Read, chunk: &mut [u8]) -> usize {
    loop {
        match input.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.unwrap_or(0),
        }
    }
}

/// A payload in the frame that it came in.
fn framed(transport: &dyn Transport, payload: &[u8]) -> Bytes {
    match (transport.name(), u32::try_from(payload.len())) {
        ("msgpack", Ok(len)) => [&len.to_be_bytes(), payload].concat().into(),
        _ => [payload, b"\n"].concat().into(),
    }
}

fn with_settings(
    transport: &dyn Transport,
    payload: &[u8],
    additions: &[(&str, String)],
) -> Option<Bytes> {
    if additions.is_empty() {
        return None;
    }
    let entries: Vec<_> = additions
        .iter()
        .map(|(key, text)| (*key, text.as_str()))
        .collect();
    // What the client brings of its own was meant for the renderer that it believes to start.
    let shows = entries.iter().any(|(key, _)| *key == SHOWN);
    let replaced: &[_] = if shows { &["token"] } else { &[] };
    let session = transport.envelope(payload).ok()?.session;
    let header = Header {
        session: &session,
        id: None,
    };
    let message = Forwarded::new(transport, payload)
        .for_renderer()
        .keeping_id()
        .with_in_settings(&entries)
        .without_in_settings(replaced);
    transport.encode(header, &message).ok()
}

/// How much of what was sent is looked through for what explains an end, in bytes.
const TAIL: usize = 16 * 1024;

impl Sent {
    fn note(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let old = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..old);
    }
}

/// Whether the renderer was asked to end in one of the last messages. They are looked for at every
/// place, since there is no telling where the first of them begins.
fn asks_for_exit(tail: &[u8]) -> bool {
    let lines = tail.split(|byte| *byte == b'\n');
    let starts = 0..tail.len().saturating_sub(PREFIX);
    let payloads = starts.filter_map(|at| {
        let (prefix, rest) = tail[at..].split_first_chunk::<PREFIX>()?;
        rest.get(..u32::from_be_bytes(*prefix) as usize)
    });
    let is_exit = |payload: &[u8]| {
        let transport = transport_of(payload);
        let is_op = |kind: &str| kind == "widget_op";
        transport
            .envelope(payload)
            .is_ok_and(|read| is_op(&read.kind))
            && decode_payload::<Texts>(transport, payload)
                .is_ok_and(|read| matches!(read.get("op"), Some(Value::Text(op)) if op == "exit"))
    };
    lines.chain(payloads).any(is_exit)
}

/// What of a message is text, by key. As for the renderer, the last of a key counts.
type Texts = HashMap<String, Value>;

/// A text, or the fact that there is something else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Other(IgnoredAny),
}

/// The length in front of a message in MessagePack.
const PREFIX: usize = size_of::<u32>();

/// Passes on what the client sends.
fn send(from: &mut impl Read, to: &mut impl Write, sent: &Mutex<Sent>) -> io::Result<()> {
    let mut chunk = vec![0; READ];
    loop {
        match heard(from, &mut chunk) {
            0 => return Ok(()),
            count => {
                // Before it can have an effect.
                lock(sent).note(&chunk[..count]);
                to.write_all(&chunk[..count])?;
            }
        }
        to.flush()?;
    }
}

/// Passes on what the server says.
fn answer(from: &mut impl Read, to: &mut impl Write) -> io::Result<Last> {
    let mut first = FirstAnswer::default();
    let mut chunk = vec![0; READ];
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => {
                let refusal = first.refusal();
                return Ok(Last::End { refusal });
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        first.hear(&chunk[..count]);
        match to.write_all(&chunk[..count]).and_then(|()| to.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Last::Unread),
            Err(error) => return Err(error),
        }
    }
}
