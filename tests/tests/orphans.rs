//! No renderer outlives its pool, however the pool ends.

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

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use plushie_pool::blocking::Wait;
use plushie_pool::{RendererMode, SessionPool, WireFormat};
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};
use support::{LONG, exists, pids, pool, scripted, shown};

/// How the host below ends. Makes that test one.
const ENDING: &str = "POOL_TEST_ORPHANS_ENDING";

/// What the host's renderers do: `heed`, the real ones, or `ignore` everything they are asked;
/// `mute` ones never get as far as hello.
const MANNERS: &str = "POOL_TEST_ORPHANS_MANNERS";

/// Where a mute one notes its process.
const NOTE: &str = "POOL_TEST_ORPHANS_NOTE";

#[test]
fn none_is_left_when_the_pool_is_dropped() {
    let mut host = Host::start("drop", "heed");
    host.assert_renderers_end();
    // The host is still there.
    assert!(host.child.try_wait().unwrap().is_none());
    host.assert_ends(0);
}

#[test]
fn none_is_left_when_the_pool_is_dropped_that_would_not_end_by_itself() {
    let mut host = Host::start("drop", "ignore");
    host.assert_renderers_end();
    assert!(host.child.try_wait().unwrap().is_none());
    host.assert_ends(0);
}

#[test]
fn none_is_left_after_a_panic() {
    let mut host = Host::start("panic", "heed");
    host.assert_ends(101);
    host.assert_renderers_end();
}

#[test]
fn none_is_left_by_a_static_pool_when_the_tests_are_over() {
    for manners in MANNERS_THERE_ARE {
        let mut host = Host::start("static", manners);
        host.assert_ends(0);
        host.assert_renderers_end();
    }
}

#[test]
fn none_is_left_by_a_static_pool_after_exit() {
    for manners in MANNERS_THERE_ARE {
        let mut host = Host::start("exit", manners);
        host.assert_ends(3);
        host.assert_renderers_end();
    }
}

#[test]
fn none_is_left_by_a_process_that_is_killed() {
    for manners in MANNERS_THERE_ARE {
        let mut host = Host::start("wait", manners);
        assert_eq!(host.renderers.len(), 2);
        assert!(host.renderers.iter().all(|pid| runs(*pid)));
        host.child.kill().unwrap();
        host.child.wait().unwrap();
        host.assert_renderers_end();
    }
}

/// As a terminal does on Ctrl-C, and nextest for those it runs.
#[test]
fn none_is_left_by_a_process_group_that_is_interrupted() {
    for manners in MANNERS_THERE_ARE {
        let mut host = Host::start("wait", manners);
        assert!(host.renderers.iter().all(|pid| runs(*pid)));
        host.interrupt();
        host.assert_renderers_end();
    }
}

