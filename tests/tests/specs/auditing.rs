//! Who changed what, and when.

use seawall_tests::fleet::service;
use seawall_tests::{Fleet, FleetSpec, Origin};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn audit(fleet: &Fleet, query: &str) -> Value {
    let (status, told) = fleet.get(&format!("/v1/audit?{query}"));
    assert_eq!(status, 200, "{query}: {told}");
    told
}

/// Purges and other changes are merged by their times.
fn another_millisecond() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
    };
    let before = now();
    while now() <= before {
        std::thread::yield_now();
    }
}

/// Kind, action, target, outcome of each.
fn rows(told: &Value) -> Vec<[String; 4]> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let entries = told["audit"].as_array().unwrap().iter();
    entries
        .map(|entry| ["kind", "action", "target", "outcome"].map(|name| text(entry, name)))
        .collect()
}

#[test]
fn every_change_is_entered_with_who_when_and_what_became_of_it() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    let body = json!({ "name": "deputy", "role": "admin" }).to_string();
    let deputy = fleet.ask("POST", "/v1/tokens", &body, &[]).1;
    let (id, text) = (
        deputy["id"].as_str().unwrap(),
        deputy["token"].as_str().unwrap(),
    );
    let as_deputy =
        |method: &str, path: &str, body: &str| fleet.ask_as(text, method, path, body, &[]);
    let file = service("other", "b", &origin, "");
    assert_eq!(as_deputy("PUT", "/v1/services/other", &file).0, 201);
    assert_eq!(as_deputy("PUT", "/v1/services/other", "nonsense").0, 400);
    another_millisecond();
    let purged = as_deputy("POST", "/v1/purges", &json!({ "hosts": ["b"] }).to_string()).1;
    another_millisecond();
    let file = service("other", "b", &origin, "# next\n");
    assert_eq!(as_deputy("PUT", "/v1/services/other", &file).0, 200);
    let back = json!({ "version": 1 }).to_string();
    assert_eq!(
        as_deputy("POST", "/v1/services/other/rollback", &back).0,
        200
    );
    assert_eq!(as_deputy("DELETE", "/v1/services/other", "").0, 204);
    assert_eq!(as_deputy("DELETE", "/v1/nodes/none", "").0, 404);
    let key = as_deputy("POST", "/v1/keys", "").1;
    // the token itself in place of its id
    let path = format!("/v1/tokens/{text}");
    assert_eq!(as_deputy("DELETE", &path, "").0, 404);
    let path = format!("/v1/tokens/{id}");
    assert_eq!(fleet.ask("DELETE", &path, "", &[]).0, 204);
    // who may not changes nothing, and is not entered
    assert_eq!(as_deputy("DELETE", "/v1/services/site", "").0, 401);
    let expected = [
        ["token", "revoke", id, "done"],
        ["key", "rotate", "", "done"],
        ["node", "remove", "none", "refused"],
        ["service", "delete", "other", "done"],
        ["service", "rollback", "other", "done"],
        ["service", "put", "other", "done"],
        ["purge", "purge", purged["id"].as_str().unwrap(), "done"],
        ["service", "put", "other", "refused"],
        ["service", "put", "other", "done"],
        ["token", "create", "deputy", "done"],
    ];
    let expected: Vec<[String; 4]> = expected.iter().map(|row| row.map(str::to_owned)).collect();
    let told = audit(&fleet, "limit=10");
    assert_eq!(rows(&told), expected);
    let entry = |at: usize| &told["audit"][at];
    assert_eq!(
        (&entry(0)["by"], &entry(3)["by"]),
        (&json!("operator"), &json!("deputy"))
    );
    assert_eq!(
        (&entry(3)["by_token"], &entry(6)["by_token"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(
        (&entry(5)["detail"], &entry(4)["detail"]),
        (&json!("version 2"), &json!("version 3"))
    );
    assert_eq!(
        (&entry(1)["detail"], &entry(6)["named"]["hosts"][0]),
        (&key["kid"], &json!("b"))
    );
    // nobody finds the token itself there
    assert!(!told.to_string().contains(text));
    // in pages, by kind, and after a restart
    let mut paged = Vec::new();
    let mut after = String::new();
    while paged.len() < expected.len() {
        let page = audit(&fleet, &format!("limit=3&after={after}"));
        paged.extend(rows(&page));
        after = page["next"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(paged[..expected.len()], expected[..]);
    let some = rows(&audit(&fleet, "kind=token,purge&limit=3"));
    assert_eq!(
        some,
        [
            expected[0].clone(),
            expected[6].clone(),
            expected[9].clone()
        ]
    );
    fleet.stop_control_plane();
    fleet.start_control_plane();
    assert_eq!(audit(&fleet, "limit=10"), told);
    let (status, refused) = fleet.get("/v1/audit?after=x");
    assert_eq!((status, &refused["field"]), (400, &json!("after")));
}
