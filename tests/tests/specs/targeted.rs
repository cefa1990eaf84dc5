//! Cache directives that are meant for this cache (RFC 9213), through edge and shield.

use http::HeaderName;
use seawall_http_cache::Targets;
use seawall_tests::client::get;
use seawall_tests::{Cluster, ClusterSpec, Origin, Response};
use std::sync::atomic::{AtomicUsize, Ordering};

type Lines = &'static [(&'static str, &'static str)];

const CC: &str = "cache-control";
const CDN: &str = "cdn-cache-control";
const OURS: &str = "seawall-cache-control";

fn always(fields: Lines) -> Origin {
    Origin::start(move |_, reply| reply.answer(200, fields, b"x"))
}

/// `ttl` in the edge's member of `Cache-Status`.
fn ttl(answer: &Response) -> i64 {
    let (_, behind) = answer.edge_status().split_once("ttl=").expect("a ttl");
    let end = behind.find([';', ',']).unwrap_or(behind.len());
    behind[..end].parse().expect("a number")
}

#[test]
fn a_targeted_field_decides_whether_an_answer_is_stored_whatever_others_read() {
    let rows: [(&str, Lines, bool); 12] = [
        // RFC 9213 §2.2
        (
            "9213-e2e-01",
            &[(CC, "no-store"), (CDN, "max-age=3600")],
            true,
        ),
        (
            "9213-e2e-02",
            &[(CC, "private"), (CDN, "max-age=3600")],
            true,
        ),
        (
            "9213-e2e-03",
            &[(CC, "max-age=0"), (CDN, "max-age=3600")],
            true,
        ),
        (
            "9213-e2e-04",
            &[("expires", "0"), (CDN, "max-age=3600")],
            true,
        ),
        (
            "9213-e2e-05",
            &[(CC, "max-age=3600"), (CDN, "no-store")],
            false,
        ),
        (
            "9213-e2e-06",
            &[(CC, "max-age=3600"), (CDN, "private")],
            false,
        ),
        (
            "9213-e2e-07",
            &[(CC, "max-age=3600"), (CDN, "max-age=0")],
            false,
        ),
        (
            "9213-e2e-08",
            &[(CC, "max-age=3600"), (CDN, "no-cache")],
            false,
        ),
        (
            "9213-e2e-09",
            &[(CDN, "no-store"), (OURS, "max-age=3600")],
            true,
        ),
        (
            "9213-e2e-10",
            &[(CDN, "max-age=3600"), (OURS, "no-store")],
            false,
        ),
        // §2.1
        (
            "9213-e2e-11",
            &[(CC, "max-age=3600"), (CDN, "no-store, &")],
            true,
        ),
        (
            "9213-e2e-12",
            &[(CC, "no-store"), (CDN, "max-age=\"3600\", x=")],
            false,
        ),
    ];
    for (id, fields, stored) in rows {
        let origin = always(fields);
        let cluster = Cluster::of(&origin);

        get(cluster.edge(0), "/", &[]);
        let second = get(cluster.edge(0), "/", &[]);

        assert_eq!(second.is_hit(), stored, "{id}: {second:?}");
        assert_eq!(origin.count("/"), if stored { 1 } else { 2 }, "{id}");
    }
}

#[test]
fn every_tier_counts_by_the_same_field() {
    let rows: [Lines; 2] = [
        &[(CC, "max-age=5"), (CDN, "max-age=1000")],
        &[(CC, "no-store"), (CDN, "max-age=7"), (OURS, "max-age=1000")],
    ];
    for fields in rows {
        let origin = always(fields);
        let cluster = ClusterSpec::new(origin.address()).edges(2).start();

        get(cluster.edge(0), "/", &[]);
        let other = get(cluster.edge(1), "/", &[]);
        let hits = [0, 1].map(|edge| get(cluster.edge(edge), "/", &[]));

        let status = other.field("cache-status").unwrap();
        assert!(status.starts_with("seawall-shield; hit"), "{status}");
        for hit in hits {
            assert!(hit.is_hit(), "{fields:?}: {hit:?}");
            assert!((900..=1000).contains(&ttl(&hit)), "{fields:?}: {hit:?}");
        }
        assert_eq!(origin.count("/"), 1, "{fields:?}");
    }
}

#[test]
fn what_needs_a_permission_takes_it_from_the_field_that_governs() {
    const SENDER: Lines = &[("authorization", "Basic x")];
    type Row = (&'static str, Lines, Lines, bool);
    let rows: [Row; 5] = [
        // RFC 9111 §3.5
        ("auth-1", SENDER, &[(CDN, "max-age=3600, public")], true),
        (
            "auth-2",
            SENDER,
            &[(CC, "public"), (CDN, "max-age=3600")],
            false,
        ),
        // cookies that the origin lets this cache keep
        (
            "cookie-1",
            &[],
            &[("set-cookie", "a=b"), (CDN, "max-age=3600")],
            true,
        ),
        (
            "cookie-2",
            &[],
            &[("set-cookie", "a=b"), (CC, "max-age=3600")],
            false,
        ),
        (
            "cookie-3",
            &[],
            &[
                ("set-cookie", "a=b"),
                (CC, "public"),
                (CDN, "stale-if-error=5, max-age=0"),
            ],
            false,
        ),
    ];
    for (id, request, fields, stored) in rows {
        let origin = always(fields);
        let cluster = Cluster::of(&origin);

        get(cluster.edge(0), "/", request);
        let second = get(cluster.edge(0), "/", request);

        assert_eq!(second.is_hit(), stored, "{id}: {second:?}");
        assert_eq!(origin.count("/"), if stored { 1 } else { 2 }, "{id}");
    }
}

/// A stale answer with `first`, then a 304 with `then` to whoever validates, else a new 200.
fn stale_then(first: Lines, then: Lines) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::start(move |request, reply| {
        let mut fields = vec![("etag", "\"v1\"")];
        if asked.fetch_add(1, Ordering::AcqRel) == 0 {
            fields.push(("age", "100"));
            fields.extend(first);
            return reply.answer(200, &fields, b"old");
        }
        fields.extend(then);
        if request.field("if-none-match") == Some("\"v1\"") {
            return reply.answer(304, &fields, b"");
        }
        reply.answer(200, &fields, b"new")
    })
}

