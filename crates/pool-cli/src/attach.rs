//! `plushie-pool attach`: stands in for a renderer where a program insists on starting one.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use bytes::BytesMut;
use plushie_pool::core::{Header, decode_payload};
use plushie_pool::{Address, Transport};
use plushie_pool_transport_json::Json;
use plushie_pool_transport_msgpack::Msgpack;
use serde_json::Value;

use crate::failure::Failure;
use crate::streams::{self, Streams};

/// Be a renderer on standard input and output, with the sessions of a served pool
///
/// For the test pools of SDKs, which start what PLUSHIE_BINARY_PATH names. Connects to the
/// server at PLUSHIE_SOCKET with PLUSHIE_TOKEN. `plushie-pool run` sets PLUSHIE_BINARY_PATH to a
/// script that does this, unless it is set already.
#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    /// The arguments of a renderer. --mock and --headless have to agree with
    /// PLUSHIE_TEST_BACKEND, if that is set; all others are up to the server
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
        self.check_mode()?;
        let address: Address = env::var("PLUSHIE_SOCKET")
            .map_err(|_| Failure::Usage("PLUSHIE_SOCKET does not say where the server is"))?
            .parse()?;
        let failed = |error: io::Error| Failure::Server {
            address: address.to_string(),
            problem: error.to_string(),
        };
        let streams = streams::connect(&address, None).map_err(failed)?;
        forward(streams, env::var("PLUSHIE_TOKEN").ok()).map_err(failed)
    }

    /// A test that asks for pixels would pass where nothing is drawn.
    fn check_mode(&self) -> Result<(), Failure> {
        let Ok(served) = env::var("PLUSHIE_TEST_BACKEND") else {
            return Ok(());
        };
        let asked = match () {
            () if self.arguments.iter().any(|argument| argument == "--mock") => "mock",
            () if self
                .arguments
                .iter()
                .any(|argument| argument == "--headless") =>
            {
                "headless"
            }
            () => "windowed",
        };
        if asked == served {
            return Ok(());
        }
        Err(Failure::OtherMode { asked, served })
    }
}

/// Until either side ends, which ends the process and with it the other.
fn forward((mut reader, mut writer): Streams, token: Option<String>) -> io::Result<()> {
    let (ended, end) = mpsc::channel();
    let other = ended.clone();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        let sent =
            greet(&mut input, &mut writer, token).and_then(|()| copy(&mut input, &mut writer));
        // Nobody listens any more if the other side ended first.
        let _ = ended.send(sent);
    });
    thread::spawn(move || {
        let _ = other.send(copy(&mut reader, &mut io::stdout().lock()));
    });
    end.recv().unwrap_or(Ok(()))
}

/// Sends on the first message, with the token in it, and what was read behind it. One that is
/// not understood goes on as it is: the server says what is wrong with it.
fn greet(input: &mut impl Read, writer: &mut impl Write, token: Option<String>) -> io::Result<()> {
    let Some(token) = token else {
        return Ok(());
    };
    let mut read = BytesMut::new();
    let mut chunk = vec![0; READ];
    loop {
        let count = input.read(&mut chunk)?;
        read.extend_from_slice(&chunk[..count]);
        let transport: &dyn Transport = match read.first() {
            Some(b'{') => &Json,
            _ => &Msgpack,
        };
        let mut rest = read.clone();
        match transport.decoder().decode(&mut rest) {
            Ok(None) if count > 0 => {}
            Ok(Some(payload)) => {
                let shown = with_token(transport, &payload, token);
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

fn with_token(transport: &dyn Transport, payload: &[u8], token: String) -> Option<Vec<u8>> {
    let mut message: Value = decode_payload(transport, payload).ok()?;
    message
        .get_mut("settings")?
        .as_object_mut()?
        .insert("token".to_owned(), token.into());
    // The header brings it.
    let session = message.as_object_mut()?.remove("session");
    let header = Header {
        session: session.as_ref().and_then(Value::as_str).unwrap_or_default(),
        id: None,
    };
    Some(transport.encode(header, &message).ok()?.to_vec())
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0; READ];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(()),
            count => to.write_all(&chunk[..count])?,
        }
        to.flush()?;
    }
}
