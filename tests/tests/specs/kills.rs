//! A control plane that is killed while purges are asked of it.

use seawall_tests::client::{get, request};
use seawall_tests::plane_process::{PlaneProcess, serve_plane};
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SEED: u64 = 0x5ea_0a11;
const WRITERS: usize = 4;
const PURGES: usize = 60;
const KILLS: usize = 6;

#[test]
#[ignore = "the process that the spec below kills"]
fn a_control_plane_of_its_own() {
    serve_plane();
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Asks for a purge; `None`: the answer did not come, and what was done is not known.
fn ask(admin: SocketAddr, token: &str, tag: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let bearer = format!("Bearer {token}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", tag),
        ("connection", "close"),
    ];
    let body = json!({ "tags": [tag], "wait_ms": 0 }).to_string();
    let asked = request("POST", "/v1/purges", &fields, body.as_bytes());
    stream.write_all(&asked).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

#[test]
fn every_purge_is_in_the_log_once_however_often_the_control_plane_is_killed() {
    println!("seed {SEED:#x}");
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    fleet.stop_control_plane();
    let (data, secret) = (fleet.dir("control-plane"), fleet.dir("secret"));
    let (sync, admin, token) = (fleet.sync(), fleet.admin(), fleet.token().to_owned());
    let spawn = || {
        let name = "kills::a_control_plane_of_its_own";
        PlaneProcess::spawn(&data, &secret, sync, admin, name)
    };
    let mut process = spawn();
    let done = AtomicBool::new(false);
    // what each purge was told as its id
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    std::thread::scope(|scope| {
        let (done, token) = (&done, &token);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let mut ids = BTreeMap::new();
                    for turn in 0..PURGES {
                        let tag = format!("{writer}-{turn}");
                        let told = loop {
                            match ask(admin, token, &tag) {
                                Some((200 | 202, told)) => break told,
                                // it is away, or its store does not know: the same again
                                Some((503, _)) | None => std::thread::yield_now(),
                                Some(other) => panic!("{tag}: {other:?}"),
                            }
                        };
                        let id = told["id"].as_str().unwrap().to_owned();
                        ids.insert(tag, id);
                    }
                    ids
                })
            })
            .collect();
        let killer = scope.spawn(|| {
            let mut random = Random(SEED);
            for _ in 0..KILLS {
                std::thread::sleep(Duration::from_millis(random.below(150)));
                process.kill();
                process = spawn();
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        for writer in writers {
            ids.extend(writer.join().unwrap());
        }
        done.store(true, Ordering::SeqCst);
        killer.join().unwrap();
    });
    assert_eq!(ids.len(), WRITERS * PURGES);
    // a retry still gives the same id
    for (tag, id) in &ids {
        let (_, told) = ask(admin, &token, tag).unwrap();
        assert_eq!(told["id"], json!(id), "{tag}");
    }
    let (_, list) = fleet.get("/v1/purges?limit=1000");
    let mut listed: Vec<&str> = list["purges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|purge| purge["named"]["tags"][0].as_str().unwrap())
        .collect();
    listed.sort_unstable();
    let asked: Vec<&str> = ids.keys().map(String::as_str).collect();
    assert_eq!(listed, asked);
    eventually("the edge has all of them", || fleet.is_up_to_date("edge-0"));
}

/// A fleet of one edge with a disk, whose control plane is a process.
fn with_a_process() -> (Fleet, impl Fn(&Fleet) -> PlaneProcess, Origin) {
    let origin = Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    });
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    fleet.stop_control_plane();
    let spawn = |fleet: &Fleet| {
        PlaneProcess::spawn(
            &fleet.dir("control-plane"),
            &fleet.dir("secret"),
            fleet.sync(),
            fleet.admin(),
            "kills::a_control_plane_of_its_own",
        )
    };
    (fleet, spawn, origin)
}

#[test]
fn a_complete_receipt_stays_complete_when_the_control_plane_is_killed_after_its_node_left() {
    let (mut fleet, spawn, _origin) = with_a_process();
    let mut process = spawn(&fleet);
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    let told = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    fleet.stop_edge(0);
    eventually("it is gone", || !fleet.is_up_to_date("edge-0"));
    // its position is kept before it is told as gone for the one who asks after this
    assert_eq!(
        fleet.get("/v1/nodes").1["nodes"][0]["connected"],
        json!(false)
    );
    let path = format!("/v1/purges/{}", told["id"].as_str().unwrap());
    let later = fleet.purge(json!({ "tags": ["t"], "wait_ms": 0 }));
    assert_eq!(later.0, 202);
    process.kill();
    process = spawn(&fleet);
    assert_eq!(fleet.get(&path).1["complete"], json!(true));
    drop(process);
}

#[test]
fn a_node_that_has_started_empty_does_so_once_though_the_control_plane_is_killed() {
    let (fleet, spawn, origin) = with_a_process();
    let mut process = spawn(&fleet);
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    let hit = || get(fleet.edge(0), "/", &[]).is_hit();
    fleet.purge_everywhere(json!({ "tags": ["other"] }));
    hit();
    assert!(hit());
    assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-0", "", &[]).0, 204);
    eventually("it is back", || fleet.is_up_to_date("edge-0"));
    assert!(!hit() && hit());
    let asked = origin.count("/");
    process.kill();
    process = spawn(&fleet);
    eventually("it follows again", || fleet.is_up_to_date("edge-0"));
    assert!(hit());
    assert_eq!(origin.count("/"), asked);
    drop(process);
}
