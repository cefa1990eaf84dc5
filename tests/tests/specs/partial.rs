//! Parts of responses: asked for, stored, served and completed (RFC 9110 §14, RFC 9111 §3.3, §3.4), through edge and
//! shield.
//!
//! Longer than most: every spec counts what the same origin was asked for, byte by byte.

use seawall_tests::client::get;
use seawall_tests::{
    Client, Cluster, ClusterSpec, Fleet, FleetSpec, Gate, Origin, Reply, Request, Response, Then,
    eventually,
};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const CHUNK: usize = 256 << 10;
/// More than a run of chunks, and no multiple of one.
const LARGE: usize = 40 * CHUNK + 1000;
const SMALL: usize = 10;

fn length(target: &str) -> usize {
    if target.starts_with("/small") {
        SMALL
    } else if target.starts_with("/middle") {
        6 * CHUNK + 10
    } else {
        LARGE
    }
}

/// Every four bytes tell the version and where they are.
fn body(target: &str, version: u8) -> Vec<u8> {
    let length = length(target);
    let mut body = Vec::with_capacity(length + 4);
    for word in 0..length.div_ceil(4) as u32 {
        body.extend_from_slice(&(word ^ u32::from(version) << 24).to_le_bytes());
    }
    body.truncate(length);
    body
}

/// First byte and the one behind the last of a range that is asked for, as far as there are so many.
fn range_of(request: &Request, length: usize) -> Option<(usize, usize)> {
    let range = request.field("range")?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    Some(match (first, last) {
        ("", suffix) => (length.saturating_sub(suffix.parse().ok()?), length),
        (first, "") => (first.parse().ok()?, length),
        (first, last) => {
            let end = last.parse::<usize>().ok()? + 1;
            (first.parse().ok()?, end.min(length))
        }
    })
}

/// Answers as RFC 9110 says, with these fields.
fn answer(request: &Request, reply: &mut Reply<'_>, version: u8, fields: &[(&str, &str)]) -> Then {
    let body = body(&request.target, version);
    let tag = fields.iter().find(|(n, _)| *n == "etag").map(|(_, v)| *v);
    if tag.is_some() && request.field("if-none-match") == tag {
        return reply.answer(304, fields, b"");
    }
    let same = request
        .field("if-range")
        .is_none_or(|asked| tag == Some(asked));
    match range_of(request, body.len()).filter(|_| same) {
        Some((start, end)) if start < end => {
            let told = format!("bytes {start}-{}/{}", end - 1, body.len());
            let fields = [fields, &[("content-range", told.as_str())]].concat();
            reply.answer(206, &fields, &body[start..end])
        }
        Some(_) => {
            let told = format!("bytes */{}", body.len());
            reply.answer(416, &[("content-range", told.as_str())], b"")
        }
        None => reply.answer(200, fields, &body),
    }
}

fn well(request: &Request, reply: &mut Reply<'_>, version: u8) -> Then {
    let tag = format!("\"v{version}\"");
    let fields = [
        ("etag", tag.as_str()),
        ("cache-control", "max-age=3600"),
        ("surrogate-key", "site"),
    ];
    answer(request, reply, version, &fields)
}

fn site() -> Origin {
    Origin::start(|request, reply| well(request, reply, 1))
}

/// A site whose version can be changed.
fn changing() -> (Origin, Arc<AtomicU8>) {
    let version = Arc::new(AtomicU8::new(1));
    let now = version.clone();
    let origin =
        Origin::start(move |request, reply| well(request, reply, now.load(Ordering::Acquire)));
    (origin, version)
}

