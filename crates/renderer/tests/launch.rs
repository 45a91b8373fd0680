//! What a started process gets, and what is said when it cannot be started.

#![cfg(unix)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use plushie_pool_core::{Error, ErrorKind, Exit};
use plushie_pool_renderer::{ChildProcess, Connector, Launch};
use rustix::process::{Pid, getpgid, getpgrp};
use support::{all_of, script, within};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

fn file(folder: &TempDir, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join("renderer");
    fs::write(&path, text).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    path
}

async fn failure(program: impl Into<PathBuf>) -> Error {
    within(ChildProcess::new(program).connect(&Launch::default()))
        .await
        .expect_err("it cannot be started")
}

#[tokio::test]
async fn arguments_come_in_order_around_those_of_the_launch() {
    let echo = script("printf '%s|' \"$@\"")
        .prefix_args(["__renderer"])
        .args(["a b", ""]);
    let connection = within(echo.connect(&Launch::new(["--mock", "--json"])))
        .await
        .unwrap();
    assert_eq!(
        all_of(connection.reader).await,
        "__renderer|--mock|--json|a b||"
    );
}

#[tokio::test]
async fn bytes_flow_both_ways_and_the_input_ends_with_the_writer() {
    let mut connection = within(script("cat; echo over").connect(&Launch::default()))
        .await
        .unwrap();
    within(connection.writer.write_all(b"hello\n"))
        .await
        .unwrap();
    drop(connection.writer);
    assert_eq!(all_of(connection.reader).await, "hello\nover\n");
    let exit = within(connection.process.unwrap().wait()).await;
    assert_eq!(exit, Exit::Code(0));
}

#[tokio::test]
async fn the_child_stays_in_the_group_that_a_test_runner_kills() {
    let connection = within(script("read -r line").connect(&Launch::default()))
        .await
        .unwrap();
    let pid = connection.process.as_ref().unwrap().pid();
    let pid = Pid::from_raw(pid.try_into().unwrap());
    assert_eq!(getpgid(pid).unwrap(), getpgrp());
}

#[tokio::test]
async fn a_missing_program_is_not_found() {
    let program = "/nonexistent/plushie-renderer";
    let error = failure(program).await;
    assert_eq!(error.kind(), ErrorKind::RendererNotFound);
    assert!(error.to_string().contains(program), "{error}");

    let error = ChildProcess::new(program).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererNotFound);
    assert_eq!(failure("").await.kind(), ErrorKind::RendererNotFound);
}

#[tokio::test]
async fn a_bare_name_is_a_file_here_not_a_command_in_path() {
    assert_eq!(failure("sh").await.kind(), ErrorKind::RendererNotFound);
}

#[tokio::test]
async fn a_file_that_is_no_program_is_said_to_be_none() {
    let folder = TempDir::new().unwrap();
    let plain = file(&folder, "#!/bin/sh\n", 0o644);
    let error = failure(&plain).await;
    assert_eq!(error.kind(), ErrorKind::Launch);
    let text = error.to_string();
    assert!(text.contains(plain.to_str().unwrap()), "{text}");
    assert!(text.contains("Permission denied"), "{text}");
    assert!(text.contains("executable"), "{text}");
    assert!(ChildProcess::new(&plain).check().is_err());

    let text = failure(folder.path()).await.to_string();
    assert!(text.contains("Permission denied"), "{text}");
    assert!(ChildProcess::new(folder.path()).check().is_err());
}

#[tokio::test]
async fn a_missing_interpreter_is_not_a_missing_renderer() {
    let folder = TempDir::new().unwrap();
    let script = file(&folder, "#!/nonexistent/interpreter\n", 0o755);
    assert!(ChildProcess::new(&script).check().is_ok());
    let error = failure(&script).await;
    assert_eq!(error.kind(), ErrorKind::Launch);
    assert!(error.to_string().contains("interpreter"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_still_being_written_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let program = file(&folder, "#!/bin/sh\necho started\n", 0o755);
    let open = File::options().append(true).open(&program).unwrap();

    let connect = ChildProcess::new(&program);
    let launch = Launch::default();
    // The first attempt is made before the file is closed.
    let (connection, ()) =
        within(async { tokio::join!(biased; connect.connect(&launch), async { drop(open) }) })
            .await;
    assert_eq!(all_of(connection.unwrap().reader).await, "started\n");
}

#[test]
fn a_relative_path_keeps_its_meaning_when_the_directory_changes() {
    let here = std::env::current_dir().unwrap();
    let child = ChildProcess::new("bin/renderer");
    assert_eq!(child.program(), here.join("bin/renderer"));
    assert_eq!(Path::new(&child.describe()), child.program());
}
