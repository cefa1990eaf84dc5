//! Sentences of the RFCs that belong to no other group.

use seawall_tests::client::get;
use seawall_tests::{Client, Cluster, ClusterSpec, Origin, Response, Then};
use std::net::SocketAddr;

fn ask(address: SocketAddr, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
    let mut client = Client::connect(address);
    client.request(method, target, fields, b"");
    client.response(method).expect("a whole answer")
}

/// RFC 9111 §5.2: a proxy passes directives on, whatever they mean to it.
#[test]
fn directives_pass_both_ways_known_or_not() {
    let asked = "x-ext=\"a, no-store\", max-age=100";
    let told = "max-age=60, x-ext=\"b, no-store\", immutable";
    let origin = Origin::start(move |_, reply| reply.answer(200, &[("cache-control", told)], b"x"));
    for shields in [0, 1] {
        origin.forget();
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        for method in ["GET", "GET", "POST"] {
            let answer = ask(cluster.edge(0), method, "/", &[("cache-control", asked)]);
            assert_eq!(answer.field("cache-control"), Some(told), "{method}");
        }
        let seen = origin.seen();
        assert_eq!(seen.len(), 2, "the second one is a hit");
        for request in seen {
            assert_eq!(request.field("cache-control"), Some(asked), "{request:?}");
        }
    }
}

/// RFC 9110 §6.6.1: who receives an answer without `Date` adds one, where it is stored or goes on.
#[test]
fn an_answer_without_a_date_gets_one() {
    let origin = Origin::start(|request, reply| match request.target.as_str() {
        "/kept" => reply.fresh(b"x"),
        _ => reply.answer(200, &[("cache-control", "no-store")], b"x"),
    });
    let cluster = Cluster::of(&origin);
    for (method, target) in [
        ("GET", "/kept"),
        ("GET", "/kept"),
        ("GET", "/passed"),
        ("GET", "/passed"),
        ("HEAD", "/passed"),
        ("POST", "/passed"),
    ] {
        let answer = ask(cluster.edge(0), method, target, &[]);
        let dates: Vec<_> = answer.fields.iter().filter(|(n, _)| n == "date").collect();
        assert_eq!(dates.len(), 1, "{method} {target}: {answer:?}");
        assert!(dates[0].1.ends_with(" GMT"), "{answer:?}");
    }
}

/// RFC 9111 §5.5: `Warning` is obsolete. What an origin says is not for a cache to remove.
#[test]
fn a_stale_answer_carries_no_warning_of_ours() {
    let origin = Origin::start(|request, reply| {
        let stale = ("cache-control", "max-age=60, stale-while-revalidate=600");
        match request.target.as_str() {
            "/own" => reply.answer(200, &[stale, ("warning", "199 - \"x\"")], b"x"),
            _ => reply.answer(200, &[stale, ("age", "100")], b"x"),
        }
    });
    let cluster = Cluster::of(&origin);
    for _ in 0..2 {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!(answer.field("warning"), None);
        let own = get(cluster.edge(0), "/own", &[]);
        assert_eq!(own.field("warning"), Some("199 - \"x\""));
    }
}

/// RFC 9110 §6.5.1, RFC 9111 §3.1: fields of a trailer section are never merged into the head.
#[test]
fn trailers_end_here_and_change_nothing() {
    let origin = Origin::start(|_, reply| {
        reply.raw(
            b"HTTP/1.1 200 x\r\ncache-control: max-age=60\r\ntrailer: x-sum, etag\r\ntransfer-encoding: chunked\r\n\r\n\
              1\r\nx\r\n0\r\nx-sum: 1\r\netag: \"t\"\r\ncache-control: no-store\r\ncontent-length: 9\r\n\r\n",
        );
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    for hit in [false, true] {
        let answer = get(cluster.edge(0), "/", &[("te", "trailers")]);
        assert_eq!((answer.text().as_str(), answer.is_hit()), ("x", hit));
        for name in ["trailer", "x-sum", "etag"] {
            assert_eq!(answer.field(name), None, "{name}");
        }
        assert_eq!(answer.field("cache-control"), Some("max-age=60"));
    }
}

/// RFC 9112 §5.1, §5.2: white space before a colon goes, and a folded line becomes one.
#[test]
fn a_field_that_an_origin_spaced_or_folded_is_read_and_goes_on_as_one_line() {
    let origin = Origin::start(|_, reply| {
        reply.raw(
            b"HTTP/1.1 200 x\r\ncontent-length : 1\r\ncache-control : max-age=60,\r\n\t x-ext=1\r\n\r\nx",
        );
        Then::Keep
    });
    let cluster = Cluster::of(&origin);
    for hit in [false, true] {
        let answer = get(cluster.edge(0), "/", &[]);
        assert_eq!((answer.text().as_str(), answer.is_hit()), ("x", hit));
        let control = answer.field("cache-control").unwrap_or_default();
        let members: Vec<&str> = control.split(',').map(str::trim).collect();
        assert_eq!(members, ["max-age=60", "x-ext=1"]);
    }
}

/// RFC 9110 §12.5.5, RFC 9111 §4.1: what `Vary` says, written in odd ways, over several lines.
#[test]
fn a_vary_that_is_odd_selects_what_it_says_or_nothing() {
    const ROWS: [(&str, &[&str], bool); 7] = [
        ("empty", &[""], true),
        ("empty members", &[", x-a,,"], true),
        ("star in a list", &["x-a, *"], false),
        ("star behind nothing", &[", *"], false),
        ("stars", &["*, *"], false),
        ("star in another line", &["x-a", "*"], false),
        ("no field name", &["x a"], false),
    ];
    let origin = Origin::start(|request, reply| {
        let index: usize = request.target[1..].parse().unwrap_or_default();
        let mut fields = vec![("cache-control", "max-age=60")];
        fields.extend(ROWS[index].1.iter().map(|line| ("vary", *line)));
        reply.answer(200, &fields, b"x")
    });
    let cluster = Cluster::of(&origin);
    for (index, (id, _, stored)) in ROWS.iter().enumerate() {
        let target = format!("/{index}");
        get(cluster.edge(0), &target, &[("x-a", "1")]);
        let again = get(cluster.edge(0), &target, &[("x-a", "1")]);
        assert_eq!(again.is_hit(), *stored, "{id}");
    }
}
