//! `plushie-pool serve`, and what it tells `status` and scrapers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Serve, pid, pool, pool_directories, text};

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
    let start = || Serve::by(pool(&["serve"]).env("XDG_RUNTIME_DIR", base.path()));
    let mut killed = start();
    let mut living = start();
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();
    let left = Path::new(&killed.socket);
    assert!(left.exists());
    let mut next = start();
    assert!(!left.parent().unwrap().exists());
    living.client();
    living.end();
    next.end();
    assert_eq!(pool_directories(base.path()), 0);
}

#[test]
fn what_is_ignored_stays_ignored() {
    let start = r#"trap '' HUP; exec "$0" serve"#;
    let shell = ["-c", start, env!("CARGO_BIN_EXE_plushie-pool")];
    let mut serve = Serve::by(Command::new("sh").args(shell));
    kill_process(pid(&serve.process), Signal::HUP).unwrap();
    let output = pool(&["status", &serve.socket]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serve.end();
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

/// As `timeout` ends what it runs.
#[test]
fn a_server_that_is_signalled_twice_at_once_still_cleans_up() {
    let mut serve = Serve::start(&["--mode", "mock"]);
    // Two of the same kind could be one.
    kill_process(pid(&serve.process), Signal::TERM).unwrap();
    kill_process(pid(&serve.process), Signal::INT).unwrap();
    assert_eq!(serve.process.wait().unwrap().code(), Some(0));
    let directory = std::path::Path::new(&serve.socket).parent().unwrap();
    assert!(!directory.exists());
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

/// For more attempts than there are restarts in a minute.
#[test]
fn a_server_whose_renderer_cannot_be_started_for_a_while_serves_on_afterwards() {
    let base = tempfile::tempdir().unwrap();
    let (renderer, away) = (base.path().join("renderer"), base.path().join("away"));
    let command = env!("CARGO_BIN_EXE_plushie-pool");
    let script = format!("#!/bin/sh\nexec '{command}' __renderer \"$@\"\n");
    std::fs::write(&renderer, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&renderer, mode).unwrap();
    let mut serve = Serve::start(&["--renderer", renderer.to_str().unwrap()]);
    let status = |serve: &Serve| {
        let output = serve.pool(&["status", "--json"]).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let before = status(&serve);
    assert!(before["pool"]["backoff"].is_null(), "{before}");
    std::fs::rename(&renderer, &away).unwrap();
    let killed = before["pool"]["renderers"][0]["pid"].as_i64().unwrap();
    let killed = rustix::process::Pid::from_raw(killed.try_into().unwrap()).unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    while status(&serve)["pool"]["deaths"] == 0 {}

    let mut client = serve.client();
    ask(
        &mut client,
        &json!({"type": "settings", "settings": {"protocol_version": 1}}),
    );
    let hash = |session: usize| json!({"type": "tree_hash", "id": "1", "name": "n", "session": format!("s{session}")});
    let mut said = false;
    let mut attempts = 0;
    while attempts < 12 || !said {
        let refused = ask(&mut client, &hash(attempts));
        assert_eq!(refused["family"], "session_error", "{refused}");
        let error = refused["data"]["error"].as_str().unwrap();
        assert!(error.contains("there is no renderer at"), "{error}");
        attempts += 1;
        // Until the next attempt, which this may come too late for.
        let table = serve.pool(&["status"]).output().unwrap();
        let table = text(&table.stdout);
        said |= table.contains("no renderer is launched for")
            && table.contains("there is no renderer at");
        assert!(attempts < 100, "{table}");
    }

    std::fs::rename(&away, &renderer).unwrap();
    let answered = ask(&mut client, &hash(attempts));
    assert_eq!(answered["type"], "tree_hash_response", "{answered}");
    let after = status(&serve);
    assert!(after["pool"]["backoff"].is_null(), "{after}");
    assert_eq!(after["pool"]["deaths"], 1, "{after}");
    serve.end();
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
fn nobody_waits_for_those_who_read_what_is_told() {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "the one\n").unwrap();
    let token = token.path().to_str().unwrap();
    let mut serve = pool(&["serve", "--token-file", token]);
    let mut serve = Serve::by(serve.stderr(Stdio::piped()));
    serve.reads_token();
    // Each is worth a line, and all of them more than a pipe holds.
    let settings = json!({"type": "settings", "settings": {"protocol_version": 1, "token": "?"}});
    for _ in 0..1000 {
        let mut refused = serve.client();
        ask(&mut refused, &settings);
        assert_eq!(refused.read_line(&mut String::new()).unwrap(), 0);
    }
    let output = serve.pool(&["status"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serve.end();
    let mut told = String::new();
    let mut stderr = serve.process.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    assert!(told.contains("cut off a client"), "{told}");
    assert!(!told.contains("the one"), "{told}");
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
    assert!(
        body.contains("\nplushie_pool_sessions_max{mode=\"mock\"} 512\n"),
        "{body}"
    );
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
    let head = scrape("HEAD /metrics?all HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    // Those who ask nothing keep no other from it.
    let silent: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let again = scrape("GET /metrics?all=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(again.starts_with("HTTP/1.1 200 OK\r\n"), "{again}");
    drop(silent);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(8 * 1024));
    assert!(scrape(&long).starts_with("HTTP/1.1 431 "));
    assert!(scrape("GET /no HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(scrape("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    serve.end();
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
