//! `plushie-pool status`: who has what of the pools that are served.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use plushie_pool::{Address, Credential};
use plushie_pool_renderer::variable;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::streams;

/// Show who has which sessions of a served pool, who waits, and how its renderers do, by mode
///
/// Asks the server at PLUSHIE_SOCKET with PLUSHIE_TOKEN, as `plushie-pool serve` prints them, or
/// at the address given.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Where the server listens [default: PLUSHIE_SOCKET]
    #[arg(value_name = "ADDRESS")]
    address: Option<Address>,

    /// Print all there is to know as one JSON object
    #[arg(long)]
    json: bool,

    /// Show it again every so many seconds, with rates, until interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=3600))]
    watch: Option<u16>,
}

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Status {
    pub(crate) fn run(&self) -> ExitCode {
        match self.show() {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever read it has seen enough.
            Err(Failure::Announce(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::SUCCESS
            }
            Err(failure) => failure.report(),
        }
    }

    fn show(&self) -> Result<(), Failure> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => {
                let address = variable("PLUSHIE_SOCKET")?.ok_or(Failure::Usage(
                    "which server? Give its address, or set PLUSHIE_SOCKET",
                ))?;
                address.parse()?
            }
        };
        let credential = Credential::from_env()?;
        let mut connection = Connection::open(&address, credential.as_ref())?;
        let mut before = None;
        loop {
            let status = connection.ask()?;
            let mut text = match self.json {
                true => format!("{status}\n"),
                false => table(&status, before.as_ref()),
            };
            if self.watch.is_some() && !self.json && io::stdout().is_terminal() {
                // The top of an empty screen.
                text = format!("\x1b[H\x1b[2J{text}");
            }
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .map_err(Failure::Announce)?;
            let Some(seconds) = self.watch else {
                return Ok(());
            };
            before = Some(status);
            std::thread::sleep(Duration::from_secs(seconds.into()));
        }
    }
}

/// A connection to the server, as a client that has no sessions.
struct Connection {
    reader: BufReader<Box<dyn io::Read + Send>>,
    writer: Box<dyn io::Write + Send>,
}

impl Connection {
    fn open(address: &Address, credential: Option<&Credential>) -> Result<Self, Failure> {
        let failed = |source| Failure::Server {
            address: address.to_string(),
            problem: source,
        };
        let streams = streams::connect(address, Some(PATIENCE));
        let (reader, writer) = streams.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Failure::Nobody(address.to_string())
            }
            _ => failed(error.to_string()),
        })?;
        let mut connection = Self {
            reader: BufReader::new(reader),
            writer: Box::new(writer),
        };
        let mut settings = json!({"protocol_version": 1});
        if let Some(credential) = credential {
            settings["token_sha256"] = credential.sha256().into();
        }
        let hello = connection
            .say(&json!({"type": "settings", "session": "", "settings": settings}))
            .and_then(|()| connection.hear("hello"));
        hello.map_err(|error| {
            let mut problem = error.to_string();
            if problem.contains("token") {
                problem += "; set PLUSHIE_TOKEN to what the server printed";
            }
            failed(problem)
        })?;
        Ok(connection)
    }

    fn ask(&mut self) -> Result<Value, Failure> {
        let status = self
            .say(&json!({"type": "pool_status", "id": "status"}))
            .and_then(|()| self.hear("pool_status_response"));
        let mut status = status.map_err(|error| Failure::Server {
            address: "the server".to_owned(),
            problem: error.to_string(),
        })?;
        Ok(status["status"].take())
    }

    fn say(&mut self, message: &Value) -> io::Result<()> {
        self.writer.write_all(format!("{message}\n").as_bytes())?;
        self.writer.flush()
    }

    /// The next message of this type.
    fn hear(&mut self, kind: &str) -> io::Result<Value> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::Error::other("it hung up"));
            }
            let message: Value = serde_json::from_str(&line)?;
            match message["type"].as_str() {
                Some(found) if found == kind => return Ok(message),
                Some("error") => {
                    let text = message["message"].as_str().unwrap_or("it gives no reason");
                    return Err(io::Error::other(text.to_owned()));
                }
                Some("diagnostic") => {
                    return Err(io::Error::other("it is a renderer, not a served pool"));
                }
                _ => {}
            }
        }
    }
}

