//! A renderer's process: how it is watched, stopped and reaped.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use plushie_pool_core::Exit;
use tokio::process::Child;
use tokio::time::timeout;

use crate::StderrTail;
use crate::display::Server;

/// A renderer's process, which ends with this value at the latest.
///
/// [`stop`](Self::stop) ends it in order. Dropping it kills it without waiting, which leaves
/// the runtime to reap it; it is the last resort of a path that cannot wait.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    exit: Option<Exit>,
    stderr: StderrTail,
    display: Option<Arc<Server>>,
}

/// How long a renderer may take to obey, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// From the end of its input until it is sent SIGTERM. 500 ms by default; a renderer
    /// that is well takes a few milliseconds.
    pub eof: Duration,
    /// From SIGTERM until it is killed; 500 ms by default. Not used where there are no
    /// signals.
    pub term: Duration,
    /// From the kill until it is given up as one that even the system cannot end; 2 s by
    /// default.
    pub kill: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            eof: Duration::from_millis(500),
            term: Duration::from_millis(500),
            kill: Duration::from_secs(2),
        }
    }
}

impl Process {
    /// Watches `child`, and starts to drain its standard error if that is piped.
    ///
    /// # Panics
    ///
    /// If `child` has already been waited for, or outside a tokio runtime.
    pub fn new(mut child: Child) -> Self {
        let pid = child.id().expect("a process not yet waited for has an id");
        let stderr = match child.stderr.take() {
            Some(stream) => StderrTail::drain(stream, pid),
            None => StderrTail::silent(),
        };
        Self {
            child,
            pid,
            exit: None,
            stderr,
            display: None,
        }
    }

    /// Shows its windows on this display, and ends when that does.
    pub(crate) fn on_display(mut self, display: Option<Arc<Server>>) -> Self {
        self.display = display;
        self
    }

    /// What it shows its windows on, if that is the pool's own.
    pub(crate) fn display(&self) -> Option<&Arc<Server>> {
        self.display.as_ref()
    }

    /// The process's id. Once it was waited for, another process may have it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The last lines it wrote to its standard error.
    pub fn stderr(&self) -> &StderrTail {
        &self.stderr
    }

    /// Waits until the process has ended, and says how; at once and the same if it was asked
    /// before. Not bounded in time.
    ///
    /// [`Exit::Unknown`] if the status cannot be read, as when this program ignores SIGCHLD.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn wait(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let exit = match self.child.wait().await {
            Ok(status) => exit_of(status),
            Err(error) => {
                tracing::warn!(pid = self.pid, %error, "how the process ended is unknown");
                Exit::Unknown
            }
        };
        *self.exit.insert(exit)
    }

    /// Ends the process and reaps it, within the sum of `grace`. The caller has dropped its
    /// end of the renderer's input, so that the renderer has been asked already: waits, sends
    /// SIGTERM, waits, kills, waits. Goes on reading its output meanwhile if it can, since a
    /// renderer whose output is full does not see the end of its input.
    ///
    /// [`Exit::Unknown`] if it is still there after the last wait, which is logged as an
    /// error: it hangs in a system call, and ends when that does.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it can be called again, and starts over.
    pub async fn stop(&mut self, grace: Grace) -> Exit {
        if let Ok(exit) = timeout(grace.eof, self.wait()).await {
            return exit;
        }
        #[cfg(unix)]
        {
            tracing::debug!(
                pid = self.pid,
                "the process has not ended of itself; sending SIGTERM"
            );
            self.terminate();
            if let Ok(exit) = timeout(grace.term, self.wait()).await {
                return exit;
            }
        }
        tracing::warn!(pid = self.pid, "the process does not stop; killing it");
        self.kill();
        if let Ok(exit) = timeout(grace.kill, self.wait()).await {
            return exit;
        }
        tracing::error!(
            pid = self.pid,
            "the process was killed but has not ended; it is left to the system"
        );
        Exit::Unknown
    }

    /// Sends SIGTERM. A host that blocks or ignores that signal hands this down to the
    /// renderer, which then needs the kill.
    #[cfg(unix)]
    fn terminate(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        if !self.is_running() {
            return;
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
            tracing::warn!(pid = self.pid, %error, "SIGTERM could not be sent");
        }
    }

    fn kill(&mut self) {
        if !self.is_running() {
            return;
        }
        if let Err(error) = self.child.start_kill() {
            tracing::warn!(pid = self.pid, %error, "the process could not be killed");
        }
    }

    /// Whether the process's id is still its own: it has not been reaped, by us or, when
    /// SIGCHLD is ignored, by the system. Nothing else may be sent a signal.
    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// Does what tokio's `kill_on_drop` does, except that it never signals an id that the system
/// may have given to another process.
impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Exit::Signal(signal);
    }
    status.code().map_or(Exit::Unknown, Exit::Code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_is_bounded_by_less_than_four_seconds() {
        let Grace { eof, term, kill } = Grace::default();
        assert!(eof + term + kill < Duration::from_secs(4));
    }
}
