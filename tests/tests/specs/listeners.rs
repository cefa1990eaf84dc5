//! Who asks the control plane: listeners to events that read slowly or not at all, connections that end nowhere, keys.

use seawall_tests::client::{get, request};
use seawall_tests::fleet::service;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, PATIENCE, eventually};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Events that a listener may be behind, and listeners at a time.
const QUEUE: u64 = 1024;
const LISTENERS_MAX: usize = 128;

fn fleet() -> (Fleet, Origin) {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let spec = FleetSpec {
        edges: 0,
        shields: 0,
        ..FleetSpec::default()
    };
    (Fleet::start(spec, &origin), origin)
}

fn asks(fleet: &Fleet) -> Client {
    let bearer = format!("Bearer {}", fleet.token());
    let mut client = Client::connect(fleet.admin());
    client.request("GET", "/v1/events", &[("authorization", &bearer)], b"");
    client
}

fn listen(fleet: &Fleet) -> Client {
    let mut client = asks(fleet);
    assert_eq!(client.head().unwrap().0, 200);
    client
}

/// Lines of a stream of events.
fn lines(fleet: &Fleet) -> impl Iterator<Item = String> {
    let mut stream = TcpStream::connect(fleet.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bearer = format!("Bearer {}", fleet.token());
    let asked = request("GET", "/v1/events", &[("authorization", &bearer)], b"");
    stream.write_all(&asked).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    lines
}

#[test]
fn a_listener_that_reads_nothing_misses_events_is_told_so_and_holds_up_nobody() {
    let (fleet, _origin) = fleet();
    let mut slow = lines(&fleet);
    let mut quick = lines(&fleet);
    // more than the queue (16 MiB) and what lies in the sockets
    let filler = "x".repeat(16 << 10);
    let all = 3 * QUEUE;
    for n in 1..=all {
        let data = json!({ "n": n, "filler": filler });
        fleet.plane().events.tell("node", data);
        // the quick one has each of them before the next
        let told = quick.find(|line| line.starts_with("data: ")).unwrap();
        assert!(told.ends_with(&format!("\"n\":{n}}}")), "{n}");
    }
    assert_eq!(get(fleet.admin(), "/healthz", &[]).status, 200);

    // and now the slow one reads
    let mut missed = 0;
    let mut told = Vec::new();
    while told.last() != Some(&all) {
        let line = slow.find(|line| line.starts_with("data: ")).unwrap();
        match line.split_once("\"n\":") {
            Some((_, n)) => told.push(n.trim_end_matches('}').parse::<u64>().unwrap()),
            None => missed += line["data: ".len()..].parse::<u64>().unwrap(),
        }
    }
    let seen = told.len() as u64;
    assert!(missed > 0, "{seen} seen");
    assert_eq!(seen + missed, all);
    assert!(told.is_sorted());
    // the last ones had waited for it
    let kept = &told[told.len() - QUEUE as usize..];
    assert!(kept.iter().copied().eq(all - QUEUE + 1..=all));
}

#[test]
fn there_are_at_most_so_many_listeners_and_one_that_leaves_makes_room() {
    let (fleet, _origin) = fleet();
    let mut listening: Vec<Client> = (0..LISTENERS_MAX).map(|_| listen(&fleet)).collect();
    // the head alone: a stream that should not be has no end
    assert_eq!(asks(&fleet).head().unwrap().0, 503);
    let refused = asks(&fleet).response("GET").unwrap();
    let told: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert!(told["error"].is_string(), "{told}");
    listening.pop();
    eventually("there is room", || asks(&fleet).head().unwrap().0 == 200);
    // the API goes on beside them
    assert_eq!(fleet.get("/v1/nodes").0, 200);
}

#[test]
fn a_service_that_is_rolled_back_or_deleted_is_told() {
    let (fleet, origin) = fleet();
    let mut told = lines(&fleet).filter_map(|line| {
        let data = line.strip_prefix("data: ")?;
        Some(serde_json::from_str::<serde_json::Value>(data).unwrap())
    });
    let text = service("site", "*", &origin, "# next\n");
    assert_eq!(fleet.put_service("site", &text, &[]).0, 200);
    assert_eq!(told.next().unwrap()["version"], json!(2));
    let path = "/v1/services/site";
    let back = fleet.ask(
        "POST",
        &format!("{path}/rollback"),
        r#"{"version": 1}"#,
        &[],
    );
    assert_eq!(back.0, 200);
    let event = told.next().unwrap();
    assert_eq!(
        (&event["version"], &event["rolled_back_to"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(fleet.ask("DELETE", path, "", &[]).0, 204);
    assert_eq!(fleet.ask("DELETE", path, "", &[]).0, 404);
    assert_eq!(fleet.put_service("site", &text, &[]).0, 201);
    let event = told.next().unwrap();
    assert_eq!(
        (&event["service"], &event["deleted"]),
        (&json!("site"), &json!(true))
    );
    assert_eq!(told.next().unwrap()["version"], json!(5));
}

#[test]
fn a_connection_whose_head_does_not_end_is_closed() {
    let (fleet, _origin) = fleet();
    let mut half = TcpStream::connect(fleet.admin()).unwrap();
    half.set_read_timeout(Some(PATIENCE)).unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost:").unwrap();
    // an answer that says so, or none: but it ends, within the patience
    let mut answer = Vec::new();
    let ended = half.read_to_end(&mut answer);
    assert!(ended.is_ok(), "{ended:?}");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_key_is_its_callers_own() {
    let (fleet, _origin) = fleet();
    let body = json!({ "name": "ci", "role": "purge" }).to_string();
    let (_, made) = fleet.ask("POST", "/v1/tokens", &body, &[]);
    let ci = made["token"].as_str().unwrap();
    let key = [("idempotency-key", "deploy-17")];
    let ask = |token: &str, tag: &str| {
        let what = json!({ "tags": [tag] }).to_string();
        let (status, told) = fleet.ask_as(token, "POST", "/v1/purges", &what, &key);
        assert_eq!(status, 200, "{told}");
        told["id"].clone()
    };
    let own = ask(fleet.token(), "a");
    // neither refused as another purge, nor taken for the same one
    let of_ci = ask(ci, "b");
    assert_ne!(own, of_ci);
    assert_ne!(ask(ci, "b"), own);
    assert_eq!((ask(fleet.token(), "a"), ask(ci, "b")), (own, of_ci));
}
