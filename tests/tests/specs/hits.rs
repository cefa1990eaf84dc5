//! Plain hits take a short way: where the connection was accepted, or in its own loop. Nobody can tell by the answer.

use seawall_config::IpNet;
use seawall_tests::client::{get, request};
use seawall_tests::{Client, Cluster, ClusterSpec, Origin, Response};
use std::time::{Duration, Instant};

/// Lengths below and above what is copied behind a head, what lies beside it, one chunk, and a socket's buffer.
const LENGTHS: [usize; 6] = [0, 1, 1024, 10_000, 100_000, 1_000_000];

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn origin() -> Origin {
    Origin::start(|request, reply| {
        let length = request.target[1..].parse().unwrap_or(5);
        let fields = [
            ("cache-control", "max-age=3600"),
            ("content-type", "image/png"),
            ("content-md5", "x"),
            ("etag", "\"1\""),
            ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ("x-own", "1"),
            ("x-own", "2"),
        ];
        reply.answer(200, &fields, &body(length))
    })
}

/// Sent in one piece; true: the connection is closed behind the answer.
fn alone(cluster: &Cluster, bytes: &[u8], method: &str) -> (Response, bool) {
    let mut client = Client::connect(cluster.edge(0));
    client.send(bytes);
    let answer = client.response(method).expect("a whole answer");
    let closed = client.is_closed();
    (answer, closed)
}

#[test]
fn the_answer_to_a_last_request_comes_whole_and_then_the_end() {
    let origin = origin();
    let cluster = Cluster::of(&origin);
    for length in LENGTHS {
        let target = format!("/{length}");
        get(cluster.edge(0), &target, &[]);
        let last = request("GET", &target, &[("connection", "close")], b"");

        let (first, closed) = alone(&cluster, &last, "GET");
        assert!(first.is_hit() && closed, "{length}");
        assert_eq!(first.body, body(length));
        assert_eq!(first.field("connection"), Some("close"));

        let mut kept = Client::connect(cluster.edge(0));
        let before = kept.get(&target, &[]);
        assert_eq!(before.field("connection"), None);
        kept.send(&last);
        let second = kept.response("GET").expect("a whole answer");
        assert_eq!(second.body, body(length));
        assert!(kept.is_closed(), "{length}");
    }
}

#[test]
fn what_is_sent_behind_a_last_request_is_not_answered() {
    let origin = origin();
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/1024", &[]);
    let last = request("GET", "/1024", &[("connection", "close")], b"");
    // more than is read at once: closed over it, the connection would be reset
    let next = request("GET", "/1024", &[], b"").repeat(500);

    let (answer, closed) = alone(&cluster, &[last, next].concat(), "GET");

    assert_eq!(answer.body, body(1024));
    assert!(closed);
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let origin = origin();
    let cluster = Cluster::of(&origin);
    let lengths = [1, 1024, 10_000, 1, 100_000, 1024];
    for length in lengths {
        get(cluster.edge(0), &format!("/{length}"), &[]);
    }
    let all: Vec<u8> = lengths
        .iter()
        .flat_map(|length| request("GET", &format!("/{length}"), &[], b""))
        .collect();
    // in one piece, and cut at every hundredth byte
    for piece in [all.len(), 100] {
        let mut client = Client::connect(cluster.edge(0));
        for piece in all.chunks(piece) {
            client.send(piece);
        }
        for length in lengths {
            let answer = client.response("GET").expect("a whole answer");
            assert!(answer.is_hit());
            assert_eq!(answer.body, body(length));
        }
    }
}

