//! What a validation changes of a copy, in every tier (RFC 9111 §3.2, §4.3).

mod conditions;
mod origins;
mod withheld;

use self::origins::*;
use http::{HeaderValue, header};
use seawall_tests::client::get;
use seawall_tests::{Client, Cluster, ClusterSpec, Fleet, FleetSpec, Gate, Origin, Then};

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
fn a_304_with_the_strong_form_of_a_weak_tag_validates_and_leaves_it_weak() {
    // RFC 9110 §8.8.1
    let origin = Origin::start(|request, reply| {
        let control = ("cache-control", "no-cache");
        match request.field("if-none-match") {
            Some(tag) => {
                assert_eq!(tag, "W/\"v1\"");
                reply.answer(304, &[("etag", "\"v1\""), control], b"")
            }
            None => reply.answer(200, &[("etag", "W/\"v1\""), control], b"whole"),
        }
    });
    let cluster = Cluster::of(&origin);
    for _ in 0..3 {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(answer.text(), "whole");
        assert_eq!(answer.field("etag"), Some("W/\"v1\""));
    }
    let validations = origin
        .seen()
        .into_iter()
        .filter(|r| r.field("if-none-match").is_some());
    assert_eq!(validations.count(), 2);
}
