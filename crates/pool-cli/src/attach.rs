//! `plushie-pool attach`: stands in for a renderer where a program insists on starting one.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use bytes::{Bytes, BytesMut};
use plushie_pool::core::{Forwarded, Header};
use plushie_pool::{Address, Credential, RendererMode, Transport};
use plushie_pool_renderer::variable;

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
                "PLUSHIE_SOCKET does not say where the server is",
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
        forward(streams, credential.into_iter().chain(mode).collect()).map_err(failed)
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

/// Until either side ends, which ends the process and with it the other.
fn forward((mut reader, mut writer): Streams, additions: Additions) -> io::Result<()> {
    let (ended, end) = mpsc::channel();
    let other = ended.clone();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        let sent =
            greet(&mut input, &mut writer, &additions).and_then(|()| copy(&mut input, &mut writer));
        // Nobody listens any more if the other side ended first.
        let _ = ended.send(sent);
    });
    thread::spawn(move || {
        let _ = other.send(answer(&mut reader, &mut io::stdout().lock()));
    });
    end.recv().unwrap_or(Ok(()))
}

/// Sends on the first message, with `additions` in its settings, and what was read behind it. One
/// that is not understood goes on as it is: the server says what is wrong with it.
fn greet(
    input: &mut impl Read,
    writer: &mut impl Write,
    additions: &[(&str, String)],
) -> io::Result<()> {
    if additions.is_empty() {
        return Ok(());
    }
    let mut read = BytesMut::new();
    let mut chunk = vec![0; READ];
    loop {
        let count = input.read(&mut chunk)?;
        read.extend_from_slice(&chunk[..count]);
        let transport = transport_of(&read);
        let mut rest = read.clone();
        match transport.decoder().decode(&mut rest) {
            Ok(None) if count > 0 => {}
            Ok(Some(payload)) => {
                let shown = with_settings(transport, &payload, additions);
                let whole = read.len() - rest.len();
                writer.write_all(shown.as_deref().unwrap_or(&read[..whole]))?;
                writer.write_all(&rest)?;
                return writer.flush();
            }
            Ok(None) | Err(_) => {
                writer.write_all(&read)?;
                return writer.flush();
            }
        }
    }
}

fn with_settings(
    transport: &dyn Transport,
    payload: &[u8],
    additions: &[(&str, String)],
) -> Option<Bytes> {
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
        .keeping_id()
        .with_in_settings(&entries)
        .without_in_settings(replaced);
    transport.encode(header, &message).ok()
}

/// Passes on what the server says. A refusal is an error, after the client has been told.
fn answer(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut first = FirstAnswer::default();
    copy_heard(from, to, |bytes| first.hear(bytes))?;
    first
        .refusal()
        .map_or(Ok(()), |message| Err(io::Error::other(message)))
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    copy_heard(from, to, |_| {})
}

fn copy_heard(
    from: &mut impl Read,
    to: &mut impl Write,
    mut hear: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut chunk = vec![0; READ];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(()),
            count => {
                hear(&chunk[..count]);
                to.write_all(&chunk[..count])?;
            }
        }
        to.flush()?;
    }
}
