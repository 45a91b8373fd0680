//! The interact gate: what may reach a session while an interact runs.
//!
//! ```text
//!            interact sent               interact_step
//!   Open ------------------> Running <------------------> Stepping
//!    ^                          |      tree sent             |
//!    +--------------------------+----------------------------+
//!                  interact_response, session over
//! ```
//!
//! After an `interact_step` the renderer takes the very next message of that session as the
//! tree the step led to, whatever it is, and swallows it. So while an interact runs nothing
//! but one tree per step may go out.

use std::time::{Duration, Instant};

use crate::{Class, RequestId};

#[derive(Debug, Default)]
pub(super) struct Gate {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    id: RequestId,
    /// The renderer waits for a tree until then; `None` between steps.
    step_until: Option<Instant>,
    /// There was a step, so the renderer has read it.
    read: bool,
    /// Nobody will answer the steps any more: the pool does, with a patch that changes nothing.
    orphaned: bool,
    /// A query that is either answered, when the renderer is done with the interact, or taken
    /// for the tree of its next step.
    probe: Option<RequestId>,
}

/// What to do about an `interact_step`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its owner answers.
    Deliver,
    /// The pool answers.
    AnswerEmpty,
    /// What the pool sent already is the answer.
    Answered,
    /// No such interact is running; the renderer waits for nothing.
    Stray,
}

/// What an interact that nobody waits for any more was doing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Orphaned {
    /// Waiting for a tree, which is now the pool's to send.
    InStep,
    /// Something else; it may also never have been read, and then it never ends.
    BetweenSteps,
    /// It is over, or was none.
    NotRunning,
}

impl Gate {
    pub(super) fn is_open(&self) -> bool {
        self.running.is_none()
    }

    /// Whether the renderer waits for a tree, and its owner is to send it.
    pub(super) fn wants_tree(&self) -> bool {
        self.deadline().is_some()
    }

    /// A message of this class, with this id, has gone out.
    pub(super) fn sent(&mut self, class: Class, id: RequestId) {
        match (&mut self.running, class) {
            (None, Class::Interact) => {
                self.running = Some(Running {
                    id,
                    step_until: None,
                    read: false,
                    orphaned: false,
                    probe: None,
                });
            }
            (Some(running), Class::Tree) => running.step_until = None,
            _ => {}
        }
    }

    /// The interact that runs.
    pub(super) fn running(&self) -> Option<RequestId> {
        Some(self.running.as_ref()?.id)
    }

    /// The interact that runs, if nothing shows that the renderer has read it.
    pub(super) fn unread(&self) -> Option<RequestId> {
        let running = self.running.as_ref()?;
        (!running.read && !running.orphaned).then_some(running.id)
    }

    /// Whether an interact runs that nothing shows to be read, be it one that was given up.
    pub(super) fn may_be_unread(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !running.read)
    }

    /// The renderer asked for a tree.
    pub(super) fn step(&mut self, id: Option<RequestId>, now: Instant, patience: Duration) -> Step {
        match &mut self.running {
            Some(running) if Some(running.id) == id => {
                running.read = true;
                if running.orphaned {
                    let probe = running.probe.take();
                    return probe.map_or(Step::AnswerEmpty, |_| Step::Answered);
                }
                running.step_until = Some(now + patience);
                Step::Deliver
            }
            _ => Step::Stray,
        }
    }

    /// A probe has gone out.
    pub(super) fn probed(&mut self, id: RequestId) {
        if let Some(running) = &mut self.running {
            running.probe = Some(id);
        }
    }

    /// The renderer answered request `id`; if that shows that the interact is over, the gate
    /// opens.
    pub(super) fn answered(&mut self, id: RequestId) {
        let over = |running: &Running| running.id == id || running.probe == Some(id);
        if self.running.as_ref().is_some_and(over) {
            self.running = None;
        }
    }

    /// Nobody waits for interact `id` any more.
    pub(super) fn orphan(&mut self, id: RequestId) -> Orphaned {
        match &mut self.running {
            Some(running) if running.id == id && !running.orphaned => {
                running.orphaned = true;
                match running.step_until.take() {
                    Some(_) => Orphaned::InStep,
                    None => Orphaned::BetweenSteps,
                }
            }
            _ => Orphaned::NotRunning,
        }
    }

    /// The interact whose step was not answered in time.
    pub(super) fn overdue(&self, now: Instant) -> Option<RequestId> {
        let running = self.running.as_ref()?;
        (running.step_until? <= now).then_some(running.id)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref()?.step_until
    }
}
