//! The control plane's side of leases: from when on it may say that a node is fenced for a purge.

use super::Terms;
use crate::PurgeSeq;
use std::collections::VecDeque;
use std::time::Duration;

/// Appends whose times are remembered, and how near to each other two of them may be: an hour and three quarters of a
/// log that never rests. For a purge before that the time of a later one stands, which is no earlier.
const TIMES_MAX: usize = 65_536;
const TIMES_APART: Duration = Duration::from_millis(100);

/// When purges were appended, by a clock of the control plane that goes on while the machine sleeps, as far as that is
/// known. Of what was before this start nobody knows it, nor when leases were given: both count as of the start.
#[derive(Clone, Debug)]
pub struct Claims {
    terms: Terms,
    /// The end of all leases that were given before this start.
    not_before: Duration,
    /// Everything up to this position was appended by then; both grow.
    appended: VecDeque<Appends>,
}

#[derive(Clone, Copy, Debug)]
struct Appends {
    up_to: PurgeSeq,
    first: Duration,
    last: Duration,
}

impl Claims {
    /// A start at `now`, with the log at `head`. `longest`: the longest lease that may have been given before.
    pub fn new(terms: Terms, longest: Duration, head: PurgeSeq, now: Duration) -> Self {
        let before = Terms {
            length: longest.max(terms.length),
            ..terms
        };
        let start = Appends {
            up_to: head,
            first: now,
            last: now,
        };
        Self {
            terms,
            not_before: before.fenced_from(now),
            appended: VecDeque::from([start]),
        }
    }

    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// When no lease from before this start can be held any more.
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// Everything up to `at` has been appended: `now` was read after that was durable.
    pub fn appended(&mut self, at: PurgeSeq, now: Duration) {
        if self
            .appended
            .back()
            .is_some_and(|last| last.up_to.epoch != at.epoch)
        {
            self.appended.clear();
        }
        if let Some(last) = self.appended.back_mut() {
            if last.up_to.n >= at.n {
                return;
            }
            if now.saturating_sub(last.first) < TIMES_APART {
                last.up_to = at;
                last.last = last.last.max(now);
                return;
            }
        }
        self.appended.push_back(Appends {
            up_to: at,
            first: now,
            last: now,
        });
        if self.appended.len() > TIMES_MAX {
            self.appended.pop_front();
        }
    }

    /// From when on a node is fenced for `purge`, unless it has applied that. `answered`: when the last of its renewals
    /// was answered, since this start. `None`: it is not known when the purge was appended.
    pub fn fenced_from(&self, purge: PurgeSeq, answered: Option<Duration>) -> Option<Duration> {
        let at = self.appended.partition_point(|by| by.up_to.n < purge.n);
        let by = self.appended.get(at)?;
        if by.up_to.epoch != purge.epoch {
            return None;
        }
        let from = self.terms.fenced_from(by.last).max(self.not_before);
        // a node that is given leases is not said to have none
        let lost = answered.map_or(Duration::ZERO, |answered| self.terms.fenced_from(answered));
        Some(from.max(lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    const fn at(n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(1), n)
    }

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn terms() -> Terms {
        Terms::of(secs(10))
    }

    fn claims() -> Claims {
        Claims::new(terms(), secs(0), at(5), secs(100))
    }

    #[test]
    fn nothing_is_claimed_before_the_leases_of_an_earlier_start_have_ended() {
        for (longest, ends) in [
            (secs(0), secs(10)),
            (secs(10), secs(10)),
            (secs(60), secs(60)),
        ] {
            let mut claims = Claims::new(terms(), longest, at(5), secs(100));
            let expect = Terms::of(ends).fenced_from(secs(100));
            assert_eq!(claims.fenced_from(at(3), None), Some(expect));
            claims.appended(at(6), secs(101));
            let after = terms().fenced_from(secs(101)).max(expect);
            assert_eq!(claims.fenced_from(at(6), None), Some(after));
        }
    }

    #[test]
    fn a_purge_is_claimed_from_its_own_append_and_one_that_is_not_known_never() {
        let mut claims = claims();
        claims.appended(at(6), secs(200));
        claims.appended(at(9), secs(300));
        let from = |n| claims.fenced_from(at(n), None);
        assert_eq!(from(6), Some(terms().fenced_from(secs(200))));
        // the three are one purge, or were appended together
        for n in 7..=9 {
            assert_eq!(from(n), Some(terms().fenced_from(secs(300))));
        }
        assert_eq!(from(10), None);
        assert_eq!(claims.fenced_from(PurgeSeq::new(Epoch(2), 6), None), None);
    }

    #[test]
    fn a_node_whose_renewal_was_answered_later_is_fenced_later() {
        let mut claims = claims();
        claims.appended(at(6), secs(200));
        let from = |answered| claims.fenced_from(at(6), Some(secs(answered)));
        assert_eq!(from(150), Some(terms().fenced_from(secs(200))));
        assert_eq!(from(250), Some(terms().fenced_from(secs(250))));
    }

    #[test]
    fn times_are_bounded_and_never_told_too_early() {
        let mut claims = claims();
        let ms = |n: u64| secs(200) + Duration::from_millis(n);
        for n in 0..1_000 {
            claims.appended(at(6 + n), ms(n));
        }
        assert!(claims.appended.len() < 20);
        for n in 0..1_000 {
            let from = claims.fenced_from(at(6 + n), None).unwrap();
            let known = terms().fenced_from(ms(n));
            assert!(from >= known && from <= known + TIMES_APART, "{n}");
        }
        for n in 0..2 * TIMES_MAX as u64 {
            claims.appended(at(2000 + n), secs(1000 + n));
        }
        assert!(claims.appended.len() <= TIMES_MAX);
        let oldest = claims.fenced_from(at(1), None).unwrap();
        assert!(oldest >= terms().fenced_from(secs(1000 + TIMES_MAX as u64)));
    }

    #[test]
    fn another_epoch_knows_nothing_of_the_one_before() {
        let mut claims = claims();
        let other = PurgeSeq::new(Epoch(2), 3);
        claims.appended(other, secs(200));
        assert_eq!(claims.fenced_from(at(2), None), None);
        let from = claims.fenced_from(other, None);
        assert_eq!(from, Some(terms().fenced_from(secs(200))));
    }
}
