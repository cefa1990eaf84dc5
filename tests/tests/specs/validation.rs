//! What a validation changes of a copy, in every tier, and who gets what is not stored (RFC 9111 §3, §4.3).

use http::{HeaderValue, header};
use seawall_tests::client::get;
use seawall_tests::{
    Client, Cluster, ClusterSpec, Fleet, FleetSpec, Gate, Origin, Reply, Request, Response, Then,
    eventually,
};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stale when it comes, and worth asking about.
const STALE: [(&str, &str); 3] = [
    ("cache-control", "max-age=60"),
    ("age", "100"),
    ("etag", "\"v1\""),
];
/// Confirms it for a minute.
const FRESH: [(&str, &str); 2] = [("cache-control", "max-age=60"), ("etag", "\"v1\"")];

/// Answers by how many requests came before.
fn scripted(
    script: impl Fn(usize, &Request, &mut Reply<'_>) -> Then + Send + Sync + 'static,
) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::start(move |request, reply| {
        script(asked.fetch_add(1, Ordering::AcqRel), request, reply)
    })
}

fn with<'a>(fields: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [fields, more].concat()
}

/// First a stale 200 with `first`, then nothing but 304 with `update`.
fn updating(
    first: &'static [(&'static str, &'static str)],
    update: &'static [(&'static str, &'static str)],
) -> Origin {
    scripted(move |nth, request, reply| {
        if nth == 0 {
            return reply.answer(200, &with(&STALE, first), b"body");
        }
        assert_eq!(request.field("if-none-match"), Some("\"v1\""));
        reply.answer(304, &with(&FRESH, update), b"")
    })
}

fn head(address: std::net::SocketAddr, fields: &[(&str, &str)]) -> Response {
    let mut client = Client::connect(address);
    client.request("HEAD", "/", fields, b"");
    client.response("HEAD").expect("a whole answer")
}

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
fn one_clients_credentials_or_no_store_leave_coalescing_on() {
    for own in [("authorization", "Basic x"), ("cache-control", "no-store")] {
        let gate = Gate::default();
        let held = gate.clone();
        let origin = scripted(move |nth, _, reply| {
            if nth == 0 {
                return reply.answer(200, &[("cache-control", "max-age=60")], b"own");
            }
            reply.raw(
                b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 8\r\n\r\nhalf",
            );
            held.pass();
            reply.raw(b"half");
            Then::Keep
        });
        let cluster = Cluster::of(&origin);
        get(cluster.edge(0), "/", &[own]);

        let asked = [0, 1].map(|_| {
            let mut client = Client::connect(cluster.edge(0));
            client.request("GET", "/", &[], b"");
            client.head().unwrap();
            client
        });
        gate.open();

        for mut client in asked {
            assert_eq!(client.bytes(8).unwrap(), b"halfhalf");
        }
        assert_eq!(origin.count("/"), 2, "{own:?}");
    }
}

fn edited(origin: &Origin, change: impl FnOnce(&mut seawall_service_model::FieldEdits)) -> Cluster {
    ClusterSpec::new(origin.address())
        .shields(0)
        .service(|service| change(&mut service.default.response_headers))
        .start()
}

