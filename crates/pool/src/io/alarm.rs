//! Waking up at a time, in code that no runtime needs to run.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A timer on the pool's own thread.
#[derive(Debug)]
pub(super) struct Alarm {
    io: Handle,
    armed: Option<(Instant, JoinHandle<()>)>,
}

impl Alarm {
    pub(super) fn new(io: Handle) -> Self {
        Self { io, armed: None }
    }

    /// Has the task woken at `at` or earlier; ready once that has come. The same time may be
    /// asked for again and again, a later one costs nothing.
    pub(super) fn poll(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            if self.armed.as_ref().is_none_or(|(armed, _)| at < *armed) {
                self.disarm();
                let wake = async move { tokio::time::sleep_until(at.into()).await };
                self.armed = Some((at, self.io.spawn(wake)));
            }
            let Some((_, task)) = &mut self.armed else {
                return Poll::Pending;
            };
            match Pin::new(task).poll(context) {
                Poll::Pending => return Poll::Pending,
                // Early, because it was set for less; or the pool's thread is gone, and with it
                // all that could be waited for.
                Poll::Ready(rung) => {
                    self.armed = None;
                    if rung.is_err() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn disarm(&mut self) {
        if let Some((_, task)) = self.armed.take() {
            task.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.disarm();
    }
}
