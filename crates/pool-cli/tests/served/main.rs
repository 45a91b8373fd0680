//! `plushie-pool run`, `serve` and `status`, the way people run them.

// The renderer is the command itself, and what it runs are shell scripts.
#![cfg(all(target_os = "linux", feature = "embedded-renderer"))]
#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

mod run;
mod serve;
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use rustix::process::{Signal, kill_process};

use support::{pid, pool, text};

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
