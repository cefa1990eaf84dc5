//! What the store promises of heads, variants, chunks and generations.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use seawall_cache_store::{
    Body, CHUNK_BYTES, CacheStore, Coding, Found, Head, HeadParts, Hidden, StoreConfig, Sums,
};
use seawall_http_cache::{Freshness, Storable, StoragePolicy, Timestamp, storable};
use seawall_purge::{BootId, Generation, Label, ScopeId};
use seawall_telemetry::{Metrics, NodeKind};
use std::sync::Arc;

fn store(memory_bytes: u64) -> CacheStore {
    let metrics = Metrics::new(NodeKind::Edge, "test");
    CacheStore::new(
        &StoreConfig {
            memory_bytes,
            boot: BootId(1),
            ..StoreConfig::default()
        },
        &metrics,
    )
}

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap()))
        .collect()
}

fn freshness() -> Freshness {
    let response = fields(&[("cache-control", "max-age=60")]);
    let (request, policy) = (HeaderMap::new(), StoragePolicy::default());
    let (get, now) = (http::Method::GET, Timestamp(1_000_000));
    match storable(&get, &request, StatusCode::OK, &response, &policy, now, now) {
        Storable::Yes(freshness) => freshness,
        Storable::No(why) => panic!("{why:?}"),
    }
}

fn head(generation: Generation, length: u64, inline: Option<&[u8]>) -> Arc<Head> {
    let stored = fields(&[("etag", "\"v1\""), ("x-a", "1"), ("via", "1.1 a")]);
    head_of(&stored, generation, length, inline)
}

/// A copy with this `Date`, or none.
fn dated(generation: Generation, date: &'static str) -> Arc<Head> {
    let stored = match date {
        "" => HeaderMap::new(),
        date => fields(&[("date", date)]),
    };
    head_of(&stored, generation, 1, Some(b"x"))
}

fn head_of(
    stored: &HeaderMap,
    generation: Generation,
    length: u64,
    inline: Option<&[u8]>,
) -> Arc<Head> {
    let parts = HeadParts {
        generation,
        revision: 0,
        label: Label::default(),
        status: StatusCode::OK,
        fields: stored,
        hidden: Hidden::default(),
        upstream_cache_status: b"shield; hit",
        freshness: freshness(),
        length,
        scopes: &[],
        coding: Coding::AsIs,
        object: 7,
        sums: Sums::default(),
    };
    let inline = inline.map(|body| [body]);
    Arc::new(Head::new(parts, inline.as_ref().map(|i| &i[..])))
}

fn found(store: &CacheStore, key: u128, request: &HeaderMap) -> Option<Generation> {
    match store.lookup(key, request) {
        Found::Copy { head, .. } => Some(head.generation()),
        _ => None,
    }
}

#[test]
fn a_retired_generation_goes_and_newer_ones_and_other_variants_stay() {
    let store = store(64 << 20);
    let language = [HeaderName::from_static("accept-language")];
    let (en, de) = (
        fields(&[("accept-language", "en")]),
        fields(&[("accept-language", "de")]),
    );
    let [first, second, other] = std::array::from_fn(|_| store.next_generation());
    let variant = store.insert(1, &language, &en, head(first, 5, Some(b"hello")));
    store.insert(1, &language, &de, head(other, 5, Some(b"hallo")));
    store.retire(1, variant, first);
    assert_eq!(found(&store, 1, &en), None);
    assert_eq!(found(&store, 1, &de), Some(other));
    store.insert(1, &language, &en, head(second, 5, Some(b"hello")));
    store.retire(1, variant, first);
    assert_eq!(found(&store, 1, &en), Some(second));
}

