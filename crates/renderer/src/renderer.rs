//! One running renderer, for those who have something to say to it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use plushie_pool_core::link::{Answer, LinkCounters, LinkLoad, Outcome, SessionEvent, Submission};
use plushie_pool_core::{Error, RequestId, SessionId};

use crate::config::RendererConfig;
use crate::connector::Connector;
use crate::handshake::Hello;
use crate::shared::{CarryOut, Shared};
use crate::supervise;
use crate::turns::Turn;
use crate::wait::{self, Completed, Completion};

/// Is told what happens to a renderer and its sessions, on whichever thread it happens. It
/// must neither block nor panic, and may call the renderer.
pub trait Observer: Send + Sync + 'static {
    /// These sessions no longer occupy the renderer; each is named once.
    fn released(&self, sessions: &[SessionId]);

    /// The renderer did not confirm in time that a session closed, or loads no more fonts: it
    /// should get no new sessions.
    fn suspect(&self);

    /// The renderer is gone and reaped; all its sessions were released before.
    fn ended(&self, renderer: &Renderer, end: &End);
}

/// How a renderer ended.
#[derive(Debug, Clone)]
pub struct End {
    /// What its sessions were told.
    pub error: Error,
    /// Whether it was asked to end, rather than dying by itself.
    pub asked: bool,
}

/// One renderer: a process or a connection. A cheap handle; the renderer runs until
/// [`stop`](Self::stop), whether there are handles or not.
///
/// Apart from [`start`](Self::start) everything may be called from any thread, inside a
/// runtime or not, and never blocks.
#[derive(Clone)]
pub struct Renderer {
    shared: Arc<Shared>,
}

/// What is known of a renderer from its start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Identity {
    /// The path or address.
    pub origin: String,
    /// The process, if it was started by the pool.
    pub pid: Option<u32>,
    /// What it said of itself.
    pub hello: Hello,
    /// When it was of use.
    pub ready_at: Instant,
    /// How long it took from being started to being of use.
    pub launch_time: Duration,
}

