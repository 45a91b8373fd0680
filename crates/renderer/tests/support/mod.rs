//! What several of these tests need.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::future::Future;
use std::time::Duration;

use plushie_pool_renderer::{ChildProcess, Connection, Connector, Launch, Process};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Longer than anything here takes on any machine. Only a failing test waits this long.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A wait that is meant to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(1);

/// A renderer that does what this script says. Scripts that linger do so as `exec sleep`, so
/// that there is one process and no child of it is left behind.
pub(crate) fn script(script: &str) -> ChildProcess {
    ChildProcess::new("/bin/sh").prefix_args(["-c", script, "sh"])
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future)
        .await
        .expect("it should long have happened")
}

/// A script that has run up to where it says `ready`, and the end of whose input is reached.
pub(crate) async fn ready(text: &str) -> (Process, impl AsyncRead + Unpin) {
    let Connection {
        reader, process, ..
    } = within(script(text).connect(&Launch::default()))
        .await
        .expect("/bin/sh starts");
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    within(reader.read_line(&mut line))
        .await
        .expect("its output can be read");
    assert_eq!(line, "ready\n");
    (process.expect("it is a process"), reader)
}

pub(crate) async fn all_of(mut reader: impl AsyncRead + Unpin) -> String {
    let mut all = Vec::new();
    within(reader.read_to_end(&mut all))
        .await
        .expect("its output can be read");
    String::from_utf8(all).expect("its output is text")
}
