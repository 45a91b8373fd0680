//! What the first process of a container has to do: the system gives it every process whose parent
//! ended, and only it can reap them.

use std::env;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, WaitOptions, wait};

use crate::failure::Failure;
use crate::passing::Signals;

/// Whether this is the first process, to which that falls.
pub(crate) fn is_needed() -> bool {
    std::process::id() == 1
}

/// Runs this command once more, with the same arguments, and reaps all other processes until it
/// ends. Signals are passed on to it. Its exit code, or 128 and the signal that ended it.
///
/// It is a process of its own because in one the pool would miss those of its renderers that are
/// reaped here.
///
/// # Errors
///
/// If it cannot be started.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let program = env::current_exe().map_err(Failure::Itself)?;
    let signals = Signals::listen()?;
    let child = signals.begin(|| {
        let mut again = Command::new(program);
        again.args(env::args_os().skip(1));
        again.spawn().map_err(Failure::Itself)
    })?;
    let child = child.id().try_into().ok().and_then(Pid::from_raw);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == child => {
                let code = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => code,
                    (None, Some(signal)) => 128 + signal,
                    // It was stopped, which is not waited for.
                    (None, None) => continue,
                };
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::Itself(error.into())),
        }
    }
}
