//! Origins, shields and clients that fail.

use seawall_service_model::HostPattern;
use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{Client, Cluster, ClusterSpec, Gate, Origin, PATIENCE, Then, eventually};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// An address that nobody listens on.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn an_origin_that_is_down_is_a_502_that_names_the_phase() {
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(nobody()).shields(shields).start();
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(answer.text().contains("phase connect"), "{answer:?}");
    }
}

#[test]
fn an_origin_that_is_slow_is_a_504_that_names_the_phase() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        held.pass();
        reply.fresh(b"late")
    });
    let cluster = ClusterSpec::new(origin.address())
        .service(|s| s.timeouts.read = Duration::from_millis(200))
        .shields(0)
        .start();

    let answer = get(cluster.edge(0), "/", &[]);
    gate.open();

    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.text().contains("phase response head"), "{answer:?}");
}

#[test]
fn a_truncated_answer_is_seen_as_such_and_never_kept() {
    let cut: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nsho",
    ];
    for bytes in cut {
        let origin = Origin::start(move |_, reply| {
            reply.raw(bytes);
            Then::Close
        });
        let cluster = Cluster::of(&origin);
        for _ in 0..2 {
            let mut client = Client::connect(cluster.edge(0));
            client.request("GET", "/", &[], b"");
            let answer = client.response("GET");
            assert!(
                answer.as_ref().is_err() || answer.as_ref().is_ok_and(|a| a.status == 502),
                "{answer:?}"
            );
        }
        assert!(origin.count("/") >= 2, "a truncated object was kept");
    }
}

#[test]
fn a_body_that_is_broken_from_its_start_is_a_502_and_never_kept() {
    let heads: [(&str, &[u8]); 6] = [
        ("no chunk", b"transfer-encoding: chunked\r\n\r\n"),
        (
            "no size",
            b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "negative size",
            b"transfer-encoding: chunked\r\n\r\n-1\r\na\r\n",
        ),
        (
            "huge size",
            b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n",
        ),
        ("half a size", b"transfer-encoding: chunked\r\n\r\n5"),
        ("nothing of a length", b"content-length: 5\r\n\r\n"),
    ];
    for (id, bytes) in heads {
        let origin = Origin::start(move |_, reply| {
            reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n");
            reply.raw(bytes);
            Then::Close
        });
        for shields in [0, 1] {
            let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
            for (method, body) in [("GET", &b""[..]), ("GET", b""), ("DELETE", b"")] {
                let mut client = Client::connect(cluster.edge(0));
                client.request(method, "/", &[], body);
                let answer = client.response(method).expect(id);
                assert_eq!(answer.status, 502, "{id}: {answer:?}");
                assert!(
                    answer.text().contains("phase response body"),
                    "{id}: {answer:?}"
                );
                assert_eq!(answer.field("cache-control"), Some("no-store"), "{id}");
            }
        }
    }
}

