//! What answers look like in frames, and how a connection ends in good order.

use super::client::{Conn, Event};
use super::frame::{code, flag, get, get_path, headers, kind, request};
use seawall_tests::{Cluster, Gate, Origin, PATIENCE, eventually};

#[test]
fn every_request_of_one_write_is_answered() {
    // RFC 9113 §5: hits and misses among each other
    let origin = Origin::start(|request, reply| reply.fresh(request.target.as_bytes()));
    let cluster = Cluster::of(&origin);
    for n in (0..100).step_by(2) {
        seawall_tests::client::get(cluster.edge(0), &format!("/{n}"), &[]);
    }
    let mut conn = Conn::open(cluster.edge(0));
    for round in 0..3 {
        let stream = |n: u32| 2 * (100 * round + n) + 1;
        let all: Vec<u8> = (0..100)
            .flat_map(|n| get_path(stream(n), &format!("/{n}")))
            .collect();
        conn.send(&all);
        for n in 0..100 {
            let answer = conn.answer(stream(n));
            assert_eq!((answer.status, answer.text()), (200, format!("/{n}")));
            assert_eq!(
                answer.field("content-length"),
                Some(&*answer.body.len().to_string())
            );
        }
    }
    assert!((0..100).all(|n| origin.count(&format!("/{n}")) == 1));
}

#[test]
fn an_answer_without_a_body_has_no_data() {
    // RFC 9110 §6.4.1, RFC 9113 §8.1: END_STREAM on the head, or on an empty frame
    let origin = Origin::start(|request, reply| {
        let fields = [("etag", "\"e\""), ("cache-control", "max-age=3600")];
        match request.target.as_str() {
            "/204" => {
                reply.raw(b"HTTP/1.1 204 x\r\ncache-control: max-age=3600\r\n\r\n");
                seawall_tests::Then::Keep
            }
            "/empty" => reply.answer(200, &fields, b""),
            "/pass" => reply.answer(200, &[("cache-control", "no-store")], b"hello"),
            _ => reply.answer(200, &fields, b"hello"),
        }
    });
    let cluster = Cluster::of(&origin);
    // method, path, condition, status, length
    let matched = Some(("if-none-match", "\"e\""));
    let rows = [
        ("GET", "/204", None, 204, None),
        ("GET", "/empty", None, 200, Some("0")),
        ("HEAD", "/full", None, 200, Some("5")),
        ("HEAD", "/pass", None, 200, Some("5")),
        ("GET", "/full", matched, 304, None),
        ("HEAD", "/full", matched, 304, None),
        ("HEAD", "/empty", None, 200, Some("0")),
    ];
    let mut conn = Conn::open(cluster.edge(0));
    for round in 0..3 {
        for (index, (method, path, condition, status, length)) in rows.into_iter().enumerate() {
            let fields: Vec<_> = condition.into_iter().collect();
            let stream = 2 * (rows.len() * round + index) as u32 + 1;
            conn.send(&headers(stream, flag::ALL, &request(method, path, &fields)));
            let answer = conn.answer(stream);
            let what = format!("{method} {path} {fields:?}, round {round}: {answer:?}");
            assert!(answer.ended && answer.body.is_empty(), "{what}");
            assert_eq!(answer.status, status, "{what}");
            if length.is_some() {
                assert_eq!(answer.field("content-length"), length, "{what}");
            }
        }
    }
}

#[test]
fn fields_of_answers_are_as_http2_wants_them() {
    // RFC 9113 §8.2, §8.3.2
    let origin = Origin::start(|request, reply| {
        let fields = [
            ("X-Upper-Case", "Kept As It Is"),
            ("Connection", "x-hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=9"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            (
                "Cache-Control",
                if request.target == "/pass" {
                    "no-store"
                } else {
                    "max-age=3600"
                },
            ),
        ];
        reply.answer(200, &fields, b"x")
    });
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    for (stream, path) in [(1, "/pass"), (3, "/hit"), (5, "/hit")] {
        conn.send(&get_path(stream, path));
        let answer = conn.answer(stream);
        assert_eq!(answer.fields[0].0, ":status", "{answer:?}");
        for (name, _) in &answer.fields[1..] {
            assert!(!name.starts_with(':'), "{answer:?}");
            assert_eq!(*name, name.to_ascii_lowercase());
            let of_connection = ["connection", "x-hop", "keep-alive", "transfer-encoding"];
            assert!(!of_connection.contains(&name.as_str()), "{answer:?}");
        }
        assert_eq!(answer.field("x-upper-case"), Some("Kept As It Is"));
        let cookies = answer
            .fields
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        assert_eq!(cookies.count(), 2, "{answer:?}");
    }
}

#[test]
fn fields_that_fill_more_than_a_frame_arrive_whole() {
    // RFC 9113 §4.3, §6.10; beyond ASCII, and beyond what one frame holds
    let origin = Origin::start(|_, reply| {
        let long = "abc;=%\"".repeat(1_500);
        let fields = [
            ("cache-control", "max-age=3600"),
            ("x-long", &long),
            ("x-longer", &long),
        ];
        reply.answer(200, &fields, b"x")
    });
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    for stream in [1, 3, 5] {
        conn.send(&get(stream));
        let answer = conn.answer(stream);
        assert_eq!(answer.status, 200);
        for name in ["x-long", "x-longer"] {
            assert_eq!(answer.field(name), Some(&*"abc;=%\"".repeat(1_500)));
        }
    }
}

#[test]
fn interim_answers_come_before_the_answer() {
    // RFC 9113 §8.1: heads that do not end the stream
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        reply.raw(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        held.pass();
        reply.answer(200, &[("cache-control", "no-store")], b"x")
    });
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    conn.send(&get(1));
    while conn
        .streams
        .get(&1)
        .is_none_or(|answer| answer.interim.is_empty())
    {
        conn.frame();
    }
    gate.open();
    let answer = conn.answer(1);
    assert_eq!(
        (
            answer.interim.as_slice(),
            answer.status,
            answer.text().as_str()
        ),
        (&[103][..], 200, "x")
    );
}

