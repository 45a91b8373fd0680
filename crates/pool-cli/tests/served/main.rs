//! `plushie-pool run`, `serve` and `status`, the way people run them.

// The renderer is the command itself, and what it runs are shell scripts.
#![cfg(all(target_os = "linux", feature = "embedded-renderer"))]
#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

mod elixir;
mod ends;
mod modes;
mod places;
mod run;
mod serve;
mod support;
mod surroundings;
mod tokens;

use std::process::Output;

use support::{Serve, pool, text};

#[test]
fn messages_say_what_was_asked_for() {
    for (args, says) in [
        (
            &["run", "--", "nosuch-command"][..],
            "cannot run nosuch-command: it was not found in PATH",
        ),
        (
            &["status", "/no/such/socket"],
            "no server listens at /no/such/socket; is `plushie-pool serve`",
        ),
        (
            &["attach", "--mock"],
            "PLUSHIE_SOCKET, the address of the server, is not set; start this inside",
        ),
        (
            &["serve", "--listen", "/nonexist/x.sock"],
            "cannot listen at /nonexist/x.sock: its directory does not exist",
        ),
        (
            &[
                "serve",
                "--listen",
                &format!("/tmp/{}.sock", "x".repeat(110)),
            ],
            "SUN_LEN",
        ),
    ] {
        let output = pool(args).output().unwrap();
        let error = text(&output.stderr);
        assert!(error.contains(says), "{error}");
    }
    let base = tempfile::tempdir().unwrap();
    let mut serve = pool(&["serve", "--listen", "rel.sock"]);
    let mut serve = Serve::by(serve.current_dir(base.path()));
    assert!(serve.socket.starts_with('/'), "{}", serve.socket);
    serve.end();
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
