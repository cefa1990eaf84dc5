//! Purges between tiers: validations under way, what one tier knows and the other does not, labels that are stated.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::{Client, Fleet, FleetSpec, Gate, Origin, Response, Then, eventually};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FRESH: (&str, &str) = ("cache-control", "max-age=3600");
const ETAG: (&str, &str) = ("etag", "\"1\"");
const URL: &str = "http://www.example/";

fn with_shields(shields: usize, origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        shields,
        // listed twice, an origin whose connection breaks is asked again, whether the connection was new or not
        service: format!("[[service.origins]]\nurl = \"http://{}\"", origin.address()),
        ..FleetSpec::default()
    };
    Fleet::start(spec, origin)
}

/// An origin that changes its answer and not its validator, as bad ones do: "one" to the first request, then "two". The
/// first validation waits at the gate and ends as `held` says; further ones get a 304.
fn validating(held: Then) -> (Origin, Gate) {
    let gate = Gate::default();
    let waits = gate.clone();
    let (plain, conditional) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let origin = Origin::start(move |request, reply| {
        if request.field("if-none-match").is_some() {
            if conditional.fetch_add(1, Ordering::AcqRel) == 0 {
                waits.pass();
                if held != Then::Keep {
                    return held;
                }
            }
            return reply.answer(304, &[FRESH, ETAG], b"");
        }
        let first = plain.fetch_add(1, Ordering::AcqRel) == 0;
        reply.answer(200, &[FRESH, ETAG], if first { b"one" } else { b"two" })
    });
    (origin, gate)
}

/// A stale copy is being validated, its origin is at the gate, when it is purged hard. What the validation's client got,
/// and what the edge answers from then on; and which questions to the origin had conditions.
fn purged_while_it_is_validated(held: Then, shields: usize) -> (Response, Response, Vec<bool>) {
    let (origin, gate) = validating(held);
    let fleet = with_shields(shields, &origin);
    get(fleet.edge(0), "/", &[]);
    fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
    let during = std::thread::scope(|scope| {
        let during = scope.spawn(|| get(fleet.edge(0), "/", &[]));
        eventually("the origin is asked", || origin.count("/") == 2);
        fleet.purge_everywhere(json!({ "urls": [URL] }));
        gate.open();
        during.join().unwrap()
    });
    let after = get(fleet.edge(0), "/", &[]);
    let asked = origin.seen();
    let condition = |r: &seawall_tests::Request| r.field("if-none-match").is_some();
    (during, after, asked.iter().map(condition).collect())
}

#[test]
fn a_copy_that_is_purged_while_it_is_validated_is_not_brought_back() {
    for shields in [0, 1] {
        let (during, after, _) = purged_while_it_is_validated(Then::Keep, shields);
        assert_eq!((during.text(), after.text()), ("two".into(), "two".into()));
    }
}

#[test]
fn nor_is_it_by_a_second_attempt_which_knows_of_the_purge() {
    for shields in [0, 1] {
        let (during, after, conditions) = purged_while_it_is_validated(Then::Reset, shields);
        assert_eq!((during.text(), after.text()), ("two".into(), "two".into()));
        // the second attempt was made without its validators
        assert_eq!(conditions, [false, true, false], "{shields}");
    }
}

#[test]
fn a_second_attempt_counts_as_asked_after_a_purge_before_it() {
    let gate = Gate::default();
    let waits = gate.clone();
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_, reply| {
        if count.fetch_add(1, Ordering::AcqRel) == 0 {
            waits.pass();
            return Then::Reset;
        }
        reply.answer(200, &[FRESH], b"body")
    });
    let fleet = with_shields(0, &origin);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| get(fleet.edge(0), "/", &[]));
        eventually("the origin is asked", || origin.count("/") == 1);
        fleet.purge_everywhere(json!({ "everything": true }));
        gate.open();
        assert_eq!(asked.join().unwrap().text(), "body");
    });
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_late_304_changes_only_the_generation_that_it_speaks_of() {
    let gate = Gate::default();
    let waits = gate.clone();
    let conditional = AtomicUsize::new(0);
    let origin = Origin::start(move |request, reply| {
        if request.field("if-none-match").is_none() {
            return reply.answer(200, &[FRESH, ETAG], b"one");
        }
        if conditional.fetch_add(1, Ordering::AcqRel) == 0 {
            waits.pass();
            return reply.answer(304, &[FRESH, ETAG], b"");
        }
        reply.answer(200, &[FRESH, ("etag", "\"2\"")], b"two")
    });
    let fleet = with_shields(0, &origin);
    let soft = json!({ "urls": [URL], "soft": true });
    get(fleet.edge(0), "/", &[]);
    fleet.purge_everywhere(soft.clone());
    std::thread::scope(|scope| {
        let late = scope.spawn(|| get(fleet.edge(0), "/", &[]));
        eventually("the origin is asked", || origin.count("/") == 2);
        // who asks after another purge does not wait for that question
        fleet.purge_everywhere(soft);
        assert_eq!(get(fleet.edge(0), "/", &[]).text(), "two");
        gate.open();
        late.join().unwrap();
    });
    let after = get(fleet.edge(0), "/", &[]);
    assert!(after.is_hit() && after.text() == "two", "{after:?}");
    assert_eq!(origin.count("/"), 3);
}

