//! Clients that mean harm. Whatever a server does about them, it is bounded, and others are answered meanwhile.

use super::client::{Conn, Event};
use super::frame::{
    self, continuation, data, flag, frame, get, get_path, headers, kind, ping, post, request,
    reset, setting, settings,
};
use super::{code, hpack};
use seawall_tests::{Cluster, Origin};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// Without progress for so long, a write has met back-pressure.
const STALLED: Duration = Duration::from_secs(2);
/// More than sockets hold: who takes so much of what is never read keeps it.
const FLOOD_BYTES: usize = 48 << 20;

/// How a flood ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flood {
    Closed,
    /// The server reads no further.
    Stalled,
    Taken,
}

/// The head of a request on a stream.
type Head = fn(u32) -> Vec<u8>;

fn start() -> (Origin, Cluster) {
    let origin = Origin::start(|request, reply| reply.fresh(request.target.as_bytes()));
    let cluster = Cluster::of(&origin);
    seawall_tests::client::get(cluster.edge(0), "/", &[]);
    (origin, cluster)
}

/// Another client, on a connection of its own: a hit and a miss.
fn others_are_answered(cluster: &Cluster, id: &str) {
    for path in ["/", &format!("/{}", id.replace(' ', "-"))] {
        assert_eq!(Conn::whole(cluster.edge(0), path).text(), path, "{id}");
    }
}

/// Writes `bytes` again and again, without reading an answer.
fn unread(conn: &mut Conn, bytes: &[u8], most: usize) -> Flood {
    conn.patience(STALLED);
    let mut tcp = conn.tcp();
    let mut written = 0;
    while written < most {
        match tcp.write(bytes) {
            Ok(n) if n == bytes.len() => written += n,
            // what is left of the last frame
            Ok(n) => match tcp.write_all(&bytes[n..]) {
                Ok(()) => written += bytes.len(),
                Err(error) => return ended(&error),
            },
            Err(error) => return ended(&error),
        }
    }
    Flood::Taken
}

fn ended(error: &std::io::Error) -> Flood {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Flood::Stalled,
        _ => Flood::Closed,
    }
}

/// Writes `bytes` and reads whatever comes, while others ask.
fn reading(cluster: &Cluster, id: &str, bytes: &[u8]) {
    let conn = Conn::open(cluster.edge(0));
    let (mut from, mut to) = (conn.tcp(), conn.tcp());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut part = vec![0; 1 << 16];
            while from.read(&mut part).is_ok_and(|n| n > 0) {}
        });
        scope.spawn(move || {
            // the server may end the connection at any time
            let _ = to.write_all(bytes);
            let _ = to.shutdown(Shutdown::Both);
        });
        others_are_answered(cluster, id);
    });
    others_are_answered(cluster, &format!("behind {id}"));
}

#[test]
fn what_is_never_read_is_not_kept_without_bound() {
    // RFC 9113 §10.5: each asks for an answer that the client does not take
    let (_origin, cluster) = start();
    let rows = [
        ("pings", ping([0; 8]).repeat(1_000)),
        (
            "settings",
            settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]).repeat(1_000),
        ),
        ("empty settings", settings(&[]).repeat(1_000)),
    ];
    for (id, bytes) in rows {
        let mut conn = Conn::open(cluster.edge(0));
        let flood = unread(&mut conn, &bytes, FLOOD_BYTES);
        others_are_answered(&cluster, id);
        assert_ne!(flood, Flood::Taken, "{id}");
    }
}

#[test]
fn a_field_block_without_end_is_not_kept_without_bound() {
    // RFC 9113 §10.5.1
    let (_origin, cluster) = start();
    let part = hpack::literal("x-a", "v".repeat(16_000));
    let begun = [
        headers(1, flag::END_STREAM, &request("GET", "/", &[])),
        continuation(1, 0, b""),
    ]
    .concat();
    let rows = [
        ("full", continuation(1, flag::NONE, &part)),
        ("empty", continuation(1, flag::NONE, b"").repeat(1_000)),
        ("of no fields", continuation(1, flag::NONE, &[0x20; 1_000])),
        (
            "indexed",
            continuation(1, flag::NONE, &hpack::indexed(2).repeat(16_000)),
        ),
    ];
    for (id, bytes) in rows {
        let mut conn = Conn::open(cluster.edge(0));
        conn.send(&begun);
        let flood = unread(&mut conn, &bytes, FLOOD_BYTES);
        others_are_answered(&cluster, id);
        assert_ne!(flood, Flood::Taken, "{id}");
    }
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    // RFC 9113 §10.5.1: 431, or an error of the stream or the connection
    let (origin, cluster) = start();
    // what is small on the wire: an entry of the table, many times
    let bomb = [
        hpack::indexed_literal("x-bomb", &"v".repeat(4_000)),
        hpack::indexed(62).repeat(12_000),
    ]
    .concat();
    let fields = hpack::literal("x-a", "v".repeat(10_000)).repeat(30);
    let many: Vec<u8> = (0..5_000)
        .flat_map(|n| hpack::literal(&format!("x-{n}"), "1"))
        .collect();
    for (id, rest) in [
        ("an entry of the table", bomb),
        ("large fields", fields),
        ("many fields", many),
    ] {
        origin.forget();
        let mut conn = Conn::open(cluster.edge(0));
        let block = [request("GET", "/long", &[]), rest].concat();
        let parts: Vec<&[u8]> = block.chunks(16_000).collect();
        for (index, part) in parts.iter().enumerate() {
            let end = if index + 1 == parts.len() {
                flag::END_HEADERS
            } else {
                flag::NONE
            };
            match index {
                0 => conn.send(&headers(1, flag::END_STREAM | end, part)),
                _ => conn.send(&continuation(1, end, part)),
            }
        }
        loop {
            match conn.next() {
                Event::Closed => break,
                Event::Silence => panic!("{id}: nothing comes"),
                Event::Frame(frame) if frame.kind == kind::GOAWAY => {
                    assert_ne!(frame.goaway_code(), code::NO_ERROR, "{id}");
                    break;
                }
                Event::Frame(_) => {}
            }
            if let Some(answer) = conn.streams.get(&1)
                && (answer.ended || answer.reset.is_some())
            {
                assert!(
                    answer.reset.is_some() || answer.status == 431,
                    "{id}: {answer:?}"
                );
                // the table is in step all the same
                conn.send(&get(3));
                assert_eq!(conn.answer(3).text(), "/", "{id}");
                break;
            }
        }
        assert!(origin.seen().is_empty(), "{id}");
        others_are_answered(&cluster, id);
    }
}

