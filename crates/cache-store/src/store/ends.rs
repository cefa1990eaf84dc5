//! What becomes a miss before it is evicted: invalidated, retired, or dead as a whole.

use super::CacheStore;
use crate::durability::Durability;
use crate::key::{Entry, HeadKey};
use seawall_purge::{Generation, ScopeId};

impl CacheStore {
    /// A later generation for a copy that was `begun` earlier, will be found by all of `keys` and has these scopes; the
    /// same one where something made such copies a miss since, so that this one is none either.
    pub fn renewed(&self, keys: &[u128], scopes: &[ScopeId], begun: Generation) -> Generation {
        let _one = self.changing.lock();
        let alive = |key: &u128| self.minima.generation_alive(*key, scopes, begun);
        if keys.iter().all(alive) {
            self.next_generation()
        } else {
            begun
        }
    }

    /// Whether a copy of `generation` under `key` with these scopes, stored or on its way, has outlived all changes so far.
    pub fn survives(&self, key: u128, scopes: &[ScopeId], generation: Generation) -> bool {
        self.minima.generation_alive(key, scopes, generation)
    }

    /// Makes everything that is stored a miss, for good: durably, where there is a disk tier.
    pub fn kill_all(&self) {
        let _one = self.changing.lock();
        self.minima.kill_all(self.next_generation());
    }

    /// Makes every head stored under `key` up to now a miss. With a disk tier that is written to `minima.log` when this
    /// returns, so that a killed process does not forget it; who promises more than that to somebody waits for what is
    /// returned first. `None`: there is no disk tier to bring anything back.
    pub fn invalidate(&self, key: u128) -> Option<Durability> {
        let _one = self.changing.lock();
        self.minima.invalidate(key, self.next_generation())
    }

    /// [`Self::invalidate`], by a change whose answer is to lie under `key` in the place of what ends, and has these scopes:
    /// with its generation. `None`: another change has made such copies a miss since it was `begun`, and which of the two
    /// its server made last is not known.
    pub fn succeed(
        &self,
        key: u128,
        scopes: &[ScopeId],
        begun: Generation,
    ) -> (Option<Generation>, Option<Durability>) {
        let _one = self.changing.lock();
        let alive = self.minima.generation_alive(key, scopes, begun);
        let durability = self.minima.invalidate(key, self.next_generation());
        (alive.then(|| self.next_generation()), durability)
    }

    /// Makes every head stored up to now a miss that carries one of `scopes`; as durable as by [`Self::invalidate`].
    pub fn invalidate_scopes(&self, scopes: &[ScopeId]) -> Option<Durability> {
        let _one = self.changing.lock();
        self.minima
            .invalidate_scopes(scopes, self.next_generation())
    }

    /// Makes the head in the slot of `variant` a miss for good if it is of `generation` or an older one: a part of that
    /// copy is lost, or it is known to be outdated. Newer ones and other variants stay.
    pub fn retire(&self, key: u128, variant: u64, generation: Generation) {
        let slot = HeadKey {
            primary: key,
            variant,
        };
        let _one = self.lock(key).lock();
        if let Some(disk) = &self.disk
            && disk.may_hold_head(&slot)
        {
            let counter = generation.counter + 1;
            let next = Generation {
                counter,
                ..generation
            };
            self.supersede(disk, slot, next.into());
        }
        if let Some(Entry::Head(head)) = self.entry(key, variant)
            && head.generation() <= generation
        {
            self.heads.remove(&slot);
        }
    }
}
