//! Generations below which the heads of a key are dead.
//!
//! A head's key is stable, so an older head could come back (a disk tier that lost a race, a delete that is not safe in
//! foyer). Invalidating a key raises its minimum first; a head below it is a miss.

use parking_lot::RwLock;
use seawall_purge::Generation;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const SHARDS: usize = 64;

/// Minimum generations by key, at most `capacity` of them; beyond it a shard folds to one floor (all older heads of
/// that shard are dead: never a resurrection).
#[derive(Debug)]
pub struct MinGenerations {
    shards: Vec<RwLock<Shard>>,
    per_shard: usize,
    /// Keys and floors in force: while it is zero nothing has to be looked up.
    in_force: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    minimum: HashMap<u128, Generation>,
    floor: Option<Generation>,
}

impl MinGenerations {
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            per_shard: (capacity / SHARDS).max(1),
            in_force: AtomicUsize::new(0),
        }
    }

    fn shard(&self, key: u128) -> &RwLock<Shard> {
        &self.shards[(key >> 64) as usize % SHARDS]
    }

    /// From now on heads of `key` with a generation below `minimum` are dead.
    pub fn raise(&self, key: u128, minimum: Generation) {
        let mut shard = self.shard(key).write();
        if shard.minimum.len() >= self.per_shard && !shard.minimum.contains_key(&key) {
            let highest = shard.minimum.values().copied().chain([minimum]).max();
            shard.floor = shard.floor.max(highest);
            self.in_force
                .fetch_sub(shard.minimum.len().saturating_sub(1), Ordering::AcqRel);
            shard.minimum.clear();
            return;
        }
        let entry = shard.minimum.entry(key);
        if let std::collections::hash_map::Entry::Vacant(_) = entry {
            self.in_force.fetch_add(1, Ordering::AcqRel);
        }
        let current = entry.or_insert(minimum);
        *current = (*current).max(minimum);
    }

    /// From now on all heads with a generation below `minimum` are dead.
    pub fn raise_all(&self, minimum: Generation) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.floor = shard.floor.max(Some(minimum));
            let before = shard.minimum.len();
            shard.minimum.retain(|_, own| *own > minimum);
            let gone = before - shard.minimum.len();
            self.in_force.fetch_sub(gone, Ordering::AcqRel);
        }
        // floors are never let go
        self.in_force.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a head of `key` with `generation` may be used.
    pub fn alive(&self, key: u128, generation: Generation) -> bool {
        if self.in_force.load(Ordering::Acquire) == 0 {
            return true;
        }
        let shard = self.shard(key).read();
        shard.floor.is_none_or(|f| generation >= f)
            && shard.minimum.get(&key).is_none_or(|&m| generation >= m)
    }
}
