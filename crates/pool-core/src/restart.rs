//! When a pool may start renderers, after some have died or could not be started.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a pool may replace renderers that died by themselves, and how fast.
///
/// It is a rate: once `max_restarts` is used up, a replacement is started as soon as the earliest
/// of the deaths lies more than `within` back. A renderer that was started and did not become of
/// use counts like one that died. What could not be started at all, because the server refuses
/// the connection or the system has no process to spare, does not count: it is tried again
/// after pauses that double from `backoff` to one second. A renderer of one session takes no
/// other session with it, is not replaced, and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Replacements allowed `within` the time below. 0 never replaces a renderer. A number of
    /// 4,096 or more is no limit.
    pub max_restarts: usize,
    /// The time over which they are counted; more than zero, unless `max_restarts` is 0.
    pub within: Duration,
    /// The pause before the second replacement within that time; it doubles with each further
    /// one, up to 5 s. The first is immediate.
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

/// The longest pause between replacements, while the budget is not used up.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The shortest pause before a launch that failed is tried again, whatever the policy says: a
/// program or a server that is away would keep a core busy.
const SHORTEST_RETRY: Duration = Duration::from_millis(10);

/// The longest pause between attempts to start what cannot be started: an attempt costs little,
/// and what was missing may be there any moment.
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// How many deaths are remembered.
const REMEMBERED: usize = 4096;

/// When a renderer may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextLaunch {
    /// At once.
    Now,
    /// From this moment on, which lies ahead.
    At(Instant),
    /// Not in the life of this pool.
    Never,
}

/// Says when renderers may be started, from what became of those before.
#[derive(Debug)]
pub struct RestartBudget {
    policy: RestartPolicy,
    /// The last deaths within the policy's time, oldest first.
    deaths: VecDeque<Instant>,
    /// Attempts in a row that started nothing, and when the last one failed.
    failures: Option<(u32, Instant)>,
}

