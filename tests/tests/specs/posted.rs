//! Answers to POST that are stored for the GETs that come after them (RFC 9110 §9.3.3).

use seawall_tests::client::get;
use seawall_tests::{
    Client, ClusterSpec, Fleet, FleetSpec, Gate, Origin, Request, Response, Then, eventually,
};
use serde_json::json;
use std::net::SocketAddr;

const FRESH: (&str, &str) = ("cache-control", "max-age=3600");
const SAME: (&str, &str) = ("content-location", "/");

fn post(edge: SocketAddr, fields: &[(&str, &str)], body: &[u8]) -> Response {
    let mut client = Client::connect(edge);
    client.request("POST", "/", fields, body);
    client.response("POST").unwrap()
}

/// Answers a POST with what was posted and these fields, and a GET with what is there.
fn echo(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::start(move |request, reply| match &request.method[..] {
        "POST" => reply.answer(200, fields, &request.body),
        _ => reply.answer(200, &[FRESH, ("etag", "\"got\"")], b"got"),
    })
}

fn gets(origin: &Origin) -> usize {
    let seen = origin.seen();
    let reads = |r: &&Request| r.method != "POST";
    seen.iter().filter(reads).count()
}

#[test]
fn a_get_and_a_head_are_answered_by_the_answer_to_a_post_that_is_their_target() {
    for shields in [0, 1] {
        let origin = echo(&[FRESH, SAME, ("etag", "\"1\""), ("vary", "accept-language")]);
        let cluster = ClusterSpec::new(origin.address())
            .shields(shields)
            .edges(2)
            .start();
        let swiss = ("accept-language", "de-CH");
        get(cluster.edge(0), "/", &[swiss]);
        let before = gets(&origin);
        for body in [&b"first"[..], b"second"] {
            let posted = post(cluster.edge(0), &[swiss], body);
            assert_eq!((posted.status, &posted.body[..]), (200, body));
            assert!(posted.edge_status().contains("stored"), "{posted:?}");
            let read = get(cluster.edge(0), "/", &[swiss]);
            assert!(read.is_hit() && read.body == body, "{read:?}");
            assert_eq!(read.field("content-location"), Some("/"));
            let mut client = Client::connect(cluster.edge(0));
            client.request("HEAD", "/", &[swiss], b"");
            let head = client.response("HEAD").unwrap();
            assert!(head.is_hit());
            assert_eq!(head.field("etag"), Some("\"1\""));
            let held = get(cluster.edge(0), "/", &[swiss, ("if-none-match", "\"1\"")]);
            assert_eq!(held.status, 304);
        }
        // every POST goes on, and what a GET got before is over
        assert_eq!(origin.seen().len() - gets(&origin), 2);
        assert_eq!(gets(&origin), before);
        // what another edge has not, the shield has
        let other = get(cluster.edge(1), "/", &[swiss]);
        assert_eq!(other.body == b"second", shields == 1, "{other:?}");
        // other fields select nothing of it
        assert_eq!(get(cluster.edge(0), "/", &[]).text(), "got");
    }
}

/// Whether the answer to a POST with `request`, which has these fields, answers a GET after it.
fn is_kept(request: &[(&str, &str)], fields: &'static [(&'static str, &'static str)]) -> bool {
    let origin = echo(fields);
    let cluster = ClusterSpec::new(origin.address()).start();
    get(cluster.edge(0), "/", &[]);
    let posted = post(cluster.edge(0), request, b"posted");
    assert_eq!((posted.status, &posted.text()[..]), (200, "posted"));
    let read = get(cluster.edge(0), "/", &[]);
    // it ends what was stored in any case (RFC 9111 §4.4)
    let kept = read.text() == "posted";
    assert_eq!(gets(&origin), if kept { 1 } else { 2 }, "{fields:?}");
    assert_eq!(posted.edge_status().contains("stored"), kept, "{fields:?}");
    kept
}

#[test]
fn an_answer_to_a_post_that_says_less_or_may_not_be_stored_is_not() {
    for (id, request, fields, kept) in [
        ("9.3.3", &[][..], &[FRESH, SAME][..], true),
        (
            "9.3.3 empty reference",
            &[],
            &[FRESH, ("content-location", "")],
            true,
        ),
        ("9.3.3 no freshness", &[], &[SAME, ("etag", "\"1\"")], false),
        ("9.3.3 no location", &[], &[FRESH], false),
        (
            "9.3.3 another",
            &[],
            &[FRESH, ("content-location", "/other")],
            false,
        ),
        (
            "9111-3",
            &[],
            &[("cache-control", "no-store, max-age=60"), SAME],
            false,
        ),
        (
            "9111-3",
            &[],
            &[("cache-control", "private, max-age=60"), SAME],
            false,
        ),
        (
            "9111-3",
            &[("cache-control", "no-store")],
            &[FRESH, SAME],
            false,
        ),
        ("9111-3.5", &[("authorization", "x")], &[FRESH, SAME], false),
        (
            "9111-3.5 public",
            &[("authorization", "x")],
            &[("cache-control", "public, max-age=60"), SAME],
            true,
        ),
        ("cookie", &[], &[FRESH, SAME, ("set-cookie", "a=b")], false),
        ("9111-4.1", &[], &[FRESH, SAME, ("vary", "*")], false),
        ("9111-4.1", &[], &[FRESH, SAME, ("vary", "cookie")], true),
        (
            "equivalents",
            &[],
            &[FRESH, SAME, ("no-vary-search", "params")],
            false,
        ),
    ] {
        assert_eq!(
            is_kept(request, fields),
            kept,
            "{id} {request:?} {fields:?}"
        );
    }
}

