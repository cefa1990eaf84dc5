//! What an answer says of how it can be purged, in whatever field, counts on every node, and never in part.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{Client, Fleet, FleetSpec, Gate, Origin, eventually};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const FRESH: (&str, &str) = ("cache-control", "max-age=3600");

/// An origin whose answers are numbered; each path has fields of its own.
fn numbered(
    fields: impl Fn(&str) -> Vec<(&'static str, String)> + Send + Sync + 'static,
) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |request, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        let told = fields(&request.target);
        let mut all: Vec<(&str, &str)> = told.iter().map(|(n, v)| (*n, v.as_str())).collect();
        if !all.iter().any(|(name, _)| *name == "cache-control") {
            all.push(FRESH);
        }
        reply.answer(200, &all, n.to_string().as_bytes())
    })
}

fn with_shields(shields: usize, origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        shields,
        ..FleetSpec::default()
    };
    Fleet::start(spec, origin)
}

/// Asked of both edges, the target is in every cache; then `purge` takes it from all of them.
fn goes_with(fleet: &Fleet, target: &str, purge: &Value) {
    for edge in [0, 1] {
        get(fleet.edge(edge), target, &[]);
        assert!(get(fleet.edge(edge), target, &[]).is_hit(), "{target}");
    }
    let before = get(fleet.edge(0), target, &[]).text();
    fleet.purge_everywhere(purge.clone());
    let after: Vec<String> = [0, 1]
        .map(|edge| get(fleet.edge(edge), target, &[]).text())
        .into();
    assert!(
        !after.contains(&before) && after[0] == after[1],
        "{target} {purge}: {before} {after:?}"
    );
}

#[test]
fn each_field_that_names_tags_counts() {
    let rows = [
        ("/1", "surrogate-key", "a b", "b"),
        ("/2", "xkey", "c d", "c"),
        ("/3", "cache-tag", "e, f g", "f g"),
        ("/4", "cache-groups", "\"h\", \"i,j\";k=\"l, m\"", "i,j"),
        ("/5", "cache-groups", "\"n;o\"", "n;o"),
        ("/6", "cache-groups", "\"p\\\"q\"", "p\"q"),
    ];
    let origin = numbered(move |target| {
        let row = rows.iter().find(|row| row.0 == target).unwrap();
        vec![(row.1, row.2.to_owned())]
    });
    let fleet = Fleet::of(&origin);
    for (target, _, _, tag) in rows {
        goes_with(&fleet, target, &json!({ "tags": [tag] }));
    }
}

#[test]
fn tags_in_fields_that_are_not_stored_count_all_the_same() {
    let origin = numbered(|target| match target {
        "/no-cache" => vec![
            (
                "cache-control",
                "max-age=3600, no-cache=\"surrogate-key\"".into(),
            ),
            ("surrogate-key", "t".into()),
        ],
        _ => vec![
            ("connection", "surrogate-key".into()),
            ("surrogate-key", "t".into()),
        ],
    });
    let fleet = Fleet::of(&origin);
    for target in ["/no-cache", "/connection"] {
        goes_with(&fleet, target, &json!({ "tags": ["t"] }));
    }
}

#[test]
fn a_copy_for_several_queries_goes_with_any_of_them() {
    let origin = numbered(|_| vec![("no-vary-search", "params".into())]);
    let fleet = Fleet::of(&origin);
    let purge = json!({ "urls": ["http://www.example/p?b=2"] });
    goes_with(&fleet, "/p?a=1", &purge);
}

#[test]
fn what_could_be_purged_in_part_only_is_not_stored_and_counted_and_said() {
    let deep = "/x".repeat(33);
    let shallow = "/x".repeat(32);
    let origin = numbered(|target| match target {
        "/many" => vec![("surrogate-key", "t ".repeat(257).trim().into())],
        "/enough" => vec![("surrogate-key", "t ".repeat(256).trim().into())],
        "/long" => vec![("surrogate-key", "t".repeat(257))],
        "/broken" => vec![("cache-groups", "\"a\", \"b".into())],
        _ => Vec::new(),
    });
    let fleet = Fleet::of(&origin);
    let rows = [
        ("/many", "too-many-tags"),
        ("/long", "too-many-tags"),
        ("/broken", "unreadable-tags"),
        (&deep, "too-many-path-segments"),
    ];
    for (index, (target, detail)) in rows.into_iter().enumerate() {
        for _ in 0..2 {
            let answer = get(fleet.edge(0), target, &[]);
            assert_eq!(answer.status, 200);
            assert!(!answer.is_hit(), "{target}");
            let detail = format!("detail={detail}");
            assert!(answer.edge_status().contains(&detail), "{answer:?}");
        }
        let counted = metric(&fleet.metrics(0), "seawall_fills_total", &["unscoped"]);
        assert_eq!(counted, 2 * (index as u64 + 1), "{target}");
    }
    for target in ["/enough", &shallow] {
        get(fleet.edge(0), target, &[]);
        assert!(get(fleet.edge(0), target, &[]).is_hit(), "{target}");
    }
}

