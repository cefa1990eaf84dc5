//! Stale windows and validation.

use seawall_tests::client::get;
use seawall_tests::{ClusterSpec, Origin, Then, eventually};
use std::sync::atomic::{AtomicUsize, Ordering};

/// First an answer that is stale at once, then what `then` says.
fn first_stale(
    control: &'static str,
    then: impl Fn(&seawall_tests::Request, &mut seawall_tests::Reply<'_>) -> Then
    + Send
    + Sync
    + 'static,
) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::start(move |request, reply| {
        if asked.fetch_add(1, Ordering::AcqRel) == 0 {
            let fields = [
                ("cache-control", control),
                ("age", "100"),
                ("etag", "\"v1\""),
                ("x-version", "1"),
            ];
            return reply.answer(200, &fields, b"old");
        }
        then(request, reply)
    })
}

#[test]
fn a_stale_copy_is_served_while_it_is_revalidated_once_in_the_background() {
    let origin = first_stale("max-age=60, stale-while-revalidate=600", |_, reply| {
        reply.fresh(b"new")
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    get(cluster.edge(0), "/", &[]);

    let stale = get(cluster.edge(0), "/", &[]);

    assert_eq!(stale.text(), "old");
    assert!(
        stale.edge_status().starts_with("seawall-edge; hit; ttl=-"),
        "{stale:?}"
    );
    eventually("the refreshed copy is served", || {
        get(cluster.edge(0), "/", &[]).text() == "new"
    });
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_304_refreshes_the_stored_copy_with_its_fields() {
    let origin = first_stale("max-age=60", |request, reply| {
        assert_eq!(request.field("if-none-match"), Some("\"v1\""));
        reply.answer(
            304,
            &[
                ("cache-control", "max-age=60"),
                ("etag", "\"v1\""),
                ("x-version", "2"),
            ],
            b"",
        )
    });
    let cluster = ClusterSpec::new(origin.address()).start();
    get(cluster.edge(0), "/", &[]);

    let validated = get(cluster.edge(0), "/", &[]);
    let hit = get(cluster.edge(0), "/", &[]);

    assert_eq!((validated.status, validated.text().as_str()), (200, "old"));
    assert_eq!(validated.field("x-version"), Some("2"), "{validated:?}");
    assert!(hit.is_hit(), "{hit:?}");
    assert_eq!(hit.field("x-version"), Some("2"));
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_stale_copy_answers_for_an_origin_that_fails_where_that_is_granted() {
    for status in [500, 502, 503, 504] {
        let origin = first_stale("max-age=60, stale-if-error=600", move |_, reply| {
            reply.answer(status, &[], b"broken")
        });
        let cluster = ClusterSpec::new(origin.address()).start();
        get(cluster.edge(0), "/", &[]);

        let answer = get(cluster.edge(0), "/", &[]);

        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "old"),
            "{status}"
        );
    }
}

#[test]
fn a_stale_copy_answers_for_an_origin_that_resets() {
    let origin = first_stale("max-age=60, stale-if-error=600", |_, _| Then::Reset);
    let cluster = ClusterSpec::new(origin.address()).start();
    get(cluster.edge(0), "/", &[]);

    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "old");
}

#[test]
fn must_revalidate_and_no_grant_forbid_stale_answers() {
    for control in [
        "max-age=60, stale-if-error=600, must-revalidate",
        "max-age=60",
    ] {
        let origin = first_stale(control, |_, reply| reply.answer(500, &[], b"broken"));
        let cluster = ClusterSpec::new(origin.address()).start();
        get(cluster.edge(0), "/", &[]);

        assert_eq!(get(cluster.edge(0), "/", &[]).status, 500, "{control}");
    }
}

#[test]
fn a_client_may_ask_for_a_validated_answer() {
    let origin = Origin::start(|request, reply| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"v1\"")];
        let known = request.field("if-none-match").is_some();
        reply.answer(
            if known { 304 } else { 200 },
            &fields,
            if known { b"" } else { b"x" },
        )
    });
    let cluster = ClusterSpec::new(origin.address()).start();
    get(cluster.edge(0), "/", &[]);

    let answer = get(cluster.edge(0), "/", &[("cache-control", "no-cache")]);

    assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
    assert!(!answer.is_hit());
    assert_eq!(origin.count("/"), 2);
}
