//! What a pool makes of the machine its host runs on: of a desktop that renderers must not reach,
//! and of a sandbox that forbids it a system call.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

mod desktop;
mod sandbox;
#[path = "../scenarios/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "made for the scenarios"
)]
mod support;

use std::process::{Command, Output};

/// Set for a test that this binary runs in a process of its own, as another host.
const PART: &str = "POOL_TEST_HOST_PART";

/// Whether this process is the host of that name.
fn is_host(part: &str) -> bool {
    std::env::var(PART).as_deref() == Ok(part)
}

/// This test binary once more, to run one test as the host of that name.
fn host(test: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(PART, part);
    command
}

/// What a host said that has to succeed.
fn said(host: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = host.output().unwrap();
    let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{status}: {said}");
    said
}
