//! What operators rely on: the API, receipts, nodes that come and go, and a control plane that does.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::fleet::service;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};
use std::fs;

fn origin() -> Origin {
    Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    })
}

fn warm(fleet: &Fleet, edge: usize) {
    get(fleet.edge(edge), "/", &[]);
    assert!(is_hit(fleet, edge));
}

fn is_hit(fleet: &Fleet, edge: usize) -> bool {
    get(fleet.edge(edge), "/", &[]).is_hit()
}

fn purges(fleet: &Fleet) -> usize {
    let (_, told) = fleet.get("/v1/purges?limit=1000");
    told["purges"].as_array().unwrap().len()
}

#[test]
fn every_route_wants_a_token_whose_role_is_high_enough() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    let make = |name: &str, role: &str| {
        let body = json!({ "name": name, "role": role }).to_string();
        let (status, told) = fleet.ask("POST", "/v1/tokens", &body, &[]);
        assert_eq!(status, 201, "{told}");
        told["token"].as_str().unwrap().to_owned()
    };
    let (read, purge) = (make("r", "read"), make("p", "purge"));
    let purging = json!({ "everything": true }).to_string();
    let rows = [
        ("GET", "/v1/nodes", "", [401, 200, 200]),
        ("GET", "/v1/services", "", [401, 200, 200]),
        ("GET", "/v1/purges", "", [401, 200, 200]),
        ("POST", "/v1/purges", purging.as_str(), [401, 403, 200]),
        ("PUT", "/v1/services/x", "", [401, 403, 403]),
        ("DELETE", "/v1/services/site", "", [401, 403, 403]),
        ("DELETE", "/v1/nodes/edge-0", "", [401, 403, 403]),
        ("GET", "/v1/tokens", "", [401, 403, 403]),
        ("POST", "/v1/tokens", "{}", [401, 403, 403]),
    ];
    for (method, path, body, expected) in rows {
        for (token, expected) in ["swt_no_such", &read, &purge].into_iter().zip(expected) {
            let (status, told) = fleet.ask_as(token, method, path, body, &[]);
            assert_eq!(status, expected, "{method} {path} {told}");
            assert!(status == 200 || told["error"].is_string());
        }
    }
    let answer = get(fleet.admin(), "/v1/nodes", &[]);
    assert_eq!(
        (answer.status, answer.field("www-authenticate").is_some()),
        (401, true)
    );
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(get(fleet.admin(), path, &[]).status, 200, "{path}");
    }
}

