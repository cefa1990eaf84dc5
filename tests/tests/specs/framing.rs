//! Pipelining, and requests that are none.

use seawall_tests::client::{get, request};
use seawall_tests::{Client, Cluster, ClusterSpec, Origin};
use std::time::Duration;

#[test]
fn hits_and_misses_of_one_pipeline_are_answered_in_order() {
    let origin = Origin::start(|request, reply| reply.fresh(request.target.as_bytes()));
    let cluster = Cluster::of(&origin);
    for target in ["/hit1", "/hit2"] {
        get(cluster.edge(0), target, &[]);
    }
    let targets = [
        "/hit1", "/miss1", "/hit2", "/hit1", "/miss2", "/miss1", "/hit2",
    ];
    let bytes: Vec<u8> = targets
        .iter()
        .flat_map(|t| request("GET", t, &[], b""))
        .collect();

    let mut whole = Client::connect(cluster.edge(0));
    whole.send(&bytes);
    let mut pieces = Client::connect(cluster.edge(0));
    for byte in &bytes {
        pieces.send(&[*byte]);
    }

    for client in [&mut whole, &mut pieces] {
        for target in targets {
            assert_eq!(client.response("GET").unwrap().text(), target);
        }
    }
}

#[test]
fn a_client_that_has_finished_sending_gets_its_answer() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));

    client.request("GET", "/", &[], b"");
    client.shutdown_write();

    assert_eq!(client.response("GET").unwrap().text(), "x");
    assert!(client.is_closed());
}

/// Sent as it stands; answered with `status` and closed; the origin never asked.
fn refused(rows: &[(&str, &str, u16)]) {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"must not be"));
    let cluster = Cluster::of(&origin);
    for (what, bytes, status) in rows {
        let mut client = Client::connect(cluster.edge(0));
        client.send(bytes.as_bytes());
        client.shutdown_write();
        let answer = client
            .response("GET")
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(answer.status, *status, "{what}: {answer:?}");
        assert!(answer.text().starts_with("seawall: "), "{what}: {answer:?}");
        assert!(client.is_closed(), "{what}: still open");
    }
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
}

#[test]
fn a_head_that_could_be_read_in_two_ways_is_refused() {
    refused(&[
        ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
        ("empty host", "GET / HTTP/1.1\r\nhost:\r\n\r\n", 400),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            400,
        ),
        (
            "a list of hosts",
            "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
            400,
        ),
        (
            "host with a path",
            "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
            400,
        ),
        (
            "host with a user",
            "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n",
            400,
        ),
        (
            "host with a bad port",
            "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n",
            400,
        ),
        (
            "host against the target",
            "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
            400,
        ),
        (
            "user in the target",
            "GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
            400,
        ),
        (
            "space in the target",
            "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
            400,
        ),
        (
            "NUL in the target",
            "GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
            400,
        ),
        (
            "fragment in the target",
            "GET /#f HTTP/1.1\r\nhost: a\r\n\r\n",
            400,
        ),
        (
            "target without a slash",
            "GET a HTTP/1.1\r\nhost: a\r\n\r\n",
            400,
        ),
        ("star with GET", "GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("bare LF", "GET / HTTP/1.1\nhost: a\r\n\r\n", 400),
        ("bare LF at the end", "GET / HTTP/1.1\r\nhost: a\r\n\n", 400),
        ("bare CR", "GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n", 400),
        (
            "folded line",
            "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n",
            400,
        ),
        (
            "space before colon",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            400,
        ),
        (
            "bad field name",
            "GET / HTTP/1.1\r\nhost: a\r\nx(y): 1\r\n\r\n",
            400,
        ),
        (
            "NUL in a value",
            "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
            400,
        ),
        (
            "no field name",
            "GET / HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n",
            400,
        ),
        ("bad method", "G(T / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("no version", "GET /\r\nhost: a\r\n\r\n", 400),
        ("another version", "GET / HTTP/3.0\r\nhost: a\r\n\r\n", 505),
        ("cut short", "GET / HTTP/1.1\r\nho", 400),
        (
            "another expectation",
            "GET / HTTP/1.1\r\nhost: a\r\nexpect: tea\r\n\r\n",
            417,
        ),
        (
            "connect",
            "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
            405,
        ),
    ]);
}

#[test]
fn a_body_that_could_be_read_in_two_ways_is_refused() {
    refused(&[
        (
            "both framings",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            400,
        ),
        (
            "a list of lengths",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc",
            400,
        ),
        (
            "a signed length",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
            400,
        ),
        (
            "a hexadecimal length",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x3\r\n\r\nabc",
            400,
        ),
        (
            "a length too long",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n",
            400,
        ),
        (
            "an unknown coding",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "chunked not last",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "chunked twice",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "chunked in 1.0",
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "a misspelt coding",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
            400,
        ),
    ]);
}

#[test]
fn a_chunk_that_could_be_read_in_two_ways_ends_the_request() {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"must not be"));
    let cluster = Cluster::of(&origin);
    for (what, body) in [
        ("no size", "\r\n\r\n"),
        ("no hexadecimal", "g\r\n\r\n0\r\n\r\n"),
        ("a sign", "+3\r\nabc\r\n0\r\n\r\n"),
        ("a prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("white space behind", "3 \r\nabc\r\n0\r\n\r\n"),
        ("too large", "ffffffffffffffffff\r\nabc\r\n"),
        ("longer than its size", "2\r\nabc\r\n0\r\n\r\n"),
        ("bare LF", "3\nabc\r\n0\r\n\r\n"),
        ("a bare semicolon", "3;\r\nabc\r\n0\r\n\r\n"),
        ("a bad extension", "3;a=b c\r\nabc\r\n0\r\n\r\n"),
        ("a bad trailer", "0\r\nno colon\r\n\r\n"),
    ] {
        let mut client = Client::connect(cluster.edge(0));
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        client.send(body.as_bytes());
        let answer = client
            .response("POST")
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(client.is_closed(), "{what}: still open");
    }
    let complete: Vec<_> = origin.seen();
    assert!(complete.is_empty(), "{complete:?}");
}

