//! Field blocks (RFC 7541): every way to write a field is read, what is none ends the connection, and the server's own
//! blocks keep to the table that it is allowed.

use super::client::{Conn, Event};
use super::frame::{flag, get_path, headers, kind, request, setting};
use super::hpack::{Fields, as_literal, huffman, indexed, indexed_literal, integer, literal};
use super::{Answered, ConnectionError, Row, check, code, send};
use seawall_tests::{Cluster, ClusterSpec, Origin};

const COMPRESSION: super::Expect = ConnectionError(&[code::COMPRESSION_ERROR]);
const NEVER: u8 = 0x10;
/// Index of user-agent in the static table.
const USER_AGENT: usize = 58;

fn with(rest: &[u8]) -> Vec<u8> {
    headers(
        1,
        flag::ALL,
        &[&request("GET", "/", &[])[..], rest].concat(),
    )
}

/// A string in the Huffman code.
fn coded(text: &str) -> Vec<u8> {
    let bytes = huffman(text);
    [integer(0x80, 7, bytes.len()), bytes].concat()
}

#[test]
fn a_field_is_read_however_it_is_written() {
    check(|| -> Vec<Row> {
        let named = |first: u8, prefix: u32| {
            [integer(first, prefix, USER_AGENT), coded("specs/1.0")].concat()
        };
        let new = |first: u8| [vec![first], coded("x-test"), coded("a b; c=\"d\"~")].concat();
        let ok = Answered(1, 200);
        vec![
            ("indexed", "6.1", send(&[with(&indexed(USER_AGENT))]), ok),
            (
                "incremental, indexed name",
                "6.2.1",
                send(&[with(
                    &[&integer(0x40, 6, USER_AGENT)[..], b"\x01x"].concat(),
                )]),
                ok,
            ),
            (
                "incremental, indexed name, Huffman",
                "6.2.1",
                send(&[with(&named(0x40, 6))]),
                ok,
            ),
            (
                "incremental, new name",
                "6.2.1",
                send(&[with(&indexed_literal("x-test", "1"))]),
                ok,
            ),
            (
                "incremental, new name, Huffman",
                "6.2.1",
                send(&[with(&new(0x40))]),
                ok,
            ),
            (
                "plain, indexed name",
                "6.2.2",
                send(&[with(
                    &[&integer(0x00, 4, USER_AGENT)[..], b"\x01x"].concat(),
                )]),
                ok,
            ),
            (
                "plain, indexed name, Huffman",
                "6.2.2",
                send(&[with(&named(0x00, 4))]),
                ok,
            ),
            (
                "plain, new name",
                "6.2.2",
                send(&[with(&literal("x-test", "1"))]),
                ok,
            ),
            (
                "plain, new name, Huffman",
                "6.2.2",
                send(&[with(&new(0x00))]),
                ok,
            ),
            (
                "never indexed, indexed name",
                "6.2.3",
                send(&[with(
                    &[&integer(NEVER, 4, USER_AGENT)[..], b"\x01x"].concat(),
                )]),
                ok,
            ),
            (
                "never indexed, indexed name, Huffman",
                "6.2.3",
                send(&[with(&named(NEVER, 4))]),
                ok,
            ),
            (
                "never indexed, new name",
                "6.2.3",
                send(&[with(&as_literal(NEVER, b"x-test", b"1"))]),
                ok,
            ),
            (
                "never indexed, new name, Huffman",
                "6.2.3",
                send(&[with(&new(NEVER))]),
                ok,
            ),
            (
                "a size update",
                "6.3",
                send(&[headers(
                    1,
                    flag::ALL,
                    &[&integer(0x20, 5, 0)[..], &request("GET", "/", &[])].concat(),
                )]),
                ok,
            ),
            (
                "two size updates",
                "4.2",
                send(&[headers(
                    1,
                    flag::ALL,
                    &[
                        &integer(0x20, 5, 0)[..],
                        &integer(0x20, 5, 4096),
                        &request("GET", "/", &[]),
                    ]
                    .concat(),
                )]),
                ok,
            ),
            (
                "a long value in a long integer",
                "5.1",
                send(&[with(&literal("x-test", "y".repeat(5_000)))]),
                ok,
            ),
            (
                "an integer with zeros behind it",
                "5.1",
                send(&[with(
                    &[&[0x00, 6][..], b"x-test", &[0x7f, 0x81, 0x00], &[b'y'; 128]].concat(),
                )]),
                ok,
            ),
            (
                "empty strings in the Huffman code",
                "5.2",
                send(&[with(&[&[0x00, 6][..], b"x-test", &[0x80]].concat())]),
                ok,
            ),
        ]
    });
}

