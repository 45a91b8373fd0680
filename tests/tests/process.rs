//! What happens to the process that a pool is in: it is stopped, it forks, it exits.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

#[path = "scenarios/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "made for the scenarios"
)]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use plushie_pool::blocking::{Wait, iter};
use plushie_pool::{RendererMode, Session, SessionPool, WireFormat};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid, waitpid};
use serde_json::json;
use support::{LONG, click, counter, exists, find, pids, pool, scripted, shown, snapshot};

/// What the process below does. Makes that test one.
const ACT: &str = "POOL_TEST_PROCESS_ACT";

/// How long what it asks for takes, how long it waits for it, and how long it is stopped.
const TAKES: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_millis(1500);
const STOPPED: Duration = Duration::from_millis(2500);

#[test]
fn a_reply_that_came_while_the_process_was_stopped_is_not_too_late() {
    for act in [
        "request json",
        "request msgpack",
        "request often",
        "interact",
        "wait_for",
    ] {
        Process::start(act).stop_meanwhile();
    }
}

#[test]
fn a_large_reply_is_not_too_late_either() {
    Process::start("request much").stop_meanwhile();
}

#[test]
fn a_session_that_became_free_while_the_process_was_stopped_is_not_too_late() {
    Process::start("acquire").stop_meanwhile();
}

#[test]
fn a_close_that_was_confirmed_while_the_process_was_stopped_is_not_too_late() {
    // A renderer has 5 s to confirm it.
    Process::start("close").stop_for(Duration::from_secs(6));
}

#[test]
fn a_hello_that_came_while_the_process_was_stopped_is_not_too_late() {
    Process::start("launch").stop_meanwhile();
}

