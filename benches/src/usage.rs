//! Time on the CPU, and which CPU.

use std::io;
use std::time::Duration;

/// How much time this process, without its children, has spent on a CPU.
pub(crate) fn own_cpu() -> Duration {
    // SAFETY: an all-zero `rusage` is a valid one, and the call writes nothing else.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn time(value: libc::timeval) -> Duration {
    let micros = value.tv_sec * 1_000_000 + value.tv_usec;
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// How much time another process, its ended threads included, has spent on a CPU.
pub(crate) fn cpu_of(pid: u32) -> io::Result<Duration> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: both calls write to their last argument only, which is valid for it.
    let time = unsafe {
        let mut clock = std::mem::zeroed::<libc::clockid_t>();
        let error = libc::clock_getcpuclockid(pid, &raw mut clock);
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        let mut time = std::mem::zeroed::<libc::timespec>();
        if libc::clock_gettime(clock, &raw mut time) != 0 {
            return Err(io::Error::last_os_error());
        }
        time
    };
    let nanos = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// Keeps this process, and all it starts from now on, on the last core it may use.
pub(crate) fn pin() -> io::Result<()> {
    // SAFETY: an all-zero `cpu_set_t` is an empty set; the calls and macros stay within it.
    unsafe {
        let mut allowed = std::mem::zeroed::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) != 0 {
            return Err(io::Error::last_os_error());
        }
        let cores = 0..8 * size_of_val(&allowed);
        let last = cores.rev().find(|core| libc::CPU_ISSET(*core, &allowed));
        let mut one = std::mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(last.unwrap_or(0), &mut one);
        if libc::sched_setaffinity(0, size_of_val(&one), &raw const one) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// How much memory of its own this process has, in bytes.
pub(crate) fn resident() -> io::Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let field = |n| statm.split(' ').nth(n).and_then(|text| text.parse().ok());
    let (Some(resident), Some(shared)) = (field(1), field(2)) else {
        return Err(io::Error::other("/proc/self/statm has another shape"));
    };
    let pages: usize = resident;
    let shared: usize = shared;
    Ok((pages - shared) * 4096)
}
