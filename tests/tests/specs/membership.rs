//! Nodes that come, go, lag and come back, and a control plane whose store was rolled back below them.

use seawall_edge::Edge;
use seawall_service_model::ServiceSet;
use seawall_tests::client::get;
use seawall_tests::fleet::service;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

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

/// The store as it is now. The control plane is stopped for it.
pub(crate) fn image(fleet: &mut Fleet) -> Vec<u8> {
    fleet.stop_control_plane();
    let image = fs::read(fleet.store()).unwrap();
    fleet.start_control_plane();
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    image
}

/// Puts an older image of the store in the place of the one there is. The control plane is stopped by this.
pub(crate) fn roll_back(fleet: &mut Fleet, image: &[u8]) {
    fleet.stop_control_plane();
    fs::write(fleet.store(), image).unwrap();
    for suffix in ["-wal", "-shm"] {
        let mut journal = fleet.store().into_os_string();
        journal.push(suffix);
        let _ = fs::remove_file(journal);
    }
}

#[test]
fn a_log_rolled_back_behind_its_nodes_begins_a_new_epoch_and_what_was_purged_stays_so() {
    let origin = origin();
    let spec = FleetSpec {
        disk: Some(64 << 20),
        ..one_edge()
    };
    let mut fleet = Fleet::start(spec, &origin);
    fleet.purge_everywhere(json!({ "tags": ["other"] }));
    warm(&fleet, 0);
    let image = image(&mut fleet);
    let lost = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    assert!(!is_hit(&fleet, 0) && is_hit(&fleet, 0));

    // the purge is lost, and another one takes its number before the node is back
    fleet.stop_edge(0);
    roll_back(&mut fleet, &image);
    fleet.start_control_plane();
    let next = fleet.purge(json!({ "tags": ["elsewhere"], "wait_ms": 0 }));
    assert_eq!((next.0, &next.1["id"]), (202, &lost["id"]));
    fleet.start_edge(0);
    eventually("it follows again", || fleet.is_up_to_date("edge-0"));
    // what it has stored cannot be judged by this log
    assert!(!is_hit(&fleet, 0) && is_hit(&fleet, 0));
    let told = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    let epoch = |told: &Value| {
        told["id"]
            .as_str()
            .unwrap()
            .split('-')
            .next()
            .map(str::to_owned)
    };
    assert_ne!(epoch(&told), epoch(&lost));
    assert!(!is_hit(&fleet, 0));
}

#[test]
fn a_store_rolled_back_by_its_file_is_noticed_by_the_documents_that_nodes_hold() {
    let origin = origin();
    let second = Origin::start(|_, reply| reply.fresh(b"second"));
    let mut fleet = Fleet::start(one_edge(), &origin);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
    let image = image(&mut fleet);
    // no purge is lost, only this
    let text = service("site", "*", &second, "");
    assert_eq!(fleet.put_service("site", &text, &[]).0, 200);
    // each time another path: what was answered meanwhile is stored
    let mut asked = 0;
    let mut answers = |fleet: &Fleet, text: &str| {
        asked += 1;
        get(fleet.edge(0), &format!("/{asked}"), &[]).text() == text
    };
    eventually("it is in force", || answers(&fleet, "second"));
    roll_back(&mut fleet, &image);
    fleet.start_control_plane();
    eventually("it follows again", || fleet.is_up_to_date("edge-0"));
    eventually("the service of the store is in force", || {
        answers(&fleet, "body")
    });
    assert_eq!(node(&fleet, "edge-0")["refused"], Value::Null);
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
}

#[test]
fn after_a_restart_of_the_control_plane_a_purge_waits_for_nodes_that_are_coming_back() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    fleet.stop_control_plane();
    fleet.start_control_plane();
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
}