#[test]
fn a_block_that_no_table_explains_ends_the_connection() {
    check(|| -> Vec<Row> {
        let value = |bytes: &[u8]| {
            let string = [integer(0x80, 7, bytes.len()), bytes.to_vec()].concat();
            with(&[&[0x00, 6][..], b"x-test", &string].concat())
        };
        let grown = [&indexed_literal("x-a", "1")[..], &indexed(62), &indexed(63)].concat();
        let emptied = [
            &integer(0x20, 5, 0)[..],
            &request("GET", "/", &[]),
            &indexed_literal("x-a", "1"),
            &indexed(62),
        ];
        vec![
            (
                "an index beyond the tables",
                "2.3.3",
                send(&[with(&indexed(70))]),
                COMPRESSION,
            ),
            (
                "a name beyond the tables",
                "2.3.3",
                send(&[with(&[&integer(0x40, 6, 70)[..], b"\x01x"].concat())]),
                COMPRESSION,
            ),
            (
                "one entry, and an index of two",
                "2.3.3",
                send(&[with(&grown)]),
                COMPRESSION,
            ),
            (
                "an index into a table of no bytes",
                "4.4",
                send(&[headers(1, flag::ALL, &emptied.concat())]),
                COMPRESSION,
            ),
            ("index 0", "6.1", send(&[with(&[0x80])]), COMPRESSION),
            (
                "a size update behind a field",
                "4.2",
                send(&[with(&integer(0x20, 5, 0))]),
                COMPRESSION,
            ),
            (
                "a size update beyond the setting",
                "6.3",
                send(&[headers(
                    1,
                    flag::ALL,
                    &[&integer(0x20, 5, 1 << 20)[..], &request("GET", "/", &[])].concat(),
                )]),
                COMPRESSION,
            ),
            // "a" is 00011, and seven ones and more are the padding
            (
                "padding of a byte",
                "5.2",
                send(&[value(&[0x1f, 0xff])]),
                COMPRESSION,
            ),
            (
                "padding of zeros",
                "5.2",
                send(&[value(&[0x18])]),
                COMPRESSION,
            ),
            (
                "the end of string",
                "5.2",
                send(&[value(&[0xff, 0xff, 0xff, 0xff])]),
                COMPRESSION,
            ),
            (
                "an integer without end",
                "5.1",
                send(&[with(&[&[0x00, 0x7f][..], &[0xff; 32]].concat())]),
                COMPRESSION,
            ),
            (
                "a string longer than its block",
                "5.2",
                send(&[with(&[0x00, 0x7f, 0x80, 0x01, b'x'])]),
                COMPRESSION,
            ),
        ]
    });
}

