//! Conditions of clients and answers to HEAD, held against copies (RFC 9110 §13, RFC 9111 §4.3.2, §4.3.5).

use super::origins::*;
use seawall_service_model::{Matcher, Rule};
use seawall_tests::client::get;
use seawall_tests::{Cluster, ClusterSpec, Origin};

#[test]
fn the_age_of_an_answer_that_is_not_stored_goes_on() {
    let origin = Origin::start(|_, reply| {
        let fields = [("cache-control", "private, max-age=600"), ("age", "500")];
        reply.answer(200, &fields, b"own")
    });
    let cluster = Cluster::of(&origin);
    for _ in 0..2 {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(answer.field("age"), Some("500"), "{answer:?}");
    }
}

#[test]
fn an_answer_412_or_416_has_no_caching_fields_of_the_copy() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "public, max-age=3600"),
            ("expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
            ("etag", "\"v1\""),
            ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ("set-cookie", "a=b"),
            ("vary", "x"),
            ("content-type", "text/plain"),
            ("content-language", "en"),
            ("access-control-allow-origin", "*"),
        ];
        reply.answer(200, &fields, b"body")
    });
    let cluster = Cluster::of(&origin);
    for (field, status) in [
        (("if-match", "\"v0\""), 412),
        (("range", "bytes=999-"), 416),
    ] {
        for _ in ["cold", "warm"] {
            let answer = get(cluster.edge(0), "/", &[field]);
            assert_eq!(answer.status, status);
            for name in [
                "cache-control",
                "expires",
                "set-cookie",
                "last-modified",
                "content-type",
                "content-language",
                "age",
            ] {
                assert_eq!(answer.field(name), None, "{name}: {answer:?}");
            }
            for name in ["etag", "date", "vary", "via", "access-control-allow-origin"] {
                assert!(answer.field(name).is_some(), "{name}: {answer:?}");
            }
            assert!(answer.field("cache-status").is_some());
            assert_eq!(answer.field("content-range").is_some(), status == 416);
        }
    }
}

