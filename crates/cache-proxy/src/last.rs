//! What became of the last requests of a key, for people who ask why.
//!
//! Plain fresh hits are not noted: they leave no more than a count, and this costs a lock.

use ahash::AHashMap;
use http::Method;
use parking_lot::Mutex;
use seawall_control_protocol::explain::DECISIONS_MAX;
use seawall_http_cache::{Forward, Outcome};
use std::borrow::Cow;
use std::collections::VecDeque;

const SHARDS: usize = 16;
/// 4096 keys in all; a further one takes the place of the one that was noted first.
const KEYS_PER_SHARD: usize = 256;
const PER_KEY: usize = 4;
const _: () = assert!(PER_KEY <= DECISIONS_MAX);

/// What became of one request.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    /// Milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    pub(crate) method: Method,
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    pub(crate) forward: Option<Forward>,
    pub(crate) forward_status: Option<u16>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) detail: Option<Cow<'static, str>>,
}

#[derive(Debug, Default)]
struct Shard {
    /// Newest first.
    by_key: AHashMap<u128, VecDeque<Decided>>,
    /// The keys, the one that was noted first in front.
    order: VecDeque<u128>,
}

#[derive(Debug, Default)]
pub(crate) struct Last {
    shards: [Mutex<Shard>; SHARDS],
}

impl Last {
    fn shard(&self, key: u128) -> &Mutex<Shard> {
        &self.shards[(key >> 96) as usize % SHARDS]
    }

    pub(crate) fn note(&self, key: u128, decided: Decided) {
        let mut shard = self.shard(key).lock();
        let Shard { by_key, order } = &mut *shard;
        if let Some(of_key) = by_key.get_mut(&key) {
            of_key.truncate(PER_KEY - 1);
            of_key.push_front(decided);
            return;
        }
        let mut of_key = VecDeque::new();
        if order.len() >= KEYS_PER_SHARD
            && let Some(first) = order.pop_front()
        {
            // its memory is used again
            of_key = by_key.remove(&first).unwrap_or_default();
            of_key.clear();
        }
        of_key.push_front(decided);
        order.push_back(key);
        by_key.insert(key, of_key);
    }

    /// Newest first.
    pub(crate) fn of(&self, key: u128) -> Vec<Decided> {
        let shard = self.shard(key).lock();
        let of_key = shard.by_key.get(&key).into_iter().flatten();
        of_key.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(at_ms: u64) -> Decided {
        Decided {
            at_ms,
            method: Method::GET,
            outcome: Outcome::Miss,
            status: 200,
            forward: Some(Forward::UriMiss),
            forward_status: Some(200),
            stored: true,
            collapsed: false,
            detail: None,
        }
    }

    #[test]
    fn the_last_decisions_of_the_last_keys_are_kept() {
        let last = Last::default();
        for at_ms in 0..9 {
            last.note(7, decided(at_ms));
        }
        let times: Vec<u64> = last.of(7).iter().map(|d| d.at_ms).collect();
        assert_eq!(times, [8, 7, 6, 5]);
        // all of one shard
        for key in 0..KEYS_PER_SHARD as u128 {
            last.note(1000 + key, decided(1));
        }
        assert!(last.of(7).is_empty());
        assert_eq!(last.of(1000).len(), 1);
        let held = last.shard(7).lock();
        assert_eq!(held.by_key.len(), KEYS_PER_SHARD);
        assert_eq!(held.order.len(), KEYS_PER_SHARD);
    }
}
