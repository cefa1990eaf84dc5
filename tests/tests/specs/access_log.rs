//! The access log: one line of JSON for each request, soon after its answer.

use seawall_config::node::{AccessLogModel, LogTo};
use seawall_edge::Edge;
use seawall_service_model::ServiceSet;
use seawall_tests::client::get;
use seawall_tests::{Client, Fleet, Origin, eventually};
use serde_json::Value;

#[test]
fn each_request_has_its_line_while_the_node_runs() {
    let origin = Origin::start(|request, reply| reply.fresh(request.target.as_bytes()));
    let (fleet, mut model) = Fleet::for_own_edge(&origin);
    let file = fleet.dir("access.log");
    model.node.access_log = Some(AccessLogModel {
        to: LogTo::File(file.clone()),
        queue: 1000,
    });
    let edge = Edge::start(&model, ServiceSet::default()).expect("an edge starts");
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    let address = edge.addrs()[0];

    get(address, "/a\"b", &[("user-agent", "spec \\ 1")]);
    let mut client = Client::connect(address);
    for _ in 0..3 {
        client.get("/a\"b", &[("host", "WWW.example:80")]);
    }

    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("whole lines")
    };
    eventually("all lines are there", || lines().len() == 4);
    let mut lines = lines();
    lines.sort_by_key(|line| line["outcome"] == "hit");
    let outcomes: Vec<&Value> = lines.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["miss", "hit", "hit", "hit"]);
    for line in &lines {
        assert_eq!(line["path"], "/a\"b");
        assert_eq!(
            (&line["status"], &line["bytes"]),
            (&200.into(), &4.into()),
            "{line}"
        );
        assert_eq!(
            (&line["service"], &line["client"]),
            (&"site".into(), &"127.0.0.1".into())
        );
    }
    assert_eq!(lines[0]["user_agent"], "spec \\ 1");
    assert_eq!(lines[1]["host"], "WWW.example:80");
    let ids: std::collections::BTreeSet<_> = lines
        .iter()
        .map(|line| line["request_id"].to_string())
        .collect();
    assert_eq!(ids.len(), 4);
}
