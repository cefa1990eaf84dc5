//! Removing nodes that are not gone, or only just.

use seawall_tests::client::get;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

fn origin() -> Origin {
    Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    })
}

fn two_edges() -> FleetSpec {
    FleetSpec {
        shields: 0,
        disk: Some(64 << 20),
        ..FleetSpec::default()
    }
}

#[test]
fn a_connected_node_that_is_removed_comes_back_empty() {
    let origin = origin();
    let fleet = Fleet::start(two_edges(), &origin);
    fleet.purge_everywhere(json!({ "tags": ["other"] }));
    let hit = |edge: usize| get(fleet.edge(edge), "/", &[]).is_hit();
    for edge in [0, 1] {
        get(fleet.edge(edge), "/", &[]);
        assert!(hit(edge));
    }
    let asked = origin.count("/");
    assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-0", "", &[]).0, 204);
    // it says hello again by itself
    eventually("it is back", || fleet.is_up_to_date("edge-0"));
    assert!(!hit(0) && hit(0));
    assert!(hit(1), "and the other has lost nothing");
    assert_eq!(origin.count("/"), asked + 1);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert!(!hit(0) && !hit(1));
}

#[test]
fn receipts_end_whatever_a_removal_meets() {
    const REMOVALS: usize = 12;
    let origin = origin();
    let mut fleet = Fleet::start(two_edges(), &origin);
    let mut ids: Vec<Value> = Vec::new();
    let purge = |fleet: &Fleet| {
        let (status, told) = fleet.purge(json!({ "tags": ["t"], "wait_ms": 0 }));
        assert!(status == 200 || status == 202, "{status} {told}");
        assert_eq!(status == 200, told["complete"] == json!(true), "{told}");
        told["id"].clone()
    };
    for turn in 0..REMOVALS {
        // it is here, leaves at this moment, or comes at this moment
        match turn % 3 {
            0 => eventually("it follows", || fleet.is_up_to_date("edge-1")),
            1 => fleet.stop_edge(1),
            _ => fleet.start_edge(1),
        }
        let done = AtomicBool::new(false);
        let purged = std::thread::scope(|scope| {
            let purging = scope.spawn(|| {
                let mut ids = Vec::new();
                while !done.load(Ordering::Acquire) {
                    ids.push(purge(&fleet));
                }
                ids
            });
            // 404: it was removed before, and has not come back
            let (status, told) = fleet.ask("DELETE", "/v1/nodes/edge-1", "", &[]);
            assert!(status == 204 || status == 404, "{status} {told}");
            done.store(true, Ordering::Release);
            purging.join().unwrap()
        });
        ids.extend(purged);
        ids.push(purge(&fleet));
    }
    fleet.stop_edge(1);
    let (_, told) = fleet.get("/v1/nodes");
    let here = told["nodes"].as_array().unwrap().iter();
    if here.clone().any(|node| node["id"] == "edge-1") {
        assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-1", "", &[]).0, 204);
    }
    // nothing waits for who is removed
    for id in &ids {
        let path = format!("/v1/purges/{}?receipts=all", id.as_str().unwrap());
        eventually("it is complete", || {
            fleet.get(&path).1["complete"] == json!(true)
        });
        let (_, told) = fleet.get(&path);
        for receipt in told["receipts"].as_array().unwrap() {
            let (node, state) = (&receipt["node"], receipt["state"].as_str().unwrap());
            let legal = state == "applied" || (state == "removed" && node == "edge-1");
            assert!(legal, "{told}");
        }
    }
    // and it is a member like others when it is back
    fleet.start_edge(1);
    eventually("it is back", || fleet.is_up_to_date("edge-1"));
    let told = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert_eq!((&told["nodes"], &told["removed"]), (&json!(2), &json!(0)));
}
