//! The store: heads, variants and chunks in memory, each bounded, and under them the disk tier where there is one.
//!
//! - `chunks`: bodies in chunks
//! - `recall`: what a disk has of a key comes to memory
//! - `put`: heads are put, refreshed and moved; `ends`: what becomes a miss before it is evicted
//! - `evictions`: evictions are counted

mod chunks;
mod ends;
mod evictions;
mod put;
mod recall;

use self::evictions::CountEvictions;
use crate::INLINE_MAX;
use crate::demand::Demand;
use crate::disk::directory::layouts;
use crate::disk::tier::Tier;
use crate::disk::{DiskConfig, OpenError};
use crate::head::{Coding, Head, Recoding};
use crate::key::{Chunk, ChunkKey, Entry, HeadKey};
use crate::minima::Minima;
use crate::minimum::Version;
use crate::sample::{Sample, SampleCount};
use crate::variants::{DIGEST_UNVARIED, Variants};
use foyer::{Cache, CacheBuilder, S3FifoConfig};
use http::HeaderName;
use parking_lot::Mutex;
use seawall_http_cache::{ContentCoding, Fields, Timestamp};
use seawall_purge::{BootId, Generation, ScopeId};
use seawall_telemetry::Metrics;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The variant digest of keys whose responses do not vary: found by one look.
pub const VARIANT_NONE: u64 = 0;
const LOCKS: usize = 64;
/// A smaller shard of heads would hold too few of those with the largest inline body to choose among.
const HEAD_SHARD_BYTES_MIN: u64 = 16 << 20;
/// The same for chunks: shards are filled unevenly, and one lost chunk loses its object.
const CHUNK_SHARD_BYTES_MIN: u64 = 64 << 20;
const SHARDS_MAX: u64 = 64;

/// [`CacheStore::close`] waits no longer for the disks.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Memory for heads, small bodies and chunks together, in bytes. Half is for heads with small bodies, half for
    /// chunks. The disk tier needs some more: about 150 bytes a record on disk, and up to
    /// 180 MiB a disk for writing and 90 MiB for reading.
    pub memory_bytes: u64,
    /// Persisted and never used twice, so that generations are not either. A disk tier that was written by this or a
    /// later boot is discarded.
    pub boot: BootId,
    /// The disk tier; none: memory only.
    pub disks: Vec<DiskConfig>,
    /// The identity of the purge log that this node's copies are judged by. Copies of another lineage are discarded.
    pub lineage: u128,
    /// Where `minima.log` lies, which says what was invalidated or replaced; none: on the first disk.
    pub state: Option<PathBuf>,
    /// How often the watchdog looks after each disk.
    pub disk_probe: Duration,
}

impl Default for StoreConfig {
    /// 64 MiB of memory and no disk.
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            boot: BootId::default(),
            disks: Vec::new(),
            lineage: 0,
            state: None,
            disk_probe: Duration::from_secs(10),
        }
    }
}

/// What a lookup found under a key.
#[derive(Debug)]
pub enum Found {
    Copy {
        head: Arc<Head>,
        variant: u64,
    },
    /// The key is known, but no stored variant matches this request.
    OtherVariants,
    Nothing,
}

/// Heads, variants and chunks of one node.
pub struct CacheStore {
    heads: Cache<HeadKey, Entry>,
    chunks: Cache<ChunkKey, Chunk>,
    minima: Minima,
    sample: Sample,
    demand: Demand,
    disk: Option<Tier>,
    boot: BootId,
    counter: AtomicU64,
    /// Serialise read-modify-write of one key's variants; with a disk tier, everything that is put under one key.
    locks: Vec<Mutex<()>>,
    /// Held while a generation is drawn and what is below it dies: none is renewed in between.
    changing: Mutex<()>,
    chunk_capacity: u64,
    /// The longest body that the disks take; 0 without disks.
    disk_body_bytes_max: u64,
}

impl std::fmt::Debug for CacheStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheStore")
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

/// A body lies on one disk, whichever its key says: a quarter of the chunks' room on the smallest.
fn disk_body_bytes_max(disks: &[DiskConfig]) -> u64 {
    let room = disks.iter().map(|disk| layouts(disk.bytes)[1].bytes());
    room.min().unwrap_or(0) / 4
}

