//! The clients that have not said who they are, which have a limit of their own: however many
//! there are, they keep no place from those that have.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long a client may be silent whatever the others do. Many that connect at the same time all
/// have to be read from first.
const GRACE: Duration = Duration::from_secs(1);

/// How many there may be, and how many that are served.
#[derive(Debug)]
pub(crate) struct Handshakes {
    limit: usize,
    places: Arc<Semaphore>,
    pending: Mutex<Pending>,
    /// One of them is over.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    next: u64,
    /// The oldest first.
    all: BTreeMap<u64, Silent>,
}

/// A client that may be cut off; none in place of the sender if it has said who it is.
#[derive(Debug)]
struct Silent {
    since: Instant,
    cut: Option<oneshot::Sender<()>>,
}

impl Handshakes {
    /// So many at once, and so many places for those whose handshake is over.
    pub(crate) fn new(limit: usize, places: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            pending: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// Begins one, as soon as there is room. The client that has been silent longest makes some.
    pub(crate) async fn begin(self: &Arc<Self>) -> Handshake {
        loop {
            let ended = pin!(self.ended.notified());
            match self.try_begin() {
                Ok(handshake) => return handshake,
                Err(Some(at)) => drop(timeout_at(at, ended).await),
                Err(None) => ended.await,
            }
        }
    }

    /// # Errors
    ///
    /// When to try again, unless one ends before.
    fn try_begin(self: &Arc<Self>) -> Result<Handshake, Option<Instant>> {
        let mut pending = self.pending();
        if pending.all.len() >= self.limit {
            let silent = pending.all.iter().find(|(_, client)| client.cut.is_some());
            let (&oldest, client) = silent.ok_or(None)?;
            let at = client.since + GRACE;
            if at > Instant::now() {
                return Err(Some(at));
            }
            pending.cut(oldest);
        }
        let id = pending.next;
        pending.next += 1;
        let (cut, told) = oneshot::channel();
        let silent = Silent {
            since: Instant::now(),
            cut: Some(cut),
        };
        pending.all.insert(id, silent);
        Ok(Handshake {
            all: self.clone(),
            id,
            told,
            waits: None,
        })
    }

    /// Cuts off the client that has been silent longest, for what it takes.
    pub(crate) fn cut_oldest(&self) {
        let mut pending = self.pending();
        let oldest = pending.all.iter().find(|(_, client)| client.cut.is_some());
        if let Some((&id, _)) = oldest {
            pending.cut(id);
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn cut(&mut self, id: u64) {
        if let Some(cut) = self.all.remove(&id).and_then(|client| client.cut) {
            // It may have gone by itself at this moment.
            let _ = cut.send(());
        }
    }
}

/// One client's, until it is served or gone.
pub(crate) struct Handshake {
    all: Arc<Handshakes>,
    id: u64,
    told: oneshot::Receiver<()>,
    waits: Option<Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>>,
}

impl Handshake {
    /// Ready when the client has to go, to make room for another.
    pub(crate) fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.told).poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // The sender goes when the client has said who it is.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// The client has said who it is: its place, as soon as there is one. It is cut off no more.
    pub(crate) fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<OwnedSemaphorePermit> {
        let Self { all, id, waits, .. } = self;
        let waits = waits.get_or_insert_with(|| {
            if let Some(client) = all.pending().all.get_mut(id) {
                client.cut = None;
            }
            let places = all.places.clone();
            Box::pin(async move {
                let place = places.acquire_owned().await;
                place.expect("the semaphore is never closed")
            })
        });
        waits.as_mut().poll(context)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.pending().all.remove(&self.id);
        self.all.ended.notify_one();
    }
}
