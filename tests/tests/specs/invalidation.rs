//! What a change ends beside what it was sent to (RFC 9111 §4.4).

use seawall_service_model::{KeyRules, Matcher, Policy, QueryRule, Rule};
use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::fleet::service;
use seawall_tests::{Client, ClusterSpec, Fleet, Gate, Origin, Then, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Changes `/changed` by `method`; the origin answers `status` with `name: value`. Whether `/told` is still stored.
fn survives(shields: usize, method: &str, status: u16, name: &'static str, value: &str) -> bool {
    let value = value.to_owned();
    let origin = Origin::start(move |request, reply| {
        if request.target == "/dir/changed" {
            // what the reference names the node under is filled in here: it has a port of its own
            let host = request.field("x-forwarded-host").unwrap_or_default();
            let value = value.replace("{host}", host);
            return reply.answer(status, &[(name, &value)], b"");
        }
        reply.fresh(b"x")
    });
    let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
    get(cluster.edge(0), "/told?q=1", &[]);
    assert!(get(cluster.edge(0), "/told?q=1", &[]).is_hit());

    let mut client = Client::connect(cluster.edge(0));
    client.request(method, "/dir/changed", &[], b"new");
    assert_eq!(client.response(method).unwrap().status, status);

    let asked = origin.count("/told?q=1");
    let answer = get(cluster.edge(0), "/told?q=1", &[]);
    assert_eq!(
        answer.is_hit(),
        origin.count("/told?q=1") == asked,
        "{answer:?}"
    );
    answer.is_hit()
}

#[test]
fn a_change_also_ends_what_location_and_content_location_name() {
    for shields in [0, 1] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "FOO"] {
            for name in ["location", "content-location"] {
                assert!(
                    !survives(shields, method, 200, name, "/told?q=1"),
                    "{method} {name}"
                );
            }
        }
    }
    // id, status, reference, whether the copy lives on
    for (id, status, reference, lives) in [
        ("created", 201, "/told?q=1", false),
        ("see other", 303, "/told?q=1", false),
        ("failed", 404, "/told?q=1", true),
        ("broken", 500, "/told?q=1", true),
        ("relative", 200, "../told?q=1", false),
        ("fragment", 200, "/told?q=1#part", false),
        ("absolute", 200, "http://{host}/told?q=1", false),
        (
            "absolute, default port",
            200,
            "HTTP://WWW.Example:80/told?q=1",
            false,
        ),
        ("network path", 200, "//{host}/told?q=1", false),
        ("other host", 200, "http://other.example/told?q=1", true),
        ("other port", 200, "http://{host}:81/told?q=1", true),
        ("other scheme", 200, "https://{host}/told?q=1", true),
        ("other query", 200, "/told?q=2", true),
        ("no reference", 200, "http://[", true),
    ] {
        let survived = survives(1, "POST", status, "location", reference);
        assert_eq!(survived, lives, "{id}");
    }
}

#[test]
fn an_origin_that_is_asked_under_a_name_of_its_own_may_name_it() {
    let origin = Origin::start(|request, reply| {
        if request.method == "POST" {
            let own = format!("http://{}/told", request.field("host").unwrap_or_default());
            return reply.answer(201, &[("location", &own)], b"");
        }
        reply.fresh(b"x")
    });
    let cluster = ClusterSpec::new(origin.address())
        .service(|s| s.origins[0].host_header = Some("inside.example".into()))
        .start();
    get(cluster.edge(0), "/told", &[]);
    assert!(get(cluster.edge(0), "/told", &[]).is_hit());

    let mut client = Client::connect(cluster.edge(0));
    client.request("POST", "/", &[], b"new");
    assert_eq!(client.response("POST").unwrap().status, 201);

    assert!(!get(cluster.edge(0), "/told", &[]).is_hit());
}

#[test]
fn a_change_ends_what_a_get_would_find_whatever_rule_the_change_falls_under() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = ClusterSpec::new(origin.address())
        .service(|s| {
            s.rules.push(Rule {
                name: "reads".into(),
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
            });
        })
        .start();
    get(cluster.edge(0), "/a?x=1", &[]);
    assert!(get(cluster.edge(0), "/a?x=2", &[]).is_hit());

    let mut client = Client::connect(cluster.edge(0));
    client.request("POST", "/a?x=3", &[], b"new");
    assert_eq!(client.response("POST").unwrap().status, 200);

    assert!(!get(cluster.edge(0), "/a?x=1", &[]).is_hit());
}

