//! Which stored variant a request selects (RFC 9111 §4.1), through both tiers.

use seawall_tests::client::get;
use seawall_tests::{Cluster, ClusterSpec, Origin};

/// Answers with the values of the fields that it varies by.
fn varying(vary: &'static str) -> Origin {
    Origin::start(move |request, reply| {
        let values = vary.split(", ").map(|name| {
            let name = name.to_ascii_lowercase();
            request.field(&name).unwrap_or("none").to_owned()
        });
        let body = values.collect::<Vec<_>>().join("|");
        let fields = [("cache-control", "max-age=60"), ("vary", vary)];
        reply.answer(200, &fields, body.as_bytes())
    })
}

#[test]
fn order_case_and_weights_as_they_are_written_select_the_same_variant() {
    for (id, name, vary, spellings) in [
        (
            "12.5.4 languages",
            "accept-language",
            "Accept-Language",
            ["de, en;q=0.5", "EN;q=0.50,de", "de;q=1.0 , en ; q=0.5"],
        ),
        (
            "12.5.3 codings",
            "accept-encoding",
            "Accept-Encoding",
            ["br, zstd", "zstd,br", "ZSTD, br, zstd"],
        ),
        (
            "12.5.1 media types",
            "accept",
            "Accept",
            [
                "text/html, */*;q=0.1",
                "*/*;q=0.1,text/html",
                "TEXT/html, */*;q=0.1",
            ],
        ),
    ] {
        let origin = varying(vary);
        let cluster = ClusterSpec::new(origin.address()).edges(2).start();
        let first = get(cluster.edge(0), "/", &[(name, spellings[0])]);
        for spelling in spellings {
            let here = get(cluster.edge(0), "/", &[(name, spelling)]);
            assert!(here.is_hit(), "{id}: {spelling}: {here:?}");
            let there = get(cluster.edge(1), "/", &[(name, spelling)]);
            assert_eq!(there.text(), first.text(), "{id}: {spelling}");
        }
        assert_eq!(origin.count("/"), 1, "{id}");
    }
}

#[test]
fn other_preferences_select_other_variants() {
    let origin = varying("Accept-Language");
    let cluster = Cluster::of(&origin);
    let preferences = [
        "de, en;q=0.5",
        "en, de;q=0.5",
        "de, en;q=0.4",
        "de, en;q=0",
        "de",
        "*",
        "de-AT",
    ];
    for _ in 0..2 {
        for preference in preferences {
            let answer = get(cluster.edge(0), "/", &[("accept-language", preference)]);
            assert_eq!(answer.text(), preference);
        }
    }
    assert_eq!(origin.count("/"), preferences.len());
}

#[test]
fn the_case_and_order_of_fields_that_nothing_is_known_of_count() {
    let origin = varying("X-Kind");
    let cluster = Cluster::of(&origin);
    let kinds = ["a, b", "b, a", "A, b"];
    for _ in 0..2 {
        for kind in kinds {
            assert_eq!(get(cluster.edge(0), "/", &[("x-kind", kind)]).text(), kind);
        }
    }
    assert_eq!(origin.count("/"), kinds.len());
}

#[test]
fn a_response_may_vary_by_several_fields_at_once() {
    for vary in ["Accept-Language, X-Kind", "Accept-Language, X-Kind, Cookie"] {
        let origin = varying(vary);
        let cluster = Cluster::of(&origin);
        let mut asked = 0;
        for round in 0..2 {
            for language in ["de", "fr"] {
                for kind in ["1", "2"] {
                    for cookie in ["a=1", "a=2"] {
                        let fields = [
                            ("accept-language", language),
                            ("x-kind", kind),
                            ("cookie", cookie),
                        ];
                        let answer = get(cluster.edge(0), "/", &fields);
                        let expect = format!("{language}|{kind}|{cookie}");
                        assert!(expect.starts_with(&answer.text()), "{vary}: {answer:?}");
                        asked += usize::from(!answer.is_hit());
                        assert!(round == 0 || answer.is_hit(), "{vary}: {answer:?}");
                    }
                }
            }
        }
        let variants = if vary.contains("Cookie") { 8 } else { 4 };
        assert_eq!((asked, origin.count("/")), (variants, variants), "{vary}");
    }
}

#[test]
fn of_two_variants_that_both_match_the_one_with_the_later_date_answers() {
    // RFC 9111 §4.1
    let origin = Origin::start(|request, reply| {
        let step = request.field("x-step").unwrap_or("0").to_owned();
        let (vary, date) = match step.as_str() {
            "1" => ("X", "Mon, 01 Jan 2024 00:00:01 GMT"),
            "2" => ("Y", "Mon, 01 Jan 2024 00:00:02 GMT"),
            _ => ("X", "Mon, 01 Jan 2024 00:00:03 GMT"),
        };
        let fields = [
            ("cache-control", "max-age=600000000"),
            ("vary", vary),
            ("date", date),
        ];
        reply.answer(200, &fields, step.as_bytes())
    });
    let cluster = Cluster::of(&origin);
    for (step, x, y) in [("1", "1", "9"), ("2", "7", "1"), ("3", "2", "2")] {
        let fields = [("x-step", step), ("x", x), ("y", y)];
        assert_eq!(get(cluster.edge(0), "/", &fields).text(), step);
    }

    let both = get(cluster.edge(0), "/", &[("x", "1"), ("y", "1")]);

    assert!(both.is_hit(), "{both:?}");
    assert_eq!(both.text(), "2");
    assert_eq!(origin.count("/"), 3);
}

#[test]
fn a_field_that_ends_with_its_connection_selects_nothing() {
    let origin = Origin::start(|request, reply| {
        let fields = [("cache-control", "max-age=60"), ("vary", "x-tenant")];
        let tenant = request.field("x-tenant").unwrap_or("none");
        reply.answer(200, &fields, tenant.as_bytes())
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let tenant = ("x-tenant", "one");
        // the origin does not see it: its answer is for requests without
        let ends = [tenant, ("connection", "x-tenant")];
        assert_eq!(get(cluster.edge(0), "/", &ends).text(), "none");
        assert_eq!(get(cluster.edge(0), "/", &[tenant]).text(), "one");
        assert!(get(cluster.edge(0), "/", &[]).is_hit());
    }
}
