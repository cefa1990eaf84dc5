//! A purge is a proof: what was purged is not answered with any more, by whatever way it could come.

use seawall_tests::client::get;
use seawall_tests::fleet::service;
use seawall_tests::{Client, Fleet, FleetSpec, Gate, Origin, Response, eventually};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An origin whose answers tell how often it was asked for anything; each has its path's parts as tags.
fn counting(fields: &'static [(&'static str, &'static str)]) -> Origin {
    let count = AtomicU64::new(0);
    Origin::start(move |request, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        let path = request.target.split('?').next().unwrap();
        let tags: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let tags = tags.join(" ");
        let mut all = vec![("surrogate-key", tags.as_str())];
        all.extend_from_slice(fields);
        reply.answer(200, &all, format!("{n} {}", request.target).as_bytes())
    })
}

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=3600")];

/// Asked twice of each edge, the targets are in every cache.
fn warm(fleet: &Fleet, edges: usize, targets: &[&str]) {
    for target in targets {
        for edge in 0..edges {
            get(fleet.edge(edge), target, &[]);
            assert!(get(fleet.edge(edge), target, &[]).is_hit(), "{target}");
        }
    }
}

fn is_hit(fleet: &Fleet, edge: usize, target: &str) -> bool {
    get(fleet.edge(edge), target, &[]).is_hit()
}

#[test]
fn each_scope_takes_what_it_names_from_every_tier_and_nothing_else() {
    let origin = counting(FRESH);
    let fleet = Fleet::of(&origin);
    let all = ["/a/b?x=1", "/a/b?x=2", "/a/c", "/ab", "/d"];
    let rows: [(Value, &[&str]); 7] = [
        (
            json!({ "urls": ["https://www.example/a/b?x=1"] }),
            &["/a/b?x=1"],
        ),
        (json!({ "tags": ["a"] }), &["/a/b?x=1", "/a/b?x=2", "/a/c"]),
        (
            json!({ "prefixes": ["http://www.example/a"] }),
            &["/a/b?x=1", "/a/b?x=2", "/a/c"],
        ),
        (
            json!({ "tags": ["d"], "prefixes": ["www.example/ab"] }),
            &["/ab", "/d"],
        ),
        (json!({ "hosts": ["www.example"] }), &all),
        (json!({ "service": "site" }), &all),
        (json!({ "everything": true }), &all),
    ];
    for (purge, gone) in rows {
        warm(&fleet, 2, &all);
        let asked = origin.seen().len();
        fleet.purge_everywhere(purge.clone());
        for target in all {
            for edge in 0..2 {
                let expected = !gone.contains(&target);
                assert_eq!(
                    is_hit(&fleet, edge, target),
                    expected,
                    "{purge} {target} {edge}"
                );
            }
        }
        // once for each of them: the shield let go of them too, and coalesces
        assert_eq!(origin.seen().len() - asked, gone.len(), "{purge}");
    }
    fleet.purge_everywhere(json!({ "hosts": ["other.example"] }));
    assert!(is_hit(&fleet, 0, "/d"));
}

#[test]
fn all_variants_and_codings_of_a_url_go() {
    let origin = Origin::start(|request, reply| {
        let language = request.field("accept-language").unwrap_or("-").to_owned();
        let fields = [
            ("cache-control", "max-age=3600"),
            ("vary", "accept-language"),
            ("content-type", "text/plain"),
        ];
        reply.answer(200, &fields, language.repeat(2000).as_bytes())
    });
    let fleet = Fleet::of(&origin);
    let ask = |language, coding| {
        let fields = [("accept-language", language), ("accept-encoding", coding)];
        get(fleet.edge(0), "/", &fields)
    };
    let all = [("de", "gzip"), ("de", "identity"), ("en", "gzip")];
    for (language, coding) in all {
        ask(language, coding);
        eventually("it is a hit", || ask(language, coding).is_hit());
    }
    fleet.purge_everywhere(json!({ "urls": ["http://www.example/"] }));
    let hits: Vec<bool> = ["de", "en"].map(|l| ask(l, "identity").is_hit()).into();
    assert_eq!(hits, [false, false]);
}

