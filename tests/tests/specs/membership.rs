//! Nodes that come, go, lag and come back.

use seawall_tests::client::get;
use seawall_tests::fleet::service;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};

fn origin() -> Origin {
    Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    })
}

fn is_hit(fleet: &Fleet, edge: usize) -> bool {
    get(fleet.edge(edge), "/", &[]).is_hit()
}

fn warm(fleet: &Fleet, edge: usize) {
    get(fleet.edge(edge), "/", &[]);
    assert!(is_hit(fleet, edge));
}

fn one_edge() -> FleetSpec {
    FleetSpec {
        edges: 1,
        shields: 0,
        ..FleetSpec::default()
    }
}

fn node(fleet: &Fleet, id: &str) -> Value {
    let (_, told) = fleet.get("/v1/nodes");
    let nodes = told["nodes"].as_array().cloned().unwrap_or_default();
    let mut nodes = nodes.into_iter();
    nodes.find(|node| node["id"] == id).unwrap_or(Value::Null)
}

#[test]
fn a_node_that_was_away_for_more_purges_than_a_message_holds_catches_up() {
    let origin = origin();
    let mut fleet = Fleet::start(one_edge(), &origin);
    warm(&fleet, 0);
    fleet.stop_edge(0);
    eventually("it is gone", || !fleet.is_up_to_date("edge-0"));
    // 600 records of 1000 scopes: 4.8 MB
    let tags: Vec<String> = (0..10_000).map(|i| format!("{i}")).collect();
    for _ in 0..60 {
        let (status, told) = fleet.purge(json!({ "tags": tags, "wait_ms": 0 }));
        assert_eq!(status, 202, "{told}");
    }
    fleet.start_edge(0);
    eventually("it has caught up", || fleet.is_up_to_date("edge-0"));
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert!(!is_hit(&fleet, 0));
}

#[test]
fn a_node_is_told_services_that_are_larger_together_than_a_message() {
    let origin = origin();
    let mut fleet = Fleet::start(one_edge(), &origin);
    // the last is as large as one may be
    for (id, kib) in [("a", 2000), ("b", 2000), ("c", 4090)] {
        let comment = format!("# {}", "x".repeat(kib << 10));
        let text = service(id, &format!("{id}.example"), &origin, &comment);
        let (status, told) = fleet.put_service(id, &text, &[]);
        assert_eq!(status, 201, "{}", told["error"]);
    }
    let has_all = |fleet: &Fleet, id: &str| {
        let documents = node(fleet, id)["documents"].clone();
        let names = ["services/a", "services/b", "services/c", "services/site"];
        names.iter().all(|name| documents[name].is_number())
    };
    eventually("one that was there has them", || has_all(&fleet, "edge-0"));
    let index = fleet.another_edge();
    fleet.start_edge(index);
    eventually("one that came has them", || has_all(&fleet, "edge-1"));
    let host = [("host", "c.example")];
    assert_eq!(get(fleet.edge(index), "/", &host).status, 200);
    assert_eq!(node(&fleet, "edge-1")["refused"], Value::Null);
}
