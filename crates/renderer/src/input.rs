//! Reading from a renderer: by the I/O thread, or by whoever waits for an answer.
//!
//! ```text
//!             callers wait one at a time, and are answered fast
//!   Pumped --------------------------------------------------------> Lent
//!     ^                                                               |
//!     +---------------------------------------------------------------+
//!       two wait at once, one waits long or for an event, or nobody calls
//! ```
//!
//! A reply that the I/O thread reads costs two changes of thread: to it, and to the caller. For
//! somebody who asks and waits, asks and waits, that is most of what the pool costs. So while
//! that is all that happens the I/O thread lends the renderer's output, and the caller reads
//! its reply itself, as it would without a pool. Where the output is no descriptor, it is
//! never lent.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use plushie_pool_core::{Error, ErrorKind, FrameDecoder};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use crate::handshake::READ;
use crate::reader::Reader;
use crate::renderer::{CarryOut, Shared};

/// How many more must have waited alone than did not before the output is lent.
const TRUST: u32 = 16;

/// How much of that can be saved up for a caller who waits long.
const MOST_TRUST: u32 = 4 * TRUST;

/// How fast a reply must be for the caller to wait for it on a thread that may be an executor's.
const FAST: Duration = Duration::from_micros(200);

/// After how many replies in a row that were read here others have their turn: an executor's
/// other tasks, and those who would wait at the same time.
const TURN: u32 = 32;

/// How often the I/O thread looks who reads. A caller, on a thread that may be an executor's,
/// is left waiting for two of these at most; and what nobody waits for, such as an event, lies
/// in the pipe for that long.
///
/// A caller does not wait by a clock of its own: to set and clear a timer for each request
/// costs more than the request.
const LOOK: Duration = Duration::from_millis(2);

/// A renderer's output while it is read.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) buffer: BytesMut,
    pub(crate) decoder: Box<dyn FrameDecoder>,
}

/// What a renderer sends, and who is to read it.
#[derive(Debug)]
pub(crate) struct Intake {
    source: Mutex<Source>,
    may_lend: bool,
    /// Callers read, and the I/O thread does not.
    lent: AtomicBool,
    /// How many wait for something the renderer is to say.
    waiting: Arc<AtomicUsize>,
    /// By how many more have waited alone than did not, or waited long.
    trust: AtomicU32,
    recall: Notify,
    /// How often a caller has begun or ended to wait for the lent output.
    turns: AtomicU32,
}

#[derive(Debug)]
struct Source {
    /// `None` once nothing is to be read any more.
    reader: Option<Reader>,
    #[cfg(unix)]
    lent: Option<lent::Lent>,
    input: Input,
    /// What came with the hello was looked at.
    begun: bool,
    payloads: Vec<Bytes>,
    /// How the output ended, which is for the I/O thread to see to.
    end: Option<Result<(), Error>>,
}

/// Somebody waits for something the renderer is to say.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Intake {
    pub(crate) fn new(reader: Reader, input: Input, may_lend: bool) -> Self {
        Self {
            may_lend,
            source: Mutex::new(Source {
                reader: Some(reader),
                #[cfg(unix)]
                lent: None,
                input,
                begun: false,
                payloads: Vec::new(),
                end: None,
            }),
            lent: AtomicBool::new(false),
            waiting: Arc::default(),
            trust: AtomicU32::new(0),
            recall: Notify::new(),
            turns: AtomicU32::new(0),
        }
    }

    /// Counts somebody who waits.
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self.waiting.clone())
    }

    /// Whether several wait at once.
    fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 1
    }

    /// Whether others may be about to speak, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_busy() || self.trust.load(Ordering::Relaxed) < TRUST
    }

    /// Somebody waits for something that may take long: the I/O thread is to read.
    pub(crate) fn recall(&self) {
        let trust = self.trust.load(Ordering::Relaxed);
        self.trust
            .store(trust.saturating_sub(TRUST), Ordering::Relaxed);
        if self.lent.load(Ordering::SeqCst) {
            self.recall.notify_one();
        }
    }

    /// Nothing is to be read any more.
    pub(crate) fn close(&self) {
        let mut source = self.source();
        source.reader = None;
        self.lent.store(false, Ordering::SeqCst);
        #[cfg(unix)]
        if let Some(lent) = source.lent.take() {
            lent.cancel();
        }
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Reads, on the I/O thread, until the output ends.
    pub(crate) async fn pump(&self) -> Result<(), Error> {
        loop {
            if let Some(end) = poll_fn(|context| self.poll_input(context)).await {
                return end;
            }
            #[cfg(unix)]
            self.lent().await;
        }
    }

    /// Reads once, and routes what there is. `Some` is the end.
    fn poll_input(&self, context: &mut Context<'_>) -> Poll<Option<Result<(), Error>>> {
        let mut carry = CarryOut::new(self);
        let mut source = self.intake.source();
        // First what came with the hello; and what a caller found is known already.
        if std::mem::replace(&mut source.begun, true) && source.end.is_none() {
            let Source { reader, input, .. } = &mut *source;
            let Some(reader) = reader else {
                return Poll::Ready(Some(Ok(())));
            };
            input.buffer.reserve(READ);
            let read = ready!(pin!(reader.read_buf(&mut input.buffer)).poll(context));
            source.note(read);
        }
        self.route(&mut source, &mut carry);
        let end = source.end.take();
        // Before anybody is woken, who would ask again at once.
        #[cfg(unix)]
        if end.is_none() {
            self.lend(&mut source, &carry);
        }
        drop(source);
        carry.flush();
        Poll::Ready(end)
    }

    /// Hands what was read to the sessions, in order.
    fn route(&self, source: &mut Source, carry: &mut CarryOut<'_>) {
        source.cut();
        if !source.payloads.is_empty() {
            let now = Instant::now();
            let mut link = self.link();
            for payload in source.payloads.drain(..) {
                link.receive(payload, now, &mut carry.effects);
            }
            carry.unsent = link.has_unsent();
        }
    }
}

