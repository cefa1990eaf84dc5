//! What is not stored: who gets it, and what becomes of the copy that was there (RFC 9111 §3, §5.2.2).

use super::origins::*;
use seawall_tests::client::get;
use seawall_tests::{Client, Cluster, ClusterSpec, Gate, Origin, Then, eventually};

#[test]
fn a_field_that_a_304_makes_private_is_not_in_the_copy() {
    for control in [
        "max-age=60, private=\"x-user\"",
        "max-age=60, no-cache=\"x-user\"",
    ] {
        let origin = scripted(move |nth, _, reply| {
            if nth == 0 {
                return reply.answer(200, &STALE, b"body");
            }
            let fields = [
                ("cache-control", control),
                ("etag", "\"v1\""),
                ("x-user", "bob"),
            ];
            reply.answer(304, &fields, b"")
        });
        let cluster = ClusterSpec::new(origin.address()).edges(2).start();
        get(cluster.edge(0), "/", &[]);

        let asked = get(cluster.edge(0), "/", &[]);
        let hit = get(cluster.edge(0), "/", &[]);
        let elsewhere = get(cluster.edge(1), "/", &[]);

        assert_eq!((asked.status, asked.text().as_str()), (200, "body"));
        assert_eq!(asked.field("x-user"), Some("bob"), "it is this client's");
        assert!(hit.is_hit(), "{hit:?}");
        for answer in [&hit, &elsewhere] {
            assert_eq!(answer.text(), "body");
            assert_eq!(answer.field("x-user"), None, "{control}: {answer:?}");
        }
        assert_eq!(origin.count("/"), 2);
    }
}

#[test]
fn what_is_withheld_from_the_copy_goes_to_the_client_whose_question_it_answers() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            (
                "cache-control",
                "max-age=60, private=\"x-user, set-cookie\", no-cache=\"x-token\"",
            ),
            ("content-type", "text/plain"),
            ("x-user", "bob"),
            ("x-token", "1"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
        ];
        reply.answer(200, &fields, &b"text ".repeat(1000))
    });
    let own = ["x-user", "x-token", "set-cookie"];
    for coding in ["identity", "gzip"] {
        for shields in [0, 1] {
            let cluster = ClusterSpec::new(origin.address())
                .edges(2)
                .shields(shields)
                .start();
            let asked = [("accept-encoding", coding)];

            let filling = get(cluster.edge(0), "/", &asked);
            let hit = get(cluster.edge(0), "/", &asked);
            let again = get(cluster.edge(0), "/", &asked);

            for name in own {
                assert!(filling.field(name).is_some(), "{name}: {filling:?}");
                assert_eq!(hit.field(name), None, "{hit:?}");
                assert_eq!(again.field(name), None, "{again:?}");
            }
            assert!(again.is_hit(), "{again:?}");
            let cookies = filling.fields.iter().filter(|(n, _)| n == "set-cookie");
            assert_eq!(cookies.count(), 2);
            if shields == 1 {
                let other = get(cluster.edge(1), "/", &asked);
                assert!(own.iter().all(|name| other.field(name).is_none()));
            }
        }
    }
}