#[test]
fn none_is_left_by_a_process_group_that_is_interrupted_during_a_launch() {
    for manners in ["mute", "mute and ignore"] {
        if cfg!(not(target_os = "linux")) && manners != "mute" {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("pid");
        let mut host = Host::new(Host::spawn("start", manners, Some(&noted)));
        let start = Instant::now();
        let pid = loop {
            match std::fs::read_to_string(&noted) {
                Ok(pid) => break pid.parse().unwrap(),
                Err(_) => assert!(start.elapsed() < LONG, "the renderer does not start"),
            }
            std::thread::sleep(support::SHORT);
        };
        assert!(runs(pid));
        host.renderers = vec![pid];
        host.interrupt();
        host.assert_renderers_end();
    }
}

#[test]
fn a_renderer_stays_in_the_process_group_of_its_host() {
    let pool = start("heed");
    let mine = getpgid(None).unwrap();
    for pid in pids(&pool) {
        let pid = Pid::from_raw(pid.cast_signed()).unwrap();
        assert_eq!(getpgid(Some(pid)).unwrap(), mine);
    }
}

/// Where the system does not end a child with its parent, one that heeds nothing is left.
const MANNERS_THERE_ARE: &[&str] = if cfg!(target_os = "linux") {
    &["heed", "ignore"]
} else {
    &["heed"]
};

/// This test binary once more, with a pool.
struct Host {
    child: Child,
    renderers: Vec<u32>,
}

impl Host {
    fn start(ending: &str, manners: &str) -> Self {
        let mut host = Self::new(Self::spawn(ending, manners, None));
        let mut lines = BufReader::new(host.child.stdout.take().unwrap()).lines();
        let renderers = lines
            .find_map(|line| line.unwrap().strip_prefix("renderers:").map(str::to_owned))
            .expect("the host says which renderers it started");
        // The rest is of no interest, but must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        let renderers = renderers.split_whitespace();
        host.renderers = renderers.map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(host.renderers.len(), 2);
        host
    }

    fn new(child: Child) -> Self {
        Self {
            child,
            renderers: Vec::new(),
        }
    }

    /// In a process group of its own.
    fn spawn(ending: &str, manners: &str, note: Option<&Path>) -> Child {
        let mut host = Command::new(std::env::current_exe().unwrap());
        host.args(["--exact", "host", "--nocapture"])
            .env(ENDING, ending)
            .env(MANNERS, manners)
            .envs(note.map(|path| (NOTE, path)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        // What runs in the background of a shell ignores SIGINT, and so would the host.
        let heed_interrupts = || {
            // SAFETY: async-signal-safe, and no handler of ours is replaced.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
            Ok(())
        };
        // SAFETY: it allocates nothing and takes no lock.
        unsafe { host.pre_exec(heed_interrupts) };
        host.spawn().unwrap()
    }

    fn interrupt(&mut self) {
        let group = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process_group(group, Signal::INT).unwrap();
        let status = self.ended();
        assert_eq!(status.signal(), Some(2), "{status}");
    }

    fn assert_ends(&mut self, code: i32) {
        drop(self.child.stdin.take());
        let status = self.ended();
        assert_eq!(status.code(), Some(code), "{status}");
    }

    fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LONG, "the host does not end");
            std::thread::sleep(support::SHORT);
        }
    }

    fn assert_renderers_end(&self) {
        let start = Instant::now();
        while let Some(pid) = self.renderers.iter().find(|pid| runs(**pid)) {
            assert!(start.elapsed() < LONG, "renderer {pid} outlived its pool");
            std::thread::sleep(support::SHORT);
        }
        // Whoever is still there has reaped them.
        if std::fs::exists(format!("/proc/{}", self.child.id())).is_ok_and(|exists| exists) {
            let reaped = || self.renderers.iter().all(|pid| !exists(*pid));
            while !reaped() {
                assert!(start.elapsed() < LONG, "nobody waited for the renderers");
                std::thread::sleep(support::SHORT);
            }
        }
    }
}

/// A test that fails leaves none behind either.
impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.renderers.iter().filter(|pid| runs(**pid)) {
            let pid = Pid::from_raw(pid.cast_signed()).expect("it is not zero");
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Whether a process is alive, rather than gone or waiting to be reaped by whoever inherited it.
fn runs(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z')),
        Err(_) if cfg!(target_os = "linux") => false,
        Err(_) => exists(pid),
    }
}

/// Not a test of its own: what those above run.
#[test]
fn host() {
    static POOL: OnceLock<SessionPool> = OnceLock::new();

    let Ok(ending) = std::env::var(ENDING) else {
        return;
    };
    let pool = start(&std::env::var(MANNERS).unwrap());
    let session = pool.register().wait().unwrap();
    let pids: Vec<_> = pids(&pool).iter().map(u32::to_string).collect();
    println!("\nrenderers: {}", pids.join(" "));
    std::io::stdout().flush().unwrap();
    match &*ending {
        "drop" => {
            drop((pool, session));
            wait();
        }
        "panic" => panic!("as a test that fails"),
        "static" => {
            POOL.set(pool).unwrap();
            std::mem::forget(session);
        }
        "exit" => {
            POOL.set(pool).unwrap();
            std::process::exit(3);
        }
        _ => wait(),
    }
}

/// Until whoever started this has seen enough.
fn wait() {
    std::io::stdin().lines().for_each(drop);
}

/// A pool of two renderers that has had a session; of one that is mute.
fn start(manners: &str) -> SessionPool {
    let noted = format!("note {}", std::env::var(NOTE).unwrap_or_default());
    let builder = match manners {
        "ignore" => scripted(["ignore-term", "hello", "hang"]),
        "mute" => scripted([&*noted, "drain"]),
        "mute and ignore" => scripted(["ignore-term", &noted, "hang"]),
        _ => pool(RendererMode::Mock, WireFormat::Msgpack),
    };
    let renderers = if manners.starts_with("mute") { 1 } else { 2 };
    let pool = builder.renderers(renderers).start().wait().unwrap();
    if manners != "ignore" {
        let session = pool.register().wait().unwrap();
        shown(&session).wait();
    }
    pool
}
