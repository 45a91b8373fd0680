//! The first words between the pool and a renderer.

use std::fmt;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use plushie_pool_core::{
    Addressing, Envelope, Error, ErrorKind, Header, Phase, Transport, decode_payload, probe,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::{AppSettings, RendererConfig};
use crate::connector::Connection;
use crate::credential::Credential;
use crate::input::Input;

/// The version of the protocol this pool speaks.
pub(crate) const PROTOCOL_VERSION: u64 = 1;

/// What a renderer says of itself when it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// `plushie-renderer`, or the name of a custom build.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// `mock`, `headless`, `windowed`.
    #[serde(default)]
    pub mode: String,
    /// What draws: `tiny-skia`, ...
    #[serde(default)]
    pub backend: String,
    /// The version of the protocol it speaks.
    #[serde(default)]
    pub protocol_version: Option<u64>,
    #[serde(skip)]
    payload: Payload,
}

impl Hello {
    /// All that it said, in the wire format.
    pub fn payload(&self) -> &Bytes {
        &self.payload.0
    }
}

/// Bytes that would bury everything else in a log.
#[derive(Clone, Default, PartialEq, Eq)]
struct Payload(Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// How much is asked of the renderer's output at a time.
pub(crate) const READ: usize = 64 * 1024;

/// Exchanges settings and hello, and, with a renderer of one session, a query and its answer:
/// a windowed renderer without a display says hello and dies a moment later.
///
/// Not bounded in time.
pub(crate) async fn shake_hands(
    connection: &mut Connection,
    config: &RendererConfig,
) -> Result<(Hello, Input), Error> {
    let transport = &*config.link.transport;
    let mut input = Input {
        buffer: BytesMut::new(),
        decoder: transport.decoder(),
    };
    let settings = settings(config, connection.credential.as_ref());
    let mut words = encode(transport, &settings, None)?.to_vec();
    let prove = config.link.addressing == Addressing::Single;
    if prove {
        // Both at once: it reads the second when it is ready to, not when it is asked to.
        words.extend(encode(transport, &probe(), Some("~0"))?);
    }
    write(connection, &words).await;
    let first = next(connection, &mut input, transport).await;
    let first = first.map_err(|error| no_renderer(error, config))?;
    let asked = config.mode.as_deref();
    let hello = hello(transport, &first).map_err(|error| no_such_mode(asked, error))?;
    check_mode(asked, &hello)?;
    if prove {
        let ready = prove_ready(connection, &mut input, transport).await;
        ready.map_err(|error| no_renderer(error, config))?;
    }
    Ok((hello, input))
}

#[derive(Serialize)]
struct Settings<'a> {
    r#type: &'static str,
    settings: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    protocol_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_sha256: Option<String>,
    /// For a server, which takes it out before it passes the settings on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_mode: Option<&'a str>,
    #[serde(flatten)]
    app: Option<&'a AppSettings>,
}

fn settings<'a>(config: &'a RendererConfig, credential: Option<&'a Credential>) -> Settings<'a> {
    Settings {
        r#type: "settings",
        settings: Inner {
            protocol_version: PROTOCOL_VERSION,
            token_sha256: credential.map(Credential::sha256),
            pool_mode: config.mode.as_deref(),
            app: config.settings.as_deref(),
        },
    }
}

fn encode(
    transport: &dyn Transport,
    message: &impl Serialize,
    id: Option<&str>,
) -> Result<Bytes, Error> {
    transport.encode(Header { session: "", id }, message)
}

async fn write(connection: &mut Connection, frame: &[u8]) {
    let written = async {
        connection.writer.write_all(frame).await?;
        connection.writer.flush().await
    };
    // It may have said why before it hung up: what it said is read next.
    if let Err(error) = written.await {
        tracing::debug!(%error, "the renderer reads no settings");
    }
}

/// The next payload.
pub(crate) async fn next(
    connection: &mut Connection,
    input: &mut Input,
    transport: &dyn Transport,
) -> Result<Bytes, Error> {
    loop {
        if let Some(payload) = input.decoder.decode(&mut input.buffer)? {
            return Ok(payload);
        }
        input.buffer.reserve(READ);
        let read = connection.reader.read_buf(&mut input.buffer).await;
        match read {
            Ok(0) => return Err(hung_up(&input.buffer, transport)),
            Ok(_) => {}
            Err(error) => {
                let message = format!("the renderer's output cannot be read: {error}");
                return Err(Error::new(ErrorKind::Handshake, message));
            }
        }
    }
}