#[test]
fn a_copy_that_was_purged_hard_is_not_validated_and_one_that_was_purged_softly_is() {
    let origin = Origin::start(|request, reply| {
        let fields = [("cache-control", "max-age=3600"), ("etag", "\"1\"")];
        if request.field("if-none-match").is_some() {
            return reply.answer(304, &fields, b"");
        }
        reply.answer(200, &fields, b"body")
    });
    let fleet = Fleet::of(&origin);
    let conditional = |from: usize| {
        let seen = origin.seen();
        let asked = seen[from..].iter();
        asked
            .map(|r| r.field("if-none-match").is_some())
            .collect::<Vec<_>>()
    };
    warm(&fleet, 1, &["/"]);
    let before = origin.seen().len();
    fleet.purge_everywhere(json!({ "urls": ["http://www.example/"] }));
    assert!(!is_hit(&fleet, 0, "/"));
    assert_eq!(conditional(before), [false]);

    let before = origin.seen().len();
    fleet.purge_everywhere(json!({ "urls": ["http://www.example/"], "soft": true }));
    let validated = get(fleet.edge(0), "/", &[]);
    assert_eq!((validated.status, validated.text()), (200, "body".into()));
    assert_eq!(conditional(before), [true]);
    // the origin's own 304 makes it as new, on both tiers
    assert!(is_hit(&fleet, 0, "/"));
    assert_eq!(origin.seen().len(), before + 1);
}

#[test]
fn a_softly_purged_copy_answers_stale_where_a_window_grants_it() {
    let origin = counting(&[("cache-control", "max-age=3600, stale-while-revalidate=600")]);
    let fleet = Fleet::of(&origin);
    warm(&fleet, 1, &["/"]);
    fleet.purge_everywhere(json!({ "tags": ["none"], "soft": true }));
    assert!(is_hit(&fleet, 0, "/"));
    fleet.purge_everywhere(json!({ "everything": true, "soft": true }));
    let stale = get(fleet.edge(0), "/", &[]);
    assert!(stale.text().starts_with("1 "), "{}", stale.text());
    assert!(
        stale.edge_status().contains("ttl=-") || stale.edge_status().contains("ttl=0"),
        "{}",
        stale.edge_status()
    );
    eventually("it is refreshed", || {
        get(fleet.edge(0), "/", &[]).text().starts_with("2 ")
    });
}

#[test]
fn a_softly_purged_copy_answers_on_error_within_its_window_and_a_hard_purge_ends_that() {
    let broken = Arc::new(AtomicU64::new(0));
    let breaks = broken.clone();
    let origin = Origin::start(move |_, reply| {
        if breaks.load(Ordering::Acquire) > 0 {
            return reply.answer(503, &[], b"down");
        }
        let fields = [
            ("cache-control", "max-age=3600, stale-if-error=600"),
            ("surrogate-key", "t"),
        ];
        reply.answer(200, &fields, b"good")
    });
    let fleet = Fleet::of(&origin);
    warm(&fleet, 1, &["/"]);
    broken.store(1, Ordering::Release);
    fleet.purge_everywhere(json!({ "tags": ["t"], "soft": true }));
    let stale = get(fleet.edge(0), "/", &[]);
    assert_eq!((stale.status, stale.text()), (200, "good".into()));
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert_eq!(get(fleet.edge(0), "/", &[]).status, 503);
}

/// An origin whose first answer waits at a gate; its answers are numbered from 1.
fn gated(fields: &'static [(&'static str, &'static str)]) -> (Origin, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let count = AtomicU64::new(0);
    let origin = Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        if n == 1 {
            held.pass();
        }
        reply.answer(200, fields, n.to_string().as_bytes())
    });
    (origin, gate)
}