#[test]
fn a_wait_inside_a_wait_is_one() {
    static POOL: OnceLock<SessionPool> = OnceLock::new();
    let pool = || POOL.get_or_init(|| mock().start().wait().unwrap());
    async {
        let session = pool().register().wait().unwrap();
        session.send(&snapshot(&counter(3))).wait().unwrap();
        assert_eq!(async { shown(&session).wait() }.wait(), "3");
        session.send_interact(&click("increment")).await.unwrap();
        let mut events = iter(session.events());
        assert!(async { events.next() }.wait_for(LONG).unwrap().is_some());
        // Two of them, each of which is woken while the other sleeps.
        let nested = async { shown(&session).wait_for(LONG).unwrap() };
        assert_eq!(futures::join!(nested, shown(&session)).0, "3");
    }
    .wait();
    futures::executor::block_on(async {
        assert!(
            pool().register().wait().is_ok(),
            "also in an executor of another kind"
        );
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert!(runtime.block_on(async { pool().register().wait() }).is_ok());
}

#[test]
fn a_pool_is_of_use_to_what_runs_at_exit() {
    let mut process = Process::start("exit");
    assert_eq!(process.line(), "registered");
    let renderer: u32 = process.line().parse().unwrap();
    assert_eq!(process.line(), "at exit: 5");
    assert_eq!(process.line(), "shut down: Ok(())");
    assert!(!exists(renderer), "it was reaped");
    process.assert_ends_well();
}

#[test]
fn the_child_of_a_fork_is_told_and_does_its_parent_no_harm() {
    let mut process = Process::start("fork");
    let mut lines = Vec::new();
    for what in [
        "register",
        "try_register",
        "request",
        "send",
        "send_interact",
        "unregister",
        "shutdown",
    ] {
        let line = process.line();
        assert!(
            line.starts_with(&format!("child: {what}: PoolClosed")),
            "{line}"
        );
        assert!(line.contains("forked from"), "{line}");
        lines.push(line);
    }
    assert_eq!(process.line(), "child: events end");
    assert_eq!(process.line(), "child: named: false, sessions: 0");
    assert_eq!(process.line(), "child: a pool of its own: 9");
    assert_eq!(process.line(), "child: all dropped");
    assert_eq!(process.line(), "parent: the child ended with 0");
    assert_eq!(process.line(), "parent: 7, 7 and a new session; deaths: 0");
    process.assert_ends_well();
}

fn mock() -> plushie_pool::Builder {
    pool(RendererMode::Mock, WireFormat::Msgpack)
}

/// The process that all this happens to.
#[test]
fn process() {
    let Ok(act) = std::env::var(ACT) else {
        return;
    };
    let (act, how) = act.split_once(' ').unwrap_or((&act, ""));
    match act {
        "request" => request(how),
        "interact" => interact(),
        "wait_for" => wait_for(),
        "acquire" => acquire(),
        "close" => close(),
        "launch" => launch(),
        "exit" => exit(),
        "fork" => fork(),
        other => panic!("what is {other}?"),
    }
}

fn say(line: &str) {
    println!("\n> {line}");
}

/// Says that something was asked, waits for it, and says that it came.
fn await_it<T, E: std::fmt::Display>(future: impl Future<Output = Result<T, E>>) {
    let mut future = Box::pin(future);
    match (&mut future).now_or_never() {
        None => say("asked"),
        Some(_) => panic!("too early"),
    }
    match future.wait() {
        Ok(_) => say("it came"),
        Err(error) => say(&format!("no: {error}")),
    }
}

fn slow(how: &str) -> plushie_pool::Builder {
    let dawdle = format!("dawdle {}", TAKES.as_millis());
    let event = json!({"type": "event", "family": "paste", "id": "x", "session": "s1", "value": "x".repeat(100_000)});
    let events = format!("repeat 40 {event}");
    let reply = r#"say {"type":"query_response","session":"$session","id":"$id","data":null}"#;
    let rest = format!("rest {}", TAKES.as_millis());
    let steps: &[&str] = match how {
        "often" => &["hello", "answer 200", &dawdle],
        // More than a pipe holds.
        "much" => &["hello", "take 2", &rest, &events, reply, "serve"],
        _ => &["hello", "answer 1", &dawdle],
    };
    let format = if how == "json" {
        WireFormat::Json
    } else {
        WireFormat::Msgpack
    };
    scripted(steps.iter().copied())
        .format(format)
        .timeout(PATIENCE)
}

fn request(how: &str) {
    let pool = slow(how).start().wait().unwrap();
    let session = pool.register().wait().unwrap();
    if how == "often" {
        // So that callers read, too.
        for _ in 0..199 {
            session
                .request(&find("x"), "query_response")
                .wait()
                .unwrap();
        }
    }
    await_it(session.request(&find("x"), "query_response"));
}

fn interact() {
    let pool = slow("").start().wait().unwrap();
    let session = pool.register().wait().unwrap();
    await_it(session.request(&click("x"), "interact_response"));
}

fn wait_for() {
    let pool = slow("").timeout(LONG).start().wait().unwrap();
    let session = pool.register().wait().unwrap();
    let query = find("x");
    let mut asked = session.request(&query, "query_response");
    assert!((&mut asked).now_or_never().is_none());
    say("asked");
    match asked.wait_for(PATIENCE) {
        Some(Ok(_)) => say("it came"),
        other => say(&format!("no: {other:?}")),
    }
}

fn acquire() {
    let pool = slow("").max_sessions(1).acquire_timeout(PATIENCE);
    let pool = pool.start().wait().unwrap();
    let session = pool.register().wait().unwrap();
    session.send(&snapshot(&counter(1))).wait().unwrap();
    drop(session);
    await_it(pool.register());
}

fn close() {
    let dawdle = format!("dawdle {}", 2 * TAKES.as_millis());
    let pool = scripted(["hello", "answer 1", &dawdle])
        .start()
        .wait()
        .unwrap();
    let session = pool.register().wait().unwrap();
    session.send(&snapshot(&counter(1))).wait().unwrap();
    await_it(session.unregister());
}

fn launch() {
    let rest = format!("rest {}", TAKES.as_millis());
    let pool = scripted([&*rest, "hello", "serve"]).launch_timeout(PATIENCE);
    await_it(pool.start());
}

fn exit() {
    static SESSION: OnceLock<(SessionPool, Session)> = OnceLock::new();

    extern "C" fn at_exit() {
        let (pool, session) = SESSION.get().unwrap();
        let count = shown(session).wait();
        say(&format!("at exit: {}", count.as_str().unwrap_or_default()));
        let another = pool.register().wait().unwrap();
        another.send(&snapshot(&counter(1))).wait().unwrap();
        another.unregister().wait().unwrap();
        say(&format!("shut down: {:?}", pool.shutdown().wait()));
    }

    let pool = mock().start().wait().unwrap();
    let session = pool.register().wait().unwrap();
    session.send(&snapshot(&counter(5))).wait().unwrap();
    let renderer = pids(&pool)[0];
    assert!(SESSION.set((pool, session)).is_ok());
    // SAFETY: the handler needs nothing that is gone when the process exits.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    say("registered");
    say(&renderer.to_string());
    std::process::exit(0);
}

fn fork() {
    let pool = mock().name("forked").start().wait().unwrap();
    let session = pool.register().wait().unwrap();
    let kept = pool.register().wait().unwrap();
    for session in [&session, &kept] {
        session.send(&snapshot(&counter(7))).wait().unwrap();
    }
    // SAFETY: the child goes on in this function alone, and ends in it.
    match unsafe { libc::fork() } {
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                in_child(pool, session, kept)
            }));
            // SAFETY: ends the process; the test's other threads are not in it.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        child => {
            let status = waitpid(Pid::from_raw(child), rustix::process::WaitOptions::empty());
            let (_, status) = status.unwrap().unwrap();
            say(&format!(
                "parent: the child ended with {}",
                status.exit_status().unwrap_or(-1)
            ));
            let (one, two) = (shown(&session).wait(), shown(&kept).wait());
            let new = pool.register().wait().map(|_| "a new session");
            let (one, two) = (one.as_str().unwrap(), two.as_str().unwrap());
            let deaths = pool.status().deaths;
            say(&format!(
                "parent: {one}, {two} and {}; deaths: {deaths}",
                new.unwrap()
            ));
        }
    }
}