#[test]
fn a_complete_receipt_stays_complete_over_a_restart_while_its_nodes_are_away() {
    let origin = origin();
    let mut fleet = Fleet::start(one_edge(), &origin);
    let told = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    fleet.stop_control_plane();
    fleet.stop_edge(0);
    fleet.start_control_plane();
    let path = format!("/v1/purges/{}", told["id"].as_str().unwrap());
    assert_eq!(fleet.get(&path).1["complete"], json!(true));
}

#[test]
fn a_removed_node_that_comes_back_starts_empty() {
    let origin = origin();
    let spec = FleetSpec {
        disk: Some(64 << 20),
        ..one_edge()
    };
    let mut fleet = Fleet::start(spec, &origin);
    fleet.purge_everywhere(json!({ "tags": ["other"] }));
    warm(&fleet, 0);
    get(fleet.edge(0), "/second", &[]);
    fleet.stop_edge(0);
    eventually("it is gone", || !fleet.is_up_to_date("edge-0"));
    assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-0", "", &[]).0, 204);
    fleet.start_edge(0);
    eventually("it is back", || fleet.is_up_to_date("edge-0"));
    assert!(!is_hit(&fleet, 0));
    // for good
    fleet.stop_edge(0);
    fleet.start_edge(0);
    assert!(is_hit(&fleet, 0));
    assert!(!get(fleet.edge(0), "/second", &[]).is_hit());
}

#[test]
fn a_dry_run_lists_members_that_are_away_as_silent() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    fleet.stop_edge(1);
    eventually("it is gone", || !fleet.is_up_to_date("edge-1"));
    let (status, told) = fleet.purge(json!({ "everything": true, "dry_run": true }));
    assert_eq!((status, &told["silent"]), (200, &json!(["edge-1"])));
    assert_eq!(told["nodes"].as_array().unwrap().len(), 2);
}

#[test]
fn what_was_stored_for_a_deleted_service_can_be_purged_and_comes_back_purged() {
    let origin = origin();
    let fleet = Fleet::start(one_edge(), &origin);
    let shop = [("host", "shop.example")];
    let text = service("shop", "shop.example", &origin, "");
    assert_eq!(fleet.put_service("shop", &text, &[]).0, 201);
    let is_hit = |fleet: &Fleet| get(fleet.edge(0), "/", &shop).is_hit();
    let known = |fleet: &Fleet| node(fleet, "edge-0")["documents"]["services/shop"].is_number();
    for what in [
        json!({ "service": "shop" }),
        json!({ "service": "shop", "tags": ["t"] }),
    ] {
        eventually("it is known", || known(&fleet));
        is_hit(&fleet);
        assert!(is_hit(&fleet));
        assert_eq!(fleet.ask("DELETE", "/v1/services/shop", "", &[]).0, 204);
        fleet.purge_everywhere(what);
        assert_eq!(fleet.put_service("shop", &text, &[]).0, 201);
        eventually("it is in force again", || {
            let answer = get(fleet.edge(0), "/never", &shop);
            answer.status == 200
        });
        assert!(!is_hit(&fleet));
    }
}

#[test]
fn a_node_that_refuses_a_document_serves_on_the_one_before_and_says_why() {
    let origin = origin();
    let fleet = Fleet::start(one_edge(), &origin);
    warm(&fleet, 0);
    // the control plane reads it, and only who asks the origin uses it
    let wrong = fleet.dir("no-authority.pem");
    fs::write(&wrong, "no certificate").unwrap();
    let text = format!(
        "[service]\nid = \"site\"\nhosts = [\"*\"]\n[[service.origins]]\nurl = \"https://127.0.0.1:1\"\nca = {wrong:?}\n"
    );
    let (status, told) = fleet.put_service("site", &text, &[]);
    assert_eq!(status, 200, "{told}");
    eventually("the node has refused it", || {
        node(&fleet, "edge-0")["refused"]["services/site"].is_string()
    });
    assert!(is_hit(&fleet, 0));
    assert_eq!(get(fleet.edge(0), "/another", &[]).text(), "body");
    // the next one is taken again
    let text = service("site", "*", &origin, "# next\n");
    assert_eq!(fleet.put_service("site", &text, &[]).0, 200);
    eventually("it is in force", || {
        node(&fleet, "edge-0")["refused"].is_null()
    });
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
}

