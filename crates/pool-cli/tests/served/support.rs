//! What the tests share.

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

pub(crate) fn pool_directories(base: &Path) -> usize {
    let entries = std::fs::read_dir(base).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("plushie-pool-"))
        .count()
}

pub(crate) fn pool(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plushie-pool"));
    command.args(args);
    for name in [
        "PLUSHIE_SOCKET",
        "PLUSHIE_TOKEN",
        "PLUSHIE_TEST_BACKEND",
        "PLUSHIE_TEST_MAX_SESSIONS",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `plushie-pool serve`, which has said where it is.
pub(crate) struct Serve {
    pub(crate) process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) socket: String,
    pub(crate) token: String,
}

impl Serve {
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut serve = Self::by(pool(&["serve"]).args(options));
        let guarded = options.contains(&"--token-file")
            || options.contains(&"--listen") && !options.contains(&"--no-token");
        if guarded {
            serve.reads_token();
        }
        serve
    }

    /// Started by this command.
    pub(crate) fn by(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut serve = Self {
            process,
            lines,
            socket: String::new(),
            token: String::new(),
        };
        let line = serve.line();
        serve.socket = line.strip_prefix("PLUSHIE_SOCKET=").unwrap().to_owned();
        serve
    }

    pub(crate) fn reads_token(&mut self) {
        let line = self.line();
        self.token = line.strip_prefix("PLUSHIE_TOKEN=").unwrap().to_owned();
    }

    pub(crate) fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    pub(crate) fn pool(&self, args: &[&str]) -> Command {
        let mut command = pool(args);
        command.env("PLUSHIE_SOCKET", &self.socket);
        if !self.token.is_empty() {
            command.env("PLUSHIE_TOKEN", &self.token);
        }
        command
    }

    pub(crate) fn client(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(&self.socket).unwrap();
        // Longer than anything here takes on any machine.
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        BufReader::new(stream)
    }

    pub(crate) fn end(&mut self) {
        kill_process(pid(&self.process), Signal::TERM).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
        assert!(!Path::new(&self.socket).exists());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Of no effect on one that has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
