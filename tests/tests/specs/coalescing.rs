//! One fetch for many, and nobody harmed by another.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{
    Client, Cluster, ClusterSpec, Fleet, FleetSpec, Gate, Origin, Then, eventually,
};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Asks from so many connections at once; all answers.
fn all_get(n: usize, edges: &[SocketAddr], target: &str) -> Vec<seawall_tests::Response> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..n)
            .map(|i| {
                let edge = edges[i % edges.len()];
                scope.spawn(move || get(edge, target, &[]))
            })
            .collect();
        asked.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

#[test]
fn two_hundred_clients_of_one_cold_url_cost_one_fetch_at_an_edge() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        held.pass();
        reply.fresh(&[7; 5000])
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();

    let answers = std::thread::scope(|scope| {
        let edge = [cluster.edge(0)];
        let asked = scope.spawn(move || all_get(200, &edge, "/cold"));
        eventually("the origin is asked", || origin.count("/cold") > 0);
        gate.open();
        asked.join().unwrap()
    });

    assert!(
        answers
            .iter()
            .all(|a| a.status == 200 && a.body == [7; 5000])
    );
    assert_eq!(origin.count("/cold"), 1);
}

#[test]
fn two_hundred_clients_of_two_edges_cost_one_fetch_at_the_shield() {
    let origin = Origin::start(|_, reply| reply.fresh(b"once"));
    let cluster = ClusterSpec::new(origin.address()).edges(2).start();

    let answers = all_get(200, &[cluster.edge(0), cluster.edge(1)], "/cold");

    assert!(answers.iter().all(|a| a.text() == "once"));
    assert_eq!(origin.count("/cold"), 1);
}

#[test]
fn who_joins_a_slow_fill_gets_bytes_at_once_and_the_rest_as_it_comes() {
    const HALF: usize = 10 << 20;
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: {}\r\n\r\n",
            2 * HALF
        );
        reply.raw(head.as_bytes());
        reply.raw(&vec![1; HALF]);
        held.pass();
        reply.raw(&vec![2; HALF]);
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    let mut first = Client::connect(cluster.edge(0));
    first.request("GET", "/slow", &[], b"");
    assert_eq!(first.head().unwrap().0, 200);

    let mut joiner = Client::connect(cluster.edge(0));
    joiner.request("GET", "/slow", &[], b"");
    let (status, fields) = joiner.head().unwrap();
    let early = joiner.bytes(HALF).unwrap();
    gate.open();
    let late = joiner.bytes(HALF).unwrap();

    assert_eq!(status, 200);
    assert!(
        fields
            .iter()
            .any(|(n, v)| n == "cache-status" && v.contains("collapsed")),
        "{fields:?}"
    );
    assert!(early.iter().all(|b| *b == 1) && late.iter().all(|b| *b == 2));
    assert_eq!(first.bytes(2 * HALF).unwrap().len(), 2 * HALF);
    assert_eq!(origin.count("/slow"), 1);
}

#[test]
fn a_fill_outlives_the_client_that_began_it() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 8\r\n\r\nhalf");
        held.pass();
        reply.raw(b"half");
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    let mut first = Client::connect(cluster.edge(0));
    first.request("GET", "/", &[], b"");
    assert_eq!(first.head().unwrap().0, 200);

    drop(first);
    let mut second = Client::connect(cluster.edge(0));
    second.request("GET", "/", &[], b"");
    second.head().unwrap();
    gate.open();

    assert_eq!(second.bytes(8).unwrap(), b"halfhalf");
    // the last byte is read a moment before the copy is stored; who asks in between shares the fill
    eventually("the copy is stored", || {
        get(cluster.edge(0), "/", &[]).is_hit()
    });
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn nobody_queues_behind_an_answer_that_may_not_be_shared() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let gate = Gate::default();
    let (now, max, held) = (running.clone(), most.clone(), gate.clone());
    let origin = Origin::start(move |request, reply| {
        if request.target == "/known" {
            max.fetch_max(now.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
            if request.field("x-round").is_some() {
                held.pass();
            }
            now.fetch_sub(1, Ordering::AcqRel);
        }
        reply.answer(200, &[("cache-control", "no-store")], b"own")
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/known", &[]);

    let edge = cluster.edge(0);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|_| scope.spawn(move || get(edge, "/known", &[("x-round", "2")])))
            .collect();
        eventually("all twenty ask at the same time", || {
            running.load(Ordering::Acquire) == 20
        });
        gate.open();
        assert!(asked.into_iter().all(|t| t.join().unwrap().text() == "own"));
    });

    assert_eq!(most.load(Ordering::Acquire), 20);
}

