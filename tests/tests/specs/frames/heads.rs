//! Heads that are malformed (RFC 9113 §8.1.1 to §8.3, §8.5), and what becomes of those that are not.

use super::client::{Answer, Conn};
use super::frame::{self, data, flag, headers};
use super::{Expect, Malformed, Step, hpack, judge, send};
use seawall_tests::{Cluster, Origin, Request};

type Field = (&'static str, &'static str);

const METHOD: Field = (":method", "GET");
const SCHEME: Field = (":scheme", "http");
const PATH: Field = (":path", "/");
const AUTHORITY: Field = (":authority", "www.example");

/// Sends each head, whole; each must be malformed, and the origin never asked. All that are not are told at once.
fn malformed(rows: &[(&str, &str, Vec<Field>)]) {
    let rows = rows.iter().map(|(id, rfc, fields)| {
        (
            *id,
            *rfc,
            send(&[headers(1, flag::ALL, &hpack::block(fields))]),
        )
    });
    malformed_steps(rows.collect(), Malformed(1));
}

fn malformed_steps(rows: Vec<(&str, &str, Vec<Step>)>, expect: Expect) {
    let origin = Origin::start(|_, reply| reply.fresh(b"must not be"));
    let cluster = Cluster::of(&origin);
    let failures: Vec<String> = rows
        .into_iter()
        .filter_map(|(id, rfc, steps)| {
            origin.forget();
            let mut found = judge(cluster.edge(0), steps, expect).err();
            if found.is_none() && !origin.seen().is_empty() {
                found = Some(format!("the origin sees {:?}", origin.seen()));
            }
            Some(format!("{id} ({rfc}): {expect:?} expected, but {}", found?))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_pseudo_field_that_is_unknown_repeated_misplaced_or_missing_makes_a_head_malformed() {
    let all = [METHOD, SCHEME, PATH, AUTHORITY];
    let and = |more: Field| [&all[..], &[more]].concat();
    let first = |more: Field| [&[more], &all[..]].concat();
    malformed(&[
        ("unknown", "8.3", first((":unknown", "x"))),
        ("of answers", "8.3", first((":status", "200"))),
        (
            ":protocol that was not offered",
            "8.3",
            first((":protocol", "websocket")),
        ),
        (
            "behind a field",
            "8.3",
            vec![METHOD, SCHEME, PATH, ("x-field", "1"), AUTHORITY],
        ),
        (
            "a required one behind a field",
            "8.3",
            vec![METHOD, SCHEME, AUTHORITY, ("x-field", "1"), PATH],
        ),
        (
            "empty :path",
            "8.3.1",
            vec![METHOD, SCHEME, (":path", ""), AUTHORITY],
        ),
        ("no :method", "8.3.1", vec![SCHEME, PATH, AUTHORITY]),
        ("no :scheme", "8.3.1", vec![METHOD, PATH, AUTHORITY]),
        ("no :path", "8.3.1", vec![METHOD, SCHEME, AUTHORITY]),
        ("two :method", "8.3.1", first(METHOD)),
        ("two :scheme", "8.3.1", first(SCHEME)),
        ("two :path", "8.3.1", first(PATH)),
        ("two :authority", "8.3", first(AUTHORITY)),
        ("two :method that differ", "8.3.1", and((":method", "POST"))),
        ("nothing at all", "8.3.1", vec![]),
        (
            "no slash before :path",
            "8.3.1",
            vec![METHOD, SCHEME, (":path", "index"), AUTHORITY],
        ),
        (
            "a user in :authority",
            "8.3.1",
            vec![METHOD, SCHEME, PATH, (":authority", "u@www.example")],
        ),
        (
            "empty :method",
            "8.3.1",
            vec![(":method", ""), SCHEME, PATH, AUTHORITY],
        ),
        (
            "CONNECT with a path",
            "8.5",
            vec![(":method", "CONNECT"), SCHEME, PATH, AUTHORITY],
        ),
        (
            "CONNECT without an authority",
            "8.5",
            vec![(":method", "CONNECT")],
        ),
    ]);
}

#[test]
fn a_field_that_http2_does_not_allow_makes_a_head_malformed() {
    let with = |more: Field| vec![METHOD, SCHEME, PATH, AUTHORITY, more];
    malformed(&[
        ("upper case", "8.2.1", with(("X-Upper", "1"))),
        ("one upper case letter", "8.2.1", with(("x-uppeR", "1"))),
        ("an empty name", "8.2.1", with(("", "1"))),
        ("a space in a name", "8.2.1", with(("x y", "1"))),
        ("a colon in a name", "8.2.1", with(("x:y", "1"))),
        ("NUL in a name", "8.2.1", with(("x\0y", "1"))),
        ("DEL in a name", "8.2.1", with(("x\x7f", "1"))),
        ("beyond ASCII in a name", "8.2.1", with(("x\u{e4}", "1"))),
        ("NUL in a value", "8.2.1", with(("x-a", "1\x002"))),
        ("CR in a value", "8.2.1", with(("x-a", "1\r2"))),
        ("LF in a value", "8.2.1", with(("x-a", "1\n2"))),
        (
            "another field in a value",
            "8.2.1",
            with(("x-a", "1\r\nx-b: 2")),
        ),
        ("a space before a value", "8.2.1", with(("x-a", " 1"))),
        ("a space behind a value", "8.2.1", with(("x-a", "1 "))),
        ("a tab before a value", "8.2.1", with(("x-a", "\t1"))),
        ("a tab behind a value", "8.2.1", with(("x-a", "1\t"))),
        ("connection", "8.2.2", with(("connection", "close"))),
        (
            "connection, naming a field",
            "8.2.2",
            with(("connection", "x-a")),
        ),
        ("keep-alive", "8.2.2", with(("keep-alive", "timeout=9"))),
        (
            "proxy-connection",
            "8.2.2",
            with(("proxy-connection", "keep-alive")),
        ),
        (
            "transfer-encoding",
            "8.2.2",
            with(("transfer-encoding", "chunked")),
        ),
        ("upgrade", "8.2.2", with(("upgrade", "websocket"))),
        ("te: gzip", "8.2.2", with(("te", "gzip"))),
        (
            "te: trailers and more",
            "8.2.2",
            with(("te", "trailers, deflate;q=0.5")),
        ),
        (
            "a length that is no number",
            "8.1.1",
            with(("content-length", "x")),
        ),
        (
            "a length with a sign",
            "8.1.1",
            with(("content-length", "+0")),
        ),
        (
            "a length where nothing follows",
            "8.1.1",
            with(("content-length", "1")),
        ),
        (
            "another host than :authority",
            "8.3.1",
            with(("host", "other.example")),
        ),
        (
            "two hosts",
            "8.3.1",
            [
                with(("host", "www.example")),
                vec![("host", "other.example")],
            ]
            .concat(),
        ),
        (
            "two lengths that differ",
            "8.1.1",
            [with(("content-length", "0")), vec![("content-length", "1")]].concat(),
        ),
    ]);
}

#[test]
fn what_would_be_another_request_where_it_is_passed_on_is_malformed() {
    // RFC 9113 §10.3: pseudo-fields become a request line
    let path = |value| vec![METHOD, SCHEME, (":path", value), AUTHORITY];
    let method = |value| vec![(":method", value), SCHEME, PATH, AUTHORITY];
    let authority = |value| vec![METHOD, SCHEME, PATH, (":authority", value)];
    malformed(&[
        ("a space in :path", "10.3", path("/a HTTP/1.1")),
        ("CR and LF in :path", "8.2.1", path("/a HTTP/1.1\r\nx: y")),
        ("NUL in :path", "8.2.1", path("/a\0b")),
        ("a tab in :path", "10.3", path("/a\tb")),
        (
            "a space in :method",
            "10.3",
            method("GET /b HTTP/1.1\r\nx:"),
        ),
        ("a space behind :method", "10.3", method("GET ")),
        (
            "CR and LF in :authority",
            "8.2.1",
            authority("www.example\r\nx: y"),
        ),
        ("a space in :authority", "10.3", authority("www.example x")),
        ("a path in :authority", "10.3", authority("www.example/a")),
    ]);
}

#[test]
fn a_body_or_trailers_that_contradict_their_head_are_malformed() {
    // the origin may have seen the head by then
    let post = |length: &str| {
        let fields = [("content-length", length)];
        headers(1, flag::END_HEADERS, &frame::request("POST", "/", &fields))
    };
    let trailers = |field: Field| {
        let block = hpack::literal(field.0, field.1);
        send(&[
            frame::post(1),
            data(1, 0, b"body"),
            headers(1, flag::ALL, &block),
        ])
    };
    super::check(|| {
        vec![
            (
                "less than the length",
                "8.1.1",
                send(&[post("5"), data(1, 1, b"body")]),
                Malformed(1),
            ),
            (
                "more than the length",
                "8.1.1",
                send(&[post("1"), data(1, 1, b"body")]),
                Malformed(1),
            ),
            (
                "more in two frames",
                "8.1.1",
                send(&[post("1"), data(1, 0, b"bo"), data(1, 1, b"dy")]),
                Malformed(1),
            ),
            (
                "more, and no end",
                "8.1.1",
                send(&[post("1"), data(1, 0, b"bo"), data(1, 0, b"dy")]),
                Malformed(1),
            ),
            (
                "no body at all",
                "8.1.1",
                send(&[post("1"), data(1, 1, b"")]),
                Malformed(1),
            ),
            (
                "trailers before the length is there",
                "8.1.1",
                send(&[
                    post("5"),
                    data(1, 0, b"body"),
                    headers(1, flag::ALL, &hpack::literal("x-a", "1")),
                ]),
                Malformed(1),
            ),
            (
                "a pseudo-field in trailers",
                "8.1",
                trailers((":method", "GET")),
                Malformed(1),
            ),
            (
                "an upper case name in trailers",
                "8.2.1",
                trailers(("X-Sum", "1")),
                Malformed(1),
            ),
            (
                "a line break in trailers",
                "8.2.1",
                trailers(("x-sum", "1\r\nx: y")),
                Malformed(1),
            ),
            (
                "connection in trailers",
                "8.2.2",
                trailers(("connection", "close")),
                Malformed(1),
            ),
        ]
    });
}

/// Sends one head; what the origin sees, and the answer.
fn passes(fields: &[Field]) -> (Request, Answer) {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let cluster = Cluster::of(&origin);
    let mut conn = Conn::open(cluster.edge(0));
    conn.send(&headers(1, flag::ALL, &hpack::block(fields)));
    let answer = conn.answer(1);
    assert_eq!(answer.status, 200, "{fields:?}: {answer:?}");
    (origin.seen().remove(0), answer)
}

#[test]
fn a_head_in_order_is_passed_on_as_it_is() {
    let all = [METHOD, SCHEME, (":path", "/a?b=%20c"), AUTHORITY];
    let with = |more: &[Field]| [&all[..], more].concat();

    // RFC 9113 §8.2.3: one field again, in order
    let (seen, _) = passes(&with(&[
        ("cookie", "a=1"),
        ("x-a", "1"),
        ("cookie", "b=2"),
        ("cookie", "c=3"),
    ]));
    assert_eq!(seen.target, "/a?b=%20c");
    assert_eq!(seen.field("host"), Some("www.example"));
    let cookies: Vec<_> = seen
        .fields
        .iter()
        .filter(|(name, _)| name == "cookie")
        .collect();
    assert_eq!(
        cookies,
        [&("cookie".to_owned(), "a=1; b=2; c=3".to_owned())]
    );

    // §8.2.2: the one field of a connection that is allowed goes no further
    let (seen, _) = passes(&with(&[("te", "trailers")]));
    assert_eq!(seen.field("te"), None);

    // §8.3.1: a host that agrees, and one in the place of :authority
    let (seen, _) = passes(&with(&[("host", "www.example")]));
    assert_eq!(seen.field("host"), Some("www.example"));
    let (seen, _) = passes(&[METHOD, SCHEME, PATH, ("host", "www.example")]);
    assert_eq!(seen.field("host"), Some("www.example"));

    // pseudo-fields in any order; names and values of all that is allowed
    let (seen, _) = passes(&[
        AUTHORITY,
        PATH,
        METHOD,
        SCHEME,
        ("x!#$%&'*+-.^_`|~9", "a \"b\"\t\\ c"),
        ("x-empty", ""),
        ("content-length", "0"),
    ]);
    assert_eq!(seen.field("x!#$%&'*+-.^_`|~9"), Some("a \"b\"\t\\ c"));
    assert_eq!(seen.field("x-empty"), Some(""));
    for (name, _) in &seen.fields {
        assert!(!name.starts_with(':'), "{seen:?}");
    }
}

#[test]
fn options_of_the_whole_server_is_a_star() {
    // RFC 9113 §8.3.1
    let (seen, _) = passes(&[(":method", "OPTIONS"), SCHEME, (":path", "*"), AUTHORITY]);
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("OPTIONS", "*")
    );
}