/// Tells exactly `start..end` of ten bytes, whatever is asked for, as `fields` say.
fn tells(start: usize, end: usize, fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::start(move |request, reply| {
        let body = body("/small", 1);
        match request.field("range") {
            Some(asked) if request.field("if-range").is_some() => {
                // what is missing, as it was asked for
                let (from, to) = range_of(request, SMALL).unwrap();
                let told = format!("bytes {from}-{}/{SMALL}", to - 1);
                assert_eq!(asked, format!("bytes={from}-{}", to - 1));
                let fields = [fields, &[("content-range", told.as_str())]].concat();
                reply.answer(206, &fields, &body[from..to])
            }
            Some(_) => {
                let told = format!("bytes {start}-{}/{SMALL}", end - 1);
                let fields = [fields, &[("content-range", told.as_str())]].concat();
                reply.answer(206, &fields, &body[start..end])
            }
            None => reply.answer(200, fields, &body),
        }
    })
}

const FRESH: &[(&str, &str)] = &[("etag", "\"v1\""), ("cache-control", "max-age=3600")];

fn asks(origin: &Origin) -> Vec<String> {
    let range = |r: &Request| r.field("range").unwrap_or("whole").to_owned();
    origin.seen().iter().map(range).collect()
}

fn ask(cluster: &Cluster, target: &str, range: &str) -> Response {
    get(cluster.edge(0), target, &[("range", range)])
}

/// The part `start..end` of that version, and nothing else.
fn is_part(answer: &Response, target: &str, version: u8, start: usize, end: usize) {
    assert_eq!(answer.status, 206);
    let told = format!("bytes {start}-{}/{}", end - 1, length(target));
    assert_eq!(answer.field("content-range"), Some(told.as_str()));
    assert!(
        answer.body == body(target, version)[start..end],
        "{target} {start}-{end}"
    );
}