#[test]
fn clients_that_wait_for_another_variant_get_their_own() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, reply| {
        held.pass();
        let language = request
            .field("accept-language")
            .unwrap_or("none")
            .to_owned();
        reply.answer(
            200,
            &[("cache-control", "max-age=60"), ("vary", "accept-language")],
            language.as_bytes(),
        )
    });
    let cluster = Cluster::of(&origin);
    let edge = cluster.edge(0);

    std::thread::scope(|scope| {
        let languages = ["de", "fr", "it", "en"];
        let asked: Vec<_> = (0..40)
            .map(|i| {
                let language = languages[i % 4];
                scope.spawn(move || (language, get(edge, "/", &[("accept-language", language)])))
            })
            .collect();
        eventually("the origin is asked", || origin.count("/") > 0);
        gate.open();
        for asked in asked {
            let (language, answer) = asked.join().unwrap();
            assert_eq!(answer.text(), language);
        }
    });

    assert_eq!(origin.count("/"), 4);
}

#[test]
fn a_reader_that_stops_reading_harms_nobody_and_costs_a_bounded_window() {
    const LENGTH: usize = 64 << 20;
    let origin = Origin::start(|_, reply| {
        // no freshness: it passes through the window and is not kept
        let head = format!(
            "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: {LENGTH}\r\n\r\n"
        );
        reply.raw(head.as_bytes());
        let piece = vec![3; 1 << 20];
        (0..64).for_each(|_| reply.raw(&piece));
        Then::Keep
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    let mut stalled = Client::connect(cluster.edge(0));
    stalled.request("GET", "/big", &[], b"");
    stalled.head().unwrap();

    let other = get(cluster.edge(0), "/big", &[]);
    let metrics = cluster.metrics(0);

    assert_eq!(other.body.len(), LENGTH);
    let held = metric(&metrics, "seawall_fill_bytes", &[]);
    assert!(held < 8_000_000, "{held}");
}

#[test]
fn all_who_wait_for_a_validation_that_finds_another_version_share_one_fetch_of_it() {
    const CLIENTS: usize = 20;
    const FRESH: (&str, &str) = ("cache-control", "max-age=3600");
    let gate = Gate::default();
    let (held, plain) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, reply| {
        let next = [FRESH, ("etag", "\"2\"")];
        if request.field("if-none-match").is_some() {
            held.pass();
            // it should have sent the other version
            return reply.answer(304, &next, b"");
        }
        if plain.fetch_add(1, Ordering::AcqRel) == 0 {
            return reply.answer(200, &[FRESH, ("etag", "\"1\"")], b"one");
        }
        reply.answer(200, &next, b"two")
    });
    let spec = FleetSpec {
        shields: 0,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    get(fleet.edge(0), "/", &[]);
    fleet.purge_everywhere(json!({ "everything": true, "soft": true }));

    let answers = std::thread::scope(|scope| {
        let edge = [fleet.edge(0)];
        let asked = scope.spawn(move || all_get(CLIENTS, &edge, "/"));
        eventually("the origin is asked", || origin.count("/") == 2);
        gate.open();
        asked.join().unwrap()
    });

    assert!(answers.iter().all(|a| a.text() == "two"), "{answers:?}");
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    assert_eq!(origin.count("/"), 3);
}

/// RFC 9111 §4.1
#[test]
fn who_asks_for_a_varying_response_while_it_comes_shares_its_fetch() {
    let gate = Gate::default();
    let door = gate.clone();
    let origin = Origin::start(move |request, reply| {
        let language = request.field("accept-language").unwrap_or_default();
        reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\nvary: accept-language\r\ncontent-length: 4\r\n\r\n");
        reply.raw(language.as_bytes());
        if language == "de" {
            door.pass();
        }
        reply.raw(b"..");
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    let ask = |language| {
        let mut client = Client::connect(cluster.edge(0));
        client.request("GET", "/", &[("accept-language", language)], b"");
        client.head().expect("a head");
        client
    };

    let mut first = ask("de");
    let mut joined: Vec<Client> = (0..3).map(|_| ask("de")).collect();
    let mut other = ask("fr");
    assert_eq!(other.bytes(4).unwrap(), b"fr..");
    assert_eq!(origin.count("/"), 2);
    gate.open();

    for client in joined.iter_mut().chain([&mut first]) {
        assert_eq!(client.bytes(4).unwrap(), b"de..");
    }
    assert!(get(cluster.edge(0), "/", &[("accept-language", "de")]).is_hit());
    assert_eq!(origin.count("/"), 2);
}