#[test]
fn a_hit_says_the_same_on_the_short_way_as_on_the_long_one() {
    let origin = origin();
    let cluster = Cluster::of(&origin);
    // a request that has passed another network goes the long way
    let long = ("cdn-loop", "other");
    let fields: [&[(&str, &str)]; 16] = [
        &[],
        &[("if-none-match", "\"1\"")],
        &[("if-none-match", "W/\"1\", \"2\"")],
        &[("if-none-match", "\"2\"")],
        &[("if-none-match", "*")],
        &[("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT")],
        &[("if-modified-since", "Sun, 31 Dec 2023 00:00:00 GMT")],
        &[
            ("if-none-match", "\"2\""),
            ("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ],
        &[("range", "bytes=0-99")],
        &[("range", "bytes=-1")],
        &[("range", "bytes=500-")],
        &[("range", "bytes=0-0, 5-6")],
        &[("range", "bytes=2000000-")],
        &[("range", "bytes=0-9"), ("if-range", "\"1\"")],
        &[("range", "bytes=0-9"), ("if-range", "\"2\"")],
        &[("range", "bytes=0-9"), ("if-none-match", "\"1\"")],
    ];
    for length in [0, 1024, 100_000] {
        let target = format!("/{length}");
        get(cluster.edge(0), &target, &[]);
        for (method, fields) in ["GET", "HEAD"]
            .into_iter()
            .flat_map(|method| fields.map(|fields| (method, fields)))
        {
            let ask = |fields: &[(&str, &str)]| {
                let mut client = Client::connect(cluster.edge(0));
                client.request(method, &target, fields, b"");
                client.response(method).expect("a whole answer")
            };
            let seen = |mut answer: Response| {
                // a second may begin between the two
                answer.fields.retain(|(name, _)| name != "age");
                for (name, value) in &mut answer.fields {
                    if name == "cache-status" {
                        value.truncate(value.find("; ttl=").unwrap_or(value.len()));
                    }
                    if value.starts_with("multipart/") {
                        "multipart".clone_into(value);
                    }
                }
                answer.fields.sort();
                if answer.status == 206 && answer.field("content-type") == Some("multipart") {
                    // its boundary is another one each time
                    answer.body.clear();
                }
                (answer.status, answer.fields, answer.body)
            };
            let what = format!("{method} {target} {fields:?}");
            let short = ask(fields);
            assert!(short.is_hit(), "{what}: {short:?}");
            let refused = short.status == 416;
            assert_eq!(short.field("age").is_none(), refused, "{what}");
            let others = ask(&[fields, &[long]].concat());
            assert_eq!(seen(short), seen(others), "{what}");
        }
    }
}

#[test]
fn a_listed_proxy_says_which_scheme_a_hit_is_for() {
    let origin = Origin::start(|request, reply| {
        let scheme = request.field("x-forwarded-proto").unwrap_or_default();
        reply.fresh(scheme.as_bytes())
    });
    let ask = |cluster: &Cluster, scheme| {
        let answer = get(cluster.edge(0), "/", &[("x-forwarded-proto", scheme)]);
        (answer.text(), answer.is_hit())
    };

    let mut spec = ClusterSpec::new(origin.address());
    spec.trusted_proxies = vec!["127.0.0.0/8".parse::<IpNet>().unwrap()];
    let listed = spec.start();
    assert_eq!(ask(&listed, "http"), ("http".into(), false));
    assert_eq!(ask(&listed, "https"), ("https".into(), false));
    assert_eq!(ask(&listed, "http"), ("http".into(), true));
    assert_eq!(ask(&listed, "https"), ("https".into(), true));

    let unlisted = Cluster::of(&origin);
    assert_eq!(ask(&unlisted, "https"), ("http".into(), false));
    assert_eq!(ask(&unlisted, "https"), ("http".into(), true));
}

#[test]
fn a_connection_is_idle_from_its_last_request_on() {
    const IDLE: Duration = Duration::from_millis(200);
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = ClusterSpec::new(origin.address())
        .conn(|conn| conn.idle_timeout = IDLE)
        .start();
    let mut client = Client::connect(cluster.edge(0));
    let begun = Instant::now();
    let mut last = begun;
    let mut requests = 0;
    while begun.elapsed() < IDLE * 3 {
        // a machine that stands still for so long has ended it, rightly
        if last.elapsed() > IDLE / 2 {
            client = Client::connect(cluster.edge(0));
        }
        last = Instant::now();
        client.get("/", &[]);
        requests += 1;
        std::thread::sleep(IDLE / 10);
    }
    let asked = Instant::now();
    client.get("/", &[]);

    assert!(client.is_closed());

    assert!(requests > 1);
    // the node's clock is coarse
    assert!(asked.elapsed() > IDLE * 9 / 10, "{:?}", asked.elapsed());
}