#[test]
fn entries_of_the_clients_table_live_as_long_as_they_must() {
    // RFC 7541 §2.3.2, §4.4: what the origin sees of entries that later blocks refer to
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    let ask = |conn: &mut Conn, stream, rest: &[u8]| {
        let block = [&request("GET", "/", &[])[..], rest].concat();
        conn.send(&headers(stream, flag::ALL, &block));
        assert_eq!(conn.answer(stream).status, 200);
        origin.seen().last().unwrap().clone()
    };
    let value = "v".repeat(1_000);
    for (index, name) in ["x-a", "x-b", "x-c"].into_iter().enumerate() {
        ask(
            &mut conn,
            2 * index as u32 + 1,
            &indexed_literal(name, &value),
        );
    }
    // the newest is the first
    let seen = ask(&mut conn, 11, &[indexed(62), indexed(64)].concat());
    assert_eq!(seen.field("x-c"), Some(&*value));
    assert_eq!(seen.field("x-a"), Some(&*value));
    assert_eq!(seen.field("x-b"), None);
    // 3 * 1,035 bytes are there; one more and 1,000 of another push the oldest out
    ask(&mut conn, 13, &indexed_literal("x-d", &value));
    let seen = ask(&mut conn, 15, &[indexed(62), indexed(64)].concat());
    assert_eq!(seen.field("x-d"), Some(&*value));
    assert_eq!(seen.field("x-b"), Some(&*value));
    // the block of a malformed head counts all the same (RFC 9113 §4.3), unless the connection ends with it
    let block = [
        &request("GET", "/", &[])[..],
        &indexed_literal("X-Bad", "1"),
    ]
    .concat();
    conn.send(&headers(17, flag::ALL, &block));
    while let Event::Frame(frame) = conn.next() {
        if frame.kind == kind::GOAWAY {
            return;
        }
        if frame.kind == kind::RST_STREAM
            || conn.streams.get(&17).is_some_and(|answer| answer.ended)
        {
            let seen = ask(&mut conn, 19, &indexed(63));
            assert_eq!(seen.field("x-d"), Some(&*value));
            return;
        }
    }
}

/// An origin whose answers have fields of their own.
fn many_fields() -> (Origin, Cluster) {
    let origin = Origin::start(|request, reply| {
        let own = request.target.repeat(5);
        let fields = [
            ("cache-control", "no-store"),
            ("x-same", "same of all"),
            ("x-own", &own),
            ("etag", "\"e\""),
        ];
        reply.answer(200, &fields, b"x")
    });
    let cluster = ClusterSpec::new(origin.address()).start();
    (origin, cluster)
}

fn fields_of(conn: &mut Conn, stream: u32) -> Fields {
    conn.send(&get_path(stream, &format!("/{stream}")));
    let answer = conn.answer(stream);
    assert_eq!(
        answer.field("x-own"),
        Some(&*format!("/{stream}").repeat(5))
    );
    assert_eq!(answer.field("x-same"), Some("same of all"));
    answer.fields
}

#[test]
fn the_servers_table_is_as_small_as_it_is_told() {
    // RFC 9113 §4.3.1, RFC 7541 §4.2: sizes that settings say, and what the next block begins with at most
    let (_origin, cluster) = many_fields();
    for sizes in [&[0][..], &[64], &[100], &[0, 4096], &[64, 200, 100]] {
        let mut conn = Conn::open(cluster.edge(0));
        for stream in [1, 3, 5] {
            fields_of(&mut conn, stream);
        }
        for size in sizes {
            conn.settings(&[(setting::HEADER_TABLE_SIZE, *size)]);
        }
        conn.settled();
        fields_of(&mut conn, 7);
        // what lies beyond the smallest was evicted: one update says so, and the table ends as the last one
        let updates = conn.decoder.updates.clone();
        let (smallest, last) = (sizes.iter().min().unwrap(), sizes.last().unwrap());
        assert!(
            updates
                .first()
                .is_some_and(|size| *size <= *smallest as usize),
            "{sizes:?}: {updates:?}"
        );
        assert!(
            updates.len() <= 2 && updates.iter().all(|size| *size <= *last as usize),
            "{sizes:?}: {updates:?}"
        );
        for stream in (9..40).step_by(2) {
            fields_of(&mut conn, stream);
        }
    }
}

#[test]
fn the_servers_table_may_grow_and_every_answer_is_read() {
    let (_origin, cluster) = many_fields();
    let mut conn = Conn::open(cluster.edge(0));
    fields_of(&mut conn, 1);
    conn.settings(&[(setting::HEADER_TABLE_SIZE, 1 << 16)]);
    for stream in (3..300).step_by(2) {
        fields_of(&mut conn, stream);
    }
}