/// A renderer that shows windows dies without a display, a moment before or after its hello.
fn no_renderer(error: Error, config: &RendererConfig) -> Error {
    error.with_hint(match config.link.addressing {
        Addressing::BySession => "is it a plushie renderer?",
        Addressing::Single => {
            "is there a display? DISPLAY or WAYLAND_DISPLAY name one, weston and Xvfb make one"
        }
    })
}

fn hung_up(rest: &[u8], transport: &dyn Transport) -> Error {
    let message = if rest.is_empty() {
        "the renderer closed its output without a further word".to_owned()
    } else {
        format!(
            "the renderer closed its output after saying {:?}, which is no whole {} message",
            excerpt(rest),
            transport.name(),
        )
    };
    Error::new(ErrorKind::Handshake, message)
}

fn hello(transport: &dyn Transport, payload: &Bytes) -> Result<Hello, Error> {
    let envelope = first(transport, payload)?;
    if envelope.kind != "hello" {
        let message = format!(
            "the renderer's first message is {:?}, not hello: {:?}",
            envelope.kind,
            excerpt(payload)
        );
        return Err(
            Error::new(ErrorKind::Handshake, message).with_hint("is it a plushie renderer?")
        );
    }
    let mut hello: Hello = decode_payload(transport, payload)?;
    hello.payload = Payload(Bytes::copy_from_slice(payload));
    if hello.protocol_version != Some(PROTOCOL_VERSION) {
        let theirs = match hello.protocol_version {
            Some(version) => format!("version {version}"),
            None => "no version it names".to_owned(),
        };
        let message = format!(
            "the renderer speaks {theirs} of the protocol, the pool version {PROTOCOL_VERSION}"
        );
        return Err(Error::new(ErrorKind::Handshake, message)
            .with_hint("use versions of the renderer and of plushie-pool that fit together"));
    }
    Ok(hello)
}

/// Whether what answers is in the mode that was asked for, if one was.
fn check_mode(asked: Option<&str>, hello: &Hello) -> Result<(), Error> {
    let Some(asked) = asked.filter(|asked| *asked != hello.mode) else {
        return Ok(());
    };
    let there = &hello.mode;
    let message = format!("the option mode asks for {asked}, but the server is in mode {there}");
    Err(Error::new(ErrorKind::Config, message).with_hint(format!(
        "ask for {there} or for no mode, or have the server start with --mode {asked}"
    )))
}

/// A server that has no such mode says so in place of its hello.
fn no_such_mode(asked: Option<&str>, error: Error) -> Error {
    match asked {
        Some(asked) if error.to_string().contains("no pool in mode") => {
            let message = format!("the option mode asks for {asked}: {error}");
            Error::new(ErrorKind::Config, message)
        }
        _ => error,
    }
}

/// The envelope of what must be a renderer's message.
fn first<'a>(transport: &dyn Transport, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
    let envelope = transport.envelope(payload).map_err(|error| {
        let message = format!(
            "the renderer said {:?}, which is no {} message: {error}",
            excerpt(payload),
            transport.name()
        );
        Error::new(ErrorKind::Handshake, message).with_hint("is it a plushie renderer?")
    })?;
    if envelope.kind == "error" {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        let refusal = decode_payload::<Refusal>(transport, payload)?;
        let message = format!("the renderer refused to start: {}", refusal.message);
        return Err(Error::new(ErrorKind::Handshake, message));
    }
    Ok(envelope)
}

/// Waits for the answer to a query; what comes before it concerns no session yet.
async fn prove_ready(
    connection: &mut Connection,
    input: &mut Input,
    transport: &dyn Transport,
) -> Result<(), Error> {
    loop {
        let payload = next(connection, input, transport).await?;
        if first(transport, &payload)?.kind == "query_response" {
            return Ok(());
        }
    }
}

/// What to say when all this took longer than it may.
pub(crate) fn too_slow(since: Instant, input: &str) -> Error {
    Error::timeout(Phase::Handshake, since.elapsed()).with_hint(format!(
        "{input} started, but does not answer like a plushie renderer; raise launch_timeout if \
         the machine is slow"
    ))
}

/// The beginning of something that may be anything.
fn excerpt(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(120)];
    String::from_utf8_lossy(start).into_owned()
}