#[test]
fn a_node_with_another_secret_is_no_member() {
    let origin = origin();
    let mut fleet = Fleet::start(one_edge(), &origin);
    let index = fleet.another_edge();
    let mut model = fleet.edge_model(index);
    model.node.fleet.secret_file = Some(fleet.dir("another-secret"));
    let stranger = Edge::start(&model, ServiceSet::default()).unwrap();
    assert!(node(&fleet, "edge-1").is_null());
    let (_, told) = fleet.get("/v1/nodes");
    assert_eq!(told["nodes"].as_array().unwrap().len(), 1);
    stranger.drain(Duration::ZERO);
}

#[test]
fn an_edge_takes_its_shields_from_its_file_anew_where_the_control_plane_tells_of_none() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    let asks_shield = |path: &str| {
        let answer = get(fleet.edge(0), path, &[]);
        let status = answer.field("cache-status").unwrap_or_default();
        status.contains("seawall-shield")
    };
    assert!(asks_shield("/a"));
    let mut model = fleet.edge_model(0);
    let shields = std::mem::take(&mut model.shields);
    fleet.reload_edge(0, &model);
    assert!(!asks_shield("/b"));
    // services that are told say nothing of shields
    let text = service("other", "other.example", &origin, "");
    assert_eq!(fleet.put_service("other", &text, &[]).0, 201);
    eventually("it is in force", || {
        node(&fleet, "edge-0")["documents"]["services/other"].is_number()
    });
    assert!(!asks_shield("/c"));
    model.shields = shields;
    fleet.reload_edge(0, &model);
    assert!(asks_shield("/d"));
}

#[test]
fn a_dry_run_after_a_restart_says_that_its_sample_lacks_what_lies_on_disk() {
    let origin = origin();
    let spec = FleetSpec {
        disk: Some(64 << 20),
        ..one_edge()
    };
    let mut fleet = Fleet::start(spec, &origin);
    let estimate = |fleet: &Fleet| {
        let (_, told) = fleet.purge(json!({ "everything": true, "dry_run": true }));
        told["nodes"][0].clone()
    };
    let ask_all = |fleet: &Fleet| {
        let mut client = Client::connect(fleet.edge(0));
        for i in 0..1000 {
            client.get(&format!("/{i}"), &[]);
        }
    };
    ask_all(&fleet);
    let before = estimate(&fleet);
    assert_eq!(before["partial"], Value::Null);
    assert!(before["bytes_error"].as_u64().unwrap() > 0, "{before}");
    fleet.stop_edge(0);
    fleet.start_edge(0);
    eventually("it is back", || fleet.is_up_to_date("edge-0"));
    let after = estimate(&fleet);
    assert_eq!(
        (&after["partial"], &after["objects"]),
        (&json!(true), &json!(0))
    );
    // what is read from the disk is in the sample again
    ask_all(&fleet);
    let again = estimate(&fleet);
    assert_eq!(again["objects"], before["objects"]);
}

#[test]
fn a_node_connects_again_with_the_certificates_that_its_files_hold_by_then() {
    let dir = tempfile::tempdir().unwrap();
    let origin = origin();
    let spec = FleetSpec {
        tls: Some((crate::secure::fleet(dir.path()), "shield.fleet".into())),
        ..one_edge()
    };
    let mut fleet = Fleet::start(spec, &origin);
    fleet.stop_control_plane();
    // another authority, and of it all of the fleet's
    crate::secure::fleet(dir.path());
    fleet.start_control_plane();
    eventually("it follows again", || fleet.is_up_to_date("edge-0"));
    fleet.purge_everywhere(json!({ "tags": ["t"] }));
}
