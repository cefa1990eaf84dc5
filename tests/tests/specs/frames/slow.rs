//! Clients that take their time. Each of them has its bound, and is told.

use super::client::{Conn, Event};
use super::code;
use super::frame::{continuation, flag, frame, get_path, kind, ping, request, setting};
use seawall_tests::{Cluster, ClusterSpec, Origin};
use std::io::Read as _;
use std::time::{Duration, Instant};

const BODY: usize = 1 << 20;
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// Which time is short; the others are long.
enum Short {
    Head,
    Idle,
    Write,
}

fn start(short: &Short) -> (Origin, Cluster) {
    let origin = Origin::start(|request, reply| match &request.target[..] {
        "/large" => reply.fresh(&vec![b'x'; BODY]),
        "/unstored" => reply.answer(200, &[("cache-control", "no-store")], &vec![b'x'; BODY]),
        _ => reply.fresh(b"x"),
    });
    let cluster = ClusterSpec::new(origin.address())
        .conn(|conn| {
            let times = [
                &mut conn.head_timeout,
                &mut conn.idle_timeout,
                &mut conn.write_timeout,
            ];
            let short = match short {
                Short::Head => 0,
                Short::Idle => 1,
                Short::Write => 2,
            };
            for (index, time) in times.into_iter().enumerate() {
                *time = if index == short { SHORT } else { LONG };
            }
        })
        .start();
    for path in ["/large", "/"] {
        seawall_tests::client::get(cluster.edge(0), path, &[]);
    }
    (origin, cluster)
}

/// Waits for the end of the connection; what GOAWAY said before it.
fn end(conn: &mut Conn) -> Option<u32> {
    let began = Instant::now();
    while !matches!(conn.next(), Event::Closed) {
        assert!(began.elapsed() < LONG, "it does not end");
    }
    conn.goaway
}

#[test]
fn who_does_not_go_on_with_what_it_has_begun_is_let_go() {
    let (_origin, cluster) = start(&Short::Head);
    // a preface without its settings; a head without its end; a frame without its end
    let mut conn = Conn::silent(cluster.edge(0));
    conn.send(super::client::PREFACE);
    let mut seen = Vec::new();
    conn.tcp().read_to_end(&mut seen).unwrap();
    // its settings are there, and not acknowledged: that would be more than nothing
    assert_eq!(seen[3], kind::SETTINGS);
    let head = request("GET", "/", &[]);
    for bytes in [
        frame(kind::HEADERS, flag::END_STREAM, 1, &head),
        [
            frame(kind::HEADERS, flag::END_STREAM, 1, &head),
            continuation(1, 0, &[]),
        ]
        .concat(),
        get_path(1, "/")[..12].to_vec(),
        ping(*b"12345678")[..5].to_vec(),
    ] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.send(&bytes);
        assert_eq!(end(&mut conn), Some(code::NO_ERROR));
    }
}

#[test]
fn an_idle_connection_is_told_of_its_end_and_one_at_work_is_not() {
    let (_origin, cluster) = start(&Short::Idle);
    let mut conn = Conn::open(cluster.edge(0));
    conn.send(&get_path(1, "/"));
    conn.answer(1);
    assert_eq!(end(&mut conn), Some(code::NO_ERROR));

    // its answer waits for a window for longer than that
    let mut conn = Conn::open(cluster.edge(0));
    conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    conn.settled();
    conn.send(&get_path(1, "/"));
    conn.patience(SHORT * 3);
    while !matches!(conn.next(), Event::Silence) {}
    assert_eq!(conn.goaway, None);
    conn.grant(1, 1);
    assert_eq!(conn.answer(1).body, b"x");
}

#[test]
fn an_answer_that_nobody_makes_room_for_is_given_up_and_the_others_are_not() {
    let (_origin, cluster) = start(&Short::Write);
    for path in ["/large", "/unstored"] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
        conn.settled();
        conn.send(&get_path(1, path));
        loop {
            match conn.next() {
                Event::Frame(frame) if frame.kind == kind::RST_STREAM => {
                    assert_eq!(frame.stream, 1, "{path}");
                    break;
                }
                Event::Frame(_) => {}
                other => panic!("{path}: {other:?}"),
            }
        }
        assert_eq!(conn.streams[&1].body.len(), 10, "{path}");
        conn.send(&get_path(3, "/"));
        assert_eq!(conn.answer(3).body, b"x", "{path}");
    }
}

#[test]
fn who_sends_head_after_head_over_a_slow_link_is_not_too_slow() {
    let (_origin, cluster) = start(&Short::Head);
    let mut conn = Conn::open(cluster.edge(0));
    let heads: Vec<u8> = (0..40).flat_map(|n| get_path(2 * n + 1, "/")).collect();
    let len = get_path(1, "/").len();
    // each piece ends in the midst of a head
    conn.send(&heads[..len / 2]);
    let began = Instant::now();
    for piece in heads[len / 2..].chunks(len) {
        // the link is as slow as this
        std::thread::sleep(SHORT / 15);
        conn.send(piece);
    }
    assert!(began.elapsed() > SHORT * 2);
    for n in 0..40 {
        assert_eq!(conn.answer(2 * n + 1).body, b"x");
    }
}

#[test]
fn a_head_that_is_refused_to_head_has_no_body() {
    let (_origin, cluster) = start(&Short::Head);
    let mut conn = Conn::open(cluster.edge(0));
    let head = request("HEAD", "/", &[("expect", "x")]);
    conn.send(&frame(kind::HEADERS, flag::ALL, 1, &head));
    let answer = conn.answer(1);
    assert_eq!((answer.status, answer.body.len()), (417, 0));
}