/// The first asks before the purge, the second after it, while the first's fill is still waiting for the origin.
fn across_a_purge(
    fields: &'static [(&'static str, &'static str)],
    purge: Value,
    shields: usize,
) -> (Response, Response) {
    let (origin, gate) = gated(fields);
    let spec = FleetSpec {
        shields,
        service: String::new(),
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    std::thread::scope(|scope| {
        let before = scope.spawn(|| get(fleet.edge(0), "/", &[]));
        eventually("the origin is asked", || origin.count("/") > 0);
        fleet.purge_everywhere(purge);
        let mut after = Client::connect(fleet.edge(0));
        after.request("GET", "/", &[], b"");
        if fields.len() > 1 {
            // its tags show only with the head: it joins at first
            gate.open();
        }
        let after = after.response("GET").unwrap();
        gate.open();
        (before.join().unwrap(), after)
    })
}

#[test]
fn a_request_after_a_purge_never_joins_a_fill_from_before_it() {
    for shields in [0, 1] {
        let purge = json!({ "urls": ["http://www.example/"] });
        let (before, after) = across_a_purge(FRESH, purge, shields);
        assert_eq!((before.text(), after.text()), ("1".into(), "2".into()));
    }
}

#[test]
fn nor_does_it_where_the_tags_show_only_with_the_answer() {
    for (shields, soft) in [(0, false), (1, false), (1, true)] {
        const TAGGED: &[(&str, &str)] =
            &[("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        let purge = json!({ "tags": ["t"], "soft": soft });
        let (before, after) = across_a_purge(TAGGED, purge, shields);
        assert_eq!(
            (before.text(), after.text()),
            ("1".into(), "2".into()),
            "{shields}"
        );
    }
}

#[test]
fn a_fill_from_before_a_purge_is_not_answered_with_after_it_was_stored() {
    let (origin, gate) = gated(FRESH);
    let fleet = Fleet::of(&origin);
    std::thread::scope(|scope| {
        let before = scope.spawn(|| get(fleet.edge(0), "/", &[]));
        eventually("the origin is asked", || origin.count("/") > 0);
        fleet.purge_everywhere(json!({ "everything": true }));
        gate.open();
        assert_eq!(before.join().unwrap().text(), "1");
    });
    for edge in [0, 1] {
        assert_eq!(get(fleet.edge(edge), "/", &[]).text(), "2");
    }
}

#[test]
fn a_shield_that_lags_fetches_anew_and_without_conditions() {
    let origin = Origin::start(|request, reply| {
        let fields = [
            ("cache-control", "max-age=3600, stale-while-revalidate=600"),
            ("etag", "\"1\""),
        ];
        if request.field("if-none-match").is_some() {
            return reply.answer(304, &fields, b"");
        }
        reply.answer(200, &fields, b"body")
    });
    let spec = FleetSpec {
        edges: 1,
        shields_follow: false,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    for round in 1..=3 {
        assert_eq!(get(fleet.edge(0), "/", &[]).status, 200);
        // what the origin said for this request is good for the edge, which knows more than the shield
        assert!(is_hit(&fleet, 0, "/"));
        assert_eq!(origin.seen().len(), round);
        fleet.purge_everywhere(json!({ "everything": true }));
    }
    assert!(
        origin
            .seen()
            .iter()
            .all(|r| r.field("if-none-match").is_none())
    );
}

#[test]
fn an_error_is_purged_by_the_tags_of_what_it_replaced() {
    let count = AtomicU64::new(0);
    let origin = Origin::start(move |_, reply| match count.fetch_add(1, Ordering::AcqRel) {
        0 => reply.answer(
            200,
            &[("cache-control", "max-age=3600"), ("surrogate-key", "t")],
            b"one",
        ),
        1 => reply.answer(404, &[("cache-control", "max-age=3600")], b"gone"),
        _ => reply.answer(200, FRESH, b"two"),
    });
    let fleet = Fleet::of(&origin);
    warm(&fleet, 1, &["/"]);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert_eq!(get(fleet.edge(0), "/", &[]).status, 404);
    assert!(is_hit(&fleet, 0, "/"));
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "two");
}

#[test]
fn a_validation_brings_the_tags_that_it_states_to_every_tier() {
    let count = AtomicU64::new(0);
    let origin = Origin::start(move |request, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel);
        let tag = if n == 0 { "old" } else { "new" };
        let fields = [
            ("cache-control", "max-age=3600"),
            ("etag", "\"1\""),
            ("surrogate-key", tag),
        ];
        if request.field("if-none-match").is_some() {
            return reply.answer(304, &fields, b"");
        }
        reply.answer(200, &fields, b"body")
    });
    let fleet = Fleet::of(&origin);
    warm(&fleet, 1, &["/"]);
    fleet.purge_everywhere(json!({ "tags": ["old"], "soft": true }));
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "body");
    assert!(is_hit(&fleet, 0, "/"));
    fleet.purge_everywhere(json!({ "tags": ["new"] }));
    assert!(!is_hit(&fleet, 0, "/"));
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn a_url_purge_takes_what_the_keys_rules_make_one_and_tags_belong_to_their_service() {
    let origin = counting(FRESH);
    let spec = FleetSpec {
        service: "[service.default.key]\nexcept = [\"utm\"]".into(),
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    warm(&fleet, 1, &["/a?utm=1"]);
    fleet.purge_everywhere(json!({ "urls": ["http://www.example/a?utm=7"] }));
    assert!(!is_hit(&fleet, 0, "/a?utm=1"));

    let other = service("other", "other.example", &origin, "");
    assert_eq!(fleet.put_service("other", &other, &[]).0, 201);
    let of_other = [("host", "other.example")];
    eventually("the edge knows it", || {
        get(fleet.edge(0), "/a", &of_other);
        get(fleet.edge(0), "/a", &of_other).is_hit() && is_hit(&fleet, 0, "/a?utm=1")
    });
    let (status, told) = fleet.purge(json!({ "tags": ["a"] }));
    assert_eq!((status, &told["field"]), (400, &json!("service")));
    assert_eq!(told["services"], json!(["other", "site"]));
    fleet.purge_everywhere(json!({ "tags": ["a"], "service": "other" }));
    assert!(is_hit(&fleet, 0, "/a?utm=1"));
    assert!(!get(fleet.edge(0), "/a", &of_other).is_hit());
}

#[test]
fn an_edge_takes_the_method_purge_with_a_token_or_from_an_allowed_network() {
    let origin = counting(FRESH);
    let ask = |fleet: &Fleet, fields: &[(&str, &str)]| {
        let mut client = Client::connect(fleet.edge(0));
        client.request("PURGE", "/a/b", fields, b"");
        let answer = client.response("PURGE").unwrap();
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status, told)
    };
    let mut fleet = Fleet::of(&origin);
    let bearer = format!("Bearer {}", fleet.token());
    let token = ("authorization", bearer.as_str());
    warm(&fleet, 2, &["/a/b", "/a/c"]);
    assert_eq!(ask(&fleet, &[]).0, 403);
    assert_eq!(ask(&fleet, &[("authorization", "Bearer swt_x_y")]).0, 403);
    assert!(is_hit(&fleet, 0, "/a/b"));

    let (status, told) = ask(&fleet, &[token]);
    assert_eq!((status, &told["complete"]), (200, &json!(true)), "{told}");
    assert!(!is_hit(&fleet, 1, "/a/b") && is_hit(&fleet, 1, "/a/c"));
    warm(&fleet, 2, &["/a/b"]);
    assert_eq!(ask(&fleet, &[token, ("xkey-purge", "c none")]).0, 200);
    assert!(is_hit(&fleet, 1, "/a/b") && !is_hit(&fleet, 1, "/a/c"));
    assert_eq!(
        ask(
            &fleet,
            &[token, ("surrogate-key", "b"), ("soft-purge", "1")]
        )
        .0,
        200
    );
    let (_, purges) = fleet.get("/v1/purges?limit=1");
    assert_eq!(purges["purges"][0]["soft"], json!(true));
    assert_eq!(ask(&fleet, &[token, ("soft-purge", "yes")]).0, 400);

    fleet.stop_control_plane();
    assert_eq!(ask(&fleet, &[token]).0, 503);
    drop(fleet);
    let spec = FleetSpec {
        purge_allowed: true,
        ..FleetSpec::default()
    };
    assert_eq!(ask(&Fleet::start(spec, &origin), &[]).0, 200);
}