fn in_child(pool: SessionPool, session: Session, kept: Session) {
    fn tell<T>(what: &str, outcome: Result<T, plushie_pool::Error>) {
        match outcome {
            Ok(_) => say(&format!("child: {what}: it worked")),
            Err(error) => say(&format!("child: {what}: {error:?}")),
        }
    }
    tell("register", pool.register().wait());
    tell("try_register", pool.try_register().wait());
    tell(
        "request",
        session.request(&find("count"), "query_response").wait(),
    );
    tell(
        "send",
        session.send(&json!({"type": "patch", "ops": []})).wait(),
    );
    tell("send_interact", session.send_interact(&click("x")).wait());
    tell("unregister", session.unregister().wait());
    tell("shutdown", pool.shutdown().wait());
    if session.events().next().wait().is_none() {
        say("child: events end");
    }
    let named = SessionPool::named("forked").is_some();
    say(&format!(
        "child: named: {named}, sessions: {}",
        pool.status().sessions
    ));
    let own = mock().name("forked").start().wait().unwrap();
    let other = own.register().wait().unwrap();
    other.send(&snapshot(&counter(9))).wait().unwrap();
    say(&format!(
        "child: a pool of its own: {}",
        shown(&other).wait().as_str().unwrap()
    ));
    own.shutdown().wait().unwrap();
    drop((session, kept, pool));
    say("child: all dropped");
}

/// A process like this one, that does what it is told.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(act: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["process", "--exact", "--nocapture"])
            .env(ACT, act)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next thing it says.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended without a further word");
            if let Some(said) = line.strip_prefix("> ") {
                return said.trim_end().to_owned();
            }
        }
    }

    /// What it waits for comes while it is stopped, for longer than it would wait.
    fn stop_meanwhile(self) {
        self.stop_for(STOPPED);
    }

    fn stop_for(mut self, time: Duration) {
        assert_eq!(self.line(), "asked");
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), stopped).unwrap();
        std::thread::sleep(time);
        kill_process(pid, Signal::CONT).unwrap();
        assert_eq!(self.line(), "it came");
        self.assert_ends_well();
    }

    fn assert_ends_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}
