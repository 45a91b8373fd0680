//! No display outlives the process whose pool started it, not even one that is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use futures::future::join_all;
use plushie_pool::blocking::Wait;
use plushie_pool::{Display, RendererMode, WireFormat};

use crate::display::own;
use crate::displays::{File, files_of};
use crate::support::{LONG, SHORT, pids, pool};

/// On which display the host below shows windows. Makes that test one.
const DISPLAY: &str = "POOL_TEST_WINDOWED_HOST";

const SESSIONS: usize = 8;

#[test]
fn nothing_is_left_of_windows_and_their_display_when_a_process_is_killed() {
    for display in own() {
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "orphans::host", "--nocapture"])
            .env(DISPLAY, display.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
        let said = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.strip_prefix("processes: ")?.to_owned())
        });
        let processes: Vec<u32> = said
            .expect("the host says what it started")
            .split(' ')
            .map(|pid| pid.parse().unwrap())
            .collect();
        let files = files_of(processes[0]);
        assert_eq!(processes.len(), 1 + SESSIONS);
        assert!(processes.iter().all(|pid| runs(*pid)));
        assert!(files.iter().all(File::is_there));

        let start = Instant::now();
        host.kill().unwrap();
        host.wait().unwrap();
        let left = || {
            let process = processes.iter().find(|pid| runs(**pid));
            let file = files.iter().find(|file| file.is_there());
            process
                .map(|pid| PathBuf::from(format!("/proc/{pid}")))
                .or(file.map(|file| file.path.clone()))
        };
        while let Some(left) = left() {
            assert!(start.elapsed() < LONG, "{} is left", left.display());
            std::thread::sleep(SHORT);
        }
        let paths: Vec<_> = files.iter().map(|file| &file.path).collect();
        println!("{display}: gone after {:?}: {paths:?}", start.elapsed());
    }
}

/// Whether a process is alive, rather than waiting to be reaped by whoever inherited it.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Not a test of its own: what that above kills.
#[test]
fn host() {
    let Ok(display) = std::env::var(DISPLAY) else {
        return;
    };
    let pool = pool(RendererMode::Windowed, WireFormat::Msgpack)
        .display(display.parse::<Display>().unwrap())
        .max_sessions(SESSIONS)
        .start()
        .wait()
        .unwrap();
    let sessions = join_all((0..SESSIONS).map(|_| pool.register())).wait();
    let server = pool.status().display.unwrap().pid;
    let processes: Vec<_> = std::iter::once(server)
        .chain(pids(&pool))
        .map(|pid| pid.to_string())
        .collect();
    println!("\nprocesses: {}", processes.join(" "));
    std::io::stdout().flush().unwrap();
    std::io::stdin().lines().for_each(drop);
    drop(sessions);
}