#[test]
fn who_joins_a_fill_gets_nothing_that_is_withheld() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        reply.raw(
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=60, private=\"x-user\"\r\nx-user: bob\r\n\
              content-length: 8\r\n\r\nhalf",
        );
        held.pass();
        reply.raw(b"half");
        Then::Keep
    });
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    let mut first = Client::connect(cluster.edge(0));
    first.request("GET", "/", &[], b"");
    let (_, leading) = first.head().unwrap();

    let joined = [0, 1].map(|edge| {
        let mut joiner = Client::connect(cluster.edge(edge));
        joiner.request("GET", "/", &[], b"");
        (joiner.head().unwrap().1, joiner)
    });
    gate.open();

    assert!(leading.iter().any(|(name, _)| name == "x-user"));
    for (fields, mut joiner) in joined {
        assert!(
            !fields.iter().any(|(name, _)| name == "x-user"),
            "{fields:?}"
        );
        assert_eq!(joiner.bytes(8).unwrap(), b"halfhalf");
    }
    assert_eq!(first.bytes(8).unwrap(), b"halfhalf");
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn a_304_that_is_private_answers_the_one_who_asked_and_ends_the_copy() {
    let origin = scripted(|nth, request, reply| match nth {
        0 => reply.answer(200, &STALE, b"body"),
        1 => reply.answer(
            304,
            &[
                ("cache-control", "private"),
                ("etag", "\"v1\""),
                ("x-user", "bob"),
            ],
            b"",
        ),
        _ => {
            assert_eq!(request.field("if-none-match"), None);
            reply.fresh(b"next")
        }
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    let asked = get(cluster.edge(0), "/", &[]);
    let next = get(cluster.edge(0), "/", &[]);

    assert_eq!(
        (asked.text().as_str(), asked.field("x-user")),
        ("body", Some("bob"))
    );
    assert_eq!((next.text().as_str(), next.field("x-user")), ("next", None));
}

#[test]
fn who_waits_for_a_validation_gets_nothing_that_is_private() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = scripted(move |nth, _, reply| match nth {
        0 => reply.answer(200, &STALE, b"body"),
        1 => {
            held.pass();
            let own = [("cache-control", "private"), ("x-user", "bob")];
            reply.answer(304, &with(&own, &[("etag", "\"v1\"")]), b"")
        }
        _ => reply.fresh(b"next"),
    });
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    get(cluster.edge(0), "/", &[]);
    origin.forget();

    let mut first = Client::connect(cluster.edge(0));
    first.request("GET", "/", &[], b"");
    eventually("the origin is asked", || origin.count("/") > 0);
    // whether they come before the 304 or after it, it is not for them
    let waiting = [0, 1].map(|edge| {
        let mut client = Client::connect(cluster.edge(edge));
        client.request("GET", "/", &[], b"");
        client
    });
    gate.open();

    let own = first.response("GET").unwrap();
    assert_eq!(
        (own.text().as_str(), own.field("x-user")),
        ("body", Some("bob"))
    );
    for mut client in waiting {
        let answer = client.response("GET").unwrap();
        assert_eq!(
            (answer.text().as_str(), answer.field("x-user")),
            ("next", None)
        );
    }
}

#[test]
fn an_answer_that_may_not_be_stored_retires_the_copy_that_it_replaces() {
    // RFC 9111 §4.3.3
    let cases: [(u16, &[(&str, &str)]); 4] = [
        (404, &[]),
        (200, &[("cache-control", "no-store")]),
        (200, &[("cache-control", "private")]),
        (200, &[("cache-control", "max-age=60"), ("vary", "*")]),
    ];
    for (status, fields) in cases {
        for shields in [0, 1] {
            let origin = scripted(move |nth, _, reply| {
                if nth == 0 {
                    let windows = ("cache-control", "max-age=60, stale-while-revalidate=86400");
                    let stale = [windows, ("age", "100"), ("etag", "\"v1\"")];
                    return reply.answer(200, &stale, b"old");
                }
                reply.answer(status, fields, b"new")
            });
            let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
            get(cluster.edge(0), "/", &[]);

            eventually("the copy is gone", || {
                let answer = get(cluster.edge(0), "/", &[]);
                assert!(answer.text() == "new" || answer.is_hit(), "{answer:?}");
                answer.text() == "new"
            });
            let answer = get(cluster.edge(0), "/", &[]);
            assert_eq!((answer.status, answer.text().as_str()), (status, "new"));
        }
    }
}

#[test]
fn a_fresh_copy_ends_with_an_answer_that_may_not_be_stored() {
    let origin = scripted(|nth, _, reply| match nth {
        0 => reply.fresh(b"old"),
        _ => reply.answer(200, &[("cache-control", "no-store")], b"new"),
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    get(cluster.edge(0), "/", &[("cache-control", "no-cache")]);

    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "new");
}

#[test]
fn a_copy_outlives_an_error_of_the_origin_and_a_limit_of_its() {
    for status in [500, 503, 429] {
        let origin = scripted(move |nth, request, reply| match nth {
            0 => reply.answer(200, &STALE, b"old"),
            1 => reply.answer(status, &[], b"busy"),
            _ => {
                assert_eq!(request.field("if-none-match"), Some("\"v1\""), "{status}");
                reply.answer(304, &FRESH, b"")
            }
        });
        let cluster = Cluster::of(&origin);
        get(cluster.edge(0), "/", &[]);

        assert_eq!(get(cluster.edge(0), "/", &[]).status, status);
        assert_eq!(get(cluster.edge(0), "/", &[]).text(), "old");
    }
}

#[test]
fn one_clients_credentials_or_no_store_leave_the_copy_to_others() {
    for own in [
        &[("authorization", "Basic x")][..],
        &[("cache-control", "no-store, no-cache")],
    ] {
        for confirmed in [true, false] {
            let origin = scripted(move |nth, request, reply| match nth {
                0 => reply.answer(200, &STALE, b"body"),
                1 if !confirmed => reply.answer(200, &[("cache-control", "max-age=60")], b"own"),
                _ => {
                    assert_eq!(request.field("if-none-match"), Some("\"v1\""), "{own:?}");
                    reply.answer(304, &FRESH, b"")
                }
            });
            let cluster = Cluster::of(&origin);
            get(cluster.edge(0), "/", &[]);

            let answer = get(cluster.edge(0), "/", own);
            let validated = get(cluster.edge(0), "/", &[]);
            let hit = get(cluster.edge(0), "/", &[]);

            assert_eq!(answer.text(), if confirmed { "body" } else { "own" });
            assert_eq!(validated.text(), "body");
            assert!(hit.is_hit() && hit.text() == "body", "{hit:?}");
            assert_eq!(origin.count("/"), 3);
        }
    }
}

#[test]
fn what_a_304_says_to_one_client_is_in_no_coding_that_others_get() {
    let text = "plain text, long enough to be worth coding. ".repeat(100);
    let origin = scripted(move |nth, request, reply| {
        if nth == 0 {
            let fields = with(&STALE, &[("content-type", "text/plain")]);
            return reply.answer(200, &fields, text.as_bytes());
        }
        let more = match request.field("authorization") {
            Some(_) => &[("x-user", "alice")][..],
            None => &[],
        };
        reply.answer(304, &with(&FRESH, more), b"")
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    let gzip = ("accept-encoding", "gzip");
    get(cluster.edge(0), "/", &[gzip]);
    let alice = get(cluster.edge(0), "/", &[gzip, ("authorization", "alice")]);
    assert_eq!(alice.field("x-user"), Some("alice"));
    for _ in 0..3 {
        let bob = get(cluster.edge(0), "/", &[gzip]);
        assert_eq!(bob.status, 200);
        assert_eq!(bob.field("x-user"), None);
        assert_eq!(get(cluster.edge(0), "/", &[]).field("x-user"), None);
    }
}

#[test]
fn a_cookie_that_comes_with_a_304_is_for_the_one_who_asked() {
    let origin = updating(&[], &[("set-cookie", "a=1")]);
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);
    let asks = get(cluster.edge(0), "/", &[]);
    assert_eq!(asks.field("set-cookie"), Some("a=1"));
    let next = get(cluster.edge(0), "/", &[]);
    assert!(next.is_hit());
    assert_eq!(next.field("set-cookie"), None);
}
