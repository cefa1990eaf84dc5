//! Keys whose answers were not storable: nobody queues behind such a fill again for a while.

use parking_lot::Mutex;
use seawall_http_cache::Timestamp;
use std::collections::HashMap;

const SHARDS: usize = 16;
const PER_SHARD_MAX: usize = 4096;
/// How long a key is remembered, in seconds: an origin that changes its mind waits this long for coalescing.
const REMEMBER_SECS: u64 = 120;

/// Under which a key is remembered whose answers are not storable for requests with `Authorization`: that says nothing of
/// other clients' requests.
pub(crate) fn with_credentials(key: u128) -> u128 {
    key ^ 0x6372_6564_656e_7469_616c_735f_6f6e_6c79
}

/// Under which a key is remembered of which parts cannot be stored. That says nothing of requests for the whole.
pub(crate) fn in_parts(key: u128) -> u128 {
    key ^ 0x696e_5f70_6172_7473_6e6f_745f_7374_6f72
}

/// At most 65,536 keys; when a shard is full its expired entries go, then all of it.
#[derive(Debug, Default)]
pub(crate) struct Unstorable {
    shards: [Mutex<HashMap<u128, Timestamp>>; SHARDS],
}

impl Unstorable {
    fn shard(&self, key: u128) -> &Mutex<HashMap<u128, Timestamp>> {
        &self.shards[(key >> 32) as usize % SHARDS]
    }

    pub(crate) fn remember(&self, key: u128, now: Timestamp) {
        let mut shard = self.shard(key).lock();
        if shard.len() >= PER_SHARD_MAX {
            shard.retain(|_, until| *until > now);
            if shard.len() >= PER_SHARD_MAX {
                shard.clear();
            }
        }
        shard.insert(key, now.plus(REMEMBER_SECS));
    }

    /// A storable answer came after all.
    pub(crate) fn forget(&self, key: u128) {
        self.shard(key).lock().remove(&key);
    }

    pub(crate) fn contains(&self, key: u128, now: Timestamp) -> bool {
        self.shard(key)
            .lock()
            .get(&key)
            .is_some_and(|until| *until > now)
    }
}