/// Answers 200 with tag `t` ("one"), then 404 without a tag until it is repaired, then 200 again ("two").
fn breaking() -> (Origin, Arc<AtomicUsize>) {
    let state = Arc::new(AtomicUsize::new(1));
    let now = state.clone();
    let origin = Origin::start(move |_, reply| match now.load(Ordering::Acquire) {
        1 => reply.answer(200, &[FRESH, ("surrogate-key", "t")], b"one"),
        2 => reply.answer(404, &[FRESH], b"none"),
        _ => reply.answer(200, &[FRESH], b"two"),
    });
    (origin, state)
}

#[test]
fn what_an_error_takes_over_at_the_shield_counts_at_every_edge() {
    let (origin, state) = breaking();
    let fleet = Fleet::of(&origin);
    let purge = json!({ "tags": ["t"] });
    get(fleet.edge(0), "/", &[]);
    state.store(2, Ordering::Release);
    fleet.purge_everywhere(purge.clone());
    for edge in [0, 1] {
        assert_eq!(get(fleet.edge(edge), "/", &[]).status, 404);
        assert!(get(fleet.edge(edge), "/", &[]).is_hit());
    }
    state.store(3, Ordering::Release);
    fleet.purge_everywhere(purge);
    for edge in [1, 0] {
        assert_eq!(get(fleet.edge(edge), "/", &[]).text(), "two", "{edge}");
    }
}

#[test]
fn an_edge_takes_nothing_from_a_shield_that_it_knows_to_be_purged() {
    let (origin, state) = breaking();
    let mut fleet = Fleet::of(&origin);
    let purge = json!({ "tags": ["t"] });
    get(fleet.edge(0), "/", &[]);
    // the shield forgets what the error takes the place of; the edge knows
    fleet.stop_shield(0);
    fleet.start_shield(0);
    eventually("it follows again", || fleet.is_up_to_date("shield-0"));
    state.store(2, Ordering::Release);
    fleet.purge_everywhere(purge.clone());
    assert_eq!(get(fleet.edge(0), "/", &[]).status, 404);
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    state.store(3, Ordering::Release);
    fleet.purge_everywhere(purge);
    let mut client = Client::connect(fleet.edge(0));
    client.request("HEAD", "/", &[], b"");
    assert_eq!(client.response("HEAD").unwrap().status, 200);
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "two");
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
}

/// The position that a request of a neighbour states, moved by `by`.
fn moved(sequence: &str, by: i64) -> String {
    let (epoch, n) = sequence.split_once('.').unwrap();
    format!("{epoch}.{}", n.parse::<i64>().unwrap() + by)
}

#[test]
fn a_node_takes_no_larger_position_from_a_neighbour() {
    let shield = Origin::start(|request, reply| {
        let label = moved(request.field("seawall-sequence").unwrap(), 5);
        reply.answer(200, &[FRESH, ("seawall-label", &label)], b"body")
    });
    let mut fleet = with_shields(0, &shield);
    let edge = fleet.edge_below(&shield);
    let at = edge.addrs()[0];
    get(at, "/", &[]);
    assert!(get(at, "/", &[]).is_hit());
    fleet.purge_everywhere(json!({ "urls": [URL] }));
    assert!(!get(at, "/", &[]).is_hit());
    edge.drain(Duration::ZERO);
}

#[test]
fn an_origin_has_no_word_in_the_label_of_its_answer() {
    let origin = Origin::start(|_, reply| {
        let label = ("seawall-label", "1.1");
        reply.answer(200, &[FRESH, label], b"body")
    });
    let fleet = with_shields(1, &origin);
    get(fleet.edge(0), "/", &[]);
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    fleet.purge_everywhere(json!({ "urls": [URL] }));
    get(fleet.edge(0), "/", &[]);
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    assert_eq!(origin.count("/"), 2);
}

