//! Renderers of one session each, kept ready for sessions to come.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use plushie_pool_core::{Error, probe};
use tokio::sync::Notify;

use crate::engine::{Engine, Slot};
use crate::fleet::Launched;
use crate::session::Session;

/// What a pool knows of its spares besides what the fleet does.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    /// There may be fewer than there should be.
    wanted: Notify,
    /// Launches that failed and spares that died since one last started.
    failures: AtomicU32,
}

/// How long a spare may take to answer before it is taken for one that will not: much longer
/// than any machine needs, since one that is given up is a window's start lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after a failure a spare is tried again; doubled with each, up to the second.
const BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// How long after a spare was handed over the next one is started: to start a process keeps the
/// I/O thread busy for what is half of a hand-over's time, or all of it.
const LULL: Duration = Duration::from_millis(10);

impl Spares {
    /// There may be room for one.
    pub(crate) fn look(&self) {
        self.wanted.notify_one();
    }

    pub(crate) fn started(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.look();
    }

    fn pause(&self) -> Duration {
        match self.failures.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            failures => BACKOFF
                .saturating_mul(2_u32.saturating_pow(failures - 1))
                .min(LONGEST_BACKOFF),
        }
    }
}

impl Engine {
    /// Replaces spares that were used or died, for as long as the pool lives.
    pub(crate) async fn keep_spares(self: &Arc<Self>) {
        if self.config.warm == 0 {
            return std::future::pending().await;
        }
        loop {
            self.spares.wanted.notified().await;
            tokio::time::sleep(self.spares.pause().max(LULL)).await;
            self.refill();
        }
    }

    /// Launches the spares that are missing and have room.
    pub(crate) fn refill(self: &Arc<Self>) -> Vec<Launched> {
        let launches: Vec<_> = {
            // Both at once: whoever takes a place now either counts here, or finds these.
            let slots = self.slots();
            let mut fleet = self.fleet();
            let missing = fleet.missing_spares(slots.room());
            let now = Instant::now();
            // None if the pool was closed.
            let launches = (0..missing).map_while(|_| fleet.launch(now, now).ok());
            launches.collect()
        };
        let launch = |launch: crate::fleet::Launch| {
            let launched = launch.tell.subscribe();
            self.start_launch(launch);
            launched
        };
        launches.into_iter().map(launch).collect()
    }
}

/// Whether the renderer of a session that was a spare still answers.
pub(crate) async fn answers(session: &Session) -> bool {
    let answer = session
        .request(&probe(), "query_response")
        .timeout(PATIENCE);
    match answer.await {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, "a spare was of no use");
            false
        }
    }
}

/// Gives up a session whose renderer does not answer, for a place in which to open another.
pub(crate) async fn replace(session: Session, engine: &Arc<Engine>) -> Result<Slot, Error> {
    let mut slot = pin!(engine.acquire_first(engine.config.acquire_timeout));
    // First in the queue before its place is given back, which is when its process is gone.
    let now = std::future::poll_fn(|context| Poll::Ready(slot.as_mut().poll(context))).await;
    drop(session);
    match now {
        Poll::Ready(slot) => slot,
        Poll::Pending => slot.await,
    }
}
