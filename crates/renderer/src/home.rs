//! Which process something belongs to, where processes are forked.
//!
//! The child of a fork has a copy of every pool, but not the threads that serve them; and what it
//! writes goes into the pipes of its parent. So it must neither wait for a pool nor write to one.

use std::sync::atomic::{AtomicU32, Ordering};

use plushie_pool_core::{Error, ErrorKind};

/// How many forks led here from the process that first asked.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process that something was made in. Costs no system call to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home(u32);

impl Home {
    /// This process.
    pub fn here() -> Self {
        #[cfg(unix)]
        count_forks();
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether it is this process.
    pub fn is_here(self) -> bool {
        FORKS.load(Ordering::Relaxed) == self.0
    }

    /// As [`is_here`](Self::is_here), as a result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolClosed`] in a process that was forked off.
    pub fn check(self) -> Result<(), Error> {
        if self.is_here() {
            return Ok(());
        }
        let message = "the pool belongs to the process that this one was forked from, and so do \
                       its threads";
        Err(Error::new(ErrorKind::PoolClosed, message)
            .with_hint("start a pool after the fork, or test in threads or programs of their own"))
    }
}

#[cfg(unix)]
fn count_forks() {
    use std::sync::Once;

    extern "C" fn forked() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    static COUNTED: Once = Once::new();
    COUNTED.call_once(|| {
        // SAFETY: the handler is called in the child of a fork, where little is allowed; it adds
        // to an atomic integer.
        let failed = unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        if failed != 0 {
            tracing::warn!("there is no memory to notice forks: pools must not be used after one");
        }
    });
}
