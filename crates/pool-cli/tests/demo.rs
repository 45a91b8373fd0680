//! `plushie-pool demo`, the way people run it.

// The renderer is the command itself, behind a shell script in some.
#![cfg(all(unix, feature = "embedded-renderer"))]
#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

#[test]
fn a_table_and_success() {
    for mode in ["mock", "headless"] {
        for format in ["msgpack", "json"] {
            let run = demo(&["--mode", mode, "--format", format, "--sessions", "3"]);
            assert_eq!(run.code, Some(0), "{run:?}");
            let rows: Vec<_> = run
                .stdout
                .lines()
                .filter(|line| line.ends_with("  ok"))
                .collect();
            assert_eq!(rows.len(), 3, "{run:?}");
            for (row, id) in rows.iter().zip(["s1 ", "s2 ", "s3 "]) {
                assert!(row.starts_with(id) && row.contains(" 21 "), "{run:?}");
            }
            let sum = run.stdout.lines().last().unwrap();
            assert!(sum.starts_with("sessions: 3, round trips: 63, "), "{run:?}");
            assert!(sum.contains("renderer: 0.7.1 (pid "), "{run:?}");
        }
    }
}

#[test]
fn one_json_object_and_success() {
    for mode in ["mock", "headless"] {
        for format in ["msgpack", "json"] {
            let options = [
                "--mode", mode, "--format", format, "--clicks", "2", "--json",
            ];
            let run = demo(&options);
            assert_eq!(run.code, Some(0), "{run:?}");
            let report = run.json();
            assert_eq!(report["ok"], true, "{run:?}");
            let sessions = report["sessions"].as_array().unwrap();
            let ids: HashSet<_> = sessions.iter().map(|s| s["id"].as_str().unwrap()).collect();
            assert_eq!((sessions.len(), ids.len()), (8, 8), "{run:?}");
            for session in sessions {
                assert_eq!(session["ok"], true, "{run:?}");
                assert_eq!(session["round_trips"], 5, "{run:?}");
                assert!(session["ms"].as_f64().unwrap() > 0.0, "{run:?}");
            }
        }
    }
}

#[test]
fn the_environment_speaks_where_no_option_does() {
    let environment = [
        ("PLUSHIE_TEST_BACKEND", "headless"),
        ("PLUSHIE_TEST_MAX_SESSIONS", "2"),
    ];
    let run = demo_with(&environment, &["--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        run.json()["sessions"].as_array().unwrap().len(),
        2,
        "{run:?}"
    );
    assert!(
        run.stderr.starts_with("headless mode over msgpack"),
        "{run:?}"
    );

    let run = demo_with(
        &environment,
        &["--mode", "mock", "--sessions", "1", "--json"],
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        run.json()["sessions"].as_array().unwrap().len(),
        1,
        "{run:?}"
    );
    assert!(run.stderr.starts_with("mock mode over msgpack"), "{run:?}");
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let modes = "mock, headless, windowed";
    let nowhere = tempfile::tempdir().unwrap();
    let shots = nowhere.path().join("shots");
    let shots = shots.to_str().unwrap();
    for (options, says) in [
        (&["--mode", "moc"][..], modes),
        (&["--format", "cbor"], "msgpack, json"),
        (&["--sessions", "0"], "--sessions"),
        (&["--clicks", "many"], "--clicks"),
        (&["--mode", "mock", "--screenshots", shots], "draws nothing"),
        (&["--screenshots", shots], "draws nothing"),
    ] {
        let run = demo(options);
        assert_eq!(run.code, Some(2), "{options:?}: {run:?}");
        assert!(run.stderr.contains(says), "{options:?}: {run:?}");
        assert_eq!(run.stdout, "", "{options:?}");
    }
    assert!(!Path::new(shots).exists());

    let run = demo_with(&[("PLUSHIE_TEST_BACKEND", "moc")], &[]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("PLUSHIE_TEST_BACKEND"), "{run:?}");
    assert!(run.stderr.contains(modes), "{run:?}");
}

#[test]
fn a_renderer_that_is_missing_or_is_none_is_said_to_be() {
    for (renderer, says) in [
        (
            "/nowhere/renderer",
            "there is no renderer at /nowhere/renderer",
        ),
        ("/bin/true", "is it a plushie renderer?"),
    ] {
        let run = demo(&["--renderer", renderer]);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains(says), "{run:?}");
        assert_eq!(run.stdout, "");

        let run = demo(&["--renderer", renderer, "--json"]);
        assert_eq!(run.code, Some(1), "{run:?}");
        let report = run.json();
        assert_eq!(report["ok"], false, "{run:?}");
        assert!(report["error"].as_str().unwrap().contains(says), "{run:?}");
    }
}

