//! The part of the log that nodes are being told: each purge read from the store and encoded once for all of them.
//!
//! Nodes have their own cursors. What is kept are blocks of the log, those that were used last; so nodes that catch up at
//! about the same time share them, wherever they are, and the newest block is everybody's.

use crate::record::PurgeRecord;
use crate::store::{Store, StoreError};
use parking_lot::Mutex;
use seawall_control_protocol::purges::{BATCH_MAX, EncodedPurge};
use seawall_purge::{Epoch, PurgeSeq};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Purges of a block.
const BLOCK: u64 = BATCH_MAX as u64;
/// Bytes of all blocks together: some 400,000 purges of one scope, or 7,000 of the largest.
const BYTES_MAX: usize = 64 << 20;
/// Bytes of a purge beside its field: where it stands in its block, its two allocations, and what counts its users.
const AROUND: usize = size_of::<EncodedPurge>() + 64;

pub(crate) struct Window {
    bytes_max: usize,
    kept: Mutex<Kept>,
    /// Held by the one who reads from the store: the others find there what they wait for.
    filling: tokio::sync::Mutex<()>,
    encoded: AtomicU64,
}

#[derive(Default)]
struct Kept {
    epoch: Epoch,
    /// By the position of their first purge, counted in blocks.
    blocks: BTreeMap<u64, Block>,
    bytes: usize,
    /// Counts uses: the block whose last one is the longest ago goes first.
    uses: u64,
}

/// Consecutive purges; one that the log's trimming reached begins within.
#[derive(Default)]
struct Block {
    purges: Vec<EncodedPurge>,
    bytes: usize,
    used: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX,
            kept: Mutex::default(),
            filling: tokio::sync::Mutex::default(),
            encoded: AtomicU64::new(0),
        }
    }
}

impl Window {
    /// Some purges after a position, consecutive, at most `max`; none where it is the head. As the store's own read, and
    /// never one beyond the head that the store tells: readers may see a commit a moment before it is told of.
    pub(crate) async fn read(
        &self,
        store: &dyn Store,
        after: PurgeSeq,
        max: usize,
    ) -> Result<Vec<EncodedPurge>, StoreError> {
        let current = store.head().await?.at;
        if current == after {
            return Ok(Vec::new());
        }
        if current.epoch != after.epoch {
            let current = current.epoch;
            return Err(StoreError::OtherEpoch { current });
        }
        if current.n < after.n {
            return Err(StoreError::Beyond { head: current });
        }
        if let Some(found) = self.kept.lock().after(after, max) {
            return Ok(found);
        }
        let _one = self.filling.lock().await;
        if let Some(found) = self.kept.lock().after(after, max) {
            return Ok(found);
        }
        let end = current.n.min((after.n / BLOCK + 1) * BLOCK);
        let begin = self.kept.lock().begin(after);
        let read = async |from: u64| {
            let from = PurgeSeq::new(after.epoch, from);
            encode(store, from, (end - from.n) as usize).await
        };
        let mut purges = read(begin).await;
        let reaches = |purges: &Vec<EncodedPurge>| purges.last().is_some_and(|l| l.at.n > after.n);
        if begin < after.n && !purges.as_ref().is_ok_and(reaches) {
            // what stands before `after` in its block is of no matter here: it may be trimmed, or damaged
            purges = read(after.n).await;
        }
        let purges = purges?;
        self.encoded
            .fetch_add(purges.len() as u64, Ordering::Relaxed);
        let mut kept = self.kept.lock();
        kept.take_in(after, purges, self.bytes_max);
        // nothing, where there is more, would be asked for again at once
        kept.after(after, max).ok_or(StoreError::Unavailable)
    }

    /// Purges that were encoded since the start.
    #[cfg(test)]
    pub(crate) fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }
}

/// Reads purges and encodes them: those before the first that cannot be read, where there are any.
async fn encode(
    store: &dyn Store,
    after: PurgeSeq,
    max: usize,
) -> Result<Vec<EncodedPurge>, StoreError> {
    let records = store.read(after, max).await?;
    let mut purges = Vec::with_capacity(records.len());
    for record in &records {
        match PurgeRecord::decode(record) {
            Ok(purge) => purges.push(EncodedPurge::from(&purge.purge(record))),
            Err(error) if purges.is_empty() => return Err(error),
            // who comes to it is told
            Err(_) => break,
        }
    }
    Ok(purges)
}

impl Kept {
    /// `None`: none of it is here.
    fn after(&mut self, after: PurgeSeq, max: usize) -> Option<Vec<EncodedPurge>> {
        if self.epoch != after.epoch {
            return None;
        }
        let block = self.blocks.get_mut(&(after.n / BLOCK))?;
        let first = block.purges.first()?.at.n;
        let skip = (after.n + 1).checked_sub(first)?;
        let found = block.purges.get(skip as usize..)?;
        self.uses += 1;
        block.used = self.uses;
        (!found.is_empty()).then(|| found[..found.len().min(max)].to_vec())
    }

    /// After which position the block of `after` is to be read on: where what is here of it ends, or its beginning.
    fn begin(&self, after: PurgeSeq) -> u64 {
        let block = self.blocks.get(&(after.n / BLOCK));
        let last = block.and_then(|block| block.purges.last());
        match last {
            Some(last) if self.epoch == after.epoch && last.at.n <= after.n => last.at.n,
            _ => after.n / BLOCK * BLOCK,
        }
    }

    /// Takes in what was read for `after`: the rest of its block, or the block anew.
    fn take_in(&mut self, after: PurgeSeq, purges: Vec<EncodedPurge>, bytes_max: usize) {
        let Some(first) = purges.first().map(|purge| purge.at) else {
            return;
        };
        if self.epoch != first.epoch {
            *self = Self::default();
            self.epoch = first.epoch;
        }
        let block = self.blocks.entry(after.n / BLOCK).or_default();
        let follows = block
            .purges
            .last()
            .is_some_and(|last| last.at.n + 1 == first.n);
        if !follows {
            self.bytes -= block.bytes;
            *block = Block::default();
        }
        let bytes: usize = purges.iter().map(|p| p.bytes() + AROUND).sum();
        block.purges.extend(purges);
        block.bytes += bytes;
        self.bytes += bytes;
        self.uses += 1;
        block.used = self.uses;
        while self.bytes > bytes_max && self.blocks.len() > 1 {
            let oldest = self.blocks.iter().min_by_key(|(_, block)| block.used);
            let Some(index) = oldest.map(|(index, _)| *index) else {
                break;
            };
            if let Some(gone) = self.blocks.remove(&index) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests;
