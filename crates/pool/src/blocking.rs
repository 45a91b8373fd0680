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

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures::Stream;
use futures::executor::{block_on, block_on_stream};

/// Waits for a future where there is no `await`.
pub trait Wait: Future + Sized {
    /// Blocks this thread until the future is done.
    ///
    /// # Panics
    ///
    /// If this thread is running an executor of the `futures` crate. In async code use
    /// `await`: this would keep the thread from everything else.
    fn wait(self) -> Self::Output {
        block_on(self)
    }

    /// Blocks this thread until the future is done, but no longer than `at_most`; then the
    /// future is dropped, which its documentation says what it means (`# Cancel safety`).
    fn wait_for(self, at_most: Duration) -> Option<Self::Output> {
        let deadline = Instant::now().checked_add(at_most);
        let unpark = Arc::new(Unpark {
            thread: thread::current(),
            woken: AtomicBool::new(false),
        });
        let waker = Waker::from(unpark.clone());
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(self);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            while !unpark.woken.swap(false, Ordering::Acquire) {
                match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                    None => thread::park(),
                    Some(Duration::ZERO) => return None,
                    Some(left) => thread::park_timeout(left),
                }
            }
        }
    }
}

impl<F: Future> Wait for F {}

/// Wakes a thread, and says so: what else the thread parks for may take the wake-up.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// The items of a stream, such as a session's events, each waited for, for as long as that
/// takes.
///
/// # Panics
///
/// As [`Wait::wait`], for each item.
pub fn iter<S: Stream + Unpin>(stream: S) -> impl Iterator<Item = S::Item> {
    block_on_stream(stream)
}