#[test]
fn a_named_renderer_is_the_one_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let note = directory.path().join("note");
    let text = format!("echo \"$@\" >{note:?}; exec {DEMO:?} __renderer \"$@\"");
    let renderer = script(directory.path(), &text);
    let run = demo(&["--renderer", &renderer, "--sessions", "2"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let said = fs::read_to_string(note).unwrap();
    assert!(
        said.contains("--mock") && !said.contains("__renderer"),
        "{said}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_renderer_that_has_something_else_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    for (lie, says) in [
        (
            r#"s/"content":"2"/"content":"20"/"#,
            r#"count after click 2: expected "2", the renderer has "20""#,
        ),
        (
            r#"s/"family":"click"/"family":"input"/"#,
            "events of click 1: expected one click",
        ),
        (
            "s/Session s2/Session s1/",
            "session s2: the tree at the end: expected ",
        ),
    ] {
        let text = format!("{DEMO:?} __renderer \"$@\" | sed -u '{lie}'");
        let renderer = script(directory.path(), &text);
        let run = demo(&[
            "--renderer",
            &renderer,
            "--format",
            "json",
            "--sessions",
            "2",
        ]);
        assert_eq!(run.code, Some(1), "{lie}: {run:?}");
        assert!(run.stderr.contains(says), "{lie}: {run:?}");
        assert!(run.stdout.contains(says), "{lie}: {run:?}");
    }
}

#[test]
fn each_screenshot_shows_its_own_session() {
    let directory = tempfile::tempdir().unwrap();
    for format in ["msgpack", "json"] {
        let shots = directory.path().join(format).join("shots");
        let run = demo(&[
            "--mode",
            "headless",
            "--format",
            format,
            "--sessions",
            "3",
            "--screenshots",
            shots.to_str().unwrap(),
        ]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let mut pictures = HashSet::new();
        for name in ["s1.png", "s2.png", "s3.png"] {
            let (size, pixels) = decode(&shots.join(name));
            assert_eq!(size, (400, 300));
            let colours: HashSet<_> = pixels.chunks(4).collect();
            assert!(colours.len() > 10, "{name} is blank");
            assert!(pictures.insert(pixels), "{name} shows another session");
        }
        assert_eq!(fs::read_dir(shots).unwrap().count(), 3);
    }
}

#[test]
fn screenshots_that_cannot_be_saved_are_a_failure() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let under_a_file = file.path().join("shots");
    let shots = under_a_file.to_str().unwrap();
    let run = demo(&["--mode", "headless", "--screenshots", shots, "--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(shots), "{run:?}");
    assert_eq!(run.json()["ok"], false, "{run:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn windows_without_a_display_are_a_failure_that_says_so() {
    let windowed = ["--mode", "windowed", "--sessions", "2", "--json"];
    let mut command = command(&windowed);
    // Nor is there a weston or an Xvfb to be found.
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "PATH"] {
        command.env_remove(variable);
    }
    let without = run(command);
    assert_eq!(without.code, Some(1), "{without:?}");
    assert!(without.stderr.contains("apt-get install"), "{without:?}");
    assert_eq!(without.json()["ok"], false, "{without:?}");

    let run = demo(&[&windowed[..], &["--display", "none"]].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("DISPLAY"), "{run:?}");
    let report = run.json();
    assert_eq!(report["ok"], false, "{run:?}");
    for session in report["sessions"].as_array().unwrap() {
        assert_eq!(session["ok"], false, "{run:?}");
        assert!(session["error"].is_string(), "{run:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_renderer_that_is_killed_fails_all_its_sessions() {
    use rustix::process::{Pid, Signal, kill_process};

    let mut command = command(&["--sessions", "4", "--clicks", "10000000", "--json"]);
    let marker = mark(&mut command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = command.spawn().unwrap();
    let mut stderr = BufReader::new(demo.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();

    let renderer = marked(&marker)
        .into_iter()
        .find(|pid| *pid != demo.id())
        .expect("the renderer runs once sessions are announced");
    // It has a thread for each session, and some more.
    while fs::read_dir(format!("/proc/{renderer}/task"))
        .unwrap()
        .count()
        <= 4
    {
        std::thread::yield_now();
    }
    let renderer = Pid::from_raw(renderer.cast_signed()).unwrap();
    kill_process(renderer, Signal::KILL).unwrap();

    let mut stdout = String::new();
    demo.stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1), "{said}");
    assert!(
        said.contains("4 of 4 sessions failed") && said.contains("SIGKILL"),
        "{said}"
    );
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["ok"], false, "{report}");
    for session in report["sessions"].as_array().unwrap() {
        assert_eq!(session["ok"], false, "{report}");
        assert!(
            session["error"].as_str().unwrap().contains("SIGKILL"),
            "{report}"
        );
    }
    assert_eq!(marked(&marker), [0; 0]);
}

const DEMO: &str = env!("CARGO_BIN_EXE_plushie-pool");

#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn demo(options: &[&str]) -> Run {
    demo_with(&[], options)
}

fn demo_with(environment: &[(&str, &str)], options: &[&str]) -> Run {
    let mut command = command(options);
    command.envs(environment.iter().copied());
    run(command)
}

fn command(options: &[&str]) -> Command {
    let mut command = Command::new(DEMO);
    for variable in [
        "PLUSHIE_TEST_BACKEND",
        "PLUSHIE_TEST_MAX_SESSIONS",
        "PLUSHIE_TEST_TIMEOUT",
    ] {
        command.env_remove(variable);
    }
    command.arg("demo").args(options).stdin(Stdio::null());
    command
}

/// Runs it to its end, after which nothing that it started may be left.
fn run(mut command: Command) -> Run {
    let marker = mark(&mut command);
    let output = command.output().unwrap();
    assert_eq!(marked(&marker), [0; 0], "left behind by {command:?}");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Puts into its environment what a renderer inherits, so that all it starts can be told.
fn mark(command: &mut Command) -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let value = format!("{}-{run}", std::process::id());
    command.env("LC_PLUSHIE_POOL_DEMO", &value);
    format!("LC_PLUSHIE_POOL_DEMO={value}")
}

/// The processes with this in their environment; none where that cannot be seen.
fn marked(marker: &str) -> Vec<u32> {
    let has_marker = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == marker.as_bytes())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(has_marker).collect()
}

fn decode(path: &Path) -> ((u32, u32), Vec<u8>) {
    let file = BufReader::new(File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgba);
    ((info.width, info.height), pixels)
}

fn script(directory: &Path, text: &str) -> String {
    let path = directory.join("renderer");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}