#[test]
fn a_copy_that_may_be_used_on_errors_answers_for_a_body_that_is_broken_from_its_start() {
    let origin = Origin::start(|request, reply| {
        if request.field("if-none-match").is_some() {
            reply.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
            return Then::Close;
        }
        let control = "max-age=60, stale-if-error=600";
        let fields = [
            ("cache-control", control),
            ("age", "100"),
            ("etag", "\"v\""),
        ];
        reply.answer(200, &fields, b"old")
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for _ in 0..3 {
            let answer = get(cluster.edge(0), "/", &[]);
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "old"),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn a_head_does_not_wait_for_a_body_that_takes_its_time() {
    for shields in [0, 1] {
        let gate = Gate::default();
        let held = gate.clone();
        let origin = Origin::start(move |request, reply| {
            let kind = if request.target == "/events" {
                "text/event-stream"
            } else {
                "text/plain"
            };
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 4\r\n\r\n");
            reply.raw(head.as_bytes());
            held.pass();
            reply.raw(b"late");
            Then::Keep
        });
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let ask = |method, target| {
            let mut client = Client::connect(cluster.edge(0));
            client.request(method, target, &[], b"");
            assert_eq!(client.head().unwrap().0, 200, "{method} {target}");
            client
        };
        let waiting = [
            ask("GET", "/"),
            ask("DELETE", "/"),
            ask("GET", "/events"),
            ask("DELETE", "/events"),
        ];
        gate.open();
        for mut client in waiting {
            assert_eq!(client.bytes(4).unwrap(), b"late");
        }
    }
}

#[test]
fn an_answer_without_a_body_does_not_wait_for_one() {
    let origin = Origin::start(|request, reply| {
        let (status, length) = match request.target.as_str() {
            "/none" => (204, ""),
            "/empty" => (200, "content-length: 0\r\n"),
            _ => (200, "content-length: 5\r\n"),
        };
        reply.raw(format!("HTTP/1.1 {status} x\r\n{length}\r\n").as_bytes());
        Then::Keep
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    let began = std::time::Instant::now();
    for _ in 0..10 {
        let mut client = Client::connect(cluster.edge(0));
        for (method, target) in [
            ("HEAD", "/head"),
            ("GET", "/none"),
            ("GET", "/empty"),
            ("DELETE", "/none"),
            ("DELETE", "/empty"),
        ] {
            client.request(method, target, &[], b"");
            let status = client.response(method).unwrap().status;
            assert!(matches!(status, 200 | 204), "{method} {target}");
        }
    }
    // one that waited for a body each time would take half a second for each
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_answer_that_ends_with_its_connection_passes_and_is_not_kept() {
    let origin = Origin::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nuntil the end");
        Then::Close
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for _ in 0..2 {
            let answer = get(cluster.edge(0), "/", &[]);
            assert_eq!(answer.text(), "until the end");
            assert!(
                !answer.field("cache-status").unwrap().contains("hit"),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn an_answer_that_could_be_read_in_two_ways_is_a_502_and_never_kept() {
    // both framings at once is no such answer: chunked wins and Content-Length goes (RFC 9112 §6.3)
    let heads: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"this is no answer\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken field\r\n\r\n",
    ];
    for bytes in heads {
        let origin = Origin::start(move |_, reply| {
            reply.raw(bytes);
            Then::Close
        });
        let cluster = Cluster::of(&origin);
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(
            answer.status,
            502,
            "{} {answer:?}",
            String::from_utf8_lossy(bytes)
        );
        assert!(answer.text().contains("response head"), "{answer:?}");
    }
}

#[test]
fn an_origin_that_sends_more_than_it_said_does_not_get_it_through() {
    let origin = Origin::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    for target in ["/a", "/b", "/a", "/c"] {
        assert_eq!(get(cluster.edge(0), target, &[]).text(), "abc", "{target}");
    }
}

#[test]
fn a_get_is_tried_again_when_a_pooled_connection_was_closed_and_a_post_is_not_sent_twice() {
    let origin = Origin::start(|request, reply| {
        if request.method == "POST" && request.target == "/lost" {
            return Then::Close;
        }
        reply.fresh(b"x");
        // kept by the other side as reusable, and gone
        Then::Close
    });
    let cluster = Cluster::of(&origin);

    for i in 0..5 {
        assert_eq!(get(cluster.edge(0), &format!("/{i}"), &[]).status, 200);
    }
    // by nodes that have no pooled connection yet: on one that is gone it could have come to nobody
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));
    client.request("POST", "/lost", &[], b"once");
    assert_eq!(client.response("POST").unwrap().status, 502);
    assert_eq!(origin.count("/lost"), 1);
}

#[test]
fn an_unknown_host_is_a_421_with_a_reason() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = ClusterSpec::new(origin.address())
        .service(|s| s.hosts = vec!["known.example".parse::<HostPattern>().unwrap()])
        .start();

    let unknown = get(cluster.edge(0), "/", &[("host", "other.example")]);
    let known = get(cluster.edge(0), "/", &[("host", "KNOWN.example:99")]);

    assert_eq!(unknown.status, 421);
    assert!(unknown.text().contains("other.example"), "{unknown:?}");
    assert_eq!(known.status, 200);
}

#[test]
fn the_next_shield_answers_for_one_that_is_gone() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let mut cluster = ClusterSpec::new(origin.address()).shields(3).start();
    cluster.stop_shield(0);
    cluster.stop_shield(1);

    for i in 0..30 {
        assert_eq!(get(cluster.edge(0), &format!("/{i}"), &[]).status, 200);
    }
}

#[test]
fn a_thousand_idle_slow_and_resetting_clients_harm_nobody() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let edge = cluster.edge(0);
    let mut held = Vec::new();
    for i in 0..1000 {
        let stream = TcpStream::connect(edge).unwrap();
        let mut client = Client::connect(edge);
        match i % 3 {
            0 => held.push((stream, client)),
            1 => {
                client.send(b"GET /slow HTT");
                held.push((stream, client));
            }
            // asks, and goes away without reading
            _ => client.request("GET", "/reset", &[], b""),
        }
    }

    for _ in 0..50 {
        assert_eq!(get(edge, "/good", &[]).status, 200);
    }
    drop(held);
    eventually("their connections are gone", || {
        metric(&cluster.metrics(0), "seawall_connections_open", &[]) == 0
    });
}

#[test]
fn a_drain_ends_idle_connections_at_once_and_finishes_what_runs() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, reply| {
        if request.target == "/slow" {
            held.pass();
        }
        reply.fresh(b"whole")
    });
    let mut cluster = Cluster::of(&origin);
    let mut idle = Client::connect(cluster.edge(0));
    idle.get("/", &[]);
    let mut busy = Client::connect(cluster.edge(0));
    busy.request("GET", "/slow", &[], b"");
    eventually("the origin is asked", || origin.count("/slow") > 0);

    let (answer, finished) = std::thread::scope(|scope| {
        let draining = scope.spawn(|| cluster.drain_edges(PATIENCE));
        assert!(idle.is_closed());
        gate.open();
        (busy.response("GET").unwrap(), draining.join().unwrap())
    });

    assert_eq!(answer.text(), "whole");
    assert!(finished);
}

#[test]
fn the_admin_listener_tells_health_readiness_and_metrics() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    assert_eq!(get(cluster.admin(0), "/healthz", &[]).status, 200);
    assert_eq!(get(cluster.admin(0), "/readyz", &[]).text(), "ready\n");
    let metrics = get(cluster.admin(0), "/metrics", &[]).text();
    let labels = ["outcome=\"miss\"", "node=\"edge-0\"", "node_kind=\"edge\""];
    assert_eq!(
        metric(&metrics, "seawall_requests_total", &labels),
        1,
        "{metrics}"
    );
}
