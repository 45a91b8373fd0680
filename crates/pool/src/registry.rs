//! Pools by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use plushie_pool_core::{Error, ErrorKind};

use crate::pool::PoolShared;

type Pools = HashMap<String, Weak<PoolShared>>;

static POOLS: Mutex<Option<Pools>> = Mutex::new(None);

/// The pool of this name, if it is running.
pub(crate) fn find(name: &str) -> Option<Arc<PoolShared>> {
    // A temporary, so that the lock is free again should this be the last handle.
    let pool = pools().as_ref()?.get(name)?.upgrade()?;
    is_running(&pool).then_some(pool)
}

/// Makes a pool known.
///
/// # Errors
///
/// `Config` if another running pool has the name.
pub(crate) fn add(name: &str, pool: &Arc<PoolShared>) -> Result<(), Error> {
    let taken = {
        let mut pools = pools();
        let known = pools.get_or_insert_default();
        let other = known.get(name).and_then(Weak::upgrade);
        if !other.as_ref().is_some_and(is_running) {
            known.insert(name.to_owned(), Arc::downgrade(pool));
        }
        // Dropped after the lock: it may be the last handle, whose drop takes the lock.
        drop(pools);
        other.filter(is_running)
    };
    match taken {
        None => Ok(()),
        Some(_) => {
            let message = format!("there is a pool named {name:?} already");
            Err(Error::new(ErrorKind::Config, message)
                .with_hint("get it with SessionPool::named, or shut it down first"))
        }
    }
}

/// Forgets a pool whose last handle is gone; another may have its name by now.
pub(crate) fn remove(name: &str) {
    let mut pools = pools();
    if let Some(known) = pools.as_mut()
        && known.get(name).is_some_and(|pool| pool.strong_count() == 0)
    {
        known.remove(name);
    }
}

/// Whether it is of use. A pool of the process that this one was forked from is not.
fn is_running(pool: &Arc<PoolShared>) -> bool {
    pool.engine.home.is_here() && !pool.engine.is_closed()
}

fn pools() -> MutexGuard<'static, Option<Pools>> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}
