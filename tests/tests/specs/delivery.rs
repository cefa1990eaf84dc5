//! Conditions, ranges, HEAD and codings, of stored and growing copies alike.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{Client, Cluster, ClusterSpec, Origin, Then};

fn letters() -> Vec<u8> {
    (0..100_000u32).map(|i| b'a' + (i % 26) as u8).collect()
}

fn alphabet() -> Origin {
    Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=3600"),
            ("etag", "\"v1\""),
            ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ("content-type", "application/octet-stream"),
        ];
        reply.answer(200, &fields, &letters())
    })
}

/// Asks cold, then warm: the answers are the same.
fn both(fields: &[(&str, &str)], expect: impl Fn(&seawall_tests::Response)) {
    let origin = alphabet();
    let cluster = Cluster::of(&origin);
    for _ in ["cold", "warm"] {
        let answer = get(cluster.edge(0), "/", fields);
        expect(&answer);
    }
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn a_condition_that_holds_is_answered_by_304() {
    for field in [
        ("if-none-match", "\"v0\", W/\"v1\""),
        ("if-none-match", "*"),
        ("if-modified-since", "Tue, 02 Jan 2024 00:00:00 GMT"),
    ] {
        both(&[field], |answer| {
            assert_eq!(answer.status, 304);
            assert_eq!(answer.field("etag"), Some("\"v1\""));
            assert!(answer.field("cache-status").is_some());
        });
    }
}

#[test]
fn a_condition_that_fails_is_answered_by_412_or_the_whole() {
    both(&[("if-match", "\"v0\"")], |answer| {
        assert_eq!(answer.status, 412);
    });
    both(&[("if-none-match", "\"v0\"")], |answer| {
        assert_eq!(answer.body, letters());
    });
}

#[test]
fn ranges_come_from_the_copy_one_or_many() {
    both(&[("range", "bytes=26-51")], |answer| {
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (206, "abcdefghijklmnopqrstuvwxyz")
        );
        assert_eq!(answer.field("content-range"), Some("bytes 26-51/100000"));
    });
    both(&[("range", "bytes=-5")], |answer| {
        assert_eq!(answer.body, letters()[99_995..]);
    });
    both(&[("range", "bytes=99990-")], |answer| {
        assert_eq!(answer.body, letters()[99_990..]);
    });
    both(&[("range", "bytes=100000-")], |answer| {
        assert_eq!(answer.status, 416);
        assert_eq!(answer.field("content-range"), Some("bytes */100000"));
    });
    both(&[("range", "lines=1-2")], |answer| {
        assert_eq!(answer.body, letters());
    });
    both(
        &[("range", "bytes=0-9"), ("if-range", "\"v0\"")],
        |answer| assert_eq!(answer.status, 200),
    );
    both(
        &[("range", "bytes=0-9"), ("if-range", "\"v1\"")],
        |answer| assert_eq!(answer.status, 206),
    );
}

#[test]
fn several_ranges_of_a_stored_copy_come_as_parts() {
    let origin = alphabet();
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/", &[]);

    let answer = get(cluster.edge(0), "/", &[("range", "bytes=0-1, 50000-50002")]);

    assert_eq!(answer.status, 206);
    let kind = answer.field("content-type").unwrap();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let letters = letters();
    let part = |range: &str, body: &[u8]| {
        format!(
            "\r\n--{boundary}\r\ncontent-type: application/octet-stream\r\ncontent-range: bytes {range}/100000\r\n\r\n{}",
            String::from_utf8_lossy(body)
        )
    };
    let expect = part("0-1", &letters[0..2])
        + &part("50000-50002", &letters[50_000..50_003])
        + &format!("\r\n--{boundary}--\r\n");
    assert_eq!(answer.text(), expect);
}