#[test]
fn a_head_answer_with_the_copys_validators_freshens_it_in_every_tier() {
    let origin = scripted(|nth, request, reply| match nth {
        0 => reply.answer(200, &STALE, b"body"),
        1 => {
            assert_eq!(request.method, "HEAD");
            reply.answer(200, &with(&FRESH, &[("x-new", "1")]), b"body")
        }
        _ => panic!("the copy is fresh"),
    });
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    get(cluster.edge(0), "/", &[]);

    assert_eq!(head(cluster.edge(0), &[]).status, 200);

    let hit = get(cluster.edge(0), "/", &[]);
    assert!(hit.is_hit(), "{hit:?}");
    for answer in [hit, get(cluster.edge(1), "/", &[])] {
        assert_eq!(answer.text(), "body");
        assert_eq!(answer.field("x-new"), Some("1"), "{answer:?}");
    }
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_head_answer_of_another_version_ends_the_copy() {
    let windows = ("cache-control", "max-age=60, stale-while-revalidate=600");
    let length: (&[(&str, &str)], &[u8]) = (&FRESH, b"longer");
    let tag: (&[(&str, &str)], &[u8]) = (&[("etag", "\"v2\"")], b"body");
    for (fields, body) in [length, tag] {
        let origin = scripted(
            move |nth, request, reply| match (nth, &request.method[..]) {
                (0, _) => reply.answer(200, &[windows, ("etag", "\"v1\"")], b"body"),
                (_, "HEAD") => reply.answer(200, fields, body),
                _ => {
                    assert_eq!(request.field("if-none-match"), None);
                    reply.fresh(b"new")
                }
            },
        );
        let cluster = Cluster::of(&origin);
        get(cluster.edge(0), "/", &[]);

        head(cluster.edge(0), &[("cache-control", "no-cache")]);

        assert_eq!(get(cluster.edge(0), "/", &[]).text(), "new");
    }
}

#[test]
fn a_head_answer_to_one_client_or_without_success_changes_nothing() {
    let cases: [(u16, &[(&str, &str)]); 2] = [(200, &[("authorization", "x")]), (503, &[])];
    for (status, own) in cases {
        let origin = scripted(
            move |nth, request, reply| match (nth, &request.method[..]) {
                (0, _) => reply.fresh(b"body"),
                (_, "HEAD") => reply.answer(status, &[("etag", "\"v2\"")], b"else"),
                _ => panic!("the copy is there"),
            },
        );
        let cluster = Cluster::of(&origin);
        get(cluster.edge(0), "/", &[]);

        head(
            cluster.edge(0),
            &with(own, &[("cache-control", "no-cache")]),
        );

        assert!(get(cluster.edge(0), "/", &[]).is_hit());
    }
}

#[test]
fn a_key_whose_answers_are_not_stored_is_asked_for_with_the_clients_own_conditions() {
    let origin = Origin::start(|request, reply| {
        let own = ("cache-control", "private");
        if request.field("if-none-match") == Some("\"v1\"") {
            return reply.answer(304, &[own, ("etag", "\"v1\"")], b"");
        }
        if request.field("range") == Some("bytes=0-1") {
            let range = [own, ("content-range", "bytes 0-1/4")];
            return reply.answer(206, &range, b"bo");
        }
        reply.answer(200, &[own, ("etag", "\"v1\"")], b"body")
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);
    origin.forget();

    let known = get(cluster.edge(0), "/", &[("if-none-match", "\"v1\"")]);
    let part = get(cluster.edge(0), "/", &[("range", "bytes=0-1")]);

    assert_eq!((known.status, part.status), (304, 206));
    assert_eq!(part.text(), "bo");
    let seen = origin.seen();
    assert_eq!(seen[0].field("if-none-match"), Some("\"v1\""));
    assert_eq!(seen[1].field("range"), Some("bytes=0-1"));
    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "body");
}

#[test]
fn the_date_stands_in_for_last_modified_of_stored_answers_alone() {
    // RFC 9111 §4.3.2
    let since = ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT");
    for (control, status) in [("private", 200), ("max-age=60", 304)] {
        let origin = Origin::start(move |_, reply| {
            reply.answer(200, &[("cache-control", control)], b"body")
        });
        let cluster = Cluster::of(&origin);
        for _ in ["cold", "warm"] {
            assert_eq!(
                get(cluster.edge(0), "/", &[since]).status,
                status,
                "{control}"
            );
        }
    }
}

#[test]
fn conditions_are_judged_on_a_copy_of_any_success() {
    let origin = Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"v1\"")];
        reply.answer(203, &fields, b"body")
    });
    let cluster = Cluster::of(&origin);
    for _ in ["cold", "warm"] {
        let known = get(cluster.edge(0), "/", &[("if-none-match", "\"v1\"")]);
        assert_eq!(known.status, 304);
        let other = get(cluster.edge(0), "/", &[("if-match", "\"v2\"")]);
        assert_eq!(other.status, 412);
    }
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn a_head_leaves_to_gets_rule_what_clients_see_of_gets_copy() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=60"),
            ("etag", "\"v1\""),
            ("x-internal", "1"),
        ];
        reply.answer(200, &fields, b"body")
    });
    let cluster = ClusterSpec::new(origin.address())
        .shields(0)
        .service(|service| {
            let mut policy = service.default.clone();
            policy
                .response_headers
                .remove
                .push("x-internal".parse().unwrap());
            let matcher = Matcher {
                methods: vec!["GET".into()],
                ..Matcher::default()
            };
            service.rules.push(Rule {
                name: "reads".into(),
                matcher,
                policy,
            });
        })
        .start();
    let seen = || get(cluster.edge(0), "/", &[]);
    assert_eq!(seen().field("x-internal"), None);
    head(cluster.edge(0), &[("cache-control", "no-cache")]);
    assert!(seen().is_hit());
    assert_eq!(seen().field("x-internal"), None);
}

/// RFC 9110 §15.4.5
#[test]
fn a_304_that_the_next_tier_gives_is_as_short_as_one_that_is_given_here() {
    let fields = [
        ("cache-control", "max-age=600"),
        ("etag", "\"v1\""),
        ("content-type", "text/css"),
        ("content-language", "de"),
    ];
    let origin = Origin::start(move |_, reply| reply.answer(200, &fields, b"body"));
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    get(cluster.edge(0), "/", &[]);

    for edge in [0, 1] {
        let answer = head(cluster.edge(edge), &[("if-none-match", "\"v1\"")]);
        assert_eq!((answer.status, answer.field("etag")), (304, Some("\"v1\"")));
        assert_eq!(answer.field("cache-control"), Some("max-age=600"));
        assert_eq!(answer.field("content-type"), None, "edge {edge}");
        assert_eq!(answer.field("content-language"), None, "edge {edge}");
    }
    assert_eq!(origin.seen().len(), 1);
}
