//! Stored copies that have lost a part of their body: completed from the next server by Range, or let go, never mixed.
//!
//! Longer than most: every spec needs the same origin, and the same two ways to lose a chunk.

mod harness;

use flate2::read::GzDecoder;
use harness::*;
use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{
    Client, ClusterSpec, Fleet, FleetSpec, Gate, Origin, Reply, Request, Then, eventually,
};
use serde_json::json;
use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

#[test]
fn a_copy_that_has_lost_a_chunk_is_completed_by_one_request_for_it() {
    let origin = site();
    let fleet = holed(
        spec(),
        &origin,
        &[("/first", 0), ("/inner", 2), ("/last", 3)],
    );

    for (target, chunk) in [("/first", 0), ("/inner", 2), ("/last", 3)] {
        let before = origin.seen().len();
        let answer = get(fleet.edge(0), target, &[]);
        assert!(answer.body == body(target, 1), "{target}");
        assert_eq!(origin.seen().len(), before + 1, "{target}");
        assert_eq!(parts_asked(&origin).pop(), Some(asked_for(chunk)));
        // what was found out before the head was sent is told
        let told = answer
            .edge_status()
            .starts_with("seawall-edge; fwd=partial; ttl=");
        assert_eq!(told, chunk == 0, "{target}: {}", answer.edge_status());
        assert!(answer.field("age").is_some());

        let again = get(fleet.edge(0), target, &[]);
        assert!(again.is_hit() && again.body == body(target, 1), "{target}");
        assert_eq!(origin.seen().len(), before + 1, "{target}");
    }
    assert_eq!(parts(&fleet, "fetched"), 3);
    let outcome = ["outcome=\"partial\"", "2xx"];
    let partial = metric(&fleet.metrics(0), "seawall_requests_total", &outcome);
    assert_eq!(partial, 3);
}

#[test]
fn a_range_fetches_the_chunks_that_it_needs_and_no_others() {
    let origin = site();
    let fleet = holed(spec(), &origin, &[("/", 2)]);
    let ask = |range: &str| get(fleet.edge(0), "/", &[("range", range)]);
    let body = body("/", 1);

    let held = ask("bytes=262000-524287");
    assert!(held.is_hit() && held.body == body[262_000..524_288]);
    assert_eq!(parts_asked(&origin), []);

    let lost = ask("bytes=600000-600009");
    assert_eq!(lost.status, 206);
    assert!(lost.body == body[600_000..600_010]);
    assert!(lost.edge_status().starts_with("seawall-edge; fwd=partial"));
    assert_eq!(parts_asked(&origin), [asked_for(2)]);
}

#[test]
fn several_ranges_of_a_copy_on_disk_come_as_parts() {
    let origin = site();
    let fleet = holed(spec(), &origin, &[("/", 2)]);

    let answer = get(
        fleet.edge(0),
        "/",
        &[("range", "bytes=5-9, 600000-600009, 999990-")],
    );

    assert_eq!(answer.status, 206);
    let (text, body) = (answer.text(), body("/", 1));
    for part in [5..10, 600_000..600_010, 999_990..LENGTH] {
        let head = format!("bytes {}-{}/{LENGTH}\r\n\r\n", part.start, part.end - 1);
        let bytes = String::from_utf8_lossy(&body[part]).into_owned();
        assert!(text.contains(&(head + &bytes)), "{text}");
    }
    assert_eq!(parts_asked(&origin), [asked_for(2)]);
}

