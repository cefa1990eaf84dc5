//! What lies under a key, for people: nothing that is stored changes by it.

use crate::head::{Coding, Head, Recoding};
use crate::key::{Entry, HeadKey};
use crate::store::{CacheStore, VARIANT_NONE, recoded_variant};
use seawall_http_cache::Fields;
use std::sync::Arc;

/// A copy as it lies.
#[derive(Clone, Debug)]
pub struct Kept {
    pub variant: u64,
    pub head: Arc<Head>,
    pub place: Place,
    /// What was made of its content, and lies beside it.
    pub recoded: Vec<Recoded>,
}

/// Another coding of a copy.
#[derive(Clone, Debug)]
pub struct Recoded {
    pub recoding: Recoding,
    pub head: Arc<Head>,
    pub place: Place,
}

/// Where a copy's head was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Memory,
    Disk,
}

/// What lies under a key.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The copy that the request selects stands first, then those that were stored last.
    pub copies: Vec<Kept>,
    /// The first one is selected by the request.
    pub selected: bool,
    /// Responses under the key vary: it may have copies of which none is selected.
    pub varies: bool,
    /// Copies that may lie on a disk and were not read.
    pub unread: usize,
}

impl CacheStore {
    /// The copies under `key`, and which of them `request` selects, as a lookup and a recall would. At most `reads_max`
    /// heads come from disks, and they do not come to memory.
    pub async fn view(&self, key: u128, request: &(dyn Fields + Sync), reads_max: usize) -> View {
        let mut reads = reads_max;
        let mut view = self.copies(key, request, &mut reads).await;
        for kept in &mut view.copies {
            let unread = &mut view.unread;
            kept.recoded = self.beside(key, kept, &mut reads, unread).await;
        }
        view
    }

    async fn copies(&self, key: u128, request: &(dyn Fields + Sync), reads: &mut usize) -> View {
        let mut view = View::default();
        let first = self.peek(key, VARIANT_NONE, reads, &mut view.unread).await;
        let variants = match first {
            None => return view,
            Some((Entry::Head(head), place)) => {
                view.copies.push(Kept {
                    variant: VARIANT_NONE,
                    head,
                    place,
                    recoded: Vec::new(),
                });
                view.selected = true;
                return view;
            }
            Some((Entry::Variants(variants), _)) => variants,
        };
        view.varies = true;
        let candidates: Vec<u64> = variants.candidates(request).collect();
        let others = variants.parts().1.iter().copied();
        let others = others.filter(|variant| !candidates.contains(variant));
        let mut seen: Vec<u64> = Vec::new();
        for variant in candidates.iter().copied().chain(others) {
            if seen.contains(&variant) {
                continue;
            }
            seen.push(variant);
            let found = self.peek(key, variant, reads, &mut view.unread).await;
            if let Some((Entry::Head(head), place)) = found {
                view.copies.push(Kept {
                    variant,
                    head,
                    place,
                    recoded: Vec::new(),
                });
            }
        }
        // a disk is asked only where memory has none; of several the most recent one counts
        let rank = |kept: &Kept| (kept.place == Place::Memory, kept.head.recency());
        let selected = view.copies.iter().enumerate();
        let selected = selected.filter(|(_, kept)| candidates.contains(&kept.variant));
        if let Some((at, _)) = selected.max_by_key(|(_, kept)| rank(kept)) {
            let kept = view.copies.remove(at);
            view.copies.insert(0, kept);
            view.selected = true;
        }
        view
    }

    /// The codings that lie beside a copy.
    async fn beside(
        &self,
        key: u128,
        kept: &Kept,
        reads: &mut usize,
        unread: &mut usize,
    ) -> Vec<Recoded> {
        let mut beside = Vec::new();
        for &recoding in Recoding::all_of(kept.head.coding()) {
            let variant = recoded_variant(kept.variant, recoding);
            let Some((Entry::Head(head), place)) = self.peek(key, variant, reads, unread).await
            else {
                continue;
            };
            if matches!(head.coding(), Coding::Recoded(of, generation, _)
                if of == recoding && generation == kept.head.generation())
            {
                beside.push(Recoded {
                    recoding,
                    head,
                    place,
                });
            }
        }
        beside
    }

    /// What lies in a slot and is not dead. Where only a disk may have it, one of `reads` is used up; without any it is
    /// `unread`.
    async fn peek(
        &self,
        key: u128,
        variant: u64,
        reads: &mut usize,
        unread: &mut usize,
    ) -> Option<(Entry, Place)> {
        if let Some(entry) = self.entry(key, variant) {
            return self.is_alive(key, &entry).then_some((entry, Place::Memory));
        }
        let slot = HeadKey {
            primary: key,
            variant,
        };
        let disk = self.disk_of(&slot)?;
        if *reads == 0 {
            *unread += 1;
            return None;
        }
        *reads -= 1;
        let Ok(loaded) = disk.load_head(slot).await else {
            return None;
        };
        let entry = loaded.value;
        (self.is_alive(key, &entry) && self.is_current(slot, &entry))
            .then_some((entry, Place::Disk))
    }
}