impl Source {
    /// Cuts what was read into payloads.
    fn cut(&mut self) {
        let Input { buffer, decoder } = &mut self.input;
        loop {
            match decoder.decode(buffer) {
                Ok(Some(payload)) => self.payloads.push(payload),
                Ok(None) => return,
                Err(error) => {
                    self.end.get_or_insert(Err(error));
                    return;
                }
            }
        }
    }

    /// Notes the end, if that is what a read came to.
    fn note(&mut self, read: io::Result<usize>) {
        let gone = |message| Some(Err(Error::new(ErrorKind::RendererExited, message)));
        self.end = match read {
            Ok(0) if self.input.buffer.is_empty() => Some(Ok(())),
            Ok(0) => gone(format!(
                "the renderer's output ended inside a message, {} bytes into it",
                self.input.buffer.len()
            )),
            Ok(_) => None,
            Err(error) => gone(format!("the renderer's output cannot be read: {error}")),
        };
    }
}

/// What came of reading where the answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadHere {
    /// The I/O thread reads.
    NotMine,
    /// Others are to have a turn before.
    OthersFirst,
    /// Something was read.
    Read,
    /// Nothing was, for as long as may be waited; or the I/O thread came first.
    Silence,
}

#[cfg(not(unix))]
impl Shared {
    pub(crate) fn read_here(&self) -> ReadHere {
        ReadHere::NotMine
    }
}

#[cfg(unix)]
mod lent {
    //! The part that needs descriptors.

    use std::io::{PipeReader, PipeWriter, Write, pipe};
    use std::os::fd::OwnedFd;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    use super::*;

    /// What a caller needs to wait for the renderer, and to be told that it is not to any more.
    #[derive(Debug, Clone)]
    pub(super) struct Lent {
        output: Arc<OwnedFd>,
        cancelled: Arc<PipeReader>,
        cancel: Arc<PipeWriter>,
    }

    impl Lent {
        fn new(output: Arc<OwnedFd>) -> io::Result<Self> {
            let (cancelled, cancel) = pipe()?;
            Ok(Self {
                output,
                cancelled: Arc::new(cancelled),
                cancel: Arc::new(cancel),
            })
        }

        /// Waits until there is something to read. False if it was cancelled.
        fn wait(&self) -> bool {
            let mut either = [
                PollFd::new(&self.output, PollFlags::IN),
                PollFd::new(&self.cancelled, PollFlags::IN),
            ];
            matches!(poll(&mut either, None), Ok(_) | Err(Errno::INTR))
                && either[1].revents().is_empty()
        }

        /// Ends the wait of whoever is in it.
        pub(super) fn cancel(&self) {
            if let Err(error) = (&*self.cancel).write(&[0]) {
                tracing::warn!(%error, "a reader of the renderer's output was not called back");
            }
        }
    }

