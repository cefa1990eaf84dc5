//! Disks and the nodes above them come to grief: what is served is right, and what is lost is said.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::process::{EdgeProcess, serve};
use seawall_tests::{Client, Fleet, FleetSpec, Origin, Response, eventually};
use std::fs;
use std::os::unix::fs::FileExt;

#[test]
#[ignore = "run by other specs, as a process of its own"]
fn an_edge_of_its_own() {
    serve();
}

fn spec() -> FleetSpec {
    FleetSpec {
        edges: 0,
        shields: 0,
        disk: Some(64 << 20),
        ..FleetSpec::default()
    }
}

/// Starts the edge of `fleet` where it was, in a process of its own.
fn start(fleet: &Fleet) -> EdgeProcess {
    let process = EdgeProcess::spawn(&fleet.edge_model(0), "disk_faults::an_edge_of_its_own");
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    process
}

/// The body under a target that ends in its length.
fn body(target: &str) -> Vec<u8> {
    let length = target.rsplit('-').next().and_then(|n| n.parse().ok());
    target.bytes().cycle().take(length.unwrap_or(10)).collect()
}

/// `/text-N` is text; all else is not worth coding. `/tongue-N` varies by language, and names it.
fn origin() -> Origin {
    Origin::start(|request, reply| {
        let target = &request.target;
        let kind = if target.starts_with("/text") {
            "text/plain"
        } else {
            "image/png"
        };
        let mut fields = vec![("cache-control", "max-age=3600"), ("content-type", kind)];
        let mut body = body(target);
        if target.starts_with("/tongue") {
            fields.push(("vary", "accept-language"));
            body = request.field("accept-language").unwrap_or("none").into();
        }
        reply.answer(200, &fields, &body)
    })
}

fn written(edge: &EdgeProcess) -> u64 {
    metric(&edge.metrics(), "seawall_disk_records_written_total", &[])
}

/// Asks for everything: inline bodies, chunked ones, variants, and codings. How many were hits, and the coded bodies.
fn ask(edge: &EdgeProcess) -> (usize, Vec<Vec<u8>>) {
    let (mut hits, mut coded) = (0, Vec::new());
    let mut judge = |answer: &Response| {
        assert_eq!(answer.status, 200);
        hits += usize::from(answer.is_hit());
    };
    for target in plain() {
        let answer = get(edge.address(), &target, &[]);
        assert!(answer.body == body(&target), "{target}");
        judge(&answer);
    }
    for language in ["en", "de"] {
        let answer = get(
            edge.address(),
            "/tongue-1",
            &[("accept-language", language)],
        );
        assert_eq!(answer.text(), language);
        judge(&answer);
    }
    for target in ["/text-30000", "/text-700000"] {
        let answer = get(edge.address(), target, &[("accept-encoding", "gzip")]);
        assert_eq!(answer.field("content-encoding"), Some("gzip"));
        judge(&answer);
        coded.push(answer.body);
    }
    (hits, coded)
}

fn plain() -> Vec<String> {
    let mut targets: Vec<String> = (0..200).map(|i| format!("/a{i}-{}", i * 300)).collect();
    targets.extend(["/b-70000", "/b-262144", "/b-262145", "/b-3000000"].map(String::from));
    targets
}

const ALL: usize = 200 + 4 + 2 + 2;
/// Heads (two of each text), chunks of /b and of the longer text, and the record of the variants.
const RECORDS: u64 = 200 + (2 + 2 + 3 + 13) + 2 + (2 + 2 + 3) + 1;

#[test]
fn after_kill_9_a_node_is_warm_in_every_form_with_the_right_bytes() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    fleet.another_edge();
    let mut edge = start(&fleet);
    ask(&edge);
    let (hits, coded) = ask(&edge);
    assert_eq!(hits, ALL);
    eventually("it is written", || written(&edge) >= RECORDS);
    edge.kill();

    let asked = origin.seen().len();
    let edge = start(&fleet);
    let (hits, again) = ask(&edge);
    assert!(hits * 100 >= ALL * 99, "{hits} of {ALL}");
    assert!(origin.seen().len() - asked <= ALL / 100);
    assert!(again == coded);
}

#[test]
fn what_was_invalidated_stays_so_after_kill_9() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    fleet.another_edge();
    let mut edge = start(&fleet);
    for target in ["/a-1", "/a-2"] {
        get(edge.address(), target, &[]);
    }
    eventually("it is written", || written(&edge) >= 2);
    let mut client = Client::connect(edge.address());
    client.request("POST", "/a-1", &[("content-length", "0")], b"");
    assert_eq!(client.response("POST").unwrap().status, 200);
    edge.kill();

    let edge = start(&fleet);
    assert!(!get(edge.address(), "/a-1", &[]).is_hit());
    assert!(get(edge.address(), "/a-2", &[]).is_hit());
}

