//! What becomes of a signal: it ends the start of the pool, or is the child's.

use std::io;
use std::pin::pin;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{Either, select};
use plushie_pool::Error;

use crate::failure::Failure;

/// Listens for signals, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Signals(Arc<Mutex<State>>);

/// Nothing is passed on to a process that was reaped: its id may be another's by then.
#[derive(Debug)]
struct State {
    /// The first signal that came when there was no child yet.
    early: Option<i32>,
    child: Option<u32>,
    told: Option<oneshot::Sender<()>>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let state = Arc::new(Mutex::new(State {
            early: None,
            child: None,
            told: None,
        }));
        #[cfg(unix)]
        {
            let state = state.clone();
            let act = move |asked| lock(&state).heed(asked);
            crate::signals::asked_to_end(act).map_err(Failure::Signals)?;
        }
        Ok(Self(state))
    }

    /// What `start` comes to, if no signal comes first.
    pub(crate) fn unless_ended<T>(
        &self,
        start: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let (told, ended) = oneshot::channel();
        {
            let mut state = lock(&self.0);
            state.check()?;
            state.told = Some(told);
        }
        match block_on(select(pin!(start), ended)) {
            Either::Left((started, _)) => Ok(started?),
            Either::Right(_) => {
                lock(&self.0).check()?;
                Err(Failure::Interrupted(0))
            }
        }
    }

    /// Starts the child that signals go to from here on, unless there was one already.
    pub(crate) fn begin(
        &self,
        spawn: impl FnOnce() -> Result<Child, Failure>,
    ) -> Result<Child, Failure> {
        let mut state = lock(&self.0);
        state.check()?;
        let child = spawn()?;
        state.child = Some(child.id());
        Ok(child)
    }

    /// Waits for the child, and has it reaped only while no signal is on its way to it.
    pub(crate) fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        #[cfg(unix)]
        wait_for_end(child)?;
        #[cfg(not(unix))]
        child.wait()?;
        lock(&self.0).child = None;
        child.wait()
    }
}

impl State {
    fn check(&self) -> Result<(), Failure> {
        self.early
            .map_or(Ok(()), |signal| Err(Failure::Interrupted(signal)))
    }

    #[cfg(unix)]
    fn heed(&mut self, asked: crate::signals::Asked) {
        use rustix::process::{Pid, kill_process};

        let Some(child) = self.child else {
            if self.early.is_none() {
                self.early = Some(asked.signal.as_raw());
            }
            if let Some(told) = self.told.take() {
                // Nobody waits for it if the pool has started by now.
                let _ = told.send(());
            }
            return;
        };
        let pid = child.try_into().ok().and_then(Pid::from_raw);
        if let (Some(pid), false) = (pid, asked.by_terminal) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, asked.signal);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves it to be reaped.
#[cfg(unix)]
fn wait_for_end(child: &Child) -> io::Result<()> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    let Some(pid) = child.id().try_into().ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(error) = waitid(WaitId::Pid(pid), options) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}