#[test]
fn a_head_is_taken_apart_into_what_it_was_made_from() {
    let head = head(Generation::default(), 5, Some(b"hello"));
    let parts = head.fields();
    assert_eq!(
        parts.fields,
        fields(&[("etag", "\"v1\""), ("x-a", "1"), ("via", "1.1 a")])
    );
    assert_eq!(&parts.upstream_cache_status[..], b"shield; hit");
    assert_eq!(&head.inline_body()[..], b"hello");
    assert_eq!(
        head.serialised().concat(),
        b"HTTP/1.1 200 OK\r\nvia: 1.1 a\r\netag: \"v1\"\r\nx-a: 1\r\n"
    );
    assert_eq!(head.cache_status_prefix(), b"cache-status: shield; hit, ");
}

#[test]
fn variants_are_found_by_the_fields_that_select_them() {
    let store = store(64 << 20);
    let names = [HeaderName::from_static("accept-language")];
    let (de, fr) = (
        fields(&[("accept-language", "de")]),
        fields(&[("accept-language", "fr")]),
    );
    let (first, second) = (store.next_generation(), store.next_generation());

    store.insert(1, &names, &de, head(first, 1, Some(b"d")));
    assert!(matches!(store.lookup(1, &fr), Found::OtherVariants));
    store.insert(1, &names, &fr, head(second, 1, Some(b"f")));

    assert_eq!(found(&store, 1, &de), Some(first));
    assert_eq!(found(&store, 1, &fr), Some(second));
    assert!(matches!(store.lookup(2, &de), Found::Nothing));
}

#[test]
fn of_several_variants_that_match_the_most_recent_one_is_found() {
    // RFC 9111 §4.1; the dates of the copies in the order they are stored, and which is found
    let (early, late) = (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:38 GMT",
    );
    for (id, dates, expect) in [
        ("later date", [early, late, late], 1),
        ("earlier date", [late, early, late], 0),
        ("the same date", [late, late, late], 1),
        ("no date", ["", "", ""], 1),
        // received in 1970, as the test's clock has it
        ("date and none", ["", late, ""], 1),
        ("none and date", [late, "", ""], 0),
    ] {
        let store = store(64 << 20);
        let names = |name| [HeaderName::from_static(name)];
        let (x, y) = (names("x"), names("y"));
        let both = fields(&[("x", "1"), ("y", "1")]);
        let other = fields(&[("x", "2"), ("y", "1")]);
        let generations: [_; 3] = std::array::from_fn(|_| store.next_generation());
        let dated = |i: usize| dated(generations[i], dates[i]);
        store.insert(1, &x, &both, dated(0));
        store.insert(1, &y, &both, dated(1));
        // makes the first list the newest again
        store.insert(1, &x, &other, dated(2));
        assert_eq!(found(&store, 1, &both), Some(generations[expect]), "{id}");
    }
}

#[test]
fn a_copy_without_vary_stays_found_when_the_key_begins_to_vary() {
    let store = store(64 << 20);
    let plain = store.next_generation();
    store.insert(1, &[], &HeaderMap::new(), head(plain, 1, Some(b"p")));

    store.note_vary(1, &[HeaderName::from_static("accept-language")]);

    assert_eq!(found(&store, 1, &HeaderMap::new()), Some(plain));
}

#[test]
fn no_more_variants_are_kept_than_the_bound() {
    let store = store(64 << 20);
    let names = [HeaderName::from_static("x-v")];
    let request = |i: usize| -> HeaderMap {
        [(
            HeaderName::from_static("x-v"),
            i.to_string().parse().unwrap(),
        )]
        .into_iter()
        .collect()
    };
    for i in 0..100 {
        store.insert(
            1,
            &names,
            &request(i),
            head(store.next_generation(), 1, Some(b"x")),
        );
    }
    let kept = (0..100)
        .filter(|i| found(&store, 1, &request(*i)).is_some())
        .count();
    assert_eq!(kept, seawall_cache_store::variants::VARIANTS_MAX);
    assert!(found(&store, 1, &request(99)).is_some());
}

