//! `plushie-pool doctor`, the way people run it.

// The renderer is the command itself, behind a shell script in some.
#![cfg(all(unix, feature = "embedded-renderer"))]
#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const COMMAND: &str = env!("CARGO_BIN_EXE_plushie-pool");

#[test]
fn all_that_needs_no_display_works_with_the_renderer_inside() {
    let nowhere = tempfile::tempdir().unwrap();
    let found = doctor(&nowhere, &["--mode", "mock", "--mode", "headless"]);
    let text = said(&found);
    assert_eq!(found.status.code(), Some(0), "{text}");
    let rows = text
        .lines()
        .filter(|line| line.contains("ok (renderer 0.7.1)"));
    assert_eq!(rows.count(), 4, "{text}");
    assert!(text.contains("the one inside this command"), "{text}");
    assert!(
        text.contains("note, for a pool that a test starts itself: no plushie"),
        "{text}"
    );
    assert!(text.contains("cargo install plushie-renderer"), "{text}");
}

#[test]
fn a_renderer_in_the_path_is_found_and_tried() {
    let place = tempfile::tempdir().unwrap();
    let renderer = renderer_in(&place);
    let found = doctor(&place, &["--mode", "mock", "--json"]);
    let report = report(&found);
    assert_eq!(found.status.code(), Some(0), "{report}");
    assert_eq!(report["ok"], true, "{report}");
    let path = report["renderer"]["path"].as_str().unwrap();
    assert_eq!(Path::new(path), renderer, "{report}");
    assert_eq!(report["renderer"]["built_in"], false, "{report}");
    let checks = report["checks"].as_array().unwrap();
    let formats: Vec<_> = checks.iter().map(|check| &check["format"]).collect();
    assert_eq!(formats, ["msgpack", "json"], "{report}");
    for check in checks {
        assert_eq!(check["ok"], true, "{report}");
        assert_eq!(check["version"], "0.7.1", "{report}");
        assert!(check["ms"].as_f64().unwrap() > 0.0, "{report}");
    }
}

#[test]
fn a_renderer_that_was_asked_for_and_is_not_there_is_missing() {
    let place = tempfile::tempdir().unwrap();
    renderer_in(&place);
    let by_option = doctor(&place, &["--renderer", "/nowhere/renderer"]);
    let by_variable = command(&place, &[])
        .env("PLUSHIE_BINARY_PATH", "/nowhere/renderer")
        .output()
        .unwrap();
    for found in [by_option, by_variable] {
        let text = said(&found);
        assert_eq!(found.status.code(), Some(1), "{text}");
        assert!(
            text.contains("there is no renderer at /nowhere/renderer"),
            "{text}"
        );
        assert!(text.starts_with("renderer: missing"), "{text}");
        assert!(text.contains("cargo install plushie-renderer"), "{text}");
    }
}

#[test]
fn what_is_no_renderer_fails_in_each_mode_and_format() {
    let place = tempfile::tempdir().unwrap();
    let options = ["--renderer", "/bin/true", "--mode", "mock", "--json"];
    let found = doctor(&place, &options);
    let report = report(&found);
    let text = said(&doctor(&place, &options[..4]));
    let hints = text.matches("is it a plushie renderer?");
    assert_eq!(hints.count(), 1, "{text}");
    assert_eq!(found.status.code(), Some(1), "{report}");
    assert_eq!(report["ok"], false, "{report}");
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 2, "{report}");
    for check in checks {
        let error = check["error"].as_str().unwrap();
        assert!(error.contains("is it a plushie renderer?"), "{report}");
    }
}

#[cfg(target_os = "linux")] // elsewhere there is always one
#[test]
fn a_display_that_is_missing_is_said_once_with_what_to_install() {
    let place = tempfile::tempdir().unwrap();
    let options = [
        "--mode", "mock", "--mode", "windowed", "--format", "msgpack",
    ];
    for formats in [&["--format", "json"][..], &[]] {
        let found = doctor(&place, &[&options[..], formats].concat());
        let text = said(&found);
        assert_eq!(found.status.code(), Some(1), "{text}");
        let advice = text.matches("apt-get install weston;");
        assert_eq!(advice.count(), 1, "{text}");
        assert!(text.contains("something is missing"), "{text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with("mock") && line.contains("ok ("))
        );
    }
}

/// Of a display that a program of this name can be, as far as it is installed here.
#[cfg(target_os = "linux")]
#[test]
fn each_display_that_can_be_had_says_whether_it_gives_windows_the_focus() {
    let place = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let installed = |name: &str| std::env::split_paths(&path).any(|at| at.join(name).exists());
    let mut command = command(&place, &["--mode", "windowed", "--json"]);
    let found = command.env("PATH", &path).output().unwrap();
    let report = report(&found);
    let displays = report["displays"].as_array().unwrap();
    let names: Vec<_> = displays.iter().map(|check| &check["display"]).collect();
    let expected = [("weston", "weston"), ("Xvfb", "xvfb")]
        .into_iter()
        .filter(|(program, _)| installed(program))
        .map(|(_, name)| name);
    assert_eq!(names, expected.collect::<Vec<_>>(), "{report}");
    for check in displays {
        assert_eq!(check["ok"], true, "{report}");
        // It depends on the version of weston.
        assert!(check["gives_focus"].is_boolean(), "{report}");
        if check["display"] == "xvfb" {
            assert_eq!(check["gives_focus"], true, "{report}");
        }
    }
}

/// What it says does not depend on what is installed here.
fn command(place: &TempDir, options: &[&str]) -> Command {
    let mut command = Command::new(COMMAND);
    for variable in [
        "PLUSHIE_BINARY_PATH",
        "PLUSHIE_TEST_BACKEND",
        "PLUSHIE_TEST_MAX_SESSIONS",
        "PLUSHIE_TEST_TIMEOUT",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "WAYLAND_SOCKET",
    ] {
        command.env_remove(variable);
    }
    command
        .env("PATH", place.path())
        // Where a compositor may have its socket.
        .env("XDG_RUNTIME_DIR", place.path())
        .current_dir(place.path())
        .arg("doctor")
        .args(options)
        .stdin(Stdio::null());
    command
}

fn doctor(place: &TempDir, options: &[&str]) -> Output {
    command(place, options).output().unwrap()
}

/// Puts a renderer where commands are looked for.
fn renderer_in(place: &TempDir) -> PathBuf {
    let path = place.path().join("plushie-renderer");
    let script = format!("#!/bin/sh\nexec {COMMAND} __renderer \"$@\"\n");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