#[test]
fn a_304_of_a_tier_confers_only_the_label_that_it_states() {
    let shield = Origin::start(|request, reply| {
        let sequence = request.field("seawall-sequence").unwrap();
        let before = moved(sequence, -1);
        if request.field("seawall-insist").is_some() {
            let fetched = ("seawall-fetched", "1");
            let fields = [
                FRESH,
                ("etag", "\"2\""),
                ("seawall-label", sequence),
                fetched,
            ];
            return reply.answer(200, &fields, b"two");
        }
        if request.field("if-none-match").is_some() {
            let fields = [FRESH, ETAG, ("seawall-label", &before)];
            return reply.answer(304, &fields, b"");
        }
        let fields = [FRESH, ETAG, ("seawall-label", sequence)];
        reply.answer(200, &fields, b"one")
    });
    let mut fleet = with_shields(0, &shield);
    let edge = fleet.edge_below(&shield);
    let at = edge.addrs()[0];
    assert_eq!(get(at, "/", &[]).text(), "one");
    fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
    // that it has not changed since before the purge is no validation: the edge insists on one
    assert_eq!(get(at, "/", &[]).text(), "two");
    assert!(get(at, "/", &[]).is_hit());
    let asked = shield.seen();
    let insisted: Vec<bool> = asked
        .iter()
        .map(|r| r.field("seawall-insist").is_some())
        .collect();
    assert_eq!(insisted, [false, false, true]);
    edge.drain(Duration::ZERO);
}

#[test]
fn a_304_of_a_tier_adds_the_tags_that_only_it_states() {
    // the same version all the time, by another tag each time that it is asked for
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |request, reply| {
        let tags = ["a", "b", "c"];
        let tag = tags[count.fetch_add(1, Ordering::AcqRel).min(2)];
        let status = if request.field("if-none-match").is_some() {
            304
        } else {
            200
        };
        reply.answer(status, &[FRESH, ETAG, ("surrogate-key", tag)], b"body")
    });
    let fleet = Fleet::of(&origin);
    let soft = json!({ "urls": [URL], "soft": true });
    for edge in [0, 1] {
        assert_eq!(get(fleet.edge(edge), "/", &[]).text(), "body");
    }
    // the shield's copy becomes one of all three, of which its fields tell the last
    for _ in 0..2 {
        fleet.purge_everywhere(soft.clone());
        get(fleet.edge(1), "/", &[]);
    }
    assert_eq!(origin.count("/"), 3);
    // the first edge hears of the second tag by the 304 that makes its copy fresh, and by nothing else
    let answer = get(fleet.edge(0), "/", &[]);
    assert!(
        answer.edge_status().contains("fwd-status=304"),
        "{answer:?}"
    );
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    assert_eq!(origin.count("/"), 3);
    fleet.purge_everywhere(json!({ "tags": ["b"] }));
    assert!(!get(fleet.edge(0), "/", &[]).is_hit());
}

#[test]
fn who_looks_in_vain_again_and_again_insists_to_the_end() {
    let shield = Origin::start(|request, reply| {
        // from before the purge, whatever it is asked
        let before = moved(request.field("seawall-sequence").unwrap(), -1);
        reply.answer(200, &[FRESH, ("seawall-label", &before)], b"body")
    });
    let mut fleet = with_shields(0, &shield);
    let edge = fleet.edge_below(&shield);
    fleet.purge_everywhere(json!({ "urls": [URL] }));
    get(edge.addrs()[0], "/", &[]);
    let asked = shield.seen();
    let insists = |r: &seawall_tests::Request| r.field("seawall-insist").is_some();
    assert!(asked.len() > 2 && asked.last().is_some_and(insists));
    edge.drain(Duration::ZERO);
}

