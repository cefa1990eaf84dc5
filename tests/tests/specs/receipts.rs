//! Receipts that can be kept: signed, and valid after restarts and restores.

use seawall_control_plane::signed::{self, Verified, verify};
use seawall_tests::{Client, Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};

fn origin() -> Origin {
    Origin::start(|_, reply| reply.fresh(b"body"))
}

fn small(origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        edges: 2,
        shields: 0,
        ..FleetSpec::default()
    };
    Fleet::start(spec, origin)
}

fn keys(fleet: &Fleet) -> Value {
    let (status, keys) = fleet.get("/v1/keys");
    assert_eq!(status, 200, "{keys}");
    keys
}

fn signed(fleet: &Fleet, id: &Value) -> String {
    let path = format!("/v1/purges/{}/receipt", id.as_str().unwrap());
    let bearer = format!("Bearer {}", fleet.token());
    let mut client = Client::connect(fleet.admin());
    client.request("GET", &path, &[("authorization", &bearer)], b"");
    let answer = client.response("GET").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/jose"));
    answer.text()
}

fn read(text: &str, keys: &Value) -> Verified {
    verify(text, &signed::keys(keys).unwrap()).unwrap()
}

#[test]
fn a_receipt_says_what_stands_now_and_the_next_one_what_stands_then() {
    let origin = origin();
    let mut fleet = small(&origin);
    let known = keys(&fleet);
    fleet.stop_edge(1);
    eventually("it is away", || !fleet.is_up_to_date("edge-1"));
    let purged = fleet
        .purge(json!({ "urls": ["http://a/"], "wait_ms": 0 }))
        .1;
    let pending = read(&signed(&fleet, &purged["id"]), &known);
    assert!(!pending.is_complete(), "{}", pending.receipt);
    let of_edge = |receipt: &Value| {
        let all = receipt["receipts"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["node"] == "edge-1").unwrap()
    };
    let waits = of_edge(&pending.receipt);
    assert_eq!(waits["state"], "pending");
    assert!(waits["since"].is_string(), "{waits}");
    fleet.start_edge(1);
    eventually("it has caught up", || {
        read(&signed(&fleet, &purged["id"]), &known).is_complete()
    });
    // the one that was kept says what it said
    assert!(!pending.is_complete());
}

#[test]
fn a_receipt_of_before_is_valid_after_a_restart_and_after_a_restore() {
    let origin = origin();
    let mut fleet = small(&origin);
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("backup.db");
    let before = fleet.purge_everywhere(json!({ "urls": ["http://a/"] }));
    let kept = signed(&fleet, &before["id"]);
    let key = read(&kept, &keys(&fleet)).key;
    assert_eq!(fleet.ask("POST", "/v1/keys", "", &[]).0, 201);
    seawall_control_plane::store::backup(&fleet.store(), &backup).unwrap();
    fleet.stop_control_plane();
    fleet.start_control_plane();
    let known = keys(&fleet);
    assert_eq!(known["keys"].as_array().unwrap().len(), 2, "{known}");
    assert_eq!(read(&kept, &known).key, key);
    fleet.stop_control_plane();
    seawall_control_plane::store::restore(&backup, &fleet.store()).unwrap();
    fleet.start_control_plane();
    assert_eq!(keys(&fleet), known);
    let after = fleet.purge(json!({ "urls": ["http://a/"] })).1;
    let after = read(&signed(&fleet, &after["id"]), &known);
    assert_ne!(after.key, key);
}

#[test]
fn a_part_of_a_purge_or_of_two_is_none_and_has_no_receipt() {
    let origin = origin();
    let fleet = small(&origin);
    let urls: Vec<String> = (0..2000).map(|i| format!("http://a/{i}")).collect();
    let purges = [
        json!({ "tags": ["before"] }),
        json!({ "urls": urls }),
        json!({ "tags": ["after"] }),
    ];
    let [before, many, after] = purges.map(|purge| fleet.purge_everywhere(purge)["id"].clone());
    let many = many.as_str().unwrap();
    let parts: Vec<&str> = many.split('-').collect();
    let [epoch, first, last] = parts[..] else {
        panic!("{many} is of one record")
    };
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    for begin in first - 1..=last + 1 {
        for end in begin..=last + 1 {
            let id = format!("{epoch}-{begin}-{end}");
            let whole = (begin, end) == (first, last)
                || begin == end && [first - 1, last + 1].contains(&begin);
            for path in ["", "/receipt"] {
                let told = fleet.ask("GET", &format!("/v1/purges/{id}{path}"), "", &[]);
                assert_eq!(
                    told.0,
                    if whole { 200 } else { 404 },
                    "{id}{path}: {}",
                    told.1
                );
            }
        }
    }
    for id in [before, json!(many), after] {
        signed(&fleet, &id);
    }
}

#[test]
fn who_asked_by_a_node_is_told_with_the_node() {
    let origin = origin();
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        purge_allowed: true,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    let mut client = Client::connect(fleet.edge(0));
    client.request("PURGE", "/", &[("host", "a")], b"");
    let answer = client.response("PURGE").unwrap();
    assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
    let (_, told) = fleet.get("/v1/purges");
    let purge = &told["purges"][0];
    assert_eq!(purge["by_node"], "edge-0", "{told}");
    assert_eq!(purge["by"], "a network that an edge allows");
    assert!(purge["by_token"].is_null());
}
