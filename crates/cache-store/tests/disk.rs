//! What the store promises with a disk under it: warm after a restart, and nothing dead comes back.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use seawall_cache_store::{
    CacheStore, Coding, DISK_BYTES_MIN, DiskConfig, Found, Head, HeadParts, OpenError, StoreConfig,
    VARIANT_NONE,
};
use seawall_http_cache::{Freshness, Storable, StoragePolicy, Timestamp, storable};
use seawall_purge::{BootId, Generation, Label};
use seawall_telemetry::{Metrics, NodeKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A node's directories over several starts.
struct Node {
    _data: tempfile::TempDir,
    config: StoreConfig,
    metrics: Arc<Metrics>,
}

impl Node {
    fn new(disks: usize) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            memory_bytes: 64 << 20,
            boot: BootId(0),
            disks: (0..disks).map(|i| disk(data.path(), i)).collect(),
            lineage: 7,
            state: Some(data.path().join("minima")),
            ..StoreConfig::default()
        };
        let metrics = Metrics::new(NodeKind::Edge, "test");
        Self {
            _data: data,
            config,
            metrics,
        }
    }

    /// The next start.
    fn try_start(&mut self) -> Result<CacheStore, OpenError> {
        self.config.boot.0 += 1;
        CacheStore::open(&self.config, &self.metrics)
    }

    fn start(&mut self) -> CacheStore {
        self.try_start().unwrap()
    }
}

fn disk(data: &Path, index: usize) -> DiskConfig {
    DiskConfig {
        path: data.join(format!("disk-{index}")),
        bytes: DISK_BYTES_MIN,
    }
}

fn freshness() -> Freshness {
    let mut response = HeaderMap::new();
    response.insert("cache-control", "max-age=60".parse().unwrap());
    let (request, policy) = (HeaderMap::new(), StoragePolicy::default());
    let (get, now) = (http::Method::GET, Timestamp(1_000_000));
    match storable(&get, &request, StatusCode::OK, &response, &policy, now, now) {
        Storable::Yes(freshness) => freshness,
        Storable::No(why) => panic!("{why:?}"),
    }
}

fn head(generation: Generation, revision: u32, body: &[u8]) -> Arc<Head> {
    let parts = HeadParts {
        generation,
        revision,
        label: Label::default(),
        status: StatusCode::OK,
        fields: &HeaderMap::new(),
        upstream_cache_status: b"",
        freshness: freshness(),
        length: body.len() as u64,
        scopes: Box::default(),
        coding: Coding::AsIs,
        object: 7,
        sums: Arc::new([]),
    };
    Arc::new(Head::new(parts, Some(&[body])))
}

/// Stores `body` under `key`; its generation.
fn put(store: &CacheStore, key: u128, body: &[u8]) -> Generation {
    let generation = store.next_generation();
    store.insert(key, &[], &HeaderMap::new(), head(generation, 0, body));
    generation
}

fn flush(store: &CacheStore) {
    assert!(store.flush(Duration::from_secs(60)));
}

/// What a request finds under `key`, in memory or on a disk.
fn ask(store: &CacheStore, key: u128) -> Option<Bytes> {
    futures::executor::block_on(store.recall(key, &HeaderMap::new()));
    match store.lookup(key, &HeaderMap::new()) {
        Found::Copy { head, .. } => Some(head.inline_body()),
        _ => None,
    }
}

#[test]
fn a_retired_generation_stays_away_over_a_restart_and_a_newer_one_does_not() {
    let mut node = Node::new(1);
    let store = node.start();
    let first = put(&store, 1, b"first");
    let kept = put(&store, 2, b"kept");
    flush(&store);
    store.retire(1, VARIANT_NONE, first);
    store.retire(
        2,
        VARIANT_NONE,
        Generation {
            counter: kept.counter - 1,
            ..kept
        },
    );
    assert_eq!(ask(&store, 1), None);
    store.close();
    drop(store);
    let store = node.start();
    assert_eq!(ask(&store, 1), None);
    assert_eq!(ask(&store, 2).as_deref(), Some(&b"kept"[..]));
}
