//! A pool for each mode that is asked for.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared, join_all};
use plushie_pool_core::{Error, ErrorKind};

use crate::builder::Builder;
use crate::choice::RendererMode;
use crate::engine::closed;
use crate::pool::SessionPool;

/// Pools of several modes, of which all but the first start when they are first asked for.
///
/// A cheap handle: clones share the pools, which end with [`shutdown`](Self::shutdown), or when
/// the last handle and the last users of the pools themselves are dropped.
///
/// A [`SessionPool`] turns into a set of which it is the only pool.
///
/// ```no_run
/// use plushie_pool::{PoolSet, RendererMode, SessionPool};
///
/// # async fn both() -> Result<(), plushie_pool::Error> {
/// let modes = [RendererMode::Mock, RendererMode::Headless];
/// let pools = PoolSet::start(RendererMode::Mock, modes, |_| Ok(SessionPool::builder())).await?;
/// let draws = pools.pool("headless").await?.register().await?;
/// # drop(draws);
/// pools.shutdown().await
/// # }
/// ```
#[derive(Clone)]
pub struct PoolSet {
    default: SessionPool,
    others: Option<Arc<Others>>,
}

/// The pools that start when they are first asked for.
struct Others {
    default: RendererMode,
    modes: Vec<RendererMode>,
    describe: Box<dyn Fn(RendererMode) -> Result<Builder, Error> + Send + Sync>,
    started: Mutex<Started>,
}

#[derive(Default)]
struct Started {
    closed: bool,
    pools: HashMap<RendererMode, Entry>,
}

/// A pool that runs or starts.
struct Entry {
    /// None until it has been built.
    pool: Option<SessionPool>,
    outcome: Outcome,
}

/// What starting it comes to, for all who ask.
type Outcome = Shared<BoxFuture<'static, Result<SessionPool, Error>>>;

impl PoolSet {
    /// Starts the pool of the `default` mode, and describes those of the other `modes`:
    /// `describe` returns the builder of the pool that its argument names, and may be called
    /// again for the same mode, on any thread.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if `default` is not one of `modes`; otherwise those of
    /// `describe` and of [`Builder::start`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the pool.
    pub async fn start(
        default: RendererMode,
        modes: impl IntoIterator<Item = RendererMode>,
        describe: impl Fn(RendererMode) -> Result<Builder, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let mut unique = Vec::new();
        for mode in modes {
            if !unique.contains(&mode) {
                unique.push(mode);
            }
        }
        let modes = unique;
        if !modes.contains(&default) {
            let message = format!("the default mode {default} is not one of those that are served");
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint(format!("choose one of {}", list(&modes))));
        }
        let pool = describe(default)?.mode(default).start().await?;
        let others = Others {
            default,
            modes,
            describe: Box::new(describe),
            started: Mutex::default(),
        };
        Ok(Self {
            default: pool,
            others: Some(Arc::new(others)),
        })
    }

    /// The pool for those who ask for no mode.
    pub fn default_pool(&self) -> &SessionPool {
        &self.default
    }

    /// The names of the modes that can be asked for.
    pub fn modes(&self) -> Vec<String> {
        match &self.others {
            Some(others) => others.modes.iter().map(ToString::to_string).collect(),
            None => vec![self.default.status().mode],
        }
    }

    /// The pool of this mode, by its name, such as `headless`. Starts it if it does not run;
    /// all who ask meanwhile get the same pool.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) with the modes that can be asked for, if this is none of
    /// them; [`PoolClosed`](ErrorKind::PoolClosed) after [`shutdown`](Self::shutdown);
    /// otherwise those of [`Builder::start`], for all who have asked so far. The next call
    /// tries again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a pool that starts goes on to start.
    pub async fn pool(&self, mode: &str) -> Result<SessionPool, Error> {
        if self.default.status().mode == mode {
            return Ok(self.default.clone());
        }
        let wanted = self.others.as_ref().and_then(|others| {
            let wanted = mode.parse().ok()?;
            others.modes.contains(&wanted).then_some((others, wanted))
        });
        let Some((others, wanted)) = wanted else {
            return Err(self.refusal(mode));
        };
        let outcome = others.clone().begin(wanted)?;
        outcome.await
    }

    fn refusal(&self, mode: &str) -> Error {
        let modes = self.modes().join(", ");
        Error::new(
            ErrorKind::Config,
            format!("no pool in mode {mode:?} is served here, only in {modes}"),
        )
        .with_hint(
            "ask for one of those, or have this mode served too, as by --modes of plushie-pool",
        )
    }

    /// The pools that run or start, that of the default mode first.
    pub fn running(&self) -> Vec<SessionPool> {
        let mut pools = vec![self.default.clone()];
        if let Some(others) = &self.others {
            let started = others.lock();
            let others = RendererMode::ALL.iter().filter_map(|mode| {
                let pool = started.pools.get(mode)?.pool.as_ref()?;
                Some(pool.clone())
            });
            pools.extend(others);
        }
        pools
    }

    /// Ends all pools for all their users, and starts no more: see [`SessionPool::shutdown`].
    ///
    /// # Errors
    ///
    /// As [`SessionPool::shutdown`].
    ///
    /// # Cancel safety
    ///
    /// Once polled, the pools end whether the future is polled further or not.
    pub async fn shutdown(&self) -> Result<(), Error> {
        if let Some(others) = &self.others {
            others.lock().closed = true;
        }
        let pools = self.running();
        let ended = join_all(pools.iter().map(SessionPool::shutdown)).await;
        ended.into_iter().collect()
    }
}

