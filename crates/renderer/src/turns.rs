//! Whose turn it is to read what a renderer sends.
//!
//! While its output is lent, one of those who wait *leads*: it lets the others speak, writes
//! what they left, and reads for all of them. Who is done, or gives up, passes the lead on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::Notify;

use crate::wait::Wait;

/// How many must have been answered fast before the output is lent; and what it costs if one
/// was not.
const TRUST: u32 = 16;

/// How much of that can be saved up for a caller who waits long.
const MOST_TRUST: u32 = 4 * TRUST;

/// For how many more reads whoever reads has others speak first, once others were about.
const COMPANY: u32 = 16;

/// After how many reads in a row others have their turn whoever reads: an executor's other
/// tasks.
const TURN: u32 = 32;

/// How many are remembered who may lead next.
const LINE: usize = 16;

/// How fast a reply must be, of several at once each, for callers to wait for it on threads that
/// may be an executor's.
const FAST: Duration = Duration::from_micros(200);

/// How often the I/O thread looks who reads. A caller, on a thread that may be an executor's,
/// is left waiting for two of these at most; and what nobody waits for, such as an event, lies
/// in the pipe for that long.
///
/// A caller does not wait by a clock of its own: to set and clear a timer for each request
/// costs more than the request.
const LOOK: Duration = Duration::from_millis(2);

/// In `leader`, beside the key of a wait, whose lowest bit is free: the leader writes what
/// others leave before it reads.
const WRITES: usize = 1;

/// In `leader`, where no wait is: the output is not lent, and the I/O thread reads.
const AWAY: usize = 2;

/// Who waits for a renderer, and who of them reads.
#[derive(Debug)]
pub(crate) struct Turns {
    may_lend: bool,
    /// The key of the wait that leads, perhaps with [`WRITES`]; 0 if none does; [`AWAY`] while
    /// the output is not lent. One word, so that whoever has missed the end of the lending
    /// changes nothing.
    leader: AtomicUsize,
    /// Some of those who may lead next, the last who came being the likeliest to wait still.
    line: Mutex<VecDeque<Weak<Wait>>>,
    /// How many wait.
    waiting: AtomicUsize,
    /// How many were answered fast; less for each that was not.
    trust: AtomicU32,
    /// For how many more reads others are to speak first.
    company: AtomicU32,
    /// How often a caller has begun or ended to read.
    reads: AtomicU32,
    recall: Notify,
    /// Something is to be written that nobody else sees to.
    writable: Arc<Notify>,
}

/// What somebody who waits is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Wait: another reads.
    Waits,
    /// Come back after all others have had their turn.
    Later,
    /// Read.
    Reads,
    /// Write what others have left, then read.
    Writes,
}

/// The output is lent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lending {
    /// Beside those who are woken anyway.
    others_wait: bool,
}

impl Turns {
    pub(crate) fn new(may_lend: bool, writable: Arc<Notify>) -> Self {
        Self {
            may_lend,
            leader: AtomicUsize::new(AWAY),
            line: Mutex::default(),
            waiting: AtomicUsize::new(0),
            trust: AtomicU32::new(0),
            company: AtomicU32::new(0),
            reads: AtomicU32::new(0),
            recall: Notify::new(),
            writable,
        }
    }