/// RFC 9875 §3: changes `/changed` by `method`, which is answered with `status` and `lines`; whether `/of-group`, of the
/// groups "group" and "x,y", is still stored.
fn group_survives(shields: usize, method: &str, status: u16, lines: &[&str]) -> bool {
    let told: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let origin = Origin::start(move |request, reply| {
        if request.target == "/changed" {
            let field = |line: &'_ String| ("cache-group-invalidation", line.clone());
            let fields: Vec<_> = told.iter().map(field).collect();
            let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            return reply.answer(status, &fields, b"");
        }
        let fields = [
            ("cache-control", "max-age=3600"),
            ("cache-groups", "\"group\", \"x,y\""),
        ];
        let fields = if request.target == "/of-group" {
            &fields[..]
        } else {
            &fields[..1]
        };
        reply.answer(200, fields, b"x")
    });
    let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
    for target in ["/of-group", "/of-none"] {
        get(cluster.edge(0), target, &[]);
        assert!(get(cluster.edge(0), target, &[]).is_hit(), "{target}");
    }

    let mut client = Client::connect(cluster.edge(0));
    client.request(method, "/changed", &[], b"new");
    assert_eq!(client.response(method).unwrap().status, status);

    assert!(get(cluster.edge(0), "/of-none", &[]).is_hit());
    let answer = get(cluster.edge(0), "/of-group", &[]);
    // on the shield as at the edge
    let asked = origin.count("/of-group");
    assert_eq!(asked, if answer.is_hit() { 1 } else { 2 }, "{answer:?}");
    // what comes after the change is stored as ever
    assert!(get(cluster.edge(0), "/of-group", &[]).is_hit());
    answer.is_hit()
}

#[test]
fn a_change_ends_the_copies_of_the_groups_that_its_answer_names_where_it_passes() {
    // id, method, status, lines, whether the copy lives on
    let many = (0..300).map(|n| format!("\"{n}\"")).collect::<Vec<_>>();
    let many = [&many.join(", "), ", \"group\""].concat();
    let rows: [(&str, &str, u16, &[&str], bool); 15] = [
        ("9875-01", "POST", 200, &["\"group\""], false),
        ("9875-02", "PUT", 201, &["\"group\""], false),
        ("9875-03", "DELETE", 204, &["\"group\""], false),
        ("9875-04", "PATCH", 303, &["\"group\""], false),
        ("9875-05", "FOO", 200, &["\"group\""], false),
        (
            "9875-06",
            "POST",
            200,
            &["\"x,y\";a=\"b, c\", \"none\""],
            false,
        ),
        ("9875-07", "POST", 200, &["\"none\"", "\"group\""], false),
        (
            "9875-08",
            "POST",
            200,
            // the lines are one list, and this is none (RFC 9651 §4.2)
            &["\"none\", \"", "\"group\""],
            true,
        ),
        ("9875-09", "POST", 200, &[&many], false),
        ("9875-10", "POST", 200, &["\"none\""], true),
        ("9875-11", "POST", 200, &["\"Group\""], true),
        ("9875-12", "POST", 200, &["group"], true),
        ("9875-13", "POST", 200, &["\"group\", \""], true),
        ("9875-14", "POST", 404, &["\"group\""], true),
        ("9875-15", "OPTIONS", 200, &["\"group\""], true),
    ];
    for (id, method, status, lines, lives) in rows {
        for shields in [0, 1] {
            let survived = group_survives(shields, method, status, lines);
            assert_eq!(survived, lives, "{id}: {shields} shields");
        }
    }
}

/// A service whose changes end copies in the whole fleet: two edges, a shield, and a second host.
fn fleet(origin: &Origin, mode: &str) -> Fleet {
    let fleet = Fleet::of(origin);
    let marked = "[service.default]\nresponse_headers = { set = { X-Shop = \"1\" } }";
    let text = service("shop", "shop.example", origin, marked);
    let text = text.replacen("hosts", &format!("invalidate = \"{mode}\"\nhosts"), 1);
    let (status, told) = fleet.put_service("shop", &text, &[]);
    assert_eq!(status, 201, "{told}");
    for id in ["shield-0", "edge-0", "edge-1"] {
        eventually("it follows", || fleet.is_up_to_date(id));
    }
    for edge in [0, 1] {
        eventually("it has the service", || {
            get(fleet.edge(edge), "/probe", &SHOP).field("x-shop") == Some("1")
        });
    }
    fleet
}

