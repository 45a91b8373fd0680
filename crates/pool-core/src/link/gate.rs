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
    /// Nobody will answer the steps any more: the pool does, with a patch that changes nothing.
    orphaned: bool,
}

/// What to do about an `interact_step`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its owner answers.
    Deliver,
    /// The pool answers.
    AnswerEmpty,
    /// No such interact is running; the renderer waits for nothing.
    Stray,
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
                    orphaned: false,
                });
            }
            (Some(running), Class::Tree) => running.step_until = None,
            _ => {}
        }
    }

    /// The renderer asked for a tree.
    pub(super) fn step(&mut self, id: Option<RequestId>, now: Instant, patience: Duration) -> Step {
        match &mut self.running {
            Some(running) if Some(running.id) == id => {
                if running.orphaned {
                    return Step::AnswerEmpty;
                }
                running.step_until = Some(now + patience);
                Step::Deliver
            }
            _ => Step::Stray,
        }
    }

    /// The renderer answered request `id`; if that was the interact, the gate opens.
    pub(super) fn answered(&mut self, id: RequestId) {
        if self
            .running
            .as_ref()
            .is_some_and(|running| running.id == id)
        {
            self.running = None;
        }
    }

    /// Nobody waits for interact `id` any more; true if a step is now the pool's to answer.
    pub(super) fn orphan(&mut self, id: RequestId) -> bool {
        match &mut self.running {
            Some(running) if running.id == id => {
                running.orphaned = true;
                running.step_until.take().is_some()
            }
            _ => false,
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
