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
/// Bytes of all blocks together: some 700,000 purges of one scope, or 8,000 of the largest.
const BYTES_MAX: usize = 64 << 20;

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
    /// Some purges after a position, consecutive, at most `max`; none where it is the head. As the store's own read.
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
            // a commit can be read a moment before the head tells of it: the store's own word counts
            return store.read(after, 1).await.map(|_| Vec::new());
        }
        if let Some(found) = self.kept.lock().after(after, max) {
            return Ok(found);
        }
        let _one = self.filling.lock().await;
        if let Some(found) = self.kept.lock().after(after, max) {
            return Ok(found);
        }
        let end = (after.n / BLOCK + 1) * BLOCK;
        let begin = self.kept.lock().begin(after);
        let read = |from: u64| store.read(PurgeSeq::new(after.epoch, from), (end - from) as usize);
        let records = match read(begin).await {
            // of a block that the log no longer keeps whole
            Err(StoreError::Trimmed { .. }) if begin < after.n => read(after.n).await?,
            read => read?,
        };
        let mut purges = Vec::with_capacity(records.len());
        for record in &records {
            let purge = PurgeRecord::decode(record)?.purge(record);
            purges.push(EncodedPurge::from(&purge));
        }
        self.encoded
            .fetch_add(purges.len() as u64, Ordering::Relaxed);
        let mut kept = self.kept.lock();
        kept.take_in(after, purges, self.bytes_max);
        Ok(kept.after(after, max).unwrap_or_default())
    }

    /// Purges that were encoded since the start.
    #[cfg(test)]
    pub(crate) fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }
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
        let bytes: usize = purges.iter().map(EncodedPurge::bytes).sum();
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
mod tests {
    use super::*;
    use crate::store::{Entry, IdempotencyKey, MemoryStore, Term};
    use std::sync::Arc;

    const EPOCH: Epoch = Epoch(3);
    const PURGES: u64 = 4_321;

    fn at(n: u64) -> PurgeSeq {
        PurgeSeq::new(EPOCH, n)
    }

    async fn append(store: &dyn Store, count: u64, scopes: usize) {
        let record = PurgeRecord {
            soft: false,
            scopes: vec![u64::MAX; scopes],
            named: crate::record::Named::default(),
            by: "ci".into(),
            by_token: None,
            by_node: None,
            more: 0,
        };
        let entry = Entry {
            body: record.encode(),
            names: Vec::new(),
        };
        let mut left = count as usize;
        while left > 0 {
            let some = left.min(crate::store::APPEND_RECORDS_MAX);
            let key = IdempotencyKey(rand_key());
            store
                .append(Term(1), 1, vec![entry.clone(); some], key)
                .await
                .unwrap();
            left -= some;
        }
    }

    fn rand_key() -> u128 {
        u128::from(crate::log::random().unwrap())
    }

    /// One node from a position to the head, by steps of its own; the positions that it was told.
    async fn catch_up(window: &Window, store: &dyn Store, from: u64, step: usize) -> Vec<u64> {
        let mut told = Vec::new();
        let mut cursor = at(from);
        loop {
            let purges = window.read(store, cursor, step).await.unwrap();
            let Some(last) = purges.last() else {
                return told;
            };
            assert!(purges.len() <= step);
            cursor = last.at;
            told.extend(purges.iter().map(|purge| purge.at.n));
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn however_many_nodes_catch_up_each_purge_is_encoded_once() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
        append(store.as_ref(), PURGES, 1).await;
        let window = Arc::new(Window::default());
        let nodes: Vec<_> = (0..200_u64)
            .map(|node| {
                let (window, store) = (window.clone(), store.clone());
                tokio::spawn(async move {
                    let from = if node == 0 { 0 } else { node * 37 % 3000 };
                    let step = [1000, 100, 7][node as usize % 3];
                    let told = catch_up(&window, store.as_ref(), from, step).await;
                    assert!(told.iter().copied().eq(from + 1..=PURGES), "{node}");
                })
            })
            .collect();
        for node in nodes {
            node.await.unwrap();
        }
        assert_eq!(window.encoded(), PURGES);
        // and each that comes after
        for _ in 0..3 {
            append(store.as_ref(), 1, 1).await;
            let head = store.head().await.unwrap().at.n;
            let told = (0..50).map(|_| catch_up(&window, store.as_ref(), head - 1, 9));
            for told in futures::future::join_all(told).await {
                assert_eq!(told, [head]);
            }
        }
        assert_eq!(window.encoded(), PURGES + 3);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_the_rest_is_read_again() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
        let count = 12_000;
        append(store.as_ref(), count, 1).await;
        // of some 30 bytes each
        let window = Window {
            bytes_max: 200_000,
            ..Window::default()
        };
        for _ in 0..2 {
            let told = catch_up(&window, store.as_ref(), 0, BATCH_MAX).await;
            assert!(told.into_iter().eq(1..=count));
            let kept = window.kept.lock();
            let bytes: usize = kept.blocks.values().map(|block| block.bytes).sum();
            assert_eq!(kept.bytes, bytes);
            assert!(
                bytes <= window.bytes_max && kept.blocks.len() > 1,
                "{bytes}"
            );
        }
        assert!(window.encoded() > count);
    }

    #[tokio::test]
    async fn a_trimmed_log_another_epoch_and_a_position_beyond_are_as_in_the_store() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
        append(store.as_ref(), 50, 1).await;
        store.trim(at(21)).await.unwrap();
        let window = Window::default();
        let read = |after| window.read(store.as_ref(), after, 9);
        assert_eq!(
            read(at(3)).await.err(),
            Some(StoreError::Trimmed { first: 21 })
        );
        assert_eq!(read(at(30)).await.unwrap()[0].at, at(31));
        assert_eq!(read(at(20)).await.unwrap()[0].at, at(21));
        assert_eq!(
            read(at(51)).await.err(),
            Some(StoreError::Beyond { head: at(50) })
        );
        let next = Epoch(EPOCH.0 + 1);
        store.start_epoch(EPOCH, next).await.unwrap();
        append(store.as_ref(), 5, 1).await;
        let told = read(PurgeSeq::new(next, 0)).await.unwrap();
        assert_eq!((told.len(), told[0].at), (5, PurgeSeq::new(next, 1)));
        assert!(matches!(
            read(at(30)).await,
            Err(StoreError::OtherEpoch { .. })
        ));
    }
}
