//! What a renderer's handles and its tasks share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use plushie_pool_core::link::{Effects, Link};
use tokio::sync::{Notify, watch};

use crate::config::RendererConfig;
use crate::home::Home;
use crate::input::Source;
use crate::output::{Output, Written};
use crate::renderer::{End, Identity, Observer};
use crate::turns::{Turn, Turns};
use crate::wait::Completion;

pub(crate) struct Shared {
    link: Mutex<Link<Completion>>,
    output: Mutex<Output>,
    source: Mutex<Source>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) identity: Identity,
    /// The process whose threads serve it.
    pub(crate) home: Home,
    pub(crate) observer: Arc<dyn Observer>,
    /// Something can be written again.
    pub(crate) writable: Arc<Notify>,
    /// The earliest deadline moved forward.
    pub(crate) rearm: Notify,
    /// The renderer closed its input.
    pub(crate) deaf: Notify,
    /// The renderer is to end.
    pub(crate) stop: Notify,
    pub(crate) end: watch::Sender<Option<End>>,
}

impl Shared {
    pub(crate) fn new(
        config: RendererConfig,
        identity: Identity,
        observer: Arc<dyn Observer>,
        stream: Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
        source: Source,
    ) -> Self {
        let writable = Arc::new(Notify::new());
        let lend = config.lend && source.is_descriptor();
        let turns = Turns::new(lend, writable.clone());
        Self {
            link: Mutex::new(Link::new(config.link)),
            output: Mutex::new(Output::new(stream, writable.clone())),
            source: Mutex::new(source),
            turns: Arc::new(turns),
            identity,
            home: Home::here(),
            observer,
            writable,
            rearm: Notify::new(),
            deaf: Notify::new(),
            stop: Notify::new(),
            end: watch::Sender::new(None),
        }
    }

    /// The link. A panic under the lock is a defect of the pool; the others go on as well as
    /// they can.
    pub(crate) fn link(&self) -> MutexGuard<'_, Link<Completion>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the renderer sends.
    pub(crate) fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is to be read any more.
    pub(crate) fn close_input(&self) {
        let mut source = self.source();
        source.reader = None;
        self.turns.take_back();
        #[cfg(unix)]
        if let Some(lent) = source.lent.take() {
            lent.cancel();
        }
    }

    /// Takes this turn to read. False if the I/O thread is to.
    pub(crate) fn takes(&self, turn: Turn) -> bool {
        if turn == Turn::Writes && self.link().has_unsent() {
            self.resume();
        }
        #[cfg(unix)]
        if matches!(turn, Turn::Reads | Turn::Writes) {
            let read = self.read_here();
            if !read {
                self.turns.recall();
            }
            return read;
        }
        false
    }

    /// Does something to the link, writes what that gave to write, and carries out the rest.
    pub(crate) fn with_link<T>(
        &self,
        act: impl FnOnce(&mut Link<Completion>, &mut Effects<Completion>) -> T,
    ) -> T {
        let mut carry = CarryOut::new(self);
        let result = {
            let mut link = self.link();
            let result = act(&mut link, &mut carry.effects);
            carry.unsent = link.has_unsent();
            result
        };
        carry.flush();
        result
    }

    /// Writes what there is to write, unless somebody else is at it, who will.
    fn flush(&self, effects: &mut Effects<Completion>) {
        // Whoever holds the output looks for more after letting go of it; so what is unsent
        // now is written by them or by us.
        loop {
            let mut output = match self.output.try_lock() {
                Ok(output) => output,
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            };
            let mut bytes = 0;
            self.link().transmit(output.frames());
            let written = output.write(&mut bytes);
            drop(output);
            let mut link = self.link();
            link.transmitted(bytes, effects);
            if written != Written::All || !link.has_unsent() {
                if written == Written::Closed {
                    self.deaf.notify_one();
                }
                return;
            }
        }
    }

    /// Goes on writing after the renderer had no room.
    pub(crate) fn resume(&self) {
        self.flush(&mut CarryOut::new(self).effects);
    }

    /// Lets the renderer see the end of its input, once what it was sent is written.
    pub(crate) fn close_output(&self) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        self.link().transmit(output.frames());
        output.write(&mut 0);
        output.close();
    }

    fn carry_out(&self, effects: Effects<Completion>) {
        // Places first: who is told that a session ended may count on its place.
        if effects.suspect {
            self.observer.suspect();
        }
        if !effects.released.is_empty() {
            self.observer.released(&effects.released);
        }
        for (completion, result) in effects.finished {
            completion.finish(result);
        }
        for waker in effects.wakers {
            waker.wake();
        }
        if effects.rearm {
            self.rearm.notify_one();
        }
        if effects.exiting {
            self.stop.notify_one();
        }
    }
}

/// Carries effects out when dropped: also when a wire format of the user's panics halfway,
/// what was decided by then must happen.
pub(crate) struct CarryOut<'a> {
    shared: &'a Shared,
    pub(crate) effects: Effects<Completion>,
    /// Something is to be written, too.
    pub(crate) unsent: bool,
}

impl<'a> CarryOut<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            effects: Effects::default(),
            unsent: false,
        }
    }

    /// Writes what is to be written, before the rest is carried out.
    pub(crate) fn flush(mut self) {
        if self.unsent {
            self.shared.flush(&mut self.effects);
        }
    }
}

impl Drop for CarryOut<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Others count on what is unsent being seen to.
            self.shared.writable.notify_one();
        }
        self.shared.carry_out(std::mem::take(&mut self.effects));
    }
}
