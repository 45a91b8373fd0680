//! Every process is ended and reaped, whatever it does about it, and within a bound.

#![cfg(unix)]

mod support;

use std::time::Duration;

use plushie_pool_core::Exit;
use plushie_pool_renderer::{Grace, Process};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, test_kill_process, waitid,
};
use support::{LONG, SHORT, all_of, ready, within};

/// Each step is given for ever, but for those named.
const PATIENT: Grace = Grace {
    eof: LONG,
    term: LONG,
    kill: LONG,
};

fn pid_of(process: &Process) -> Pid {
    Pid::from_raw(process.pid().try_into().expect("ids are small")).expect("ids are not zero")
}

/// A process that has ended but was not reaped still has its id.
fn assert_reaped(pid: Pid) {
    assert_eq!(
        test_kill_process(pid),
        Err(Errno::SRCH),
        "{pid:?} is still there"
    );
}

#[tokio::test]
async fn a_polite_process_ends_with_its_input_and_is_sent_no_signal() {
    let (mut process, _output) = ready("trap 'exit 9' TERM; echo ready; cat; exit 4").await;
    let pid = pid_of(&process);
    assert_eq!(within(process.stop(PATIENT)).await, Exit::Code(4));
    assert_reaped(pid);
}

#[tokio::test]
async fn one_that_ignores_the_end_of_its_input_is_asked_again() {
    let (mut process, _output) = ready("echo ready; exec sleep 1000").await;
    let pid = pid_of(&process);
    let grace = Grace {
        eof: SHORT,
        ..PATIENT
    };
    assert_eq!(within(process.stop(grace)).await, Exit::Signal(15));
    assert_reaped(pid);
}

#[tokio::test]
async fn one_that_cleans_up_on_sigterm_may_do_so() {
    let (mut process, _output) =
        ready("trap 'exit 6' TERM; echo ready; while :; do read -r line; done").await;
    let grace = Grace {
        eof: SHORT,
        ..PATIENT
    };
    assert_eq!(within(process.stop(grace)).await, Exit::Code(6));
}

#[tokio::test]
async fn one_that_ignores_both_is_killed() {
    let (mut process, _output) = ready("trap '' TERM; echo ready; exec sleep 1000").await;
    let pid = pid_of(&process);
    let grace = Grace {
        eof: SHORT,
        term: SHORT,
        ..PATIENT
    };
    assert_eq!(within(process.stop(grace)).await, Exit::Signal(9));
    assert_reaped(pid);
}

#[tokio::test]
async fn one_that_was_suspended_is_killed() {
    let (mut process, _output) = ready("echo ready; exec sleep 1000").await;
    let pid = pid_of(&process);
    kill_process(pid, Signal::STOP).unwrap();
    // Until it has stopped, another signal may still overtake that one.
    waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
    let grace = Grace {
        eof: SHORT,
        term: SHORT,
        ..PATIENT
    };
    assert_eq!(within(process.stop(grace)).await, Exit::Signal(9));
    assert_reaped(pid);
}

#[tokio::test]
async fn one_whose_output_is_full_is_ended_all_the_same() {
    let (mut process, _unread) = ready("trap '' TERM; echo ready; exec yes").await;
    let grace = Grace {
        eof: SHORT,
        term: SHORT,
        ..PATIENT
    };
    assert_eq!(within(process.stop(grace)).await, Exit::Signal(9));
}

#[tokio::test]
async fn one_that_ended_by_itself_is_known_by_its_end() {
    let (mut process, output) = ready("echo ready; exit 7").await;
    all_of(output).await;
    assert_eq!(within(process.wait()).await, Exit::Code(7));
    assert_eq!(within(process.wait()).await, Exit::Code(7));
    assert_eq!(within(process.stop(Grace::default())).await, Exit::Code(7));

    let (mut process, _output) = ready("echo ready; kill -KILL $$").await;
    assert_eq!(within(process.wait()).await, Exit::Signal(9));
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let (mut process, _output) = ready("echo ready; exec sleep 1000").await;
    for _ in 0..3 {
        let gave_up = tokio::time::timeout(SHORT, process.wait()).await;
        assert!(gave_up.is_err());
    }
    kill_process(pid_of(&process), Signal::KILL).unwrap();
    assert_eq!(within(process.wait()).await, Exit::Signal(9));
}

#[tokio::test]
async fn a_stop_that_is_given_up_can_be_repeated() {
    let (mut process, _output) = ready("trap '' TERM; echo ready; exec sleep 1000").await;
    let gave_up = tokio::time::timeout(SHORT, process.stop(PATIENT)).await;
    assert!(gave_up.is_err());
    let grace = Grace {
        eof: Duration::ZERO,
        term: Duration::ZERO,
        ..PATIENT
    };
    assert_eq!(within(process.stop(grace)).await, Exit::Signal(9));
}

#[tokio::test]
async fn a_dropped_process_is_killed() {
    let (process, output) = ready("trap '' TERM; echo ready; exec sleep 1000").await;
    drop(process);
    // Its output ends when it does.
    all_of(output).await;
}

/// Makes the test below a host.
const HOST: &str = "POOL_TEST_STOP_HOST";

/// The system then reaps by itself, and nobody learns how a process ended. Only for Linux,
/// whose `env` can set this up.
#[cfg(target_os = "linux")]
#[test]
fn a_host_that_ignores_sigchld_sees_that_it_ended_all_the_same() {
    let host = std::process::Command::new("env")
        .arg("--ignore-signal=CHLD")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "host", "--nocapture"])
        .env(HOST, "1")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(host.status.success(), "{host:?}");
}

/// Not a test of its own: what the one above runs.
#[tokio::test]
async fn host() {
    if std::env::var_os(HOST).is_none() {
        return;
    }
    let (mut process, _output) = ready("echo ready; cat; exit 4").await;
    assert_eq!(within(process.stop(PATIENT)).await, Exit::Unknown);
    assert_reaped(pid_of(&process));
    assert_eq!(within(process.stop(PATIENT)).await, Exit::Unknown);
}
