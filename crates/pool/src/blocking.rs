//! The same API for code without async, such as plain `#[test]`s.
//!
//! The pool's futures need no runtime, so all it takes is to [`wait`](Wait::wait) for them:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use plushie_pool::SessionPool;
//! use plushie_pool::blocking::{Wait, iter};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), plushie_pool::Error> {
//! let pool = SessionPool::builder().start().wait()?;
//! let session = pool.register().wait()?;
//! let query = json!({"type": "query", "target": "tree", "selector": {}});
//! let reply = session.request(&query, "query_response").wait()?;
//! // An event comes when it comes, so say how long to wait for one.
//! if let Some(Some(event)) = session.next_event().wait_for(Duration::from_secs(1)) {
//!     println!("{event:?}");
//! }
//! session.unregister().wait()?;
//! // The session is over, and so are its events.
//! assert_eq!(iter(session.events()).count(), 0);
//! # Ok(())
//! # }
//! ```

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use plushie_pool_renderer::patience;

/// Waits for a future where there is no `await`.
pub trait Wait: Future + Sized {
    /// Blocks this thread until the future is done. It may be called anywhere: inside another
    /// wait, or by what runs when the process exits. But in async code use `await`: this keeps
    /// the thread from everything else.
    fn wait(self) -> Self::Output {
        let output = block_on(self, None);
        output.expect("without a deadline it ends with the future")
    }

    /// Blocks this thread until the future is done, but no longer than `at_most`; then the
    /// future is dropped, which its documentation says what it means (`# Cancel safety`).
    fn wait_for(self, at_most: Duration) -> Option<Self::Output> {
        // So late that it cannot be said is never.
        block_on(self, Instant::now().checked_add(at_most))
    }
}

impl<F: Future> Wait for F {}

fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    thread_local! {
        static PARKER: Cell<Option<Arc<Parker>>> = const { Cell::new(None) };
    }

    // One that waits inside another finds none and makes its own, and so does one at the exit of
    // its thread.
    let known = PARKER.try_with(Cell::take).ok().flatten();
    let parker = known.unwrap_or_default();
    let waker = Waker::from(parker.clone());
    let mut context = Context::from_waker(&waker);
    let output = {
        let mut future = pin!(future);
        let mut poll = || match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        };
        loop {
            if let Some(output) = poll() {
                break Some(output);
            }
            if !parker.park(deadline) {
                // If this process was stopped meanwhile, what was waited for may just be coming.
                let last = deadline.map(|at| Instant::now() + patience::grace(at));
                parker.park(last);
                break poll();
            }
        }
    };
    let _ = PARKER.try_with(|kept| kept.set(Some(parker)));
    output
}

/// Has a thread sleep until it is woken. Needs nothing that belongs to the thread, which may be at
/// its end.
#[derive(Default)]
struct Parker {
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl Parker {
    /// Sleeps until it is woken, or was since it slept last. False if that took until `deadline`.
    fn park(&self, deadline: Option<Instant>) -> bool {
        let mut woken = self.woken();
        while !std::mem::take(&mut *woken) {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            woken = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    let waited = self.wakes.wait_timeout(woken, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.wakes.wait(woken);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        true
    }

    fn woken(&self) -> MutexGuard<'_, bool> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken() = true;
        self.wakes.notify_one();
    }
}

/// The items of a stream, such as a session's events, each waited for, for as long as that
/// takes.
pub fn iter<S: Stream + Unpin>(stream: S) -> impl Iterator<Item = S::Item> {
    let mut stream = stream;
    std::iter::from_fn(move || stream.next().wait())
}
