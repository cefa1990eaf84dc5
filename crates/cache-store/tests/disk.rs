//! What the store promises with a disk under it: warm after a restart, and nothing dead comes back.
//!
//! Longer than most: what is one promise to an operator (a disk costs hits, never a wrong answer) is read in one place.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use seawall_cache_store::{
    CHUNK_BYTES, CacheStore, Coding, DISK_BYTES_MIN, DiskConfig, Found, Head, HeadParts, Hidden,
    OpenError, Place, StoreConfig, Sums, VARIANT_NONE,
};
use seawall_http_cache::{Freshness, Storable, StoragePolicy, Timestamp, storable};
use seawall_purge::{BootId, Generation, Label};
use seawall_telemetry::{Metrics, NodeKind};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A node's directories over several starts.
struct Node {
    data: tempfile::TempDir,
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
            data,
            config,
            metrics,
        }
    }

    fn disk(&self, index: usize) -> PathBuf {
        self.config.disks[index].path.clone()
    }

    fn up(&self, index: usize) -> bool {
        let label = self.disk(index).display().to_string();
        self.metrics.disk(&label).up.get() == 1
    }

    /// The files of the blocks of a shelf.
    fn blocks(&self, shelf: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.disk(0).join(shelf)).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }

    /// The same with what is in them.
    fn read_all(&self, shelf: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let files = self.blocks(shelf).into_iter();
        let read = |file: PathBuf| (file.clone(), fs::read(file).unwrap());
        files.map(read).collect()
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

fn write_all(files: &[(PathBuf, Vec<u8>)]) {
    for (file, bytes) in files {
        fs::write(file, bytes).unwrap();
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

fn parts(generation: Generation, length: u64, fields: &HeaderMap) -> HeadParts<'_> {
    HeadParts {
        generation,
        revision: 0,
        label: Label::default(),
        status: StatusCode::OK,
        fields,
        hidden: Hidden::default(),
        upstream_cache_status: b"",
        freshness: freshness(),
        length,
        scopes: &[],
        coding: Coding::AsIs,
        object: 7,
        sums: Sums::default(),
    }
}

fn head(generation: Generation, body: &[u8]) -> Arc<Head> {
    let fields = HeaderMap::new();
    let parts = parts(generation, body.len() as u64, &fields);
    Arc::new(Head::new(parts, Some(&[body])))
}

/// Stores `body` under `key`; its generation.
fn put(store: &CacheStore, key: u128, body: &[u8]) -> Generation {
    let generation = store.next_generation();
    store.insert(key, &[], &HeaderMap::new(), head(generation, body));
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
    // a validation that was under way meanwhile is too late
    let fields = HeaderMap::new();
    let refreshed = HeadParts {
        revision: 1,
        ..parts(first, 5, &fields)
    };
    let refreshed = Head::new(refreshed, Some(&[b"first"]));
    store.refresh(1, VARIANT_NONE, Arc::new(refreshed));
    assert_eq!(ask(&store, 1), None);
    store.close();
    drop(store);
    let store = node.start();
    assert_eq!(ask(&store, 1), None);
    assert_eq!(ask(&store, 2).as_deref(), Some(&b"kept"[..]));
}

/// Ends `store` as SIGTERM does.
fn end(store: CacheStore) {
    store.close();
    drop(store);
}

/// Stores a body of several chunks under `key`; the body.
fn put_chunks(store: &CacheStore, key: u128) -> Vec<u8> {
    let body: Vec<u8> = (0..CHUNK_BYTES * 5 / 2)
        .map(|i| (i * 31 + key as u64) as u8)
        .collect();
    let generation = store.next_generation();
    let sums: Vec<u64> = body
        .chunks(CHUNK_BYTES as usize)
        .enumerate()
        .map(|(i, chunk)| {
            let chunk = Bytes::copy_from_slice(chunk);
            store.put_chunk(key, generation, i as u32, chunk)
        })
        .collect();
    let fields = HeaderMap::new();
    let parts = HeadParts {
        length: body.len() as u64,
        object: key,
        sums: sums.into(),
        ..parts(generation, 0, &fields)
    };
    let head = Arc::new(Head::new(parts, None));
    store.insert(key, &[], &HeaderMap::new(), head);
    body
}

/// The chunks that the store has of the copy under `key`.
fn chunks(store: &CacheStore, key: u128) -> Vec<Option<Bytes>> {
    futures::executor::block_on(store.recall(key, &HeaderMap::new()));
    let Found::Copy { head, .. } = store.lookup(key, &HeaderMap::new()) else {
        return Vec::new();
    };
    (0..head.length.div_ceil(CHUNK_BYTES))
        .map(|i| futures::executor::block_on(store.recall_chunk(&head, i as u32)).ok())
        .collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

const KEYS: std::ops::Range<u128> = 1..200;

#[test]
fn what_was_stored_is_found_after_a_restart_on_whichever_disk_it_lies() {
    let mut node = Node::new(2);
    let store = node.start();
    for key in KEYS {
        put(&store, key, &key.to_le_bytes());
    }
    flush(&store);
    end(store);
    let store = node.start();
    for key in KEYS {
        assert_eq!(ask(&store, key).as_deref(), Some(&key.to_le_bytes()[..]));
    }
    assert!(node.up(0) && node.up(1));
}

#[test]
fn a_view_reads_so_many_heads_from_a_disk_and_brings_none_to_memory() {
    let mut node = Node::new(1);
    let store = node.start();
    let names = ["accept-language".parse().unwrap()];
    let ask = |language: &str| {
        let mut request = HeaderMap::new();
        request.insert("accept-language", language.parse().unwrap());
        request
    };
    for language in ["de", "fr", "it"] {
        let generation = store.next_generation();
        let head = head(generation, language.as_bytes());
        store.insert(1, &names, &ask(language), head);
    }
    flush(&store);
    end(store);
    let store = node.start();
    let view = |reads| futures::executor::block_on(store.view(1, &ask("fr"), reads));
    assert_eq!((view(0).copies.len(), view(0).unread), (0, 1));
    // one for the variants, one for the copy that is selected
    let two = view(2);
    assert_eq!((two.copies.len(), two.unread), (1, 2));
    assert!(two.selected && two.copies[0].place == Place::Disk);
    assert_eq!(two.copies[0].head.inline_body(), "fr");
    assert_eq!(view(9).copies.len(), 3);
    assert!(matches!(store.lookup(1, &ask("fr")), Found::Nothing));
}

#[test]
fn an_older_head_stays_dead_after_it_was_replaced_refreshed_or_invalidated() {
    let mut node = Node::new(1);
    let store = node.start();
    for key in KEYS {
        put(&store, key, b"old");
    }
    flush(&store);
    let kept = node.read_all("heads");
    for key in KEYS {
        match key % 3 {
            0 => drop(put(&store, key, b"new")),
            1 => drop(store.invalidate(key)),
            _ => {}
        }
    }
    for _ in 0..2 {
        for key in KEYS {
            let found = ask(&store, key);
            match key % 3 {
                0 => assert_eq!(found.as_deref(), Some(&b"new"[..]), "{key}"),
                1 => assert_eq!(found, None, "{key}"),
                _ => assert_eq!(found.as_deref(), Some(&b"old"[..]), "{key}"),
            }
        }
    }
    flush(&store);
    end(store);
    // and the newer ones never reached the disk
    write_all(&kept);
    let store = node.start();
    for key in KEYS {
        let old = ask(&store, key).is_some_and(|body| &body[..] == b"old");
        assert!(key % 3 == 2 || !old, "{key}");
    }
}

#[test]
fn a_copy_from_before_a_key_began_to_vary_does_not_come_back_for_every_request() {
    let mut node = Node::new(1);
    let store = node.start();
    put(&store, 1, b"plain");
    flush(&store);
    let kept = node.read_all("heads");
    let names = ["accept-language".parse().unwrap()];
    let mut request = HeaderMap::new();
    request.insert("accept-language", "de".parse().unwrap());
    let generation = store.next_generation();
    store.insert(1, &names, &request, head(generation, b"deutsch"));
    flush(&store);
    end(store);
    // what lay there before does, and what came after it does not
    write_all(&kept);
    assert_eq!(ask(&node.start(), 1), None);
}

#[test]
fn a_disk_more_or_less_brings_no_older_head_back() {
    let mut node = Node::new(2);
    let third = disk(node.data.path(), 2);
    let store = node.start();
    for key in KEYS {
        put(&store, key, b"old");
    }
    flush(&store);
    end(store);
    node.config.disks.push(third);
    let store = node.start();
    for key in KEYS {
        put(&store, key, b"new");
    }
    flush(&store);
    end(store);
    node.config.disks.pop();
    let store = node.start();
    for key in KEYS {
        let found = ask(&store, key);
        assert_ne!(found.as_deref(), Some(&b"old"[..]), "{key}");
    }
}

#[test]
fn what_is_invalidated_in_a_run_without_disks_is_not_found_on_them_later() {
    let mut node = Node::new(1);
    let store = node.start();
    put(&store, 1, b"old");
    flush(&store);
    end(store);
    let disks = std::mem::take(&mut node.config.disks);
    let store = node.start();
    store.invalidate(1);
    end(store);
    node.config.disks = disks;
    assert_eq!(ask(&node.start(), 1), None);
}

#[test]
fn a_disk_that_missed_a_run_brings_no_older_head_back() {
    let mut node = Node::new(2);
    let store = node.start();
    for key in KEYS {
        put(&store, key, b"old");
    }
    flush(&store);
    end(store);
    let (path, away) = (node.disk(0), node.data.path().join("away"));
    fs::rename(&path, &away).unwrap();
    fs::write(&path, "no directory").unwrap();
    let store = node.start();
    assert!(!node.up(0) && node.up(1));
    let mut warm = 0;
    for key in KEYS {
        // what lies on the other disk is still there
        warm += usize::from(ask(&store, key).is_some());
        put(&store, key, b"new");
        assert_eq!(ask(&store, key).as_deref(), Some(&b"new"[..]));
    }
    assert!((50..150).contains(&warm), "{warm}");
    end(store);
    fs::remove_file(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    let store = node.start();
    assert!(node.up(0) && node.up(1));
    for key in KEYS {
        let found = ask(&store, key);
        assert_ne!(found.as_deref(), Some(&b"old"[..]), "{key}");
    }
}

#[test]
fn copies_beside_another_log_of_purges_or_of_another_size_are_discarded() {
    type Change = fn(&mut StoreConfig);
    let changes: [(&str, Change); 2] = [
        ("another log", |config| config.lineage += 1),
        ("another size", |config| config.disks[0].bytes *= 2),
    ];
    for (what, change) in changes {
        let mut node = Node::new(1);
        let store = node.start();
        put(&store, 1, b"old");
        flush(&store);
        end(store);
        change(&mut node.config);
        let store = node.start();
        assert!(node.up(0) && !store.knows(1), "{what}");
        end(store);
    }
}

#[test]
fn copies_of_a_later_boot_than_this_are_discarded() {
    let mut node = Node::new(1);
    let log = node.data.path().join("minima/minima.log");
    end(node.start());
    let first = fs::read(&log).unwrap();
    let store = node.start();
    put(&store, 1, b"old");
    flush(&store);
    store.invalidate(1);
    end(store);
    // what the node knows of its boots, and of what is dead, is from before; the disk is not
    fs::write(&log, first).unwrap();
    node.config.boot.0 = 1;
    let store = node.start();
    assert!(node.up(0));
    assert_eq!(ask(&store, 1), None);
}

#[test]
fn a_disk_that_cannot_be_used_is_left_out_and_the_node_starts() {
    type Spoil = fn(&Path);
    let faults: [(&str, Spoil); 5] = [
        ("a file", |path| fs::write(path, "").unwrap()),
        ("a loop", |path| {
            std::os::unix::fs::symlink(path, path).unwrap();
        }),
        ("a file for a shelf", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("heads"), "").unwrap();
        }),
        ("a directory for the stamp", |path| {
            fs::create_dir_all(path.join("stamp.new")).unwrap();
        }),
        ("a directory for the lock", |path| {
            fs::create_dir_all(path.join("lock")).unwrap();
        }),
    ];
    for (what, spoil) in faults {
        let mut node = Node::new(2);
        spoil(&node.disk(0));
        let store = node.start();
        assert!(!node.up(0) && node.up(1), "{what}");
        for key in KEYS {
            put(&store, key, b"body");
            assert!(ask(&store, key).is_some(), "{what}");
        }
        end(store);
    }
}

#[test]
fn a_disk_with_less_room_than_configured_is_left_out_and_nothing_is_taken() {
    let mut node = Node::new(2);
    // more than any machine of ours has, and few enough files
    node.config.disks[0].bytes = 8 << 40;
    let store = node.start();
    assert!(!node.up(0) && node.up(1));
    end(store);
    assert!(
        fs::read_dir(node.disk(0).join("heads"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn what_only_the_operator_can_decide_is_refused() {
    let mut node = Node::new(1);
    let first = node.start();
    // a second process, with a state directory of its own
    let second = CacheStore::open(
        &StoreConfig {
            state: Some(node.data.path().join("other")),
            ..node.config.clone()
        },
        &node.metrics,
    );
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    end(first);

    node.config.disks[0].bytes = DISK_BYTES_MIN - 1;
    assert!(matches!(node.try_start(), Err(OpenError::TooSmall { .. })));
    node.config.disks[0].bytes = DISK_BYTES_MIN;
    fs::write(node.disk(0).join("holiday.jpg"), "").unwrap();
    assert!(matches!(node.try_start(), Err(OpenError::Foreign { .. })));
}

#[test]
fn cut_and_missing_files_cost_what_lay_in_them_and_nothing_else() {
    let mut node = Node::new(1);
    let store = node.start();
    let bodies: Vec<Vec<u8>> = (1..20).map(|key| put_chunks(&store, key)).collect();
    flush(&store);
    end(store);
    let files = node.blocks("chunks");
    fs::remove_file(&files[0]).unwrap();
    fs::File::options()
        .write(true)
        .open(&files[1])
        .and_then(|file| file.set_len(4096))
        .unwrap();
    let store = node.start();
    assert!(node.up(0));
    let mut whole = 0;
    for (key, body) in (1..).zip(&bodies) {
        for (found, chunk) in chunks(&store, key)
            .iter()
            .zip(body.chunks(CHUNK_BYTES as usize))
        {
            if let Some(found) = found {
                assert!(found == chunk, "{key}");
                whole += 1;
            }
        }
    }
    assert!(whole > 0);
}

#[test]
fn a_chunk_that_was_changed_on_the_disk_is_never_delivered() {
    let mut node = Node::new(1);
    let store = node.start();
    let body = put_chunks(&store, 1);
    flush(&store);
    end(store);
    let mut changed = 0;
    for path in node.blocks("chunks") {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let bytes = fs::read(&path).unwrap();
        // in the middle of a record, which is some pages long
        for at in (0..bytes.len()).step_by(64 << 10) {
            if bytes[at..].iter().take(64).any(|b| *b != 0) {
                file.write_all_at(&[bytes[at + 32] ^ 1], at as u64 + 32)
                    .unwrap();
                changed += 1;
            }
        }
    }
    assert!(changed > 0);
    let store = node.start();
    let found = chunks(&store, 1);
    for (found, chunk) in found.iter().zip(body.chunks(CHUNK_BYTES as usize)) {
        assert!(found.as_ref().is_none_or(|found| found == chunk));
    }
}

#[test]
fn a_disk_that_goes_while_it_is_used_is_turned_off_and_what_it_held_stays_dead() {
    type Spoil = fn(&Path);
    let faults: [(&str, Spoil); 3] = [
        ("deleted", |path| {
            // out of the watchdog's reach first: what it writes meanwhile would keep the directory from going
            let away = path.with_extension("deleted");
            fs::rename(path, &away).unwrap();
            fs::remove_dir_all(away).unwrap();
        }),
        ("replaced", |path| {
            fs::rename(path, path.with_extension("away")).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("cut", |path| {
            for shelf in ["heads", "chunks"] {
                for file in fs::read_dir(path.join(shelf)).unwrap() {
                    let path = file.unwrap().path();
                    let file = fs::File::options().write(true).open(path).unwrap();
                    file.set_len(0).unwrap();
                }
            }
        }),
    ];
    for (what, spoil) in faults {
        let mut node = Node::new(1);
        node.config.disk_probe = Duration::from_millis(20);
        let store = node.start();
        put(&store, 1, b"old");
        put_chunks(&store, 3);
        flush(&store);
        assert!(node.up(0));
        spoil(&node.disk(0));
        until(what, || !node.up(0));
        let away = node.disk(0).with_extension("away");
        until("its stamp is deleted, wherever the directory is", || {
            !node.disk(0).join("stamp").exists() && !away.join("stamp").exists()
        });
        // nothing there can come back, so nothing has to be written down, once that is certain
        let log = node.data.path().join("minima/minima.log");
        until(what, || {
            let before = fs::metadata(&log).unwrap().len();
            put(&store, 1, b"new");
            fs::metadata(&log).unwrap().len() == before
        });
        put(&store, 2, b"more");
        assert_eq!(ask(&store, 1).as_deref(), Some(&b"new"[..]), "{what}");
        assert_eq!(ask(&store, 2).as_deref(), Some(&b"more"[..]), "{what}");
        end(store);
        if away.exists() {
            let _ = fs::remove_dir_all(node.disk(0));
            fs::rename(away, node.disk(0)).unwrap();
        }
        let store = node.start();
        assert!(node.up(0), "{what}");
        assert_ne!(ask(&store, 1).as_deref(), Some(&b"old"[..]), "{what}");
    }
}

#[test]
fn a_disk_of_which_no_block_is_free_is_written_again_after_a_restart() {
    let mut node = Node::new(1);
    let store = node.start();
    put(&store, 1, b"first");
    put_chunks(&store, 2);
    flush(&store);
    end(store);
    for shelf in ["heads", "chunks"] {
        let files = node.blocks(shelf);
        let used = |file: &PathBuf| fs::read(file).unwrap()[..4096].iter().any(|b| *b != 0);
        let full = files.iter().find(|file| used(file)).unwrap();
        for file in &files {
            if file != full {
                fs::copy(full, file).unwrap();
            }
        }
    }
    let store = node.start();
    put(&store, 3, b"later");
    put_chunks(&store, 4);
    flush(&store);
    assert!(node.up(0));
    end(store);
    let store = node.start();
    assert_eq!(ask(&store, 3).as_deref(), Some(&b"later"[..]));
    assert!(chunks(&store, 4).iter().all(Option::is_some));
}

#[test]
fn a_disk_whose_reads_fail_one_after_another_is_turned_off() {
    let mut node = Node::new(1);
    // the watchdog does not look
    node.config.disk_probe = Duration::from_secs(3600);
    let store = node.start();
    for key in KEYS {
        put(&store, key, b"body");
    }
    flush(&store);
    end(store);
    let store = node.start();
    for file in node.blocks("heads") {
        fs::File::options()
            .write(true)
            .open(file)
            .and_then(|file| file.set_len(0))
            .unwrap();
    }
    for key in KEYS {
        ask(&store, key);
    }
    until("it is off", || !node.up(0));
    put(&store, 1, b"new");
    assert_eq!(ask(&store, 1).as_deref(), Some(&b"new"[..]));
}

#[test]
fn what_is_replaced_again_and_again_is_written_each_time() {
    let mut node = Node::new(1);
    let store = node.start();
    for round in 0..5 {
        for key in KEYS {
            put(&store, key, &[round]);
        }
        flush(&store);
        assert!(node.up(0));
    }
    end(store);
    let store = node.start();
    for key in KEYS {
        assert_eq!(ask(&store, key).as_deref(), Some(&[4][..]));
    }
}

#[test]
fn a_key_is_known_where_something_may_lie_under_it() {
    let mut node = Node::new(1);
    let store = node.start();
    put(&store, 1, b"body");
    assert!(store.knows(1) && !store.knows(2));
    flush(&store);
    end(store);
    let store = node.start();
    assert!(store.knows(1) && !store.knows(2));
}

#[test]
fn a_directory_of_another_version_or_with_a_damaged_stamp_starts_empty() {
    // the version, and the checksum
    for at in [8, 70] {
        let mut node = Node::new(1);
        let store = node.start();
        put(&store, 1, b"body");
        flush(&store);
        end(store);
        let stamp = node.disk(0).join("stamp");
        let mut bytes = fs::read(&stamp).unwrap();
        bytes[at] ^= 1;
        fs::write(&stamp, bytes).unwrap();
        let store = node.start();
        assert_eq!(ask(&store, 1), None);
        put(&store, 2, b"body");
        flush(&store);
        end(store);
        assert!(ask(&node.start(), 2).is_some());
    }
}