#[test]
fn what_was_invalidated_by_its_group_stays_so_after_kill_9() {
    let origin = Origin::start(|request, reply| {
        if request.method == "POST" {
            return reply.answer(200, &[("cache-group-invalidation", "\"a\"")], b"");
        }
        let group = format!("\"all\", \"{}\"", &request.target[1..2]);
        let fields = [("cache-control", "max-age=3600"), ("cache-groups", &group)];
        reply.answer(200, &fields, b"body")
    });
    let mut fleet = Fleet::start(spec(), &origin);
    fleet.another_edge();
    let mut edge = start(&fleet);
    for target in ["/a-1", "/a-2", "/b-1"] {
        get(edge.address(), target, &[]);
    }
    eventually("it is written", || written(&edge) >= 3);
    let mut client = Client::connect(edge.address());
    client.request("POST", "/c", &[("content-length", "0")], b"");
    assert_eq!(client.response("POST").unwrap().status, 200);
    edge.kill();

    for asked_again in [false, true] {
        let mut edge = start(&fleet);
        for target in ["/a-1", "/a-2"] {
            let hit = get(edge.address(), target, &[]).is_hit();
            assert_eq!(hit, asked_again, "{target}");
        }
        assert!(get(edge.address(), "/b-1", &[]).is_hit());
        eventually("it is written", || asked_again || written(&edge) >= 2);
        edge.kill();
    }
}

#[test]
fn a_node_whose_disk_cannot_be_used_starts_without_it_and_says_so() {
    let origin = origin();
    let spec = FleetSpec { edges: 1, ..spec() };
    let mut fleet = Fleet::start(spec, &origin);
    assert_eq!(metric(&fleet.metrics(0), "seawall_disk_up", &[]), 1);
    get(fleet.edge(0), "/a-1", &[]);
    fleet.stop_edge(0);
    fs::remove_dir_all(fleet.disk("edge-0")).unwrap();
    fs::write(fleet.disk("edge-0"), "no directory").unwrap();
    fleet.start_edge(0);
    assert_eq!(metric(&fleet.metrics(0), "seawall_disk_up", &[]), 0);
    assert!(fleet.metrics(0).contains("seawall_disk_up{"));
    for hit in [false, true] {
        let answer = get(fleet.edge(0), "/b-700000", &[]);
        assert!(answer.body == body("/b-700000"));
        assert_eq!(answer.is_hit(), hit);
    }
}

#[test]
fn a_body_with_a_damaged_part_on_the_disk_is_never_wrong_and_soon_whole_plain_and_coded() {
    const TARGET: &str = "/text-700000";
    let origin = origin();
    let spec = FleetSpec { edges: 1, ..spec() };
    let mut fleet = Fleet::start(spec, &origin);
    // the plain one alone is stored
    get(fleet.edge(0), TARGET, &[]);
    fleet.stop_edge(0);
    let whole = body(TARGET);
    let mut damaged = 0;
    for file in fs::read_dir(fleet.disk("edge-0").join("chunks")).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // in the third chunk; what the disk knows of it stays
        if let Some(at) = bytes.windows(64).rposition(|part| part == &whole[..64]) {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
    fleet.start_edge(0);
    for fields in [&[("accept-encoding", "gzip")][..], &[]] {
        // the first one may be cut, where that cannot be helped any more
        let answers: Vec<Option<Response>> = (0..3)
            .map(|_| {
                let mut client = Client::connect(fleet.edge(0));
                client.request("GET", TARGET, fields, b"");
                client.response("GET").ok()
            })
            .collect();
        for answer in answers.iter().flatten() {
            assert_eq!(answer.status, 200);
            assert!(!fields.is_empty() || answer.body == whole);
        }
        assert!(answers[1].is_some() && answers[2].is_some(), "{fields:?}");
    }
}

#[test]
fn what_is_not_stored_costs_no_entry_when_it_is_invalidated() {
    let origin = origin();
    let spec = FleetSpec { edges: 1, ..spec() };
    let fleet = Fleet::start(spec, &origin);
    let log = fleet.dir("edge-0").join("minima/minima.log");
    let length = || fs::metadata(&log).unwrap().len();
    let mut client = Client::connect(fleet.edge(0));
    let mut post = |target: &str| {
        client.request("POST", target, &[("content-length", "0")], b"");
        assert_eq!(client.response("POST").unwrap().status, 200);
    };
    let before = length();
    for i in 0..100 {
        post(&format!("/form-{i}"));
    }
    assert_eq!(length(), before);
    get(fleet.edge(0), "/a-1", &[]);
    post("/a-1");
    assert!(length() > before);
    assert!(!get(fleet.edge(0), "/a-1", &[]).is_hit());
}

#[test]
fn a_disk_that_stops_to_answer_is_turned_off_and_the_node_serves_on() {
    let origin = origin();
    let spec = FleetSpec { edges: 1, ..spec() };
    let mut fleet = Fleet::start(spec, &origin);
    let targets: Vec<String> = (0..40).map(|i| format!("/a{i}-1000")).collect();
    for target in &targets {
        get(fleet.edge(0), target, &[]);
    }
    fleet.stop_edge(0);
    fleet.start_edge(0);
    for file in fs::read_dir(fleet.disk("edge-0").join("heads")).unwrap() {
        let file = fs::File::options()
            .write(true)
            .open(file.unwrap().path())
            .unwrap();
        file.set_len(0).unwrap();
    }
    for _ in 0..2 {
        for target in &targets {
            let answer = get(fleet.edge(0), target, &[]);
            assert!(answer.status == 200 && answer.body == body(target));
        }
    }
    eventually("it is off", || {
        metric(&fleet.metrics(0), "seawall_disk_up", &[]) == 0
    });
    assert!(get(fleet.edge(0), &targets[0], &[]).is_hit());
}
