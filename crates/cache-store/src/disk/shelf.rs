//! One foyer block store with a queue of our own before it.
//!
//! The queue is bounded in bytes; a record that finds it full is dropped and counted. One task (the pump) hands foyer
//! batches that fit its buffer, waits until they are written, and looks whether each record is in the index. One that is
//! not was lost to a write error: foyer's flusher has then stopped for good, and so the drive is turned off.

use super::codec;
use super::directory::Layout;
use super::drive::Health;
use super::error::Missing;
use super::flights::Flights;
use crate::key::{Chunk, ChunkKey, Entry, HeadKey};
use foyer::{
    Age, BlockEngineConfig, Cache, CacheBuilder, CacheEntry, Code, Device, DeviceBuilder,
    FifoPicker, FsDeviceBuilder, Load, PsyncIoEngineConfig, RecoverMode, Spawner, StorageKey,
    StorageValue, Store, StoreBuilder,
};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A batch that takes longer is not coming.
const WRITE_WAIT: Duration = Duration::from_secs(30);
/// A read that takes longer is answered from the next server instead.
const READ_WAIT: Duration = Duration::from_secs(5);
/// Reads that fail or hang one after another, with none in between that ends well, before the disk is given up.
const READ_FAILURES_MAX: u32 = 16;
/// foyer's header before each record, and what it rounds up to.
const RECORD_HEADER: usize = 36;
const PAGE: usize = 4096;

/// What is special about the records of a shelf.
pub(crate) trait Shelved: StorageValue + Clone + std::fmt::Debug {
    type Key: StorageKey + Copy + std::fmt::Debug;
    /// foyer's write buffer, and the most that is written in one go.
    const BATCH_BYTES: usize;
    /// Records waiting to be written are held in memory, beyond the memory cache's own bound.
    const QUEUE_BYTES: usize;
    /// Reads under way at once; they hold up to two buffers of a record each.
    const READS_MAX: usize;
    /// How long a read waits for its turn. Zero: a record that has to wait is fetched from the next server instead.
    const READ_PATIENCE: Duration;

    /// Whether its decoder will take it back.
    fn encodable(&self) -> bool;
    /// A key that nothing else lies under, and a value that differs with `nonce`.
    fn probe(nonce: u64) -> (Self::Key, Self);
    fn nonce(&self) -> Option<u64>;
}

impl Shelved for Entry {
    type Key = HeadKey;
    const BATCH_BYTES: usize = 4 << 20;
    const QUEUE_BYTES: usize = 32 << 20;
    const READS_MAX: usize = 256;
    const READ_PATIENCE: Duration = Duration::ZERO;

    fn encodable(&self) -> bool {
        codec::encodable(self)
    }

    fn probe(nonce: u64) -> (HeadKey, Self) {
        let mut variants = crate::variants::Variants::default();
        variants.add_variant(nonce);
        let key = HeadKey {
            primary: PROBE,
            variant: PROBE as u64,
        };
        (key, Self::Variants(Arc::new(variants)))
    }

    fn nonce(&self) -> Option<u64> {
        match self {
            Self::Variants(variants) => variants.parts().1.front().copied(),
            Self::Head(_) => None,
        }
    }
}

impl Shelved for Chunk {
    type Key = ChunkKey;
    const BATCH_BYTES: usize = 16 << 20;
    const QUEUE_BYTES: usize = 128 << 20;
    const READS_MAX: usize = 128;
    // a body is under way to a client: to wait is better than to cut it
    const READ_PATIENCE: Duration = READ_WAIT;

    fn encodable(&self) -> bool {
        self.0.len() as u64 <= crate::CHUNK_BYTES
    }

    fn probe(nonce: u64) -> (ChunkKey, Self) {
        let key = ChunkKey {
            object: PROBE,
            generation: seawall_purge::Generation::default(),
            index: u32::MAX,
        };
        (key, Self(nonce.to_le_bytes().to_vec().into()))
    }

    fn nonce(&self) -> Option<u64> {
        self.0[..].try_into().ok().map(u64::from_le_bytes)
    }
}

/// Keys are digests; this one is nobody's but by an accident of 2^-128.
const PROBE: u128 = 0x7365_6177_616c_6c2d_6469_736b_2d70_726f;

type Record<V> = CacheEntry<<V as Shelved>::Key, V>;

