//! One who waits for something the renderer is to say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use plushie_pool_core::Error;
use plushie_pool_core::link::Outcome;

use crate::home::Home;
use crate::turns::Turns;

/// How long somebody may read for others before his own answer comes.
const LONG: Duration = Duration::from_millis(2);

/// Ends a wait: told the outcome of what it was submitted with.
#[derive(Debug)]
pub struct Completion(Option<Arc<Wait>>);

/// Waits for the outcome of what a [`Completion`] was submitted with.
#[derive(Debug)]
pub struct Completed {
    wait: Arc<Wait>,
    /// Since this last read, others had their turn to speak.
    pub(crate) was_patient: bool,
    /// Since when it has waited for the I/O thread, and with how many.
    pub(crate) asked: Option<(Instant, usize)>,
    /// Since when it has read what was for others.
    pub(crate) reads_since: Option<Instant>,
    home: Home,
}

/// What the two share.
#[derive(Debug)]
pub(crate) struct Wait {
    turns: Arc<Turns>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Whom to wake; nobody before the first poll.
    Waiting(Option<Waker>),
    /// `None` if the completion was dropped.
    Ended(Option<Result<Outcome, Error>>),
    /// The outcome was taken, or nobody wants it any more.
    Over,
}

/// What ends a wait, and what waits.
pub(crate) fn begin(turns: &Arc<Turns>, home: Home) -> (Completion, Completed) {
    turns.begin_wait();
    let wait = Arc::new(Wait {
        turns: turns.clone(),
        state: Mutex::new(State::Waiting(None)),
    });
    let completed = Completed {
        wait: wait.clone(),
        was_patient: false,
        asked: None,
        reads_since: None,
        home,
    };
    (Completion(Some(wait)), completed)
}

impl Completion {
    pub(crate) fn finish(mut self, outcome: Result<Outcome, Error>) {
        if let Some(wait) = self.0.take() {
            wait.end(Some(outcome));
        }
    }

    /// Names the wait for as long as it lasts.
    pub(crate) fn key(&self) -> usize {
        let wait = self.0.as_deref();
        wait.expect("it is there until it is used up").key()
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(wait) = self.0.take() {
            wait.end(None);
        }
    }
}

impl Completed {
    /// The outcome, if there is one already; `None` inside if the completion was dropped.
    pub(crate) fn look(&mut self) -> Option<Option<Result<Outcome, Error>>> {
        self.wait.state().take_outcome()
    }

    /// The outcome, if there is one already.
    pub fn outcome(&mut self) -> Option<Result<Outcome, Error>> {
        self.look().flatten()
    }

    /// As [`look`](Self::look), or has the task woken when there is one.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Outcome, Error>>> {
        // Wakers are cloned and dropped without the lock: one may be the last of a task that
        // has this very wait to drop.
        let mut waker = Some(context.waker().clone());
        let mut state = self.wait.state();
        if let Some(outcome) = state.take_outcome() {
            return Poll::Ready(outcome);
        }
        if let State::Waiting(known) = &mut *state {
            std::mem::swap(known, &mut waker);
        }
        drop(state);
        Poll::Pending
    }

    /// Nobody wants to know the outcome any more.
    pub(crate) fn give_up(&mut self) {
        // A waker is dropped with it, which may be the last of its task: not under the lock.
        let was = std::mem::replace(&mut *self.wait.state(), State::Over);
        drop(was);
    }

    /// Whether it has read for others for so long that its executor should have the thread.
    pub(crate) fn has_read_long_enough(&self) -> bool {
        self.reads_since.is_some_and(|since| since.elapsed() > LONG)
    }

    pub(crate) fn key(&self) -> usize {
        self.wait.key()
    }

    pub(crate) fn wait(&self) -> Weak<Wait> {
        Arc::downgrade(&self.wait)
    }
}

impl Drop for Completed {
    fn drop(&mut self) {
        if !self.home.is_here() {
            return;
        }
        self.give_up();
        self.wait.turns.resign(self.wait.key());
    }
}

impl Wait {
    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whom to wake to have the wait go on elsewhere, if `then` agrees; `None` if nobody waits
    /// any more.
    pub(crate) fn call(&self, then: impl FnOnce(usize) -> bool) -> Option<Waker> {
        match &mut *self.state() {
            State::Waiting(waker) if waker.is_some() && then(self.key()) => waker.take(),
            _ => None,
        }
    }

    fn end(&self, outcome: Option<Result<Outcome, Error>>) {
        // Before the wake-up: who is woken may look who else waits.
        self.turns.end_wait();
        let mut state = self.state();
        if let State::Waiting(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Ended(outcome);
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_outcome(&mut self) -> Option<Option<Result<Outcome, Error>>> {
        match std::mem::replace(self, Self::Over) {
            Self::Ended(outcome) => Some(outcome),
            // Whoever asks again after the outcome is not left waiting.
            Self::Over => Some(None),
            waiting => {
                *self = waiting;
                None
            }
        }
    }
}
