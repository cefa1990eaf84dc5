//! What a disk has of a key comes to memory, where lookups find it.

use super::{CacheStore, VARIANT_NONE, recoded_variant, version_of};
use crate::disk::tier::Tier;
use crate::head::{Head, Recoding};
use crate::key::{Entry, HeadKey};
use seawall_http_cache::Fields;

impl CacheStore {
    /// Whether there is a disk tier that [`Self::recall`] could find something on.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// After a [`Self::lookup`] that found nothing for `request`: brings what the disk has of `key` to memory, so that
    /// another lookup may find a copy. Returns whether anything came. A key that no disk knows costs no I/O and no wait.
    ///
    /// May be awaited on any runtime and dropped at any time. Who asks for the same record meanwhile shares the read.
    pub async fn recall(&self, key: u128, request: &(dyn Fields + Sync)) -> bool {
        let Some(disk) = &self.disk else {
            return false;
        };
        let first = match self.entry(key, VARIANT_NONE) {
            None => match self.recall_slot(disk, key, VARIANT_NONE).await {
                Some(entry) => entry,
                None => return false,
            },
            Some(entry) => entry,
        };
        let variants = match first {
            Entry::Head(head) => {
                if !self.minima.alive(key, &head) {
                    return false;
                }
                self.sample.note(key, VARIANT_NONE, &head);
                self.recall_recoded(disk, key, VARIANT_NONE, &head).await;
                return true;
            }
            Entry::Variants(variants) => variants,
        };
        let candidates: Vec<u64> = variants.candidates(request).collect();
        // all of them, eight at most: which is the most recent is seen when they are there
        let mut found = false;
        for variant in candidates {
            let head = match self.exact(key, variant) {
                Some(head) => head,
                None => match self.recall_slot(disk, key, variant).await {
                    Some(Entry::Head(head)) => {
                        self.sample.note(key, variant, &head);
                        head
                    }
                    _ => continue,
                },
            };
            self.recall_recoded(disk, key, variant, &head).await;
            found = true;
        }
        found
    }

    /// The codings beside a copy come along, or they would be made again.
    async fn recall_recoded(&self, disk: &Tier, key: u128, variant: u64, head: &Head) {
        for &recoding in Recoding::all_of(head.coding()) {
            let recoded = recoded_variant(variant, recoding);
            if self.entry(key, recoded).is_none() {
                self.recall_slot(disk, key, recoded).await;
            }
        }
    }

    /// Brings one slot to memory. `None`: the disk has nothing there that may be used.
    async fn recall_slot(&self, disk: &Tier, key: u128, variant: u64) -> Option<Entry> {
        let slot = HeadKey {
            primary: key,
            variant,
        };
        if !disk.may_load_head(&slot) {
            return None;
        }
        let loaded = disk.load_head(slot).await.ok()?;
        // From here on nothing else is put under the key: what memory holds by now is newer, and what was replaced since
        // has its minimum. A head that is older than the one last put here is below that minimum, whether it was read
        // just before it was replaced or foyer brought it back after a restart.
        let _one = self.lock(key).lock();
        if let Some(entry) = self.entry(key, variant) {
            return Some(entry);
        }
        if let Entry::Head(head) = &loaded.value
            && !(self.minima.alive(key, head) && self.minima.current(slot, version_of(head)))
        {
            return None;
        }
        let entry = self.heads.insert(slot, loaded.value.clone());
        if loaded.leaving {
            disk.offer_head(entry);
        }
        Some(loaded.value)
    }
}
