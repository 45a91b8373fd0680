//! Knowing that a set of futures has nothing more to give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;

/// Wakes a task, and remembers that it did.
pub(super) struct Bell {
    rope: Arc<Rope>,
    waker: Waker,
}

#[derive(Default)]
struct Rope {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Bell {
    pub(super) fn new() -> Self {
        let rope = Arc::new(Rope::default());
        Self {
            waker: Waker::from(rope.clone()),
            rope,
        }
    }

    /// From now on it wakes this task.
    pub(super) fn hand_to(&self, context: &mut Context<'_>) -> Waker {
        self.rope.task.register(context.waker());
        self.waker.clone()
    }

    /// What next of the set is done; pending only if nothing is. The set itself would also be
    /// pending now and then to let others have their turn, and what it gave until then may have
    /// been done after what it did not give.
    pub(super) fn poll_next<F: Future>(
        &self,
        set: &mut FuturesUnordered<F>,
        context: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        loop {
            self.rope.rung.store(false, Ordering::SeqCst);
            let next = set.poll_next_unpin(context);
            if next.is_ready() || !self.rope.rung.load(Ordering::SeqCst) {
                return next;
            }
        }
    }
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.task.wake();
    }
}
