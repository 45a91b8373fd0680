//! What a process has: children, descriptors, memory.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Waits a little for what is on its way out, and says how many children there are, and how
/// many descriptors more than `before`.
pub(crate) fn settle(before: i64) -> (usize, i64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = (children(), descriptors() - before);
        if (left.0 == 0 && left.1 <= 0) || Instant::now() > deadline {
            return left;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> i64 {
    let open = fs::read_dir("/proc/self/fd")
        .expect("this is Linux")
        .count();
    i64::try_from(open).expect("there are few")
}

/// Resident memory of a process, in KiB; 0 if it is gone.
pub(crate) fn resident_kib(pid: u32) -> i64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.trim().strip_suffix(" kB"));
    figure.and_then(|figure| figure.parse().ok()).unwrap_or(0)
}

/// Children of this process, zombies included.
fn children() -> usize {
    let me = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("this is Linux").flatten();
    let parents = processes.filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name before it is in parentheses, and may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().nth(1).map(str::to_owned)
    });
    parents.filter(|parent| *parent == me).count()
}