#[test]
fn a_range_of_a_large_object_costs_the_origin_about_that_range() {
    let origin = site();
    let cluster = Cluster::of(&origin);

    let first = ask(&cluster, "/", "bytes=1000000-1000009");
    is_part(&first, "/", 1, 1_000_000, 1_000_010);
    let told = "seawall-edge; fwd=uri-miss; fwd-status=206";
    assert!(first.edge_status().starts_with(told), "{first:?}");
    assert_eq!(asks(&origin), ["bytes=786432-1048575"]);

    // the same, and what lies in the same chunk
    for (start, end) in [
        (1_000_000, 1_000_010),
        (786_432, 1_048_576),
        (900_000, 900_001),
    ] {
        let again = ask(&cluster, "/", &format!("bytes={start}-{}", end - 1));
        is_part(&again, "/", 1, start, end);
        assert!(again.is_hit(), "{}", again.edge_status());
    }
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn further_ranges_fetch_what_is_missing_and_no_more() {
    let origin = site();
    let cluster = Cluster::of(&origin);
    ask(&cluster, "/", "bytes=0-9");
    origin.forget();

    let across = ask(&cluster, "/", "bytes=262000-262200");
    is_part(&across, "/", 1, 262_000, 262_201);
    let suffix = ask(&cluster, "/", "bytes=-2000");
    is_part(&suffix, "/", 1, LARGE - 2000, LARGE);
    let open = ask(&cluster, "/", &format!("bytes={}-", LARGE - CHUNK));
    is_part(&open, "/", 1, LARGE - CHUNK, LARGE);
    let beyond = ask(&cluster, "/", &format!("bytes={LARGE}-"));
    assert_eq!(beyond.status, 416);

    let last = 40 * CHUNK;
    assert_eq!(
        asks(&origin),
        [
            format!("bytes={CHUNK}-{}", 2 * CHUNK - 1),
            format!("bytes={}-{}", last - CHUNK, LARGE - 1),
        ]
    );
    let tags: Vec<_> = origin.seen();
    assert!(tags.iter().all(|r| r.field("if-range") == Some("\"v1\"")));
}

#[test]
fn a_suffix_and_an_open_range_of_what_is_not_stored_are_bounded() {
    let origin = site();
    let cluster = Cluster::of(&origin);
    let suffix = ask(&cluster, "/suffix", "bytes=-2000");
    is_part(&suffix, "/suffix", 1, LARGE - 2000, LARGE);
    assert!(ask(&cluster, "/suffix", "bytes=-500").is_hit());
    assert_eq!(origin.count("/suffix"), 1);

    // a run of chunks at a time
    let from = 30 * CHUNK;
    let open = ask(&cluster, "/open", &format!("bytes={from}-"));
    is_part(&open, "/open", 1, from, LARGE);
    assert_eq!(origin.count("/open"), 1);
    let whole = ask(&cluster, "/all", "bytes=0-");
    is_part(&whole, "/all", 1, 0, LARGE);
    assert_eq!(origin.count("/all"), 3, "{:?}", asks(&origin));
    let asked = origin.seen();
    let first = asked.iter().find(|r| r.target == "/all").unwrap();
    let run = format!("bytes=0-{}", 16 * CHUNK - 1);
    assert_eq!(first.field("range"), Some(run.as_str()));
}

#[test]
fn a_range_of_a_small_object_brings_all_of_it() {
    let origin = site();
    let cluster = Cluster::of(&origin);
    is_part(&ask(&cluster, "/small", "bytes=2-4"), "/small", 1, 2, 5);
    let whole = get(cluster.edge(0), "/small", &[]);
    assert_eq!((whole.status, whole.is_hit()), (200, true));
    assert!(whole.body == body("/small", 1));
    assert_eq!(whole.field("content-length"), Some("10"));
    assert_eq!(whole.field("content-range"), None);
    assert_eq!(ask(&cluster, "/small", "bytes=10-").status, 416);
    assert_eq!(asks(&origin), [format!("bytes=0-{}", CHUNK - 1)]);
}

#[test]
fn a_request_for_the_whole_completes_what_is_held() {
    let origin = site();
    let cluster = Cluster::of(&origin);
    ask(&cluster, "/middle", "bytes=300000-300009");
    let whole = get(cluster.edge(0), "/middle", &[]);
    assert_eq!(whole.status, 200);
    assert!(whole.body == body("/middle", 1));
    let end = length("/middle") - 1;
    assert_eq!(
        asks(&origin),
        [
            format!("bytes={CHUNK}-{}", 2 * CHUNK - 1),
            format!("bytes=0-{}", CHUNK - 1),
            format!("bytes={}-{end}", 2 * CHUNK),
        ]
    );
    let again = get(cluster.edge(0), "/middle", &[]);
    assert!(again.is_hit() && again.body == body("/middle", 1));
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn a_request_for_the_whole_of_a_long_one_of_which_little_is_held_is_one_fill() {
    let origin = site();
    let cluster = Cluster::of(&origin);
    ask(&cluster, "/", "bytes=300000-300009");
    origin.forget();
    assert!(get(cluster.edge(0), "/", &[]).body == body("/", 1));
    assert_eq!(asks(&origin), ["whole"]);
    eventually("it is stored", || get(cluster.edge(0), "/", &[]).is_hit());
}

#[test]
fn what_a_short_response_lacks_is_asked_for_and_combined() {
    for (start, end, missing) in [
        (0, 5, "bytes=5-9"),
        (5, 10, "bytes=0-4"),
        (3, 6, "bytes=0-9"),
    ] {
        let origin = tells(start, end, FRESH);
        let cluster = ClusterSpec::new(origin.address()).shields(0).start();
        let range = format!("bytes={start}-{}", end - 1);
        is_part(&ask(&cluster, "/small", &range), "/small", 1, start, end);
        let inner = format!("bytes={}-{}", start + 1, end - 1);
        let held = ask(&cluster, "/small", &inner);
        is_part(&held, "/small", 1, start + 1, end);
        assert!(held.is_hit(), "{}", held.edge_status());
        assert_eq!(origin.seen().len(), 1);

        let whole = get(cluster.edge(0), "/small", &[]);
        assert_eq!(whole.status, 200);
        assert!(whole.body == body("/small", 1));
        assert!(whole.edge_status().starts_with("seawall-edge; fwd=partial"));
        let asked = origin.seen().pop().unwrap();
        assert_eq!(asked.field("range"), Some(missing));
        assert_eq!(asked.field("if-range"), Some("\"v1\""));
        assert!(get(cluster.edge(0), "/small", &[]).is_hit());
        assert_eq!(origin.seen().len(), 2);
    }
}

#[test]
fn a_range_that_a_short_response_lacks_completes_it() {
    let origin = tells(0, 5, FRESH);
    let cluster = Cluster::of(&origin);
    is_part(&ask(&cluster, "/small", "bytes=0-4"), "/small", 1, 0, 5);
    is_part(&ask(&cluster, "/small", "bytes=6-7"), "/small", 1, 6, 8);
    is_part(&ask(&cluster, "/small", "bytes=-2"), "/small", 1, 8, 10);
    assert!(get(cluster.edge(0), "/small", &[]).is_hit());
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn parts_of_two_versions_are_never_combined() {
    let (origin, version) = changing();
    let cluster = Cluster::of(&origin);
    for target in ["/", "/middle"] {
        version.store(1, Ordering::Release);
        is_part(&ask(&cluster, target, "bytes=0-9"), target, 1, 0, 10);
        version.store(2, Ordering::Release);
        // what is held is fresh
        assert!(ask(&cluster, target, "bytes=0-9").is_hit());
        let other = ask(&cluster, target, "bytes=300000-300009");
        is_part(&other, target, 2, 300_000, 300_010);
        eventually("the parts of before are gone", || {
            let first = ask(&cluster, target, "bytes=0-9");
            is_part(&first, target, 2, 0, 10);
            let whole = get(cluster.edge(0), target, &[]);
            assert!(whole.body == body(target, 2), "{target}");
            whole.is_hit()
        });
    }
}

#[test]
fn many_clients_with_one_range_are_one_request_and_one_for_the_whole_is_not_held_up() {
    let gate = Gate::default();
    let door = gate.clone();
    let origin = Origin::start(move |request, reply| {
        door.pass();
        well(request, reply, 1)
    });
    let cluster = Cluster::of(&origin);
    std::thread::scope(|scope| {
        let edge = cluster.edge(0);
        let first = scope.spawn(move || get(edge, "/", &[("range", "bytes=10-19")]));
        eventually("the first asks", || !origin.seen().is_empty());
        let others: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn(move || {
                    let range = format!("bytes={n}-99");
                    is_part(&get(edge, "/", &[("range", &range)]), "/", 1, n, 100);
                })
            })
            .collect();
        let whole = scope.spawn(move || get(edge, "/", &[]));
        gate.open();
        is_part(&first.join().unwrap(), "/", 1, 10, 20);
        assert!(whole.join().unwrap().body == body("/", 1));
        for other in others {
            other.join().unwrap();
        }
    });
    let mut asked = asks(&origin);
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), origin.seen().len(), "{asked:?}");
    assert!(asked.len() <= 2, "{asked:?}");
}