#[test]
fn a_copy_of_many_chunks_is_whole_from_memory() {
    let body: Vec<u8> = (0..3_000_001u32).map(|i| (i % 251) as u8).collect();
    let sent = body.clone();
    let origin = Origin::start(move |_, reply| reply.fresh(&sent));
    let cluster = Cluster::of(&origin);

    for _ in 0..3 {
        assert!(get(cluster.edge(0), "/", &[]).body == body);
    }
    let part = get(cluster.edge(0), "/", &[("range", "bytes=262000-524300")]);
    assert!(part.body == body[262_000..=524_300]);
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn an_answer_without_a_length_is_chunked_then_stored_with_one() {
    let origin = Origin::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        Then::Keep
    });
    let cluster = Cluster::of(&origin);

    assert_eq!(get(cluster.edge(0), "/", &[]).text(), "abcde");
    let hit = get(cluster.edge(0), "/", &[]);
    assert!(hit.is_hit());
    assert_eq!(
        (hit.field("content-length"), hit.text().as_str()),
        (Some("5"), "abcde")
    );
}

#[test]
fn head_is_answered_from_the_copy_and_asked_as_head_without_one() {
    let origin = alphabet();
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));

    client.request("HEAD", "/", &[], b"");
    let cold = client.response("HEAD").unwrap();
    client.get("/", &[]);
    client.request("HEAD", "/", &[], b"");
    let warm = client.response("HEAD").unwrap();

    for answer in [cold, warm] {
        assert_eq!(
            (answer.status, answer.field("content-length")),
            (200, Some("100000"))
        );
    }
    let methods: Vec<String> = origin.seen().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
}

fn text_origin(kind: &'static str, control: &'static str, body: &'static [u8]) -> Origin {
    Origin::start(move |_, reply| {
        reply.answer(
            200,
            &[
                ("cache-control", control),
                ("content-type", kind),
                ("etag", "\"v1\""),
            ],
            body,
        )
    })
}

const TEXT: &[u8] = &[b'x'; 20_000];

#[test]
fn plain_text_is_gzipped_once_and_kept_beside_the_plain_copy() {
    let origin = text_origin("text/html", "max-age=60", TEXT);
    let cluster = Cluster::of(&origin);

    for _ in 0..3 {
        let coded = get(
            cluster.edge(0),
            "/",
            &[("accept-encoding", "deflate, gzip")],
        );
        assert_eq!(coded.field("content-encoding"), Some("gzip"));
        assert_eq!(coded.field("etag"), Some("W/\"v1\""));
        assert!(
            coded
                .field("vary")
                .unwrap()
                .eq_ignore_ascii_case("accept-encoding")
        );
        assert!(
            coded.body.len() < 200 && coded.body.starts_with(&[0x1f, 0x8b]),
            "{}",
            coded.body.len()
        );
        let plain = get(cluster.edge(0), "/", &[]);
        assert_eq!(
            (plain.field("content-encoding"), plain.body.as_slice()),
            (None, TEXT)
        );
        assert_eq!(plain.field("etag"), Some("\"v1\""));
        assert!(
            plain
                .field("vary")
                .unwrap()
                .eq_ignore_ascii_case("accept-encoding")
        );
    }
    let fresh = get(
        cluster.edge(0),
        "/",
        &[("accept-encoding", "gzip"), ("if-none-match", "W/\"v1\"")],
    );
    assert_eq!(fresh.status, 304);
    assert_eq!(origin.count("/"), 1);
    assert_eq!(
        metric(&cluster.metrics(0), "seawall_compressions_total", &[]),
        1
    );
}

#[test]
fn what_must_not_or_need_not_be_gzipped_is_left_alone() {
    for (kind, control, body) in [
        ("text/html", "max-age=60, no-transform", TEXT),
        ("image/png", "max-age=60", TEXT),
        ("text/html", "max-age=60", &TEXT[..1000]),
    ] {
        let origin = text_origin(kind, control, body);
        let cluster = ClusterSpec::new(origin.address()).start();
        for _ in 0..2 {
            let answer = get(cluster.edge(0), "/", &[("accept-encoding", "gzip")]);
            assert_eq!(answer.field("content-encoding"), None, "{kind} {control}");
            assert_eq!(answer.body, body);
        }
    }
    let origin = text_origin("text/html", "max-age=60", TEXT);
    let cluster = ClusterSpec::new(origin.address()).start();
    let refused = get(cluster.edge(0), "/", &[("accept-encoding", "gzip;q=0")]);
    assert_eq!(refused.body, TEXT);
}
