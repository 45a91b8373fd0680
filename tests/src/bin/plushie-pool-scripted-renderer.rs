//! A renderer that misbehaves as told: see `plushie_pool_tests::script` for the steps.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use plushie_pool_tests::script::{self, Step};
use plushie_pool_tests::wire::{self, Format};
use serde_json::Value;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let steps = match script::parse(&args) {
        Ok(steps) => steps,
        Err(error) => {
            eprintln!("scripted renderer: {error}");
            return ExitCode::from(64);
        }
    };
    let mut renderer = Renderer {
        format: Format::of_args(&args),
        input: Vec::new(),
        last: Value::Null,
    };
    for step in steps {
        renderer.act(step);
    }
    ExitCode::SUCCESS
}

struct Renderer {
    format: Format,
    /// What was read and not yet taken.
    input: Vec<u8>,
    /// The last message taken.
    last: Value,
}

impl Renderer {
    fn act(&mut self, step: Step) {
        match step {
            Step::Hello(changes) => self.hello(&changes),
            Step::Take(count) => drop(self.take(count)),
            Step::Answer(count) => {
                for _ in 0..count {
                    let message = self.next();
                    self.answer(&message);
                }
            }
            Step::Swap(count) => {
                for message in self.take(count).iter().rev() {
                    self.answer(message);
                }
            }
            Step::Serve => self.serve(Duration::ZERO),
            Step::Dawdle(pause) => self.serve(pause),
            Step::Rest(time) => std::thread::sleep(time),
            Step::Drain => while self.read().is_some() {},
            Step::Say(text) => {
                let frame = self.quoting(&text);
                write(&frame);
            }
            Step::Repeat(times, text) => {
                let frame = self.quoting(&text);
                for _ in 0..times {
                    write(&frame);
                }
            }
            Step::Tear(text) => {
                let frame = self.quoting(&text);
                write(&frame[..frame.len() / 2]);
            }
            Step::Frame(payload) => write(&self.format.framed(&payload)),
            Step::Print(bytes) => write(&bytes),
            Step::OverCap => write(&self.format.over_cap()),
            Step::Complain(line) => eprintln!("{line}"),
            Step::Flood(lines) => {
                for n in 0..lines {
                    eprintln!("complaint {n} of {lines}, with some more words to fill the pipe");
                }
            }
            Step::FirstTime(path) => {
                let made = OpenOptions::new().write(true).create_new(true).open(path);
                if made.is_err() {
                    self.hello(&Value::Null);
                    self.serve(Duration::ZERO);
                    std::process::exit(0);
                }
            }
            Step::Note(path) => note(&path),
            Step::Bequeath => bequeath(),
            Step::IgnoreTerm => ignore_term(),
            Step::Hush => hush(),
            Step::Hang => loop {
                std::thread::park();
            },
            Step::Exit(code) => std::process::exit(code),
            Step::Kill => kill(),
        }
    }

    fn hello(&self, changes: &Value) {
        let mut hello = wire::hello();
        for (key, value) in changes.as_object().into_iter().flatten() {
            hello[key] = value.clone();
        }
        write(&self.format.frame(&hello));
    }

    fn serve(&mut self, pause: Duration) {
        while let Some(message) = self.read() {
            std::thread::sleep(pause);
            self.answer(&message);
        }
    }

    fn answer(&self, message: &Value) {
        for answer in wire::answers(message) {
            write(&self.format.frame(&answer));
        }
    }

    fn take(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.next()).collect()
    }

    /// The next message; a renderer that sees its input end goes.
    fn next(&mut self) -> Value {
        self.read().unwrap_or_else(|| std::process::exit(0))
    }

    fn read(&mut self) -> Option<Value> {
        let mut bytes = [0; 64 * 1024];
        loop {
            if let Some(message) = self.format.take(&mut self.input) {
                self.last = message.clone();
                return Some(message);
            }
            match std::io::stdin().read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.input.extend_from_slice(&bytes[..read]),
            }
        }
    }

    fn quoting(&self, text: &str) -> Vec<u8> {
        let mut text = text.to_owned();
        for key in ["id", "session"] {
            let value = self.last[key].as_str().unwrap_or_default();
            text = text.replace(&format!("${key}"), value);
        }
        match serde_json::from_str(&text) {
            Ok(message) => self.format.frame(&message),
            Err(error) => panic!("{text} is not JSON: {error}"),
        }
    }
}

/// Whoever no longer listens has ended this.
fn write(bytes: &[u8]) {
    let mut output = std::io::stdout().lock();
    if output
        .write_all(bytes)
        .and_then(|()| output.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// Whoever sees the file sees all of it.
fn note(path: &Path) {
    let unfinished = path.with_extension("unfinished");
    let id = std::process::id().to_string();
    let noted = std::fs::write(&unfinished, id).and_then(|()| std::fs::rename(&unfinished, path));
    noted.expect("the test made the folder");
}

/// Ends by itself, should the test not come to end it.
fn bequeath() {
    let heir = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
    eprintln!("heir {}", heir.expect("every system sleeps").id());
}

#[cfg(unix)]
fn ignore_term() {
    // SAFETY: ignoring a signal installs no handler, so nothing of ours runs at odd times.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
        libc::signal(libc::SIGINT, libc::SIG_IGN);
    }
}

#[cfg(unix)]
fn hush() {
    // SAFETY: nothing else in this program owns the descriptor; writing to it fails from now on.
    unsafe {
        libc::close(libc::STDOUT_FILENO);
    }
}

#[cfg(unix)]
fn kill() {
    // SAFETY: has no memory to be careful about.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
}

#[cfg(not(unix))]
fn ignore_term() {}

#[cfg(not(unix))]
fn hush() {}

#[cfg(not(unix))]
fn kill() {
    std::process::abort();
}
