//! How a request would be answered, as `GET /v1/explain` tells it.

mod agreement;
mod bodies;

use seawall_tests::client::get;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};

const URL: &str = "http://www.example/a?x=1&utm=2";
const TARGET: &str = "/a?x=1&utm=2";

fn encoded(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    bytes.concat()
}

/// What is told of a GET of `url` with these headers.
fn ask(fleet: &Fleet, url: &str, headers: &[&str]) -> (u16, Value) {
    let headers = headers.iter().map(|h| format!("&header={}", encoded(h)));
    let headers: String = headers.collect();
    fleet.get(&format!("/v1/explain?url={}{headers}", encoded(url)))
}

fn explain(fleet: &Fleet, url: &str, headers: &[&str]) -> Value {
    let (status, told) = ask(fleet, url, headers);
    assert_eq!(status, 200, "{told}");
    told
}

fn node<'t>(told: &'t Value, id: &str) -> &'t Value {
    let mut nodes = told["nodes"].as_array().unwrap().iter();
    nodes
        .find(|node| node["node"] == id)
        .unwrap_or_else(|| panic!("{id} is missing: {told}"))
}

fn answers(control: &'static str) -> Origin {
    Origin::start(move |_, reply| {
        let fields = [("cache-control", control), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    })
}

const RULE: &str = "
[[service.rules]]
name = \"pages\"
path = \"/a*\"
[service.rules.key]
except = [\"utm\"]
headers = [\"x-a\"]
";

fn with_rule() -> FleetSpec {
    FleetSpec {
        service: RULE.into(),
        ..FleetSpec::default()
    }
}

#[test]
fn a_miss_and_then_a_hit_are_told_with_key_arithmetic_and_the_last_decision() {
    let origin = answers("max-age=3600");
    let fleet = Fleet::start(with_rule(), &origin);
    let told = explain(&fleet, URL, &["X-A: 1"]);
    assert_eq!(told["service"], "site");
    assert_eq!(told["rule"]["name"], "pages", "{told}");
    assert_eq!(told["shields"], json!(["shield-0"]));
    let parts = json!([
        { "part": "service", "values": ["site"] },
        { "part": "scheme", "values": ["http"] },
        { "part": "host", "values": ["www.example"] },
        { "part": "path", "values": ["/a"] },
        { "part": "query", "values": ["x=1"] },
        { "part": "header", "name": "x-a", "values": ["1"] },
    ]);
    assert_eq!(told["key_parts"], parts);
    for id in ["edge-0", "edge-1", "shield-0"] {
        let node = node(&told, id);
        assert_eq!(
            (&node["outcome"], &node["forward"]),
            (&json!("miss"), &json!("uri-miss"))
        );
        assert_eq!(node["key"], told["key"], "{id}");
        assert_eq!(
            (&node["copies"], &node["last"]),
            (&json!([]), &json!([])),
            "{id}"
        );
    }
    // the question itself asks nobody
    assert_eq!(origin.seen().len(), 0);

    get(fleet.edge(0), TARGET, &[("x-a", "1")]);
    let told = explain(&fleet, URL, &["X-A: 1"]);
    for id in ["edge-0", "shield-0"] {
        let node = node(&told, id);
        assert_eq!(
            (&node["outcome"], &node["forward"]),
            (&json!("hit"), &Value::Null),
            "{node}"
        );
        let copy = &node["copies"][0];
        assert_eq!(
            (&copy["selected"], &copy["place"]),
            (&json!(true), &json!("memory"))
        );
        assert_eq!(
            (&copy["lifetime"], &copy["lifetime_source"]),
            (&json!(3600), &json!("max-age"))
        );
        let (age, left) = (
            copy["age"].as_i64().unwrap(),
            copy["fresh_for"].as_i64().unwrap(),
        );
        assert_eq!(age + left, 3600);
        assert_eq!((&copy["status"], &copy["length"]), (&json!(200), &json!(4)));
        assert_eq!(copy["standing"], "live");
        let fields = copy["fields"].as_array().unwrap();
        assert!(fields.contains(&json!({ "name": "cache-control", "value": "max-age=3600" })));
        let last = &node["last"][0];
        assert_eq!(
            (&last["outcome"], &last["forward"]),
            (&json!("miss"), &json!("uri-miss"))
        );
        assert_eq!(
            (&last["forward_status"], &last["stored"]),
            (&json!(200), &json!(true))
        );
    }
    assert_eq!(node(&told, "edge-1")["outcome"], "miss");
    // what the request asks for counts
    let told = explain(&fleet, URL, &["X-A: 1", "Cache-Control: no-cache"]);
    let edge = node(&told, "edge-0");
    assert_eq!(
        (&edge["outcome"], &edge["forward"]),
        (&json!("miss"), &json!("request"))
    );
    assert!(edge["why"].as_str().unwrap().contains("no-cache"), "{edge}");
    // and so does its key
    let told = explain(&fleet, URL, &["X-A: 2"]);
    assert_eq!(node(&told, "edge-0")["forward"], "uri-miss");
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_stale_copy_is_told_with_its_windows() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=60, stale-if-error=900"),
            ("age", "100"),
        ];
        reply.answer(200, &fields, b"body")
    });
    let fleet = Fleet::of(&origin);
    get(fleet.edge(0), TARGET, &[]);
    let told = explain(&fleet, URL, &[]);
    let edge = node(&told, "edge-0");
    let copy = &edge["copies"][0];
    assert_eq!(
        (&edge["outcome"], &edge["forward"]),
        (&json!("miss"), &json!("stale"))
    );
    assert!(copy["initial_age"].as_u64().unwrap() >= 100, "{copy}");
    assert!(copy["fresh_for"].as_i64().unwrap() <= -40, "{copy}");
    assert_eq!(copy["stale_if_error"], 900);
    let why = edge["why"].as_str().unwrap();
    assert!(
        why.contains("stale since 4") && why.contains("error"),
        "{why}"
    );
    let told = explain(&fleet, URL, &["Cache-Control: max-stale=300"]);
    assert_eq!(node(&told, "edge-0")["outcome"], "stale");
}

