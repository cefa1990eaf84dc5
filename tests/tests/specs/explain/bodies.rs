//! What is told of bodies: equivalent URLs, codings, parts.

use super::{explain, node};
use seawall_tests::client::get;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};

const CHUNK: u64 = 256 << 10;

#[test]
fn a_copy_of_an_equivalent_url_is_told_with_the_key_that_it_lies_under() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=3600"),
            ("no-vary-search", "params=(\"u\")"),
        ];
        reply.answer(200, &fields, b"body")
    });
    let fleet = Fleet::of(&origin);
    get(fleet.edge(0), "/a?x=1&u=1", &[]);
    let first = explain(&fleet, "http://www.example/a?x=1&u=1", &[]);
    assert_eq!(node(&first, "edge-0")["found_under"], Value::Null);

    let other = explain(&fleet, "http://www.example/a?u=2&x=1", &[]);
    for id in ["edge-0", "shield-0"] {
        let node = node(&other, id);
        assert_eq!(node["outcome"], "hit", "{node}");
        assert_eq!(node["key"], other["key"], "{id}");
        assert_eq!(node["found_under"], first["key"], "{id}");
        assert_eq!(node["copies"][0]["selected"], true, "{id}");
        let why = node["why"].as_str().unwrap();
        assert!(why.contains("equivalent URL"), "{why}");
        // what became of requests with the key that the copy lies under
        assert_eq!(node["last"][0]["outcome"], "miss", "{node}");
    }
    // a URL that only looks like it
    let unlike = explain(&fleet, "http://www.example/a?u=2&x=2", &[]);
    let edge = node(&unlike, "edge-0");
    assert_eq!(
        (&edge["outcome"], &edge["found_under"]),
        (&json!("miss"), &Value::Null)
    );
    assert_eq!(edge["copies"], json!([]));
    assert_eq!(origin.seen().len(), 1);
}

/// The edge's answer once it tells of `recoding` beside its copy.
fn once_coded(fleet: &Fleet, url: &str, recoding: &str, headers: &[&str]) -> Value {
    let mut edge = Value::Null;
    eventually("the coding is stored", || {
        edge = node(&explain(fleet, url, headers), "edge-0").clone();
        edge["copies"][0]["recoded"][0]["recoding"] == recoding
    });
    edge
}

#[test]
fn codings_beside_a_copy_are_told_and_the_one_that_the_request_would_get() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=3600"),
            ("content-type", "text/html"),
        ];
        reply.answer(200, &fields, &vec![b'x'; 20_000])
    });
    let url = "http://www.example/";
    let fleet = Fleet::of(&origin);
    get(fleet.edge(0), "/", &[]);
    let told = explain(&fleet, url, &["Accept-Encoding: gzip"]);
    let edge = node(&told, "edge-0");
    assert_eq!(
        (&edge["outcome"], &edge["recoding"]),
        (&json!("hit"), &json!("gzip"))
    );
    let copy = &edge["copies"][0];
    assert_eq!(
        (&copy["negotiable"], &copy["recoded"]),
        (&json!(true), &json!([]))
    );
    assert!(
        edge["why"]
            .as_str()
            .unwrap()
            .contains("made of the copy for it"),
        "{edge}"
    );
    // shields send copies as they are
    assert_eq!(node(&told, "shield-0")["recoding"], Value::Null);

    let coded = get(fleet.edge(0), "/", &[("accept-encoding", "gzip")]);
    let edge = once_coded(&fleet, url, "gzip", &["Accept-Encoding: gzip"]);
    let beside = json!([{ "recoding": "gzip", "length": coded.body.len(), "place": "memory" }]);
    assert_eq!(edge["copies"][0]["recoded"], beside);
    assert!(
        edge["why"]
            .as_str()
            .unwrap()
            .contains("gzip, which lies beside"),
        "{edge}"
    );
    let plain = explain(&fleet, url, &[]);
    assert_eq!(node(&plain, "edge-0")["recoding"], Value::Null);
    let other = explain(&fleet, url, &["Accept-Encoding: br"]);
    let other = node(&other, "edge-0");
    assert_eq!(
        (&other["recoding"], &other["status"]),
        (&json!("br"), &json!(200))
    );
}

#[test]
fn a_copy_that_is_decoded_for_some_clients_says_so() {
    let origin = Origin::start(|_, reply| {
        use std::io::Write;
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(&vec![b'x'; 20_000]).unwrap();
        let fields = [
            ("cache-control", "max-age=3600"),
            ("content-type", "text/html"),
            ("content-encoding", "gzip"),
            ("vary", "accept-encoding"),
        ];
        reply.answer(200, &fields, &coder.finish().unwrap())
    });
    let rule = "[service.default]\ndecode = true\n";
    let spec = FleetSpec {
        service: rule.into(),
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    let url = "http://www.example/";
    get(fleet.edge(0), "/", &[("accept-encoding", "br")]);
    let edge = once_coded(&fleet, url, "identity", &["Accept-Encoding: br"]);
    assert_eq!(edge["copies"][0]["decodable"], "gzip", "{edge}");
    assert_eq!(edge["copies"][0]["recoded"][0]["length"], 20_000, "{edge}");
    assert_eq!(
        (&edge["outcome"], &edge["recoding"]),
        (&json!("hit"), &json!("identity"))
    );
}

#[test]
fn an_incomplete_copy_is_told_with_the_bytes_that_are_here() {
    let length = 40 * CHUNK as usize;
    let origin = Origin::start(move |request, reply| {
        let range = request.field("range").unwrap_or("bytes=0-10485759");
        let (first, last) = range[6..].split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let told = format!("bytes {first}-{last}/{length}");
        let fields = [
            ("cache-control", "max-age=3600"),
            ("etag", "\"v\""),
            ("content-range", &told),
        ];
        reply.answer(206, &fields, &vec![0; last + 1 - first])
    });
    let fleet = Fleet::of(&origin);
    let url = "http://www.example/";
    get(fleet.edge(0), "/", &[("range", "bytes=0-9")]);
    get(fleet.edge(0), "/", &[("range", "bytes=600000-800000")]);
    let expect = json!([
        format!("0-{}", CHUNK - 1),
        format!("{}-{}", 2 * CHUNK, 4 * CHUNK - 1),
    ]);
    let of = |range: &str| {
        let told = explain(&fleet, url, &[&format!("Range: bytes={range}")]);
        node(&told, "edge-0").clone()
    };
    eventually("the parts are stored", || {
        of("0-0")["copies"][0]["held"] == expect
    });
    let edge = of("0-0");
    assert_eq!(edge["copies"][0]["incomplete"], true, "{edge}");
    assert_eq!(edge["copies"][0]["length"], length, "{edge}");
    for (range, outcome, forward, status) in [
        ("0-99", "hit", Value::Null, json!(206)),
        ("530000-1000000", "hit", Value::Null, json!(206)),
        ("100000-600000", "partial", json!("partial"), json!(206)),
        ("99999999-", "hit", Value::Null, json!(416)),
    ] {
        let edge = of(range);
        let found = (&edge["outcome"], &edge["forward"], &edge["status"]);
        assert_eq!(
            found,
            (&json!(outcome), &forward, &status),
            "{range}: {edge}"
        );
    }
}
