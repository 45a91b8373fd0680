//! What processes take, from `/proc`.

use std::fs;
use std::time::Duration;

/// The CPU time a process has taken so far; none if it is gone.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it is in parentheses, and may hold anything.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    // Ticks of 1/100 s on every Linux there is.
    Duration::from_millis(10 * fields.iter().sum::<u64>())
}

/// Memory in KiB: resident, and with what is shared divided among those who share it.
pub(crate) fn memory(pid: u32) -> (u64, u64) {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let figure = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let figure = line.and_then(|line| line.trim().strip_suffix(" kB"));
        figure.and_then(|figure| figure.trim().parse().ok())
    };
    (
        figure("Rss:").unwrap_or_default(),
        figure("Pss:").unwrap_or_default(),
    )
}

/// The environment a process was started with.
pub(crate) fn environment(pid: u32) -> Vec<(String, String)> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| {
            let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}