#[test]
fn purges_that_cover_a_copy_are_told_by_what_they_named() {
    let origin = answers("max-age=3600, stale-while-revalidate=600");
    let fleet = Fleet::of(&origin);
    get(fleet.edge(0), TARGET, &[]);
    fleet.purge_everywhere(json!({ "tags": ["other"] }));
    let told = explain(&fleet, URL, &[]);
    assert_eq!(node(&told, "edge-0")["outcome"], "hit");
    assert_eq!(node(&told, "edge-0")["purged"], told["head"]);

    fleet.purge_everywhere(json!({ "tags": ["t"], "soft": true }));
    let told = explain(&fleet, URL, &[]);
    let edge = node(&told, "edge-0");
    assert_eq!(edge["outcome"], "stale", "{edge}");
    let copy = &edge["copies"][0];
    assert_eq!(copy["standing"], "stale");
    assert!(copy["stale_since"].is_string());
    assert_eq!(copy["purges"][0]["at"], told["head"]);
    // edges forget what tags were called
    let purge = &node(&told, "shield-0")["copies"][0]["purges"][0];
    assert_eq!(
        (&purge["kind"], &purge["name"]),
        (&json!("tag"), &json!("t"))
    );
    assert_eq!(
        (&purge["soft"], &purge["covers"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(purge["at"], told["head"]);

    fleet.purge_everywhere(json!({ "urls": [URL] }));
    let told = explain(&fleet, URL, &[]);
    let edge = node(&told, "edge-0");
    assert_eq!(
        (&edge["outcome"], &edge["forward"]),
        (&json!("miss"), &json!("uri-miss"))
    );
    assert!(
        edge["why"].as_str().unwrap().contains("a purge covers"),
        "{edge}"
    );
    assert_eq!(edge["copies"][0]["standing"], "gone");
    let purge = &edge["purges"][0];
    assert_eq!(
        (&purge["kind"], &purge["covers"]),
        (&json!("url"), &json!(true))
    );
    assert_eq!(purge["name"], "www.example/a?x=1&utm=2");
}

#[test]
fn all_variants_are_told_and_the_one_that_the_request_selects_stands_first() {
    let origin = Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=60"), ("vary", "accept-language")];
        reply.answer(200, &fields, b"body")
    });
    let fleet = Fleet::of(&origin);
    for language in ["de", "fr"] {
        get(fleet.edge(0), TARGET, &[("accept-language", language)]);
    }
    for (language, expect, forward, selected) in [
        ("de", "hit", Value::Null, true),
        ("fr", "hit", Value::Null, true),
        ("it", "miss", json!("vary-miss"), false),
    ] {
        let told = explain(&fleet, URL, &[&format!("Accept-Language: {language}")]);
        let edge = node(&told, "edge-0");
        assert_eq!(
            (&edge["outcome"], &edge["forward"]),
            (&json!(expect), &forward),
            "{language}"
        );
        let copies = edge["copies"].as_array().unwrap();
        assert_eq!(copies.len(), 2, "{language}");
        assert_eq!(copies[0]["selected"], json!(selected), "{language}");
        assert_eq!(copies[1]["selected"], json!(false), "{language}");
    }
}

#[test]
fn what_lies_on_a_disk_alone_is_told() {
    let origin = answers("max-age=3600");
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        disk: Some(64 << 20),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    get(fleet.edge(0), TARGET, &[]);
    fleet.stop_edge(0);
    eventually("it is away", || {
        explain(&fleet, URL, &[])["silent"] == json!(["edge-0"])
    });
    fleet.start_edge(0);
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    let told = explain(&fleet, URL, &[]);
    assert_eq!(told["shields"], Value::Null);
    let edge = node(&told, "edge-0");
    assert_eq!(
        (&edge["outcome"], &edge["copies"][0]["place"]),
        (&json!("hit"), &json!("disk"))
    );
    assert_eq!(edge["asks"], json!([origin.address().to_string()]));
}

#[test]
fn an_answer_that_may_not_be_stored_says_why() {
    let origin = answers("no-store");
    let fleet = Fleet::of(&origin);
    get(fleet.edge(0), TARGET, &[]);
    let told = explain(&fleet, URL, &[]);
    let edge = node(&told, "edge-0");
    assert_eq!(edge["outcome"], "unstorable");
    let last = &edge["last"][0];
    assert_eq!(
        (&last["stored"], &last["detail"]),
        (&json!(false), &json!("no-store")),
        "{last}"
    );
}

#[test]
fn a_node_that_is_away_is_silent_and_the_others_tell() {
    let origin = answers("max-age=60");
    let mut fleet = Fleet::of(&origin);
    fleet.stop_edge(1);
    eventually("it is away", || {
        explain(&fleet, URL, &[])["silent"] == json!(["edge-1"])
    });
    let told = explain(&fleet, URL, &[]);
    assert_eq!(node(&told, "edge-0")["outcome"], "miss");
    assert_eq!(told["nodes"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_question_is_refused() {
    let origin = answers("max-age=60");
    let fleet = Fleet::of(&origin);
    let check = |url: &str, headers: &[&str], status: u16, field: &Value| {
        let (found, told) = ask(&fleet, url, headers);
        assert_eq!(
            (found, &told["field"]),
            (status, field),
            "{url} {headers:?}: {told}"
        );
    };
    check("", &[], 400, &json!("url"));
    check("www.example/a", &[], 400, &json!("url"));
    check(URL, &["x"], 400, &json!("header[0]"));
    check(URL, &["X: 1", "Host: a"], 400, &json!("header[1]"));
    let many = vec!["X: 1"; 65];
    check(URL, &many, 400, &json!("header"));
    let (status, told) = fleet.get("/v1/explain?uri=x");
    assert_eq!((status, &told["field"]), (400, &json!("uri")));

    let text = seawall_tests::fleet::service("site", "www.example", &origin, "");
    assert_eq!(fleet.put_service("site", &text, &[]).0, 200);
    let (status, told) = ask(&fleet, "http://other.example/", &[]);
    assert_eq!(status, 404);
    let reason = told["error"].as_str().unwrap();
    assert!(reason.contains("other.example"), "{reason}");
}

/// Refuses members that a schema does not name, and misses those that it requires.
fn held_against(schemas: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return held_against(schemas, &schemas[name], value, at);
    }
    if let Some(items) = value.as_array() {
        for item in items {
            held_against(schemas, &schema["items"], item, &format!("{at}[]"));
        }
    }
    let Some(members) = schema["properties"].as_object() else {
        return;
    };
    for (name, member) in value.as_object().into_iter().flatten() {
        let known = members.get(name);
        let known = known.unwrap_or_else(|| panic!("{at}.{name} is not in openapi.json"));
        held_against(schemas, known, member, &format!("{at}.{name}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        let has = value.is_null() || value.get(name).is_some();
        assert!(has, "{at} has no {name}");
    }
}

#[test]
fn openapi_names_all_that_is_told() {
    let origin = Origin::start(|_, reply| {
        let fields = [
            ("cache-control", "max-age=60"),
            ("content-type", "text/html"),
            ("surrogate-key", "t"),
        ];
        reply.answer(200, &fields, &vec![b'x'; 20_000])
    });
    let fleet = Fleet::start(with_rule(), &origin);
    get(fleet.edge(0), TARGET, &[("accept-encoding", "gzip")]);
    fleet.purge_everywhere(json!({ "tags": ["t"], "soft": true }));
    let mut told = Value::Null;
    eventually("the coding is stored", || {
        told = explain(&fleet, URL, &[]);
        let edge = node(&told, "edge-0");
        edge["copies"][0]["recoded"][0].is_object() && edge["last"][0].is_object()
    });
    assert!(
        node(&told, "shield-0")["copies"][0]["purges"][0].is_object(),
        "{told}"
    );
    let (_, openapi) = fleet.get("/openapi.json");
    let schemas = &openapi["components"]["schemas"];
    held_against(schemas, &schemas["Explanation"], &told, "explanation");
}
