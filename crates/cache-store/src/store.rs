//! The store: heads, variants and chunks in memory, each bounded.

use crate::head::{Body, Coding, Head};
use crate::minimum::MinGenerations;
use crate::sample::{Sample, SampleCount};
use crate::variants::{DIGEST_UNVARIED, Variants, digest_of};
use crate::{CHUNK_BYTES, INLINE_MAX};
use bytes::Bytes;
use foyer::{Cache, CacheBuilder, Event, EventListener, S3FifoConfig};
use http::HeaderName;
use parking_lot::Mutex;
use seawall_http_cache::Fields;
use seawall_purge::{BootId, Generation, ScopeId};
use seawall_telemetry::Metrics;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variant digest of keys whose responses do not vary: found by one look.
pub const VARIANT_NONE: u64 = 0;
/// Keys with a minimum generation of their own before a shard of them folds.
const MINIMA_MAX: usize = 1 << 20;
const LOCKS: usize = 64;
/// A smaller shard of heads would hold too few of those with the largest inline body to choose among.
const HEAD_SHARD_BYTES_MIN: u64 = 16 << 20;
/// The same for chunks: shards are filled unevenly, and one lost chunk loses its object.
const CHUNK_SHARD_BYTES_MIN: u64 = 64 << 20;
const SHARDS_MAX: u64 = 64;

