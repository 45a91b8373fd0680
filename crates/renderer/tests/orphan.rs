//! No renderer outlives its host, not even one that is killed and cannot clean up.

#![cfg(unix)]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use plushie_pool_renderer::{Connector, Launch};
use rustix::process::{Pid, Signal, kill_process};
use support::{LONG, script, within};
use tempfile::TempDir;

/// The script of the renderer that the host below starts. Makes the test a host.
const SCRIPT: &str = "POOL_TEST_ORPHAN_SCRIPT";

#[test]
fn a_renderer_that_heeds_its_input_ends_with_a_killed_host() {
    assert_ends_with_its_host("exec cat");
}

#[cfg(target_os = "linux")]
#[test]
fn a_renderer_that_ignores_everything_ends_with_a_killed_host() {
    assert_ends_with_its_host("trap '' TERM HUP PIPE; exec sleep 1000");
}

/// The renderer holds a named pipe open, which therefore ends when it does.
fn assert_ends_with_its_host(behaviour: &str) {
    let folder = TempDir::new().expect("temporary folders can be made");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()));

    let mut host = Command::new(std::env::current_exe().expect("this test has a file"))
        .args(["--exact", "host", "--nocapture"])
        .env(
            SCRIPT,
            format!("exec 3>'{}'; echo $$ >&3; {behaviour}", pipe.display()),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test can be run again");
    let lines = lines_of(&pipe);
    let renderer = lines.recv_timeout(LONG);
    host.kill().expect("the host is ours");
    host.wait().expect("the host is ours");
    let renderer = renderer.expect("the host should have started a renderer");

    if lines.recv_timeout(LONG) != Err(mpsc::RecvTimeoutError::Disconnected) {
        let pid = renderer.parse().ok().and_then(Pid::from_raw);
        let cleaned_up = pid.map(|pid| kill_process(pid, Signal::KILL));
        panic!("renderer {renderer} outlived its host ({cleaned_up:?})");
    }
}

/// The lines of a pipe, read elsewhere so that they can be waited for within bounds.
fn lines_of(pipe: &Path) -> mpsc::Receiver<String> {
    let pipe = pipe.to_owned();
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let pipe = File::open(pipe).expect("the pipe is there");
        for line in BufReader::new(pipe).lines() {
            let line = line.expect("it is text");
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Not a test of its own: what those above run in order to kill it.
#[tokio::test]
async fn host() {
    let Ok(text) = std::env::var(SCRIPT) else {
        return;
    };
    let _connection = within(script(&text).connect(&Launch::default()))
        .await
        .unwrap();
    std::future::pending::<()>().await;
}
