//! Tokens at a steady rate, handed out in the order of asking. Pure: it takes `now`.
//!
//! A token is promised for the moment when it is due, so that a queue is nothing but one moment: who asks next comes
//! after all who asked before. In any time `t`, no more than `saved + rate * t` tokens are due.

use std::num::NonZeroU32;
use std::time::Duration;

/// Tokens a second. What was not used is saved for a tenth of a second, at least one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) NonZeroU32);

impl Rate {
    /// From one token to the next.
    fn gap(self) -> Duration {
        // not rounded down to a rate that is higher
        Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(self.0.get())))
    }

    /// Tokens that may be had at once after a pause.
    pub(crate) fn saved(self) -> u32 {
        (self.0.get() / 10).max(1)
    }
}

/// One bucket; its rate may be another each time. Moments are times since a fixed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// When the next token is due. Before that moment all have been promised.
    due: Duration,
}

/// The token would be due later than the one who asks can wait, by this much. Nothing is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLate(pub(crate) Duration);

impl Bucket {
    /// Promises the next token. Returns how long it is until that is due, `wait_max` at most.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        rate: Rate,
        wait_max: Duration,
    ) -> Result<Duration, TooLate> {
        let due = self.next(now, rate);
        let wait = due.saturating_sub(now);
        if wait > wait_max {
            return Err(TooLate(wait.saturating_sub(wait_max)));
        }
        self.due = due.saturating_add(rate.gap());
        Ok(wait)
    }

    /// Whether a token can be had at once.
    pub(crate) fn is_free(&self, now: Duration, rate: Rate) -> bool {
        self.next(now, rate) <= now
    }

    /// Whether nothing of it is promised any more, nor would be saved at any rate.
    pub(crate) fn is_idle(&self, now: Duration) -> bool {
        self.due < now
    }

    fn next(&self, now: Duration, rate: Rate) -> Duration {
        let saved = rate.gap().saturating_mul(rate.saved() - 1);
        self.due.max(now.saturating_sub(saved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREVER: Duration = Duration::MAX;

    fn rate(per_second: u32) -> Rate {
        Rate(NonZeroU32::new(per_second).unwrap())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn tokens_are_due_one_after_the_other_in_the_order_of_asking() {
        let mut bucket = Bucket::default();
        let now = Duration::from_secs(100);
        let waits: Vec<_> = (0..4).map(|_| bucket.take(now, rate(5), FOREVER)).collect();
        assert_eq!(waits, [0, 200, 400, 600].map(|at| Ok(ms(at))));
        // and time that passes is waited for no more
        assert_eq!(bucket.take(now + ms(700), rate(5), FOREVER), Ok(ms(100)));
    }

    #[test]
    fn who_cannot_wait_is_told_when_it_is_worth_asking_and_takes_nothing() {
        let mut bucket = Bucket::default();
        let now = Duration::from_secs(100);
        for _ in 0..3 {
            bucket.take(now, rate(1), FOREVER).unwrap();
        }
        for _ in 0..10 {
            assert_eq!(bucket.take(now, rate(1), ms(2000)), Err(TooLate(ms(1000))));
        }
        assert_eq!(bucket.take(now + ms(1000), rate(1), ms(2000)), Ok(ms(2000)));
    }

    #[test]
    fn a_tenth_of_a_second_is_saved_and_no_more() {
        let mut bucket = Bucket::default();
        for now in [100, 200].map(Duration::from_secs) {
            assert!(bucket.is_free(now, rate(100)));
            let at_once = (0..50).filter(|_| bucket.take(now, rate(100), FOREVER) == Ok(ms(0)));
            assert_eq!(at_once.count(), 10);
            assert!(!bucket.is_free(now, rate(100)));
        }
    }

    #[test]
    fn whatever_the_asking_no_more_is_due_in_any_time_than_the_rate_and_what_was_saved() {
        for (seed, per_second) in [(1_u64, 1_u32), (2, 7), (3, 30), (4, 1000), (5, 999_983)] {
            let (mut bucket, mut now, mut dues) = (Bucket::default(), ms(5000), Vec::new());
            let mut random = seed;
            for _ in 0..2000 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                if random >> 61 == 0 {
                    now += Duration::from_micros((random >> 32) % 400_000);
                }
                if let Ok(wait) = bucket.take(now, rate(per_second), ms(2000)) {
                    assert!(wait <= ms(2000));
                    dues.push(now + wait);
                }
            }
            for (from, first) in dues.iter().enumerate().step_by(37) {
                for (count, last) in dues[from..].iter().enumerate() {
                    let time = last.checked_sub(*first).expect("in the order of asking");
                    let bound = f64::from(rate(per_second).saved())
                        + f64::from(per_second) * time.as_secs_f64();
                    assert!(
                        count as f64 + 1.0 <= bound + 1e-6,
                        "seed {seed}: {count} in {time:?}"
                    );
                }
            }
        }
    }
}
