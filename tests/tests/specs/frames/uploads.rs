//! Bodies of requests: what the server's windows let through arrives at the origin, byte by byte.

use super::client::{Answer, Conn};
use super::code;
use super::frame::{self, data, flag, headers, padded_data, reset, window_update};
use super::hpack;
use seawall_tests::{Cluster, Origin};

/// More than any window that is open at first.
const LARGE: usize = 3 << 20;

/// An origin that answers with how much it got.
fn start() -> (Origin, Cluster) {
    let origin = Origin::start(|request, reply| {
        let control = if request.target == "/hit" {
            "max-age=3600"
        } else {
            "no-store"
        };
        let told = request.body.len().to_string();
        reply.answer(200, &[("cache-control", control)], told.as_bytes())
    });
    let cluster = Cluster::of(&origin);
    (origin, cluster)
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 249) as u8).collect()
}

fn post(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    headers(
        stream,
        flag::END_HEADERS,
        &frame::request("POST", "/", fields),
    )
}

fn arrived(origin: &Origin, answer: &Answer, sent: &[u8]) {
    assert_eq!(
        (answer.status, answer.text()),
        (200, sent.len().to_string()),
        "{answer:?}"
    );
    let seen = origin.seen();
    assert!(
        seen.last().unwrap().body == sent,
        "another body than was sent"
    );
}

#[test]
fn a_large_body_arrives_as_windows_open() {
    // RFC 9113 §6.9: in frames of each size, with its length told and without
    let (origin, cluster) = start();
    let (body, length) = (body(1 << 20), (1 << 20).to_string());
    for most in [100, 16_384] {
        for fields in [&[][..], &[("content-length", &*length)]] {
            let mut conn = Conn::open(cluster.edge(0));
            conn.send(&post(1, fields));
            assert!(conn.upload(1, &body, most, |flags, part| data(1, flags, part)));
            arrived(&origin, &conn.answer(1), &body);
        }
    }
}

#[test]
fn one_connection_takes_many_bodies_each_after_the_other() {
    // the connection's window opens again for each
    let (origin, cluster) = start();
    let mut conn = Conn::open(cluster.edge(0));
    let body = body(LARGE / 4);
    for stream in [1, 3, 5, 7, 9] {
        conn.send(&post(stream, &[]));
        assert!(conn.upload(stream, &body, 16_384, |flags, part| data(
            stream, flags, part
        )));
        arrived(&origin, &conn.answer(stream), &body);
    }
}

#[test]
fn padding_takes_from_windows_and_never_arrives() {
    // RFC 9113 §6.1: more padding alone than any window holds at first
    let (origin, cluster) = start();
    let mut conn = Conn::open(cluster.edge(0));
    let body = body(LARGE);
    conn.send(&post(1, &[("content-length", &LARGE.to_string())]));
    assert!(conn.upload(1, &body, 700, |flags, part| padded_data(
        1, flags, part, 255
    )));
    arrived(&origin, &conn.answer(1), &body);
}

#[test]
fn the_largest_frames_that_the_server_allows_are_taken() {
    // RFC 9113 §4.2
    let (origin, cluster) = start();
    let mut conn = Conn::open(cluster.edge(0));
    let most = conn
        .theirs
        .frame_max
        .min(conn.theirs.initial_window as usize)
        .min(65_535);
    let body = body(LARGE / 2);
    conn.send(&post(1, &[]));
    assert!(conn.upload(1, &body, most, |flags, part| data(1, flags, part)));
    arrived(&origin, &conn.answer(1), &body);
}

#[test]
fn two_bodies_arrive_through_each_other_and_trailers_end_them() {
    // RFC 9113 §5, §8.1
    let (_origin, cluster) = start();
    let mut conn = Conn::open(cluster.edge(0));
    for stream in [1, 3] {
        conn.send(&post(stream, &[("trailer", "x-sum")]));
    }
    for n in 0..50 {
        for stream in [1, 3] {
            conn.send(&data(stream, flag::NONE, &vec![n; stream as usize]));
        }
    }
    for stream in [1, 3] {
        conn.send(&headers(stream, flag::ALL, &hpack::literal("x-sum", "1")));
    }
    assert_eq!(conn.answer(1).text(), "50");
    assert_eq!(conn.answer(3).text(), "150");
}