#[test]
fn an_answer_that_breaks_off_is_a_reset_and_no_end() {
    // RFC 9113 §8.1, §8.1.1: what is short of its length must not look whole
    let origin = Origin::start(|request, reply| {
        reply.raw(match request.target.as_str() {
            "/length" => b"HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\nhello",
            _ => b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        });
        seawall_tests::Then::Close
    });
    let cluster = Cluster::of(&origin);
    for path in ["/length", "/chunks"] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.send(&get_path(1, path));
        let answer = conn.answer(1);
        assert!(
            answer.reset.is_some() && !answer.ended || answer.status >= 500,
            "{path}: {answer:?}"
        );
        conn.ping();
    }
}

#[test]
fn an_answer_of_chunks_is_whole_with_its_trailers_or_without() {
    // RFC 9113 §8.1, RFC 9110 §6.5.1: trailers may be dropped; what comes of them ends the stream
    let origin = Origin::start(|request, reply| {
        let control = if request.target == "/hit" {
            "max-age=3600"
        } else {
            "no-store"
        };
        let head =
            format!("HTTP/1.1 200 x\r\ncache-control: {control}\r\ntransfer-encoding: chunked\r\n");
        reply.raw(head.as_bytes());
        reply.raw(b"trailer: x-sum\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nx-sum: 1\r\n\r\n");
        seawall_tests::Then::Keep
    });
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    for (stream, path) in [(1, "/pass"), (3, "/hit"), (5, "/hit")] {
        conn.send(&get_path(stream, path));
        let answer = conn.answer(stream);
        assert!(
            answer.ended && answer.text() == "hello!",
            "{path}: {answer:?}"
        );
        assert_eq!(answer.field("transfer-encoding"), None);
    }
}

#[test]
fn an_upgrade_is_no_upgrade_in_http2_and_cleartext_http1_still_works() {
    // RFC 9113 §3.1: the h2c upgrade is gone; a server may ignore it
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let fields = [
        ("connection", "upgrade, http2-settings"),
        ("upgrade", "h2c"),
        ("http2-settings", ""),
    ];
    assert_eq!(
        seawall_tests::client::get(cluster.edge(0), "/", &fields).status,
        200
    );
}

#[test]
fn a_client_that_goes_away_gets_what_it_has_asked_for() {
    // RFC 9113 §6.8: GOAWAY of the client ends no stream of its own
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, reply| {
        held.pass();
        reply.fresh(b"whole")
    });
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    conn.send(&[get(1), super::frame::goaway(0, code::NO_ERROR)].concat());
    eventually("the origin is asked", || origin.count("/") > 0);
    gate.open();
    assert_eq!(conn.answer(1).text(), "whole");
}

#[test]
fn a_server_that_stops_says_so_and_finishes_what_runs() {
    // RFC 9113 §6.8
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, reply| {
        if request.target == "/slow" {
            held.pass();
        }
        reply.fresh(b"whole")
    });
    let mut cluster = Cluster::of(&origin);
    let address = cluster.edge(0);
    let mut idle = Conn::open(address);
    let mut busy = Conn::open(address);
    busy.send(&get_path(1, "/slow"));
    eventually("the origin is asked", || origin.count("/slow") > 0);

    let finished = std::thread::scope(|scope| {
        let draining = scope.spawn(|| cluster.drain_edges(PATIENCE));
        let mut last = until_goaway(&mut busy);
        let _ = until_goaway(&mut idle);
        while !matches!(idle.next(), Event::Closed) {}
        gate.open();
        while busy.streams.get(&1).is_none_or(|answer| !answer.ended) {
            let frame = busy.frame();
            if frame.kind == kind::GOAWAY {
                assert_eq!(frame.goaway_code(), code::NO_ERROR);
                // it never grows
                assert!(frame.number() <= last, "{frame:?} behind {last}");
                last = frame.number();
            }
        }
        assert_eq!(busy.answer(1).text(), "whole");
        assert!(last >= 1, "the stream that was answered is not in GOAWAY");
        loop {
            match busy.next() {
                Event::Closed => break,
                Event::Silence => panic!("the connection stays open"),
                Event::Frame(_) => {}
            }
        }
        draining.join().unwrap()
    });
    assert!(finished);
}

/// The last stream that it names.
fn until_goaway(conn: &mut Conn) -> u32 {
    loop {
        let frame = conn.frame();
        if frame.kind == kind::GOAWAY {
            assert_eq!(frame.goaway_code(), code::NO_ERROR);
            return frame.number();
        }
    }
}
