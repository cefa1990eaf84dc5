//! A bounded map that forgets what nobody asked for lately.

use parking_lot::Mutex;
use std::collections::HashMap;

const SHARDS: usize = 16;

/// At most `max` entries. They lie in two halves: what is asked for goes to the young one, and when that is full the old
/// one is forgotten and the young one becomes old.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    shards: Vec<Mutex<Halves<V>>>,
    /// Entries of one half of a shard.
    half: usize,
}

#[derive(Debug)]
struct Halves<V> {
    young: HashMap<u128, V>,
    old: HashMap<u128, V>,
}

impl<V: Clone> Recent<V> {
    pub(crate) fn new(max: usize) -> Self {
        let shard = || {
            Mutex::new(Halves {
                young: HashMap::new(),
                old: HashMap::new(),
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            half: (max / SHARDS / 2).max(1),
        }
    }

    fn shard(&self, key: u128) -> &Mutex<Halves<V>> {
        &self.shards[(key >> 32) as usize % SHARDS]
    }

    pub(crate) fn get(&self, key: u128) -> Option<V> {
        let mut shard = self.shard(key).lock();
        if let Some(value) = shard.young.get(&key) {
            return Some(value.clone());
        }
        let value = shard.old.remove(&key)?;
        shard.put(key, value.clone(), self.half);
        Some(value)
    }

    /// Puts what `change` makes of the value that is there.
    pub(crate) fn change(&self, key: u128, change: impl FnOnce(Option<V>) -> V) {
        let mut shard = self.shard(key).lock();
        let old = shard.old.remove(&key);
        let known = shard.young.remove(&key).or(old);
        shard.put(key, change(known), self.half);
    }
}

impl<V> Halves<V> {
    fn put(&mut self, key: u128, value: V, half: usize) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let recent = Recent::new(SHARDS * 2 * 4);
        recent.change(0, |known| known.unwrap_or(7));
        for key in 1..100 {
            recent.change(key, |known: Option<u32>| known.map_or(1, |n| n + 1));
            assert_eq!(recent.get(0), Some(7));
        }
        let left = (0..100).filter(|key| recent.get(*key).is_some()).count();
        assert!(left <= 8, "{left}");
        recent.change(0, |known| known.map_or(0, |n| n + 1));
        assert_eq!(recent.get(0), Some(8));
    }
}