impl RestartBudget {
    /// Nothing has died yet.
    pub fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            deaths: VecDeque::new(),
            failures: None,
        }
    }

    /// A renderer died, or was started and did not become of use.
    pub fn died(&mut self, now: Instant) {
        if self.deaths.len() == REMEMBERED {
            self.deaths.pop_front();
        }
        self.deaths.push_back(now);
    }

    /// There was nothing to start: no process and no connection.
    pub fn not_started(&mut self, now: Instant) {
        let before = self.failures.map_or(0, |(failures, _)| failures);
        self.failures = Some((before.saturating_add(1), now));
    }

    /// A renderer is of use.
    pub fn started(&mut self) {
        self.failures = None;
    }

    /// When the next renderer may be started.
    pub fn next_launch(&mut self, now: Instant) -> NextLaunch {
        if self.policy.max_restarts == 0 && !self.deaths.is_empty() {
            return NextLaunch::Never;
        }
        let within = self.policy.within;
        let is_past = |death: &Instant| now.saturating_duration_since(*death) > within;
        while self.deaths.front().is_some_and(is_past) {
            self.deaths.pop_front();
        }
        let Some(spent_until) = self.spent_until() else {
            return NextLaunch::Never;
        };
        let at = [spent_until, self.paused_until(), self.retry_at()];
        match at.into_iter().flatten().max() {
            Some(at) if at > now => NextLaunch::At(at),
            _ => NextLaunch::Now,
        }
    }

    /// When enough deaths lie back far enough; the outer `None` if that is past all clocks.
    fn spent_until(&self) -> Option<Option<Instant>> {
        let max = self.policy.max_restarts;
        if max >= REMEMBERED {
            return Some(None);
        }
        let Some(over) = self.deaths.len().checked_sub(max + 1) else {
            return Some(None);
        };
        let last_to_go = self.deaths[over];
        // A death counts until it lies back by more than that.
        let past = self.policy.within.checked_add(Duration::from_nanos(1))?;
        last_to_go.checked_add(past).map(Some)
    }

    fn paused_until(&self) -> Option<Instant> {
        let last = *self.deaths.back()?;
        let further = u32::try_from(self.deaths.len().checked_sub(2)?).unwrap_or(u32::MAX);
        Some(last + self.pause(further, LONGEST_PAUSE))
    }

    fn retry_at(&self) -> Option<Instant> {
        let (failures, last) = self.failures?;
        let pause = self.pause(failures - 1, LONGEST_RETRY);
        Some(last + pause.max(SHORTEST_RETRY))
    }

    fn pause(&self, doublings: u32, longest: Duration) -> Duration {
        let factor = 2_u32.saturating_pow(doublings);
        self.policy.backoff.saturating_mul(factor).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::NextLaunch::{At, Never, Now};
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        max_restarts: 3,
        within: Duration::from_secs(10),
        backoff: Duration::from_millis(100),
    };

    const TICK: Duration = Duration::from_nanos(1);

    #[test]
    fn the_first_replacement_is_immediate_and_the_next_ones_wait_longer() {
        let start = Instant::now();
        let mut budget = RestartBudget::new(POLICY);
        assert_eq!(budget.next_launch(start), Now);
        budget.died(start);
        assert_eq!(budget.next_launch(start), Now);
        budget.died(start);
        assert_eq!(budget.next_launch(start), At(start + POLICY.backoff));
        budget.died(start);
        assert_eq!(budget.next_launch(start), At(start + 2 * POLICY.backoff));
        assert_eq!(budget.next_launch(start + 2 * POLICY.backoff), Now);
    }

    #[test]
    fn a_budget_that_is_used_up_has_room_again_once_the_time_has_passed() {
        let start = Instant::now();
        let mut budget = RestartBudget::new(POLICY);
        for second in 0..4 {
            budget.died(start + Duration::from_secs(second));
        }
        // The first of the four is the one too many.
        let again = start + POLICY.within + TICK;
        assert_eq!(
            budget.next_launch(start + Duration::from_secs(4)),
            At(again)
        );
        assert_eq!(budget.next_launch(again), Now);
        // Five in all, of which four still count.
        budget.died(again);
        let next = start + Duration::from_secs(1) + POLICY.within + TICK;
        assert_eq!(budget.next_launch(again), At(next));
        assert_eq!(budget.next_launch(next), Now);
    }

    #[test]
    fn it_is_a_rate_for_as_long_as_the_pool_lives() {
        let mut now = Instant::now();
        let mut budget = RestartBudget::new(POLICY);
        let start = now;
        for death in 0..1000 {
            match budget.next_launch(now) {
                Now => {}
                At(at) => {
                    assert!(at > now && at <= now + POLICY.within + TICK);
                    now = at;
                    assert_eq!(budget.next_launch(now), Now);
                }
                Never => panic!("after {death} deaths"),
            }
            budget.died(now);
        }
        let windows = (now - start).as_secs() / POLICY.within.as_secs();
        // Three restarts a window, and the death that is one too many.
        assert!((240..=260).contains(&windows), "{windows}");
    }

    #[test]
    fn deaths_long_ago_do_not_count() {
        let mut now = Instant::now();
        let mut budget = RestartBudget::new(POLICY);
        for _ in 0..100 {
            budget.died(now);
            now += POLICY.within / 2;
            assert_eq!(budget.next_launch(now), Now);
        }
    }

    #[test]
    fn what_cannot_be_started_is_tried_again_without_end_and_costs_nothing() {
        let start = Instant::now();
        let mut now = start;
        let mut budget = RestartBudget::new(POLICY);
        let mut attempts = 0;
        while now < start + Duration::from_secs(17) {
            budget.not_started(now);
            attempts += 1;
            match budget.next_launch(now) {
                At(at) => {
                    assert!(at - now <= Duration::from_secs(1), "{:?}", at - now);
                    now = at;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((17..40).contains(&attempts), "{attempts}");
        budget.started();
        assert_eq!(budget.next_launch(now), Now);
        // The next failure begins anew.
        budget.not_started(now);
        assert_eq!(budget.next_launch(now), At(now + POLICY.backoff));
    }

    #[test]
    fn no_replacement_at_all_is_a_choice() {
        let now = Instant::now();
        let mut budget = RestartBudget::new(RestartPolicy {
            max_restarts: 0,
            ..POLICY
        });
        budget.not_started(now);
        assert!(matches!(budget.next_launch(now), At(_)));
        budget.died(now);
        assert_eq!(
            budget.next_launch(now + Duration::from_secs(1_000_000)),
            Never
        );
    }

    #[test]
    fn extremes_overflow_nothing() {
        let extremes = [0, 1, usize::MAX - 1, usize::MAX];
        let durations = [Duration::ZERO, TICK, Duration::from_secs(1), Duration::MAX];
        for max_restarts in extremes {
            for within in durations {
                for backoff in durations {
                    let mut budget = RestartBudget::new(RestartPolicy {
                        max_restarts,
                        within,
                        backoff,
                    });
                    let mut now = Instant::now();
                    for _ in 0..10_000 {
                        budget.died(now);
                        budget.not_started(now);
                        if let At(at) = budget.next_launch(now) {
                            assert!(at > now);
                        }
                        now += Duration::from_millis(1);
                    }
                    assert!(budget.deaths.len() <= REMEMBERED);
                }
            }
        }
    }

    #[test]
    fn a_launch_that_failed_is_not_tried_again_without_a_pause() {
        let policy = RestartPolicy {
            backoff: Duration::ZERO,
            ..POLICY
        };
        let now = Instant::now();
        let mut budget = RestartBudget::new(policy);
        budget.not_started(now);
        assert_eq!(budget.next_launch(now), At(now + SHORTEST_RETRY));
    }
}
