//! When clients last asked for the keys of the sample: what of it a purge would have fetched anew at once.

use crate::sample::is_sampled;
use seawall_http_cache::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// 1 MiB; twice as many as the sample remembers copies. Of two keys that meet in one the last one counts.
const SLOTS: usize = 1 << 17;

/// The last time at which each key of the sample was asked for. Nothing is noted of other keys, nor waited for.
#[derive(Debug)]
pub(crate) struct Demand {
    /// Half of a key, then the lower half of the second.
    slots: Box<[AtomicU64]>,
}

impl Default for Demand {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Demand {
    /// A client asks for `key`.
    #[inline]
    pub(crate) fn note(&self, key: u128, now: Timestamp) {
        if is_sampled(key) {
            self.slot(key).store(
                (mark(key) << 32) | u64::from(now.0 as u32),
                Ordering::Relaxed,
            );
        }
    }

    /// How many seconds have begun since a client asked for `key`. `None`: nobody did, as far as is known.
    pub(crate) fn since(&self, key: u128, now: Timestamp) -> Option<u64> {
        let noted = self.slot(key).load(Ordering::Relaxed);
        let ago = (now.0 as u32).wrapping_sub(noted as u32);
        // one that was noted in the second to come, by another thread: none has begun
        let ago = if ago == u32::MAX { 0 } else { ago };
        (is_sampled(key) && noted != 0 && noted >> 32 == mark(key)).then(|| ago.into())
    }

    fn slot(&self, key: u128) -> &AtomicU64 {
        &self.slots[(key >> 52) as usize % SLOTS]
    }
}

fn mark(key: u128) -> u64 {
    (key >> 96) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_counts_and_a_key_that_is_not_in_the_sample_has_none() {
        let demand = Demand::default();
        let (sampled, other) = (7 << 96, (7 << 96) | (1 << 20));
        for key in [sampled, other] {
            assert_eq!(demand.since(key, Timestamp(100)), None);
            demand.note(key, Timestamp(40));
            demand.note(key, Timestamp(90));
        }
        for (now, ago) in [(89, 0), (90, 0), (91, 1), (150, 60)] {
            assert_eq!(demand.since(sampled, Timestamp(now)), Some(ago), "{now}");
        }
        assert_eq!(demand.since(other, Timestamp(100)), None);
        // another key in the same place
        assert_eq!(demand.since(8 << 96, Timestamp(100)), None);
    }
}
