//! What was found the last time a copy was held against the purges.

use seawall_purge::{Label, PurgeSeq};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Kept with a copy while it is in memory.
#[derive(Debug, Default)]
pub struct Memo {
    /// One more than the position up to which no purge covers it; 0: it was never judged.
    live: AtomicU64,
    /// One more than the earliest time (Unix milliseconds) at which a soft purge made it stale, of those seen; 0: none.
    stale: AtomicU64,
    /// How often groups had been invalidated when none of its own was among them.
    alive: AtomicU64,
    /// When the last question was asked that the origin itself answered with it, in nanoseconds of the machine's time; 0:
    /// that is not known.
    confirmed: AtomicU64,
}

impl Memo {
    /// Whether a copy with `label` was found live by a table that stood at `at` or later. Numbers of one epoch alone are
    /// compared: a copy's label says which.
    #[inline]
    pub fn is_live(&self, label: Label, at: PurgeSeq) -> bool {
        label.0.epoch == at.epoch && self.live.load(Ordering::Acquire) > at.n
    }

    /// No purge up to `at`, of the label's own epoch, covers it.
    pub fn set_live(&self, at: PurgeSeq) {
        self.live
            .fetch_max(at.n.saturating_add(1), Ordering::AcqRel);
    }

    /// Whether no invalidation of a group up to the one that was counted `at` is of its groups.
    #[inline]
    pub(crate) fn is_alive(&self, at: u64) -> bool {
        self.alive.load(Ordering::Acquire) >= at
    }

    /// So it is.
    pub(crate) fn set_alive(&self, at: u64) {
        self.alive.fetch_max(at, Ordering::AcqRel);
    }

    /// Whether the origin itself has given or confirmed it, asked at `since` or later.
    #[inline]
    pub fn is_confirmed(&self, since: Duration) -> bool {
        let confirmed = self.confirmed.load(Ordering::Acquire);
        confirmed != 0 && confirmed >= nanos(since)
    }

    /// The origin itself has, asked at `asked`: by the clock that goes on while the machine sleeps.
    pub fn set_confirmed(&self, asked: Duration) {
        self.confirmed.fetch_max(nanos(asked), Ordering::AcqRel);
    }

    /// Remembers that a soft purge made it stale, and tells the earliest such time that was seen: a second soft purge
    /// gives no second stale window.
    pub fn stale_since(&self, since_ms: u64) -> u64 {
        let seen = since_ms.saturating_add(1);
        let before = self
            .stale
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |earliest| {
                (earliest == 0 || seen < earliest).then_some(seen)
            });
        match before {
            Ok(_) => since_ms,
            Err(earliest) => earliest - 1,
        }
    }
}

/// 584 years of them fit.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::Epoch;

    #[test]
    fn what_was_live_is_live_up_to_where_it_was_judged_and_in_its_epoch_alone() {
        let (memo, label) = (Memo::default(), Label(PurgeSeq::new(Epoch(1), 3)));
        let at = |n| PurgeSeq::new(Epoch(1), n);
        assert!(!memo.is_live(label, at(0)));
        memo.set_live(at(5));
        assert!(memo.is_live(label, at(5)) && !memo.is_live(label, at(6)));
        assert!(!memo.is_live(label, PurgeSeq::new(Epoch(2), 5)));
    }

    #[test]
    fn what_the_origin_has_not_confirmed_is_not_confirmed_since_any_time() {
        let (memo, at) = (Memo::default(), Duration::from_secs);
        assert!(!memo.is_confirmed(Duration::ZERO));
        memo.set_confirmed(at(5));
        memo.set_confirmed(at(3));
        assert!(memo.is_confirmed(at(5)) && !memo.is_confirmed(at(6)));
    }

    #[test]
    fn a_second_soft_purge_gives_no_second_stale_window() {
        let memo = Memo::default();
        assert_eq!(memo.stale_since(2000), 2000);
        assert_eq!(memo.stale_since(9000), 2000);
        assert_eq!(memo.stale_since(1000), 1000);
    }
}
