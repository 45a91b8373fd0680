//! What the commands are started in: by whom, and with which limits.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Signal, geteuid, kill_process};

use crate::run::have_children_heed_signals;
use crate::support::{pid, pool, text};

const POOL: &str = env!("CARGO_BIN_EXE_plushie-pool");

/// Has this started by another program.
fn started_by(program: &[&str], args: &[&str]) -> Command {
    let [name, options @ ..] = program else {
        panic!("it has a name");
    };
    let bare = pool(&[]);
    let mut command = Command::new(name);
    command.args(options).arg(bare.get_program()).args(args);
    for (name, value) in bare.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn the_exit_code_comes_back_where_the_parent_ignores_the_end_of_children() {
    let ignoring = ["env", "--ignore-signal=CHLD"];
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 128 + 9)] {
        let run = ["run", "--", "sh", "-c", script];
        let output = started_by(&ignoring, &run).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).contains("renderers started: 1"));
    }
    // The command gets what it would get from a shell.
    let masks = "! grep -q '^SigIgn:.*[1-9a-f][0-9a-f]\\{4\\}$' /proc/self/status";
    let run = ["run", "--", "sh", "-c", masks];
    let output = started_by(&ignoring, &run).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_command_that_a_signal_interrupts_has_run_end_by_it() {
    have_children_heed_signals();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let number = signal.as_raw();
        let kill = format!("kill -{number} $$");
        let output = pool(&["run", "--", "sh", "-c", &kill]).output().unwrap();
        assert_eq!(output.status.signal(), Some(number), "{output:?}");
        assert!(!output.status.core_dumped());
        // All is cleared away, and all is said.
        let said = text(&output.stderr);
        assert!(said.contains("sessions served"), "{said}");
        // A shell has the same exit code as ever.
        let script = r#""$0" run --quiet -- sh -c "$1"; echo $?"#;
        let output = pool_in_a_shell(script, &[&kill]);
        let code = format!("{}\n", 128 + number);
        assert_eq!(text(&output.stdout), code, "{output:?}");
    }
    let mut run = pool(&["run", "--", "sh", "-c", "echo ready; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    kill_process(pid(&run), Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(15));
}

fn pool_in_a_shell(script: &str, args: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, POOL]).args(args);
    for (name, _) in pool(&[]).get_envs() {
        shell.env_remove(name);
    }
    shell.output().unwrap()
}

/// What the command gets for `PLUSHIE_BINARY_PATH`, and where its socket is.
fn renderer_and_socket(run: &mut Command) -> (String, String) {
    let output = run
        .args(["--", "sh", "-c"])
        .arg(r#"echo "$PLUSHIE_BINARY_PATH"; echo "$PLUSHIE_SOCKET"; test -x "$PLUSHIE_BINARY_PATH""#)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    let (path, socket) = said.trim_end().split_once('\n').unwrap();
    (path.to_owned(), socket.to_owned())
}

fn are_beside(one: &str, other: &str) -> bool {
    Path::new(one).parent() == Path::new(other).parent()
}

#[test]
fn a_renderer_that_was_chosen_stays_and_what_chooses_none_does_not() {
    let name = "PLUSHIE_BINARY_PATH";
    let (path, _) = renderer_and_socket(pool(&["run"]).env(name, "/bin/true"));
    assert_eq!(path, "/bin/true");
    // What a surrounding `run` sets leads to its own pool; also one that is over.
    let (outer, _) = renderer_and_socket(pool(&["run"]).env_remove(name));
    for value in [
        "",
        &outer,
        "/tmp/plushie-pool-0123456789ab/plushie-renderer",
    ] {
        let (path, socket) = renderer_and_socket(pool(&["run"]).env(name, value));
        assert!(are_beside(&path, &socket), "{value}: {path}");
    }
    let nested = r#""$0" run -q -- sh -c 'echo "$PLUSHIE_BINARY_PATH"; echo "$PLUSHIE_SOCKET"'"#;
    let output = pool(&["run", "--", "sh", "-c", nested, POOL]).output();
    let output = output.unwrap();
    let said = text(&output.stdout);
    let (path, socket) = said.trim_end().split_once('\n').unwrap();
    assert!(are_beside(path, socket), "{output:?}");
}

#[test]
fn nothing_that_cannot_be_started_is_offered_as_a_renderer() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let noexec = mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some("/dev/shm") && line.contains("noexec")
    });
    let Ok(base) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let runtime = base.path().to_str().unwrap();
    let mut run = pool(&["run"]);
    run.env("XDG_RUNTIME_DIR", runtime)
        .env_remove("PLUSHIE_BINARY_PATH");
    let (path, socket) = renderer_and_socket(&mut run);
    assert!(socket.starts_with(runtime), "{socket}");
    assert_eq!(are_beside(&path, &socket), !noexec, "{path}");
    assert!(!Path::new(&path).exists());
}

