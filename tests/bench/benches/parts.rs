//! What a hit is made of, without sockets: `cargo bench -p seawall-bench`.

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use seawall_cache_store::{
    CacheStore, Coding, Head, HeadParts, Hidden, StoreConfig, Sums, memo::Memo,
};
use seawall_hash_ring::{Member, Ring, member_id};
use seawall_http_cache::{
    Freshness, LifetimeSource, RequestDirectives, StoragePolicy, Timestamp, reuse, storable,
};
use seawall_purge::{Epoch, Label, Purge, PurgeSeq, ScopeId, Strength, Table};
use seawall_service_model::{KeyRules, Origin, Scheme, Service, ServiceSet, cache_key};
use seawall_telemetry::{Metrics, NodeKind};
use std::sync::Arc;

fn main() {
    divan::main();
}

const HOST: &[u8] = b"www.example.com";
const NOW: Timestamp = Timestamp(1_800_000_000);

fn service(host: &str) -> Service {
    let origin = Origin {
        host: "127.0.0.1".to_owned(),
        port: 8000,
        tls: None,
        host_header: None,
    };
    Service::new(host, vec![host.parse().expect("a host")], origin)
}

/// A request as browsers send it, as far as a key may look at it.
fn request() -> HeaderMap {
    fields(&[
        ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cookie", "session=1234567890abcdef; currency=EUR"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140"),
    ])
}

fn response() -> HeaderMap {
    fields(&[
        ("cache-control", "public, max-age=3600"),
        ("content-length", "1024"),
        ("content-type", "text/html; charset=utf-8"),
        ("date", "Fri, 15 Jan 2027 08:00:00 GMT"),
        ("etag", "\"5f3c-1024\""),
        ("last-modified", "Thu, 14 Jan 2027 08:00:00 GMT"),
    ])
}

fn fields(all: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = all.iter();
    pairs
        .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
        .collect()
}

fn freshness() -> Freshness {
    Freshness {
        lifetime: 3600,
        source: LifetimeSource::MaxAge,
        initial_age: 1,
        received: NOW,
        stale_while_revalidate: 0,
        stale_if_error: 0,
        no_cache: false,
        must_revalidate: false,
    }
}

fn head(fields: &HeaderMap, body: &[u8]) -> Head {
    let parts = HeadParts {
        generation: seawall_purge::Generation::default(),
        revision: 0,
        label: Label::default(),
        status: StatusCode::OK,
        fields,
        hidden: Hidden::default(),
        upstream_cache_status: b"",
        freshness: freshness(),
        length: body.len() as u64,
        scopes: &[],
        coding: Coding::AsIs,
        object: 0,
        sums: Sums::default(),
    };
    Head::new(parts, Some(&[body]))
}

/// Host to service, among so many.
#[divan::bench(args = [1, 100, 10_000])]
fn service_of_host(bencher: Bencher, services: usize) {
    let names = (1..services).map(|n| format!("host-{n}.example.com"));
    let all = names.chain(["www.example.com".to_owned()]);
    let set = ServiceSet::new(all.map(|name| service(&name)).collect()).expect("no host twice");
    bencher.bench(|| black_box(&set).find(black_box(HOST)).is_some());
}

/// With the default rules, and where a query's parameters are sorted and some left out.
#[divan::bench(args = ["/news/2027/01/15/a-headline.html", "/search?b=2&a=1&utm_source=x"])]
fn key(bencher: Bencher, target: &str) {
    let (service, request, rules) = (service("www.example.com"), request(), KeyRules::default());
    bencher.bench(|| {
        let target = black_box(target);
        cache_key(&service, Scheme::Https, HOST, target, &rules, &request)
    });
}

/// Of a copy in memory, among so many.
#[divan::bench(args = [1, 100_000])]
fn lookup(bencher: Bencher, copies: u128) {
    let config = StoreConfig {
        memory_bytes: 512 << 20,
        ..StoreConfig::default()
    };
    let store = CacheStore::new(&config, &Metrics::new(NodeKind::Edge, "bench"));
    let (fields, request) = (response(), request());
    // spread as digests are
    let spread = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    for n in 0..copies {
        let head = Arc::new(head(&fields, &[7; 1024]));
        store.insert(spread(n), &[], &request, head);
    }
    let mut n = 0;
    bencher.bench_local(|| {
        n = (n + 7919) % copies;
        store.lookup(black_box(spread(n)), &request)
    });
}

/// Whether a copy may answer a request that wants nothing special.
#[divan::bench]
fn judge_copy(bencher: Bencher) {
    let (freshness, directives) = (freshness(), RequestDirectives::default());
    bencher.bench(|| reuse(black_box(&freshness), &directives, black_box(NOW)));
}

/// Whether an answer may be stored, and for how long.
#[divan::bench]
fn judge_answer(bencher: Bencher) {
    let (request, response, policy) = (request(), response(), StoragePolicy::default());
    bencher.bench(|| {
        let response = black_box(&response);
        storable(
            &Method::GET,
            &request,
            StatusCode::OK,
            response,
            &policy,
            NOW,
            NOW,
        )
    });
}

/// A table with so many purges of scopes that no copy has.
fn table(purges: u64) -> Table {
    let at = |n| PurgeSeq::new(Epoch(1), n);
    let table = Table::new(at(0));
    for n in 1..=purges {
        let scope = ScopeId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let purge = Purge {
            at: at(n),
            term: 1,
            appended_ms: n,
            strength: Strength::Hard,
            scopes: vec![scope],
            pace: None,
        };
        table.apply(&purge).expect("the next one");
    }
    table
}

/// A copy's scopes against a table.
#[divan::bench(args = [1_000, 1_000_000])]
fn purge_check(bencher: Bencher, purges: u64) {
    let table = table(purges);
    let scopes: Vec<ScopeId> = (0..10).map(|i| ScopeId(u64::MAX / (i + 3))).collect();
    let label = Label(PurgeSeq::new(Epoch(1), 0));
    bencher.bench(|| table.judge(black_box(label), black_box(&scopes)));
}

/// The same where no purge has come since the last check.
#[divan::bench]
fn purge_check_again(bencher: Bencher) {
    let (table, memo) = (table(1_000), Memo::default());
    let label = Label(PurgeSeq::new(Epoch(1), 0));
    memo.set_live(table.at());
    bencher.bench(|| black_box(&memo).is_live(black_box(label), black_box(&table).at()));
}

/// The shield that owns a key, among so many.
#[divan::bench(args = [2, 8, 64])]
fn ring(bencher: Bencher, shields: usize) {
    let members = (0..shields).map(|n| Member {
        id: member_id(&format!("shield-{n}")),
        weight: 1,
    });
    let (ring, mut key) = (Ring::new(members.collect()), 0_u64);
    bencher.bench_local(|| {
        key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ring.owner(black_box(key))
    });
}

/// A stored head, with its body of 1 KiB, made of fields.
#[divan::bench]
fn serialise_head(bencher: Bencher) {
    let (fields, body) = (response(), [7; 1024]);
    bencher.bench(|| head(black_box(&fields), black_box(&body)));
}
