//! How much of answers may go out (RFC 9113 §5.2, §6.9). The client fails where a byte goes beyond a window.

use super::client::{Conn, WINDOW};
use super::frame::{flag, get_path, kind, reset, setting};
use super::{code, frame};
use seawall_tests::{Cluster, Origin};

/// Paths: `/hit/...` is stored, `/pass/...` is not; what follows is the length of the body.
fn start() -> (Origin, Cluster) {
    let origin = Origin::start(|request, reply| {
        let length = request.target.rsplit('/').next().unwrap().parse().unwrap();
        let stored = request.target.starts_with("/hit");
        let control = if stored { "max-age=3600" } else { "no-store" };
        reply.answer(200, &[("cache-control", control)], &body(length))
    });
    let cluster = Cluster::of(&origin);
    (origin, cluster)
}

/// Bytes that tell where they belong.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn random(seed: &mut u64) -> u32 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 33) as u32
}

/// Reads until so much of the body is there.
fn until(conn: &mut Conn, stream: u32, length: usize) {
    while conn
        .streams
        .get(&stream)
        .map_or(0, |answer| answer.body.len())
        < length
    {
        conn.frame();
    }
}

fn length(conn: &Conn, stream: u32) -> usize {
    conn.streams
        .get(&stream)
        .map_or(0, |answer| answer.body.len())
}

/// Sees to it that nothing more comes on the streams: what the server would send goes out before it answers pings.
fn stands_still(conn: &mut Conn, streams: &[u32]) {
    let lengths = |conn: &Conn| streams.iter().map(|s| length(conn, *s)).collect::<Vec<_>>();
    let before = lengths(conn);
    for _ in 0..3 {
        conn.ping();
    }
    assert_eq!(lengths(conn), before);
}

#[test]
fn a_large_body_goes_out_exactly_as_windows_open() {
    const LENGTH: usize = 3 << 20;
    const SEED: u64 = 20;
    let (_origin, cluster) = start();
    // a pass, a miss, a hit
    for kind in ["pass", "hit", "hit"] {
        let mut seed = SEED;
        let mut conn = Conn::open(cluster.edge(0));
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        conn.settled();
        conn.send(&get_path(1, &format!("/{kind}/{LENGTH}")));
        while !conn.streams.contains_key(&1) {
            conn.frame();
        }
        stands_still(&mut conn, &[1]);
        let mut due = 0;
        while due < LENGTH {
            match random(&mut seed) % 2 {
                0 => conn.grant(1, 1 + random(&mut seed) % 60_000),
                _ => conn.grant(0, 1 + random(&mut seed) % 60_000),
            }
            let may = conn.window.min(*conn.stream_window(1)).max(0) as usize;
            due = LENGTH.min(length(&conn, 1) + may);
            until(&mut conn, 1, due);
        }
        let answer = conn.answer(1);
        assert!(
            answer.status == 200 && answer.body == body(LENGTH),
            "{kind}, seed {SEED}"
        );
    }
}

#[test]
fn a_window_of_one_byte_gives_one_byte() {
    let (_origin, cluster) = start();
    for path in ["/hit/5", "/hit/5", "/pass/5"] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]);
        conn.settled();
        conn.send(&get_path(1, path));
        for n in 1..=5 {
            until(&mut conn, 1, n);
            stands_still(&mut conn, &[1]);
            assert_eq!(length(&conn, 1), n);
            conn.grant(1, 1);
        }
        assert_eq!(conn.answer(1).body, body(5));
    }
}

#[test]
fn of_a_setting_that_comes_twice_the_last_counts() {
    // RFC 9113 §6.5.3
    let (_origin, cluster) = start();
    let mut conn = Conn::open(cluster.edge(0));
    conn.settings(&[
        (setting::INITIAL_WINDOW_SIZE, 100),
        (setting::INITIAL_WINDOW_SIZE, 1),
    ]);
    conn.settled();
    conn.send(&get_path(1, "/pass/5"));
    until(&mut conn, 1, 1);
    stands_still(&mut conn, &[1]);
    assert_eq!(length(&conn, 1), 1);
}

#[test]
fn a_new_initial_window_opens_and_closes_those_of_streams_that_wait() {
    // RFC 9113 §6.9.2
    let (_origin, cluster) = start();
    for kind in ["hit", "pass"] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        conn.settled();
        let streams = [1, 3, 5];
        for stream in streams {
            conn.send(&get_path(stream, &format!("/{kind}/{}", 1000 + stream)));
        }
        while streams
            .iter()
            .any(|stream| !conn.streams.contains_key(stream))
        {
            conn.frame();
        }
        for stream in streams {
            conn.stream_window(stream);
        }
        stands_still(&mut conn, &streams);

        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
        for stream in streams {
            until(&mut conn, stream, 10);
        }
        // -6 is left of each
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 4)]);
        conn.settled();
        for stream in streams {
            conn.grant(stream, 6);
        }
        stands_still(&mut conn, &streams);
        assert!(streams.iter().all(|stream| length(&conn, *stream) == 10));
        for stream in streams {
            conn.grant(stream, 1);
            until(&mut conn, stream, 11);
        }
        stands_still(&mut conn, &streams);
        // from below nothing to above it by settings alone; a new stream has what these say
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        conn.settled();
        stands_still(&mut conn, &streams);
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 500)]);
        conn.send(&get_path(7, &format!("/{kind}/2000")));
        for stream in streams {
            until(&mut conn, stream, 507);
        }
        until(&mut conn, 7, 500);
        stands_still(&mut conn, &[1, 3, 5, 7]);
        for stream in [1, 3, 5, 7] {
            conn.grant(stream, 5000);
            assert!(conn.answer(stream).ended);
        }
    }
}

