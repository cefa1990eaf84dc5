//! Readers, purges and kills at once: nothing is answered that a receipt says cannot be.

use seawall_tests::client::request;
use seawall_tests::judge::{Judge, Strength};
use seawall_tests::process::{EdgeProcess, serve};
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const OBJECTS: usize = 20;
const CLIENTS: usize = 50;
const PURGES: usize = 500;
const SEED: u64 = 20_261_124;

#[test]
#[ignore = "run by other specs, as a process of its own"]
fn an_edge_of_its_own() {
    serve();
}

/// A small linear congruential generator: the run can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// The version that an edge answers with; `None`: it is just being killed or started.
fn version(edge: SocketAddr, object: usize) -> Option<u64> {
    let mut stream = TcpStream::connect(edge).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let fields = [("connection", "close")];
    let asked = request("GET", &format!("/{object}"), &fields, b"");
    stream.write_all(&asked).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    if !answer.starts_with("HTTP/1.1 200") {
        return None;
    }
    answer.rsplit("\r\n\r\n").next()?.parse().ok()
}

#[test]
fn no_receipt_is_broken_while_clients_read_and_an_edge_is_killed() {
    let versions: Arc<Vec<AtomicU64>> = Arc::new((0..OBJECTS).map(|_| AtomicU64::new(1)).collect());
    let current = versions.clone();
    let origin = Origin::start(move |request, reply| {
        let object: usize = request.target[1..].parse().unwrap();
        let version = current[object].load(Ordering::SeqCst);
        let tag = format!("t{object}");
        let fields = [
            ("cache-control", "max-age=3600"),
            ("surrogate-key", tag.as_str()),
        ];
        reply.answer(200, &fields, version.to_string().as_bytes())
    });
    let spec = FleetSpec {
        edges: 1,
        disk: Some(64 << 20),
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    let killed = fleet.another_edge();
    let spawn = |fleet: &Fleet, listen: Option<SocketAddr>| {
        let mut model = fleet.edge_model(killed);
        if let Some(listen) = listen {
            model.node.listen[0].address = listen;
        }
        EdgeProcess::spawn(&model, "races::an_edge_of_its_own")
    };
    let mut process = spawn(&fleet, None);
    let edges = [fleet.edge(0), process.address()];
    eventually("it follows", || fleet.is_up_to_date("edge-1"));

    let judge = Judge::new(2, OBJECTS);
    let (done, answers, violations) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (judge, done, answers, violations) = (&judge, &done, &answers, &violations);
            scope.spawn(move || {
                let mut random = Random(SEED + client as u64);
                while !done.load(Ordering::SeqCst) {
                    let (edge, object) = (random.below(2), random.below(OBJECTS));
                    let least = judge.least(edge, object);
                    if let Some(version) = version(edges[edge], object) {
                        answers.fetch_add(1, Ordering::Relaxed);
                        if !least.allows(version, false) {
                            violations.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let mut random = Random(SEED);
        let kills = [
            random.below(PURGES / 2),
            PURGES / 2 + random.below(PURGES / 2),
        ];
        for purge in 0..PURGES {
            if kills.contains(&purge) {
                process.kill();
                process = spawn(&fleet, Some(edges[killed]));
            }
            let object = random.below(OBJECTS);
            let version = versions[object].fetch_add(1, Ordering::SeqCst) + 1;
            let what = json!({ "tags": [format!("t{object}")], "wait_ms": 200 });
            let path = "/v1/purges?receipts=all";
            let (_, told) = fleet.ask("POST", path, &what.to_string(), &[]);
            for receipt in told["receipts"].as_array().unwrap() {
                let node = receipt["node"].as_str().unwrap();
                let edge = ["edge-0", "edge-1"].iter().position(|id| *id == node);
                if let (Some(edge), Some("applied")) = (edge, receipt["state"].as_str()) {
                    judge.in_force(edge, object, version, Strength::Hard);
                }
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    let (answers, violations) = (answers.into_inner(), violations.into_inner());
    println!("{PURGES} purges, {answers} answers, {violations} violations (seed {SEED})");
    assert_eq!(violations, 0);
    assert!(answers > 1000);
}
