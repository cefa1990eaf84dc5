//! Heads come into the store: put, refreshed and moved, each with what older ones in its place are then.

use super::{CacheStore, VARIANT_NONE, version_of};
use crate::disk::tier::Tier;
use crate::head::Head;
use crate::key::{Entry, HeadKey};
use crate::minimum::Version;
use crate::variants::digest_of;
use http::HeaderName;
use seawall_http_cache::Fields;
use std::sync::Arc;

impl CacheStore {
    /// Stores `head` as the answer to requests that agree with `request` in the fields `names`. Returns its variant.
    pub fn insert(
        &self,
        key: u128,
        names: &[HeaderName],
        request: &dyn Fields,
        head: Arc<Head>,
    ) -> u64 {
        let variant = self.with_variants(key, !names.is_empty(), |variants| {
            let digest = digest_of(names, request);
            variants.add_list(names);
            variants.add_variant(digest);
            digest
        });
        let variant = variant.unwrap_or(VARIANT_NONE);
        self.sample.note(key, variant, &head);
        self.put_newest(key, variant, head);
        variant
    }

    /// Of two answers that go to one place the one that was asked for later stays, whichever came first.
    fn put_newest(&self, key: u128, variant: u64, head: Arc<Head>) {
        let slot = HeadKey {
            primary: key,
            variant,
        };
        let _one = self.lock(key).lock();
        match self.entry(key, variant) {
            Some(Entry::Head(current)) => {
                let later = current.generation > head.generation;
                if later && self.minima.alive(key, &current) {
                    return;
                }
            }
            _ if !self.minima.current(slot, version_of(&head)) => return,
            _ => {}
        }
        match &self.disk {
            Some(disk) => self.put_head(disk, slot, head),
            None => {
                self.heads.insert(slot, Entry::Head(head));
            }
        }
    }

    /// Moves a refreshed head from `old` to where `names` select it now, as [`CacheStore::insert`] does. `None`: another
    /// head lies in its old place by now, or it was retired; nothing changes then.
    pub fn refile(
        &self,
        key: u128,
        old: u64,
        names: &[HeaderName],
        request: &dyn Fields,
        head: Arc<Head>,
    ) -> Option<u64> {
        let slot = HeadKey {
            primary: key,
            variant: old,
        };
        {
            let _one = self.lock(key).lock();
            match self.entry(key, old)? {
                Entry::Head(current) if current.generation == head.generation => {}
                _ => return None,
            }
            if !self.minima.current(slot, version_of(&head)) {
                return None;
            }
        }
        self.retire(key, old, head.generation);
        Some(self.insert(key, names, request, head))
    }

    /// Puts a newer head (refreshed by a validation, or a coding) where `variant` says.
    pub fn replace(&self, key: u128, variant: u64, head: Arc<Head>) {
        let slot = HeadKey {
            primary: key,
            variant,
        };
        let Some(disk) = &self.disk else {
            self.heads.insert(slot, Entry::Head(head));
            return;
        };
        let _one = self.lock(key).lock();
        self.put_head(disk, slot, head);
    }

    /// With the key's lock held: an older head in `slot` may lie on the disk and come back, so it is declared dead
    /// first.
    pub(super) fn put_head(&self, disk: &Tier, slot: HeadKey, head: Arc<Head>) {
        let version = version_of(&head);
        // The same generation refreshed, after it expired: should the older one come back it is as expired as it was.
        let refreshed = match self.heads.get(&slot).as_deref() {
            Some(Entry::Head(old)) => {
                old.generation == head.generation && old.freshness.ttl(head.freshness.received) <= 0
            }
            _ => false,
        };
        if !refreshed && disk.may_hold_head(&slot) {
            self.supersede(disk, slot, version);
        }
        disk.offer_head(self.heads.insert(slot, Entry::Head(head)));
    }

    /// Declares what lies on the disk in `slot` below `minimum` dead, for as long as it can be there.
    pub(super) fn supersede(&self, disk: &Tier, slot: HeadKey, minimum: Version) {
        if disk.turned() {
            self.minima.turn();
        }
        self.minima.supersede(slot, minimum);
    }

    /// Puts a refreshed head in the place of its own generation; another one, which was stored meanwhile, stays.
    pub fn refresh(&self, key: u128, variant: u64, head: Arc<Head>) {
        let slot = HeadKey {
            primary: key,
            variant,
        };
        let _one = self.lock(key).lock();
        match self.entry(key, variant) {
            Some(Entry::Head(current)) if current.generation != head.generation => return,
            Some(Entry::Variants(_)) => return,
            Some(Entry::Head(_)) => {}
            // retired, or replaced and evicted, while it was being validated
            None if self.disk.is_none() || !self.minima.current(slot, version_of(&head)) => return,
            None => {}
        }
        match &self.disk {
            Some(disk) => self.put_head(disk, slot, head),
            None => {
                self.heads.insert(slot, Entry::Head(head));
            }
        }
    }

    /// More of the body of `head` has come: its checksums go to the disk with it. Nothing is done if another head lies
    /// there by now.
    pub fn note_progress(&self, key: u128, variant: u64, head: &Head) {
        let Some(disk) = &self.disk else {
            return;
        };
        let slot = HeadKey {
            primary: key,
            variant,
        };
        let _one = self.lock(key).lock();
        if let Some(entry) = self.heads.get(&slot)
            && matches!(entry.value(), Entry::Head(now) if version_of(now) == version_of(head))
        {
            // of the same version: which of both comes back from the disk makes no difference but in what is held
            disk.offer_head(entry);
        }
    }
}
