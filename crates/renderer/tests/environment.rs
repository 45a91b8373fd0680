//! A renderer sees nothing of its host's environment but what is on the list.

#![cfg(unix)]

mod support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use plushie_pool_renderer::{ChildProcess, Connector, Launch};
use support::within;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

/// Where the host below writes what its renderer saw. Makes the test a host.
const REPORT: &str = "POOL_TEST_ENVIRONMENT_REPORT";

#[test]
fn only_what_is_listed_or_added_reaches_the_renderer() {
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report");
    let broken = OsString::from_vec(b"/home/\xff".to_vec());
    let host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host", "--nocapture"])
        .env_clear()
        .env(REPORT, &report)
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", broken)
        .env("LC_ALL", "C")
        .env("RUST_LOG", "trace")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("PLUSHIE_TOKEN", "hunter2")
        .env("LD_PRELOAD_NOT", "1")
        .env(OsString::from_vec(b"N\xff".to_vec()), "1")
        .output()
        .unwrap();
    assert!(host.status.success(), "{host:?}");

    let seen = std::fs::read(&report).unwrap();
    let mut seen: Vec<&[u8]> = seen.trim_ascii().split(|byte| *byte == b'\n').collect();
    seen.sort_unstable();
    let expected: [&[u8]; 5] = [
        b"ADDED=by the caller",
        b"HOME=/home/\xff",
        b"LC_ALL=C",
        b"PATH=/usr/bin:/bin",
        b"RUST_LOG=error",
    ];
    assert_eq!(seen, expected);
}

/// Not a test of its own: what the one above runs, with an environment made for it.
#[tokio::test]
async fn host() {
    let Some(report) = std::env::var_os(REPORT) else {
        return;
    };
    let renderer = ChildProcess::new("/usr/bin/env")
        .env("ADDED", "by the caller")
        .env("RUST_LOG", "error");
    let mut connection = within(renderer.connect(&Launch::default())).await.unwrap();
    let mut seen = Vec::new();
    within(connection.reader.read_to_end(&mut seen))
        .await
        .unwrap();
    within(connection.process.unwrap().wait()).await;
    std::fs::write(report, seen).unwrap();
}
