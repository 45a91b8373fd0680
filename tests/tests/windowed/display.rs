//! A display for the windows: the one that is there, else weston, else Xvfb, else none.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use plushie_pool::Builder;
use tempfile::TempDir;

/// Set to 1, a missing display fails the tests instead of skipping them.
const REQUIRE: &str = "PLUSHIE_POOL_REQUIRE_DISPLAY";

/// A display, and what a renderer must be told to find it.
pub(crate) struct Display {
    name: &'static str,
    env: Vec<(&'static str, String)>,
    /// A server of our own, gone when this process is: see [`serve`].
    _server: Option<(Child, TempDir)>,
}

impl Display {
    /// Makes a pool's renderers use it.
    pub(crate) fn show(&self, mut pool: Builder) -> Builder {
        for (name, value) in &self.env {
            pool = pool.renderer_env(name, value);
        }
        pool
    }
}

/// The display of this process, or `None`, said loudly, if the test is to be skipped.
pub(crate) fn display() -> Option<&'static Display> {
    static DISPLAY: OnceLock<Option<Display>> = OnceLock::new();
    let display = DISPLAY.get_or_init(|| inherited().or_else(weston).or_else(xvfb));
    match display {
        Some(display) => eprintln!("windowed tests use {}", display.name),
        None => {
            let missing = "no display, no weston and no Xvfb: `apt-get install weston`, say";
            assert!(env::var(REQUIRE).as_deref() != Ok("1"), "{missing}");
            // Past the test harness, which keeps what a passing test prints to itself.
            let said = writeln!(std::io::stderr(), "SKIPPED a windowed test: {missing}");
            said.expect("stderr can be written to");
        }
    }
    display.as_ref()
}

fn inherited() -> Option<Display> {
    let there = |name| env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
    (there("WAYLAND_DISPLAY") || there("DISPLAY")).then(|| Display {
        name: "the display that is there",
        env: Vec::new(),
        _server: None,
    })
}

fn weston() -> Option<Display> {
    let program = installed("weston")?;
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let socket = directory.path().join("wayland-pool");
    let mut command = Command::new("sh");
    command
        .env("XDG_RUNTIME_DIR", directory.path())
        .args(["-c", KEEPER, "weston"])
        .arg(program)
        .args([
            "--backend=headless-backend.so",
            "--width=1280",
            "--height=1024",
        ])
        .args(["--socket=wayland-pool", "--idle-time=0"]);
    let server = serve(&mut command, || socket.exists());
    Some(Display {
        name: "a headless weston",
        env: vec![
            ("WAYLAND_DISPLAY", "wayland-pool".to_owned()),
            (
                "XDG_RUNTIME_DIR",
                directory.path().to_string_lossy().into_owned(),
            ),
        ],
        _server: Some((server, directory)),
    })
}

fn xvfb() -> Option<Display> {
    let program = installed("Xvfb")?;
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = Command::new("sh");
    command
        .args(["-c", KEEPER, "Xvfb"])
        .arg(program)
        .args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1280x1024x24",
            "-nolisten",
            "tcp",
        ])
        .stdout(Stdio::piped());
    let mut server = serve(&mut command, || true);
    let stdout = server.stdout.take().expect("piped above");
    let mut number = String::new();
    let read = BufReader::new(stdout).read_line(&mut number);
    read.expect("Xvfb names its display when it is ready");
    Some(Display {
        name: "an Xvfb",
        env: vec![("DISPLAY", format!(":{}", number.trim()))],
        _server: Some((server, directory)),
    })
}

/// Runs a server until our end of its input is closed, which the end of this process does,
/// however it comes.
const KEEPER: &str = r#""$@" 2>/dev/null & server=$!; read -r _; kill "$server"; wait "$server""#;

/// Starts a server and waits until it is ready.
fn serve(command: &mut Command, ready: impl Fn() -> bool) -> Child {
    let mut server = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh can be run");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready() {
        assert!(
            Instant::now() < deadline,
            "{command:?} is not ready after 30 s"
        );
        let ended = server.try_wait().expect("it is ours");
        assert!(ended.is_none(), "{command:?} ended: {ended:?}");
        std::thread::yield_now();
    }
    server
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|directory| directory.join(program));
    found
        .into_iter()
        .find(|program: &PathBuf| Path::is_file(program))
}
