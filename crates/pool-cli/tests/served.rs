//! `plushie-pool run`, `serve` and `status`, the way people run them.

// The renderer is the command itself, and what it runs are shell scripts.
#![cfg(all(target_os = "linux", feature = "embedded-renderer"))]
#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

#[test]
fn the_command_finds_the_pool_and_its_exit_code_is_returned() {
    let script = r#"echo "$PLUSHIE_TEST_BACKEND $PLUSHIE_TEST_MAX_SESSIONS $PLUSHIE_SOCKET"
        test -S "$PLUSHIE_SOCKET" && test -n "$PLUSHIE_TOKEN" && exit 7"#;
    let output = pool(&["run", "--mode", "headless", "--max-sessions", "3", "--"])
        .args(["sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let said = text(&output.stdout);
    let socket = said.trim().strip_prefix("headless 3 ").unwrap();
    assert!(!Path::new(socket).parent().unwrap().exists(), "{socket}");
    let summary = text(&output.stderr);
    assert!(
        summary.contains("0 sessions served to 0 clients"),
        "{summary}"
    );
    assert!(summary.contains("renderers started: 1 (pid "), "{summary}");
    assert_gone(&summary);
}

#[test]
fn what_cannot_be_run_is_told_as_by_a_shell() {
    for (command, code) in [("/no/such/command", 127), ("/etc/passwd", 126)] {
        let output = pool(&["run", "--", command]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let error = text(&output.stderr);
        assert!(
            error.starts_with(&format!("error: cannot run {command}: ")),
            "{error}"
        );
    }
    let output = pool(&["run", "--", "sh", "-c", "kill -9 $$"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(128 + 9), "{output:?}");
    let output = pool(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn signals_go_to_the_command_and_its_end_is_the_end() {
    have_children_heed_interrupts();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let script = r"trap 'echo caught; exit 5' TERM INT HUP
            echo ready; while true; do sleep 0.01; done";
        let mut run = pool(&["run", "--", "sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // In the foreground of a terminal it would leave an interrupt to that.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(pid(&run), signal).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "caught");
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        assert_gone(&text(&output.stderr));
    }
}

#[test]
fn an_interrupt_by_a_process_goes_to_the_command_whoever_is_in_the_foreground() {
    have_children_heed_interrupts();
    let script = "trap 'echo caught; exit 5' INT; echo ready; while true; do sleep 0.01; done";
    let mut run = pool(&["run", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill_process(pid(&run), Signal::INT).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "caught");
    assert_eq!(run.wait().unwrap().code(), Some(5));
}

#[test]
fn windows_are_shown_where_it_was_said_and_kept_ready() {
    // With nothing to show windows on, the one that is to be ready beforehand cannot be.
    let windowed = ["run", "--mode", "windowed", "--display", "none"];
    let spared = pool(&windowed).args(["--warm", "1", "--", "true"]).output();
    let spared = spared.unwrap();
    assert_eq!(spared.status.code(), Some(1), "{spared:?}");
    let error = text(&spared.stderr);
    assert!(error.contains("is there a display?"), "{error}");
    let unasked = pool(&windowed).args(["--", "true"]).output().unwrap();
    assert_eq!(unasked.status.code(), Some(0), "{unasked:?}");
}

#[test]
fn what_happens_is_told_as_was_asked_and_the_token_never() {
    let script = r#"echo "$PLUSHIE_TOKEN"; "$0" status
        PLUSHIE_TOKEN="no$PLUSHIE_TOKEN" "$0" status 2>/dev/null; true"#;
    let said = |level: &[&str]| {
        let mut run = pool(&["run"]);
        run.args(level)
            .args(["--", "sh", "-c", script, env!("CARGO_BIN_EXE_plushie-pool")]);
        let output = run.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let token = text(&output.stdout).lines().next().unwrap().to_owned();
        let said = text(&output.stderr);
        assert!(token.len() > 20 && !said.contains(&token), "{said}");
        said
    };
    let refused = "cut off a client";
    for level in [&[][..], &["--log", "trace"]] {
        let said = said(level);
        assert!(said.contains(refused), "{said}");
        assert_eq!(said.contains("renderer ready"), !level.is_empty(), "{said}");
    }
    assert!(!said(&["--log", "off"]).contains(refused));
}

#[test]
fn the_exit_code_does_not_depend_on_who_listens() {
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let mut run = pool(&["run", "--", "sh", "-c", "exit 3"]);
    assert_eq!(run.stderr(full()).status().unwrap().code(), Some(3));
    let mut run = pool(&["run", "--", "/no/such/command"]);
    assert_eq!(run.stderr(full()).status().unwrap().code(), Some(127));
}

#[test]
fn a_server_that_cannot_say_where_it_is_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut serve = pool(&["serve"]);
    serve.env("XDG_RUNTIME_DIR", base.path()).stdout(full);
    assert_eq!(serve.status().unwrap().code(), Some(1));
    assert_eq!(pool_directories(base.path()), 0);
}

#[test]
fn what_a_killed_server_left_goes_with_the_next_and_what_lives_stays() {
    let base = tempfile::tempdir().unwrap();
    let start = || {
        let mut serve = pool(&["serve"])
            .env("XDG_RUNTIME_DIR", base.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(serve.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let socket = line.trim().strip_prefix("PLUSHIE_SOCKET=").unwrap();
        (serve, socket.to_owned())
    };
    let (mut killed, left) = start();
    let (mut living, lives) = start();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(Path::new(&left).exists());
    let (mut next, _) = start();
    assert!(!Path::new(&left).parent().unwrap().exists());
    UnixStream::connect(lives).unwrap();
    for server in [&mut living, &mut next] {
        kill_process(pid(server), Signal::TERM).unwrap();
        assert_eq!(server.wait().unwrap().code(), Some(0));
    }
    assert_eq!(pool_directories(base.path()), 0);
}

#[test]
fn a_signal_at_any_time_of_the_start_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let tried = 20;
    for n in 0..tried {
        let mut run = pool(&["run", "--", "sleep", "1000"])
            .env("XDG_RUNTIME_DIR", base.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Not waited for: that it may come at any time is the point.
        std::thread::sleep(std::time::Duration::from_millis(4 * n));
        kill_process(pid(&run), Signal::TERM).unwrap();
        let status = run.wait().unwrap();
        let ended = status.signal().or(status.code());
        assert!([Some(15), Some(128 + 15)].contains(&ended), "{status:?}");
        assert_eq!(pool_directories(base.path()), 0, "after {} ms", 4 * n);
    }
}

#[test]
fn what_is_ignored_stays_ignored() {
    let start = r#"trap '' HUP; exec "$0" serve"#;
    let mut serve = Command::new("sh")
        .args(["-c", start, env!("CARGO_BIN_EXE_plushie-pool")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(serve.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let socket = line.trim().strip_prefix("PLUSHIE_SOCKET=").unwrap();
    kill_process(pid(&serve), Signal::HUP).unwrap();
    let output = pool(&["status", socket]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    kill_process(pid(&serve), Signal::TERM).unwrap();
    assert_eq!(serve.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_leaves_the_socket_that_took_its_place() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("pool.sock");
    let listen = ["--listen", path.to_str().unwrap(), "--no-token"];
    let first = Serve::start(&listen);
    std::fs::remove_file(&path).unwrap();
    let mut second = Serve::start(&listen);
    let mut first = first;
    kill_process(pid(&first.process), Signal::TERM).unwrap();
    assert_eq!(first.process.wait().unwrap().code(), Some(0));
    assert!(path.exists());
    second.end();
}

#[test]
fn a_server_hears_a_signal_while_its_pool_starts() {
    let base = tempfile::tempdir().unwrap();
    let (renderer, started) = (base.path().join("silent"), base.path().join("started"));
    let script = format!("#!/bin/sh\n: > '{}'\nexec sleep 1000\n", started.display());
    std::fs::write(&renderer, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&renderer, mode).unwrap();
    let mut serve = pool(&["serve", "--renderer", renderer.to_str().unwrap()])
        .env("PLUSHIE_TEST_TIMEOUT", "100")
        .spawn()
        .unwrap();
    while !started.exists() {
        std::thread::yield_now();
    }
    kill_process(pid(&serve), Signal::TERM).unwrap();
    assert_eq!(serve.wait().unwrap().code(), Some(128 + 15));
}

#[test]
fn messages_say_what_was_asked_for() {
    for (args, says) in [
        (
            &["run", "--", "nosuch-command"][..],
            "cannot run nosuch-command: it was not found in PATH",
        ),
        (
            &["status", "/no/such/socket"],
            "nobody serves at /no/such/socket",
        ),
        (
            &["serve", "--listen", "/nonexist/x.sock"],
            "cannot listen at /nonexist/x.sock: its directory does not exist",
        ),
    ] {
        let output = pool(args).output().unwrap();
        let error = text(&output.stderr);
        assert!(error.contains(says), "{error}");
    }
    let base = tempfile::tempdir().unwrap();
    let mut serve = pool(&["serve", "--listen", "rel.sock"])
        .current_dir(base.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(serve.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("PLUSHIE_SOCKET=/"), "{line}");
    kill_process(pid(&serve), Signal::TERM).unwrap();
    assert_eq!(serve.wait().unwrap().code(), Some(0));
}

fn pool_directories(base: &Path) -> usize {
    let entries = std::fs::read_dir(base).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("plushie-pool-"))
        .count()
}

#[test]
fn nothing_outlives_a_run_that_is_killed() {
    let script = r#"echo "$PPID"; exec cat"#;
    let mut run = pool(&["run", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    // Of all threads, as the renderer is forked by the pool's own.
    let children: Vec<String> = std::fs::read_dir(format!("/proc/{}/task", run.id()))
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap())
        .chain([std::fs::read_to_string(children).unwrap()])
        .flat_map(|pids| {
            pids.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    run.kill().unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(9));
    // The command sees the end of its input, the renderer the end of its parent.
    drop(run);
    for child in children {
        let pid = Pid::from_raw(child.parse().unwrap()).unwrap();
        while test_kill_process(pid).is_ok() && !is_zombie(&child) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn status_shows_who_has_what() {
    let mut serve = Serve::start(&["--max-sessions", "2"]);
    assert!(serve.token.is_empty());
    let mut clients: Vec<_> = (0..3).map(|_| serve.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        ask(
            client,
            &json!({"type": "settings", "settings": {"protocol_version": 1}}),
        );
        let id = json!({"type": "tree_hash", "id": "1", "name": "n", "session": format!("of {n}")});
        writeln!(client.get_mut(), "{id}").unwrap();
        if n < 2 {
            assert_eq!(hear(client)["type"], "tree_hash_response");
        }
    }
    // The third waits, sooner or later.
    let status = loop {
        let output = serve.pool(&["status", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        if status["pool"]["waiting"] == 1 {
            break status;
        }
    };
    assert_eq!(status["pool"]["sessions"], 2, "{status}");
    assert_eq!(status["pool"]["renderers"][0]["served"], 2, "{status}");
    assert_eq!(status["server"]["sessions_served"], 2, "{status}");
    assert_eq!(status["server"]["round_trips"], 2, "{status}");
    assert!(
        status["server"]["latency"]["p99_us"].as_u64() > Some(0),
        "{status}"
    );

    let output = serve.pool(&["status"]).output().unwrap();
    let table = text(&output.stdout);
    assert!(table.contains("sessions: 2 of 2"), "{table}");
    assert!(table.contains("waiting: 1"), "{table}");
    for (row, held) in [
        ("\"of 0\"", "s1"),
        ("\"of 1\"", "s2"),
        ("\"of 2\"", "waits"),
    ] {
        let row = table.lines().find(|line| line.contains(row)).unwrap();
        assert!(row.contains(held), "{table}");
    }

    // Again and again, for as long as somebody reads it.
    let mut watch = serve
        .pool(&["status", "--json", "--watch", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let status: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(status["pool"]["sessions"], 2);
    }
    drop(lines);
    assert!(watch.wait().unwrap().success());
    serve.end();
}

#[test]
fn tcp_has_a_token_unless_told_otherwise() {
    let mut serve = Serve::start(&["--listen", ":0"]);
    assert_eq!(serve.token.len(), 32);
    let output = serve.pool(&["status", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = serve
        .pool(&["status"])
        .env("PLUSHIE_TOKEN", "wrong")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("token mismatch: connection rejected") && error.contains("PLUSHIE_TOKEN"),
        "{error}"
    );
    serve.end();

    let mut open = Serve::start(&["--listen", "127.0.0.1:0", "--no-token"]);
    assert!(open.token.is_empty());
    assert!(open.pool(&["status"]).output().unwrap().status.success());
    open.end();

    let output = pool(&["serve", "--listen", "0.0.0.0:0", "--no-token"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = pool(&["serve", "--listen", "somewhere:else"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = pool(&["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = pool(&["status", "/no/such/socket"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_scraper_is_answered() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from a file\nand no more\n").unwrap();
    let token_file = file.path().to_str().unwrap();
    let options = ["--metrics", "127.0.0.1:0", "--token-file", token_file];
    let mut serve = Serve::start(&options);
    assert_eq!(serve.token, "from a file");
    let address = serve
        .line()
        .strip_prefix("# metrics: http://")
        .unwrap()
        .to_owned();
    let (address, path) = address.split_once('/').unwrap();
    let scrape = |question: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(question.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = scrape(&format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.contains("\nplushie_pool_sessions_max 8\n"), "{body}");
    assert!(
        body.contains("\nplushie_pool_round_trip_seconds_count 0\n"),
        "{body}"
    );
    for line in body.lines() {
        let value = line.rsplit_once(' ').unwrap().1;
        assert!(
            line.starts_with("# ") || value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
    assert!(scrape("GET /no HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(scrape("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    serve.end();
}

/// What runs in the background of a shell ignores interrupts and hands that on; a handler it does
/// not hand on. This process goes on to end by them.
fn have_children_heed_interrupts() {
    use signal_hook::consts::SIGINT;
    let always = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, always).unwrap();
}

fn pool(args: &[&str]) -> Command {
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

/// `plushie-pool serve`, which has said where it is.
struct Serve {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    socket: String,
    token: String,
}

impl Serve {
    fn start(options: &[&str]) -> Self {
        let mut process = pool(&["serve"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut serve = Self {
            process,
            lines,
            socket: String::new(),
            token: String::new(),
        };
        let line = serve.line();
        serve.socket = line.strip_prefix("PLUSHIE_SOCKET=").unwrap().to_owned();
        let guarded = options.contains(&"--token-file")
            || options.contains(&"--listen") && !options.contains(&"--no-token");
        if guarded {
            let line = serve.line();
            serve.token = line.strip_prefix("PLUSHIE_TOKEN=").unwrap().to_owned();
        }
        serve
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn pool(&self, args: &[&str]) -> Command {
        let mut command = pool(args);
        command.env("PLUSHIE_SOCKET", &self.socket);
        if !self.token.is_empty() {
            command.env("PLUSHIE_TOKEN", &self.token);
        }
        command
    }

    fn client(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(&self.socket).unwrap())
    }

    fn end(&mut self) {
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

fn ask(client: &mut BufReader<UnixStream>, message: &Value) -> Value {
    writeln!(client.get_mut(), "{message}").unwrap();
    hear(client)
}

fn hear(client: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

/// The renderer that a summary names has been reaped.
fn assert_gone(summary: &str) {
    let (_, rest) = summary.split_once("(pid ").unwrap();
    let pid = rest.split(')').next().unwrap();
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    assert!(test_kill_process(pid).is_err(), "{summary}");
}

fn is_zombie(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_says_what_there_is() {
    for command in ["run", "serve", "status"] {
        let Output { status, stdout, .. } = pool(&[command, "--help"]).output().unwrap();
        assert!(status.success());
        assert!(
            text(&stdout).contains("Usage: plushie-pool "),
            "{}",
            text(&stdout)
        );
    }
}
