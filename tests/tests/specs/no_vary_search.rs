//! One copy for all URLs that its response declares to be one (draft-ietf-httpbis-no-vary-search-09), through edge and
//! shield.

use seawall_tests::client::get;
use seawall_tests::{Client, ClusterSpec, Gate, Origin, Response, Then, eventually};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const FRESH: (&str, &str) = ("cache-control", "max-age=3600");
const NVS: &str = "no-vary-search";
const BUT_U: (&str, &str) = (NVS, "params=(\"u\")");
const ANEW: [(&str, &str); 1] = [("cache-control", "no-cache")];

/// An origin whose answers are numbered, and declare `declared`.
fn always(declared: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        reply.answer(200, &[FRESH, (NVS, declared)], n.to_string().as_bytes())
    })
}

fn change(address: SocketAddr, target: &str) {
    let mut client = Client::connect(address);
    client.request("POST", target, &[], b"new");
    assert_eq!(client.response("POST").unwrap().status, 200);
}

#[test]
fn a_copy_answers_the_urls_that_it_declares_to_be_its_own_and_no_others() {
    // id, section, field, the URL it is fetched for, another one, whether the copy answers it
    for (id, section, declared, first, second, expected) in [
        (
            "nvs-e2e-01",
            "§6",
            "key-order",
            "/?a=1&b=2",
            "/?b=2&a=1",
            true,
        ),
        (
            "nvs-e2e-02",
            "§6",
            "key-order",
            "/?a=1&b=2",
            "/?b=2&a=3",
            false,
        ),
        (
            "nvs-e2e-03",
            "§6",
            "params=(\"u\")",
            "/?a=1",
            "/?u=7&a=1",
            true,
        ),
        ("nvs-e2e-04", "§6", "params=(\"u\")", "/?u=1", "/", true),
        (
            "nvs-e2e-05",
            "§6",
            "params=(\"u\")",
            "/?a=1&b=2",
            "/?b=2&a=1",
            false,
        ),
        (
            "nvs-e2e-06",
            "§6",
            "except=(\"id\")",
            "/?id=1&x=2",
            "/?y=3&id=1",
            true,
        ),
        (
            "nvs-e2e-07",
            "§6",
            "except=(\"id\")",
            "/?id=1",
            "/?id=2",
            false,
        ),
        ("nvs-e2e-08", "§6", "except=()", "/?a=1", "/?b", true),
        ("nvs-e2e-09", "§6", "except=()", "/a?b", "/b?b", false),
        (
            "nvs-e2e-10",
            "§6.1",
            "key-order",
            "/?a=x",
            "/?%61=%78",
            true,
        ),
        ("nvs-e2e-11", "§5.1", "params=(u)", "/?u=1", "/?u=2", false),
        (
            "nvs-e2e-12",
            "§5.1",
            "key-order=?0",
            "/?a=1&b=2",
            "/?b=2&a=1",
            false,
        ),
        (
            "nvs-e2e-13",
            "-04 §4.1",
            "params, except=(\"id\")",
            "/?id=1&x=2",
            "/?id=1",
            true,
        ),
    ] {
        for shields in [0, 1] {
            let origin = always(declared);
            let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
            let ask = |target: &str| get(cluster.edge(0), target, &[]);

            let answers = [first, second, second, first].map(ask);

            let texts = answers.map(|answer: Response| answer.text());
            let all = if expected {
                ["1"; 4]
            } else {
                ["1", "2", "2", "1"]
            };
            assert_eq!(texts, all, "{id} {section} {declared}: {shields} shields");
            let asked = origin.seen().len();
            assert_eq!(asked, if expected { 1 } else { 2 }, "{id}");
        }
    }
}

