//! How often a pool replaces renderers that die.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a pool may replace renderers that died by themselves, and how fast. One that could
/// not be started counts like one that died. A renderer of one session takes nobody with it, is
/// not replaced, and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Replacements allowed `within` the time below. 0 never replaces a renderer.
    pub max_restarts: usize,
    /// The time over which they are counted.
    pub within: Duration,
    /// The pause before the second replacement within that time; it doubles with each further
    /// one. The first is immediate.
    pub backoff: Duration,
}

impl Default for RestartPolicy {
    /// 10 within a minute, 50 ms.
    fn default() -> Self {
        Self {
            max_restarts: 10,
            within: Duration::from_secs(60),
            backoff: Duration::from_millis(50),
        }
    }
}

/// The longest pause between replacements.
const LONGEST: Duration = Duration::from_secs(5);

/// Keeps count of renderers that died by themselves.
#[derive(Debug)]
pub struct RestartBudget {
    policy: RestartPolicy,
    deaths: VecDeque<Instant>,
    spent: bool,
}

impl RestartBudget {
    /// Nothing has died yet.
    pub fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            deaths: VecDeque::new(),
            spent: false,
        }
    }

    /// A renderer died.
    pub fn died(&mut self, now: Instant) {
        while self
            .deaths
            .front()
            .is_some_and(|first| now - *first > self.policy.within)
        {
            self.deaths.pop_front();
        }
        self.deaths.push_back(now);
        self.spent |= self.deaths.len() > self.policy.max_restarts;
    }

    /// Whether no renderer will be started any more. Once true it stays true.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// When the next renderer may be started; `None` for at once.
    pub fn not_before(&self) -> Option<Instant> {
        let last = *self.deaths.back()?;
        let further = u32::try_from(self.deaths.len().checked_sub(2)?).unwrap_or(u32::MAX);
        let pause = self
            .policy
            .backoff
            .saturating_mul(2u32.saturating_pow(further));
        Some(last + pause.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        max_restarts: 3,
        within: Duration::from_secs(10),
        backoff: Duration::from_millis(100),
    };

    #[test]
    fn the_first_replacement_is_immediate_and_the_next_ones_wait_longer() {
        let start = Instant::now();
        let mut budget = RestartBudget::new(POLICY);
        assert_eq!(budget.not_before(), None);
        budget.died(start);
        assert_eq!(budget.not_before(), None);
        budget.died(start);
        assert_eq!(budget.not_before(), Some(start + POLICY.backoff));
        budget.died(start);
        assert_eq!(budget.not_before(), Some(start + 2 * POLICY.backoff));
        assert!(!budget.is_spent());
        budget.died(start);
        assert!(budget.is_spent());
    }

    #[test]
    fn deaths_long_ago_do_not_count() {
        let mut now = Instant::now();
        let mut budget = RestartBudget::new(POLICY);
        for _ in 0..100 {
            budget.died(now);
            now += POLICY.within / 2;
        }
        assert!(!budget.is_spent());
    }
}
