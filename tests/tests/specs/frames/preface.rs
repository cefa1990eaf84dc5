//! How a connection begins (RFC 9113 §3.4), and settings are settled (§6.5.3).

use super::PINGED;
use super::client::{Conn, Event, PREFACE};
use super::frame::{flag, get, kind, ping, setting, settings};
use seawall_tests::{Cluster, Origin};
use std::io::Read;

#[test]
fn what_does_not_begin_as_http2_does_is_turned_away() {
    // RFC 9113 §3.4
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let begun = [PREFACE, &ping(PINGED)].concat();
    for first in [
        &b"INVALID CONNECTION PREFACE\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n",
        b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
        // settings come first
        &begun,
    ] {
        let mut conn = Conn::silent(cluster.edge(0));
        conn.send(first);
        let mut all = Vec::new();
        let end = conn
            .tcp()
            .read_to_end(&mut all)
            .map_err(|error| error.kind());
        let waits = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
        assert!(
            !end.is_err_and(|kind| waits.contains(&kind)),
            "{first:?} is waited on"
        );
        assert!(
            !all.windows(8).any(|bytes| bytes == PINGED),
            "{first:?} is answered"
        );
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn a_preface_is_read_however_it_arrives() {
    // RFC 9113 §3.4: in one piece with what follows, and byte by byte
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let bytes = [PREFACE, &settings(&[]), &get(1)].concat();
    for piece in [bytes.len(), 1, 7] {
        let mut conn = Conn::silent(cluster.edge(0));
        for part in bytes.chunks(piece) {
            conn.send(part);
        }
        let first = conn.frame();
        assert_eq!((first.kind, first.stream), (kind::SETTINGS, 0));
        assert_eq!(conn.answer(1).text(), "x");
    }
}

#[test]
fn settings_are_acknowledged_in_their_order() {
    // RFC 9113 §6.5.3
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    for size in [100, 200, 300] {
        conn.settings(&[(setting::INITIAL_WINDOW_SIZE, size)]);
    }
    conn.settled();
    conn.send(&ping(PINGED));
    let Event::Frame(frame) = conn.next() else {
        panic!("no frame")
    };
    assert_eq!(
        (frame.kind, frame.flags, frame.payload.as_slice()),
        (kind::PING, flag::ACK, &PINGED[..])
    );
}