#[test]
fn what_is_unusual_and_legal_is_served() {
    let origin = Origin::start(|request, reply| reply.answer(200, &[], request.target.as_bytes()));
    let cluster = Cluster::of(&origin);
    for (what, bytes, expect) in [
        (
            "an empty line before",
            "\r\nGET /a HTTP/1.1\r\nhost: a\r\n\r\n",
            "/a",
        ),
        (
            "absolute form",
            "GET http://A:80/a?b HTTP/1.1\r\nhost: a\r\n\r\n",
            "/a?b",
        ),
        (
            "absolute form without a path",
            "GET http://a HTTP/1.1\r\nhost: a\r\n\r\n",
            "/",
        ),
        (
            "an IPv6 host",
            "GET /a HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n",
            "/a",
        ),
        (
            "no space behind the colon",
            "GET /a HTTP/1.1\r\nhost:a\r\n\r\n",
            "/a",
        ),
        (
            "a quoted extension",
            "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n1;a=\"b;c\";d\r\nx\r\n0\r\nt: 1\r\n\r\n",
            "/a",
        ),
    ] {
        let mut client = Client::connect(cluster.edge(0));
        client.send(bytes.as_bytes());
        let answer = client
            .response("GET")
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, expect),
            "{what}"
        );
    }
}

#[test]
fn http_1_0_goes_on_only_where_both_say_so() {
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);

    let mut keeps = Client::connect(cluster.edge(0));
    for _ in 0..2 {
        keeps.send(b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
        let answer = keeps.response("GET").unwrap();
        assert_eq!(
            (answer.text().as_str(), answer.field("connection")),
            ("x", Some("keep-alive"))
        );
    }
    let mut closes = Client::connect(cluster.edge(0));
    closes.send(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    assert_eq!(
        closes.response("GET").unwrap().field("connection"),
        Some("close")
    );
    assert!(closes.is_closed());
}

#[test]
fn each_part_of_a_head_has_its_own_bound() {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let cluster = Cluster::of(&origin);
    let long = "x".repeat(20_000);
    let many = "x: y\r\n".repeat(200);
    refuse_one(
        &cluster,
        &format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
        414,
    );
    refuse_one(
        &cluster,
        &format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}{long}\r\n\r\n"),
        431,
    );
    refuse_one(
        &cluster,
        &format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
        431,
    );
}

fn refuse_one(cluster: &Cluster, bytes: &str, status: u16) {
    let mut client = Client::connect(cluster.edge(0));
    client.send(bytes.as_bytes());
    assert_eq!(client.response("GET").unwrap().status, status);
    assert!(client.is_closed());
}

#[test]
fn slow_heads_and_bodies_are_timed_out() {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let cluster = ClusterSpec::new(origin.address())
        .conn(|conn| {
            conn.head_timeout = Duration::from_millis(100);
            conn.body_timeout = Duration::from_millis(100);
            conn.idle_timeout = Duration::from_millis(100);
        })
        .start();

    let mut head = Client::connect(cluster.edge(0));
    head.send(b"GET / HT");
    assert_eq!(head.response("GET").unwrap().status, 408);

    let mut body = Client::connect(cluster.edge(0));
    body.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab");
    assert_eq!(body.response("POST").unwrap().status, 408);

    let mut idle = Client::connect(cluster.edge(0));
    idle.get("/", &[]);
    assert!(idle.is_closed());
}
