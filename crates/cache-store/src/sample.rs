//! A sample of the stored keys, to tell what a purge would take away before it does.

use crate::head::Head;
use parking_lot::Mutex;
use seawall_purge::ScopeId;
use std::collections::{HashMap, HashSet, VecDeque};

/// One key in so many is in the sample, chosen by the key itself, so that all nodes choose the same ones.
pub(crate) const ONE_IN: u32 = 64;
/// Copies of the sample that are remembered; beyond it the oldest ones are let go (some 4 M copies on the node).
const REMEMBERED_MAX: usize = 65_536;

/// What a purge would take away, in the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SampleCount {
    pub one_in: u32,
    /// Copies that would go, and the bytes of their bodies.
    pub objects: u64,
    pub bytes: u64,
    /// The sum of the squares of these bodies' bytes, which tells how far `bytes` may be from the truth.
    pub bytes_squared: f64,
    /// Copies in the sample.
    pub sampled: u64,
    /// Keys of copies that would go, and that clients asked for in this second or the one before.
    pub asked_second: u64,
    /// The same of this second and the sixty before.
    pub asked_minute: u64,
    /// There may be copies on disk from before this start that nobody asked for since: the sample lacks those.
    pub partial: bool,
}

/// Other bits than those that choose shards and owners.
#[inline]
pub(crate) fn is_sampled(key: u128) -> bool {
    ((key >> 20) as u32).is_multiple_of(ONE_IN)
}

#[derive(Debug)]
struct Noted {
    scopes: Box<[ScopeId]>,
    bytes: u64,
}

/// The sample.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    noted: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    by_copy: HashMap<(u128, u64), Noted>,
    order: VecDeque<(u128, u64)>,
}

impl Sample {
    /// Remembers a copy, if its key is in the sample.
    pub(crate) fn note(&self, key: u128, variant: u64, head: &Head) {
        if !is_sampled(key) {
            return;
        }
        let mut notes = self.noted.lock();
        let noted = Noted {
            scopes: head.scopes().into(),
            bytes: head.length,
        };
        if notes.by_copy.insert((key, variant), noted).is_none() {
            notes.order.push_back((key, variant));
        }
        while notes.by_copy.len() > REMEMBERED_MAX {
            let Some(oldest) = notes.order.pop_front() else {
                break;
            };
            notes.by_copy.remove(&oldest);
        }
    }

    /// Counts the copies with any of `scopes` that are `still` stored; those that are not are forgotten. `asked`: how many
    /// seconds have begun since a key was asked for.
    pub(crate) fn count(
        &self,
        scopes: &[ScopeId],
        still: impl Fn(u128, u64) -> bool,
        asked: impl Fn(u128) -> Option<u64>,
    ) -> SampleCount {
        let mut notes = self.noted.lock();
        let Notes { by_copy, order } = &mut *notes;
        by_copy.retain(|(key, variant), _| still(*key, *variant));
        order.retain(|copy| by_copy.contains_key(copy));
        let named: HashSet<&ScopeId> = scopes.iter().collect();
        let mut count = SampleCount {
            one_in: ONE_IN,
            sampled: by_copy.len() as u64,
            ..SampleCount::default()
        };
        let mut keys = HashSet::new();
        for ((key, _), noted) in by_copy {
            if noted.scopes.iter().any(|scope| named.contains(scope)) {
                count.objects += 1;
                count.bytes += noted.bytes;
                count.bytes_squared += (noted.bytes as f64).powi(2);
                // variants share a key: which of them was asked for is not noted
                let ago = keys.insert(*key).then(|| asked(*key)).flatten();
                count.asked_second += u64::from(ago.is_some_and(|ago| ago <= 1));
                count.asked_minute += u64::from(ago.is_some_and(|ago| ago <= 60));
            }
        }
        count
    }
}