/// In a namespace of its own, if that is allowed here.
#[test]
fn as_the_first_process_it_reaps_what_others_leave() {
    let first = ["unshare", "--pid", "--fork", "--mount-proc"];
    let allowed = Command::new(first[0])
        .args(&first[1..])
        .arg("true")
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("not tried: a namespace of its own is not to be had");
        return;
    }
    let script = r#"orphan=$(sh -c 'sleep 0.05 >/dev/null & echo $!')
        tries=0
        while test -e /proc/$orphan && test $tries -lt 2000; do
            sleep 0.01
            tries=$((tries + 1))
        done
        test -e /proc/$orphan && exit 1
        test "$(sed -n 's/^PPid:\s*//p' /proc/$PPID/status)" = 1 || exit 2
        exit "$1""#;
    let run = |code: &str| {
        let mut args = vec!["run", "--", "sh", "-c", script, "sh"];
        args.push(code);
        started_by(&first, &args).output().unwrap()
    };
    let output = run("7");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let kill = ["run", "--", "sh", "-c", "kill -15 $$"];
    let output = started_by(&first, &kill).output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 15), "{output:?}");
}

/// The limit is that of a user, and the superuser has none: it takes one to be another user.
#[test]
fn where_no_thread_is_to_be_had_a_server_says_so_and_can_be_ended() {
    if !geteuid().is_root() {
        eprintln!("not tried: this needs the superuser");
        return;
    }
    // One whose directories another user may look into.
    let base = tempfile::Builder::new()
        .prefix("b")
        .tempdir_in("/tmp")
        .unwrap();
    std::fs::set_permissions(base.path(), PermissionsExt::from_mode(0o777 | 0o1000)).unwrap();
    let program = base.path().join("plushie-pool");
    if std::fs::hard_link(POOL, &program).is_err() {
        std::fs::copy(POOL, &program).unwrap();
    }
    let mut outcomes = Vec::new();
    for limit in 1..=16 {
        let user = 543_210 + limit;
        let mut serve = Command::new("setpriv")
            .args([&format!("--reuid={user}"), &format!("--regid={user}")])
            .args(["--clear-groups", "prlimit", &format!("--nproc={limit}")])
            .arg(&program)
            .args(["serve", "--mode", "mock"])
            .env("XDG_RUNTIME_DIR", base.path())
            .env_remove("PLUSHIE_TOKEN")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(serve.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let serves = line.starts_with("PLUSHIE_SOCKET=");
        if serves {
            kill_process(pid(&serve), Signal::TERM).unwrap();
        }
        let mut said = String::new();
        serve
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let status = serve.wait().unwrap();
        match serves {
            true => assert!(status.success(), "{limit}: {status:?}: {said}"),
            false => assert!(said.contains("error: "), "{limit}: {status:?}: {said}"),
        }
        assert!(!said.contains("panicked"), "{limit}: {said}");
        outcomes.push(serves);
    }
    assert!(
        outcomes.contains(&false) && outcomes.contains(&true),
        "{outcomes:?}"
    );
}