fn shards(bytes: u64, shard_bytes_min: u64) -> usize {
    (bytes / shard_bytes_min).clamp(1, SHARDS_MAX) as usize
}

impl CacheStore {
    /// A store in memory alone, whatever `config` says of disks.
    pub fn new(config: &StoreConfig, metrics: &Arc<Metrics>) -> Self {
        Self::build(config, metrics, Minima::default(), None)
    }

    /// A store with the disks of `config` (none: like [`Self::new`]). Reads the disks' indices, so it blocks for a while;
    /// it may be called on any thread.
    pub fn open(config: &StoreConfig, metrics: &Arc<Metrics>) -> Result<Self, OpenError> {
        if config.disks.is_empty() {
            if let Some(state) = &config.state {
                Tier::none(state)?;
            }
            return Ok(Self::new(config, metrics));
        }
        let (tier, minima) = Tier::open(config, metrics)?;
        Ok(Self::build(config, metrics, minima, Some(tier)))
    }

    fn build(
        config: &StoreConfig,
        metrics: &Arc<Metrics>,
        minima: Minima,
        disk: Option<Tier>,
    ) -> Self {
        let (heads, chunks) = (
            config.memory_bytes / 2,
            config.memory_bytes - config.memory_bytes / 2,
        );
        Self {
            heads: CacheBuilder::new(heads as usize)
                .with_shards(shards(heads, HEAD_SHARD_BYTES_MIN))
                .with_weighter(|_: &HeadKey, entry: &Entry| match entry {
                    Entry::Head(head) => head.weight(),
                    Entry::Variants(variants) => variants.weight(),
                })
                .with_eviction_config(S3FifoConfig::default())
                .with_event_listener(Arc::new(CountEvictions {
                    metrics: metrics.clone(),
                    key: std::marker::PhantomData,
                }))
                .build(),
            chunks: CacheBuilder::new(chunks as usize)
                .with_shards(shards(chunks, CHUNK_SHARD_BYTES_MIN))
                .with_weighter(|_: &ChunkKey, chunk: &Chunk| chunk.0.len() + 200)
                .with_eviction_config(S3FifoConfig::default())
                .with_event_listener(Arc::new(CountEvictions {
                    metrics: metrics.clone(),
                    key: std::marker::PhantomData,
                }))
                .build(),
            minima,
            sample: Sample::default(),
            demand: Demand::default(),
            disk,
            boot: config.boot,
            counter: AtomicU64::new(1),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            changing: Mutex::new(()),
            chunk_capacity: chunks,
            disk_body_bytes_max: disk_body_bytes_max(&config.disks),
        }
    }