/// What people want to know; with rates since `before`, or else since the start.
fn table(status: &Value, before: Option<&Value>) -> String {
    let server = &status["server"];
    let mut text = String::new();
    for (index, pool) in items(&status["pools"]).enumerate() {
        let about = match index {
            0 => format!(
                " at {}, up {}",
                text_of(&status["address"]),
                time(&status["uptime_us"])
            ),
            _ => String::new(),
        };
        section(&mut text, pool, &about);
    }
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "round trips: {} (p50 {}, p99 {}); {:.1}/s, sessions: {:.1}/s",
        server["round_trips"],
        time(&server["latency"]["p50_us"]),
        time(&server["latency"]["p99_us"]),
        rate(status, before, "round_trips"),
        rate(status, before, "sessions_served"),
    );

    let _ = writeln!(
        text,
        "\nclient                 mode      session       in the pool  renderer         for"
    );
    for client in items(&server["clients"]) {
        let name = format!("{} ({})", client["id"], text_of(&client["peer"]));
        for session in items(&client["sessions"]) {
            let held = match session["session"].as_str() {
                Some(id) => id.to_owned(),
                None => "waits".to_owned(),
            };
            let pid = session["renderer_pid"].as_u64();
            let _ = writeln!(
                text,
                "{name:<22} {:<9} {:<13} {held:<12} {:<8}  {:>10}",
                text_of(&client["mode"]),
                shortened(&session["name"]),
                pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                time(&session["age_us"]),
            );
        }
    }
    text
}

/// One pool; `about` is said of it besides.
fn section(text: &mut String, pool: &Value, about: &str) {
    let _ = writeln!(
        text,
        "{} mode over {}{about}",
        text_of(&pool["mode"]),
        text_of(&pool["format"]),
    );
    let _ = writeln!(
        text,
        "sessions: {} of {} ({} at once at most, {} served), waiting: {}, failures: {}",
        pool["sessions"],
        pool["max_sessions"],
        pool["most_sessions"],
        pool["sessions_served"],
        pool["waiting"],
        pool["failures"],
    );
    let _ = writeln!(
        text,
        "requests on their way: {}, messages queued: {}",
        pool["pending_requests"], pool["queued_messages"],
    );
    let _ = writeln!(
        text,
        "renderer     version   sessions    served         age"
    );
    for renderer in items(&pool["renderers"]) {
        let name = match renderer["pid"].as_u64() {
            Some(pid) => format!("pid {pid}"),
            None => text_of(&renderer["origin"]),
        };
        let _ = writeln!(
            text,
            "{name:<12} {:<8} {:>9} {:>9}  {:>10}",
            text_of(&renderer["version"]),
            renderer["sessions"].to_string(),
            renderer["served"].to_string(),
            time(&renderer["age_us"]),
        );
    }
    let _ = writeln!(
        text,
        "(launched: {}, died by themselves: {})\n",
        pool["launches"], pool["deaths"]
    );
    let backoff = &pool["backoff"];
    if backoff.is_object() {
        let until = match &backoff["remaining_us"] {
            Value::Null => "for good".to_owned(),
            remaining => format!("for {}", time(remaining)),
        };
        let error = text_of(&backoff["error"]);
        let _ = writeln!(text, "no renderer is launched {until}: {error}\n");
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A client's name for a session, which may hold anything.
fn shortened(name: &Value) -> String {
    let quoted = format!("{:?}", name.as_str().unwrap_or_default());
    match quoted.char_indices().nth(12) {
        Some((at, _)) => format!("{}..", &quoted[..at.min(quoted.len())]),
        None => quoted,
    }
}

fn rate(status: &Value, before: Option<&Value>, count: &str) -> f64 {
    let number = |of: Option<&Value>, path: &[&str]| {
        let found = path.iter().try_fold(of?, |value, key| value.get(key));
        found.and_then(Value::as_f64)
    };
    let since = |path: &[&str]| {
        number(Some(status), path).unwrap_or(0.0) - number(before, path).unwrap_or(0.0)
    };
    let seconds = since(&["uptime_us"]) / 1e6;
    if seconds > 0.0 {
        since(&["server", count]) / seconds
    } else {
        0.0
    }
}

fn time(micros: &Value) -> String {
    let time = Duration::from_micros(micros.as_u64().unwrap_or(0));
    match time.as_secs() {
        0 => format!("{:.2} ms", time.as_secs_f64() * 1000.0),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min", time.as_secs() / 60),
        _ => format!("{:.1} h", time.as_secs_f64() / 3600.0),
    }
}