#[test]
fn what_cannot_be_combined_passes_and_is_not_stored() {
    const WEAK: &[(&str, &str)] = &[("etag", "W/\"v1\""), ("cache-control", "max-age=3600")];
    const SECRET: &[(&str, &str)] = &[("etag", "\"v1\""), ("cache-control", "no-store")];
    let origin = Origin::start(|request, reply| {
        let body = body("/", 1);
        let part = |reply: &mut Reply<'_>, told: &str, fields: &[(&str, &str)]| {
            let fields = [fields, &[("content-range", told)]].concat();
            reply.answer(206, &fields, &body[0..10])
        };
        match (request.target.as_str(), request.field("range")) {
            (_, None) => reply.answer(200, WEAK, &body),
            ("/weak", _) => answer(request, reply, 1, WEAK),
            ("/secret", _) => answer(request, reply, 1, SECRET),
            ("/endless", asked) => {
                // longer than anything that is stored
                let end = if asked == Some("bytes=0-9") {
                    10
                } else {
                    CHUNK
                };
                let told = format!("bytes 0-{}/1000000000000000000", end - 1);
                let fields = [FRESH, &[("content-range", told.as_str())]].concat();
                reply.answer(206, &fields, &body[..end])
            }
            ("/star", _) => part(reply, "bytes 0-9/*", FRESH),
            ("/subset", _) => part(reply, &format!("bytes 0-9/{LARGE}"), FRESH),
            (_, _) => {
                let kind = ("content-type", "multipart/byteranges; boundary=x");
                let fields = [FRESH, &[kind]].concat();
                reply.answer(206, &fields, b"\r\n--x--\r\n")
            }
        }
    });
    let cluster = Cluster::of(&origin);
    for target in [
        "/weak", "/secret", "/star", "/subset", "/endless", "/several",
    ] {
        for _ in 0..2 {
            let part = ask(&cluster, target, "bytes=0-9");
            assert_eq!((part.status, part.is_hit()), (206, false), "{target}");
            if target != "/several" {
                assert!(part.body == body("/", 1)[..10], "{target}");
            }
        }
        let asked = origin.seen();
        let last = asked.iter().rfind(|r| r.target == target).unwrap();
        // as the client asked
        assert_eq!(last.field("range"), Some("bytes=0-9"), "{target}");
        let before = origin.count(target);
        ask(&cluster, target, "bytes=0-9");
        assert_eq!(origin.count(target), before + 1, "{target}: one request");
    }
}

