//! Content codings: negotiated, made once and stored (RFC 9110 §8.4, §12.5.3).
//!
//! Longer than most: what is coded, decoded and left alone is judged by the same few origins.

use seawall_service_model::Policy;
use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{
    Client, Cluster, ClusterSpec, Fleet, FleetSpec, Origin, Response, Then, eventually,
};
use serde_json::json;
use std::io::Read;

const TEXT: &[u8] = &[b'x'; 20_000];

fn origin(fields: &'static [(&'static str, &'static str)], body: &'static [u8]) -> Origin {
    Origin::start(move |_, reply| reply.answer(200, fields, body))
}

/// Text of which words come again, but not in a row.
fn words(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut text = Vec::new();
    while text.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.extend_from_slice(format!("word {} ", (state >> 33) % 5000).as_bytes());
    }
    text.truncate(length);
    text
}

/// `/N`: N bytes of text.
fn texts() -> Origin {
    Origin::start(|request, reply| {
        let length = request
            .target
            .trim_start_matches('/')
            .parse()
            .unwrap_or(5000);
        reply.answer(200, HTML, &words(length))
    })
}

/// The body without the coding that the answer names.
fn decoded(answer: &Response) -> Vec<u8> {
    let (mut body, mut plain) = (&answer.body[..], Vec::new());
    match answer.field("content-encoding") {
        None => return answer.body.clone(),
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        Some("zstd") => zstd::stream::read::Decoder::new(&mut body)
            .unwrap()
            .read_to_end(&mut plain),
        Some(other) => panic!("no coding: {other}"),
    }
    .unwrap();
    plain
}

const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];

const HTML: &[(&str, &str)] = &[
    ("content-type", "text/html"),
    ("cache-control", "max-age=3600"),
    ("etag", "\"v1\""),
];

/// The coding that each of two answers to a request with `fields` has, the first one from the origin.
fn coding_of(cluster: &Cluster, target: &str, fields: &[(&str, &str)]) -> Option<String> {
    let [first, second] = [(); 2].map(|()| {
        let answer = get(cluster.edge(0), target, fields);
        assert_eq!(answer.status, 200);
        answer.field("content-encoding").map(str::to_owned)
    });
    assert_eq!(first, second, "{target}: {fields:?}");
    first
}

#[test]
fn all_lines_of_accept_encoding_count() {
    // RFC 9110 §5.3, §12.5.3
    let origin = origin(HTML, TEXT);
    let cluster = Cluster::of(&origin);
    for (target, lines, expect) in [
        ("/1", ["deflate", "gzip"], Some("gzip")),
        ("/2", ["gzip;q=0.5", "identity;q=0.9"], None),
    ] {
        let lines = lines.map(|line| ("accept-encoding", line));
        assert_eq!(coding_of(&cluster, target, &lines).as_deref(), expect);
    }
}