/// A record that came from the disk.
#[derive(Clone, Debug)]
pub(crate) struct Loaded<V> {
    pub(crate) value: V,
    /// Its block is among the next to be reclaimed: to keep the record it has to be offered again.
    pub(crate) leaving: bool,
}

pub(crate) struct Shelf<V: Shelved> {
    store: Store<V::Key, V, foyer::DefaultHasher, foyer::CacheProperties>,
    health: Arc<Health>,
    queue: Mutex<Queue<V>>,
    wake: Notify,
    /// Told after each batch.
    written: Condvar,
    flights: Arc<Flights<V::Key, Loaded<V>>>,
    /// Reads that failed since the last one that did not.
    failures: AtomicU32,
    /// Bytes written since it was opened.
    position: AtomicU64,
    /// When this much was written, nothing is left of what lay here or waited before.
    turn_bytes: u64,
    /// Only to make records of probes: foyer writes what a memory cache holds.
    probes: Cache<V::Key, V>,
    /// Of the next probe; larger than that of any before, on this disk too.
    nonce: AtomicU64,
}

struct Queue<V: Shelved> {
    waiting: VecDeque<(Record<V>, usize)>,
    bytes: usize,
    /// By hash of the key: how many records wait or are being written, which the index does not show yet, and the last.
    pending: HashMap<u64, (u32, Record<V>)>,
}

