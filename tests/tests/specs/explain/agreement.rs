//! What is explained of a request just before it comes is what becomes of it.

mod rows;
mod site;

use self::rows::{Before, Row, rows};
use self::site::site;
use super::{answers, explain, node};
use seawall_tests::client::get;
use seawall_tests::{Fleet, FleetSpec, Origin, Response, eventually};
use serde_json::{Value, json};

const RULES: &str = "
[[service.rules]]
path = \"/bypass\"
action = \"bypass\"
";

/// Why the edge asked the next server, by its own member of `Cache-Status`; `None`: it did not.
fn forward(answer: &Response) -> Option<String> {
    let mut parts = answer.edge_status().split("; ");
    let forward = parts.find_map(|part| part.strip_prefix("fwd="));
    forward.map(str::to_owned)
}

fn check(fleet: &Fleet, row: &Row) {
    let Row {
        id,
        section,
        target,
        fields,
        ..
    } = row;
    let url = format!("http://{id}.example{target}");
    let host = format!("{id}.example");
    let ask = |target: &str, fields: &[(&str, &str)]| {
        let fields = [fields, &[("host", host.as_str())]].concat();
        get(fleet.edge(0), target, &fields)
    };
    match row.before {
        Before::Nothing => {}
        Before::Asked(asked) => {
            for (of, fields) in asked {
                ask(if of.is_empty() { target } else { of }, fields);
            }
        }
        Before::Purged { soft } => {
            ask(target, &[]);
            fleet.purge_everywhere(json!({ "urls": [url], "soft": soft }));
        }
    }
    let headers: Vec<String> = fields.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let (outcome, fwd, status) = row.expect;
    let mut told = Value::Null;
    // what a fill brings lies there a moment after its client has it
    eventually(&format!("{id}: {outcome}"), || {
        told = node(&explain(fleet, &url, &headers), "edge-0").clone();
        let found = (told["outcome"].as_str(), told["forward"].as_str());
        found == (Some(outcome), fwd)
    });

    let answer = ask(target, fields);

    let why = format!("{id} ({section}): {} {told}", answer.edge_status());
    assert_eq!(forward(&answer).as_deref(), fwd, "{why}");
    assert_eq!(answer.status, status, "{why}");
    let told_status = told["status"].as_u64().map(|status| status as u16);
    if fwd.is_none_or(|fwd| fwd == "partial") && outcome != "miss" {
        assert_eq!(told_status, Some(status), "{why}");
    }
    if told["recoding"].is_string() {
        assert_eq!(
            told["recoding"].as_str(),
            answer.field("content-encoding"),
            "{why}"
        );
    }
    // and what is told of it afterwards; plain fresh hits and refusals leave nothing
    if !["hit", "error"].contains(&outcome) {
        let after = explain(fleet, &url, &headers);
        let last = &node(&after, "edge-0")["last"][0];
        let found = last["outcome"].as_str().unwrap();
        let found = if found == "revalidated" {
            "miss"
        } else {
            found
        };
        assert_eq!(
            (found, last["forward"].as_str()),
            (outcome, fwd),
            "{why}: {last}"
        );
    }
}

#[test]
fn what_is_explained_just_before_is_what_becomes_of_the_request() {
    let origin = Origin::start(site);
    let spec = FleetSpec {
        edges: 1,
        service: RULES.into(),
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    for row in rows() {
        check(&fleet, &row);
    }
}

#[test]
fn servers_that_are_asked_are_told_as_what_they_are() {
    let origin = answers("max-age=60");
    let fleet = Fleet::of(&origin);
    let told = explain(&fleet, super::URL, &[]);
    assert_eq!(told["shields"], json!(["shield-0"]));
    assert_eq!(node(&told, "edge-0")["next_servers"], "shields");
    assert_eq!(node(&told, "shield-0")["next_servers"], "origins");
}
