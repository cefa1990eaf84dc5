//! Versions below which the heads of a key are dead.
//!
//! A head's key is stable, so an older head could come back (a disk tier that lost a race, a delete that is not safe in
//! foyer). Invalidating or replacing a head raises its minimum first; a head below it is a miss.

use parking_lot::RwLock;
use seawall_purge::Generation;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

const SHARDS: usize = 64;

/// A head's place in the order of the heads of its key: by generation, then by refreshments of the generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub generation: Generation,
    pub revision: u32,
}

impl From<Generation> for Version {
    fn from(generation: Generation) -> Self {
        Self {
            generation,
            revision: 0,
        }
    }
}

/// Minimum versions by key, at most `capacity` of them; beyond it a shard folds to one floor (all older heads of that
/// shard are dead: never a resurrection).
#[derive(Debug)]
pub struct Minimums {
    shards: Vec<RwLock<Shard>>,
    per_shard: usize,
    /// While nothing was ever raised nothing has to be looked up.
    in_force: AtomicBool,
}

#[derive(Debug, Default)]
struct Shard {
    minimum: HashMap<u128, Version>,
    floor: Option<Version>,
}

impl Minimums {
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            per_shard: (capacity / SHARDS).max(1),
            in_force: AtomicBool::new(false),
        }
    }

    fn shard(&self, key: u128) -> &RwLock<Shard> {
        &self.shards[(key >> 64) as usize % SHARDS]
    }

    /// From now on heads of `key` below `minimum` are dead.
    pub fn raise(&self, key: u128, minimum: Version) {
        let mut shard = self.shard(key).write();
        self.in_force.store(true, Ordering::Release);
        if shard.minimum.len() >= self.per_shard && !shard.minimum.contains_key(&key) {
            let highest = shard.minimum.values().copied().chain([minimum]).max();
            shard.floor = shard.floor.max(highest);
            shard.minimum.clear();
            return;
        }
        let current = shard.minimum.entry(key).or_insert(minimum);
        *current = (*current).max(minimum);
    }

    /// From now on every head below `floor` is dead that falls into the same shard as `key`.
    pub fn raise_floor(&self, key: u128, floor: Version) {
        let mut shard = self.shard(key).write();
        self.in_force.store(true, Ordering::Release);
        shard.floor = shard.floor.max(Some(floor));
    }

    /// A key of each shard.
    pub(crate) fn shard_keys() -> impl Iterator<Item = u128> {
        (0..SHARDS).map(|shard| (shard as u128) << 64)
    }

    /// From now on every head below `floor` is dead.
    pub fn raise_floors(&self, floor: Version) {
        for key in Self::shard_keys() {
            self.raise_floor(key, floor);
        }
    }

    /// Whether a head of `key` at `version` may be used.
    #[inline]
    pub fn alive(&self, key: u128, version: Version) -> bool {
        if !self.in_force.load(Ordering::Acquire) {
            return true;
        }
        let shard = self.shard(key).read();
        shard.floor.is_none_or(|floor| version >= floor)
            && shard.minimum.get(&key).is_none_or(|&m| version >= m)
    }

    /// Tells every floor (`true`, with a key of its shard) and every minimum, one shard at a time.
    pub(crate) fn each(&self, tell: &mut dyn FnMut(bool, u128, Version)) {
        for (index, shard) in self.shards.iter().enumerate() {
            let shard = shard.read();
            if let Some(version) = shard.floor {
                tell(true, (index as u128) << 64, version);
            }
            for (&key, &version) in &shard.minimum {
                tell(false, key, version);
            }
        }
    }
}
