//! The state that a node had in force last, when it cannot be put in force any more.

use seawall_tests::client::get;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::Value;
use std::fs;

/// What the control plane says that the edge refuses.
fn refused(fleet: &Fleet) -> Value {
    let (_, told) = fleet.get("/v1/nodes");
    told["nodes"][0]["refused"].clone()
}

#[test]
fn a_last_good_state_that_cannot_be_put_in_force_is_not_held_and_is_told_anew() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    // a second service, whose origin is known by a file on this node
    let authority = fleet.dir("authority.pem");
    let dir = tempfile::tempdir().unwrap();
    let good = fs::read(crate::secure::fleet(dir.path()).ca).unwrap();
    fs::write(&authority, &good).unwrap();
    let text = format!(
        "[service]\nid = \"other\"\nhosts = [\"other.example\"]\n[[service.origins]]\nurl = \"https://127.0.0.1:1\"\nca = {authority:?}\n"
    );
    assert_eq!(fleet.put_service("other", &text, &[]).0, 201);
    let other = [("host", "other.example")];
    eventually("it is in force", || {
        get(fleet.edge(0), "/", &other).status == 502
    });

    fleet.stop_edge(0);
    fs::write(&authority, "no certificate").unwrap();
    fleet.start_edge(0);
    // all services come into force together, or none
    assert_eq!(get(fleet.edge(0), "/", &[]).status, 421);
    eventually("it says why", || {
        refused(&fleet)["services/other"].is_string()
    });

    fs::write(&authority, &good).unwrap();
    fleet.stop_control_plane();
    fleet.start_control_plane();
    eventually("it is told all of it anew", || {
        get(fleet.edge(0), "/", &[]).status == 200
    });
    assert_eq!(refused(&fleet), Value::Null);
}