#[test]
fn a_request_that_forbids_changes_gets_the_copy_as_it_came() {
    // RFC 9111 §5.2.1.6
    let origin = origin(HTML, TEXT);
    let cluster = Cluster::of(&origin);
    let gzip = ("accept-encoding", "gzip");
    let forbids = [gzip, ("cache-control", "no-transform")];
    assert_eq!(coding_of(&cluster, "/", &forbids), None);
    assert_eq!(coding_of(&cluster, "/", &[gzip]).as_deref(), Some("gzip"));
    assert_eq!(coding_of(&cluster, "/", &forbids), None);
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn each_coding_is_made_once_and_its_second_request_is_a_hit() {
    let origin = texts();
    let cluster = Cluster::of(&origin);
    // inline copies, and such whose codings are in chunks too
    for target in ["/5000", "/60000", "/2000000"] {
        let length: usize = target[1..].parse().unwrap();
        for coding in CODINGS {
            for nth in 0..3 {
                let answer = get(cluster.edge(0), target, &[("accept-encoding", coding)]);
                assert_eq!(answer.field("content-encoding"), Some(coding), "{target}");
                assert!(answer.body.len() * 2 < length, "{target} {coding}");
                assert!(decoded(&answer) == words(length), "{target} {coding}");
                assert_eq!(answer.field("etag"), Some("W/\"v1\""));
                assert_eq!(answer.field("vary"), Some("accept-encoding"));
                assert_eq!(answer.field("accept-ranges"), None);
                if nth > 0 {
                    assert!(answer.is_hit(), "{target} {coding}");
                    let length = answer.body.len().to_string();
                    assert_eq!(answer.field("content-length"), Some(&length[..]));
                }
            }
        }
        let plain = get(cluster.edge(0), target, &[]);
        assert_eq!(plain.field("content-encoding"), None);
        assert_eq!(plain.field("etag"), Some("\"v1\""));
        assert!(plain.is_hit() && plain.body == words(length));
        assert_eq!(origin.count(target), 1);
    }
    let coded = metric(&cluster.metrics(0), "seawall_compressions_total", &[]);
    assert_eq!(coded, 9);
}

#[test]
fn the_most_welcome_coding_is_sent_and_of_equals_the_shortest() {
    // RFC 9110 §12.4.2, §12.5.3
    let origin = texts();
    let cluster = Cluster::of(&origin);
    for (id, accept, expect) in [
        ("browser", "gzip, deflate, br, zstd", Some("br")),
        ("weights", "gzip;q=0.9, br;q=0.5, zstd;q=0.1", Some("gzip")),
        ("weights", "gzip;q=0.5, br;q=0.5, zstd", Some("zstd")),
        ("refused", "br;q=0, *", Some("zstd")),
        ("identity", "identity, gzip;q=0.9, br;q=0.9", None),
        ("identity", "identity;q=0.5, gzip;q=0.6", Some("gzip")),
        ("nothing known", "deflate, compress", None),
        ("empty", "", None),
    ] {
        let coding = coding_of(&cluster, "/", &[("accept-encoding", accept)]);
        assert_eq!(coding.as_deref(), expect, "{id}: {accept}");
    }
    assert_eq!(coding_of(&cluster, "/", &[]), None);
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn a_coding_is_sent_while_its_copy_and_it_are_made() {
    let origin = Origin::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncache-control: max-age=60\r\n");
        reply.raw(b"transfer-encoding: chunked\r\n\r\n");
        for part in words(3_000_000).chunks(100_000) {
            reply.raw(format!("{:x}\r\n", part.len()).as_bytes());
            reply.raw(part);
            reply.raw(b"\r\n");
        }
        reply.raw(b"0\r\n\r\n");
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    let mut clients: Vec<(&str, Client)> = Vec::new();
    for coding in CODINGS.iter().cycle().take(12) {
        let mut client = Client::connect(cluster.edge(0));
        client.request("GET", "/", &[("accept-encoding", coding)], b"");
        clients.push((*coding, client));
    }
    for (coding, client) in &mut clients {
        let answer = client.response("GET").unwrap();
        assert_eq!(answer.field("content-encoding"), Some(*coding));
        assert!(decoded(&answer) == words(3_000_000), "{coding}");
    }
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn no_range_of_what_is_coded_here_is_served_and_ranges_of_the_plain_copy_are() {
    // RFC 9110 §14.2: a server may ignore Range. Two nodes may have other bytes under one weak tag (§8.8.1)
    let origin = texts();
    let cluster = Cluster::of(&origin);
    let range = ("range", "bytes=100-199");
    for target in ["/5000", "/2000000"] {
        let length: usize = target[1..].parse().unwrap();
        for coding in CODINGS {
            let accept = ("accept-encoding", coding);
            // while it is made, and from what is stored
            for conditions in [
                &[][..],
                &[],
                &[("if-range", "W/\"v1\"")],
                &[("if-range", "\"v1\"")],
            ] {
                get(cluster.edge(0), target, &[]);
                let fields = [&[accept, range], conditions].concat();
                let answer = get(cluster.edge(0), target, &fields);
                assert_eq!(answer.status, 200, "{target} {fields:?}");
                assert_eq!(answer.field("content-encoding"), Some(coding));
                assert_eq!(answer.field("accept-ranges"), None);
                assert!(decoded(&answer) == words(length), "{target} {fields:?}");
            }
        }
        let part = get(cluster.edge(0), target, &[range]);
        assert_eq!(part.status, 206);
        assert_eq!(part.field("etag"), Some("\"v1\""));
        assert!(part.body == words(length)[100..200]);
    }
}

#[test]
fn what_has_no_body_is_answered_without_a_coding_being_made() {
    // RFC 9110 §9.3.2, §15.4.5
    let origin = Origin::start(|request, reply| match &request.target[..] {
        "/text" => reply.answer(200, HTML, &words(200_000)),
        _ => {
            let fields = [HTML, &[("content-encoding", "gzip")]].concat();
            reply.answer(200, &fields, &encoded("gzip", &words(200_000)))
        }
    });
    let cluster = with_policy(&origin, |policy| policy.decode = true);
    let made = || {
        let told = cluster.metrics(0);
        ["compressions", "decompressions"].map(|what| {
            let name = format!("seawall_{what}_total");
            metric(&told, &name, &[])
        })
    };
    for (target, stored_as, accept, coding) in [
        ("/text", "identity", "br", Some("br")),
        ("/coded", "gzip", "identity", None),
    ] {
        let accept = ("accept-encoding", accept);
        get(cluster.edge(0), target, &[("accept-encoding", stored_as)]);
        for (id, method, condition, status) in [
            ("9.3.2", "HEAD", None, 200),
            (
                "15.4.5 strong",
                "GET",
                Some(("if-none-match", "\"v1\"")),
                304,
            ),
            (
                "15.4.5 weak",
                "GET",
                Some(("if-none-match", "W/\"v1\"")),
                304,
            ),
            ("15.4.5 head", "HEAD", Some(("if-none-match", "*")), 304),
            ("13.1.1", "GET", Some(("if-match", "\"v1\"")), 412),
        ] {
            let fields: Vec<_> = [accept].into_iter().chain(condition).collect();
            let mut client = Client::connect(cluster.edge(0));
            client.request(method, target, &fields, b"");
            let answer = client.response(method).unwrap();
            assert_eq!(answer.status, status, "{id} {target}");
            assert!(answer.body.is_empty(), "{id} {target}");
            assert_eq!(answer.field("etag"), Some("W/\"v1\""), "{id} {target}");
            assert_eq!(answer.field("vary"), Some("accept-encoding"), "{id}");
            if status == 200 {
                assert_eq!(answer.field("content-encoding"), coding, "{id}");
                // it is not that of the copy, and not known
                assert_eq!(answer.field("content-length"), None, "{id} {target}");
            }
        }
    }
    assert_eq!(made(), [0, 0]);
    // what is made now is all that ever was
    get(cluster.edge(0), "/text", &[("accept-encoding", "gzip")]);
    eventually("it is stored", || made()[0] > 0);
    assert_eq!(made(), [1, 0]);
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_purge_ends_all_codings() {
    let bodies = [words(5000), words(6000)];
    let origin = {
        let (bodies, asked) = (bodies.clone(), std::sync::atomic::AtomicUsize::new(0));
        Origin::start(move |_, reply| {
            let nth = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            reply.answer(200, HTML, &bodies[nth.min(1)])
        })
    };
    let fleet = Fleet::start(
        FleetSpec {
            edges: 1,
            shields: 0,
            ..FleetSpec::default()
        },
        &origin,
    );
    let ask = |coding| get(fleet.edge(0), "/", &[("accept-encoding", coding)]);
    for body in &bodies {
        for coding in CODINGS {
            assert!(decoded(&ask(coding)) == *body, "{coding}");
            eventually("it is a hit", || {
                ask(coding).field("content-length").is_some()
            });
        }
        fleet.purge_everywhere(json!({ "urls": ["http://www.example/"] }));
    }
}

#[test]
fn a_node_that_restarts_has_every_coding_on_its_disk() {
    let origin = texts();
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        disk: Some(64 << 20),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    let targets = ["/5000", "/2000000"];
    let all = |fleet: &Fleet| {
        let mut bodies = Vec::new();
        for target in targets {
            for coding in CODINGS {
                let answer = get(fleet.edge(0), target, &[("accept-encoding", coding)]);
                assert_eq!(answer.field("content-encoding"), Some(coding), "{target}");
                assert!(decoded(&answer) == words(target[1..].parse().unwrap()));
                bodies.push(answer.body);
            }
        }
        bodies
    };
    let before = all(&fleet);
    let coded = |fleet: &Fleet| metric(&fleet.metrics(0), "seawall_compressions_total", &[]);
    eventually("all are stored", || coded(&fleet) == 6);
    fleet.stop_edge(0);
    fleet.start_edge(0);
    assert!(all(&fleet) == before);
    assert_eq!(coded(&fleet), 0);
    assert_eq!(origin.seen().len(), 2);
}

/// One edge and one shield with a policy of its own.
fn with_policy(origin: &Origin, change: impl FnOnce(&mut Policy)) -> Cluster {
    ClusterSpec::new(origin.address())
        .service(|service| change(&mut service.default))
        .start()
}

#[test]
fn a_rule_says_which_codings_there_are_and_which_types_get_them() {
    let origin = Origin::start(|request, reply| {
        let kind = request.target.trim_start_matches('/').replace("-of-", "/");
        let fields = [("content-type", &kind[..]), ("cache-control", "max-age=60")];
        reply.answer(200, &fields, &words(5000))
    });
    let all = [("accept-encoding", "br, zstd, gzip")];
    let none = with_policy(&origin, |policy| policy.codings.clear());
    assert_eq!(coding_of(&none, "/text-of-html", &all), None);

    use seawall_http_cache::{CompressTypes, ContentCoding};
    let cluster = with_policy(&origin, |policy| {
        policy.codings = vec![ContentCoding::Zstd, ContentCoding::Brotli];
        policy.compress_types = CompressTypes::Listed(vec!["application/*".parse().unwrap()]);
    });
    for (target, accept, expect) in [
        ("/application-of-pdf", "br, zstd, gzip", Some("zstd")),
        ("/application-of-pdf", "br, gzip", Some("br")),
        ("/application-of-pdf", "gzip", None),
        ("/text-of-html", "br, zstd, gzip", None),
    ] {
        let coding = coding_of(&cluster, target, &[("accept-encoding", accept)]);
        assert_eq!(coding.as_deref(), expect, "{target} {accept}");
    }
}

/// Negotiates for itself, among all codings, and says so.
fn negotiating() -> Origin {
    Origin::start(|request, reply| {
        let accept = request.field("accept-encoding").unwrap_or_default();
        let coding = CODINGS.into_iter().find(|coding| accept.contains(coding));
        let mut fields = HTML.to_vec();
        fields.push(("vary", "accept-encoding"));
        fields.extend(coding.map(|coding| ("content-encoding", coding)));
        let body = coding.map_or_else(|| words(5000), |coding| encoded(coding, &words(5000)));
        reply.answer(200, &fields, &body)
    })
}

#[test]
fn an_origin_is_asked_for_one_coding_or_none_where_a_rule_says_so() {
    use seawall_http_cache::ContentCoding::Gzip;
    use seawall_service_model::AcceptedCodings;
    // (what clients accept, what each is answered with)
    const CLIENTS: [(Option<&str>, Option<&str>); 8] = [
        (Some("gzip, deflate, br, zstd"), Some("br")),
        (Some("br, gzip"), Some("br")),
        (Some("zstd;q=0.9, br"), Some("br")),
        (Some("gzip, deflate"), Some("gzip")),
        (Some("gzip;q=0.7, deflate"), Some("gzip")),
        (Some("deflate"), None),
        (Some("identity"), None),
        (None, None),
    ];
    let ask = |cluster: &Cluster, accept: Option<&str>| {
        let fields: Vec<_> = accept.map(|a| ("accept-encoding", a)).into_iter().collect();
        get(cluster.edge(0), "/", &fields)
    };
    let asked = |origin: &Origin| {
        let field = |r: &seawall_tests::Request| r.field("accept-encoding").map(str::to_owned);
        origin.seen().iter().map(field).collect::<Vec<_>>()
    };
    let origin = negotiating();
    let cluster = with_policy(&origin, |policy| {
        policy.accept_encoding = AcceptedCodings::Normalised;
    });
    for round in 0..2 {
        for (accept, coding) in CLIENTS {
            let answer = ask(&cluster, accept);
            assert_eq!(answer.field("content-encoding"), coding, "{accept:?}");
            assert!(decoded(&answer) == words(5000), "{accept:?}");
            assert!(round == 0 || answer.is_hit(), "{accept:?}");
        }
    }
    let forms = ["br", "gzip", "identity"].map(|form| Some(form.to_owned()));
    assert_eq!(asked(&origin), forms);
    // who takes none of that is asked for as it asked
    ask(&cluster, Some("deflate, identity;q=0"));
    let last = Some("deflate, identity;q=0".to_owned());
    assert_eq!(asked(&origin).pop(), Some(last));

    // gzip or nothing; what the edge makes of it goes by what the client said
    let origin = negotiating();
    let cluster = with_policy(&origin, |policy| {
        policy.accept_encoding = AcceptedCodings::Normalised;
        policy.codings = vec![Gzip];
    });
    for accept in ["gzip", "br, gzip;q=0.1", "br", "zstd"] {
        ask(&cluster, Some(accept));
    }
    assert_eq!(
        asked(&origin),
        ["gzip", "identity"].map(|form| Some(form.to_owned()))
    );

    let origin = negotiating();
    let cluster = Cluster::of(&origin);
    for accept in ["gzip, deflate", "gzip"] {
        ask(&cluster, Some(accept));
    }
    let as_asked = ["gzip, deflate", "gzip"].map(|form| Some(form.to_owned()));
    assert_eq!(asked(&origin), as_asked);
}

/// `body` in `coding`.
fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut coded = Vec::new();
            flate2::read::GzEncoder::new(body, flate2::Compression::new(6))
                .read_to_end(&mut coded)
                .unwrap();
            coded
        }
        "br" => {
            let mut coded = Vec::new();
            brotli::CompressorReader::new(body, 4096, 5, 20)
                .read_to_end(&mut coded)
                .unwrap();
            coded
        }
        "zstd" => zstd::encode_all(body, 3).unwrap(),
        other => panic!("no coding: {other}"),
    }
}

/// `/CODING-N`: N bytes of text in this coding, whatever is accepted.
fn coding_origin(more: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::start(move |request, reply| {
        let (coding, length) = request.target[1..].split_once('-').unwrap();
        let fields = [HTML, &[("content-encoding", coding)], more].concat();
        reply.answer(
            200,
            &fields,
            &encoded(coding, &words(length.parse().unwrap())),
        )
    })
}

#[test]
fn what_came_coded_is_decoded_once_for_who_does_not_accept_it_where_a_rule_says_so() {
    let origin = coding_origin(&[]);
    let cluster = with_policy(&origin, |policy| policy.decode = true);
    let mut made = 0;
    for length in [5000, 2_000_000] {
        for coding in CODINGS {
            let target = format!("/{coding}-{length}");
            let other = if coding == "gzip" { "br" } else { "gzip" };
            let refuses = format!("{coding};q=0");
            for nth in 0..3 {
                // without the field, with other codings, by refusal
                for fields in [
                    &[][..],
                    &[("accept-encoding", other)],
                    &[("accept-encoding", &refuses[..])],
                    &[("accept-encoding", "")],
                ] {
                    let plain = get(cluster.edge(0), &target, fields);
                    assert_eq!(plain.field("content-encoding"), None, "{target} {fields:?}");
                    assert!(plain.body == words(length), "{target} {fields:?}");
                    assert_eq!(plain.field("etag"), Some("W/\"v1\""));
                    assert_eq!(plain.field("vary"), Some("accept-encoding"));
                    if nth > 0 {
                        assert!(plain.is_hit(), "{target} {fields:?}");
                        let length = length.to_string();
                        assert_eq!(plain.field("content-length"), Some(&length[..]));
                    }
                }
                let accept = format!("x, {coding};q=0.1");
                // no one else's coding is made of it, and a request may forbid that it is undone
                for fields in [
                    &[("accept-encoding", &accept[..])][..],
                    &[("cache-control", "no-transform")],
                    &[("accept-encoding", "identity;q=0")],
                ] {
                    let as_is = get(cluster.edge(0), &target, fields);
                    assert_eq!(as_is.field("content-encoding"), Some(coding), "{fields:?}");
                    assert_eq!(as_is.field("etag"), Some("\"v1\""));
                    assert!(decoded(&as_is) == words(length), "{target}");
                }
            }
            assert_eq!(origin.count(&target), 1);
            made += 1;
            let decoded = metric(&cluster.metrics(0), "seawall_decompressions_total", &[]);
            assert_eq!(decoded, made);
        }
    }
}

#[test]
fn what_came_coded_goes_out_as_it_came_where_no_rule_says_else_or_it_may_not_be_changed() {
    let rows: [(&'static [(&str, &str)], bool); 4] = [
        (&[], false),
        (&[("cache-control", "no-transform")], true),
        (&[("repr-digest", "sha-256=:AAAA:")], true),
        (&[("content-encoding", "br")], true),
    ];
    for (more, decode) in rows {
        let origin = coding_origin(more);
        let cluster = with_policy(&origin, |policy| policy.decode = decode);
        for _ in 0..2 {
            let answer = get(cluster.edge(0), "/gzip-5000", &[]);
            assert_eq!(answer.field("content-encoding"), Some("gzip"), "{more:?}");
            assert!(answer.body == encoded("gzip", &words(5000)), "{more:?}");
        }
        assert_eq!(origin.count("/gzip-5000"), 1);
    }
}

#[test]
fn a_decoded_copy_gets_the_fields_of_a_304_until_that_forbids_changes() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::start(move |request, reply| {
        let nth = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let (etag, gzip) = (("etag", "\"v1\""), ("content-encoding", "gzip"));
        let control = |value| ("cache-control", value);
        if request.field("if-none-match").is_some() {
            let fields = match nth {
                1 => [etag, control("max-age=60"), ("age", "90"), ("x-nth", "1")],
                _ => [
                    etag,
                    control("max-age=60, no-transform"),
                    ("age", "0"),
                    ("x-nth", "2"),
                ],
            };
            return reply.answer(304, &fields, b"");
        }
        let fields = [
            etag,
            gzip,
            control("max-age=60"),
            ("age", "90"),
            ("x-nth", "0"),
        ];
        reply.answer(200, &fields, &encoded("gzip", &words(5000)))
    });
    let cluster = ClusterSpec::new(origin.address())
        .shields(0)
        .service(|service| service.default.decode = true)
        .start();
    for (nth, coding) in [
        ("0", None),
        ("1", None),
        ("2", Some("gzip")),
        ("2", Some("gzip")),
    ] {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(answer.field("x-nth"), Some(nth));
        assert_eq!(answer.field("content-encoding"), coding, "{nth}");
        assert!(decoded(&answer) == words(5000), "{nth}");
    }
    assert_eq!(origin.count("/"), 3);
    let decoded = metric(&cluster.metrics(0), "seawall_decompressions_total", &[]);
    assert_eq!(decoded, 1);
}

#[test]
fn content_that_cannot_be_decoded_ends_the_connection_once_and_goes_out_as_it_came_from_then_on() {
    for (what, body) in [
        ("broken", b"this is no gzip".to_vec()),
        ("cut", {
            let whole = encoded("gzip", &words(50_000));
            whole[..whole.len() / 2].to_vec()
        }),
        // 60 MB of zeros, a thousand times as long as its coding
        ("a bomb", encoded("gzip", &vec![0; 60_000_000])),
    ] {
        let origin = Origin::start(move |_, reply| {
            let fields = [HTML, &[("content-encoding", "gzip")]].concat();
            reply.answer(200, &fields, &body)
        });
        let cluster = with_policy(&origin, |policy| policy.decode = true);
        let mut client = Client::connect(cluster.edge(0));
        client.request("GET", "/", &[], b"");
        assert!(client.response("GET").is_err(), "{what}");
        for _ in 0..2 {
            // it is not tried again, and the copy itself is good
            let came = get(cluster.edge(0), "/", &[]);
            assert_eq!(came.field("content-encoding"), Some("gzip"), "{what}");
            assert_eq!(came.field("etag"), Some("\"v1\""), "{what}");
            let as_is = get(cluster.edge(0), "/", &[("accept-encoding", "gzip")]);
            assert_eq!(as_is.field("content-encoding"), Some("gzip"), "{what}");
        }
        let stored = metric(&cluster.metrics(0), "seawall_decompressions_total", &[]);
        assert_eq!((stored, origin.count("/")), (0, 1), "{what}");
    }
}

/// RFC 9110 §12.5.5
#[test]
fn what_passes_as_it_came_says_that_others_of_its_url_are_coded() {
    let origin = texts();
    let cluster = Cluster::of(&origin);
    let mut client = Client::connect(cluster.edge(0));
    client.request("HEAD", "/5000", &[], b"");
    let head = client.response("HEAD").unwrap();
    assert_eq!(head.field("vary"), Some("accept-encoding"));
    let alone = [
        ("cache-control", "no-store"),
        ("if-none-match", "\"other\""),
    ];
    let whole = client.get("/5000", &alone);
    assert_eq!(whole.field("content-encoding"), None);
    assert_eq!(whole.field("vary"), Some("accept-encoding"));

    client.request("HEAD", "/100", &[], b"");
    let short = client.response("HEAD").unwrap();
    assert_eq!(short.field("vary"), None);
}