#[test]
fn a_304_that_changes_a_targeted_field_changes_what_the_copy_may_do() {
    let rows: [(&str, Lines, Lines, bool); 5] = [
        // RFC 9111 §3.2, §4.3.4
        (
            "304-1 longer",
            &[(CC, "no-store"), (CDN, "max-age=60")],
            &[(CC, "no-store"), (CDN, "max-age=600")],
            true,
        ),
        (
            "304-2 the field that the copy has governs on",
            &[(CDN, "max-age=60")],
            &[(CC, "no-store")],
            true,
        ),
        (
            "304-3 one that goes before it",
            &[(CC, "no-store"), (CDN, "max-age=60")],
            &[(OURS, "no-store")],
            false,
        ),
        (
            "304-4 no longer stored",
            &[(CC, "max-age=60")],
            &[(CC, "max-age=600"), (CDN, "no-store")],
            false,
        ),
        (
            "304-5 of one that no client sees",
            &[(CC, "no-store"), (OURS, "max-age=60")],
            &[(CC, "no-store"), (OURS, "max-age=600")],
            true,
        ),
    ];
    for (id, first, then, kept) in rows {
        let origin = stale_then(first, then);
        let cluster = Cluster::of(&origin);

        get(cluster.edge(0), "/", &[]);
        let validated = get(cluster.edge(0), "/", &[]);
        let third = get(cluster.edge(0), "/", &[]);

        assert_eq!(validated.text(), "old", "{id}: {validated:?}");
        assert_eq!(third.is_hit(), kept, "{id}: {third:?}");
        assert_eq!(origin.count("/"), if kept { 2 } else { 3 }, "{id}");
    }
}

#[test]
fn clients_see_the_targeted_fields_that_others_may_want_and_ours_never() {
    const ALL: Lines = &[
        (CC, "no-cache"),
        (CDN, "max-age=3600"),
        (OURS, "max-age=3600"),
        ("surrogate-control", "max-age=3600"),
        ("etag", "\"v1\""),
    ];
    let surrogates = || Targets::new(vec![HeaderName::from_static("surrogate-control")]);
    // kept, targets, what clients see of CDN-Cache-Control and Surrogate-Control
    for (keep, targets, cdn, surrogate) in [
        (true, Targets::default(), true, true),
        (true, surrogates(), true, true),
        (false, Targets::default(), false, true),
        (false, surrogates(), true, false),
    ] {
        for shields in [0, 1] {
            let origin = always(ALL);
            let cluster = ClusterSpec::new(origin.address())
                .shields(shields)
                .service(|service| {
                    service.response.keep_targeted = keep;
                    service.default.storage.targets = targets.clone();
                })
                .start();

            let miss = get(cluster.edge(0), "/", &[]);
            let hit = get(cluster.edge(0), "/", &[]);
            let not_modified = get(cluster.edge(0), "/", &[("if-none-match", "\"v1\"")]);

            assert!(hit.is_hit(), "{keep} {targets:?}: {hit:?}");
            assert_eq!(not_modified.status, 304);
            for answer in [miss, hit, not_modified] {
                let id = format!("{keep} {targets:?} {shields}: {answer:?}");
                assert_eq!(answer.field(OURS), None, "{id}");
                assert_eq!(answer.field(CDN).is_some(), cdn, "{id}");
                let seen = answer.field("surrogate-control").is_some();
                assert_eq!(seen, surrogate, "{id}");
                assert_eq!(answer.field(CC), Some("no-cache"), "{id}");
            }
        }
    }
}

#[test]
fn surrogate_control_governs_where_it_is_listed() {
    let fields: Lines = &[
        (CC, "no-store"),
        ("surrogate-control", "max-age=1000+60, content=\"ESI/1.0\""),
    ];
    for listed in [true, false] {
        let origin = always(fields);
        let cluster = ClusterSpec::new(origin.address())
            .service(|service| {
                if listed {
                    let names = ["surrogate-control", CDN].map(HeaderName::from_static);
                    service.default.storage.targets = Targets::new(names.to_vec());
                }
            })
            .start();

        get(cluster.edge(0), "/", &[]);
        let second = get(cluster.edge(0), "/", &[]);

        assert_eq!(second.is_hit(), listed, "{second:?}");
    }
}

#[test]
fn an_answer_that_passes_shows_no_field_of_ours_either() {
    let origin = always(&[(CDN, "no-store"), (OURS, "no-store")]);
    let cluster = Cluster::of(&origin);
    let mut client = seawall_tests::Client::connect(cluster.edge(0));

    client.request("POST", "/", &[], b"x");
    let answer = client.response("POST").unwrap();

    assert_eq!(answer.field(OURS), None, "{answer:?}");
    assert_eq!(answer.field(CDN), Some("no-store"), "{answer:?}");
}
