//! When was this last purged, and who did it: purges by what they cover.

use seawall_tests::fleet::service;
use seawall_tests::{Fleet, FleetSpec, Origin};
use serde_json::{Value, json};

fn small(origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        ..FleetSpec::default()
    };
    Fleet::start(spec, origin)
}

fn list(fleet: &Fleet, query: &str) -> Vec<Value> {
    let (status, told) = fleet.get(&format!("/v1/purges?{query}"));
    assert_eq!(status, 200, "{query}: {told}");
    told["purges"].as_array().unwrap().clone()
}

fn ids(purges: &[Value]) -> Vec<&str> {
    purges
        .iter()
        .map(|purge| purge["id"].as_str().unwrap())
        .collect()
}

#[test]
fn purges_are_found_by_everything_that_they_cover_latest_first() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let fleet = small(&origin);
    let text = service("other", "b.example", &origin, "");
    assert_eq!(fleet.put_service("other", &text, &[]).0, 201);
    let did = |what: Value| {
        fleet.purge_everywhere(what)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let url = did(json!({ "urls": ["http://a.example/shop/1?x=1"] }));
    let tag = did(json!({ "tags": ["t"], "service": "other", "soft": true }));
    let prefix = did(json!({ "prefixes": ["a.example/shop"] }));
    let host = did(json!({ "hosts": ["a.example"] }));
    let whole = did(json!({ "service": "other" }));
    let many = did(json!({ "urls": ["http://a.example/x", "https://a.example/shop/1?x=1"] }));
    let all = did(json!({ "everything": true }));
    let rows = [
        (
            "url=http://a.example/shop/1%3Fx=1",
            vec![&all, &many, &host, &prefix, &url],
        ),
        (
            "url=https://A.example:443/shop/1%3Fx=1%23part",
            vec![&all, &many, &host, &prefix, &url],
        ),
        (
            "url=http://a.example/shop/1%3Fx=2",
            vec![&all, &host, &prefix],
        ),
        ("url=http://a.example/shopping", vec![&all, &host]),
        ("url=http://b.example/", vec![&all, &whole]),
        ("tag=t&service=other", vec![&all, &whole, &tag]),
        ("tag=t&service=site", vec![&all]),
        ("prefix=a.example/shop/1", vec![&all, &host, &prefix]),
        ("host=a.example", vec![&all, &host]),
        ("service=other", vec![&all, &whole]),
    ];
    for (query, expected) in rows {
        let told = list(&fleet, query);
        assert_eq!(ids(&told), expected, "{query}");
    }
    let told = list(&fleet, "url=http://a.example/shop/1%3Fx=1");
    let matched: Vec<&Value> = told.iter().map(|purge| &purge["matched"][0]).collect();
    assert_eq!(matched, ["everything", "url", "host", "prefix", "url"]);
    assert!(
        told.iter()
            .all(|p| p["by"] == "operator" && p["at"].is_string() && p["by_token"].is_string())
    );
    // in pages
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let page = list(
            &fleet,
            &format!("url=http://a.example/shop/1%3Fx=1&limit=2&after={after}"),
        );
        let Some(last) = page.last() else { break };
        after = last["id"].as_str().unwrap().to_owned();
        paged.extend(page);
    }
    assert_eq!(paged, told);
}

#[test]
fn a_purge_of_many_records_is_found_once_and_by_each_of_its_names() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let fleet = small(&origin);
    let urls: Vec<String> = (0..2000).map(|i| format!("http://a/{i}")).collect();
    let many = fleet.purge_everywhere(json!({ "urls": urls }));
    fleet.purge_everywhere(json!({ "urls": ["http://a/7"] }));
    for (url, expected) in [("/7", 2), ("/1999", 1), ("/2000", 0)] {
        let told = list(&fleet, &format!("url=http://a{url}"));
        assert_eq!(told.len(), expected, "{url}");
        if let Some(last) = told.last() {
            assert_eq!(
                (&last["id"], &last["named"]["count"]),
                (&many["id"], &json!(2000))
            );
        }
    }
}

#[test]
fn history_is_there_after_a_restart_and_what_cannot_be_looked_for_is_refused() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let mut fleet = small(&origin);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    fleet.stop_control_plane();
    fleet.start_control_plane();
    assert_eq!(list(&fleet, "tag=t").len(), 1);
    let deep = format!("url=http://a{}", "/x".repeat(40));
    let rows = [
        ("url=nonsense", "url"),
        ("url=http://a/%23%0A%1B", "url"),
        ("url=http://a%00/", "url"),
        ("url=http://u@a/", "url"),
        ("url=http://[::1/", "url"),
        ("url=http://a:99999/", "url"),
        ("url=http:///x", "url"),
        ("tag=%20t", "tag"),
        ("prefix=a/%3Fq", "prefix"),
        ("host=a/b", "host"),
        ("tag=t&service=none", "service"),
        ("url=http://a/&tag=t", "tag"),
        ("tag=t&after=x", "after"),
        ("tag=t&limit=1001", "limit"),
        (deep.as_str(), "url"),
    ];
    for (query, field) in rows {
        let (status, told) = fleet.get(&format!("/v1/purges?{query}"));
        assert_eq!(
            (status, &told["field"]),
            (400, &json!(field)),
            "{query}: {told}"
        );
    }
}