#[test]
fn what_was_stored_before_an_invalidation_is_dead_and_what_comes_after_is_not() {
    let store = store(64 << 20);
    let request = HeaderMap::new();
    let old = head(store.next_generation(), 1, Some(b"x"));
    store.insert(1, &[], &request, old.clone());
    store.invalidate(1);
    assert!(found(&store, 1, &request).is_none());
    // an older head that comes back is still dead
    store.insert(1, &[], &request, old);
    assert!(found(&store, 1, &request).is_none());
    let new = store.next_generation();
    store.insert(1, &[], &request, head(new, 1, Some(b"y")));
    assert_eq!(found(&store, 1, &request), Some(new));
}

/// A copy of these groups under `key`, made now.
fn grouped(store: &CacheStore, key: u128, groups: &[u64]) -> Arc<Head> {
    let scopes: Vec<ScopeId> = groups.iter().copied().map(ScopeId).collect();
    let parts = HeadParts {
        generation: store.next_generation(),
        revision: 0,
        label: Label::default(),
        status: StatusCode::OK,
        fields: &HeaderMap::new(),
        hidden: Hidden::default(),
        upstream_cache_status: b"",
        freshness: freshness(),
        length: 1,
        scopes: &scopes,
        coding: Coding::AsIs,
        object: 7,
        sums: Sums::default(),
    };
    let head = Arc::new(Head::new(parts, Some(&[b"x"])));
    store.insert(key, &[], &HeaderMap::new(), head.clone());
    head
}

#[test]
fn an_invalidation_of_a_group_ends_its_copies_of_that_time_and_no_others() {
    let store = store(64 << 20);
    let request = HeaderMap::new();
    let old = grouped(&store, 1, &[10, 11]);
    grouped(&store, 2, &[11, 12]);
    grouped(&store, 3, &[]);
    let lives = || [1, 2, 3].map(|key| found(&store, key, &request).is_some());
    assert_eq!(lives(), [true; 3]);
    assert!(
        store
            .invalidate_scopes(&[ScopeId(99), ScopeId(10)])
            .is_none()
    );
    // it was found before: what was remembered then does not count
    assert_eq!(lives(), [false, true, true]);
    store.insert(1, &[], &request, old);
    assert_eq!(lives(), [false, true, true]);
    grouped(&store, 1, &[10, 11]);
    assert_eq!(lives(), [true; 3]);
    store.invalidate_scopes(&[ScopeId(11)]);
    assert_eq!(lives(), [false, false, true]);
}

#[test]
fn groups_beyond_the_bound_fold_and_none_is_forgotten() {
    let store = store(64 << 20);
    let request = HeaderMap::new();
    let all = 300_000_u64;
    for key in 0..100 {
        grouped(&store, key, &[key as u64]);
    }
    let groups: Vec<ScopeId> = (0..all).map(ScopeId).collect();
    store.invalidate_scopes(&groups);
    for key in 0..100 {
        assert!(found(&store, key, &request).is_none(), "{key}");
        grouped(&store, key, &[key as u64]);
        assert!(found(&store, key, &request).is_some(), "{key}");
    }
}

#[test]
fn a_range_of_a_chunked_body_is_its_bytes_and_a_missing_or_foreign_chunk_is_none() {
    let store = store(64 << 20);
    let generation = store.next_generation();
    let length = 2 * CHUNK_BYTES + 10;
    let body: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
    let chunked = head(generation, length, None);
    let Body::Chunks(chunks) = chunked.body() else {
        panic!("{:?}", chunked.body());
    };
    assert_eq!((chunks.object, chunks.count), (7, 3));
    let put = |index: usize, chunk: &[u8]| {
        store.put_chunk(7, generation, index as u32, Bytes::copy_from_slice(chunk));
    };
    let chunks: Vec<&[u8]> = body.chunks(CHUNK_BYTES as usize).collect();
    put(0, chunks[0]);
    put(1, chunks[1]);
    assert!(store.body(&chunked, 0..length).is_none());
    put(2, &chunks[2][1..]);
    assert!(
        store.body(&chunked, 0..length).is_none(),
        "a chunk of the wrong length"
    );
    put(2, chunks[2]);

    for (from, to) in [
        (0, length),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (length - 3, length),
        (5, 5),
    ] {
        let parts = store.body(&chunked, from..to).unwrap().concat();
        assert_eq!(parts, body[from as usize..to as usize], "{from}..{to}");
    }
    let other = head(store.next_generation(), length, None);
    assert!(
        store.body(&other, 0..length).is_none(),
        "chunks of another generation"
    );
}

