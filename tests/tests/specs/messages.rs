//! What belongs to one message or one connection: hop-by-hop fields, cookies, Via, Max-Forwards, interim answers.

use seawall_tests::client::get;
use seawall_tests::{Client, Cluster, ClusterSpec, Origin, Response, Then};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// One answer to `request`, as it stands, on a connection of its own.
fn raw(address: SocketAddr, method: &str, request: &[u8]) -> Response {
    let mut client = Client::connect(address);
    client.send(request);
    client.response(method).expect("a whole answer")
}

/// One request over HTTP/2 in the clear.
async fn h2(
    address: SocketAddr,
    method: &str,
    fields: &[(&str, &str)],
) -> (u16, http::HeaderMap, Vec<u8>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    let running = tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut request = http::Request::builder()
        .method(method)
        .uri("http://www.example/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        bytes.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    running.abort();
    (head.status.as_u16(), head.headers, bytes)
}

#[test]
fn what_connection_names_ends_here_whatever_the_method_and_never_the_exchange() {
    // RFC 9110 §7.6.1: id, option, field named, whether it goes on
    let many = "x-hop, ".repeat(200);
    let rows = [
        ("own", "x-hop", "x-hop", false),
        ("close", "close, X-Hop", "x-hop", false),
        ("quoted", "\"x-hop\"", "x-hop", true),
        ("identity", "X-Forwarded-For", "x-forwarded-for", true),
        ("host", "host", "host", true),
        ("pseudo", ":authority", "x-hop", true),
        ("many", many.as_str(), "x-hop", false),
    ];
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for method in ["POST", "HEAD", "DELETE", "GET"] {
            for (id, option, field, goes_on) in rows {
                origin.forget();
                let request = format!(
                    "{method} /{id} HTTP/1.1\r\nhost: a\r\nconnection: {option}\r\nx-hop: 1\r\n\
                     keep-alive: timeout=9\r\nte: trailers\r\nproxy-authorization: Basic x\r\n\r\n"
                );
                let answer = raw(cluster.edge(0), method, request.as_bytes());
                assert_eq!(answer.status, 200, "{method} {id}: {answer:?}");
                let seen = origin.seen();
                assert_eq!(seen.len(), 1, "{method} {id}");
                let has = |name: &str| seen[0].field(name).is_some();
                assert_eq!(has(field), goes_on, "{method} {id}: {seen:?}");
                for name in ["keep-alive", "te", "proxy-authorization"] {
                    assert!(!has(name), "{method} {id}: {seen:?}");
                }
            }
        }
    }
}

#[test]
fn an_upgrade_to_anything_but_a_websocket_is_not_passed_on() {
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let cluster = Cluster::of(&origin);
    let request =
        b"POST / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
        http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\ncontent-length: 0\r\n\r\n";

    assert_eq!(raw(cluster.edge(0), "POST", request).status, 200);

    let seen = &origin.seen()[0];
    for name in ["upgrade", "http2-settings"] {
        assert_eq!(seen.field(name), None, "{seen:?}");
    }
}

#[tokio::test]
async fn fields_of_the_origins_connection_do_not_reach_clients() {
    // RFC 9110 §7.6.1, §11.7
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=9"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("upgrade", "h2c"),
            ("trailer", "x-sum"),
            ("x-kept", "1"),
        ];
        reply.answer(407, &fields, b"x")
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for method in ["POST", "GET", "HEAD"] {
            let request = format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
            let one = raw(cluster.edge(0), method, request.as_bytes());
            let one: Vec<String> = one.fields.into_iter().map(|(name, _)| name).collect();
            let (status, two, _) = h2(cluster.edge(0), method, &[]).await;
            assert_eq!(status, 407);
            let two: Vec<String> = two.keys().map(|name| name.as_str().to_owned()).collect();
            for names in [one, two] {
                let has = |name: &str| names.iter().any(|n| n == name);
                for name in [
                    "x-hop",
                    "keep-alive",
                    "proxy-authenticate",
                    "proxy-authentication-info",
                    "upgrade",
                    "trailer",
                ] {
                    assert!(!has(name), "{method} {name}: {names:?}");
                }
                assert!(has("x-kept"), "{method}: {names:?}");
            }
        }
    }
}

#[tokio::test]
async fn cookies_that_http2_sent_in_crumbs_are_one_field_again() {
    // RFC 9113 §8.2.3
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let cluster = Cluster::of(&origin);
    let crumbs = [
        ("cookie", "a=1"),
        ("x", "y"),
        ("cookie", "b=2; c=3"),
        ("cookie", "d=4"),
    ];

    for method in ["GET", "DELETE"] {
        origin.forget();
        let (status, _, _) = h2(cluster.edge(0), method, &crumbs).await;
        let seen = origin.seen();
        let cookies: Vec<&str> = seen[0]
            .fields
            .iter()
            .filter(|(name, _)| name == "cookie")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!((status, &cookies[..]), (200, &["a=1; b=2; c=3; d=4"][..]));
    }
}