    /// A generation that no other copy has or will have.
    pub fn next_generation(&self) -> Generation {
        Generation {
            boot: self.boot,
            counter: self.counter.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The longest body that is worth storing: a longer one would push itself out of memory or, while there are disks
    /// that are well, off its disk.
    pub fn body_bytes_max(&self) -> u64 {
        let memory = self.pinned_bytes_max();
        match &self.disk {
            Some(disk) if disk.is_up() => memory.max(self.disk_body_bytes_max),
            _ => memory,
        }
    }

    /// The longest body that may be held as a whole for one reader.
    pub fn pinned_bytes_max(&self) -> u64 {
        // one shard of foyer's cache must be able to hold its part of the body beside others
        (self.chunk_capacity / 4).max(INLINE_MAX)
    }

    /// The copy that `request` selects under `key`, if there is one that is not dead; of several the most recent one
    /// (RFC 9111 §4.1).
    pub fn lookup(&self, key: u128, request: &dyn Fields) -> Found {
        match self.entry(key, VARIANT_NONE) {
            None => Found::Nothing,
            Some(Entry::Head(head)) => {
                if self.minima.alive(key, &head) {
                    Found::Copy {
                        head,
                        variant: VARIANT_NONE,
                    }
                } else {
                    Found::Nothing
                }
            }
            Some(Entry::Variants(variants)) => {
                let mut found: Option<(Arc<Head>, u64)> = None;
                // with one list of fields, the usual case, there is one at most, and nothing to compare
                for variant in variants.candidates(request) {
                    let Some(head) = self.exact(key, variant) else {
                        continue;
                    };
                    let newer = match &found {
                        Some((other, _)) => head.recency() > other.recency(),
                        None => true,
                    };
                    if newer {
                        found = Some((head, variant));
                    }
                }
                match found {
                    Some((head, variant)) => Found::Copy { head, variant },
                    None => Found::OtherVariants,
                }
            }
        }
    }

    /// The copy under exactly this variant, if it is not dead.
    pub fn exact(&self, key: u128, variant: u64) -> Option<Arc<Head>> {
        match self.entry(key, variant)? {
            Entry::Head(head) if self.minima.alive(key, &head) => Some(head),
            _ => None,
        }
    }

    pub(crate) fn entry(&self, primary: u128, variant: u64) -> Option<Entry> {
        self.heads
            .get(&HeadKey { primary, variant })
            .map(|e| e.value().clone())
    }

    /// Whether what lies under `key` was not invalidated.
    pub(crate) fn is_alive(&self, key: u128, entry: &Entry) -> bool {
        match entry {
            Entry::Head(head) => self.minima.alive(key, head),
            Entry::Variants(_) => true,
        }
    }

    /// Whether what came from a disk is still what `slot` holds.
    pub(crate) fn is_current(&self, slot: HeadKey, entry: &Entry) -> bool {
        match entry {
            Entry::Head(head) => self.minima.current(slot, version_of(head)),
            Entry::Variants(_) => true,
        }
    }

    /// The disk tier, if it may have something in `slot`.
    pub(crate) fn disk_of(&self, slot: &HeadKey) -> Option<&Tier> {
        self.disk.as_ref().filter(|disk| disk.may_load_head(slot))
    }

    /// Which fill a request under `key` may wait for: requests of one key and one answer share it.
    pub fn fill_variant(&self, key: u128, request: &dyn Fields) -> u64 {
        match self.entry(key, VARIANT_NONE) {
            Some(Entry::Variants(variants)) => variants.newest(request),
            _ => VARIANT_NONE,
        }
    }

    /// Remembers that responses under `key` vary by `names`, before the first such copy is complete.
    pub fn note_vary(&self, key: u128, names: &[HeaderName]) {
        if names.is_empty() {
            return;
        }
        self.with_variants(key, true, |variants| variants.add_list(names));
    }

    /// Serialises what is put under `key`.
    fn lock(&self, key: u128) -> &Mutex<()> {
        &self.locks[key as usize % LOCKS]
    }

    /// Changes the variants record of `key`. Without one, `make` says whether to begin one: the copy that lies under
    /// the key by itself so far becomes its unvaried variant. `None`: there is none, and none was made.
    fn with_variants<R>(
        &self,
        key: u128,
        make: bool,
        change: impl FnOnce(&mut Variants) -> R,
    ) -> Option<R> {
        let _one = self.lock(key).lock();
        let slot = |variant| HeadKey {
            primary: key,
            variant,
        };
        let known = self.entry(key, VARIANT_NONE);
        let mut variants = match &known {
            Some(Entry::Variants(variants)) => Variants::clone(variants),
            _ if !make => return None,
            Some(Entry::Head(head)) => {
                let mut variants = Variants::default();
                variants.add_list(&[]);
                variants.add_variant(DIGEST_UNVARIED);
                match &self.disk {
                    Some(disk) => self.put_head(disk, slot(DIGEST_UNVARIED), head.clone()),
                    None => {
                        let entry = Entry::Head(head.clone());
                        self.heads.insert(slot(DIGEST_UNVARIED), entry);
                    }
                }
                variants
            }
            None => Variants::default(),
        };
        let result = change(&mut variants);
        // A record that an older one takes the place of (on a disk, or after a crash) forgets variants, which are then
        // fetched again, or names some that are gone, which are misses. What it leads to is judged by itself.
        let new = match &known {
            Some(Entry::Variants(old)) if **old == variants => return Some(result),
            Some(Entry::Variants(_)) => false,
            _ => true,
        };
        let slot = slot(VARIANT_NONE);
        if let Some(disk) = &self.disk
            && new
            && disk.may_hold_head(&slot)
        {
            // the head that lay here would hide the variants
            let minimum = self.next_generation().into();
            self.supersede(disk, slot, minimum);
        }
        let entry = self.heads.insert(slot, Entry::Variants(Arc::new(variants)));
        if let Some(disk) = &self.disk {
            disk.offer_head(entry);
        }
        Some(result)
    }

    /// `recoding` of `head`, which was found under `variant`, if it is stored and of the same revision.
    pub fn recoded(
        &self,
        key: u128,
        variant: u64,
        head: &Head,
        recoding: Recoding,
    ) -> Option<Arc<Head>> {
        let recoded = self.exact(key, recoded_variant(variant, recoding))?;
        let current = Coding::Recoded(recoding, head.generation(), head.revision);
        (recoded.coding() == current).then_some(recoded)
    }

    /// `recoding` of the same generation, whatever its revision: its body still holds.
    pub fn recoded_of_generation(
        &self,
        key: u128,
        variant: u64,
        head: &Head,
        recoding: Recoding,
    ) -> Option<Arc<Head>> {
        let recoded = self.exact(key, recoded_variant(variant, recoding))?;
        match recoded.coding() {
            Coding::Recoded(of, generation, _)
                if of == recoding && generation == head.generation() =>
            {
                Some(recoded)
            }
            _ => None,
        }
    }

    /// Stores `recoding` of the copy under `variant`.
    pub fn insert_recoded(&self, key: u128, variant: u64, recoding: Recoding, head: Arc<Head>) {
        self.replace(key, recoded_variant(variant, recoding), head);
    }

    /// A client asks for `key`: the sample takes note of when. Costs a look at the key, for one in 64 of them a write.
    #[inline]
    pub fn asked_for(&self, key: u128, now: Timestamp) {
        self.demand.note(key, now);
    }

    /// What a purge of `scopes` would take away, counted in a sample of the keys.
    pub fn estimate(&self, scopes: &[ScopeId], now: Timestamp) -> SampleCount {
        let still = |key, variant| {
            let slot = HeadKey {
                primary: key,
                variant,
            };
            let on_disk = self.disk.as_ref().is_some_and(|d| d.may_hold_head(&slot));
            self.heads.contains(&slot) || on_disk
        };
        let asked = |key| self.demand.since(key, now);
        let mut count = self.sample.count(scopes, still, asked);
        count.partial = self.disk.is_some() && self.boot.0 > 1;
        count
    }

    /// This start's boot id.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Whether anything may be stored under `key`, in memory, on a disk or on the way there.
    pub fn knows(&self, key: u128) -> bool {
        let slot = HeadKey {
            primary: key,
            variant: VARIANT_NONE,
        };
        self.heads.contains(&slot) || self.disk.as_ref().is_some_and(|d| d.may_hold_head(&slot))
    }

    /// Waits until everything offered to the disks is written or given up, at most `wait`. Blocks.
    pub fn flush(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        self.disk.as_ref().is_none_or(|disk| disk.flush(deadline))
    }

    /// Writes what waits for the disks and lets go of them, within five seconds: for an orderly end. Blocks. Memory goes
    /// on to serve; the disks are not asked any more.
    pub fn close(&self) {
        let deadline = Instant::now() + CLOSE_WAIT;
        if let Some(disk) = &self.disk {
            disk.close(deadline);
        }
        if let Some(log) = self.minima.log() {
            log.sync();
        }
    }

    /// Entries (heads and chunks) and the bytes they are charged with.
    pub fn usage(&self) -> (u64, u64) {
        (
            (self.heads.entries() + self.chunks.entries()) as u64,
            (self.heads.usage() + self.chunks.usage()) as u64,
        )
    }
}

fn version_of(head: &Head) -> Version {
    Version {
        generation: head.generation(),
        revision: head.revision,
    }
}

/// What is made of a copy's content lies beside it, each under a variant that no request selects.
pub fn recoded_variant(variant: u64, recoding: Recoding) -> u64 {
    let beside = match recoding {
        Recoding::To(ContentCoding::Gzip) => *b"gzip-of!",
        Recoding::To(ContentCoding::Brotli) => *b"brotl-of",
        Recoding::To(ContentCoding::Zstd) => *b"zstd-of!",
        Recoding::Identity => *b"plain-of",
    };
    variant ^ u64::from_be_bytes(beside)
}
