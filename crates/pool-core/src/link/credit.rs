//! Credit: how many messages a session may have on their way, unanswered.
//!
//! A renderer holds 512 messages for a session and 512 more behind them, and moves the second
//! lot on only when yet another message for that session arrives: from about 510 unanswered
//! messages on a session stalls without a word, from about 1,300 on it is thrown out. A reply
//! shows that everything sent before its request was taken off the queue.

use std::collections::VecDeque;

use crate::RequestId;

#[derive(Debug)]
pub(super) struct Credit {
    window: u64,
    sent: u64,
    acknowledged: u64,
    /// How many messages had been sent with the last one that is answered.
    last_answered: u64,
    barrier: bool,
    /// The requests that will be answered, and how many messages had been sent with each.
    expected: VecDeque<(RequestId, u64)>,
}

impl Credit {
    pub(super) fn new(window: u64) -> Self {
        Self {
            window: window.max(2),
            sent: 0,
            acknowledged: 0,
            last_answered: 0,
            barrier: false,
            expected: VecDeque::new(),
        }
    }

    /// Whether one more message may go out, with a barrier behind it if need be.
    pub(super) fn available(&self) -> bool {
        self.outstanding() + 1 < self.window
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.sent - self.acknowledged
    }

    /// Whether to send something that is surely answered: nothing has been for half a window,
    /// or the window is used up (the renderer never answers a request it cannot read).
    pub(super) fn wants_barrier(&self) -> bool {
        let unanswered = self.sent - self.last_answered.max(self.acknowledged);
        !self.barrier && (unanswered * 2 >= self.window || !self.available())
    }

    /// A message has gone out; `answered` if the renderer answers it under this id.
    pub(super) fn sent(&mut self, answered: Option<RequestId>) {
        self.sent += 1;
        if let Some(id) = answered {
            self.last_answered = self.sent;
            if self.expected.capacity() == 0 {
                self.expected.reserve_exact(1);
            }
            self.expected.push_back((id, self.sent));
        }
    }

    /// A barrier has gone out, under this id.
    pub(super) fn sent_barrier(&mut self, id: RequestId) {
        self.sent(Some(id));
        self.barrier = true;
    }

    /// The renderer answered `id`. What was sent earlier may still be answered later, as an
    /// effect is, but it has been taken off the queue.
    pub(super) fn answered(&mut self, id: RequestId, barrier: bool) {
        if barrier {
            self.barrier = false;
        }
        if let Some(at) = self.expected.iter().position(|(known, _)| *known == id) {
            let (_, sent) = self.expected[at];
            self.expected.drain(..=at);
            self.acknowledged = self.acknowledged.max(sent);
        }
    }

    /// Whether the renderer may not have come to request `id` yet.
    pub(super) fn expects(&self, id: RequestId) -> bool {
        self.expected.iter().any(|(expected, _)| *expected == id)
    }

    /// The renderer took everything off the queue: it waits for the answer to a step.
    pub(super) fn everything_taken(&mut self) {
        self.acknowledged = self.sent;
        self.expected.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> RequestId {
        RequestId::new(n)
    }

    #[test]
    fn a_reply_acknowledges_everything_sent_before_it() {
        let mut credit = Credit::new(8);
        credit.sent(None);
        credit.sent(Some(id(1)));
        credit.sent(None);
        assert_eq!(credit.outstanding(), 3);
        credit.answered(id(1), false);
        assert_eq!(credit.outstanding(), 1);
    }

    #[test]
    fn an_early_request_answered_late_takes_nothing_back() {
        let mut credit = Credit::new(8);
        credit.sent(Some(id(1)));
        credit.sent(Some(id(2)));
        credit.answered(id(2), false);
        assert_eq!(credit.outstanding(), 0);
        credit.answered(id(1), false);
        assert_eq!(credit.outstanding(), 0);
    }

    #[test]
    fn a_barrier_is_wanted_after_half_a_window_without_anything_answered() {
        let mut credit = Credit::new(8);
        for _ in 0..3 {
            credit.sent(None);
        }
        credit.sent(Some(id(1)));
        for _ in 0..3 {
            credit.sent(None);
            assert!(!credit.wants_barrier() || !credit.available());
        }
        let mut credit = Credit::new(8);
        for _ in 0..4 {
            assert!(!credit.wants_barrier());
            credit.sent(None);
        }
        assert!(credit.wants_barrier());
        credit.sent_barrier(id(0));
        assert!(!credit.wants_barrier(), "one is on its way");
        credit.answered(id(0), true);
        assert_eq!(credit.outstanding(), 0);
    }

    #[test]
    fn requests_that_are_never_answered_do_not_use_the_window_up_for_good() {
        let mut credit = Credit::new(8);
        for n in 1.. {
            if !credit.available() {
                break;
            }
            credit.sent(Some(id(n)));
        }
        assert_eq!(credit.outstanding(), 7, "room is left for one barrier");
        assert!(credit.wants_barrier());
        credit.sent_barrier(id(0));
        credit.answered(id(0), true);
        assert!(credit.available());
    }
}
