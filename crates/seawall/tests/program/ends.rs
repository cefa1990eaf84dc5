//! How a control plane ends that is told to while it answers.

use crate::cdn::{eventually, parse};
use crate::fleet::Fleet;
use crate::running::{Running, get};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Answers under way get 2 s, and keeping positions a moment more.
const END_MAX: Duration = Duration::from_secs(5);

/// Sends a request to the API and leaves it under way.
fn ask(fleet: &Fleet, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(fleet.plane.address("admin")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let token = std::fs::read_to_string(fleet.dir.path().join("plane/operator.token")).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nidempotency-key: once\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        token.trim(),
        body.len()
    )
    .unwrap();
    stream
}

/// The whole answer: its status, and its body.
fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// An edge that hears of nothing more and says nothing more, though its connections stand.
fn hang(edge: &Running) {
    edge.signal("-STOP");
}

#[test]
fn a_control_plane_that_ends_answers_what_waits_and_ends_well() {
    let mut fleet = Fleet::start();
    let edge = fleet.edge();
    assert!(get(&edge.address("listen"), "/").ends_with("answer 1"));
    let mut listening = ask(&fleet, "GET", "/v1/events", "");
    let mut head = [0; 12];
    listening.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    hang(&edge);
    let purge = json!({ "hosts": ["a"], "wait_ms": 60_000 }).to_string();
    let purging = ask(&fleet, "POST", "/v1/purges", &purge);
    let dry = json!({ "hosts": ["a"], "dry_run": true }).to_string();
    let estimating = ask(&fleet, "POST", "/v1/purges", &dry);
    eventually("the purge is in the log", || {
        let list = parse(&fleet.tell(&["purge", "list", "--json"], 0));
        list["purges"].as_array().unwrap().len() == 1
    });

    let told_to_end = Instant::now();
    fleet.plane.signal("-TERM");
    let (status, told) = answer(purging);
    let told: Value = parse(&told);
    assert_eq!((status, &told["complete"]), (202, &json!(false)), "{told}");
    assert_eq!(told["receipts"][0]["state"], "pending", "{told}");
    let (status, estimate) = answer(estimating);
    assert_eq!((status, &parse(&estimate)["silent"]), (200, &json!(["e"])));
    let mut events = String::new();
    listening.read_to_string(&mut events).unwrap();
    assert!(events.contains("event: purge"), "{events}");
    assert_eq!(fleet.plane.code(), Some(0));
    let took = told_to_end.elapsed();
    assert!(took < END_MAX, "{took:?}");

    // what was answered is there, and asking again is asking for the same
    fleet.start_again();
    let again = ask(&fleet, "POST", "/v1/purges", &purge.replace("60000", "0"));
    let (status, again) = answer(again);
    assert_eq!((status, &parse(&again)["id"]), (202, &told["id"]));
    edge.signal("-CONT");
    eventually("it has caught up", || {
        fleet.tell(&["node", "list"], 0).contains("up to date")
    });
    let id = told["id"].as_str().unwrap();
    assert!(fleet.tell(&["purge", "show", id], 0).contains("complete"));
    assert!(get(&edge.address("listen"), "/").ends_with("answer 2"));
}

#[test]
fn a_control_plane_that_ends_leaves_those_who_read_nothing_and_those_who_send_nothing() {
    let mut fleet = Fleet::start();
    // an answer under way, half a head, half a body, and nothing at all
    let admin = fleet.plane.address("admin");
    let mut halves = Vec::new();
    for half in [
        "",
        "GET /v1/nodes HTTP/1.1\r\nhost:",
        "POST /v1/purges HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(&admin).unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        halves.push(stream);
    }
    halves.push(ask(&fleet, "GET", "/v1/events", ""));
    // another one is answered after these were accepted
    fleet.tell(&["node", "list"], 0);
    let told_to_end = Instant::now();
    fleet.plane.signal("-TERM");
    assert_eq!(fleet.plane.code(), Some(0));
    let took = told_to_end.elapsed();
    assert!(took < END_MAX, "{took:?}");
    drop(halves);
}
