//! Evictions from memory are counted.

use crate::key::{Chunk, ChunkKey, Entry, HeadKey};
use foyer::{Event, EventListener};
use seawall_telemetry::Metrics;
use std::sync::Arc;

pub(super) struct CountEvictions<K> {
    pub(super) metrics: Arc<Metrics>,
    pub(super) key: std::marker::PhantomData<fn(K)>,
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
pub(super) trait Counts {
    type Value: foyer::Value;
}
impl Counts for CountEvictions<HeadKey> {
    type Value = Entry;
}
impl Counts for CountEvictions<ChunkKey> {
    type Value = Chunk;
}
