use super::*;
use crate::disk::DISK_BYTES_MIN;
use crate::head::{Coding, Head, HeadParts};
use crate::sums::Sums;
use bytes::Bytes;
use foyer::CacheBuilder;
use http::{HeaderMap, StatusCode};
use seawall_http_cache::{Freshness, LifetimeSource, Timestamp};
use seawall_purge::{BootId, Generation, Label};
use seawall_telemetry::NodeKind;
use std::sync::Barrier;

/// A tier of one small disk in `data`, and its minima.
fn tier_and_minima(data: &Path) -> (Tier, Minima) {
    let config = StoreConfig {
        boot: BootId(1),
        disks: vec![DiskConfig {
            path: data.join("disk"),
            bytes: DISK_BYTES_MIN,
        }],
        ..StoreConfig::default()
    };
    let metrics = Metrics::new(NodeKind::Edge, "test");
    Tier::open(&config, &metrics).unwrap()
}

fn tier(data: &Path) -> Tier {
    tier_and_minima(data).0
}

fn drive(tier: &Tier) -> &Drive {
    tier.drives[0].as_ref().unwrap()
}

fn chunk_key(index: u32) -> ChunkKey {
    ChunkKey {
        object: 7,
        generation: Generation::default(),
        index,
    }
}

fn load(tier: &Tier, chunk: &Bytes, sum: u64) -> Result<Bytes, Missing> {
    let loaded = tier.load_chunk(chunk_key(0), chunk.len() as u64, sum);
    futures::executor::block_on(loaded).map(|loaded| loaded.value.0)
}

#[test]
fn a_chunk_is_found_while_it_waits_to_be_written() {
    let data = tempfile::tempdir().unwrap();
    let tier = tier(data.path());
    // nothing is written while both of the disk's threads are held
    let (held, gate) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
    for _ in 0..2 {
        let (held, gate) = (held.clone(), gate.clone());
        drive(&tier).runtime.spawn(async move {
            held.wait();
            gate.wait();
        });
    }
    held.wait();
    let memory = CacheBuilder::new(1 << 20).build();
    let chunk = Bytes::from_static(b"waits");
    tier.offer_chunk(memory.insert(chunk_key(0), Chunk(chunk.clone())));
    assert!(tier.may_load_chunk(&chunk_key(0)) && !tier.may_load_chunk(&chunk_key(1)));
    let sum = xxh3_64(&chunk);
    let (found, other) = (load(&tier, &chunk, sum), load(&tier, &chunk, sum + 1));
    assert_eq!((found.ok(), other.ok()), (Some(chunk), None));
    // and a head there counts as one that may come back
    let heads = CacheBuilder::new(1 << 20).build();
    assert!(!tier.may_hold_head(&slot(1)));
    tier.offer_head(heads.insert(slot(1), head(1, b"waits too")));
    assert!(tier.may_hold_head(&slot(1)));
    gate.wait();
}

#[test]
fn a_disk_that_does_not_answer_in_time_is_busy_and_has_what_it_had() {
    let data = tempfile::tempdir().unwrap();
    let tier = tier(data.path());
    let memory = CacheBuilder::new(1 << 20).build();
    let chunk = Bytes::from_static(b"there");
    tier.offer_chunk(memory.insert(chunk_key(0), Chunk(chunk.clone())));
    assert!(tier.flush(Instant::now() + REAP_WAIT));
    // nothing is read while all threads that wait for the disk are held
    let all = BLOCKING_THREADS + 1;
    let (held, gate) = (Arc::new(Barrier::new(all)), Arc::new(Barrier::new(all)));
    for _ in 0..BLOCKING_THREADS {
        let (held, gate) = (held.clone(), gate.clone());
        drive(&tier).runtime.spawn_blocking(move || {
            held.wait();
            gate.wait();
        });
    }
    held.wait();
    let sum = xxh3_64(&chunk);
    assert_eq!(load(&tier, &chunk, sum), Err(Missing::Busy));
    gate.wait();
    // a read that was given up is on the list a moment longer
    let deadline = Instant::now() + REAP_WAIT;
    while load(&tier, &chunk, sum) == Err(Missing::Busy) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(load(&tier, &chunk, sum), Ok(chunk.clone()));
}

fn slot(counter: u64) -> HeadKey {
    HeadKey {
        primary: u128::from(counter),
        variant: 0,
    }
}

fn head(counter: u64, body: &[u8]) -> Entry {
    let fields = HeaderMap::new();
    let freshness = Freshness {
        lifetime: 60,
        source: LifetimeSource::MaxAge,
        initial_age: 0,
        received: Timestamp(1_000_000),
        stale_while_revalidate: 0,
        stale_if_error: 0,
        no_cache: false,
        must_revalidate: false,
    };
    let parts = HeadParts {
        generation: Generation {
            boot: BootId(1),
            counter,
        },
        revision: 0,
        label: Label::default(),
        status: StatusCode::OK,
        fields: &fields,
        upstream_cache_status: b"",
        freshness,
        length: body.len() as u64,
        scopes: &[],
        coding: Coding::AsIs,
        hidden: crate::Hidden::default(),
        object: 7,
        sums: Sums::default(),
    };
    Entry::Head(Arc::new(Head::new(parts, Some(&[body]))))
}

#[test]
fn when_a_turn_is_over_nothing_is_left_of_what_lay_on_the_disk_before() {
    const BODY_BYTES: usize = 400 << 10;
    let data = tempfile::tempdir().unwrap();
    let tier = tier(data.path());
    let memory = CacheBuilder::new(1 << 20).build();
    // as if the last turn had been long ago
    let turned = || {
        tier.turn.lock().rewind();
        tier.turned()
    };
    let mut written = 0;
    let mut write = |count: u64| {
        let body = vec![7; BODY_BYTES];
        for _ in 0..count {
            tier.offer_head(memory.insert(slot(written), head(written, &body)));
            written += 1;
        }
        assert!(tier.flush(Instant::now() + REAP_WAIT));
    };
    write(10);
    assert!(tier.may_hold_head(&slot(0)) && tier.may_hold_head(&slot(9)));
    assert!(!turned());
    let mut rounds = 0;
    while !turned() {
        write(10);
        rounds += 1;
        assert!(rounds < 100, "a turn never ends");
    }
    for counter in 0..10 {
        assert!(!tier.may_hold_head(&slot(counter)), "{counter}");
    }
    // the next one begins there
    assert!(!turned());
    // off, with its stamp: a restart may find what lies there
    drive(&tier).health.stop();
    assert!(!turned());
    drive(&tier).health.void();
    assert!(turned());
}

#[test]
fn when_it_can_no_longer_be_written_down_what_is_dead_the_disks_are_given_up() {
    let data = tempfile::tempdir().unwrap();
    let (tier, minima) = tier_and_minima(data.path());
    let stamp = data.path().join("disk/stamp");
    assert!(tier.is_up() && stamp.exists());
    minima.log().unwrap().take_no_more();
    minima.invalidate(1, Generation::default());
    minima.log().unwrap().sync();
    assert!(!tier.is_up() && !stamp.exists());
}
