use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};

use plushie_pool_core::link::Outcome;

use super::*;
use crate::Home;
use crate::wait::{self, Completed, Completion};

/// Somebody who waits, as `Renderer::poll_completed` has it.
struct Asker {
    completion: Option<Completion>,
    completed: Completed,
    woken: Arc<Count>,
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Asker {
    fn new(turns: &Arc<Turns>) -> Self {
        let (completion, completed) = wait::begin(turns, Home::here());
        Self {
            completion: Some(completion),
            completed,
            woken: Arc::default(),
        }
    }

    /// What it is told to do; if that is to wait, it does.
    fn next(&mut self, turns: &Turns) -> Turn {
        let turn = turns.next(self.completed.key(), self.completed.was_patient);
        self.completed.was_patient = !matches!(turn, Turn::Reads | Turn::Writes);
        if turn == Turn::Waits {
            let waker = Waker::from(self.woken.clone());
            let polled = self.completed.poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            assert!(turns.line_up(self.completed.wait()), "somebody reads");
        }
        turn
    }

    fn key(&self) -> usize {
        self.completed.key()
    }

    fn wakes(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }

    fn is_answered(&mut self) {
        let completion = self.completion.take().expect("once");
        completion.finish(Ok(Outcome::Sent));
    }
}

fn trusted() -> (Arc<Turns>, Arc<Notify>) {
    let writable = Arc::new(Notify::new());
    let turns = Arc::new(Turns::new(true, writable.clone()));
    for _ in 0..MOST_TRUST {
        turns.answered(1, Duration::ZERO);
    }
    (turns, writable)
}

/// While the output is lent.
fn lent() -> (Arc<Turns>, Arc<Notify>) {
    let (turns, writable) = trusted();
    assert!(turns.lend(1).is_some());
    (turns, writable)
}

/// One who leads, before it writes and reads, and one behind it.
fn pair(turns: &Arc<Turns>) -> [Asker; 2] {
    let [mut one, mut other] = [Asker::new(turns), Asker::new(turns)];
    assert_eq!(one.next(turns), Turn::Later);
    assert_eq!(other.next(turns), Turn::Waits);
    [one, other]
}

fn was_told(notify: &Notify) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(notify.notified()).poll(&mut context) == Poll::Ready(())
}

#[test]
fn one_alone_reads_at_once() {
    let (turns, _) = lent();
    let mut one = Asker::new(&turns);
    assert!(!turns.leaves_writing(Some(one.key())));
    assert!(!turns.is_shared());
    assert_eq!(one.next(&turns), Turn::Reads);
}

#[test]
fn one_among_others_lets_them_speak_and_writes_for_them() {
    let (turns, _) = lent();
    let [mut one, other] = pair(&turns);
    assert!(turns.leaves_writing(Some(other.key())));
    assert!(turns.leaves_writing(None));
    assert_eq!(one.next(&turns), Turn::Writes);
    // It may be reading by now.
    assert!(!turns.leaves_writing(None));
    // What it read was for the other, who may speak again.
    assert_eq!(one.next(&turns), Turn::Later);
}

#[test]
fn who_comes_after_company_waits_for_more_of_it() {
    let (turns, _) = lent();
    drop(pair(&turns));
    let mut one = Asker::new(&turns);
    assert!(turns.leaves_writing(Some(one.key())));
    assert_eq!(one.next(&turns), Turn::Later);
    assert_eq!(one.next(&turns), Turn::Writes);
}

#[test]
fn company_is_forgotten() {
    let (turns, _) = lent();
    drop(pair(&turns));
    let mut one = Asker::new(&turns);
    let mut reads = 0;
    while one.next(&turns) != Turn::Reads || one.next(&turns) != Turn::Reads {
        reads += 1;
        assert!(reads <= 2 * COMPANY);
    }
}

#[test]
fn others_have_their_turn_after_many_reads() {
    let (turns, _) = lent();
    let mut one = Asker::new(&turns);
    let mut reads = 0;
    while one.next(&turns) == Turn::Reads {
        turns.read(|| ());
        reads += 1;
        assert!(reads <= TURN);
    }
}

#[test]
fn who_gives_up_passes_the_lead_on() {
    for is_answered in [false, true] {
        let (turns, writable) = lent();
        let [mut one, mut other] = pair(&turns);
        if is_answered {
            one.is_answered();
        }
        drop(one);
        assert_eq!(other.wakes(), 1);
        // Who is next writes what it left.
        assert!(turns.leaves_writing(None));
        assert_eq!(other.next(&turns), Turn::Writes);
        assert!(!was_told(&writable) && !was_told(&turns.recall));
    }
}