#[tokio::test]
async fn via_names_the_version_that_a_message_came_in() {
    // RFC 9110 §7.6.3
    let origin = Origin::start(|request, reply| {
        if request.target.starts_with("/old") {
            reply.raw(b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx");
            return Then::Close;
        }
        reply.answer(200, &[], b"x")
    });
    let cluster = Cluster::of(&origin);
    let via = |request: &seawall_tests::Request| request.field("via").unwrap().to_owned();

    raw(
        cluster.edge(0),
        "GET",
        b"GET /new HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    raw(
        cluster.edge(0),
        "GET",
        b"GET /ten HTTP/1.0\r\nhost: a\r\n\r\n",
    );
    raw(
        cluster.edge(0),
        "POST",
        b"POST /ten HTTP/1.0\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
    );
    h2(cluster.edge(0), "GET", &[]).await;
    h2(cluster.edge(0), "DELETE", &[]).await;
    let seen: Vec<String> = origin.seen().iter().map(via).collect();
    let expect = ["1.1", "1.0", "1.0", "2.0", "2.0"]
        .map(|version| format!("{version} seawall-edge, 1.1 seawall-shield"));
    assert_eq!(seen, expect);

    let expect = Some("1.0 seawall-shield, 1.1 seawall-edge");
    assert_eq!(get(cluster.edge(0), "/old", &[]).field("via"), expect);
    let posted = b"POST /old HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(raw(cluster.edge(0), "POST", posted).field("via"), expect);
}

#[test]
fn a_method_that_is_not_served_is_told_which_are() {
    // RFC 9110 §15.5.6
    let origin = Origin::start(|_, reply| reply.answer(200, &[], b"x"));
    let cluster = Cluster::of(&origin);
    for request in [
        &b"TRACE / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
        b"TRACE / HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
    ] {
        let answer = raw(cluster.edge(0), "GET", request);
        assert_eq!(answer.status, 405, "{answer:?}");
        let allow = answer.field("allow").unwrap_or_default();
        assert!(
            allow.split(", ").any(|method| method == "GET"),
            "{answer:?}"
        );
    }
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn options_goes_no_further_than_max_forwards_says() {
    // RFC 9110 §7.6.2: id, value, who answers (the origin, and the value it sees)
    let rows = [
        ("none", None, Some(None)),
        ("here", Some("0"), None),
        ("shield", Some("1"), None),
        ("origin", Some("2"), Some(Some("0"))),
        ("far", Some("70"), Some(Some("68"))),
        (
            "huge",
            Some("99999999999999999999999"),
            Some(Some("4294967293")),
        ),
        ("malformed", Some("-1"), Some(Some("-1"))),
    ];
    let origin = Origin::start(|_, reply| reply.answer(200, &[("x-origin", "1")], b"x"));
    let cluster = Cluster::of(&origin);
    for (id, value, expect) in rows {
        origin.forget();
        let mut client = Client::connect(cluster.edge(0));
        let fields: Vec<(&str, &str)> = value.map(|v| ("max-forwards", v)).into_iter().collect();
        client.request("OPTIONS", &format!("/{id}"), &fields, b"");
        let answer = client.response("OPTIONS").unwrap();

        assert_eq!(answer.status, 200, "{id}: {answer:?}");
        let seen = origin.seen();
        let seen = seen.first().map(|request| request.field("max-forwards"));
        assert_eq!(seen, expect, "{id}");
        assert_eq!(answer.field("x-origin").is_some(), expect.is_some(), "{id}");
        assert_eq!(answer.field("allow").is_some(), expect.is_none(), "{id}");
        // the connection goes on
        assert_eq!(client.get("/", &[]).status, 200, "{id}");
    }
    // other methods do not count
    get(cluster.edge(0), "/get", &[("max-forwards", "0")]);
    assert_eq!(origin.count("/get"), 1);
}

#[test]
fn interim_answers_lose_what_final_ones_lose_and_do_not_go_to_http_1_0() {
    let origin = Origin::start(|_, reply| {
        reply.raw(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nseawall-label: 1.1\r\nsurrogate-key: secret\r\n\
              connection: x-hop\r\nx-hop: 1\r\n\r\nHTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 1\r\n\r\nx",
        );
        Then::Keep
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for method in ["GET", "POST"] {
            let mut client = Client::connect(cluster.edge(0));
            client.request(method, "/", &[], b"");
            let (status, fields) = client.head().unwrap();
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!((status, &names[..]), (103, &["link"][..]), "{method}");
            assert_eq!(client.response(method).unwrap().status, 200);
        }
        let old = raw(
            cluster.edge(0),
            "GET",
            b"GET /old HTTP/1.0\r\nhost: a\r\n\r\n",
        );
        assert_eq!((old.status, &old.interim[..]), (200, &[][..]));
    }
}

#[test]
fn an_absolute_target_without_a_path_may_have_a_query() {
    // RFC 9110 §4.2.3, RFC 9112 §3.2.1
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    let cluster = Cluster::of(&origin);
    let one = raw(
        cluster.edge(0),
        "GET",
        b"GET http://www.example?a=1 HTTP/1.1\r\nhost: www.example\r\n\r\n",
    );
    let two = get(cluster.edge(0), "/?a=1", &[]);

    assert_eq!((one.status, two.is_hit()), (200, true), "{one:?} {two:?}");
    assert_eq!(origin.count("/?a=1"), 1);
    let twice = b"GET http://www.example?a?b=/c HTTP/1.1\r\nhost: www.example\r\n\r\n";
    assert_eq!(raw(cluster.edge(0), "GET", twice).status, 200);
    assert_eq!(origin.count("/?a?b=/c"), 1);
}

#[test]
fn errors_of_our_own_are_not_for_other_caches_to_keep() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = silent.local_addr().unwrap();
    drop(silent);
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(nobody).shields(shields).start();
        for (method, fields) in [
            ("GET", &[][..]),
            ("POST", &[]),
            ("GET", &[("cache-control", "only-if-cached")]),
            ("TRACE", &[]),
        ] {
            let mut client = Client::connect(cluster.edge(0));
            client.request(method, "/", fields, b"");
            let answer = client.response(method).unwrap();
            assert!(matches!(answer.status, 405 | 502 | 504), "{answer:?}");
            assert_eq!(
                answer.field("cache-control"),
                Some("no-store"),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_is_broken_from_its_start_is_a_502_over_http2_too() {
    let origin = Origin::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
        Then::Close
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for method in ["GET", "DELETE"] {
            let (status, _, body) = h2(cluster.edge(0), method, &[]).await;
            let text = String::from_utf8_lossy(&body);
            assert_eq!(status, 502, "{method}: {text}");
            assert!(text.contains("phase response body"), "{method}: {text}");
        }
    }
}

#[test]
fn an_operator_may_have_the_key_told_by_hits_misses_passes_and_refusals() {
    // RFC 9211 §2.7
    let origin = Origin::start(|_, reply| reply.fresh(b"x"));
    for shows in [false, true] {
        let cluster = ClusterSpec::new(origin.address())
            .service(|s| s.response.cache_status_key = shows)
            .start();
        let mut keys = Vec::new();
        for (method, fields) in [
            ("GET", &[("range", "bytes=0-")][..]),
            ("GET", &[]),
            ("GET", &[("cache-control", "max-age=60")]),
            ("POST", &[]),
            ("GET", &[("cache-control", "only-if-cached")]),
        ] {
            let mut client = Client::connect(cluster.edge(0));
            client.request(method, "/", fields, b"");
            let answer = client.response(method).unwrap();
            let status = answer.field("cache-status").unwrap().to_owned();
            for member in status.split(", ") {
                let key = member.split("key=\"").nth(1).map(|rest| &rest[..33]);
                assert_eq!(key.is_some(), shows, "{status}");
                keys.extend(key.map(str::to_owned));
            }
        }
        assert!(
            keys.iter().all(|key| *key == keys[0] && key.ends_with('"')),
            "{keys:?}"
        );
    }
}

/// RFC 9110 §8.6
#[test]
fn a_length_is_told_once_and_never_of_what_has_no_content() {
    let origin = Origin::start(|request, reply| {
        reply.raw(match request.target.as_str() {
            "/none" => b"HTTP/1.1 204 x\r\ncache-control: max-age=60\r\ncontent-length: 0\r\n\r\n",
            "/twice" => {
                &b"HTTP/1.1 200 x\r\ncache-control: max-age=60\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx"[..]
            }
            _ => {
                b"HTTP/1.1 103 x\r\nlink: </a>\r\ncontent-length: 9\r\n\r\nHTTP/1.1 200 x\r\ncontent-length: 1\r\n\r\nx"
            }
        });
        Then::Keep
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for method in ["GET", "GET", "POST"] {
            let lengths = |target: &str| {
                let mut client = Client::connect(cluster.edge(0));
                client.request(method, target, &[], b"");
                let (_, fields) = client.head().unwrap();
                let lengths = fields.iter().filter(|(name, _)| name == "content-length");
                lengths.count()
            };
            assert_eq!(lengths("/none"), 0, "{method}");
            assert_eq!(lengths("/twice"), 1, "{method}");
            assert_eq!(lengths("/interim"), 0, "{method}");
        }
    }
}

/// RFC 9110 §7.8, §15.2.2
#[test]
fn an_origin_cannot_change_the_protocol_where_no_client_asked_for_it() {
    let origin = Origin::start(|_, reply| {
        reply.raw(b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nHTTP/1.1 200 x\r\n\r\n");
        Then::Close
    });
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for method in ["GET", "HEAD", "POST"] {
            let mut client = Client::connect(cluster.edge(0));
            client.request(method, "/", &[], b"");
            assert_eq!(client.response(method).unwrap().status, 502, "{method}");
        }
    }
}