impl Renderer {
    /// Starts a renderer and waits until it is of use. The tasks that serve it are spawned on
    /// the runtime this is awaited in, which must outlive it.
    ///
    /// # Errors
    ///
    /// What the connector says, or
    /// [`ErrorKind::Handshake`](plushie_pool_core::ErrorKind::Handshake), or a
    /// [`Timeout`](plushie_pool_core::ErrorKind::Timeout) of either phase; with the exit
    /// status and the last lines of stderr if there was a process, which is stopped and
    /// reaped by then. What `cancelled` gives, if that comes first.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills a process that was started, and leaves the runtime to reap it.
    pub async fn start(
        connector: &dyn Connector,
        config: RendererConfig,
        observer: Arc<dyn Observer>,
        cancelled: impl Future<Output = Error>,
    ) -> Result<Self, Error> {
        supervise::start(connector, config, observer, cancelled).await
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds a session.
    ///
    /// # Errors
    ///
    /// As [`Link::open`](plushie_pool_core::link::Link::open); [`Home::check`](crate::Home::check) for this and
    /// everything else in the child of a fork, where what gives no error does nothing.
    pub fn open(&self, session: SessionId) -> Result<(), Error> {
        self.shared.home.check()?;
        self.shared.link().open(session)
    }

    /// What ends a wait, and what waits.
    pub fn completion(&self) -> (Completion, Completed) {
        wait::begin(&self.shared.turns, self.shared.home)
    }

    /// Waits for what a completion of this renderer was submitted with; `None` if it was
    /// dropped. It may read the renderer's output on this thread, for itself and all others who
    /// wait, for some milliseconds at most. Where that is allowed ([`RendererConfig::lend`]),
    /// not on the runtime's thread that the renderer was started on, if it has only one: it is
    /// what ends the wait.
    pub fn poll_completed(
        &self,
        completed: &mut Completed,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Outcome, Error>>> {
        let shared = &*self.shared;
        if let Err(error) = shared.home.check() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut read = false;
        let outcome = loop {
            if let Some(outcome) = completed.look() {
                break outcome;
            }
            if read {
                shared.turns.notice_company();
                completed.reads_since.get_or_insert_with(Instant::now);
            }
            if completed.has_read_long_enough() {
                shared.turns.resign(completed.key());
                return self.poll_told(completed, context);
            }
            let turn = shared.turns.next(completed.key(), completed.was_patient);
            read = shared.takes(turn);
            completed.was_patient = !read;
            if turn == Turn::Later {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !read {
                completed.asked = completed.asked.or_else(|| shared.turns.note_wait());
                if let Poll::Ready(outcome) = completed.poll(context) {
                    break outcome;
                }
                if shared.turns.line_up(completed.wait()) {
                    return Poll::Pending;
                }
            }
        };
        if let Some((since, among)) = completed.asked.take() {
            shared.turns.answered(among, since.elapsed());
        }
        Poll::Ready(outcome)
    }

    /// As [`poll_completed`](Self::poll_completed), but leaves reading to others.
    pub fn poll_told(
        &self,
        completed: &mut Completed,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Outcome, Error>>> {
        if let Err(error) = self.shared.home.check() {
            return Poll::Ready(Some(Err(error)));
        }
        let outcome = completed.poll(context);
        if outcome.is_pending() {
            self.shared.turns.leave_reading();
        }
        outcome
    }

    /// Sends a message as soon as it may go. It is written on this thread, or, where others
    /// are about to speak too, together with theirs by the I/O thread.
    ///
    /// # Errors
    ///
    /// As [`Link::submit`](plushie_pool_core::link::Link::submit).
    pub fn submit(
        &self,
        session: SessionId,
        submission: Submission<Completion>,
    ) -> Result<(), Error> {
        let shared = &*self.shared;
        shared.home.check()?;
        let mut carry = CarryOut::new(shared);
        let mut link = shared.link();
        // Whoever leaves something unsent sees to it that it is written, with all that is
        // added until then.
        let seen_to = link.has_unsent();
        let waits = matches!(submission.answer, Answer::Reply { .. });
        let wait = waits.then(|| submission.completion.key());
        let submitted = link.submit(session, submission, &mut carry.effects);
        let unsent = link.has_unsent() && !seen_to;
        drop(link);
        if unsent && shared.turns.leaves_writing(wait) {
            // Whoever reads next writes it before.
        } else if unsent && shared.turns.is_shared() {
            shared.writable.notify_one();
        } else {
            carry.unsent = unsent;
            carry.flush();
        }
        submitted
    }

    /// Nobody waits for a submission any more: see
    /// [`Link::cancel`](plushie_pool_core::link::Link::cancel).
    pub fn cancel(&self, session: SessionId, request: RequestId, completed: &mut Completed) {
        if !self.shared.home.is_here() {
            return;
        }
        // Its completion is dropped under the link's lock, and shall find nobody to wake.
        completed.give_up();
        self.shared
            .with_link(|link, effects| link.cancel(session, request, effects));
    }

    /// Closes a session: see [`Link::close`](plushie_pool_core::link::Link::close).
    pub fn close(&self, session: SessionId, completion: Option<Completion>) {
        if !self.shared.home.is_here() {
            return;
        }
        let now = Instant::now();
        self.shared
            .with_link(|link, effects| link.close(session, completion, now, effects));
    }

    /// The session's owner is gone: see [`Link::forget`](plushie_pool_core::link::Link::forget).
    pub fn forget(&self, session: SessionId) {
        if !self.shared.home.is_here() {
            return;
        }
        let now = Instant::now();
        let unconfirmed = self
            .shared
            .with_link(|link, effects| link.forget(session, now, effects));
        if unconfirmed {
            // Somebody may wait for its place, and would not read.
            self.shared.turns.recall();
        }
    }

    /// The session's next event: see [`Link::poll_event`](plushie_pool_core::link::Link::poll_event).
    pub fn poll_event(
        &self,
        session: SessionId,
        context: &mut Context<'_>,
    ) -> Poll<Option<SessionEvent>> {
        if !self.shared.home.is_here() {
            return Poll::Ready(None);
        }
        let event = self
            .shared
            .with_link(|link, effects| link.poll_event(session, context, effects));
        if event.is_pending() {
            self.shared.turns.recall();
        }
        event
    }

    /// Takes in what the renderer has said by now: before something is given up for want of it.
    pub fn catch_up(&self) {
        if self.shared.home.is_here() {
            self.shared.catch_up();
        }
    }

    /// Asks the renderer to end. Its sessions end with the error it ends with.
    pub fn stop(&self) {
        if !self.shared.home.is_here() {
            return;
        }
        self.shared.turns.recall();
        self.shared.stop.notify_one();
    }

    /// As [`stop`](Self::stop), but its sessions end at once, with `error`.
    pub fn abandon(&self, error: &Error) {
        if !self.shared.home.is_here() {
            return;
        }
        self.shared
            .with_link(|link, effects| link.fail(error, effects));
        self.stop();
    }

    /// Waits until the renderer is gone and reaped; after [`stop`](Self::stop) that is bounded
    /// by the grace it was started with.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ended(&self) -> End {
        let mut end = self.shared.end.subscribe();
        let end = end.wait_for(Option::is_some).await;
        let end = end.expect("the sender is in `shared`, which this handle holds");
        end.clone().expect("waited for")
    }

    /// What is known of it from its start.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// What it has sent and received.
    pub fn counters(&self) -> LinkCounters {
        if self.shared.home.is_here() {
            self.shared.link().counters()
        } else {
            LinkCounters::default()
        }
    }

    /// What it has to do at this moment.
    pub fn load(&self) -> LinkLoad {
        if self.shared.home.is_here() {
            self.shared.link().load()
        } else {
            LinkLoad::default()
        }
    }
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderer")
            .field("identity", &self.shared.identity)
            .finish_non_exhaustive()
    }
}