#[test]
fn a_lost_chunk_is_put_back_by_its_own_bytes_alone() {
    let (filled, store) = (store(64 << 20), store(64 << 20));
    let generation = store.next_generation();
    let whole = vec![1; CHUNK_BYTES as usize];
    let chunks = [Bytes::from(whole.clone()), Bytes::from_static(b"tail")];
    let sums: Vec<u64> = (0..)
        .zip(&chunks)
        .map(|(index, chunk)| filled.put_chunk(7, generation, index, chunk.clone()))
        .collect();
    let stored = fields(&[("etag", "\"v1\"")]);
    let head = Arc::new(Head::new(
        HeadParts {
            generation,
            revision: 0,
            label: Label::default(),
            status: StatusCode::OK,
            fields: &stored,
            hidden: Hidden::default(),
            upstream_cache_status: b"",
            freshness: freshness(),
            length: CHUNK_BYTES + 4,
            scopes: &[],
            coding: Coding::AsIs,
            object: 7,
            sums: sums.into(),
        },
        None,
    ));
    assert!(!store.holds_chunk(&head, 0) && !store.holds_chunk(&head, 1));
    let mut other = whole;
    other[1000] = 2;
    assert!(!store.restore_chunk(&head, 0, other.into()));
    assert!(!store.restore_chunk(&head, 0, chunks[0].slice(1..)));
    assert!(!store.restore_chunk(&head, 1, chunks[0].clone()));
    assert!(!store.restore_chunk(&head, 2, Bytes::new()));
    assert!(!store.holds(&head, 0..1) && store.holds(&head, 9..9));
    assert!(store.restore_chunk(&head, 1, chunks[1].clone()));
    assert!(store.holds(&head, CHUNK_BYTES..head.length) && !store.holds(&head, 0..head.length));
    assert!(store.restore_chunk(&head, 0, chunks[0].clone()));
    let body = store.body(&head, 0..head.length).unwrap().concat();
    assert!(body == chunks.concat());
}

#[test]
fn memory_stays_within_its_bound() {
    let store = store(8 << 20);
    let body = vec![1; 30_000];
    for key in 0..2000 {
        let head = head(store.next_generation(), body.len() as u64, Some(&body));
        store.insert(key, &[], &HeaderMap::new(), head);
    }
    let (entries, bytes) = store.usage();
    assert!(
        bytes <= 8 << 20 && entries > 50,
        "{entries} entries, {bytes} bytes"
    );
}

#[test]
fn a_view_tells_all_variants_and_puts_first_what_a_lookup_finds() {
    let store = store(64 << 20);
    let view = |request: &HeaderMap| futures::executor::block_on(store.view(1, request, 8));
    let names = [HeaderName::from_static("accept-language")];
    let ask = |language| fields(&[("accept-language", language)]);
    assert!(view(&ask("de")).copies.is_empty() && !view(&ask("de")).varies);
    for language in ["de", "fr", "it"] {
        let head = head(store.next_generation(), 1, Some(b"x"));
        store.insert(1, &names, &ask(language), head);
    }
    for language in ["de", "fr", "it"] {
        let told = view(&ask(language));
        assert!(told.selected && told.varies && told.unread == 0);
        assert_eq!(told.copies.len(), 3);
        let first = told.copies[0].head.generation();
        assert_eq!(found(&store, 1, &ask(language)), Some(first));
    }
    let told = view(&ask("es"));
    assert!(!told.selected && told.varies && told.copies.len() == 3);
    store.invalidate(1);
    assert!(view(&ask("de")).copies.is_empty());
}

