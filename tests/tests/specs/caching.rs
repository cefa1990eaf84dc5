//! Hits, misses, Vary, fields.

use seawall_config::IpNet;
use seawall_service_model::{CacheMode, Matcher, PathPattern, Policy, QueryRule, Rule};
use seawall_tests::client::get;
use seawall_tests::{Client, Cluster, ClusterSpec, Origin};

#[test]
fn a_page_is_fetched_once_and_then_hit_and_each_tier_says_so() {
    let origin = Origin::start(|_, reply| reply.fresh(b"hello"));
    let cluster = Cluster::of(&origin);

    let miss = get(cluster.edge(0), "/a", &[]);
    let hit = get(cluster.edge(0), "/a", &[]);

    assert_eq!((miss.status, miss.text().as_str()), (200, "hello"));
    let status = miss.field("cache-status").unwrap();
    assert!(
        status.starts_with("seawall-shield; fwd=uri-miss; fwd-status=200"),
        "{status}"
    );
    assert!(
        miss.edge_status().starts_with("seawall-edge; fwd=uri-miss"),
        "{status}"
    );
    assert!(miss.edge_status().contains("stored"), "{status}");
    assert!(hit.is_hit(), "{hit:?}");
    assert!(hit.field("age").unwrap().parse::<u64>().unwrap() <= 20);
    assert_eq!(
        hit.field("via"),
        Some("1.1 seawall-shield, 1.1 seawall-edge")
    );
    assert_eq!(hit.text(), "hello");
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn two_edges_share_one_fetch_through_the_shield() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();

    get(cluster.edge(0), "/a", &[]);
    let second = get(cluster.edge(1), "/a", &[]);

    assert!(
        second
            .field("cache-status")
            .unwrap()
            .starts_with("seawall-shield; hit"),
        "{second:?}"
    );
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn the_age_of_an_answer_counts_against_its_lifetime_and_is_told() {
    let origin = Origin::start(|_, reply| {
        reply.answer(
            200,
            &[("cache-control", "max-age=100"), ("age", "40")],
            b"x",
        )
    });
    let cluster = Cluster::of(&origin);

    get(cluster.edge(0), "/", &[]);
    let hit = get(cluster.edge(0), "/", &[]);

    let age: u64 = hit.field("age").unwrap().parse().unwrap();
    assert!((40..60).contains(&age), "{hit:?}");
}

#[test]
fn what_may_not_be_stored_is_fetched_each_time() {
    let rows: [&[(&str, &str)]; 5] = [
        &[("cache-control", "no-store")],
        &[("cache-control", "private, max-age=60")],
        &[("cache-control", "max-age=60"), ("set-cookie", "a=1")],
        &[("cache-control", "max-age=60"), ("vary", "*")],
        &[],
    ];
    for (index, fields) in rows.into_iter().enumerate() {
        let origin = Origin::start(move |_, reply| reply.answer(200, fields, b"x"));
        let cluster = Cluster::of(&origin);

        get(cluster.edge(0), "/", &[]);
        let second = get(cluster.edge(0), "/", &[]);

        assert!(!second.is_hit(), "row {index}: {second:?}");
        assert_eq!(origin.count("/"), 2, "row {index}");
    }
}

#[test]
fn an_answer_that_becomes_storable_is_stored_although_the_one_before_it_was_not() {
    let origin = Origin::start(|request, reply| {
        let control = if request.field("x-first").is_some() {
            "no-store"
        } else {
            "max-age=60"
        };
        reply.answer(200, &[("cache-control", control)], b"x")
    });
    let cluster = Cluster::of(&origin);

    get(cluster.edge(0), "/", &[("x-first", "1")]);
    get(cluster.edge(0), "/", &[]);

    assert!(get(cluster.edge(0), "/", &[]).is_hit());
}

#[test]
fn variants_are_kept_apart_by_the_fields_that_vary_names() {
    let origin = Origin::start(|request, reply| {
        let language = request
            .field("accept-language")
            .unwrap_or("none")
            .to_owned();
        let fields = [("cache-control", "max-age=60"), ("vary", "Accept-Language")];
        reply.answer(200, &fields, language.as_bytes())
    });
    let cluster = Cluster::of(&origin);

    for language in ["de", "fr", "de", "fr", "en"] {
        let answer = get(cluster.edge(0), "/", &[("accept-language", language)]);
        assert_eq!(answer.text(), language);
    }
    let hit = get(cluster.edge(0), "/", &[("accept-language", "fr")]);

    assert!(hit.is_hit(), "{hit:?}");
    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "none");
    assert_eq!(origin.count("/"), 4);
}

#[test]
fn date_and_etag_reach_the_client_as_the_origin_sent_them() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=600000000"),
            ("date", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ("etag", "\"v1\""),
        ];
        reply.answer(200, &fields, b"x")
    });
    let cluster = Cluster::of(&origin);

    for _ in 0..2 {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(
            answer.field("date"),
            Some("Mon, 01 Jan 2024 00:00:00 GMT"),
            "{answer:?}"
        );
        assert_eq!(answer.field("etag"), Some("\"v1\""));
    }
}

