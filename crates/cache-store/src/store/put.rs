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

/// Whether `refreshed` was made from `current`.
fn is_next(current: &Head, refreshed: &Head) -> bool {
    current.generation() == refreshed.generation()
        && current.revision.wrapping_add(1) == refreshed.revision
}

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
                let later = current.generation() > head.generation();
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
                Entry::Head(current) if is_next(&current, &head) => {}
                _ => return None,
            }
            if !self.minima.current(slot, version_of(&head)) {
                return None;
            }
        }
        self.retire(key, old, head.generation());
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
                old.generation() == head.generation()
                    && old.freshness().ttl(head.freshness().received) <= 0
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

    /// Puts a refreshed head in the place of the one that it was made from, the revision before its own. Another one,
    /// which was stored or refreshed meanwhile, stays: what that one has learned, as what it can be purged by, is not
    /// taken back. Says whether it was put.
    pub fn refresh(&self, key: u128, variant: u64, head: Arc<Head>) -> bool {
        let slot = HeadKey {
            primary: key,
            variant,
        };
        let _one = self.lock(key).lock();
        match self.entry(key, variant) {
            Some(Entry::Head(current)) if is_next(&current, &head) => {}
            Some(_) => return false,
            // retired, or replaced and evicted, while it was being validated
            None if self.disk.is_none() || !self.minima.current(slot, version_of(&head)) => {
                return false;
            }
            None => {}
        }
        match &self.disk {
            Some(disk) => self.put_head(disk, slot, head),
            None => {
                self.heads.insert(slot, Entry::Head(head));
            }
        }
        true
    }

    /// More of the body of `head` has come: its checksums, which are those of all heads of its generation, go to the disk
    /// with the head that lies there. Nothing is done if that is of another generation.
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
            && matches!(entry.value(), Entry::Head(now) if now.generation() == head.generation())
        {
            // the same again: which of both comes back from the disk makes no difference but in what is held
            disk.offer_head(entry);
        }
    }
}