#[test]
fn an_incomplete_response_gives_what_it_holds_and_takes_what_comes() {
    let store = store(64 << 20);
    let generation = store.next_generation();
    let whole: Vec<u8> = (0..2 * CHUNK_BYTES + 10).map(|i| (i % 251) as u8).collect();
    let length = whole.len() as u64;
    let fields = HeaderMap::new();
    let parts = |length, sums| HeadParts {
        generation,
        revision: 0,
        label: Label::default(),
        status: StatusCode::OK,
        fields: &fields,
        hidden: Hidden::default(),
        upstream_cache_status: b"",
        freshness: freshness(),
        length,
        scopes: &[],
        coding: Coding::AsIs,
        object: 7,
        sums,
    };
    let chunked = Arc::new(Head::new(parts(length, Sums::unknown(3)), None));
    let chunk = |index: usize| {
        let end = whole.len().min((index + 1) * CHUNK_BYTES as usize);
        Bytes::copy_from_slice(&whole[index * CHUNK_BYTES as usize..end])
    };
    assert!(chunked.is_incomplete() && store.body(&chunked, 0..1).is_none());
    assert!(!store.restore_chunk(&chunked, 1, chunk(2)), "its length");
    assert!(store.restore_chunk(&chunked, 1, chunk(1)));
    assert!(store.restore_chunk(&chunked, 1, chunk(1)), "the same again");
    let other = Bytes::from(vec![1; CHUNK_BYTES as usize]);
    assert!(!store.restore_chunk(&chunked, 1, other), "another version");
    assert!(store.holds(&chunked, CHUNK_BYTES..2 * CHUNK_BYTES));
    assert!(!store.holds(&chunked, CHUNK_BYTES..length));
    assert!(store.restore_chunk(&chunked, 0, chunk(0)));
    assert!(store.restore_chunk(&chunked, 2, chunk(2)));
    assert!(!chunked.is_incomplete());
    assert_eq!(store.body(&chunked, 0..length).unwrap().concat(), whole);

    let small = Arc::new(Head::incomplete(parts(10, Sums::default()), 3, b"345"));
    assert!(small.is_incomplete());
    assert_eq!(store.body(&small, 4..6).unwrap().concat(), b"45");
    for (range, held) in [
        (3..6, true),
        (4..5, true),
        (2..4, false),
        (5..7, false),
        (0..10, false),
    ] {
        assert_eq!(store.holds(&small, range.clone()), held, "{range:?}");
        assert_eq!(store.body(&small, range).is_some(), held);
    }
    assert!(!store.holds_chunk(&small, 0));
}

#[test]
fn of_two_refreshments_of_one_head_the_first_stays() {
    let store = store(64 << 20);
    let generation = store.next_generation();
    let revised = |revision: u32, label: u64| {
        let fields = HeaderMap::new();
        let parts = HeadParts {
            generation,
            revision,
            label: Label(seawall_purge::PurgeSeq::new(seawall_purge::Epoch(1), label)),
            status: StatusCode::OK,
            fields: &fields,
            hidden: Hidden::default(),
            upstream_cache_status: b"",
            freshness: freshness(),
            length: 1,
            scopes: &[],
            coding: Coding::AsIs,
            object: 1,
            sums: Sums::default(),
        };
        Arc::new(Head::new(parts, Some(&[b"x"])))
    };
    let variant = store.insert(1, &[], &HeaderMap::new(), revised(0, 5));
    assert!(store.refresh(1, variant, revised(1, 5)));
    // made from the one before, with less than the first has learned
    assert!(!store.refresh(1, variant, revised(1, 6)));
    assert_eq!(store.exact(1, variant).unwrap().label().0.n, 5);
    assert!(store.refresh(1, variant, revised(2, 7)));
    assert!(!store.refresh(1, variant, revised(4, 8)));
}