#[test]
fn connection_fields_tags_and_the_fleets_own_fields_do_not_reach_clients() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=60"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("surrogate-key", "a b"),
            ("xkey", "a"),
            ("cache-tag", "a"),
            ("seawall-label", "9.9"),
            ("x-end", "kept"),
        ];
        reply.answer(200, &fields, b"x")
    });
    let cluster = Cluster::of(&origin);

    for _ in 0..2 {
        let answer = get(cluster.edge(0), "/", &[]);
        for name in [
            "x-hop",
            "keep-alive",
            "surrogate-key",
            "xkey",
            "cache-tag",
            "seawall-label",
            "seawall-fetched",
        ] {
            assert_eq!(answer.field(name), None, "{name}");
        }
        assert_eq!(answer.field("x-end"), Some("kept"));
    }
}

#[test]
fn the_origin_learns_who_asked_and_clients_cannot_speak_the_fleets_fields() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);

    let fields = [
        ("seawall-fleet", "guess"),
        ("seawall-link", "1"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];
    get(cluster.edge(0), "/", &fields);

    let seen = origin.seen().pop().unwrap();
    assert!(
        seen.fields
            .iter()
            .all(|(name, _)| !name.starts_with("seawall-")),
        "{seen:?}"
    );
    assert_eq!(seen.field("x-hop"), None);
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("www.example"));
    assert_eq!(seen.field("host"), Some("www.example"));
    assert_eq!(seen.field("cdn-loop"), Some("specs"));
    assert_eq!(
        seen.field("via"),
        Some("1.1 seawall-edge, 1.1 seawall-shield")
    );
}

#[test]
fn forwarded_fields_are_believed_from_listed_proxies() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let mut spec = ClusterSpec::new(origin.address());
    spec.trusted_proxies = vec!["127.0.0.0/8".parse::<IpNet>().unwrap()];
    let cluster = spec.start();

    get(
        cluster.edge(0),
        "/",
        &[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
        ],
    );

    let seen = origin.seen().pop().unwrap();
    assert_eq!(seen.field("x-forwarded-for"), Some("6.6.6.6, 127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_request_that_this_fleet_has_seen_is_a_loop() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);

    let answer = get(cluster.edge(0), "/", &[("cdn-loop", "other, specs")]);

    assert_eq!(answer.status, 508);
    assert!(origin.seen().is_empty());
}

#[test]
fn a_shield_serves_its_fleet_and_nobody_else() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);

    for fields in [
        &[][..],
        &[("seawall-fleet", "guess"), ("seawall-link", "1")],
    ] {
        let answer = get(cluster.shield(0), "/", fields);
        assert_eq!(answer.status, 403);
        assert!(answer.text().starts_with("seawall: "), "{answer:?}");
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn rules_decide_by_path_what_is_cached_for_how_long_and_by_which_key() {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let rule = |path: &str, change: &dyn Fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        let matcher = Matcher {
            paths: vec![PathPattern::new(path).unwrap()],
            ..Matcher::default()
        };
        Rule {
            name: path.into(),
            matcher,
            policy,
        }
    };
    let cluster = ClusterSpec::new(origin.address())
        .service(|service| {
            service.rules = vec![
                rule("/never/**", &|p| p.cache = CacheMode::Bypass),
                rule("/**", &|p| {
                    p.storage.ttl_default = Some(60);
                    p.key.query = QueryRule::Except(vec!["utm".into()]);
                }),
            ];
        })
        .start();

    get(cluster.edge(0), "/a?q=1&utm=x", &[]);
    assert!(get(cluster.edge(0), "/a?q=1&utm=y", &[]).is_hit());
    assert!(!get(cluster.edge(0), "/a?q=2", &[]).is_hit());
    get(cluster.edge(0), "/never/a", &[]);
    let bypass = get(cluster.edge(0), "/never/a", &[]);
    assert!(bypass.edge_status().contains("fwd=bypass"), "{bypass:?}");
    assert_eq!(origin.count("/never/a"), 2);
}

#[test]
fn a_write_makes_the_cached_page_of_its_url_a_miss_on_the_nodes_it_passed() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);

    get(cluster.edge(0), "/a", &[]);
    let mut client = Client::connect(cluster.edge(0));
    client.request("POST", "/a", &[], b"change");
    assert_eq!(client.response("POST").unwrap().status, 200);

    assert!(!get(cluster.edge(0), "/a", &[]).is_hit());
}

#[test]
fn only_if_cached_never_asks_the_origin() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);

    let fields = [("cache-control", "only-if-cached")];
    assert_eq!(get(cluster.edge(0), "/a", &fields).status, 504);
    get(cluster.edge(0), "/a", &[]);
    assert_eq!(get(cluster.edge(0), "/a", &fields).status, 200);
    assert_eq!(origin.count("/a"), 1);
}
