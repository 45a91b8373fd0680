//! The threads that serve clients.
//!
//! Each has a runtime of its own, and a client stays on the thread that it was given to: one task
//! serves it, so there is nothing to steal. A runtime of several threads would panic, and then
//! wait for itself, when the system has no thread to give.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// A place to run clients: a runtime, on a thread.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) handle: Handle,
    /// Each client that runs there has one.
    clients: Arc<()>,
}

/// Shows that a client is there.
pub(crate) type Presence = Arc<()>;

impl Place {
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            handle,
            clients: Arc::new(()),
        }
    }

    /// The one with the fewest clients, and what to keep while there is one more.
    pub(crate) fn least_used(places: &[Self]) -> Option<(&Self, Presence)> {
        let place = places
            .iter()
            .min_by_key(|place| Arc::strong_count(&place.clients))?;
        Some((place, place.clients.clone()))
    }
}

/// A thread that runs what is spawned on its runtime until this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) handle: Handle,
    _end: oneshot::Sender<()>,
}

impl Worker {
    /// # Errors
    ///
    /// If the system has no thread to give, or no runtime can be made.
    pub(crate) fn start() -> io::Result<Self> {
        let (made, handle) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let work = move || match runtime() {
            Ok(runtime) => {
                // Waited for.
                let _ = made.send(Ok(runtime.handle().clone()));
                // Nothing is sent: it ends with the sender.
                let _ = runtime.block_on(ended);
            }
            Err(error) => drop(made.send(Err(error))),
        };
        thread::Builder::new().name(NAME.to_owned()).spawn(work)?;
        let handle = handle.recv().map_err(io::Error::other)??;
        Ok(Self { handle, _end: end })
    }
}

/// Of all threads.
pub(crate) const NAME: &str = "plushie-server";

/// A runtime for one thread.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