impl<V: Shelved> Shelf<V> {
    /// Opens the store in `directory` and reads what is there. Its tasks run on `runtime`, where this runs too.
    pub(crate) async fn open(
        directory: &Path,
        layout: Layout,
        runtime: &Handle,
        health: Arc<Health>,
        first_nonce: u64,
    ) -> foyer::Result<(Arc<Self>, Arc<dyn Device>)> {
        let device = FsDeviceBuilder::new(directory)
            .with_capacity(layout.bytes() as usize)
            .build()?;
        let probes = CacheBuilder::new(64).build();
        let metrics = Arc::new(foyer_common::metrics::Metrics::noop());
        let engine = BlockEngineConfig::new(device.clone())
            .with_block_size(layout.block_bytes as usize)
            .with_buffer_pool_size(V::BATCH_BYTES)
            .with_submit_queue_size_threshold(2 * V::BATCH_BYTES)
            // in the order of writing alone: a block that was overwritten much holds older heads, which minima judge
            .with_eviction_pickers(vec![Box::new(FifoPicker::default())]);
        let store = StoreBuilder::new(layout.name, probes.clone(), metrics)
            .with_io_engine_config(PsyncIoEngineConfig::new())
            .with_engine_config(engine)
            .with_recover_mode(RecoverMode::Quiet)
            .with_spawner(Spawner::from(runtime.clone()))
            .build()
            .await?;
        let shelf = Arc::new(Self {
            store,
            health,
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                bytes: 0,
                pending: HashMap::new(),
            }),
            wake: Notify::new(),
            written: Condvar::new(),
            nonce: AtomicU64::new(first_nonce),
            flights: Flights::new(V::READS_MAX),
            failures: AtomicU32::new(0),
            position: AtomicU64::new(0),
            // blocks are reclaimed in the order of writing, some ahead of need; what waited at the beginning is
            // written somewhere within
            turn_bytes: layout.bytes()
                + 4 * layout.block_bytes
                + 2 * (V::QUEUE_BYTES + V::BATCH_BYTES) as u64,
            probes,
        });
        runtime.spawn(shelf.clone().pump());
        Ok((shelf, device))
    }

    /// Queues `record` to be written; drops it where that is not possible now.
    pub(crate) fn offer(&self, record: Record<V>) {
        let bytes = record_bytes::<V>(record.key(), record.value());
        if !self.health.is_up() || bytes > V::BATCH_BYTES || !record.value().encodable() {
            self.health.metrics.dropped.inc();
            return;
        }
        {
            let mut queue = self.queue.lock();
            if queue.bytes + bytes > V::QUEUE_BYTES {
                drop(queue);
                self.health.metrics.dropped.inc();
                return;
            }
            queue.bytes += bytes;
            let count = queue.pending.get(&record.hash()).map_or(0, |(n, _)| *n);
            queue
                .pending
                .insert(record.hash(), (count + 1, record.clone()));
            queue.waiting.push_back((record, bytes));
        }
        self.wake.notify_one();
    }

    /// Whether something may lie on the disk under `key`, or is on its way there. Never wrong when it says no, as long
    /// as every write succeeded: where the drive is off it says yes, until what lies on it is void.
    pub(crate) fn may_hold(&self, key: &V::Key) -> bool {
        let hash = self.probes.hash(key);
        if !self.health.is_up() {
            return self.health.may_come_back();
        }
        // the queue before the index: a record leaves the one after it came into the other
        self.queue.lock().pending.contains_key(&hash) || self.store.may_contains(key)
    }

    /// What waits to be written under `key`, or is being written: memory may have let go of it by now.
    pub(crate) fn waiting(&self, key: &V::Key) -> Option<V> {
        let hash = self.probes.hash(key);
        let queue = self.queue.lock();
        let (_, record) = queue.pending.get(&hash)?;
        (record.key() == key).then(|| record.value().clone())
    }

    /// Whether a read of `key` is worth while. Costs no I/O.
    #[inline]
    pub(crate) fn may_load(&self, key: &V::Key) -> bool {
        self.health.is_up() && self.store.may_contains(key)
    }

    /// The record under `key`, if the disk has it whole and `check` takes it.
    pub(crate) async fn load(
        self: &Arc<Self>,
        runtime: &Handle,
        key: V::Key,
        check: impl Fn(&V) -> bool + Send + 'static,
    ) -> Result<Loaded<V>, Missing> {
        if !self.may_load(&key) {
            return Err(Missing::Gone);
        }
        let shelf = self.clone();
        // the disk's own threads may hang: who asks does not rely on their clock
        let waits = (V::READ_PATIENCE, READ_WAIT + Duration::from_secs(1));
        self.flights
            .join(runtime, key, waits, move || async move {
                let metrics = &shelf.health.metrics;
                let found = match timeout(READ_WAIT, shelf.read(key)).await {
                    Ok(Ok(found)) if !check(&found.value) => {
                        metrics.corrupt.inc();
                        Err(Missing::Gone)
                    }
                    Ok(found) => found,
                    Err(_) => {
                        shelf.read_failed("reads take too long");
                        Err(Missing::Busy)
                    }
                };
                match &found {
                    Ok(_) => metrics.hits.inc(),
                    Err(_) => metrics.misses.inc(),
                }
                found
            })
            .await
    }

    async fn read(&self, key: V::Key) -> Result<Loaded<V>, Missing> {
        let loaded = |value, age| {
            self.failures.store(0, Ordering::Relaxed);
            Loaded {
                value,
                leaving: age == Age::Old,
            }
        };
        match self.store.load(&key).await {
            Ok(Load::Entry {
                value, populated, ..
            }) => Ok(loaded(value, populated.age)),
            Ok(Load::Piece { piece, populated }) => {
                Ok(loaded(piece.value().clone(), populated.age))
            }
            // it was in the index: foyer takes it out where its checksum is wrong
            Ok(Load::Miss) => {
                self.health.metrics.corrupt.inc();
                Err(Missing::Gone)
            }
            Ok(Load::Throttled) => Err(Missing::Busy),
            Err(error) => {
                self.health.metrics.corrupt.inc();
                self.read_failed(&format!("reads fail: {error}"));
                Err(Missing::Gone)
            }
        }
    }

    fn read_failed(&self, reason: &str) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= READ_FAILURES_MAX {
            self.health.fail(reason);
        }
    }

    /// Bytes written since it was opened, and how many of them replace all that lay or waited here.
    pub(crate) fn position(&self) -> (u64, u64) {
        (self.position.load(Ordering::Acquire), self.turn_bytes)
    }

    /// Writes what is offered, for as long as the runtime lives.
    async fn pump(self: Arc<Self>) {
        loop {
            self.wake.notified().await;
            loop {
                let batch = self.batch();
                if batch.is_empty() {
                    break;
                }
                if let Err(reason) = self.write(&batch).await {
                    self.health.fail(&reason);
                }
                self.done(&batch);
            }
        }
    }

    /// The next records that fit foyer's buffer together.
    fn batch(&self) -> Vec<Record<V>> {
        let mut queue = self.queue.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some((_, next)) = queue.waiting.front() {
            if bytes + next > V::BATCH_BYTES {
                break;
            }
            let Some((record, next)) = queue.waiting.pop_front() else {
                break;
            };
            bytes += next;
            batch.push(record);
        }
        queue.bytes -= bytes;
        batch
    }

    async fn write(&self, batch: &[Record<V>]) -> Result<(), String> {
        let metrics = &self.health.metrics;
        if !self.health.is_up() {
            metrics.dropped.inc_by(batch.len() as u64);
            return Ok(());
        }
        // Whether a record is in the index tells nothing of one that replaces another: then a probe goes behind.
        let is_new = |record: &&Record<V>| !self.store.may_contains(record.key());
        let proof = if batch.iter().any(|record| is_new(&record)) {
            None
        } else {
            let nonce = self.nonce.fetch_add(1, Ordering::Relaxed);
            let (key, value) = V::probe(nonce);
            Some((key, nonce, self.probes.insert(key, value)))
        };
        for record in batch
            .iter()
            .chain(proof.as_ref().map(|(_, _, probe)| probe))
        {
            self.store.enqueue(record.piece(), true);
        }
        if timeout(WRITE_WAIT, self.store.wait()).await.is_err() {
            metrics.dropped.inc_by(batch.len() as u64);
            return Err(format!("a write takes longer than {WRITE_WAIT:?}"));
        }
        // what is not in the index now was not written
        let mut arrived = batch
            .iter()
            .filter(|record| self.store.may_contains(record.key()))
            .count();
        let mut why = String::new();
        if let Some((key, nonce, _)) = proof
            && let Err(reason) = self.comes_back(key, nonce).await
        {
            arrived = 0;
            why = format!(": {reason}");
        }
        let lost = batch.len() - arrived;
        metrics.written.inc_by(arrived as u64);
        metrics.dropped.inc_by(lost as u64);
        if lost > 0 {
            return Err(format!(
                "{lost} of {} records were not written{why}",
                batch.len()
            ));
        }
        let bytes: usize = batch
            .iter()
            .map(|record| record_bytes::<V>(record.key(), record.value()))
            .sum();
        self.position.fetch_add(bytes as u64, Ordering::Release);
        Ok(())
    }

    fn done(&self, batch: &[Record<V>]) {
        let mut queue = self.queue.lock();
        for record in batch {
            if let Some((count, _)) = queue.pending.get_mut(&record.hash()) {
                *count -= 1;
                if *count == 0 {
                    queue.pending.remove(&record.hash());
                }
            }
        }
        drop(queue);
        self.written.notify_all();
    }

    /// Waits until everything offered was written or given up; `false`: not before `deadline`.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let mut queue = self.queue.lock();
        while !queue.pending.is_empty() {
            if self.written.wait_until(&mut queue, deadline).timed_out() {
                return queue.pending.is_empty();
            }
        }
        true
    }

    /// Writes a record and reads it back. `Err`: it did not come. A queue that is busy is proof enough by itself.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed);
        let (key, value) = V::probe(nonce);
        if !self.queue.lock().waiting.is_empty() {
            return Ok(());
        }
        self.offer(self.probes.insert(key, value));
        let hash = self.probes.hash(&key);
        let written = async {
            while self.queue.lock().pending.contains_key(&hash) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(2 * WRITE_WAIT, written).await.is_err() {
            return Err("a probe was not written in time".into());
        }
        if !self.health.is_up() {
            return Ok(());
        }
        self.comes_back(key, nonce).await
    }

    /// Whether the probe under `key` is the one with `nonce`, or a later one.
    async fn comes_back(&self, key: V::Key, nonce: u64) -> Result<(), String> {
        let found = match timeout(READ_WAIT, self.store.load(&key)).await {
            Ok(Ok(Load::Entry { value, .. })) => value.nonce(),
            Ok(Ok(Load::Piece { piece, .. })) => piece.value().nonce(),
            Ok(Ok(_)) => None,
            Ok(Err(error)) => return Err(format!("a probe could not be read: {error}")),
            Err(_) => return Err("a probe could not be read in time".into()),
        };
        if found.is_some_and(|found| found >= nonce) {
            Ok(())
        } else {
            Err("a probe did not come back as it was written".into())
        }
    }
}

/// What a record takes of foyer's buffer.
fn record_bytes<V: Shelved>(key: &V::Key, value: &V) -> usize {
    (RECORD_HEADER + key.estimated_size() + value.estimated_size()).next_multiple_of(PAGE)
}
