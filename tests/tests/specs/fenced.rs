//! What a node without a lease takes for an answer: nothing stale, and nothing that the origin was not asked for.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The shortest that can be set.
const LEASE: Duration = Duration::from_secs(1);
/// A line of the service's own table.
const REVALIDATE: &str = "on_lease_loss = \"revalidate\"\n";

/// Edges before a shield, or before none, each of which can be cut off from the control plane.
fn fleet(edges: usize, shields: usize, origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        edges,
        shields,
        lease: LEASE,
        relayed: true,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, origin);
    let text = seawall_tests::fleet::service("site", "*", origin, "");
    let text = text.replacen("hosts", &format!("{REVALIDATE}hosts"), 1);
    let (status, told) = fleet.put_service("site", &text, &[]);
    assert_eq!(status, 200, "{told}");
    let wanted = fleet.plane().services.in_force().generations()["services/site"];
    eventually("all nodes have it", || {
        let (_, told) = fleet.get("/v1/nodes");
        let nodes = told["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .iter()
            .all(|node| node["documents"]["services/site"] == json!(wanted))
    });
    fleet
}

fn is_fenced(metrics: &str) -> bool {
    metric(metrics, "seawall_lease_fenced_services", &[]) == 1
}

/// Cuts an edge off. When this returns it is fenced for a purge of what is not stored: all that it has was confirmed by
/// the origin too long ago.
fn cut_off(fleet: &Fleet, edge: &str) {
    fleet.relay(edge).cut();
    let what = json!({ "urls": ["http://www.example/not/stored"], "wait_ms": 0 });
    let (_, purge) = fleet.purge(what);
    let path = format!("/v1/purges/{}?receipts=all", purge["id"].as_str().unwrap());
    eventually("it is fenced", || {
        let (_, told) = fleet.get(&path);
        let receipts = told["receipts"].as_array().cloned().unwrap_or_default();
        receipts
            .iter()
            .any(|receipt| receipt["node"] == edge && receipt["state"] == "fenced")
    });
}

#[test]
fn what_is_stale_does_not_answer_while_it_is_refreshed() {
    for shields in [0, 1] {
        let version = Arc::new(AtomicUsize::new(1));
        let current = version.clone();
        let origin = Origin::start(move |_, reply| {
            let body = current.load(Ordering::SeqCst).to_string();
            let fields = [("cache-control", "max-age=3600, stale-while-revalidate=3600")];
            reply.answer(200, &fields, body.as_bytes())
        });
        let fleet = fleet(1, shields, &origin);
        assert_eq!(get(fleet.edge(0), "/", &[]).text(), "1");
        // stale, and in its window
        fleet.purge_everywhere(json!({ "everything": true, "soft": true }));
        cut_off(&fleet, "edge-0");
        version.store(2, Ordering::SeqCst);
        let answer = get(fleet.edge(0), "/", &[]);
        assert_eq!(answer.text(), "2", "{shields} {answer:?}");
    }
}

#[test]
fn what_a_neighbour_had_is_not_reused_as_if_the_origin_had_confirmed_it() {
    // the first answer under each URL is "1", any later one "2"
    let origin = Origin::start(|request, reply| {
        static ASKED: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
        let mut asked = ASKED.lock().unwrap();
        let first = !asked.contains(&request.target);
        asked.push(request.target.clone());
        drop(asked);
        reply.fresh(if first { b"1" } else { b"2" })
    });
    let fleet = fleet(2, 1, &origin);
    fleet.relay("edge-0").cut();
    let mut n = 0_u32;
    eventually("it has no lease", || {
        n += 1;
        let path = format!("/{n}");
        // the shield has it, and with its lease the edge takes it from there
        assert_eq!(get(fleet.edge(1), &path, &[]).text(), "1");
        get(fleet.edge(0), &path, &[]);
        is_fenced(&fleet.metrics(0))
    });
    // what it took last with its lease, and perhaps first without
    for n in 1.max(n.saturating_sub(3))..=n {
        let answer = get(fleet.edge(0), &format!("/{n}"), &[]);
        assert_eq!(answer.text(), "2", "{answer:?}");
    }
}

#[test]
fn an_answer_that_no_origin_was_asked_for_is_none() {
    // a shield of a build that does not know the mark: it answers with its copy
    let shield = Origin::start(|request, reply| {
        let label = request.field("seawall-sequence").unwrap();
        let fields = [("cache-control", "max-age=3600"), ("seawall-label", label)];
        reply.answer(200, &fields, b"a copy")
    });
    let mut fleet = fleet(0, 0, &shield);
    let edge = fleet.edge_below(&shield);
    let at = edge.addrs()[0];
    let metrics = || {
        edge.gauges()();
        edge.metrics().gather()
    };
    eventually("it has a lease", || !is_fenced(&metrics()));
    assert_eq!(get(at, "/", &[]).text(), "a copy");
    cut_off(&fleet, "edge-0");
    let asked = shield.seen().len();
    for path in ["/", "/another"] {
        let answer = get(at, path, &[]);
        assert_eq!(answer.status, 502, "{answer:?}");
    }
    let seen = shield.seen();
    let mut marks = seen[asked..].iter().map(|r| r.field("seawall-reach"));
    assert!(seen.len() > asked && marks.all(|mark| mark == Some("1")));
    edge.drain(Duration::ZERO);
}