impl Others {
    fn lock(&self) -> MutexGuard<'_, Started> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool of a mode other than the default: the one there is, or a new one.
    fn begin(self: Arc<Self>, mode: RendererMode) -> Result<Outcome, Error> {
        debug_assert_ne!(mode, self.default);
        let mut started = self.lock();
        if started.closed {
            return Err(closed());
        }
        if let Some(entry) = started.pools.get(&mode)
            && !entry.is_over()
        {
            return Ok(entry.outcome.clone());
        }
        let (tell, told) = oneshot::channel();
        let others = self.clone();
        // On a thread of its own: looking for a renderer and a display may block, and the pool
        // is to start even if those who asked for it leave.
        std::thread::Builder::new()
            .name("plushie-pool-start".to_owned())
            .spawn(move || {
                // All who have asked may have left.
                let _ = tell.send(others.start(mode));
            })
            .map_err(|error| {
                let message = format!("a thread to start the pool cannot be started: {error}");
                Error::new(ErrorKind::Config, message)
            })?;
        let outcome = async {
            told.await.unwrap_or_else(|_| {
                let message = "the pool's description panicked";
                Err(Error::new(ErrorKind::Config, message))
            })
        };
        let outcome = outcome.boxed().shared();
        let entry = Entry {
            pool: None,
            outcome: outcome.clone(),
        };
        started.pools.insert(mode, entry);
        Ok(outcome)
    }

    /// Blocks until the pool is of use.
    fn start(&self, mode: RendererMode) -> Result<SessionPool, Error> {
        let started = self.build(mode).and_then(|pool| {
            // The pool's own thread drives what this waits for.
            let io = pool.engine().io();
            io.block_on(pool.begin())?;
            Ok(pool)
        });
        if started.is_err() {
            // For the next who asks to try again.
            self.lock().pools.remove(&mode);
        }
        started
    }

    fn build(&self, mode: RendererMode) -> Result<SessionPool, Error> {
        let pool = (self.describe)(mode)?.mode(mode).build()?;
        let mut started = self.lock();
        if started.closed {
            return Err(closed());
        }
        if let Some(entry) = started.pools.get_mut(&mode) {
            entry.pool = Some(pool.clone());
        }
        Ok(pool)
    }
}

impl Entry {
    /// It ran, and was shut down or will open no more sessions.
    fn is_over(&self) -> bool {
        let started = self.outcome.peek();
        started.is_some_and(|started| match started {
            Ok(pool) => pool.engine().is_spent(),
            Err(_) => true,
        })
    }
}

impl From<SessionPool> for PoolSet {
    fn from(pool: SessionPool) -> Self {
        Self {
            default: pool,
            others: None,
        }
    }
}

impl fmt::Debug for PoolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolSet")
            .field("default", &self.default)
            .field("modes", &self.modes())
            .finish_non_exhaustive()
    }
}

fn list(modes: &[RendererMode]) -> String {
    let names: Vec<_> = modes.iter().map(ToString::to_string).collect();
    names.join(", ")
}