    impl Shared {
        /// Leaves reading to the callers, if whoever is about to be woken is all who wait.
        pub(super) fn lend(&self, source: &mut Source, carry: &CarryOut<'_>) {
            let intake = &self.intake;
            let woken = carry.effects.finished.len();
            let nobody_else = || intake.waiting.load(Ordering::SeqCst) == woken;
            let earned = intake.may_lend && intake.trust.load(Ordering::Relaxed) >= TRUST;
            if !earned || !nobody_else() {
                return;
            }
            // In this order: whoever begins to wait now either is seen here or sees that it is
            // for him to read.
            intake.lent.store(true, Ordering::SeqCst);
            let alone = nobody_else() && !self.link().has_listeners();
            let output = match &mut source.reader {
                Some(reader) if alone => reader.detach(),
                _ => None,
            };
            source.lent = output.and_then(|output| match Lent::new(output) {
                Ok(lent) => Some(lent),
                Err(error) => {
                    tracing::debug!(%error, "the renderer's output cannot be lent");
                    None
                }
            });
            if source.lent.is_none() {
                intake.lent.store(false, Ordering::SeqCst);
            }
        }

        /// Waits until the output, if it is lent, is to be read by the I/O thread again.
        pub(super) async fn lent(&self) {
            let intake = &self.intake;
            let Some(lent) = intake.source().lent.clone() else {
                return;
            };
            // Those who waited for the I/O thread to read do not any more.
            let mut known = intake.turns.load(Ordering::SeqCst).wrapping_sub(1);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = intake.recall.notified() => break,
                }
                let turns = intake.turns.load(Ordering::SeqCst);
                if turns == known {
                    break;
                }
                known = turns;
            }
            {
                let mut source = intake.source();
                intake.lent.store(false, Ordering::SeqCst);
                source.lent = None;
            }
            // Whoever is in it, and whoever still has to find out that it is over.
            lent.cancel();
        }

        /// Waits for the renderer, if its output is lent and nobody else waits, and takes in
        /// what it says.
        pub(crate) fn read_here(&self) -> ReadHere {
            let intake = &self.intake;
            if intake.is_busy() {
                intake.recall();
                return ReadHere::NotMine;
            }
            let trust = intake.trust.load(Ordering::Relaxed);
            intake
                .trust
                .store((trust + 1).min(MOST_TRUST), Ordering::Relaxed);
            if !intake.lent.load(Ordering::SeqCst) {
                return ReadHere::NotMine;
            }
            let Some(lent) = intake.source().lent.clone() else {
                return ReadHere::NotMine;
            };
            let turn = intake.turns.fetch_add(1, Ordering::SeqCst);
            if turn / 2 % TURN == TURN - 1 {
                intake.turns.fetch_add(1, Ordering::SeqCst);
                return ReadHere::OthersFirst;
            }
            let since = Instant::now();
            let ready = lent.wait();
            intake.turns.fetch_add(1, Ordering::SeqCst);
            if since.elapsed() > FAST {
                // Others on this thread should not wait for that.
                intake.recall();
            }
            if ready && self.read_lent(&lent) {
                ReadHere::Read
            } else {
                ReadHere::Silence
            }
        }

        /// Reads once and routes what there is. False if the I/O thread has to see to it.
        fn read_lent(&self, lent: &Lent) -> bool {
            let mut carry = CarryOut::new(self);
            let mut source = self.intake.source();
            if source.lent.is_none() || source.end.is_some() {
                return false;
            }
            // A wire format of the user's may panic. That is the renderer's end, and not this
            // caller's affair.
            let took = catch_unwind(AssertUnwindSafe(|| {
                let buffer = &mut source.input.buffer;
                buffer.reserve(READ);
                match rustix::io::read(&lent.output, buffer.spare_capacity_mut()) {
                    Ok((read, _)) => {
                        let read = read.len();
                        // SAFETY: `read` has written so many bytes behind those there were.
                        unsafe { buffer.set_len(buffer.len() + read) };
                        source.note(Ok(read));
                    }
                    Err(Errno::WOULDBLOCK | Errno::INTR) => return,
                    Err(error) => source.note(Err(error.into())),
                }
                self.route(&mut source, &mut carry);
            }));
            if took.is_err() {
                let message = "the pool's reader of the renderer's output panicked";
                let error = Error::new(ErrorKind::RendererExited, message);
                source.end = Some(Err(error));
            }
            let go_on = source.end.is_none();
            drop(source);
            if !go_on {
                // Also if what was waited for came before the end.
                self.intake.recall();
            }
            carry.flush();
            go_on
        }
    }
}
