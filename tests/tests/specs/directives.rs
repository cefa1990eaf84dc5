//! What a request's directives may ask of copies (RFC 9111 §5.2.1), and stale answers through both tiers (RFC 5861).

use seawall_service_model::{KeyRules, Matcher, Policy, QueryRule, Rule};
use seawall_tests::client::get;
use seawall_tests::{
    Client, Cluster, ClusterSpec, Gate, Origin, Reply, Request, Response, Then, eventually,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");

/// First "old", which is stale at once, then what `then` says.
fn first_stale(
    control: &'static str,
    then: impl Fn(&Request, &mut Reply<'_>) -> Then + Send + Sync + 'static,
) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::start(move |request, reply| {
        if asked.fetch_add(1, Ordering::AcqRel) == 0 {
            let fields = [
                ("cache-control", control),
                ("age", "100"),
                ("etag", "\"v1\""),
            ];
            return reply.answer(200, &fields, b"old");
        }
        then(request, reply)
    })
}

/// Answers what `control` says, and a 304 to whoever has it.
fn validating(control: &'static str) -> Origin {
    Origin::start(move |request, reply| {
        let fields = [("cache-control", control), ("etag", "\"v1\"")];
        match request.field("if-none-match") {
            Some(_) => reply.answer(304, &fields, b""),
            None => reply.answer(200, &fields, b"x"),
        }
    })
}

fn head(cluster: &Cluster, fields: &[(&str, &str)]) -> Response {
    let mut client = Client::connect(cluster.edge(0));
    client.request("HEAD", "/", fields, b"");
    client.response("HEAD").expect("a whole answer")
}

#[test]
fn each_directive_asks_the_origin_about_a_fresh_copy_or_does_not() {
    let control = "cache-control";
    for (id, name, value, asks) in [
        ("5.2.1.1-01", control, "max-age=0", true),
        ("5.2.1.1-02", control, "max-age=1000", false),
        ("5.2.1.2-01", control, "max-stale", false),
        ("5.2.1.3-01", control, "min-fresh=60", false),
        ("5.2.1.3-02", control, "min-fresh=5000", true),
        ("5.2.1.4-01", control, "no-cache", true),
        ("5.2.1.5-01", control, "no-store", false),
        ("5.2.1.6-01", control, "no-transform", false),
        ("5.2.1.7-01", control, "only-if-cached", false),
        ("5861-4-01", control, "stale-if-error=60", false),
        ("5.4-01", "pragma", "no-cache", true),
    ] {
        let origin = validating("max-age=3600");
        let cluster = Cluster::of(&origin);
        get(cluster.edge(0), "/", &[]);

        let answer = get(cluster.edge(0), "/", &[(name, value)]);

        assert_eq!((answer.status, answer.text().as_str()), (200, "x"), "{id}");
        assert_eq!(answer.is_hit(), !asks, "{id}: {answer:?}");
        assert_eq!(origin.count("/"), 1 + usize::from(asks), "{id}");
        let why = answer.edge_status().contains("fwd=request; fwd-status=304");
        assert_eq!(why, asks, "{id}: {answer:?}");
    }
}

#[test]
fn a_stale_copy_answers_who_accepts_it_where_nothing_forbids_that() {
    for (id, control, asked, given) in [
        ("5.2.1.2-11 any", "max-age=60", "max-stale", true),
        ("5.2.1.2-12 enough", "max-age=60", "max-stale=600", true),
        ("5.2.1.2-13 too little", "max-age=60", "max-stale=10", false),
        (
            "5.2.1.2-14 must-revalidate",
            "max-age=60, must-revalidate",
            "max-stale",
            false,
        ),
        ("5.2.1.2-15 s-maxage", "s-maxage=60", "max-stale", false),
        (
            "5.2.1.2-16 no-cache",
            "no-cache, max-age=60",
            "max-stale",
            false,
        ),
    ] {
        let origin = first_stale(control, |_, reply| reply.fresh(b"new"));
        let cluster = Cluster::of(&origin);
        get(cluster.edge(0), "/", &[]);

        let answer = get(cluster.edge(0), "/", &[("cache-control", asked)]);

        let (text, asks) = if given { ("old", 1) } else { ("new", 2) };
        assert_eq!(answer.text(), text, "{id}: {answer:?}");
        assert_eq!(origin.count("/"), asks, "{id}");
        if given {
            let status = answer.edge_status();
            assert!(status.starts_with("seawall-edge; hit; ttl=-"), "{status}");
        }
    }
}

#[test]
fn a_stale_answer_that_one_client_accepted_is_nobody_elses() {
    let origin = first_stale("max-age=60", |_, reply| reply.fresh(b"new"));
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    get(cluster.edge(0), "/", &[]);

    // the second edge has it from the shield
    let accepted = get(cluster.edge(1), "/", &[("cache-control", "max-stale")]);
    let other = get(cluster.edge(1), "/", &[]);

    assert_eq!(accepted.text(), "old", "{accepted:?}");
    assert_eq!(other.text(), "new", "{other:?}");
}

#[test]
fn a_response_that_says_no_cache_is_asked_about_as_a_stale_one() {
    let origin = validating("no-cache, max-age=60");
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    let answer = get(cluster.edge(0), "/", &[]);

    let status = answer.edge_status();
    assert!(status.contains("fwd=stale; fwd-status=304"), "{status}");
}

#[test]
fn an_error_is_told_to_who_wants_a_validated_answer_and_hidden_from_who_does_not() {
    let origin = first_stale("max-age=60, stale-if-error=600", |_, reply| {
        reply.answer(503, &[], b"down")
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    for (id, fields, status) in [
        ("5861-4 plain", &[][..], 200),
        ("5.2.1.4 no-cache", &[NO_CACHE], 503),
        ("5.4 pragma", &[("pragma", "no-cache")], 503),
        ("5.2.1.1 max-age=0", &[("cache-control", "max-age=0")], 200),
        (
            "5861-4 not that stale",
            &[("cache-control", "stale-if-error=10")],
            503,
        ),
        ("5861-4 plain, again", &[], 200),
    ] {
        let answer = get(cluster.edge(0), "/", fields);
        assert_eq!(answer.status, status, "{id}: {answer:?}");
        let said = answer.edge_status();
        if status == 200 {
            assert_eq!(answer.text(), "old", "{id}");
            assert!(said.starts_with("seawall-edge; fwd="), "{id}: {said}");
        } else {
            assert!(said.contains("fwd-status=503"), "{id}: {said}");
        }
    }
}

#[test]
fn the_status_of_the_error_that_a_stale_copy_hides_is_told() {
    let origin = first_stale("max-age=60, stale-if-error=600", |_, reply| {
        reply.answer(503, &[], b"down")
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    get(cluster.edge(0), "/", &[]);

    let answer = get(cluster.edge(0), "/", &[]);

    let said = answer.edge_status();
    assert!(said.contains("fwd=stale; fwd-status=503; ttl=-"), "{said}");
    // of the answer that came nothing was
    assert!(!said.contains("stored"), "{said}");
}

#[test]
fn each_of_those_who_wait_for_one_answer_judges_its_error_for_itself() {
    let gate = Gate::default();
    let waits = gate.clone();
    let origin = first_stale("max-age=60, stale-if-error=600", move |_, reply| {
        waits.pass();
        reply.answer(503, &[], b"down")
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    std::thread::scope(|scope| {
        let edge = cluster.edge(0);
        // whoever comes first begins the fill
        let clients: Vec<_> = (0..20)
            .map(|n| {
                scope.spawn(move || {
                    let strict = n % 2 == 0;
                    let fields: &[(&str, &str)] = if strict { &[NO_CACHE] } else { &[] };
                    (strict, get(edge, "/", fields))
                })
            })
            .collect();
        eventually("the origin is asked", || origin.count("/") > 1);
        gate.open();
        for client in clients {
            let (strict, answer) = client.join().unwrap();
            let expect = if strict { (503, "down") } else { (200, "old") };
            assert_eq!((answer.status, answer.text().as_str()), expect);
        }
    });
}

#[test]
fn a_client_may_accept_a_stale_answer_to_an_error_that_the_response_did_not_grant() {
    for (id, control, asked, status) in [
        ("5861-4-11", "max-age=60", "stale-if-error=600", 200),
        ("5861-4-12", "max-age=60", "stale-if-error=10", 500),
        ("5861-4-13", "max-age=60", "no-transform", 500),
        (
            "5861-4-14",
            "max-age=60, must-revalidate",
            "stale-if-error=600",
            500,
        ),
        (
            "5861-4-15",
            "max-age=60, stale-if-error=600",
            "stale-if-error=0",
            500,
        ),
    ] {
        let origin = first_stale(control, |_, reply| reply.answer(500, &[], b"broken"));
        let cluster = Cluster::of(&origin);
        get(cluster.edge(0), "/", &[]);

        let answer = get(cluster.edge(0), "/", &[("cache-control", asked)]);

        assert_eq!(answer.status, status, "{id}: {answer:?}");
    }
}

#[test]
fn a_stale_copy_answers_head_for_an_origin_that_fails_where_that_is_granted() {
    type Fails = fn(&Request, &mut Reply<'_>) -> Then;
    let fails: [(&str, Fails); 2] = [
        ("503", |_, reply| reply.answer(503, &[], b"down")),
        ("reset", |_, _| Then::Reset),
    ];
    for (how, fails) in fails {
        for shields in [0, 1] {
            let granted = first_stale("max-age=60, stale-if-error=600", fails);
            let spec = ClusterSpec::new(granted.address());
            let cluster = spec.shields(shields).start();
            get(cluster.edge(0), "/", &[]);

            let answer = head(&cluster, &[]);
            let strict = head(&cluster, &[NO_CACHE]);

            assert_eq!(answer.status, 200, "{how}: {answer:?}");
            assert_eq!(answer.field("content-length"), Some("3"), "{how}");
            assert_eq!(answer.field("etag"), Some("\"v1\""), "{how}");
            let said = answer.edge_status();
            assert!(said.starts_with("seawall-edge; fwd=stale"), "{how}: {said}");
            assert!(strict.status >= 500, "{how}: {strict:?}");
            assert!(
                granted.seen()[1..].iter().all(|r| r.method == "HEAD"),
                "{how}"
            );

            let not_granted = first_stale("max-age=60", fails);
            let spec = ClusterSpec::new(not_granted.address());
            let cluster = spec.shields(shields).start();
            get(cluster.edge(0), "/", &[]);
            assert!(head(&cluster, &[]).status >= 500, "{how}");
        }
    }
}

#[test]
fn head_gets_the_origins_answer_where_that_does_not_fail() {
    let origin = first_stale("max-age=60, stale-if-error=600", |request, reply| {
        assert_eq!(request.method, "HEAD");
        reply.raw(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        reply.answer(404, &[("x-new", "1")], b"gone")
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    let answer = head(&cluster, &[]);

    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(answer.interim, [103]);
    assert_eq!(answer.field("x-new"), Some("1"));
    assert_eq!(answer.field("content-length"), Some("4"));
    assert!(answer.edge_status().contains("fwd=stale; fwd-status=404"));
}

#[test]
fn a_stale_copy_answers_for_an_origin_that_takes_too_long() {
    let gate = Gate::default();
    let waits = gate.clone();
    let origin = first_stale("max-age=60, stale-if-error=600", move |_, reply| {
        waits.pass();
        reply.fresh(b"late")
    });
    let cluster = ClusterSpec::new(origin.address())
        .service(|service| service.timeouts.read = Duration::from_millis(100))
        .start();
    get(cluster.edge(0), "/", &[]);

    let answer = get(cluster.edge(0), "/", &[]);
    let head = head(&cluster, &[]);
    let strict = get(cluster.edge(0), "/", &[NO_CACHE]);
    gate.open();

    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    assert_eq!(head.status, 200, "{head:?}");
    assert_eq!(strict.status, 504, "{strict:?}");
}

#[test]
fn one_revalidation_makes_the_stale_copies_of_both_tiers_fresh() {
    let gate = Gate::default();
    let waits = gate.clone();
    let origin = first_stale(
        "max-age=60, stale-while-revalidate=600",
        move |request, reply| {
            assert_eq!(request.field("seawall-refresh"), None);
            waits.pass();
            reply.fresh(b"new")
        },
    );
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    let stale = get(cluster.edge(0), "/", &[]);
    eventually("the origin is asked", || origin.count("/") == 2);
    // nobody waits, whatever a client says of itself, and nobody asks again
    for _ in 0..10 {
        let meanwhile = get(cluster.edge(0), "/", &[("seawall-refresh", "1")]);
        assert_eq!(meanwhile.text(), "old", "{meanwhile:?}");
    }
    gate.open();
    let mut fresh = None;
    eventually("the refreshed copy is served", || {
        let answer = get(cluster.edge(0), "/", &[]);
        fresh = (answer.text() == "new").then_some(answer);
        fresh.is_some()
    });

    assert!(stale.edge_status().starts_with("seawall-edge; hit; ttl=-"));
    // the shield had it from the origin for this very question: its own stale copy was no answer
    let fresh = fresh.unwrap();
    let said = fresh.field("cache-status").unwrap();
    assert!(
        said.starts_with("seawall-shield; fwd=stale; fwd-status=200"),
        "{said}"
    );
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_service_says_whether_and_how_often_clients_may_have_copies_validated() {
    for (id, allowed, interval_secs) in [("denied", false, 0), ("not again so soon", true, 3600)] {
        let origin = validating("max-age=7200");
        let cluster = ClusterSpec::new(origin.address())
            .service(|service| {
                service.client_revalidation.allowed = allowed;
                service.client_revalidation.interval_secs = interval_secs;
            })
            .start();
        get(cluster.edge(0), "/", &[]);

        for (name, value) in [
            NO_CACHE,
            ("cache-control", "max-age=0"),
            ("cache-control", "min-fresh=9000"),
            ("pragma", "no-cache"),
        ] {
            let answer = get(cluster.edge(0), "/", &[(name, value)]);
            assert!(answer.is_hit(), "{id}: {value}: {answer:?}");
        }

        assert_eq!(origin.count("/"), 1, "{id}");
    }
}

#[test]
fn what_is_stale_is_validated_whether_or_not_clients_may_ask_for_it() {
    let origin = first_stale("max-age=60", |_, reply| reply.fresh(b"new"));
    let cluster = ClusterSpec::new(origin.address())
        .service(|service| service.client_revalidation.allowed = false)
        .start();
    get(cluster.edge(0), "/", &[]);

    assert_eq!(get(cluster.edge(0), "/", &[NO_CACHE]).text(), "new");
}

#[test]
fn head_and_changes_find_the_copy_of_get_where_a_rule_is_for_get_alone() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = ClusterSpec::new(origin.address())
        .service(|service| {
            service.rules = vec![Rule {
                name: "get".into(),
                matcher: Matcher {
                    methods: vec!["GET".into()],
                    ..Matcher::default()
                },
                policy: Policy {
                    key: KeyRules {
                        query: QueryRule::Drop,
                        ..KeyRules::default()
                    },
                    ..Policy::default()
                },
            }];
        })
        .start();
    get(cluster.edge(0), "/a?x=1", &[]);
    let mut client = Client::connect(cluster.edge(0));

    client.request("HEAD", "/a?x=2", &[], b"");
    let head = client.response("HEAD").unwrap();
    client.request("POST", "/a?x=3", &[], b"change");
    client.response("POST").unwrap();

    assert!(head.is_hit(), "{head:?}");
    assert!(!client.get("/a?x=1", &[]).is_hit());
}

#[test]
fn an_upgrade_to_a_protocol_that_is_not_spoken_here_is_ignored() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let h2c = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
    ];

    let miss = get(cluster.edge(0), "/", &h2c);
    let hit = get(cluster.edge(0), "/", &h2c);

    assert_eq!(miss.text(), "x");
    assert!(miss.edge_status().contains("fwd=uri-miss"), "{miss:?}");
    assert!(hit.is_hit(), "{hit:?}");
    let seen = origin.seen();
    assert_eq!(seen.len(), 1);
    for name in ["upgrade", "http2-settings"] {
        assert_eq!(seen[0].field(name), None, "{seen:?}");
    }
}
