//! The same API for code without async, such as plain `#[test]`s.
//!
//! The pool's futures need no runtime, so all it takes is to [`wait`](Wait::wait) for them:
//!
//! ```no_run
//! use plushie_pool::SessionPool;
//! use plushie_pool::blocking::{Wait, iter};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), plushie_pool::Error> {
//! let pool = SessionPool::builder().start().wait()?;
//! let session = pool.register().wait()?;
//! let query = json!({"type": "query", "target": "tree", "selector": {}});
//! let reply = session.request(&query, "query_response").wait()?;
//! for event in iter(session.events()).take(3) {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```

use std::future::Future;

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
}

impl<F: Future> Wait for F {}

/// The items of a stream, such as a session's events, each waited for.
///
/// # Panics
///
/// As [`Wait::wait`], for each item.
pub fn iter<S: Stream + Unpin>(stream: S) -> impl Iterator<Item = S::Item> {
    block_on_stream(stream)
}
