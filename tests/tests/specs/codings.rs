//! Content codings: negotiated, made once and stored (RFC 9110 §8.4, §12.5.3).

use seawall_tests::client::get;
use seawall_tests::{Cluster, Origin};

const TEXT: &[u8] = &[b'x'; 20_000];

fn origin(fields: &'static [(&'static str, &'static str)], body: &'static [u8]) -> Origin {
    Origin::start(move |_, reply| reply.answer(200, fields, body))
}

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