    pub(crate) fn begin_wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn end_wait(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the leader will write what this wait, or nobody in particular, has to say: the
    /// wait itself, if nobody leads and others may be about to speak.
    pub(crate) fn leaves_writing(&self, wait: Option<usize>) -> bool {
        let leader = self.leader.load(Ordering::SeqCst);
        if leader & WRITES != 0 {
            return true;
        }
        let may_lead = leader == 0 && self.has_company();
        wait.is_some_and(|key| may_lead && self.change_leader(0, key | WRITES))
    }

    /// Whether others may be about to speak, too, and the I/O thread writes for all of them.
    pub(crate) fn is_shared(&self) -> bool {
        !self.is_lent() && (self.waiting.load(Ordering::SeqCst) > 1 || self.has_company())
    }

    /// What a wait is to do that was not answered yet.
    pub(crate) fn next(&self, key: usize, was_patient: bool) -> Turn {
        let leader = self.leader.load(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 1 {
            self.notice_company();
        } else if was_patient || leader == AWAY {
            let company = self.company.load(Ordering::Relaxed);
            self.company
                .store(company.saturating_sub(1), Ordering::Relaxed);
        }
        if leader & !WRITES != key && !(leader == 0 && self.change_leader(0, key)) {
            return Turn::Waits;
        }
        let due = self.reads.load(Ordering::Relaxed) / 2 % TURN == TURN - 1;
        if !was_patient && (due || self.has_company()) {
            if due {
                self.reads.fetch_add(2, Ordering::SeqCst);
            }
            let writes = key | WRITES;
            let leads = leader == writes || self.change_leader(key, writes);
            return if leads { Turn::Later } else { Turn::Waits };
        }
        if leader & WRITES == 0 {
            Turn::Reads
        } else if self.change_leader(leader, key) {
            Turn::Writes
        } else {
            Turn::Waits
        }
    }

    /// Puts somebody who waits, and can be woken, in the line. False if there is nobody to wait
    /// for: it is its own turn.
    pub(crate) fn line_up(&self, wait: Weak<Wait>) -> bool {
        if !self.may_lend {
            return true;
        }
        let mut line = self.line();
        let oldest = (line.len() == LINE).then(|| line.pop_front());
        line.push_back(wait);
        drop(line);
        drop(oldest);
        self.leader.load(Ordering::SeqCst) != 0
    }

    /// Passes the lead on, if this wait has it.
    pub(crate) fn resign(&self, key: usize) {
        let leader = self.leader.load(Ordering::SeqCst);
        if leader & !WRITES == key {
            self.pass_on(leader);
        }
    }

    fn pass_on(&self, leader: usize) {
        if self.waiting.load(Ordering::SeqCst) > 0 && self.appoint(leader) {
            return;
        }
        if !self.change_leader(leader, 0) {
            // The I/O thread reads again.
            return;
        }
        if leader & WRITES != 0 {
            self.writable.notify_one();
        }
        // Somebody may have lined up behind this leader until now.
        self.lead_those_who_wait();
    }

    /// Sees to it that somebody reads, if nobody leads.
    fn lead_those_who_wait(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 && !self.appoint(0) {
            self.recall();
        }
    }

    /// Makes somebody in the line the leader. False if there is nobody.
    fn appoint(&self, leader: usize) -> bool {
        loop {
            let Some(next) = self.line().pop_back() else {
                return false;
            };
            let Some(next) = next.upgrade() else {
                continue;
            };
            let takes_over = |key| self.change_leader(leader, key | WRITES);
            if let Some(waker) = next.call(takes_over) {
                waker.wake();
                return true;
            }
        }
    }

    fn change_leader(&self, from: usize, to: usize) -> bool {
        self.leader
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    fn is_lent(&self) -> bool {
        self.leader.load(Ordering::SeqCst) != AWAY
    }

    fn has_company(&self) -> bool {
        self.company.load(Ordering::Relaxed) > 0
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Weak<Wait>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else may be about.
    pub(crate) fn notice_company(&self) {
        self.company.store(COMPANY, Ordering::Relaxed);
    }

    /// When somebody began to wait for the I/O thread, and with how many.
    pub(crate) fn note_wait(&self) -> Option<(Instant, usize)> {
        let waits = self.may_lend && !self.is_lent();
        waits.then(|| (Instant::now(), self.waiting.load(Ordering::SeqCst)))
    }

    /// So many were answered in that time. If that was slow, and not for the first time, others
    /// on the threads of those who wait should not wait for them.
    pub(crate) fn answered(&self, replies: usize, took: Duration) {
        let fast = FAST.saturating_mul(u32::try_from(replies).unwrap_or(u32::MAX).max(1));
        let trust = self.trust.load(Ordering::Relaxed);
        if took <= fast {
            self.trust
                .store((trust + 1).min(MOST_TRUST), Ordering::Relaxed);
        } else if took <= 2 * fast {
            // Neither way: what is at the limit would go to and fro.
        } else if trust < 2 * TRUST {
            self.recall();
        } else {
            self.distrust();
        }
    }

    /// Somebody waits for something that may take long: the I/O thread is to read.
    pub(crate) fn recall(&self) {
        self.distrust();
        if self.is_lent() {
            self.recall.notify_one();
        }
    }

    fn distrust(&self) {
        let trust = self.trust.load(Ordering::Relaxed);
        self.trust
            .store(trust.saturating_sub(TRUST), Ordering::Relaxed);
    }

    /// Somebody waits who does not read.
    pub(crate) fn leave_reading(&self) {
        if self.leader.load(Ordering::SeqCst) == 0 {
            self.recall();
        }
    }

    /// Whether the output might be lent.
    pub(crate) fn is_earned(&self) -> bool {
        self.may_lend && self.trust.load(Ordering::Relaxed) >= TRUST
    }

    /// Begins to lend, on the I/O thread, if that is earned. `woken` of those who wait are
    /// about to be answered.
    pub(crate) fn lend(&self, woken: usize) -> Option<Lending> {
        if !self.is_earned() || woken == 0 {
            return None;
        }
        // A recall that came after the last lending is no longer about anything.
        self.recall.notified().now_or_never();
        // Whoever begins to wait from now on sees that it is for him to read.
        self.leader.store(0, Ordering::SeqCst);
        Some(Lending {
            others_wait: self.waiting.load(Ordering::SeqCst) > woken,
        })
    }

    /// Tells those who wait on, once whoever was answered is woken.
    pub(crate) fn begin(&self, lending: Lending) {
        if lending.others_wait && self.leader.load(Ordering::SeqCst) == 0 {
            self.lead_those_who_wait();
        }
    }

    /// Has the I/O thread read again.
    pub(crate) fn take_back(&self) {
        if self.leader.swap(AWAY, Ordering::SeqCst) & WRITES != 0 {
            self.writable.notify_one();
        }
    }

    /// Waits until the I/O thread is to read again: it is called back, or nobody has read for a
    /// while.
    pub(crate) async fn until_recalled(&self) {
        // Those who waited for the I/O thread to read do not any more.
        let mut known = self.reads.load(Ordering::SeqCst).wrapping_sub(1);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.recall.notified() => return,
            }
            let reads = self.reads.load(Ordering::SeqCst);
            if reads == known {
                // It was not worth it.
                self.distrust();
                return;
            }
            known = reads;
        }
    }

    /// Waits for the renderer, as the leader: counted at both ends, so that whoever looks sees
    /// whether it goes on. Returns how long it took, too.
    pub(crate) fn read<T>(&self, wait: impl FnOnce() -> T) -> (T, Duration) {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let since = Instant::now();
        let result = wait();
        self.reads.fetch_add(1, Ordering::SeqCst);
        (result, since.elapsed())
    }
}

#[cfg(test)]
mod tests;