#[test]
fn a_validation_takes_no_scope_away() {
    for (fields, update, purge) in [
        (
            [("surrogate-key", "a"), ("cache-groups", "\"g\"")],
            ("surrogate-key", "a"),
            json!({ "tags": ["g"] }),
        ),
        (
            [("surrogate-key", "a"), ("no-vary-search", "params")],
            ("surrogate-key", "a"),
            json!({ "urls": ["http://www.example/?other"] }),
        ),
        (
            [("surrogate-key", "a"), ("x-other", "1")],
            ("cache-groups", "\"g\""),
            json!({ "tags": ["g"] }),
        ),
    ] {
        let origin = Origin::start(move |request, reply| {
            let etag = ("etag", "\"1\"");
            if request.field("if-none-match").is_some() {
                return reply.answer(304, &[FRESH, etag, update], b"");
            }
            reply.answer(200, &[FRESH, etag, fields[0], fields[1]], b"body")
        });
        for shields in [0, 1] {
            let fleet = with_shields(shields, &origin);
            get(fleet.edge(0), "/", &[]);
            fleet.purge_everywhere(json!({ "tags": ["a"], "soft": true }));
            get(fleet.edge(0), "/", &[]);
            assert!(get(fleet.edge(0), "/", &[]).is_hit());
            let asked = origin.seen().len();
            fleet.purge_everywhere(purge.clone());
            assert!(!get(fleet.edge(0), "/", &[]).is_hit(), "{purge}");
            // the shield had let go of it too
            assert_eq!(origin.seen().len(), asked + 1, "{purge}");
        }
    }
}

#[test]
fn errors_take_over_only_so_much_and_then_begin_anew() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel);
        let tags: Vec<String> = (0..250).map(|tag| format!("{n}-{tag}")).collect();
        let fields = [FRESH, ("surrogate-key", &tags.join(" "))];
        reply.answer(404, &fields, n.to_string().as_bytes())
    });
    let fleet = Fleet::of(&origin);
    // each error carries what those before it carried, as long as there is room
    for n in 0..4 {
        assert_eq!(get(fleet.edge(0), "/", &[]).text(), n.to_string());
        assert!(get(fleet.edge(0), "/", &[]).is_hit(), "{n}");
        fleet.purge_everywhere(json!({ "tags": ["0-0"] }));
    }
    let over = get(fleet.edge(0), "/", &[]);
    assert_eq!(over.text(), "4");
    assert!(
        over.edge_status().contains("detail=too-many-scopes"),
        "{over:?}"
    );
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "5");
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
}

#[test]
fn a_url_goes_also_while_its_host_is_another_services() {
    let origin = numbered(|_| vec![("surrogate-key", "t".into())]);
    // one node: two of them hear of the services at different times
    let fleet = with_shields(0, &origin);
    let host = [("host", "moving.example")];
    let ask = || get(fleet.edge(0), "/", &host);
    let first = ask().text();
    assert!(ask().is_hit());
    let other = seawall_tests::fleet::service("other", "moving.example", &origin, "");
    assert_eq!(fleet.put_service("other", &other, &[]).0, 201);
    // its copies are its own
    seawall_tests::eventually("the host has moved", || ask().text() != first);
    fleet.purge_everywhere(json!({ "urls": ["http://moving.example/"] }));
    let between = ask().text();
    assert_eq!(fleet.ask("DELETE", "/v1/services/other", "", &[]).0, 204);
    seawall_tests::eventually("it has moved back", || ask().text() != between);
    assert_ne!(
        ask().text(),
        first,
        "the purge named the URL, not the service"
    );
}

#[test]
fn who_asks_after_a_purge_of_a_stored_copys_tag_waits_for_no_fill_from_before_it() {
    let gate = Gate::default();
    let (held, count) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel);
        if n == 1 {
            held.pass();
        }
        let fields = [FRESH, ("surrogate-key", "t")];
        reply.answer(200, &fields, n.to_string().as_bytes())
    });
    let fleet = with_shields(0, &origin);
    let ask = || get(fleet.edge(0), "/", &[]).text();
    assert_eq!(ask(), "0");
    fleet.purge_everywhere(json!({ "everything": true, "soft": true }));
    std::thread::scope(|scope| {
        let before = scope.spawn(ask);
        eventually("the origin is asked", || origin.count("/") == 2);
        // the request does not tell the tag: the copy that lies there does
        fleet.purge_everywhere(json!({ "tags": ["t"] }));
        assert_eq!(ask(), "2");
        gate.open();
        assert_eq!(before.join().unwrap(), "1");
    });
}

#[test]
fn nor_is_it_answered_by_a_304_that_states_a_tag_purged_before_it_asked() {
    let gate = Gate::default();
    let (held, plain) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, reply| {
        let etag = ("etag", "\"1\"");
        if request.field("if-none-match").is_some() {
            held.pass();
            return reply.answer(304, &[FRESH, etag, ("surrogate-key", "new")], b"");
        }
        let n = plain.fetch_add(1, Ordering::AcqRel);
        let fields = [FRESH, etag, ("surrogate-key", "old")];
        reply.answer(200, &fields, n.to_string().as_bytes())
    });
    let fleet = with_shields(0, &origin);
    let ask = || get(fleet.edge(0), "/", &[]).text();
    assert_eq!(ask(), "0");
    fleet.purge_everywhere(json!({ "everything": true, "soft": true }));
    std::thread::scope(|scope| {
        let before = scope.spawn(ask);
        eventually("the origin is asked", || origin.count("/") == 2);
        fleet.purge_everywhere(json!({ "tags": ["new"] }));
        let mut after = Client::connect(fleet.edge(0));
        after.request("GET", "/", &[], b"");
        gate.open();
        assert_eq!(after.response("GET").unwrap().text(), "1");
        assert_eq!(before.join().unwrap(), "0");
    });
}