#[test]
fn a_shield_answers_an_edge_by_the_copy_that_another_one_has_fetched() {
    let origin = always(BUT_U.1);
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();
    get(cluster.edge(0), "/?u=1", &[]);

    let other = get(cluster.edge(1), "/?u=2", &[]);

    let status = other.field("cache-status").unwrap();
    assert!(status.starts_with("seawall-shield; hit"), "{status}");
    assert!(get(cluster.edge(1), "/?u=3", &[]).is_hit());
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_rule_can_leave_urls_apart() {
    let origin = always("except=()");
    let cluster = ClusterSpec::new(origin.address())
        .service(|s| s.default.no_vary_search = false)
        .start();
    for target in ["/?a", "/?b"] {
        assert!(!get(cluster.edge(0), target, &[]).is_hit(), "{target}");
        assert!(get(cluster.edge(0), target, &[]).is_hit(), "{target}");
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn what_the_keys_rules_leave_of_a_query_is_compared() {
    let origin = always("key-order");
    let cluster = ClusterSpec::new(origin.address())
        .service(|s| {
            s.default.key.query = seawall_service_model::QueryRule::Except(vec!["u".into()]);
        })
        .start();
    get(cluster.edge(0), "/?a=1&u=1&b=2", &[]);
    assert!(get(cluster.edge(0), "/?u=2&b=2&a=1", &[]).is_hit());
    assert!(!get(cluster.edge(0), "/?u=2&b=2&a=2", &[]).is_hit());
}

/// §7: it operates in addition to `Vary`.
#[test]
fn variants_of_equivalent_urls_are_kept_apart_and_found() {
    let origin = Origin::start(|request, reply| {
        let kind = request.field("x-kind").unwrap_or("none").to_owned();
        let fields = [FRESH, BUT_U, ("vary", "x-kind")];
        reply.answer(200, &fields, kind.as_bytes())
    });
    for shields in [0, 1] {
        origin.forget();
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let ask = |n: usize, kind: &str| {
            let answer = get(cluster.edge(0), &format!("/?u={n}"), &[("x-kind", kind)]);
            assert_eq!(answer.text(), kind, "{n}");
            answer.is_hit()
        };
        assert!(!ask(1, "a"));
        assert!(!ask(2, "b"));
        for n in 3..9 {
            assert!(ask(n, if n % 2 == 0 { "a" } else { "b" }), "{n}");
        }
        assert_eq!(origin.seen().len(), 2);
    }
}

#[test]
fn a_change_of_one_of_them_ends_the_copy_that_would_answer_it() {
    for (fetched, changed) in [("/?u=1", "/?u=1"), ("/?u=1", "/?u=2"), ("/?u=1", "/")] {
        for shields in [0, 1] {
            let origin = always(BUT_U.1);
            let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
            let ask = |target: &str| get(cluster.edge(0), target, &[]).text();
            assert_eq!([ask(fetched), ask(changed)], ["1", "1"]);

            change(cluster.edge(0), changed);

            assert_eq!(ask(changed), "3", "{fetched} {changed} {shields}");
            assert_eq!(ask(fetched), "3", "{fetched} {changed} {shields}");
        }
    }
}

#[test]
fn a_copy_that_was_on_its_way_when_the_change_came_is_none_for_them() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, reply| {
        if request.target == "/?u=1" {
            reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\n");
            reply.raw(b"no-vary-search: params=(\"u\")\r\ncontent-length: 3\r\n\r\nol");
            held.pass();
            reply.raw(b"d");
            return Then::Keep;
        }
        reply.answer(200, &[FRESH, BUT_U], b"new")
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    let mut first = Client::connect(cluster.edge(0));
    first.request("GET", "/?u=1", &[], b"");
    assert_eq!(first.head().unwrap().0, 200);

    change(cluster.edge(0), "/?u=2");
    gate.open();
    assert_eq!(first.bytes(3).unwrap(), b"old");

    assert_eq!(get(cluster.edge(0), "/?u=2", &[]).text(), "new");
    assert_eq!(get(cluster.edge(0), "/?u=3", &[]).text(), "new");
}

#[test]
fn requests_for_equivalent_urls_share_a_fetch() {
    let gate = Gate::default();
    let (held, count) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        if n > 1 && request.method == "GET" {
            held.pass();
        }
        reply.answer(200, &[FRESH, BUT_U], n.to_string().as_bytes())
    });
    let cluster = ClusterSpec::new(origin.address()).start();
    // what the path's responses declare is known, and there is no copy
    get(cluster.edge(0), "/?u=0", &[]);
    change(cluster.edge(0), "/?u=0");

    std::thread::scope(|scope| {
        let address = cluster.edge(0);
        let ask = move |n: usize| get(address, &format!("/?u={n}"), &[]).text();
        let asked: Vec<_> = (1..9).map(|n| scope.spawn(move || ask(n))).collect();
        eventually("the origin is asked", || origin.seen().len() == 3);
        gate.open();
        for answer in asked {
            assert_eq!(answer.join().unwrap(), "3");
        }
    });
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn who_waited_for_an_answer_that_declares_nothing_any_more_gets_its_own() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, reply| {
        if request.target.ends_with("u=0") {
            return reply.answer(200, &[FRESH, BUT_U], b"");
        }
        held.pass();
        reply.answer(200, &[FRESH], request.target.as_bytes())
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let address = cluster.edge(0);
        let first = format!("/{shields}?u=0");
        get(address, &first, &[]);
        change(address, &first);
        std::thread::scope(|scope| {
            let ask = move |n: usize| {
                let target = format!("/{shields}?u={n}");
                (get(address, &target, &[]).text(), target)
            };
            let asked: Vec<_> = (1..5).map(|n| scope.spawn(move || ask(n))).collect();
            let of_these = |target: &String| target.contains(&format!("/{shields}?u="));
            eventually("the origin is asked", || {
                origin.counts().keys().filter(|t| of_these(t)).count() > 1
            });
            gate.open();
            for answer in asked {
                let (text, target) = answer.join().unwrap();
                assert_eq!(text, target);
            }
        });
    }
}

#[test]
fn a_304_can_declare_otherwise() {
    let origin = Origin::start(|request, reply| {
        let etag = ("etag", "\"1\"");
        if request.field("if-none-match").is_some() {
            return reply.answer(304, &[FRESH, etag, (NVS, "params=(\"v\")")], b"");
        }
        reply.answer(200, &[FRESH, etag, BUT_U], request.target.as_bytes())
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let ask = |target: &str| get(cluster.edge(0), target, &[]).text();
        // by its own URL: it stays, for that
        get(cluster.edge(0), "/a?u=1", &[]);
        assert_eq!(ask("/a?u=2"), "/a?u=1");
        assert_eq!(get(cluster.edge(0), "/a?u=1", &ANEW).text(), "/a?u=1");
        assert_eq!(ask("/a?u=3"), "/a?u=3");
        assert!(get(cluster.edge(0), "/a?u=1", &[]).is_hit());
        // by another one: it goes
        get(cluster.edge(0), "/b?u=1", &[]);
        assert_eq!(get(cluster.edge(0), "/b?u=2", &ANEW).text(), "/b?u=1");
        assert_eq!(ask("/b?u=3"), "/b?u=3");
    }
}

#[test]
fn a_stale_copy_is_validated_for_whichever_of_its_urls_is_asked_for() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |request, reply| {
        let fields = [FRESH, ("etag", "\"1\""), BUT_U];
        if request.field("if-none-match").is_some() {
            return reply.answer(304, &fields, b"");
        }
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        reply.answer(200, &fields, n.to_string().as_bytes())
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let first = get(cluster.edge(0), "/?u=1", &[]).text();
        assert_eq!(get(cluster.edge(0), "/?u=2", &ANEW).text(), first);
        assert_eq!(origin.seen().last().unwrap().target, "/?u=2");
        assert_eq!(get(cluster.edge(0), "/?u=3", &[]).text(), first);
    }
}

#[test]
fn an_answer_that_declares_nothing_is_its_own_urls_alone() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |request, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        let fields = [FRESH, BUT_U];
        let told = if request.target == "/?u=2" { 1 } else { 2 };
        reply.answer(200, &fields[..told], n.to_string().as_bytes())
    });
    let cluster = ClusterSpec::new(origin.address()).start();
    let ask = |target: &str| get(cluster.edge(0), target, &[]).text();
    assert_eq!(ask("/?u=2"), "1");
    assert_eq!(ask("/?u=1"), "2");
    // its own key comes first
    assert_eq!([ask("/?u=2"), ask("/?u=3")], ["1", "2"]);
}