#[test]
fn nobody_is_appointed_who_has_an_answer_or_is_gone() {
    let (turns, _) = lent();
    let [one, mut answered] = pair(&turns);
    let mut waiting = Asker::new(&turns);
    assert_eq!(waiting.next(&turns), Turn::Waits);
    let mut gone = Asker::new(&turns);
    assert_eq!(gone.next(&turns), Turn::Waits);
    drop(gone);
    answered.is_answered();
    drop(one);
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.next(&turns), Turn::Writes);
}

#[test]
fn what_the_last_one_left_is_written() {
    let (turns, writable) = lent();
    let [mut one, other] = pair(&turns);
    drop(other);
    assert!(!was_told(&writable));
    one.is_answered();
    drop(one);
    assert!(was_told(&writable));
    assert!(!was_told(&turns.recall));
}

#[test]
fn the_io_thread_reads_for_those_who_cannot_be_woken() {
    let (turns, _) = lent();
    let mut one = Asker::new(&turns);
    assert_eq!(one.next(&turns), Turn::Reads);
    let _unpolled = Asker::new(&turns);
    drop(one);
    assert!(was_told(&turns.recall));
}

#[test]
fn who_lined_up_behind_nobody_comes_again() {
    let (turns, _) = lent();
    let [one, mut other] = pair(&turns);
    drop(one);
    other.is_answered();
    drop(other);
    let late = Asker::new(&turns);
    assert!(!turns.line_up(late.completed.wait()));
}

#[test]
fn those_who_wait_when_lending_begins_are_told() {
    let (turns, _) = trusted();
    let mut waiting = Asker::new(&turns);
    assert_eq!(waiting.next(&turns), Turn::Waits);
    let answered = Asker::new(&turns);
    let lending = turns.lend(1).expect("it is earned");
    drop(answered);
    turns.begin(lending);
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.next(&turns), Turn::Writes);
}

#[test]
fn once_taken_back_nobody_leads() {
    let (turns, writable) = lent();
    let [mut one, mut other] = pair(&turns);
    turns.take_back();
    // What they left to write is written.
    assert!(was_told(&writable));
    assert_eq!(one.next(&turns), Turn::Waits);
    assert_eq!(other.next(&turns), Turn::Waits);
    // Those who have not noticed change nothing.
    assert!(!turns.leaves_writing(Some(one.key())));
    turns.lead_those_who_wait();
    drop(one);
    assert_eq!(other.wakes(), 0);
    assert!(!was_told(&writable));
    assert_eq!(other.next(&turns), Turn::Waits);
}

#[test]
fn what_was_left_is_written_once() {
    let (turns, writable) = lent();
    let [mut one, _other] = pair(&turns);
    assert_eq!(one.next(&turns), Turn::Writes);
    turns.take_back();
    assert!(!was_told(&writable));
}

#[test]
fn lending_is_earned_by_fast_answers() {
    let turns = Turns::new(true, Arc::default());
    for _ in 1..TRUST {
        turns.answered(1, FAST);
    }
    assert!(turns.lend(1).is_none());
    turns.answered(3, 3 * FAST);
    // Nobody is about to be woken who would read.
    assert!(turns.lend(0).is_none());
    assert!(turns.lend(1).is_some());
}

#[test]
fn slow_answers_end_the_lending() {
    let (turns, _) = lent();
    // What is only not fast does no harm, and a few are forgiven.
    for _ in 0..MOST_TRUST {
        turns.answered(1, 2 * FAST);
    }
    turns.answered(1, 3 * FAST);
    assert!(!was_told(&turns.recall));
    for _ in 0..MOST_TRUST / TRUST {
        turns.answered(1, 3 * FAST);
    }
    assert!(was_told(&turns.recall));
    turns.take_back();
    assert!(turns.lend(1).is_none());
}

#[test]
fn an_old_recall_does_not_end_a_new_lending() {
    let (turns, _) = lent();
    turns.recall();
    turns.take_back();
    for _ in 0..MOST_TRUST {
        turns.answered(1, Duration::ZERO);
    }
    assert!(turns.lend(1).is_some());
    assert!(!was_told(&turns.recall));
    turns.recall();
    assert!(was_told(&turns.recall));
}

#[test]
fn where_nothing_may_be_lent_nothing_is() {
    let turns = Arc::new(Turns::new(false, Arc::default()));
    for _ in 0..MOST_TRUST {
        turns.answered(1, Duration::ZERO);
    }
    assert!(turns.lend(1).is_none());
    let mut one = Asker::new(&turns);
    assert!(!turns.leaves_writing(Some(one.key())));
    assert_eq!(one.next(&turns), Turn::Waits);
    assert!(turns.note_wait().is_none());
}

#[test]
fn who_is_done_waits_no_more() {
    let (turns, _) = lent();
    let mut askers = pair(&turns);
    assert_eq!(turns.waiting.load(Ordering::SeqCst), 2);
    askers[0].is_answered();
    // Its request was taken back.
    askers[1].completion = None;
    assert_eq!(turns.waiting.load(Ordering::SeqCst), 0);
}