#[test]
fn what_needs_no_body_asks_nobody() {
    let origin = site();
    let fleet = holed(spec(), &origin, &[("/", 0)]);
    let before = origin.seen().len();

    let mut client = Client::connect(fleet.edge(0));
    client.request("HEAD", "/", &[], b"");
    let head = client.response("HEAD").unwrap();
    let length = LENGTH.to_string();
    assert_eq!(
        (head.status, head.field("content-length")),
        (200, Some(length.as_str()))
    );
    assert!(head.is_hit());
    let same = client.get("/", &[("if-none-match", "\"v1\"")]);
    assert_eq!((same.status, same.is_hit()), (304, true));
    let beyond = client.get("/", &[("range", "bytes=1000000-")]);
    assert_eq!(beyond.status, 416);
    let alone = ("cache-control", "only-if-cached");
    assert_eq!(client.get("/", &[alone]).status, 504);
    let held = client.get("/", &[alone, ("range", "bytes=300000-")]);
    assert_eq!((held.status, held.is_hit()), (206, true));
    assert_eq!(origin.seen().len(), before);

    assert!(client.get("/", &[]).body == body("/", 1));
    assert_eq!(parts_asked(&origin), [asked_for(0)]);
}

#[test]
fn many_readers_of_one_hole_cost_one_request() {
    let gate = Gate::default();
    let door = gate.clone();
    let origin = Origin::start(move |request, reply| {
        if range_of(request).is_some() {
            door.pass();
        }
        well(request, reply, 1, LENGTH)
    });
    let fleet = holed(spec(), &origin, &[("/", 1)]);
    let before = metric(&fleet.metrics(0), "seawall_connections_total", &[]);

    std::thread::scope(|scope| {
        for n in 0..10 {
            let edge = fleet.edge(0);
            scope.spawn(move || {
                let from = if n % 2 == 0 { 0 } else { CHUNK + n };
                let range = format!("bytes={from}-");
                let answer = get(edge, "/", &[("range", range.as_str())]);
                assert!(answer.body == body("/", 1)[from..]);
            });
        }
        eventually("all are there, and one asks", || {
            let now = metric(&fleet.metrics(0), "seawall_connections_total", &[]);
            now - before == 10 && !parts_asked(&origin).is_empty()
        });
        gate.open();
    });

    assert_eq!(parts_asked(&origin), [asked_for(1)]);
}

