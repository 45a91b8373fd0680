//! The thread that does a pool's I/O.

use std::sync::Arc;
use std::sync::mpsc;

use plushie_pool_core::{Error, ErrorKind};
use tokio::runtime::{Builder, Handle};

use crate::engine::Engine;

/// Starts the thread, and on it the engine that `make` makes.
///
/// A pool has a thread of its own, so that it lives on when the runtime of the test that made
/// it ends. Renderers are forked there, because the kernel ends them with the thread that
/// forked them, and this one lives as long as the pool.
pub(crate) fn start(make: impl FnOnce(Handle) -> Engine) -> Result<Arc<Engine>, Error> {
    let (handles, handle) = mpsc::channel();
    let (engines, engine) = mpsc::channel::<Arc<Engine>>();
    let run = move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = handles.send(Err(error));
                return;
            }
        };
        let _ = handles.send(Ok(runtime.handle().clone()));
        if let Ok(engine) = engine.recv() {
            runtime.block_on(engine.run());
        }
    };
    std::thread::Builder::new()
        .name("plushie-pool".to_owned())
        .spawn(run)
        .map_err(|error| failed(&error))?;
    let handle = match handle.recv() {
        Ok(handle) => handle.map_err(|error| failed(&error))?,
        Err(error) => return Err(failed(&error)),
    };
    let engine = Arc::new(make(handle));
    engines
        .send(engine.clone())
        .map_err(|error| failed(&error))?;
    Ok(engine)
}

fn failed(error: &dyn std::error::Error) -> Error {
    let message = format!("the pool's I/O thread cannot be started: {error}");
    Error::new(ErrorKind::Config, message)
}