#[derive(Clone, Copy, Debug)]
pub struct StoreConfig {
    /// Memory for heads, small bodies and chunks together, in bytes. Half is for heads with small bodies, half for chunks.
    pub memory_bytes: u64,
    /// Persisted and never used twice, so that generations are not either.
    pub boot: BootId,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct HeadKey {
    primary: u128,
    variant: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ChunkKey {
    object: u128,
    generation: Generation,
    index: u32,
}

#[derive(Clone, Debug)]
enum Entry {
    Head(Arc<Head>),
    Variants(Arc<Variants>),
}

/// Heads, variants and chunks of one node.
pub struct CacheStore {
    heads: Cache<HeadKey, Entry>,
    chunks: Cache<ChunkKey, Bytes>,
    minima: MinGenerations,
    sample: Sample,
    boot: BootId,
    counter: AtomicU64,
    /// Serialise read-modify-write of one key's variants.
    locks: Vec<Mutex<()>>,
    chunk_capacity: u64,
}

impl std::fmt::Debug for CacheStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheStore")
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

struct CountEvictions<K> {
    metrics: Arc<Metrics>,
    key: std::marker::PhantomData<fn(K)>,
}

impl<K: foyer::Key> EventListener for CountEvictions<K>
where
    Self: Counts,
{
    type Key = K;
    type Value = <Self as Counts>::Value;
    fn on_leave(&self, reason: Event, _key: &K, _value: &Self::Value) {
        if matches!(reason, Event::Evict) {
            self.metrics.cache_evictions.inc();
        }
    }
}

/// Ties a key's type to its value's, so that one listener serves both caches.
trait Counts {
    type Value: foyer::Value;
}
impl Counts for CountEvictions<HeadKey> {
    type Value = Entry;
}
impl Counts for CountEvictions<ChunkKey> {
    type Value = Bytes;
}

fn shards(bytes: u64, shard_bytes_min: u64) -> usize {
    (bytes / shard_bytes_min).clamp(1, SHARDS_MAX) as usize
}

impl CacheStore {
    pub fn new(config: StoreConfig, metrics: &Arc<Metrics>) -> Self {
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
                .with_weighter(|_: &ChunkKey, chunk: &Bytes| chunk.len() + 200)
                .with_eviction_config(S3FifoConfig::default())
                .with_event_listener(Arc::new(CountEvictions {
                    metrics: metrics.clone(),
                    key: std::marker::PhantomData,
                }))
                .build(),
            minima: MinGenerations::new(MINIMA_MAX),
            sample: Sample::default(),
            boot: config.boot,
            counter: AtomicU64::new(1),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            chunk_capacity: chunks,
        }
    }

    /// A generation that no other copy has or will have.
    pub fn next_generation(&self) -> Generation {
        Generation {
            boot: self.boot,
            counter: self.counter.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The longest body that is worth storing: a longer one would push itself out of memory.
    pub fn body_bytes_max(&self) -> u64 {
        // one shard of foyer's cache must be able to hold its part of the body beside others
        (self.chunk_capacity / 4).max(INLINE_MAX)
    }

    /// The copy that `request` selects under `key`, if there is one that is not dead.
    pub fn lookup(&self, key: u128, request: &dyn Fields) -> Found {
        match self.entry(key, VARIANT_NONE) {
            None => Found::Nothing,
            Some(Entry::Head(head)) => {
                if self.minima.alive(key, head.generation) {
                    Found::Copy {
                        head,
                        variant: VARIANT_NONE,
                    }
                } else {
                    Found::Nothing
                }
            }
            Some(Entry::Variants(variants)) => variants
                .candidates(request)
                .find_map(|variant| match self.entry(key, variant) {
                    Some(Entry::Head(head)) if self.minima.alive(key, head.generation) => {
                        Some(Found::Copy { head, variant })
                    }
                    _ => None,
                })
                .unwrap_or(Found::OtherVariants),
        }
    }

    /// The copy under exactly this variant, if it is not dead.
    pub fn exact(&self, key: u128, variant: u64) -> Option<Arc<Head>> {
        match self.entry(key, variant)? {
            Entry::Head(head) if self.minima.alive(key, head.generation) => Some(head),
            _ => None,
        }
    }

    fn entry(&self, primary: u128, variant: u64) -> Option<Entry> {
        self.heads
            .get(&HeadKey { primary, variant })
            .map(|e| e.value().clone())
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
        self.heads.insert(
            HeadKey {
                primary: key,
                variant,
            },
            Entry::Head(head),
        );
        variant
    }

    /// Puts a newer head (refreshed by a validation, or a coding) where `variant` says.
    pub fn replace(&self, key: u128, variant: u64, head: Arc<Head>) {
        self.heads.insert(
            HeadKey {
                primary: key,
                variant,
            },
            Entry::Head(head),
        );
    }

    /// Changes the variants record of `key`. Without one, `make` says whether to begin one: the copy that lies under
    /// the key by itself so far becomes its unvaried variant. `None`: there is none, and none was made.
    fn with_variants<R>(
        &self,
        key: u128,
        make: bool,
        change: impl FnOnce(&mut Variants) -> R,
    ) -> Option<R> {
        let _one = self.locks[key as usize % LOCKS].lock();
        let mut variants = match self.entry(key, VARIANT_NONE) {
            Some(Entry::Variants(variants)) => Arc::unwrap_or_clone(variants),
            _ if !make => return None,
            Some(Entry::Head(head)) => {
                let mut variants = Variants::default();
                variants.add_list(&[]);
                variants.add_variant(DIGEST_UNVARIED);
                self.replace(key, DIGEST_UNVARIED, head);
                variants
            }
            None => Variants::default(),
        };
        let result = change(&mut variants);
        self.heads.insert(
            HeadKey {
                primary: key,
                variant: VARIANT_NONE,
            },
            Entry::Variants(Arc::new(variants)),
        );
        Some(result)
    }

    /// The gzip coding of `head`, which was found under `variant`, if it is stored and of the same revision.
    pub fn gzip_of(&self, key: u128, variant: u64, head: &Head) -> Option<Arc<Head>> {
        let coded = self.exact(key, gzip_variant(variant))?;
        (coded.coding == Coding::GzipOf(head.generation, head.revision)).then_some(coded)
    }

    /// The gzip coding of the same generation, whatever its revision: its body still holds.
    pub fn gzip_of_generation(&self, key: u128, variant: u64, head: &Head) -> Option<Arc<Head>> {
        let coded = self.exact(key, gzip_variant(variant))?;
        matches!(coded.coding, Coding::GzipOf(generation, _) if generation == head.generation)
            .then_some(coded)
    }

    /// Stores the gzip coding of the copy under `variant`.
    pub fn insert_gzip(&self, key: u128, variant: u64, head: Arc<Head>) {
        self.replace(key, gzip_variant(variant), head);
    }

    /// Puts a refreshed head in the place of its own generation; another one, which was stored meanwhile, stays.
    pub fn refresh(&self, key: u128, variant: u64, head: Arc<Head>) {
        let _one = self.locks[key as usize % LOCKS].lock();
        match self.entry(key, variant) {
            Some(Entry::Head(current)) if current.generation != head.generation => {}
            Some(Entry::Variants(_)) => {}
            Some(Entry::Head(_)) | None => self.replace(key, variant, head),
        }
    }

    /// Makes everything that is stored a miss, for good.
    pub fn kill_all(&self) -> std::io::Result<()> {
        self.minima.raise_all(self.next_generation());
        Ok(())
    }

    /// What a purge of `scopes` would take away, counted in a sample of the keys.
    pub fn estimate(&self, scopes: &[ScopeId]) -> SampleCount {
        self.sample.count(scopes, |key, variant| {
            self.heads.contains(&HeadKey {
                primary: key,
                variant,
            })
        })
    }

    /// This start's boot id.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Makes every head stored under `key` up to now a miss.
    pub fn invalidate(&self, key: u128) {
        self.minima.raise(key, self.next_generation());
    }

    /// Stores chunk `index` of the body of (`object`, `generation`).
    pub fn put_chunk(&self, object: u128, generation: Generation, index: u32, chunk: Bytes) {
        self.chunks.insert(
            ChunkKey {
                object,
                generation,
                index,
            },
            chunk,
        );
    }

    /// The bytes `range` of the body of `head`, in order. `None`: a chunk is gone, and with it this generation.
    pub fn body(&self, head: &Head, range: Range<u64>) -> Option<Vec<Bytes>> {
        let range = range.start.min(head.length)..range.end.min(head.length);
        if range.is_empty() {
            return Some(Vec::new());
        }
        match head.body {
            Body::Inline => Some(vec![
                head.inline_body()
                    .slice(range.start as usize..range.end as usize),
            ]),
            Body::Chunks { object, .. } => {
                let (first, last) = (range.start / CHUNK_BYTES, (range.end - 1) / CHUNK_BYTES);
                (first..=last)
                    .map(|index| {
                        let key = ChunkKey {
                            object,
                            generation: head.generation,
                            index: index as u32,
                        };
                        let chunk = self.chunks.get(&key)?.value().clone();
                        let base = index * CHUNK_BYTES;
                        let from = range.start.saturating_sub(base) as usize;
                        let to = (range.end - base).min(chunk.len() as u64) as usize;
                        // a chunk of the wrong length is as good as none
                        let whole = CHUNK_BYTES.min(head.length - base);
                        (chunk.len() as u64 == whole).then(|| chunk.slice(from..to))
                    })
                    .collect()
            }
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

/// The gzip coding of a copy lies beside it, under a variant that no request selects.
fn gzip_variant(variant: u64) -> u64 {
    variant ^ 0x677a_6970_2d6f_6621
}