#[test]
fn streams_that_are_opened_and_reset_cost_others_nothing() {
    // CVE-2023-44487: for hits, for misses, and for bodies that never come
    let (_origin, cluster) = start();
    let stream = |n: u32| 2 * n + 1;
    let cancelled = |n, head: Vec<u8>| [head, reset(stream(n), code::CANCEL)].concat();
    let rows: [(&str, Head); 3] = [
        ("hits", get),
        ("misses", |stream| {
            get_path(stream, &format!("/miss/{stream}"))
        }),
        ("bodies", post),
    ];
    for (id, head) in rows {
        let all: Vec<u8> = (0..5_000)
            .flat_map(|n| cancelled(n, head(stream(n))))
            .collect();
        reading(&cluster, id, &all);
    }
    // provoked: the server resets them itself
    let rows: [(&str, Vec<u8>); 2] = [
        (
            "by a window of nothing",
            (0..5_000)
                .flat_map(|n| [get(stream(n)), frame::window_update(stream(n), 0)].concat())
                .collect(),
        ),
        (
            "by being malformed",
            (0..5_000)
                .flat_map(|n| headers(stream(n), flag::ALL, &request("GET", "/", &[("X", "1")])))
                .collect(),
        ),
    ];
    for (id, all) in rows {
        reading(&cluster, id, &all);
    }
}

#[test]
fn frames_without_use_are_counted_or_cost_nothing() {
    // RFC 9113 §10.5: a connection on which they came is ended, or answers as ever
    let (_origin, cluster) = start();
    let rows: [(&str, Vec<u8>, Vec<u8>); 5] = [
        (
            "empty DATA",
            post(1),
            data(1, flag::NONE, b"").repeat(10_000),
        ),
        (
            "DATA of padding",
            post(1),
            frame::padded_data(1, flag::NONE, b"", 0).repeat(10_000),
        ),
        (
            "PRIORITY",
            post(1),
            frame::priority(3, 0, 16).repeat(10_000),
        ),
        (
            "unknown frames",
            post(1),
            frame(0xfe, 0, 0, b"").repeat(10_000),
        ),
        (
            "windows opened by one",
            post(1),
            frame::window_update(0, 1).repeat(10_000),
        ),
    ];
    for (id, first, rest) in rows {
        let mut conn = Conn::open(cluster.edge(0));
        conn.send(&first);
        conn.send(&rest);
        others_are_answered(&cluster, id);
        conn.send(&data(1, flag::END_STREAM, b"x"));
        loop {
            match conn.next() {
                Event::Closed => break,
                Event::Silence => panic!("{id}: nothing comes"),
                Event::Frame(frame) if frame.kind == kind::GOAWAY => {
                    assert_eq!(frame.goaway_code(), code::ENHANCE_YOUR_CALM, "{id}");
                    break;
                }
                Event::Frame(_) => {}
            }
            if let Some(answer) = conn.streams.get(&1).filter(|answer| answer.ended) {
                assert_eq!(answer.status, 200, "{id}");
                break;
            }
        }
    }
}

#[test]
fn windows_that_never_open_hold_up_nobody_else() {
    // a hundred answers of which nothing may go out, and their client is silent
    let (_origin, cluster) = start();
    let mut silent: Vec<Conn> = (0..10).map(|_| Conn::open(cluster.edge(0))).collect();
    for conn in &mut silent {
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        let all: Vec<u8> = (0..100).flat_map(|n| get(2 * n + 1)).collect();
        conn.send(&all);
    }
    others_are_answered(&cluster, "behind shut windows");
    // and they are answered once they open
    for conn in &mut silent {
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, 100)]);
        for n in 0..100 {
            assert_eq!(conn.answer(2 * n + 1).text(), "/");
        }
    }
}