#[test]
fn streams_share_the_connections_window_and_one_that_waits_holds_up_no_other() {
    // RFC 9113 §5.2.1, §6.9.1
    let (_origin, cluster) = start();
    for kind in ["pass", "hit", "hit"] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
        conn.settled();
        for stream in [1, 3] {
            conn.send(&get_path(stream, &format!("/{kind}/{}", 50_000 + stream)));
        }
        while length(&conn, 1) + length(&conn, 3) < WINDOW as usize {
            conn.frame();
        }
        stands_still(&mut conn, &[1, 3]);
        conn.grant(0, 1 << 20);
        for stream in [1, 3] {
            assert_eq!(conn.answer(stream).body, body(50_000 + stream as usize));
        }

        // a stream whose own window is shut
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        conn.settled();
        for stream in [5, 7] {
            conn.send(&get_path(stream, &format!("/{kind}/{}", 50_000 + stream)));
        }
        conn.grant(7, 1 << 20);
        assert_eq!(conn.answer(7).body, body(50_007));
        assert_eq!(length(&conn, 5), 0);
        // given up by the client: the next one has the whole connection
        conn.send(&reset(5, code::CANCEL));
        conn.send(&get_path(9, &format!("/{kind}/100")));
        conn.grant(9, 100);
        assert_eq!(conn.answer(9).body, body(100));
    }
}

#[test]
fn an_answer_that_is_given_up_gives_back_what_the_connection_lent_it() {
    // RFC 9113 §6.9.1: windows are of bytes that were sent, and those of a reset stream that were not are free
    let (_origin, cluster) = start();
    for kind in ["hit", "pass"] {
        let mut conn = Conn::open(cluster.edge(0));
        for n in 0..20 {
            // the stream's window takes nothing before it is reset
            conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
            conn.settled();
            let (given_up, whole) = (4 * n + 1, 4 * n + 3);
            conn.send(&get_path(given_up, &format!("/{kind}/60000")));
            while !conn.streams.contains_key(&given_up) {
                conn.frame();
            }
            conn.grant(given_up, 100);
            until(&mut conn, given_up, 100);
            conn.send(&reset(given_up, code::CANCEL));
            conn.send(&get_path(whole, &format!("/{kind}/3000")));
            conn.grant(whole, 3000);
            assert_eq!(conn.answer(whole).body, body(3000), "{kind}, round {n}");
        }
        assert_eq!(conn.window, WINDOW - 20 * 3100);
    }
}

#[test]
fn frames_are_as_large_as_the_client_allows_and_no_larger() {
    // RFC 9113 §4.2, §6.5.2
    const LENGTH: usize = 1 << 20;
    let (_origin, cluster) = start();
    for kind in ["pass", "hit", "hit"] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, frame::WINDOW_MAX)]);
        conn.grant(0, frame::WINDOW_MAX - WINDOW as u32);
        let path = format!("/{kind}/{LENGTH}");
        // the client's books hold each frame against what is allowed at its time
        for (stream, size) in [
            (1, None),
            (3, Some(1 << 18)),
            (5, Some(16_384)),
            (7, Some(20_000)),
        ] {
            if let Some(size) = size {
                conn.settings(&[(setting::MAX_FRAME_SIZE, size)]);
                conn.settled();
            }
            conn.send(&get_path(stream, &path));
            assert_eq!(conn.answer(stream).body, body(LENGTH));
        }
    }
}

#[test]
fn an_empty_body_needs_no_window() {
    let (_origin, cluster) = start();
    for path in ["/hit/0", "/hit/0", "/pass/0"] {
        let mut conn = Conn::open(cluster.edge(0));
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        conn.settled();
        conn.send(&get_path(1, path));
        loop {
            let frame = conn.frame();
            if frame.stream == 1 && frame.has(flag::END_STREAM) {
                // on the head itself, or on an empty frame behind it
                assert!(
                    frame.kind == kind::HEADERS || frame.payload.is_empty(),
                    "{frame:?}"
                );
                break;
            }
        }
        assert_eq!((conn.answer(1).status, length(&conn, 1)), (200, 0));
    }
}
