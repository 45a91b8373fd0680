//! The signal by which Linux ends a child with the thread that started it.

use std::sync::Once;

use rustix::io::Errno;
use rustix::process::{
    Signal, getpid, getppid, parent_process_death_signal, set_parent_process_death_signal,
};
use tokio::process::Command;

/// Has the system kill the child when the thread that starts it ends.
///
/// Best effort: a sandbox may forbid `prctl`, and then the child starts without the signal. It
/// still sees the end of its input.
pub(crate) fn die_with_this_thread(command: &mut Command) {
    warn_if_forbidden();
    let host = getpid();
    let in_child = move || {
        if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
            // `warn_if_forbidden` has said so: nothing can be logged here.
            return Ok(());
        }
        // If the host died before that, no signal will come. A host in another pid namespace
        // has no id here, and cannot be asked about.
        match getppid() {
            Some(parent) if parent != host => Err(Errno::SRCH.into()),
            _ => Ok(()),
        }
    };
    // SAFETY: between fork and exec, in what may be a copy of a process with many threads,
    // this makes two system calls. It allocates nothing, takes no lock and cannot panic.
    unsafe {
        command.pre_exec(in_child);
    }
}

/// Logs a warning, once per process, if the system refuses the signal. A child cannot report
/// that, so this thread sets the signal that it has already.
fn warn_if_forbidden() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        let current = parent_process_death_signal();
        if let Err(error) = current.and_then(set_parent_process_death_signal) {
            tracing::warn!(
                %error,
                "prctl(PR_SET_PDEATHSIG) is not permitted here, as under a seccomp filter: a \
                 renderer or a display that ignores the end of its input stays behind if this \
                 process is killed"
            );
        }
    });
}