#[test]
fn a_validation_judges_what_the_origin_said_and_clients_see_what_the_rule_says() {
    // confirmed, and stale still: the rule's year does not count
    let stale = || {
        scripted(|nth, _, reply| match nth {
            0 => reply.answer(200, &STALE, b"body"),
            _ => reply.answer(304, &[("age", "100"), ("etag", "\"v1\"")], b""),
        })
    };
    let origin = stale();
    let cluster = edited(&origin, |edits| {
        let year = HeaderValue::from_static("max-age=31536000");
        edits.set.push((header::CACHE_CONTROL, year));
    });
    for nth in 1..=4 {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(answer.text(), "body");
        assert_eq!(answer.field("cache-control"), Some("max-age=31536000"));
        assert_eq!(origin.count("/"), nth);
    }

    // confirmed, and fresh: the rule's no-store is for clients
    let origin = updating(&[], &[]);
    let cluster = edited(&origin, |edits| {
        let no_store = HeaderValue::from_static("no-store");
        edits.set.push((header::CACHE_CONTROL, no_store));
    });
    for _ in 0..4 {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(answer.text(), "body");
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_copy_is_validated_by_a_tag_that_clients_do_not_see() {
    let origin = updating(&[("x-gone", "1")], &[("x-gone", "2")]);
    let cluster = edited(&origin, |edits| {
        edits.remove = vec![header::ETAG, header::HeaderName::from_static("x-gone")];
        let added = header::HeaderName::from_static("x-added");
        edits.set.push((added, HeaderValue::from_static("1")));
    });
    for nth in 0..4 {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
        assert_eq!(answer.field("etag"), None, "{answer:?}");
        assert_eq!(answer.field("x-gone"), None);
        assert_eq!(answer.field("x-added"), Some("1"));
        assert_eq!(answer.is_hit(), nth > 1, "{nth}: {answer:?}");
    }
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_copy_from_a_disk_is_validated_by_what_the_origin_said() {
    let origin = updating(&[("x-gone", "1")], &[]);
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        disk: Some(64 << 20),
        service: "[service.default.response_headers]\nremove = [\"etag\", \"x-gone\"]".into(),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    get(fleet.edge(0), "/", &[]);
    fleet.stop_edge(0);
    fleet.start_edge(0);

    let validated = get(fleet.edge(0), "/", &[]);
    let hit = get(fleet.edge(0), "/", &[]);

    assert_eq!((validated.status, validated.text().as_str()), (200, "body"));
    assert!(hit.is_hit(), "{hit:?}");
    for answer in [&validated, &hit] {
        assert!(
            ["etag", "x-gone"]
                .iter()
                .all(|name| answer.field(name).is_none())
        );
    }
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_304_changes_every_field_but_those_of_the_stored_bytes_in_every_tier() {
    let origin = updating(
        &[
            ("content-type", "text/x-old"),
            ("content-disposition", "inline"),
            ("content-language", "en"),
            ("content-encoding", "x-one"),
            ("x-kept", "1"),
            ("date", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ],
        &[
            ("content-type", "text/x-new"),
            ("content-disposition", "attachment"),
            ("content-language", "de"),
            ("content-encoding", "x-two"),
            ("content-location", "/here"),
            ("content-md5", "x"),
            ("content-range", "bytes 0-1/9"),
            ("x-new", "2"),
            ("x-new", "3"),
            ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ],
    );
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    get(cluster.edge(0), "/", &[]);

    let validated = get(cluster.edge(0), "/", &[]);
    let hit = get(cluster.edge(0), "/", &[]);
    let shields = get(cluster.edge(1), "/", &[]);

    assert!(hit.is_hit());
    for answer in [&validated, &hit, &shields] {
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
        for (name, value) in [
            ("content-type", "text/x-new"),
            ("content-disposition", "attachment"),
            ("content-language", "de"),
            ("content-encoding", "x-two"),
            ("content-location", "/here"),
            ("content-md5", "x"),
            ("content-length", "4"),
            ("x-kept", "1"),
            ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{name}: {answer:?}");
        }
        assert_eq!(answer.field("content-range"), None);
        let new = answer.fields.iter().filter(|(n, _)| n == "x-new");
        assert_eq!(new.count(), 2, "{answer:?}");
    }
    assert_eq!(origin.count("/"), 2);

    // RFC 9110 §15.4.5: to clients it stays short
    let short = get(cluster.edge(0), "/", &[("if-none-match", "\"v1\"")]);
    assert_eq!((short.status, short.field("etag")), (304, Some("\"v1\"")));
    for name in [
        "content-type",
        "content-md5",
        "last-modified",
        "content-language",
    ] {
        assert_eq!(short.field(name), None, "{name}: {short:?}");
    }
}

#[test]
fn the_date_of_a_304_is_the_copys_in_every_tier() {
    // it is in the future, so it says nothing about age
    const LATER: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
    let origin = updating(
        &[("date", "Mon, 01 Jan 2024 00:00:00 GMT")],
        &[("date", LATER)],
    );
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    get(cluster.edge(0), "/", &[]);
    for edge in [0, 0, 1] {
        let answer = get(cluster.edge(edge), "/", &[]);
        assert_eq!(answer.field("date"), Some(LATER), "{answer:?}");
    }
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_coded_copy_gets_the_fields_of_a_304_and_keeps_its_coding() {
    let origin = scripted(|nth, _, reply| {
        let (old, new) = (
            ("content-type", "text/plain"),
            ("content-type", "text/html"),
        );
        match nth {
            0 => reply.answer(200, &with(&STALE, &[old]), &b"text ".repeat(1000)),
            _ => reply.answer(304, &with(&FRESH, &[new, ("content-encoding", "br")]), b""),
        }
    });
    let cluster = Cluster::of(&origin);
    let gzip = [("accept-encoding", "gzip")];
    get(cluster.edge(0), "/", &gzip);

    for _ in 0..3 {
        let answer = get(cluster.edge(0), "/", &gzip);
        assert_eq!(answer.field("content-encoding"), Some("gzip"), "{answer:?}");
        assert_eq!(answer.field("content-type"), Some("text/html"));
        assert_eq!(answer.field("vary"), Some("accept-encoding"));
        assert_eq!(answer.field("etag"), Some("W/\"v1\""));
    }
    let plain = get(cluster.edge(0), "/", &[]);
    assert!(plain.is_hit() && plain.field("content-encoding").is_none());
    assert_eq!(plain.body, b"text ".repeat(1000));
}

#[test]
fn a_304_that_forbids_changes_ends_the_coding() {
    let origin = scripted(|nth, _, reply| {
        let kind = ("content-type", "text/plain");
        match nth {
            0 => reply.answer(200, &with(&STALE, &[kind]), &b"text ".repeat(1000)),
            _ => {
                let control = ("cache-control", "max-age=60, no-transform");
                reply.answer(304, &[control, ("etag", "\"v1\"")], b"")
            }
        }
    });
    let cluster = Cluster::of(&origin);
    let gzip = [("accept-encoding", "gzip")];
    get(cluster.edge(0), "/", &gzip);

    for _ in 0..2 {
        let answer = get(cluster.edge(0), "/", &gzip);
        assert_eq!(answer.field("content-encoding"), None, "{answer:?}");
        assert_eq!(answer.body, b"text ".repeat(1000));
    }
}

#[test]
fn a_304_that_changes_vary_files_the_copy_under_its_new_fields() {
    for shields in [0, 1] {
        let origin = scripted(|nth, request, reply| {
            let x = request.field("x").unwrap_or("none").to_owned();
            match nth {
                0 => reply.answer(200, &STALE, b"body"),
                1 => reply.answer(304, &with(&FRESH, &[("vary", "x")]), b""),
                _ => {
                    let fields = with(&[("cache-control", "max-age=60")], &[("vary", "x")]);
                    reply.answer(200, &fields, x.as_bytes())
                }
            }
        });
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        get(cluster.edge(0), "/", &[]);

        assert_eq!(get(cluster.edge(0), "/", &[("x", "1")]).text(), "body");
        let same = get(cluster.edge(0), "/", &[("x", "1")]);
        let other = get(cluster.edge(0), "/", &[("x", "2")]);
        let none = get(cluster.edge(0), "/", &[]);

        assert!(same.is_hit() && same.text() == "body", "{same:?}");
        assert_eq!(other.text(), "2", "{other:?}");
        assert_eq!(none.text(), "none", "{none:?}");
        assert_eq!(origin.count("/"), 4);
    }
}

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