#[test]
fn edges_that_ask_a_shield_that_lags_share_its_answer() {
    // the next request waits at it
    let gate: Arc<Mutex<Option<Gate>>> = Arc::default();
    let next = gate.clone();
    let origin = Origin::start(move |_, reply| {
        let waits = next.lock().unwrap().take();
        if let Some(gate) = waits {
            gate.pass();
        }
        reply.answer(200, &[FRESH, ("surrogate-key", "t")], b"body")
    });
    let spec = FleetSpec {
        shields_follow: false,
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, &origin);
    for _ in 0..5 {
        fleet.purge_everywhere(json!({ "tags": ["t"] }));
        let held = Gate::default();
        *gate.lock().unwrap() = Some(held.clone());
        std::thread::scope(|scope| {
            let before = origin.count("/");
            let first = scope.spawn(|| get(fleet.edge(0), "/", &[]));
            eventually("the origin is asked", || origin.count("/") > before);
            let second = scope.spawn(|| get(fleet.edge(1), "/", &[]));
            eventually("the second edge asks", || {
                metric(&fleet.metrics(1), "seawall_fills_in_flight", &[]) > 0
            });
            held.open();
            for answer in [first.join().unwrap(), second.join().unwrap()] {
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        });
        // it came once, or twice where the second edge was too late to share it
        for edge in [0, 1] {
            assert!(get(fleet.edge(edge), "/", &[]).is_hit(), "{edge}");
        }
    }
    let asked = origin.count("/");
    assert!(asked < 10, "{asked} questions in 5 rounds");
}

/// Asks the shield as an edge does whose position is `by` later than the shield's.
fn as_an_edge_ahead(fleet: &Fleet, by: i64, sequence: &str, target: &str) -> Response {
    let fields = ahead(fleet, by, sequence);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    get(fleet.shield(0), target, &fields)
}

/// The fields of a neighbour's request whose position is `by` later than `sequence`.
fn ahead(fleet: &Fleet, by: i64, sequence: &str) -> [(&'static str, String); 5] {
    let secret = std::fs::read_to_string(fleet.dir("secret")).unwrap();
    [
        ("seawall-link", "1".into()),
        ("seawall-scheme", "http".into()),
        ("seawall-hops", "1".into()),
        ("seawall-fleet", secret.trim().into()),
        ("seawall-sequence", moved(sequence, by)),
    ]
}

#[test]
fn a_shield_that_lags_answers_with_nothing_stale_and_validates_nothing() {
    let broken = Arc::new(AtomicUsize::new(0));
    let breaks = broken.clone();
    let origin = Origin::start(move |request, reply| {
        if breaks.load(Ordering::Acquire) > 0 {
            return reply.answer(503, &[], b"down");
        }
        let windows = "max-age=3600, stale-while-revalidate=600, stale-if-error=600";
        let fields = [("cache-control", windows), ETAG];
        if request.field("if-none-match").is_some() {
            return reply.answer(304, &fields, b"");
        }
        reply.answer(200, &fields, b"body")
    });
    let fleet = Fleet::of(&origin);
    get(fleet.edge(0), "/", &[]);
    // position 1 of this epoch, in force on the shield too
    let told = fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
    let (epoch, n) = told["id"].as_str().unwrap().split_once('-').unwrap();
    let here = format!("{}.{n}", u64::from_str_radix(epoch, 16).unwrap());
    // as far as the shield knows, its stale copy may be used while it is refreshed
    let stale = as_an_edge_ahead(&fleet, 0, &here, "/");
    assert_eq!(
        (stale.status, stale.field("seawall-stale")),
        (200, Some("1"))
    );
    eventually("it is refreshed", || origin.count("/") == 2);
    let conditions = || {
        let asked = origin.seen();
        let condition = |r: &seawall_tests::Request| r.field("if-none-match").is_some();
        asked.iter().map(condition).collect::<Vec<_>>()
    };
    assert_eq!(conditions(), [false, true]);

    let anew = as_an_edge_ahead(&fleet, 1, &here, "/");
    assert_eq!(
        (anew.status, anew.field("seawall-fetched")),
        (200, Some("1"))
    );
    assert_eq!(conditions(), [false, true, false]);
    broken.store(1, Ordering::Release);
    assert_eq!(as_an_edge_ahead(&fleet, 2, &here, "/").status, 503);
    // and for who knows no more than the shield the copy is as good as it was
    assert_eq!(as_an_edge_ahead(&fleet, 0, &here, "/").status, 200);
}

/// A request of who knows one purge more than the shield is under way to it when that purge is asked for. Whether the
/// origin was asked for it.
fn fetched_while_the_shield_catches_up() -> bool {
    let other = json!({ "tags": ["other"] });
    let origin = Origin::start(|_, reply| reply.answer(200, &[FRESH, ETAG], b"body"));
    let fleet = Fleet::of(&origin);
    get(fleet.edge(0), "/", &[]);
    let told = fleet.purge_everywhere(other.clone());
    let (epoch, n) = told["id"].as_str().unwrap().split_once('-').unwrap();
    let here = format!("{}.{n}", u64::from_str_radix(epoch, 16).unwrap());
    let mut client = Client::connect(fleet.shield(0));
    let fields = ahead(&fleet, 1, &here);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    client.request("GET", "/", &fields, b"");
    fleet.purge_everywhere(other);
    let answer = client.response("GET").unwrap();
    assert_eq!((answer.status, answer.text()), (200, "body".into()));
    let fetched = answer.field("seawall-fetched").is_some();
    assert_eq!(origin.count("/"), 1 + usize::from(fetched));
    fetched
}

#[test]
fn a_shield_that_catches_up_while_a_request_waits_answers_from_its_store_again() {
    // a purge that takes longer than the wait costs a fetch, and one that is there before the request is no wait: both
    // happen, and most often neither
    const ROUNDS: usize = 9;
    let fetched = (0..ROUNDS)
        .filter(|_| fetched_while_the_shield_catches_up())
        .count();
    assert!(fetched < ROUNDS / 2, "{fetched} of {ROUNDS}");
}
