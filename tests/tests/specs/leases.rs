//! Nodes that have not heard from the control plane for longer than their lease: what they answer, and what receipts say.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::fleet::service;
use seawall_tests::process::{EdgeProcess, serve};
use seawall_tests::{Client, Fleet, FleetSpec, Gate, Origin, eventually};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The shortest that can be set.
const LEASE: Duration = Duration::from_secs(1);
const REUSE: Duration = Duration::from_secs(1);
const REVALIDATE: &str = "on_lease_loss = \"revalidate\"";

#[test]
#[ignore = "run by other specs, as a process of its own"]
fn an_edge_of_its_own() {
    serve();
}

/// An origin with one content of a version, which may be stored and used stale for an hour.
struct Content {
    origin: Origin,
    version: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

impl Content {
    fn new() -> Self {
        let version = Arc::new(AtomicUsize::new(1));
        let down = Arc::new(AtomicBool::new(false));
        let (current, is_down) = (version.clone(), down.clone());
        let origin = Origin::start(move |request, reply| {
            if is_down.load(Ordering::SeqCst) {
                return seawall_tests::Then::Reset;
            }
            let tag = format!("\"{}\"", current.load(Ordering::SeqCst));
            let windows = "max-age=3600, stale-while-revalidate=3600, stale-if-error=3600";
            let fields = [
                ("cache-control", windows),
                ("etag", tag.as_str()),
                ("surrogate-key", "t"),
            ];
            if request.field("if-none-match") == Some(&tag) {
                return reply.answer(304, &fields, b"");
            }
            reply.answer(200, &fields, tag.trim_matches('"').as_bytes())
        });
        Self {
            origin,
            version,
            down,
        }
    }