#[test]
fn an_answer_to_a_post_that_is_cut_or_long_passes_and_is_not_stored() {
    let origin = Origin::start(|request, reply| {
        let length = match request.field("x-want") {
            Some("cut") => 10,
            Some(_) => 70_000,
            None => return reply.fresh(b"got"),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-location: /\r\n{}\r\n\r\n",
            match request.field("x-want") {
                Some("chunked" | "broken") => "transfer-encoding: chunked".to_owned(),
                _ => format!("content-length: {length}"),
            }
        );
        reply.raw(head.as_bytes());
        match request.field("x-want") {
            Some("cut") => {
                reply.raw(b"01234");
                return Then::Close;
            }
            Some("broken") => {
                reply.raw(b"no chunk\r\n");
                return Then::Close;
            }
            Some("chunked") => {
                reply.raw(format!("{length:x}\r\n").as_bytes());
                reply.raw(&vec![b'x'; length]);
                reply.raw(b"\r\n0\r\n\r\n");
            }
            _ => reply.raw(&vec![b'x'; length]),
        }
        Then::Keep
    });
    let cluster = ClusterSpec::new(origin.address()).start();
    for want in ["cut", "broken", "long", "chunked"] {
        let mut client = Client::connect(cluster.edge(0));
        client.request("POST", "/", &[("x-want", want)], b"x");
        match (want, client.response("POST")) {
            ("broken", answer) => assert_eq!(answer.unwrap().status, 502),
            ("cut", answer) => assert!(answer.is_err()),
            (_, answer) => assert_eq!(answer.unwrap().body.len(), 70_000, "{want}"),
        }
        assert_eq!(get(cluster.edge(0), "/", &[]).text(), "got", "{want}");
    }
}

#[test]
fn an_answer_to_a_post_that_ends_with_its_last_chunk_is_stored_and_one_that_ends_with_its_connection_is_not()
 {
    for (framing, body, kept) in [
        (
            "transfer-encoding: chunked",
            &b"6\r\nposted\r\n0\r\n\r\n"[..],
            true,
        ),
        ("content-length: 6", b"posted", true),
        ("connection: close", b"posted", false),
    ] {
        let origin = Origin::start(move |request, reply| {
            if request.method != "POST" {
                return reply.fresh(b"got");
            }
            reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-location: /\r\n");
            reply.raw(format!("{framing}\r\n\r\n").as_bytes());
            reply.raw(body);
            Then::Close
        });
        let cluster = ClusterSpec::new(origin.address()).start();
        assert_eq!(
            post(cluster.edge(0), &[], b"x").text(),
            "posted",
            "{framing}"
        );
        let expect = if kept { "posted" } else { "got" };
        assert_eq!(get(cluster.edge(0), "/", &[]).text(), expect, "{framing}");
    }
}

/// Waits at its gate before a POST of `slow`, or a GET with `x-slow`, is answered.
fn slow(gate: &Gate) -> Origin {
    let door = gate.clone();
    Origin::start(move |request, reply| {
        if request.body == b"slow" || request.field("x-slow").is_some() {
            door.pass();
        }
        match &request.method[..] {
            "POST" => reply.answer(200, &[FRESH, SAME], &request.body),
            _ => reply.fresh(b"got"),
        }
    })
}

#[test]
fn of_two_changes_at_once_none_is_taken_for_the_later_one_that_was_asked_first() {
    let gate = Gate::default();
    let origin = slow(&gate);
    let cluster = ClusterSpec::new(origin.address()).start();
    let mut early = Client::connect(cluster.edge(0));
    early.request("POST", "/", &[], b"slow");
    eventually("it is asked", || origin.seen().len() == 1);
    assert_eq!(post(cluster.edge(0), &[], b"quick").text(), "quick");
    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "quick");
    gate.open();
    assert_eq!(early.response("POST").unwrap().text(), "slow");
    // which of them the origin made last is not known
    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "got");
}

#[test]
fn what_was_being_fetched_before_a_post_does_not_displace_its_answer() {
    let gate = Gate::default();
    let origin = slow(&gate);
    let cluster = ClusterSpec::new(origin.address()).start();
    let mut early = Client::connect(cluster.edge(0));
    early.request("GET", "/", &[("x-slow", "1")], b"");
    eventually("it is asked", || origin.seen().len() == 1);
    assert_eq!(post(cluster.edge(0), &[], b"posted").text(), "posted");
    gate.open();
    assert_eq!(early.response("GET").unwrap().text(), "got");
    for _ in 0..2 {
        let read = get(cluster.edge(0), "/", &[]);
        assert_eq!((read.is_hit(), &read.text()[..]), (true, "posted"));
    }
}

#[test]
fn a_purge_that_comes_while_a_post_is_answered_covers_its_answer() {
    let gate = Gate::default();
    let origin = slow(&gate);
    let spec = FleetSpec {
        disk: Some(64 << 20),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    let mut early = Client::connect(fleet.edge(0));
    early.request("POST", "/", &[], b"slow");
    eventually("it is asked", || origin.seen().len() == 1);
    fleet.purge_everywhere(json!({ "urls": ["http://www.example/"] }));
    gate.open();
    assert_eq!(early.response("POST").unwrap().text(), "slow");
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "got");

    // and one that is not purged outlives a restart, as what it ended stays so
    assert_eq!(post(fleet.edge(0), &[], b"posted").text(), "posted");
    fleet.stop_edge(0);
    fleet.start_edge(0);
    let read = get(fleet.edge(0), "/", &[]);
    assert_eq!((read.is_hit(), &read.text()[..]), (true, "posted"));
    fleet.purge_everywhere(json!({ "urls": ["http://www.example/"] }));
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "got");
}