const SHOP: [(&str, &str); 1] = [("host", "shop.example")];

#[test]
fn a_change_ends_copies_on_the_edges_that_it_does_not_pass_where_a_service_wants_that() {
    let origin = Origin::start(|request, reply| {
        if request.method == "POST" {
            let fields = [
                ("location", "/told"),
                (
                    "cache-group-invalidation",
                    "\"group\";x=1, token, \"other\"",
                ),
            ];
            return reply.answer(201, &fields, b"");
        }
        let groups = if request.target == "/of-group" {
            "\"group\""
        } else {
            "\"none\""
        };
        let fields = [("cache-control", "max-age=3600"), ("cache-groups", groups)];
        reply.answer(200, &fields, b"x")
    });
    for (mode, ended) in [("local", false), ("fleet", true)] {
        let fleet = fleet(&origin, mode);
        for target in ["/changed", "/told", "/of-group", "/kept"] {
            get(fleet.edge(1), target, &SHOP);
            assert!(get(fleet.edge(1), target, &SHOP).is_hit(), "{target}");
        }

        let mut client = Client::connect(fleet.edge(0));
        client.request("POST", "/changed", &SHOP, b"new");
        assert_eq!(client.response("POST").unwrap().status, 201);

        if ended {
            // one purge of the URLs, one of the groups
            eventually("both purges are asked for", || {
                let asked = ["result=\"asked\""];
                metric(&fleet.metrics(0), "seawall_change_purges_total", &asked) == 2
            });
            eventually("the other edge has them", || fleet.is_up_to_date("edge-1"));
        }
        for (target, lives) in [
            ("/changed", !ended),
            ("/told", !ended),
            ("/of-group", !ended),
            ("/kept", true),
        ] {
            let answer = get(fleet.edge(1), target, &SHOP);
            assert_eq!(answer.is_hit(), lives, "{mode} {target}: {answer:?}");
        }
        if ended {
            let (_, purges) = fleet.get("/v1/purges");
            let told = purges.to_string();
            assert!(told.contains("a change that an edge passed on"), "{told}");
            assert!(told.contains("http://shop.example/told"), "{told}");
        }
    }
}

#[test]
fn a_change_is_answered_although_the_fleet_cannot_be_told() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let mut fleet = fleet(&origin, "fleet");
    get(fleet.edge(0), "/changed", &SHOP);
    fleet.stop_control_plane();

    let mut client = Client::connect(fleet.edge(0));
    client.request("POST", "/changed", &SHOP, b"new");
    assert_eq!(client.response("POST").unwrap().status, 200);

    assert!(!get(fleet.edge(0), "/changed", &SHOP).is_hit());
    eventually("it is counted", || {
        let failed = ["result=\"failed\""];
        metric(&fleet.metrics(0), "seawall_change_purges_total", &failed) == 1
    });
}

#[test]
fn a_change_of_a_group_ends_what_of_it_is_fetched_meanwhile() {
    let (gate, changed) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (held, changes) = (gate.clone(), changed.clone());
    let origin = Origin::start(move |request, reply| {
        if request.method == "POST" {
            changes.store(true, Ordering::Release);
            return reply.answer(200, &[("cache-group-invalidation", "\"group\"")], b"");
        }
        let fields = [
            ("cache-control", "max-age=3600"),
            ("cache-groups", "\"group\""),
        ];
        if changes.load(Ordering::Acquire) {
            return reply.answer(200, &fields, b"after!");
        }
        reply.raw(
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncache-groups: \"group\"\r\n\
              content-length: 6\r\n\r\nbef",
        );
        held.pass();
        reply.raw(b"ore");
        Then::Keep
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    let mut early = Client::connect(cluster.edge(0));
    early.request("GET", "/of-group", &[], b"");
    assert_eq!(early.head().unwrap().0, 200);
    let mut client = Client::connect(cluster.edge(0));
    client.request("POST", "/changed", &[], b"new");
    assert_eq!(client.response("POST").unwrap().status, 200);
    assert_eq!(get(cluster.edge(0), "/of-group", &[]).text(), "after!");
    gate.open();
    assert_eq!(early.bytes(6).unwrap(), b"before");
    assert_eq!(get(cluster.edge(0), "/of-group", &[]).text(), "after!");
}
