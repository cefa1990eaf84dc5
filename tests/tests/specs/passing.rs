//! What is not cacheable passes, streaming both ways.

use seawall_tests::client::get;
use seawall_tests::{Client, Cluster, ClusterSpec, Gate, Origin, Then, eventually};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_post_reaches_the_origin_with_its_body_and_its_answer_comes_back() {
    let origin = Origin::start(|request, reply| {
        reply.answer(
            201,
            &[("x-len", &request.body.len().to_string())],
            &request.body,
        )
    });
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));
    let body = vec![9; 3_000_000];

    client.request("POST", "/form", &[], &body);
    let counted = client.response("POST").unwrap();
    client.send(
        b"PUT /form HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let chunked = client.response("PUT").unwrap();

    assert!((counted.status, &counted.body) == (201, &body));
    assert_eq!(chunked.text(), "abc");
    assert!(chunked.edge_status().contains("fwd=method"), "{chunked:?}");
}

#[test]
fn a_body_streams_to_the_origin_before_it_is_complete_and_an_answer_before_it_ends() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        held.pass();
        reply.raw(b"4\r\nlast\r\n0\r\n\r\n");
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));

    client.request("POST", "/", &[], b"x");
    client.head().unwrap();
    assert_eq!(client.bytes(10).unwrap(), b"5\r\nfirst\r\n");
    gate.open();
    assert_eq!(client.bytes(9).unwrap(), b"4\r\nlast\r\n");
}

#[test]
fn a_body_beyond_the_limit_is_refused_with_413() {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b""));
    let cluster = ClusterSpec::new(origin.address())
        .service(|s| s.limits.request_body_bytes_max = 1000)
        .start();

    let mut announced = Client::connect(cluster.edge(0));
    announced.request("POST", "/", &[], &[1; 1001]);
    assert_eq!(announced.response("POST").unwrap().status, 413);

    let mut chunked = Client::connect(cluster.edge(0));
    chunked.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n800\r\n");
    let _ = chunked.try_send(&[b'x'; 2048]);
    assert_eq!(chunked.response("POST").unwrap().status, 413);
}

#[test]
fn continue_is_sent_when_the_body_is_wanted() {
    let origin = Origin::start(|request, reply| reply.answer(200, &[], &request.body));
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));

    client.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.head().unwrap().0, 100);
    client.send(b"abc");

    assert_eq!(client.response("POST").unwrap().text(), "abc");
}

#[test]
fn a_websocket_passes_through_edge_and_shield() {
    let origin = Origin::start(|request, reply| {
        assert_eq!(request.field("upgrade"), Some("websocket"));
        reply.raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n");
        let mut part = [0; 4];
        while reply.stream().read_exact(&mut part).is_ok() {
            part.make_ascii_uppercase();
            if reply.stream().write_all(&part).is_err() {
                break;
            }
        }
        Then::Close
    });
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));

    client.send(b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n");
    let (status, fields) = client.head().unwrap();

    assert_eq!(status, 101);
    assert!(
        fields
            .iter()
            .any(|(n, v)| n == "upgrade" && v == "websocket"),
        "{fields:?}"
    );
    for _ in 0..3 {
        client.send(b"ping");
        assert_eq!(client.bytes(4).unwrap(), b"PING");
    }
}

#[test]
fn early_hints_reach_the_client_also_on_a_cacheable_miss() {
    let origin = Origin::start(|_, reply| {
        reply.raw(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 1\r\n\r\nx");
        Then::Keep
    });
    let cluster = Cluster::of(&origin);

    let miss = get(cluster.edge(0), "/", &[]);
    let hit = get(cluster.edge(0), "/", &[]);

    assert_eq!(
        (miss.interim.as_slice(), miss.text().as_str()),
        (&[103][..], "x")
    );
    assert!(hit.is_hit() && hit.interim.is_empty());
}

#[test]
fn a_change_also_ends_what_is_fetched_meanwhile_by_one_whom_nobody_joins() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, reply| {
        let field = |name| request.field(name).is_some();
        if request.method == "POST" {
            return reply.answer(200, &[], b"changed");
        }
        if field("x-first") {
            return reply.answer(200, &[("cache-control", "no-store")], b"own");
        }
        reply
            .raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: 6\r\n\r\nbef");
        if field("x-slow") {
            held.pass();
        }
        reply.raw(b"ore");
        Then::Keep
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    // from now on each asks for itself
    get(cluster.edge(0), "/", &[("x-first", "1")]);
    let mut slow = Client::connect(cluster.edge(0));
    slow.request("GET", "/", &[("x-slow", "1")], b"");
    assert_eq!(slow.head().unwrap().0, 200);

    let mut changes = Client::connect(cluster.edge(0));
    changes.request("POST", "/", &[], b"new");
    assert_eq!(changes.response("POST").unwrap().text(), "changed");
    gate.open();
    assert_eq!(slow.bytes(6).unwrap(), b"before");

    // what was asked for before the change is not what the next one gets from the cache
    let next = get(cluster.edge(0), "/", &[]);
    assert!(!next.is_hit(), "{next:?}");
    assert_eq!(origin.count("/"), 4);
}

#[test]
fn a_change_ends_what_was_asked_for_before_it_and_has_no_head_yet() {
    for shields in [0, 1] {
        let (gate, changed) = (Gate::default(), Arc::new(AtomicBool::new(false)));
        let (held, changes) = (gate.clone(), changed.clone());
        let origin = Origin::start(move |request, reply| {
            if request.method == "POST" {
                changes.store(true, Ordering::Release);
                return reply.answer(200, &[], b"changed");
            }
            if changes.load(Ordering::Acquire) {
                return reply.fresh(b"after");
            }
            held.pass();
            reply.fresh(b"before")
        });
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let mut early = Client::connect(cluster.edge(0));
        early.request("GET", "/", &[], b"");
        eventually("it is asked for", || origin.count("/") == 1);
        let mut changer = Client::connect(cluster.edge(0));
        changer.request("POST", "/", &[], b"new");
        assert_eq!(changer.response("POST").unwrap().text(), "changed");
        // who asks from now on does not wait for what was asked for before
        assert_eq!(get(cluster.edge(0), "/", &[]).text(), "after");
        gate.open();
        assert_eq!(early.response("GET").unwrap().text(), "before");
        let next = get(cluster.edge(0), "/", &[]);
        assert_eq!(next.text(), "after");
        assert!(next.is_hit());
    }
}