#[test]
fn a_short_response_whose_parts_cannot_be_combined_is_fetched_whole() {
    const DATED: &[(&str, &str)] = &[
        ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ("cache-control", "max-age=3600"),
    ];
    let origin = Origin::start(|request, reply| answer(request, reply, 1, DATED));
    let cluster = Cluster::of(&origin);
    for (target, requests) in [("/small", 1), ("/middle", 2)] {
        is_part(&ask(&cluster, target, "bytes=2-4"), target, 1, 2, 5);
        eventually("it is stored", || {
            let whole = get(cluster.edge(0), target, &[]);
            assert!(whole.body == body(target, 1));
            whole.is_hit()
        });
        assert!(ask(&cluster, target, "bytes=6-7").is_hit());
        assert_eq!(origin.count(target), requests, "{target}");
    }
}

#[test]
fn a_range_that_is_ignored_is_answered_from_the_whole() {
    let origin =
        Origin::start(|request, reply| reply.answer(200, FRESH, &body(&request.target, 1)));
    let cluster = Cluster::of(&origin);
    for (start, end) in [(5, 10), (300_000, 300_010)] {
        let range = format!("bytes={start}-{}", end - 1);
        is_part(&ask(&cluster, "/", &range), "/", 1, start, end);
    }
    assert!(get(cluster.edge(0), "/", &[]).body == body("/", 1));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_part_does_not_carry_the_digest_of_another_content() {
    let origin = Origin::start(|request, reply| {
        let digest = if request.field("range").is_some() {
            "sha-256=:cGFydA==:"
        } else {
            "sha-256=:d2hvbGU=:"
        };
        let digests = [
            ("content-digest", digest),
            ("repr-digest", "sha-256=:d2hvbGU=:"),
        ];
        answer(request, reply, 1, &[FRESH, &digests].concat())
    });
    let cluster = Cluster::of(&origin);
    get(cluster.edge(0), "/middle", &[]);
    for target in ["/", "/middle", "/small"] {
        let part = ask(&cluster, target, "bytes=2-4");
        is_part(&part, target, 1, 2, 5);
        assert_eq!(part.field("content-digest"), None, "{target}");
        let whole = Some("sha-256=:d2hvbGU=:");
        assert_eq!(part.field("repr-digest"), whole, "{target}");
    }
}

#[test]
fn a_416_is_for_the_one_who_asked() {
    let origin = Origin::start(|request, reply| match request.field("range") {
        Some(_) => {
            let fields = [
                ("content-range", "bytes */10"),
                ("cache-control", "max-age=3600"),
            ];
            reply.answer(416, &fields, b"no")
        }
        None => reply.answer(200, FRESH, &body("/small", 1)),
    });
    let cluster = Cluster::of(&origin);
    let refused = ask(&cluster, "/small", "bytes=300000-");
    assert_eq!(refused.status, 416);
    assert_eq!(refused.field("content-range"), Some("bytes */10"));
    for _ in 0..2 {
        let whole = get(cluster.edge(0), "/small", &[]);
        assert_eq!(whole.status, 200);
        assert!(whole.body == body("/small", 1));
    }
    assert!(get(cluster.edge(0), "/small", &[]).is_hit());
}

#[test]
fn a_206_that_nobody_asked_for_is_never_the_answer_to_another_request() {
    let origin = Origin::start(|_, reply| {
        let fields = [FRESH, &[("content-range", "bytes 0-4/10")]].concat();
        reply.answer(206, &fields, b"01234")
    });
    let cluster = Cluster::of(&origin);
    for n in 1..=2 {
        let part = get(cluster.edge(0), "/small", &[]);
        assert_eq!((part.status, part.is_hit()), (206, false));
        assert_eq!(origin.seen().len(), n);
    }
}

#[test]
fn a_stale_part_is_validated_and_another_version_costs_the_range_again() {
    let version = Arc::new(AtomicU8::new(1));
    let now = version.clone();
    let origin = Origin::start(move |request, reply| {
        let version = now.load(Ordering::Acquire);
        let tag = format!("\"v{version}\"");
        let fields = [("etag", tag.as_str()), ("cache-control", "no-cache")];
        answer(request, reply, version, &fields)
    });
    let cluster = Cluster::of(&origin);
    is_part(&ask(&cluster, "/", "bytes=0-9"), "/", 1, 0, 10);
    let same = ask(&cluster, "/", "bytes=0-9");
    is_part(&same, "/", 1, 0, 10);
    let asked = origin.seen().pop().unwrap();
    assert_eq!(asked.field("if-none-match"), Some("\"v1\""));
    let status = same.edge_status();
    assert!(status.contains("fwd-status=304"), "{status}");

    version.store(2, Ordering::Release);
    is_part(&ask(&cluster, "/", "bytes=0-9"), "/", 2, 0, 10);
    assert!(!asks(&origin).contains(&"whole".to_owned()));
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn a_new_version_whose_parts_cannot_be_combined_ends_the_parts_of_the_old_one() {
    const CONTROL: (&str, &str) = ("cache-control", "max-age=0, stale-while-revalidate=3600");
    let version = Arc::new(AtomicU8::new(1));
    let now = version.clone();
    let origin = Origin::start(move |request, reply| {
        let version = now.load(Ordering::Acquire);
        let tag = ["\"v1\"", "W/\"v2\""][usize::from(version) - 1];
        answer(request, reply, version, &[("etag", tag), CONTROL])
    });
    let cluster = Cluster::of(&origin);
    is_part(&ask(&cluster, "/", "bytes=0-9"), "/", 1, 0, 10);
    version.store(2, Ordering::Release);
    eventually("the stale one is gone", || {
        let part = ask(&cluster, "/", "bytes=0-9");
        part.body == body("/", 2)[..10]
    });
    let alone = ("cache-control", "only-if-cached");
    let held = get(cluster.edge(0), "/", &[alone, ("range", "bytes=0-9")]);
    assert_eq!(held.status, 504);
    assert!(!asks(&origin).contains(&"whole".to_owned()));
}

#[test]
fn a_range_of_a_long_stale_copy_is_asked_for_as_a_range_also_where_parts_are_not_stored() {
    let version = Arc::new(AtomicU8::new(1));
    let now = version.clone();
    let origin = Origin::start(move |request, reply| {
        let version = now.load(Ordering::Acquire);
        let tag = format!("W/\"v{version}\"");
        let fields = [("etag", tag.as_str()), ("cache-control", "no-cache")];
        answer(request, reply, version, &fields)
    });
    let cluster = Cluster::of(&origin);
    // parts cannot be stored, which is remembered; the whole is
    is_part(&ask(&cluster, "/", "bytes=0-9"), "/", 1, 0, 10);
    assert!(get(cluster.edge(0), "/", &[]).body == body("/", 1));
    eventually("it is stored", || {
        let part = ask(&cluster, "/", "bytes=10-19");
        is_part(&part, "/", 1, 10, 20);
        part.edge_status().contains("fwd-status=304")
    });

    version.store(2, Ordering::Release);
    origin.forget();
    for _ in 0..2 {
        is_part(&ask(&cluster, "/", "bytes=0-9"), "/", 2, 0, 10);
    }
    let asked = asks(&origin);
    assert!(!asked.contains(&"whole".to_owned()), "{asked:?}");
    // once for the copy, which ended with that, and as each client asked
    assert!(asked.len() <= 4, "{asked:?}");
}

#[test]
fn the_fields_of_a_part_that_completes_become_those_of_the_response() {
    let origin = Origin::start(|request, reply| {
        let told = request.field("if-range").map_or("first", |_| "second");
        let fields = [FRESH, &[("x-told", told)]].concat();
        answer(request, reply, 1, &fields)
    });
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    let first = ask(&cluster, "/middle", "bytes=0-9");
    assert_eq!(first.field("x-told"), Some("first"));
    get(cluster.edge(0), "/middle", &[]);
    let whole = get(cluster.edge(0), "/middle", &[]);
    assert!(whole.is_hit() && whole.body == body("/middle", 1));
    assert_eq!(whole.field("x-told"), Some("second"));
    assert_eq!(whole.field("content-range"), None);
}

fn on_disk() -> FleetSpec {
    FleetSpec {
        edges: 1,
        shields: 0,
        disk: Some(64 << 20),
        ..FleetSpec::default()
    }
}

#[test]
fn parts_outlive_a_restart_and_what_is_missing_still_is() {
    let origin = tells_or_well();
    let mut fleet = Fleet::start(on_disk(), &origin);
    let part =
        |fleet: &Fleet, target: &str, range: &str| get(fleet.edge(0), target, &[("range", range)]);
    is_part(&part(&fleet, "/middle", "bytes=0-9"), "/middle", 1, 0, 10);
    let second = part(&fleet, "/middle", "bytes=600000-600009");
    is_part(&second, "/middle", 1, 600_000, 600_010);
    is_part(
        &part(&fleet, "/small-part", "bytes=0-4"),
        "/small-part",
        1,
        0,
        5,
    );
    fleet.stop_edge(0);
    fleet.start_edge(0);
    origin.forget();

    let held = part(&fleet, "/middle", "bytes=600000-600009");
    is_part(&held, "/middle", 1, 600_000, 600_010);
    assert!(held.is_hit());
    assert!(part(&fleet, "/small-part", "bytes=1-2").is_hit());
    assert_eq!(asks(&origin), [""; 0]);

    for target in ["/middle", "/small-part"] {
        let whole = get(fleet.edge(0), target, &[]);
        assert_eq!(whole.status, 200, "{target}");
        assert!(whole.body == body(target, 1), "{target}");
    }
    assert!(!asks(&origin).contains(&"whole".to_owned()));
    fleet.stop_edge(0);
    fleet.start_edge(0);
    origin.forget();
    for target in ["/middle", "/small-part"] {
        let whole = get(fleet.edge(0), target, &[]);
        assert!(whole.is_hit() && whole.body == body(target, 1), "{target}");
    }
    assert_eq!(asks(&origin), [""; 0]);
}

/// A site that tells no more than five bytes of a small part at first.
fn tells_or_well() -> Origin {
    Origin::start(|request, reply| {
        if request.target == "/small-part" && request.field("if-range").is_none() {
            let fields = [FRESH, &[("content-range", "bytes 0-4/10")]].concat();
            return reply.answer(206, &fields, &body("/small", 1)[..5]);
        }
        well(request, reply, 1)
    })
}

#[test]
fn a_purge_ends_parts_and_one_that_comes_meanwhile_is_in_force_for_all_who_come_after_it() {
    let (gate, version) = (Gate::default(), Arc::new(AtomicU8::new(1)));
    let (door, now) = (gate.clone(), version.clone());
    let origin = Origin::start(move |request, reply| {
        let version = now.load(Ordering::Acquire);
        if request.field("if-range").is_some() {
            door.pass();
        }
        well(request, reply, version)
    });
    let fleet = Fleet::start(on_disk(), &origin);
    let ask = |range: &str| get(fleet.edge(0), "/middle", &[("range", range)]);
    is_part(&ask("bytes=0-9"), "/middle", 1, 0, 10);
    let mut early = Client::connect(fleet.edge(0));
    early.request("GET", "/middle", &[("range", "bytes=600000-600009")], b"");
    eventually("more is asked for", || origin.seen().len() == 2);

    version.store(2, Ordering::Release);
    fleet.purge_everywhere(json!({ "tags": ["site"] }));
    is_part(&ask("bytes=0-9"), "/middle", 2, 0, 10);
    gate.open();
    is_part(
        &early.response("GET").unwrap(),
        "/middle",
        1,
        600_000,
        600_010,
    );

    for _ in 0..2 {
        assert!(get(fleet.edge(0), "/middle", &[]).body == body("/middle", 2));
    }
}

/// Who asks with credentials gets other bytes under the same tag; and a refusal, if they are not good.
fn with_credentials() -> Origin {
    Origin::start(|request, reply| match request.field("authorization") {
        Some("bad") => reply.answer(401, &[], b"no"),
        Some(_) => answer(request, reply, 9, FRESH),
        None => answer(request, reply, 1, FRESH),
    })
}

#[test]
fn what_one_client_may_have_alone_is_in_no_part_that_others_get() {
    let origin = with_credentials();
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    is_part(&ask(&cluster, "/large", "bytes=0-9"), "/large", 1, 0, 10);
    let (start, end) = (9 * CHUNK, 9 * CHUNK + 10);
    let range = format!("bytes={start}-{}", end - 1);
    let fields = [("range", range.as_str()), ("authorization", "alice")];
    let alice = get(cluster.edge(0), "/large", &fields);
    is_part(&alice, "/large", 9, start, end);
    is_part(&ask(&cluster, "/large", &range), "/large", 1, start, end);
}

#[test]
fn a_refusal_of_one_client_leaves_the_parts_to_others() {
    let origin = with_credentials();
    let cluster = ClusterSpec::new(origin.address()).shields(0).start();
    is_part(&ask(&cluster, "/large", "bytes=0-9"), "/large", 1, 0, 10);
    let range = format!("bytes={}-", LARGE - 10);
    let fields = [("range", range.as_str()), ("authorization", "bad")];
    assert_eq!(get(cluster.edge(0), "/large", &fields).status, 401);
    assert!(ask(&cluster, "/large", "bytes=0-9").is_hit());
}

#[test]
fn a_range_that_depends_on_a_version_is_no_416_of_another_one() {
    let origin = site();
    for shields in [0, 1] {
        let cluster = ClusterSpec::new(origin.address()).shields(shields).start();
        let fields = [("range", "bytes=5000000-"), ("if-range", "\"v0\"")];
        let whole = get(cluster.edge(0), "/small", &fields);
        assert_eq!((whole.status, whole.body), (200, body("/small", 1)));
    }
}
