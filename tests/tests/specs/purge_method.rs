//! `PURGE` at an edge: who may, what it takes, and what it says when a node is away.

use seawall_tests::client::get;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};

fn purge(fleet: &Fleet, fields: &[(&str, &str)]) -> (u16, Value) {
    let mut client = Client::connect(fleet.edge(0));
    client.request("PURGE", "/", fields, b"");
    let answer = client.response("PURGE").unwrap();
    let told = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, told)
}

fn origin() -> Origin {
    Origin::start(|_, reply| reply.fresh(b"body"))
}

#[test]
fn a_token_needs_a_role_that_may_purge() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    for (role, status) in [("read", 403), ("purge", 200), ("admin", 200)] {
        let body = json!({ "name": role, "role": role }).to_string();
        let (_, told) = fleet.ask("POST", "/v1/tokens", &body, &[]);
        let bearer = format!("Bearer {}", told["token"].as_str().unwrap());
        let told = purge(&fleet, &[("authorization", &bearer)]);
        assert_eq!(told.0, status, "{role}: {}", told.1);
    }
}

#[test]
fn from_an_allowed_network_a_token_is_judged_and_other_schemes_are_not() {
    let origin = origin();
    let spec = FleetSpec {
        purge_allowed: true,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    for (authorization, status) in [
        ("Bearer swt_x_y", 403),
        ("Bearer ", 403),
        ("Basic dXNlcjpwYXNz", 200),
        ("Digest username=\"x\"", 200),
    ] {
        let told = purge(&fleet, &[("authorization", authorization)]);
        assert_eq!(told.0, status, "{authorization}");
    }
    drop(fleet);
    let fleet = Fleet::of(&origin);
    let told = purge(&fleet, &[("authorization", "Basic dXNlcjpwYXNz")]);
    assert_eq!(told.0, 403);
}

#[test]
fn tags_that_are_none_do_not_purge_the_url_instead() {
    let origin = origin();
    let spec = FleetSpec {
        purge_allowed: true,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    get(fleet.edge(0), "/", &[]);
    for name in ["xkey-purge", "surrogate-key"] {
        assert_eq!(purge(&fleet, &[(name, "")]).0, 400, "{name}");
    }
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
}

#[test]
fn a_purge_that_waits_for_a_node_says_so() {
    let origin = origin();
    let mut fleet = Fleet::of(&origin);
    let bearer = format!("Bearer {}", fleet.token());
    get(fleet.edge(0), "/", &[]);
    fleet.stop_edge(1);
    eventually("it is gone", || !fleet.is_up_to_date("edge-1"));
    let (status, told) = purge(&fleet, &[("authorization", &bearer)]);
    assert_eq!((status, &told["complete"]), (202, &json!(false)), "{told}");
    assert_eq!(told["receipts"][0]["node"], json!("edge-1"));
    assert!(!get(fleet.edge(0), "/", &[]).is_hit());
}