/// How an origin answers a request for a part other than by that part.
type Wrong = fn(&Request, &mut Reply<'_>, (usize, usize)) -> Then;

const WRONG: [(&str, u8, Wrong); 10] = [
    // the version that whole requests get meanwhile
    ("/whole", 1, |request, reply, _| {
        whole(reply, &tag(1), &body(&request.target, 1))
    }),
    ("/changed", 2, |request, reply, _| {
        whole(reply, &tag(2), &body(&request.target, 2))
    }),
    ("/tag", 2, |request, reply, range| {
        let body = body(&request.target, 2);
        part(reply, &tag(2), range, LENGTH, &body[range.0..=range.1])
    }),
    ("/weak", 1, |request, reply, range| {
        let body = body(&request.target, 1);
        part(reply, "W/\"v1\"", range, LENGTH, &body[range.0..=range.1])
    }),
    ("/shifted", 1, |request, reply, range| {
        let body = body(&request.target, 1);
        let told = (range.0 + 1, range.1 + 1);
        part(reply, &tag(1), told, LENGTH, &body[range.0..=range.1])
    }),
    ("/longer", 1, |request, reply, range| {
        let body = body(&request.target, 1);
        part(reply, &tag(1), range, LENGTH + 1, &body[range.0..=range.1])
    }),
    // says that it is the same, and is not
    ("/liar", 2, |request, reply, range| {
        let body = body(&request.target, 2);
        part(reply, &tag(1), range, LENGTH, &body[range.0..=range.1])
    }),
    ("/gone", 2, |_, reply, _| reply.answer(404, &[], b"gone")),
    ("/secret", 1, |request, reply, range| {
        let body = &body(&request.target, 1)[range.0..=range.1];
        let content_range = format!("bytes {}-{}/{LENGTH}", range.0, range.1);
        let fields = [
            ("etag", "\"v1\""),
            ("content-range", content_range.as_str()),
            ("cache-control", "no-store"),
        ];
        reply.answer(206, &fields, body)
    }),
    ("/cut", 2, |request, reply, range| {
        let body = &body(&request.target, 1)[range.0..=range.1];
        let head = format!(
            "HTTP/1.1 206 x\r\netag: \"v1\"\r\ncontent-range: bytes {}-{}/{LENGTH}\r\ncontent-length: {}\r\n\r\n",
            range.0,
            range.1,
            body.len()
        );
        reply.raw(head.as_bytes());
        reply.raw(&body[..1000]);
        Then::Close
    }),
];

/// Two copies of each kind, of which one has lost its first chunk, the other its third.
fn wrong_site() -> (Origin, Fleet, Vec<(String, usize)>) {
    let changed = Arc::new(AtomicBool::new(false));
    let now = changed.clone();
    let origin = Origin::start(move |request, reply| {
        let kind = request.target.split('-').next().unwrap_or_default();
        let (_, version, wrong) = WRONG.iter().find(|(t, ..)| *t == kind).unwrap();
        match range_of(request) {
            Some(range) => wrong(request, reply, range),
            None if now.load(Ordering::Acquire) => well(request, reply, *version, LENGTH),
            None => well(request, reply, 1, LENGTH),
        }
    });
    let targets: Vec<(String, usize)> = WRONG
        .iter()
        .flat_map(|(kind, ..)| [0, 2].map(|chunk| (format!("{kind}-{chunk}"), chunk)))
        .collect();
    let lost: Vec<(&str, usize)> = targets.iter().map(|(t, c)| (t.as_str(), *c)).collect();
    let fleet = holed(spec(), &origin, &lost);
    changed.store(true, Ordering::Release);
    (origin, fleet, targets)
}

#[test]
fn an_answer_that_is_not_that_part_of_that_version_retires_the_copy_and_is_never_mixed_in() {
    let (origin, fleet, targets) = wrong_site();
    for (target, chunk) in &targets {
        origin.forget();
        let (_, version, _) = WRONG
            .iter()
            .find(|(kind, ..)| target.starts_with(*kind))
            .unwrap();
        let mut client = Client::connect(fleet.edge(0));
        client.request("GET", target, &[], b"");
        let answer = client.response("GET");
        if *chunk == 0 {
            // nothing was sent yet: the whole of the version of now
            let answer = answer.unwrap();
            assert!(answer.body == body(target, *version), "{target}");
        } else {
            assert!(
                answer.is_err(),
                "{target}: a body that is cut is seen to be"
            );
        }
        assert_eq!(parts_asked(&origin).len(), 1, "{target}");
        eventually("the version of now is stored", || {
            let next = get(fleet.edge(0), target, &[]);
            assert!(next.body == body(target, *version), "{target}");
            next.is_hit()
        });
        assert_eq!(origin.count(target), 2, "{target}: one part, one fill");
    }
    assert_eq!(parts(&fleet, "refused"), targets.len() as u64);
    assert_eq!(parts(&fleet, "fetched"), 0);
}

#[test]
fn a_copy_outlives_an_origin_in_trouble_and_is_completed_when_it_is_well() {
    let ill = Arc::new(AtomicBool::new(true));
    let is_ill = ill.clone();
    let origin = Origin::start(move |request, reply| {
        if range_of(request).is_some() && is_ill.load(Ordering::Acquire) {
            return match request.target.as_str() {
                "/503" => reply.answer(503, &[], b"later"),
                _ => Then::Reset,
            };
        }
        well(request, reply, 1, LENGTH)
    });
    let fleet = holed(spec(), &origin, &[("/503", 2), ("/reset", 2)]);

    for target in ["/503", "/reset"] {
        let mut client = Client::connect(fleet.edge(0));
        client.request("GET", target, &[], b"");
        assert!(client.response("GET").is_err(), "{target}");
    }
    ill.store(false, Ordering::Release);
    for target in ["/503", "/reset"] {
        assert!(get(fleet.edge(0), target, &[]).body == body(target, 1));
        let whole = origin.seen();
        let whole = whole.iter().filter(|r| r.target == target);
        let whole = whole.filter(|r| r.field("range").is_none()).count();
        assert_eq!(whole, 1, "{target}: completed, not filled anew");
    }
}

#[test]
fn a_request_whose_first_part_cannot_be_had_now_is_answered_by_one_fill() {
    let origin = Origin::start(|request, reply| match range_of(request) {
        Some(_) => reply.answer(503, &[], b"later"),
        None => well(request, reply, 1, LENGTH),
    });
    let fleet = holed(spec(), &origin, &[("/", 0)]);
    origin.forget();

    let answer = get(fleet.edge(0), "/", &[]);

    assert!(answer.body == body("/", 1));
    let told = answer.edge_status();
    assert!(
        told.starts_with("seawall-edge; fwd=partial; fwd-status=200"),
        "{told}"
    );
    eventually("it is stored", || get(fleet.edge(0), "/", &[]).is_hit());
    assert_eq!(parts_asked(&origin), [asked_for(0)]);
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn without_a_strong_validator_or_ranges_it_is_fetched_whole() {
    let origin = Origin::start(|request, reply| {
        let mut fields = vec![("cache-control", "max-age=3600")];
        fields.extend(match request.target.as_str() {
            "/weak" => vec![("etag", "W/\"v1\"")],
            "/dated" => vec![("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")],
            "/none" => vec![("etag", "\"v1\""), ("accept-ranges", "none")],
            _ => vec![],
        });
        reply.answer(200, &fields, &body(&request.target, 1))
    });
    let targets = ["/weak", "/dated", "/none", "/bare"];
    let fleet = holed(spec(), &origin, &targets.map(|t| (t, 0)));
    for target in targets {
        let answer = get(fleet.edge(0), target, &[]);
        assert!(answer.body == body(target, 1), "{target}");
        assert!(!answer.is_hit(), "{target}");
        eventually("it is stored again", || {
            get(fleet.edge(0), target, &[]).is_hit()
        });
        assert_eq!(origin.count(target), 2, "{target}");
    }
    assert_eq!(parts_asked(&origin), []);
}

#[test]
fn a_purge_between_hole_and_part_is_in_force_for_all_who_come_after_it() {
    let (gate, version) = (Gate::default(), Arc::new(AtomicU8::new(1)));
    let (door, now) = (gate.clone(), version.clone());
    let origin = Origin::start(move |request, reply| {
        let version = now.load(Ordering::Acquire);
        if range_of(request).is_some() {
            door.pass();
        }
        well(request, reply, version, LENGTH)
    });
    let fleet = holed(spec(), &origin, &[("/", 2)]);
    let mut early = Client::connect(fleet.edge(0));
    early.request("GET", "/", &[], b"");
    early.head().unwrap();
    eventually("the part is asked for", || !parts_asked(&origin).is_empty());

    version.store(2, Ordering::Release);
    fleet.purge_everywhere(json!({ "tags": ["site"] }));
    assert!(get(fleet.edge(0), "/", &[]).body == body("/", 2));
    gate.open();

    // who asked before the purge gets the one version whole
    assert!(early.bytes(LENGTH).unwrap() == body("/", 1));
    eventually("the new one is stored", || {
        let next = get(fleet.edge(0), "/", &[]);
        assert!(next.body == body("/", 2));
        next.is_hit()
    });
    assert_eq!(parts_asked(&origin).len(), 1);
}

#[test]
fn a_copy_with_a_hole_is_gzipped_whole() {
    let origin = Origin::start(|request, reply| {
        let body = body(&request.target, 1);
        match range_of(request) {
            Some(range) => part(reply, "\"v1\"", range, LENGTH, &body[range.0..=range.1]),
            None => {
                let fields = [
                    ("etag", "\"v1\""),
                    ("cache-control", "max-age=3600"),
                    ("content-type", "text/plain"),
                ];
                reply.answer(200, &fields, &body)
            }
        }
    });
    let fleet = holed(spec(), &origin, &[("/a", 0), ("/b", 2)]);
    for (target, chunk) in [("/a", 0), ("/b", 2)] {
        for _ in 0..2 {
            let coded = get(fleet.edge(0), target, &[("accept-encoding", "gzip")]);
            assert_eq!(coded.field("content-encoding"), Some("gzip"));
            assert!(decoded(&coded.body) == body(target, 1), "{target}");
        }
        assert_eq!(parts_asked(&origin).pop(), Some(asked_for(chunk)));
        assert_eq!(origin.count(target), 2);
    }
}

fn decoded(coded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(coded).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn a_coding_with_a_hole_is_made_again() {
    // hexadecimal digits without a pattern: the coding is half as long, and several chunks
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let digits = std::iter::repeat_with(move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        b"0123456789abcdef"[(seed >> 60) as usize]
    });
    let text: Vec<u8> = digits.take(1_500_000).collect();
    let sent = text.clone();
    let origin = Origin::start(move |_, reply| {
        let fields = [
            ("etag", "\"v1\""),
            ("cache-control", "max-age=3600"),
            ("content-type", "text/plain"),
        ];
        reply.answer(200, &fields, &sent)
    });
    let mut fleet = Fleet::start(spec(), &origin);
    let gzip = [("accept-encoding", "gzip")];
    is_stored(&fleet, "/");
    let coded = get(fleet.edge(0), "/", &gzip).body;
    eventually("the coding is stored", || {
        metric(&fleet.metrics(0), "seawall_compressions_total", &[]) == 1
    });
    for (chunk, cut) in [(0, false), (1, true)] {
        fleet.stop_edge(0);
        spoil(&fleet, "edge-0", &coded, chunk);
        fleet.start_edge(0);

        let mut client = Client::connect(fleet.edge(0));
        client.request("GET", "/", &gzip, b"");
        match client.response("GET") {
            Ok(answer) => assert!(!cut && decoded(&answer.body) == text, "{chunk}"),
            Err(error) => assert!(cut, "{chunk}: {error}"),
        }
        let next = get(fleet.edge(0), "/", &gzip);
        assert!(decoded(&next.body) == text, "{chunk}");
        eventually("it is stored again", || {
            metric(&fleet.metrics(0), "seawall_compressions_total", &[]) == 1
        });
    }
    assert_eq!(origin.seen().len(), 1, "the plain copy is whole");
}

#[test]
fn the_shields_copy_completes_the_edges() {
    let origin = site();
    let spec = FleetSpec {
        shields: 1,
        ..spec()
    };
    let fleet = holed(spec, &origin, &[("/", 2)]);

    let answer = get(fleet.edge(0), "/", &[]);

    assert!(answer.body == body("/", 1));
    assert_eq!(parts(&fleet, "fetched"), 1);
    assert_eq!(origin.seen().len(), 1, "the shield had it");
}

#[test]
fn a_shield_without_a_copy_asks_for_the_part_alone() {
    let origin = site();
    let spec = FleetSpec {
        shields: 1,
        ..spec()
    };
    let mut fleet = holed(spec, &origin, &[("/", 2)]);
    fleet.stop_shield(0);
    fs::remove_dir_all(fleet.disk("shield-0")).unwrap();
    fleet.start_shield(0);

    let answer = get(fleet.edge(0), "/", &[]);

    assert!(answer.body == body("/", 1));
    assert_eq!(parts_asked(&origin), [asked_for(2)]);
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_shields_own_hole_is_filled_while_an_edge_reads() {
    let origin = site();
    let spec = FleetSpec {
        shields: 1,
        ..spec()
    };
    let mut fleet = Fleet::start(spec, &origin);
    is_stored(&fleet, "/");
    fleet.stop_edge(0);
    fleet.stop_shield(0);
    spoil(&fleet, "shield-0", &body("/", 1), 2);
    fs::remove_dir_all(fleet.disk("edge-0")).unwrap();
    fleet.start_shield(0);
    fleet.start_edge(0);

    assert!(get(fleet.edge(0), "/", &[]).body == body("/", 1));

    assert_eq!(parts_asked(&origin), [asked_for(2)]);
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_shield_that_lags_asks_the_origin_for_the_part_rather_than_its_older_copy() {
    let origin = site();
    let spec = FleetSpec {
        shields: 1,
        shields_follow: false,
        ..spec()
    };
    let mut fleet = Fleet::start(spec, &origin);
    is_stored(&fleet, "/");
    // the edge's copy is from after this, the shield's from before
    fleet.purge(json!({ "urls": ["http://www.example/"], "wait_ms": 0 }));
    eventually("the edge has it", || fleet.is_up_to_date("edge-0"));
    is_stored(&fleet, "/");
    fleet.stop_edge(0);
    // each of the two copies on the disk
    spoil(&fleet, "edge-0", &body("/", 1), 2);
    fleet.start_edge(0);

    assert!(get(fleet.edge(0), "/", &[]).body == body("/", 1));

    assert_eq!(parts_asked(&origin), [asked_for(2)]);
}

#[test]
fn neighbours_that_are_lost_together_come_together() {
    const LONG: usize = 10_000_000;
    let origin = Origin::start(|request, reply| well(request, reply, 1, LONG));
    let mut fleet = Fleet::start(spec(), &origin);
    is_stored(&fleet, "/");
    fleet.stop_edge(0);
    let body = body_of("/", 1, LONG);
    let starts = body.chunks(CHUNK).map(|chunk| &chunk[..2 * LINE]);
    // a block of the disk is gone, and what lay in it
    let lost = blocks(&fleet, "edge-0").into_iter().find_map(|file| {
        let block = fs::read(&file).unwrap();
        let lost: Vec<bool> = starts.clone().map(|s| find(&block, s).is_some()).collect();
        let some = lost.iter().filter(|l| **l).count();
        (some > 1 && some < lost.len()).then(|| {
            fs::write(&file, vec![0; block.len()]).unwrap();
            lost
        })
    });
    let lost = lost.expect("the body lies in several blocks");
    fleet.start_edge(0);

    let answer = get(fleet.edge(0), "/", &[]);

    assert!(answer.body == body);
    assert!(
        answer
            .edge_status()
            .starts_with("seawall-edge; fwd=partial")
    );
    let runs = lost.chunk_by(|a, b| a == b).filter(|run| run[0]);
    let requests: usize = runs.map(|run| run.len().div_ceil(16)).sum();
    assert_eq!(parts_asked(&origin).len(), requests, "{lost:?}");
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
}

#[test]
fn what_memory_had_no_room_for_is_fetched_again_and_whole() {
    let origin = Origin::start(|request, reply| well(request, reply, 1, 5_000_000));
    let mut spec = ClusterSpec::new(origin.address()).shields(0);
    spec.memory = 64 << 20;
    let cluster = spec.start();
    let targets: Vec<String> = (0..10).map(|n| format!("/{n}")).collect();
    for _ in 0..3 {
        for target in &targets {
            let answer = get(cluster.edge(0), target, &[]);
            assert!(answer.body == body_of(target, 1, 5_000_000), "{target}");
        }
    }
    for target in &targets {
        let part = get(
            cluster.edge(0),
            target,
            &[("range", "bytes=3000000-3000999")],
        );
        assert_eq!(part.status, 206);
        assert!(part.body == body_of(target, 1, 5_000_000)[3_000_000..3_001_000]);
    }
}

#[test]
fn a_body_longer_than_memory_takes_is_kept_on_the_disk() {
    const LONG: usize = 11_000_000;
    let origin = Origin::start(|request, reply| well(request, reply, 1, LONG));
    let fleet = Fleet::start(spec(), &origin);
    let expect = body_of("/", 1, LONG);
    assert!(get(fleet.edge(0), "/", &[]).body == expect);
    eventually("it is stored", || {
        let answer = get(fleet.edge(0), "/", &[]);
        assert!(answer.body == expect);
        answer.is_hit()
    });
    let part = get(fleet.edge(0), "/", &[("range", "bytes=9000000-9000999")]);
    assert!(part.is_hit() && part.body == expect[9_000_000..9_001_000]);
    assert_eq!(origin.seen().len(), 1);
}
