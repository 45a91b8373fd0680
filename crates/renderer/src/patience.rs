//! Waiting for a time, in a process that may be stopped meanwhile.
//!
//! While a process is stopped (Ctrl-Z, a debugger, a frozen container), its clock goes on, and so
//! do the renderers. What they said by then lies in their pipes; if the timer is looked at first,
//! all of it comes too late. So where a timer is late, what was waited for has some more time.

use std::time::{Duration, Instant};

/// How late a timer is at least in a process that was stopped. A busy machine may cause as much,
/// and does no harm.
const LATE: Duration = Duration::from_millis(100);

/// How much longer is waited then, at most.
const GRACE: Duration = Duration::from_secs(1);

/// How much longer to wait, since that should have ended at `deadline`; nothing if it is not late.
pub fn grace(deadline: Instant) -> Duration {
    let late = deadline.elapsed();
    if late < LATE {
        Duration::ZERO
    } else {
        late.min(GRACE)
    }
}

/// Waits until `deadline`, and a little longer if this process was stopped meanwhile: for no more
/// than a second. What was there to be read by then was noticed by those who wait for it.
///
/// # Panics
///
/// Outside a tokio runtime with time enabled.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline.into()).await;
    let grace = grace(deadline);
    if !grace.is_zero() {
        tracing::debug!(?grace, "a timer is late; what it ends has some more time");
        tokio::time::sleep(grace).await;
    }
    // The runtime looks for I/O before it goes on here, and has those go on who wait for it.
    tokio::task::yield_now().await;
}

/// As `tokio::time::timeout`, with [`sleep_until`]; `None` if the future was not done in time.
///
/// # Panics
///
/// Outside a tokio runtime with time enabled.
///
/// # Cancel safety
///
/// Cancel safe if the future is.
pub async fn timeout<F: Future>(at_most: Duration, future: F) -> Option<F::Output> {
    let deadline = Instant::now() + at_most;
    let mut future = std::pin::pin!(future);
    tokio::select! {
        biased;
        output = &mut future => Some(output),
        () = sleep_until(deadline) => None,
    }
}
