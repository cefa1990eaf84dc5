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
    /// Raised before the last turn.
    old: HashMap<u128, Version>,
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
        let full = shard.minimum.len() + shard.old.len() >= self.per_shard;
        if full && !shard.minimum.contains_key(&key) {
            let all = shard.minimum.values().chain(shard.old.values());
            let highest = all.copied().chain([minimum]).max();
            shard.floor = shard.floor.max(highest);
            shard.minimum.clear();
            shard.old.clear();
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
            && shard.old.get(&key).is_none_or(|&m| version >= m)
    }

    /// What was raised before the last turn is forgotten: nothing that it keeps dead is left.
    pub(crate) fn turn(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.old = std::mem::take(&mut shard.minimum);
        }
    }

    /// Tells every floor (`true`, with a key of its shard) and every minimum, one shard at a time.
    pub(crate) fn each(&self, tell: &mut dyn FnMut(bool, u128, Version)) {
        for (index, shard) in self.shards.iter().enumerate() {
            let shard = shard.read();
            if let Some(version) = shard.floor {
                tell(true, (index as u128) << 64, version);
            }
            for (&key, &version) in shard.old.iter().chain(&shard.minimum) {
                tell(false, key, version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::BootId;

    fn version(counter: u64) -> Version {
        Version::from(Generation {
            boot: BootId(1),
            counter,
        })
    }

    #[test]
    fn a_shard_that_overflows_folds_to_dead_and_never_revives() {
        let minimums = Minimums::new(SHARDS * 10);
        for key in 0..100 {
            minimums.raise(key, version(key as u64));
        }
        for key in 0..100 {
            assert!(key == 0 || !minimums.alive(key, version(key as u64 - 1)));
        }
        // others of the shard went along; other shards did not
        assert!(!minimums.alive(5000, version(50)));
        assert!(minimums.alive(1 << 64, version(0)));
        assert!(minimums.alive(5000, version(100)));
    }

    #[test]
    fn an_entry_goes_with_the_second_turn_and_no_other_sooner() {
        let minimums = Minimums::new(SHARDS * 10);
        minimums.raise(1, version(5));
        minimums.turn();
        minimums.raise(2, version(7));
        assert!(!minimums.alive(1, version(4)));
        minimums.turn();
        assert!(minimums.alive(1, version(4)));
        assert!(!minimums.alive(2, version(6)));
        // there is room again, without folding
        for key in 10..19 {
            minimums.raise(key, version(9));
        }
        assert!(minimums.alive(100, version(0)));
    }
}