#[test]
fn a_change_ends_what_an_equivalent_url_is_fetched_with() {
    let (gate, changed) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (held, changes) = (gate.clone(), changed.clone());
    let origin = Origin::start(move |request, reply| {
        if request.method == "POST" {
            changes.store(true, Ordering::Release);
            return reply.answer(200, &[], b"changed");
        }
        let text = if changes.load(Ordering::Acquire) {
            "after"
        } else {
            if request.target.contains("id=5") {
                held.pass();
            }
            "before"
        };
        reply.answer(200, &[FRESH, BUT_U], text.as_bytes())
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    // from now on it is known what does not count
    get(cluster.edge(0), "/?id=1&u=0", &[]);
    let mut early = Client::connect(cluster.edge(0));
    early.request("GET", "/?id=5&u=1", &[], b"");
    eventually("it is asked for", || origin.count("/?id=5&u=1") == 1);
    let mut client = Client::connect(cluster.edge(0));
    client.request("POST", "/?id=5", &[], b"new");
    assert_eq!(client.response("POST").unwrap().text(), "changed");
    assert_eq!(get(cluster.edge(0), "/?id=5", &[]).text(), "after");
    gate.open();
    assert_eq!(early.response("GET").unwrap().text(), "before");
    assert_eq!(get(cluster.edge(0), "/?id=5&u=2", &[]).text(), "after");
}