#[test]
fn what_came_on_streams_that_are_over_comes_back_to_the_connection() {
    // RFC 9113 §5.1, §6.9.1: given up by the client, malformed, or answered without a look at the body
    let (origin, cluster) = start();
    let part = body(30_000);
    for id in ["given up", "malformed", "not looked at"] {
        let mut conn = Conn::open(cluster.edge(0));
        for n in 0..60 {
            let stream = 2 * n + 1;
            conn.send(&match id {
                "malformed" => post(stream, &[("content-length", "10")]),
                "not looked at" => {
                    let block = frame::request("GET", "/hit", &[]);
                    headers(stream, flag::END_HEADERS, &block)
                }
                _ => post(stream, &[]),
            });
            let all = conn.upload(stream, &part, 10_000, |_, part| {
                data(stream, flag::NONE, part)
            });
            if all {
                conn.send(&reset(stream, code::CANCEL));
            }
        }
        conn.send(&post(1001, &[]));
        assert!(
            conn.upload(1001, &part, 10_000, |flags, part| data(1001, flags, part)),
            "{id}"
        );
        arrived(&origin, &conn.answer(1001), &part);
    }
}

#[test]
fn more_than_a_window_is_an_error_and_others_are_answered() {
    // RFC 9113 §6.9.1: the server must not take it for granted; a stream error or one of the connection
    use super::client::Event;
    use super::frame::kind;
    let gate = seawall_tests::Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, reply| {
        if request.target == "/slow" {
            held.pass();
        }
        reply.answer(200, &[], b"x")
    });
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    conn.send(&headers(
        1,
        flag::END_HEADERS,
        &frame::request("POST", "/slow", &[]),
    ));
    // far beyond what any window has been opened to, without waiting for any to open
    let writer = {
        let mut tcp = conn.tcp();
        std::thread::spawn(move || {
            let one = data(1, flag::NONE, &[b'x'; 16_384]);
            let _ = (0..4096).try_for_each(|_| std::io::Write::write_all(&mut tcp, &one));
        })
    };
    let found = loop {
        match conn.next() {
            Event::Closed => break None,
            Event::Silence => panic!("64 MiB are taken, and nothing is said"),
            Event::Frame(frame) => match frame.kind {
                kind::GOAWAY => break Some(frame.goaway_code()),
                kind::RST_STREAM => break Some(frame.number()),
                _ => {}
            },
        }
    };
    assert!(
        found.is_none_or(|found| found == code::FLOW_CONTROL_ERROR),
        "{found:?}"
    );
    assert_eq!(Conn::whole(cluster.edge(0), "/").status, 200);
    let _ = conn.tcp().shutdown(std::net::Shutdown::Both);
    gate.open();
    writer.join().unwrap();
}

#[test]
fn an_answer_before_the_whole_body_is_an_answer() {
    // RFC 9113 §8.1: the server may say NO_ERROR of the rest, and what still comes is not an error
    let origin = Origin::start(|_, reply| reply.fresh(b"stored"));
    let cluster = Cluster::of(&origin);
    seawall_tests::client::get(cluster.edge(0), "/", &[]);
    let mut conn = Conn::open(cluster.edge(0));
    conn.send(&headers(
        1,
        flag::END_HEADERS,
        &frame::request("GET", "/", &[]),
    ));
    conn.send(&data(1, flag::NONE, b"a body of a GET"));
    conn.send(&data(1, flag::END_STREAM, b"and its end"));
    let answer = conn.answer(1);
    assert_eq!((answer.status, answer.text().as_str()), (200, "stored"));
    conn.send(&window_update(0, 1));
    conn.send(&frame::get(3));
    assert_eq!(conn.answer(3).text(), "stored");
}

#[test]
fn who_expects_100_gets_it_or_the_answer() {
    // RFC 9110 §10.1.1, RFC 9113 §8.1
    let (origin, cluster) = start();
    let mut conn = Conn::open(cluster.edge(0));
    conn.send(&post(
        1,
        &[("expect", "100-continue"), ("content-length", "4")],
    ));
    while conn
        .streams
        .get(&1)
        .is_none_or(|answer| answer.status == 0 && answer.interim.is_empty())
    {
        conn.frame();
    }
    if conn.streams[&1].status == 0 {
        assert_eq!(conn.streams[&1].interim, [100]);
        conn.send(&data(1, flag::END_STREAM, b"body"));
        arrived(&origin, &conn.answer(1), b"body");
    }
}