    fn change(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    fn fleet(&self, edges: usize, shields: usize, service: &str) -> Fleet {
        let spec = FleetSpec {
            edges,
            shields,
            service: String::new(),
            lease: LEASE,
            relayed: true,
            ..FleetSpec::default()
        };
        let fleet = Fleet::start(spec, &self.origin);
        say(&fleet, &self.origin, "site", service);
        fleet
    }
}

/// Puts the service `id` for `*` (`site`) or its own host with this word, and waits until all nodes have it.
fn say(fleet: &Fleet, origin: &Origin, id: &str, more: &str) {
    let host = if id == "site" { "*" } else { id };
    let text = service(id, host, origin, "");
    let text = text.replacen("hosts", &format!("{more}\nhosts"), 1);
    let (status, told) = fleet.put_service(id, &text, &[]);
    assert!(status == 200 || status == 201, "{told}");
    let name = format!("services/{id}");
    let wanted = fleet.plane().services.in_force().generations()[&name];
    eventually("all nodes have it", || {
        let (_, told) = fleet.get("/v1/nodes");
        let nodes = told["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .iter()
            .all(|node| node["documents"][&name] == json!(wanted))
    });
}

/// The receipt of one node; an empty state: it is not the purge's business.
fn receipt(fleet: &Fleet, purge: &Value, node: &str) -> (String, Value) {
    let id = purge["id"].as_str().expect("an id");
    let (_, told) = fleet.get(&format!("/v1/purges/{id}?receipts=all"));
    let receipts = told["receipts"].as_array().cloned().unwrap_or_default();
    let receipt = receipts.into_iter().find(|r| r["node"] == node);
    let receipt = receipt.unwrap_or(Value::Null);
    let state = receipt["state"].as_str().unwrap_or_default().to_owned();
    (state, receipt)
}

fn state(fleet: &Fleet, purge: &Value, node: &str) -> String {
    receipt(fleet, purge, node).0
}

/// Purges without waiting for anybody.
fn purge(fleet: &Fleet, mut what: Value) -> Value {
    what["wait_ms"] = json!(0);
    fleet.purge(what).1
}

fn until_fenced(fleet: &Fleet, purge: &Value, node: &str) {
    eventually("it is fenced", || state(fleet, purge, node) == "fenced");
}

fn lease(fleet: &Fleet, node: &str) -> Value {
    let (_, told) = fleet.get("/v1/nodes");
    let nodes = told["nodes"].as_array().cloned().unwrap_or_default();
    let node = nodes.into_iter().find(|n| n["id"] == node);
    node.unwrap_or(Value::Null)["lease"].clone()
}

fn fenced_services(metrics: &str) -> u64 {
    metric(metrics, "seawall_lease_fenced_services", &[])
}

fn version(at: std::net::SocketAddr) -> String {
    get(at, "/", &[]).text()
}

#[test]
fn a_node_that_is_cut_off_is_fenced_and_answers_nothing_unconfirmed_until_it_is_back() {
    let content = Content::new();
    let fleet = content.fleet(2, 1, REVALIDATE);
    for edge in 0..2 {
        assert_eq!(version(fleet.edge(edge)), "1");
        assert!(get(fleet.edge(edge), "/", &[]).is_hit());
    }
    assert_eq!(lease(&fleet, "edge-1")["state"], "held");
    assert_eq!(fenced_services(&fleet.metrics(1)), 0);
    fleet.relay("edge-1").cut();
    content.change();
    let purged = purge(&fleet, json!({ "tags": ["t"], "service": "site" }));
    assert_eq!(state(&fleet, &purged, "edge-1"), "pending");
    until_fenced(&fleet, &purged, "edge-1");
    let (_, told) = receipt(&fleet, &purged, "edge-1");
    assert!(told["since"].is_string(), "{told}");
    let (_, told) = fleet.get(&format!("/v1/purges/{}", purged["id"].as_str().unwrap()));
    assert_eq!(
        (&told["complete"], &told["fenced"]),
        (&json!(true), &json!(1))
    );
    // what it has stored is of version 1, and fresh
    assert_eq!(version(fleet.edge(1)), "2");
    assert_eq!(lease(&fleet, "edge-1")["state"], "lost");
    assert_eq!(fenced_services(&fleet.metrics(1)), 1);
    assert!(metric(&fleet.metrics(1), "seawall_lease_fenced_answers_total", &[]) > 0);
    assert_eq!(lease(&fleet, "edge-0")["state"], "held");

    fleet.relay("edge-1").mend();
    eventually("it is back", || {
        state(&fleet, &purged, "edge-1") == "applied"
    });
    eventually("it has a lease", || fenced_services(&fleet.metrics(1)) == 0);
    get(fleet.edge(1), "/", &[]);
    assert!(get(fleet.edge(1), "/", &[]).is_hit());
}

#[test]
fn a_service_that_serves_on_is_never_fenced_and_what_covers_it_waits() {
    let content = Content::new();
    let fleet = content.fleet(1, 0, "");
    say(&fleet, &content.origin, "shop.example", REVALIDATE);
    let shop = [("host", "shop.example")];
    for _ in 0..2 {
        get(fleet.edge(0), "/", &[]);
        get(fleet.edge(0), "/", &shop);
    }
    fleet.relay("edge-0").cut();
    let of = |what: Value| purge(&fleet, what);
    let waits = [
        of(json!({ "tags": ["t"], "service": "site" })),
        of(json!({ "service": "site" })),
        of(json!({ "urls": ["http://www.example/"] })),
        of(json!({ "hosts": ["www.example"] })),
        of(json!({ "prefixes": ["www.example/a"] })),
        of(json!({ "everything": true })),
        // the one that serves on has every host
        of(json!({ "urls": ["http://shop.example/"] })),
        of(json!({ "tags": ["t"], "service": "site", "soft": true })),
    ];
    let fenced = of(json!({ "tags": ["t"], "service": "shop.example" }));
    // the last one that was appended
    until_fenced(&fleet, &fenced, "edge-0");
    for purge in &waits {
        assert_eq!(state(&fleet, purge, "edge-0"), "pending", "{purge}");
    }
    content.change();
    // one serves on, and says so; the other asks
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    assert_eq!(get(fleet.edge(0), "/", &shop).text(), "2");
    fleet.relay("edge-0").mend();
    for purge in waits.iter().chain([&fenced]) {
        eventually("it is back", || state(&fleet, purge, "edge-0") == "applied");
    }
}

#[test]
fn a_url_of_a_host_that_only_a_fenced_service_has_is_fenced() {
    let content = Content::new();
    let fleet = content.fleet(1, 0, REVALIDATE);
    fleet.relay("edge-0").cut();
    let all = [
        json!({ "urls": ["http://www.example/"] }),
        json!({ "hosts": ["www.example"] }),
        json!({ "prefixes": ["www.example/a"] }),
        json!({ "service": "site" }),
        json!({ "everything": true }),
    ];
    for what in all {
        let purged = purge(&fleet, what);
        until_fenced(&fleet, &purged, "edge-0");
    }
}

#[test]
fn an_origin_that_is_down_while_a_node_is_fenced_is_told_as_its_failure() {
    let content = Content::new();
    let fleet = content.fleet(1, 1, REVALIDATE);
    assert_eq!(version(fleet.edge(0)), "1");
    fleet.relay("edge-0").cut();
    eventually("it has no lease", || {
        fenced_services(&fleet.metrics(0)) == 1
    });
    content.down.store(true, Ordering::SeqCst);
    eventually("what was confirmed is too long ago", || {
        get(fleet.edge(0), "/", &[]).status >= 500
    });
    let answer = get(fleet.edge(0), "/", &[]);
    assert!(answer.status == 502 || answer.status == 504, "{answer:?}");
    assert!(answer.edge_status().contains("detail=fenced"), "{answer:?}");
    let mut client = Client::connect(fleet.edge(0));
    client.request("HEAD", "/", &[], b"");
    let told = client.response("HEAD").unwrap();
    assert!(told.status >= 500, "{told:?}");
    content.down.store(false, Ordering::SeqCst);
    eventually("the origin is back", || version(fleet.edge(0)) == "1");
}

#[test]
fn what_an_origin_said_is_reused_for_a_second_and_no_longer() {
    const QUESTIONS: usize = 4;
    // each answer is of a version of its own, asked for at a known time
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let times = asked.clone();
    let origin = Origin::start(move |_, reply| {
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        let body = (times.len() - 1).to_string();
        reply.answer(200, &[("cache-control", "max-age=3600")], body.as_bytes())
    });
    let content = Content::new();
    let fleet = content.fleet(1, 1, REVALIDATE);
    say(&fleet, &origin, "site", REVALIDATE);
    fleet.relay("edge-0").cut();
    eventually("it has no lease", || {
        fenced_services(&fleet.metrics(0)) == 1
    });
    let before = asked.lock().unwrap().len();
    let mut hits = 0;
    eventually("some questions were asked", || {
        let began = Instant::now();
        let answer = get(fleet.edge(0), "/", &[]);
        let of: usize = answer.text().parse().unwrap();
        let when = asked.lock().unwrap()[of];
        assert!(began.saturating_duration_since(when) <= REUSE, "{answer:?}");
        hits += usize::from(answer.is_hit());
        asked.lock().unwrap().len() >= before + QUESTIONS
    });
    assert!(hits > 0, "and within a second it is reused");
}

#[test]
fn a_node_that_was_stopped_beyond_its_lease_confirms_its_first_answer() {
    let content = Content::new();
    let mut fleet = content.fleet(0, 0, REVALIDATE);
    let index = fleet.another_edge();
    let edge = EdgeProcess::spawn(&fleet.edge_model(index), "leases::an_edge_of_its_own");
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    assert_eq!(version(edge.address()), "1");
    let mut client = Client::connect(edge.address());
    eventually("it answers by itself", || client.get("/", &[]).is_hit());
    edge.pause();
    content.change();
    let purged = purge(&fleet, json!({ "service": "site" }));
    until_fenced(&fleet, &purged, "edge-0");
    // the request lies there when it goes on
    client.request("GET", "/", &[], b"");
    edge.resume();
    let answer = client.response("GET").unwrap();
    assert_eq!(answer.text(), "2", "{answer:?}");
    eventually("it is back", || {
        state(&fleet, &purged, "edge-0") == "applied"
    });
    eventually("it answers by itself", || client.get("/", &[]).is_hit());
}

/// Asks the shield as an edge does, a fenced one perhaps.
fn as_an_edge(fleet: &Fleet, client: &mut Client, fenced: bool) {
    let secret = std::fs::read_to_string(fleet.dir("secret")).unwrap();
    let told = fleet.get("/v1/nodes").1;
    let mut fields = vec![
        ("seawall-link", "1"),
        ("seawall-scheme", "http"),
        ("seawall-hops", "1"),
        ("seawall-fleet", secret.trim()),
        ("seawall-sequence", told["head"].as_str().unwrap()),
    ];
    fields.extend(fenced.then_some(("seawall-reach", "1")));
    client.request("GET", "/", &fields, b"");
}

#[test]
fn a_fenced_edge_reaches_the_origin_through_a_shield_that_has_its_lease() {
    let content = Content::new();
    let fleet = content.fleet(1, 1, REVALIDATE);
    assert_eq!(version(fleet.edge(0)), "1");
    fleet.relay("edge-0").cut();
    eventually("it has no lease", || {
        fenced_services(&fleet.metrics(0)) == 1
    });
    assert_eq!(fenced_services(&fleet.shield_metrics(0)), 0);
    content.change();
    // the shield's copy is fresh, and nobody has purged it
    eventually("what was confirmed is too long ago", || {
        version(fleet.edge(0)) == "2"
    });
}

#[test]
fn a_fenced_shield_reaches_the_origin_for_an_edge_that_has_its_lease() {
    let content = Content::new();
    let fleet = content.fleet(2, 1, REVALIDATE);
    assert_eq!(version(fleet.edge(0)), "1");
    fleet.relay("shield-0").cut();
    eventually("it has no lease", || {
        fenced_services(&fleet.shield_metrics(0)) == 1
    });
    content.change();
    eventually("what was confirmed is too long ago", || {
        let mut client = Client::connect(fleet.shield(0));
        as_an_edge(&fleet, &mut client, false);
        client.response("GET").unwrap().text() == "2"
    });
    assert_eq!(version(fleet.edge(0)), "1", "the edge has its own lease");
    assert_eq!(version(fleet.edge(1)), "2");
    assert!(get(fleet.edge(1), "/", &[]).is_hit());
}

#[test]
fn a_shield_asks_the_origin_for_each_request_of_a_fenced_edge_and_says_so() {
    let gate = Gate::default();
    let (waits, held) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let holds = held.clone();
    let origin = Origin::start(move |_, reply| {
        if holds.load(Ordering::SeqCst) {
            waits.pass();
        }
        reply.answer(
            200,
            &[("cache-control", "max-age=3600"), ("etag", "\"a\"")],
            b"body",
        )
    });
    let content = Content::new();
    // the service asks for nothing: the neighbour does
    let fleet = content.fleet(1, 1, "");
    say(&fleet, &origin, "site", "");
    get(fleet.edge(0), "/", &[]);
    let asked = origin.count("/");
    for more in 1..=2 {
        let mut client = Client::connect(fleet.shield(0));
        as_an_edge(&fleet, &mut client, true);
        let answer = client.response("GET").unwrap();
        assert_eq!(answer.field("seawall-fetched"), Some("1"), "{answer:?}");
        assert_eq!(origin.count("/"), asked + more);
    }
    // nor does one join what was asked before it came
    held.store(true, Ordering::SeqCst);
    let mut clients = Vec::new();
    for more in 3..=4 {
        let mut client = Client::connect(fleet.shield(0));
        as_an_edge(&fleet, &mut client, true);
        clients.push(client);
        eventually("the origin is asked", || origin.count("/") == asked + more);
    }
    gate.open();
    for mut client in clients {
        let answer = client.response("GET").unwrap();
        assert_eq!(answer.field("seawall-fetched"), Some("1"), "{answer:?}");
    }
}

#[test]
fn a_client_cannot_have_the_origin_asked_in_the_name_of_the_fleet() {
    let content = Content::new();
    let fleet = content.fleet(1, 1, REVALIDATE);
    get(fleet.edge(0), "/", &[]);
    let asked = content.origin.count("/");
    let fields = [("seawall-reach", "1"), ("seawall-link", "1")];
    eventually("it answers by itself", || {
        get(fleet.edge(0), "/", &fields).is_hit()
    });
    get(fleet.edge(0), "/other", &fields);
    let seen = content.origin.seen();
    assert!(seen.iter().all(|r| r.field("seawall-reach").is_none()));
    assert_eq!(content.origin.count("/"), asked);
}

#[test]
fn a_control_plane_that_is_started_again_claims_nothing_before_old_leases_have_ended() {
    let content = Content::new();
    let mut fleet = content.fleet(1, 0, REVALIDATE);
    fleet.relay("edge-0").cut();
    let purged = purge(&fleet, json!({ "service": "site" }));
    until_fenced(&fleet, &purged, "edge-0");
    // it does not know when the node was given its last lease
    fleet.stop_control_plane();
    fleet.set_lease(Duration::from_secs(4));
    fleet.start_control_plane();
    assert_eq!(state(&fleet, &purged, "edge-0"), "pending");
    let (_, node) = fleet.get("/v1/nodes");
    assert_eq!(node["nodes"][0]["lease"], Value::Null);
    until_fenced(&fleet, &purged, "edge-0");
}

#[test]
fn a_node_that_starts_without_the_control_plane_is_fenced() {
    let content = Content::new();
    let mut fleet = content.fleet(1, 0, REVALIDATE);
    fleet.relay("edge-0").cut();
    fleet.stop_edge(0);
    fleet.start_edge(0);
    assert_eq!(version(fleet.edge(0)), "1");
    assert_eq!(fenced_services(&fleet.metrics(0)), 1);
    content.change();
    eventually("what was confirmed is too long ago", || {
        version(fleet.edge(0)) == "2"
    });
}

#[test]
fn a_service_that_is_to_serve_on_does_so_at_a_fenced_node_only_once_that_has_caught_up() {
    let content = Content::new();
    let fleet = content.fleet(1, 0, REVALIDATE);
    assert_eq!(version(fleet.edge(0)), "1");
    fleet.relay("edge-0").cut();
    content.change();
    let purged = purge(&fleet, json!({ "service": "site" }));
    until_fenced(&fleet, &purged, "edge-0");
    let text = service("site", "*", &content.origin, "");
    assert_eq!(fleet.put_service("site", &text, &[]).0, 200);
    // the node may be told so at any moment: nothing is claimed of it any more
    assert_eq!(state(&fleet, &purged, "edge-0"), "pending");
    fleet.relay("edge-0").mend();
    eventually("it is back", || {
        assert_eq!(version(fleet.edge(0)), "2");
        state(&fleet, &purged, "edge-0") == "applied"
    });
    eventually("it serves on", || {
        let in_force = fleet.plane().services.in_force();
        let wanted = in_force.generations()["services/site"];
        let (_, told) = fleet.get("/v1/nodes");
        told["nodes"][0]["documents"]["services/site"] == json!(wanted)
    });
    fleet.relay("edge-0").cut();
    get(fleet.edge(0), "/", &[]);
    content.change();
    eventually("it has no lease", || {
        lease(&fleet, "edge-0")["state"] == "lost"
    });
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
}