#[test]
fn a_malformed_purge_names_the_member_and_purges_nothing() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    warm(&fleet, 0);
    let rows = [
        ("nonsense", ""),
        ("[]", ""),
        ("{}", ""),
        (r#"{"urls": []}"#, "urls"),
        (r#"{"urls": "http://a/"}"#, "urls"),
        (r#"{"urls": ["http://www.example/", "no url"]}"#, "urls[1]"),
        (r#"{"urls": ["http://www.example/", 7]}"#, "urls[1]"),
        (r#"{"tags": ["t", ""]}"#, "tags[1]"),
        (r#"{"prefixes": ["www.example/?x"]}"#, "prefixes[0]"),
        (r#"{"hosts": ["http://www.example/"]}"#, "hosts[0]"),
        (r#"{"everything": "yes"}"#, "everything"),
        (r#"{"everything": true, "tags": ["t"]}"#, "everything"),
        (r#"{"everything": true, "wait_ms": -1}"#, "wait_ms"),
        (r#"{"everything": true, "wait_ms": 600000}"#, "wait_ms"),
        (r#"{"everything": true, "soft": 1}"#, "soft"),
        (r#"{"everything": true, "hard": true}"#, "hard"),
        (r#"{"service": "none"}"#, "service"),
    ];
    for (body, field) in rows {
        let (status, told) = fleet.ask("POST", "/v1/purges", body, &[]);
        assert_eq!(status, 400, "{body} {told}");
        assert_eq!(told["field"], json!(field), "{body} {told}");
    }
    assert_eq!(purges(&fleet), 0);
    assert!(is_hit(&fleet, 0));
}

#[test]
fn a_retry_with_the_same_key_is_the_same_purge_also_after_a_restart() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    let key = [("idempotency-key", "deploy-17")];
    let ask = |fleet: &Fleet, what: Value| fleet.ask("POST", "/v1/purges", &what.to_string(), &key);
    let (_, first) = ask(&fleet, json!({ "tags": ["t"] }));
    let (status, again) = ask(&fleet, json!({ "tags": ["t"] }));
    assert_eq!((status, &again["id"]), (200, &first["id"]));
    fleet.stop_control_plane();
    fleet.start_control_plane();
    let (_, again) = ask(&fleet, json!({ "tags": ["t"] }));
    assert_eq!(again["id"], first["id"]);
    assert_eq!(ask(&fleet, json!({ "tags": ["other"] })).0, 422);
    assert_eq!(purges(&fleet), 1);
}

#[test]
fn a_purge_is_shown_and_listed_with_what_it_names() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    let many: Vec<String> = (0..2500).map(|i| format!("tag-{i}")).collect();
    let large = fleet.purge_everywhere(json!({ "tags": many }));
    let small = fleet.purge_everywhere(json!({ "urls": ["http://www.example/"], "soft": true }));
    let (status, shown) = fleet.get(&format!(
        "/v1/purges/{}?receipts=all",
        large["id"].as_str().unwrap()
    ));
    assert_eq!((status, &shown["by"]), (200, &json!("operator")));
    assert_eq!(shown["named"]["tags"].as_array().unwrap().len(), 2500);
    assert_eq!(shown["receipts"].as_array().unwrap().len(), 3);
    let (_, list) = fleet.get("/v1/purges");
    let ids: Vec<&Value> = list["purges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["id"])
        .collect();
    assert_eq!(ids, [&small["id"], &large["id"]]);
    let (_, older) = fleet.get(&format!(
        "/v1/purges?after={}",
        small["id"].as_str().unwrap()
    ));
    assert_eq!(older["purges"][0]["id"], large["id"]);
    for unknown in [
        "x",
        "1-1",
        "0-0",
        &format!("{}0", small["id"].as_str().unwrap()),
    ] {
        assert_eq!(
            fleet.get(&format!("/v1/purges/{unknown}")).0,
            404,
            "{unknown}"
        );
    }
}

#[test]
fn a_receipt_waits_for_a_node_that_is_away_until_it_is_back_or_removed() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    fleet.stop_edge(1);
    eventually("it is gone", || !fleet.is_up_to_date("edge-1"));
    let (status, told) = fleet.purge(json!({ "tags": ["t"] }));
    assert_eq!(
        (status, &told["complete"], &told["pending"]),
        (202, &json!(false), &json!(1))
    );
    assert_eq!(told["receipts"][0]["node"], json!("edge-1"));
    assert!(told["receipts"][0]["since"].is_string());
    let path = format!("/v1/purges/{}", told["id"].as_str().unwrap());
    fleet.start_edge(1);
    eventually("it has caught up", || {
        fleet.get(&path).1["complete"] == json!(true)
    });

    fleet.stop_edge(1);
    eventually("it is gone", || !fleet.is_up_to_date("edge-1"));
    let (_, told) = fleet.purge(json!({ "tags": ["t"], "wait_ms": 0 }));
    let path = format!("/v1/purges/{}", told["id"].as_str().unwrap());
    assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-1", "", &[]).0, 204);
    assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-1", "", &[]).0, 404);
    // it asked for no wait: the others may still be at it
    eventually("nobody else is waited for", || {
        let (_, told) = fleet.get(&path);
        assert_eq!(told["removed"], json!(1));
        told["complete"] == json!(true)
    });
    let after = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert_eq!((&after["nodes"], &after["removed"]), (&json!(2), &json!(0)));
    // should it come back all the same, it is a member again
    fleet.start_edge(1);
    eventually("it is back", || fleet.is_up_to_date("edge-1"));
}

#[test]
fn nodes_serve_on_without_the_control_plane_also_after_their_own_restart() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    warm(&fleet, 0);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    warm(&fleet, 0);
    fleet.stop_control_plane();
    assert!(is_hit(&fleet, 0));
    fleet.stop_edge(0);
    fleet.start_edge(0);
    warm(&fleet, 0);
    fleet.start_control_plane();
    // a receipt does not wait for those that are not back yet
    for node in ["edge-0", "edge-1", "shield-0"] {
        eventually("it follows again", || fleet.is_up_to_date(node));
    }
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert!(!is_hit(&fleet, 0));
}

#[test]
fn a_restart_of_the_control_plane_costs_no_copy_and_no_purge() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    warm(&fleet, 0);
    for _ in 0..2 {
        fleet.stop_control_plane();
        fleet.start_control_plane();
        for node in ["edge-0", "edge-1", "shield-0"] {
            eventually("it follows again", || fleet.is_up_to_date(node));
        }
        assert!(is_hit(&fleet, 0));
    }
    assert_eq!(purges(&fleet), 1);
}

#[test]
fn after_a_restore_no_copy_from_before_is_answered_with() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    let backup = fleet.dir("backup.db");
    fleet.purge_everywhere(json!({ "tags": ["other"] }));
    seawall_control_plane::store::backup(&fleet.store(), &backup).unwrap();
    warm(&fleet, 0);
    // this one is lost by the restore: nobody could say later that it was forgotten
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    warm(&fleet, 0);
    let asked = seawall_control_plane::store::restore(&backup, &fleet.store());
    assert!(asked.is_err(), "it runs");
    fleet.stop_control_plane();
    seawall_control_plane::store::restore(&backup, &fleet.store()).unwrap();
    fleet.start_control_plane();
    for node in ["edge-0", "edge-1", "shield-0"] {
        eventually("it follows again", || fleet.is_up_to_date(node));
    }
    assert!(!is_hit(&fleet, 0));
    assert!(is_hit(&fleet, 0));
    assert_eq!(purges(&fleet), 1);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert!(!is_hit(&fleet, 0));
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is_and_nodes_serve_on() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    warm(&fleet, 0);
    fleet.stop_control_plane();
    let mut bytes = fs::read(fleet.store()).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x55);
    fs::write(fleet.store(), &bytes).unwrap();
    let error = seawall_control_plane::SqliteStore::open(&fleet.store())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("control-plane restore") && !error.contains('\n'),
        "{error}"
    );
    assert_eq!(fs::read(fleet.store()).unwrap(), bytes);
    assert!(is_hit(&fleet, 0));
}

#[test]
fn services_are_put_by_version_and_come_into_force_on_every_node() {
    let first = origin();
    let second = Origin::start(|_, reply| reply.fresh(b"second"));
    let fleet = Fleet::of(&first);
    let (_, current) = fleet.get("/v1/services/site");
    assert_eq!(current["version"], json!(1));
    let next = service("site", "*", &second, "");
    let (status, told) = fleet.put_service("site", &next, &[("if-match", "\"7\"")]);
    assert_eq!((status, &told["version"]), (412, &json!(1)));
    assert_eq!(
        fleet.put_service("site", &next, &[("if-match", "\"1\"")]).0,
        200
    );
    eventually("both edges ask the second", || {
        (0..2).all(|edge| {
            get(fleet.edge(edge), "/new", &[]).text() == "second" || {
                fleet.purge(json!({ "everything": true }));
                false
            }
        })
    });
    // faults: nothing changes
    let (status, told) = fleet.put_service("site", &next.replace("hosts", "hots"), &[]);
    assert_eq!(status, 400, "{told}");
    assert!(told["faults"][0]["line"].is_number(), "{told}");
    let (status, _) = fleet.put_service("b", &service("b", "*", &second, ""), &[]);
    assert_eq!(status, 400);

    let (_, told) = fleet.ask(
        "POST",
        "/v1/services/site/rollback",
        r#"{"version": 1}"#,
        &[],
    );
    assert_eq!(told["version"], json!(3));
    let (_, history) = fleet.get("/v1/services/site/versions");
    assert_eq!(history["versions"].as_array().unwrap().len(), 3);
    let json_text = json!({ "service": { "id": "j", "hosts": ["j.example"], "origins": [{ "url": "http://127.0.0.1:1" }] } });
    let (status, told) = fleet.put_service(
        "j",
        &json_text.to_string(),
        &[("content-type", "application/json")],
    );
    assert_eq!(status, 201, "{told}");
    assert_eq!(fleet.ask("DELETE", "/v1/services/j", "", &[]).0, 204);
    eventually("nobody serves it", || {
        let (_, nodes) = fleet.get("/v1/nodes");
        let nodes = nodes["nodes"].as_array().unwrap().clone();
        nodes.iter().all(|node| {
            node["documents"]["services/j"].is_null() || node["connected"] == json!(true)
        })
    });
}

#[test]
fn events_tell_purges_nodes_and_services_as_they_happen() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    let mut listening = Client::connect(fleet.admin());
    let bearer = format!("Bearer {}", fleet.token());
    listening.request("GET", "/v1/events", &[("authorization", &bearer)], b"");
    assert_eq!(listening.head().unwrap().0, 200);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    fleet.stop_edge(1);
    let text = service("other", "other.example", &origin, "");
    fleet.put_service("other", &text, &[]);
    let mut told = String::new();
    for wanted in [
        "event: purge",
        "\"state\":\"away\"",
        "\"service\":\"other\"",
    ] {
        while !told.contains(wanted) {
            told += &String::from_utf8_lossy(&listening.bytes(1).unwrap());
        }
    }
}

#[test]
fn a_dry_run_estimates_per_node_and_purges_nothing() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    let mut client = Client::connect(fleet.edge(0));
    for i in 0..2000 {
        client.get(&format!("/{}/{i}", i % 2), &[]);
    }
    let (status, told) = fleet.purge(json!({ "prefixes": ["www.example/1"], "dry_run": true }));
    assert_eq!(status, 200);
    let nodes = told["nodes"].as_array().unwrap();
    let of = |id: &str| nodes.iter().find(|node| node["node"] == id).unwrap();
    for id in ["edge-0", "shield-0"] {
        let node = of(id);
        let (objects, error) = (
            node["objects"].as_u64().unwrap(),
            node["objects_error"].as_u64().unwrap(),
        );
        assert!(objects.abs_diff(1000) <= 2 * error, "{node}");
        assert!(objects > 0 && error < 1000, "{node}");
    }
    assert_eq!(of("edge-1")["objects"], json!(0));
    assert_eq!(told["silent"], json!([]));
    assert_eq!(purges(&fleet), 0);
}

#[test]
fn the_control_planes_metrics_tell_of_purges_and_nodes() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    let text = get(fleet.admin(), "/metrics", &[]).text();
    assert_eq!(
        metric(&text, "seawall_purges_total", &["strength=\"hard\""]),
        1
    );
    assert_eq!(metric(&text, "seawall_nodes", &["state=\"connected\""]), 3);
    let node = fleet.metrics(0);
    assert_eq!(metric(&node, "seawall_control_plane_connected", &[]), 1);
    assert_eq!(metric(&node, "seawall_purge_sequence", &[]), 1);
}

#[test]
fn nodes_and_control_plane_meet_with_the_fleets_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let files = crate::secure::fleet(dir.path());
    let spec = FleetSpec {
        shields: 0,
        tls: Some((files, "shield.fleet".into())),
        ..FleetSpec::default()
    };
    let origin = origin();
    let fleet = Fleet::start(spec, &origin);
    warm(&fleet, 0);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert!(!is_hit(&fleet, 0));
}
