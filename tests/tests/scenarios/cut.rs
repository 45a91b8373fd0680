//! Futures that are dropped before they are done, at each moment at which they may be.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures::task::{ArcWake, AtomicWaker, waker};
use tokio::task::{Unconstrained, unconstrained};

use crate::support::within;

/// When a future is dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// After so many polls.
    pub(crate) polls: usize,
    /// Not before it has asked for one more.
    pub(crate) woken: bool,
}

/// Plays the scene for each moment at which its future may be dropped, until it gets so many
/// polls that it is done. Returns how many.
pub(crate) async fn at_every_point(scene: impl AsyncFn(Cut) -> bool) -> usize {
    for polls in 0..10 {
        for woken in [false, true] {
            // Without a poll it knows nobody to wake.
            if (polls > 0 || !woken) && scene(Cut { polls, woken }).await {
                return polls;
            }
        }
    }
    panic!("it is never done");
}

impl Cut {
    /// Polls a future as often, then drops it. From its second poll on it has what it waits
    /// for, which `unblock` sees to.
    pub(crate) async fn short<F: Future>(
        self,
        future: F,
        mut unblock: impl FnMut(),
    ) -> Option<F::Output> {
        let mut future = Stepped::new(future);
        for poll in 1..=self.polls {
            if poll > 1 {
                unblock();
                within(future.woken()).await;
            }
            if let Poll::Ready(output) = future.poll() {
                return Some(output);
            }
        }
        if self.woken {
            unblock();
            within(future.woken()).await;
        }
        None
    }

    /// Whether what it waited for had happened when it was dropped.
    pub(crate) fn late(self) -> bool {
        self.polls > 1 || self.woken
    }
}

/// A future that is polled when it is told to, and knows whether it asked for that.
struct Stepped<F> {
    /// Not held back by the runtime, only by what it waits for.
    future: Unconstrained<Pin<Box<F>>>,
    wish: Arc<Wish>,
}

#[derive(Default)]
struct Wish {
    uttered: AtomicBool,
    listener: AtomicWaker,
}

impl ArcWake for Wish {
    fn wake_by_ref(wish: &Arc<Self>) {
        wish.uttered.store(true, Ordering::SeqCst);
        wish.listener.wake();
    }
}

impl<F: Future> Stepped<F> {
    fn new(future: F) -> Self {
        Self {
            future: unconstrained(Box::pin(future)),
            wish: Arc::default(),
        }
    }

    /// Polls it, and again while it only let others have a turn.
    fn poll(&mut self) -> Poll<F::Output> {
        let waker: Waker = waker(self.wish.clone());
        loop {
            self.wish.uttered.store(false, Ordering::SeqCst);
            let polled = Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker));
            if polled.is_ready() || !self.wish.uttered.load(Ordering::SeqCst) {
                return polled;
            }
        }
    }

    async fn woken(&self) {
        std::future::poll_fn(|context| {
            self.wish.listener.register(context.waker());
            match self.wish.uttered.load(Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}
