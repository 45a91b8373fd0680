//! `plushie-pool run`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

use crate::support::{pid, pool, pool_directories, text};

#[test]
fn the_command_finds_the_pool_and_its_exit_code_is_returned() {
    let script = r#"echo "$PLUSHIE_TEST_BACKEND $PLUSHIE_TEST_MAX_SESSIONS $PLUSHIE_SOCKET"
        test -S "$PLUSHIE_SOCKET" && test -n "$PLUSHIE_TOKEN" && exit 7"#;
    let output = pool(&["run", "--mode", "headless", "--max-sessions", "3", "--"])
        .args(["sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let said = text(&output.stdout);
    let socket = said.trim().strip_prefix("headless 3 ").unwrap();
    assert!(!Path::new(socket).parent().unwrap().exists(), "{socket}");
    let summary = text(&output.stderr);
    assert!(
        summary.contains("0 sessions served to 0 clients"),
        "{summary}"
    );
    assert!(summary.contains("renderers started: 1 (pid "), "{summary}");
    assert_gone(&summary);
}

#[test]
fn what_cannot_be_run_is_told_as_by_a_shell() {
    for (command, code) in [("/no/such/command", 127), ("/etc/passwd", 126)] {
        let output = pool(&["run", "--", command]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let error = text(&output.stderr);
        assert!(
            error.starts_with(&format!("error: cannot run {command}: ")),
            "{error}"
        );
    }
    let output = pool(&["run", "--", "sh", "-c", "kill -9 $$"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(128 + 9), "{output:?}");
    let output = pool(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn signals_go_to_the_command_and_its_end_is_the_end() {
    have_children_heed_signals();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let script = r"trap 'echo caught; exit 5' TERM INT HUP
            echo ready; while true; do sleep 0.01; done";
        let mut run = pool(&["run", "--", "sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // In the foreground of a terminal it would leave an interrupt to that.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(pid(&run), signal).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "caught");
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        assert_gone(&text(&output.stderr));
    }
}

#[test]
fn an_interrupt_by_a_process_goes_to_the_command_whoever_is_in_the_foreground() {
    have_children_heed_signals();
    let script = "trap 'echo caught; exit 5' INT; echo ready; while true; do sleep 0.01; done";
    let mut run = pool(&["run", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill_process(pid(&run), Signal::INT).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "caught");
    assert_eq!(run.wait().unwrap().code(), Some(5));
}

#[test]
fn an_interrupt_that_the_command_survives_ends_no_renderer() {
    have_children_heed_signals();
    let script = r#"trap '' INT; echo ready; read line; "$0" status"#;
    let mut run = pool(&["run", "--quiet", "--", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_plushie-pool"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut out = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // As a terminal does it, to all that run in the foreground.
    kill_process_group(pid(&run), Signal::INT).unwrap();
    drop(run.stdin.take());
    let mut status = String::new();
    out.read_to_string(&mut status).unwrap();
    assert!(
        status.contains("(launched: 1, died by themselves: 0)"),
        "{status}"
    );
    assert!(run.wait().unwrap().success());
}

#[test]
fn windows_are_shown_where_it_was_said_and_kept_ready() {
    // With nothing to show windows on, the one that is to be ready beforehand cannot be.
    let windowed = ["run", "--mode", "windowed", "--display", "none"];
    let spared = pool(&windowed).args(["--warm", "1", "--", "true"]).output();
    let spared = spared.unwrap();
    assert_eq!(spared.status.code(), Some(1), "{spared:?}");
    let error = text(&spared.stderr);
    assert!(error.contains("is there a display?"), "{error}");
    let unasked = pool(&windowed).args(["--", "true"]).output().unwrap();
    assert_eq!(unasked.status.code(), Some(0), "{unasked:?}");
}

#[test]
fn what_happens_is_told_as_was_asked_and_the_token_never() {
    let script = r#"echo "$PLUSHIE_TOKEN"; "$0" status
        PLUSHIE_TOKEN="no$PLUSHIE_TOKEN" "$0" status 2>/dev/null; true"#;
    let said = |level: &[&str]| {
        let mut run = pool(&["run"]);
        run.args(level)
            .args(["--", "sh", "-c", script, env!("CARGO_BIN_EXE_plushie-pool")]);
        let output = run.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let token = text(&output.stdout).lines().next().unwrap().to_owned();
        let said = text(&output.stderr);
        assert!(token.len() > 20 && !said.contains(&token), "{said}");
        said
    };
    let refused = "cut off a client";
    for level in [&[][..], &["--log", "trace"]] {
        let said = said(level);
        assert!(said.contains(refused), "{said}");
        assert_eq!(said.contains("renderer ready"), !level.is_empty(), "{said}");
    }
    assert!(!said(&["--log", "off"]).contains(refused));
}

#[test]
fn the_exit_code_does_not_depend_on_who_listens() {
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let mut run = pool(&["run", "--", "sh", "-c", "exit 3"]);
    assert_eq!(run.stderr(full()).status().unwrap().code(), Some(3));
    let mut run = pool(&["run", "--", "/no/such/command"]);
    assert_eq!(run.stderr(full()).status().unwrap().code(), Some(127));
    for level in ["debug", "trace"] {
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        let mut run = pool(&["run", "--log", level, "--", "sh", "-c", "exit 3"]);
        assert_eq!(run.stderr(gone).status().unwrap().code(), Some(3));
    }
}

#[test]
fn a_signal_at_any_time_of_the_start_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let tried = 20;
    for n in 0..tried {
        let mut run = pool(&["run", "--", "sleep", "1000"])
            .env("XDG_RUNTIME_DIR", base.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Not waited for: that it may come at any time is the point.
        std::thread::sleep(std::time::Duration::from_millis(4 * n));
        kill_process(pid(&run), Signal::TERM).unwrap();
        let status = run.wait().unwrap();
        let ended = status.signal().or(status.code());
        assert!([Some(15), Some(128 + 15)].contains(&ended), "{status:?}");
        assert_eq!(pool_directories(base.path()), 0, "after {} ms", 4 * n);
    }
}

#[test]
fn nothing_outlives_a_run_that_is_killed() {
    let script = r#"echo "$PPID"; exec cat"#;
    let mut run = pool(&["run", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    // Of all threads, as the renderer is forked by the pool's own.
    let children: Vec<String> = std::fs::read_dir(format!("/proc/{}/task", run.id()))
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap())
        .chain([std::fs::read_to_string(children).unwrap()])
        .flat_map(|pids| {
            pids.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    // The command and the renderer.
    assert!(children.len() >= 2, "{children:?}");
    run.kill().unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(9));
    // The command sees the end of its input, the renderer the end of its parent.
    drop(run);
    for child in children {
        let pid = Pid::from_raw(child.parse().unwrap()).unwrap();
        while test_kill_process(pid).is_ok() && !is_zombie(&child) {
            std::thread::yield_now();
        }
    }
}

/// What runs in the background of a shell, or under `nohup`, ignores signals and hands that on; a
/// handler it does not hand on. This process goes on to end by them.
pub(crate) fn have_children_heed_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT};
    let always = Arc::new(AtomicBool::new(true));
    for signal in [SIGHUP, SIGINT, SIGQUIT] {
        let ends = signal_hook::flag::register_conditional_shutdown;
        ends(signal, 128 + signal, always.clone()).unwrap();
    }
}

/// The renderer that a summary names has been reaped.
fn assert_gone(summary: &str) {
    let (_, rest) = summary.split_once("(pid ").unwrap();
    let pid = rest.split(')').next().unwrap();
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    assert!(test_kill_process(pid).is_err(), "{summary}");
}

fn is_zombie(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}
