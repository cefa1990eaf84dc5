//! Copies on disk: warm and correct after any end, and left alone when the disk is not what it was.

use seawall_tests::client::get;
use seawall_tests::{Client, Fleet, FleetSpec, Origin};
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

const DISK: u64 = 64 << 20;

fn spec() -> FleetSpec {
    FleetSpec {
        edges: 1,
        shields: 0,
        disk: Some(DISK),
        ..FleetSpec::default()
    }
}

/// Bodies of these lengths by target: inline, several chunks.
const TARGETS: [(&str, usize); 3] = [("/small", 100), ("/page", 60_000), ("/large", 3_000_000)];

fn body(target: &str, length: usize) -> Vec<u8> {
    target.bytes().cycle().take(length).collect()
}

fn origin() -> Origin {
    Origin::start(|request, reply| {
        let length = TARGETS
            .iter()
            .find(|(t, _)| *t == request.target)
            .map_or(10, |(_, n)| *n);
        let tag = request.target.trim_start_matches('/').to_owned();
        let fields = [
            ("cache-control", "max-age=3600"),
            ("surrogate-key", tag.as_str()),
        ];
        reply.answer(200, &fields, &body(&request.target, length))
    })
}

/// Whether each is answered from the cache, and with the right bytes in any case.
fn hits(fleet: &Fleet) -> Vec<bool> {
    let ask = |(target, length): (&str, usize)| {
        let answer = get(fleet.edge(0), target, &[]);
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, length),
            "{target}"
        );
        assert!(answer.body == body(target, length), "{target}");
        answer.is_hit()
    };
    TARGETS.into_iter().map(ask).collect()
}

#[test]
fn a_node_that_restarts_is_warm_also_in_ranges_and_what_was_purged_stays_so() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    hits(&fleet);
    assert_eq!(hits(&fleet), [true; 3]);
    fleet.stop_edge(0);
    fleet.start_edge(0);
    let part = get(
        fleet.edge(0),
        "/large",
        &[("range", "bytes=1500000-1500009")],
    );
    assert_eq!((part.status, part.is_hit()), (206, true));
    assert_eq!(part.body, body("/large", 1_500_010)[1_500_000..]);
    assert_eq!(hits(&fleet), [true; 3]);
    assert_eq!(origin.seen().len(), 3);

    fleet.purge_everywhere(json!({ "tags": ["page"] }));
    fleet.stop_edge(0);
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [true, false, true]);
    assert_eq!(hits(&fleet), [true; 3]);
}

/// draft-ietf-httpbis-no-vary-search-09 §7
#[test]
fn after_a_restart_a_copy_answers_its_own_url_and_no_other_one() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel) + 1;
        let fields = [
            ("cache-control", "max-age=3600"),
            ("no-vary-search", "params=(\"u\")"),
        ];
        reply.answer(200, &fields, n.to_string().as_bytes())
    });
    let mut fleet = Fleet::start(spec(), &origin);
    let ask = |fleet: &Fleet, u: usize| {
        let answer = get(fleet.edge(0), &format!("/?u={u}"), &[]);
        (answer.text(), answer.is_hit())
    };
    assert_eq!(ask(&fleet, 1), ("1".into(), false));
    assert_eq!(ask(&fleet, 2), ("1".into(), true));
    fleet.stop_edge(0);
    fleet.start_edge(0);
    // the node does not know any more that the copy would answer this URL, and it does not
    let mut client = Client::connect(fleet.edge(0));
    client.request("POST", "/?u=2", &[], b"new");
    assert_eq!(client.response("POST").unwrap().text(), "2");

    assert_eq!(ask(&fleet, 1), ("1".into(), true));
    assert_eq!(ask(&fleet, 2), ("3".into(), false));
    assert_eq!(ask(&fleet, 3), ("3".into(), true));
    assert_eq!(ask(&fleet, 1), ("1".into(), true));
}

#[test]
fn a_purge_that_came_while_the_node_was_away_is_in_force_before_a_stored_copy_answers() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    hits(&fleet);
    fleet.stop_edge(0);
    fleet.purge(json!({ "tags": ["small"], "wait_ms": 0 }));
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false, true, true]);
}

#[test]
fn without_the_control_plane_a_restarted_node_is_warm_on_its_last_good_state() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    hits(&fleet);
    fleet.purge_everywhere(json!({ "tags": ["small"] }));
    fleet.stop_edge(0);
    fleet.stop_control_plane();
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false, true, true]);
}

#[test]
fn a_cut_log_of_purges_keeps_stored_copies_back_until_the_control_plane_was_heard() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    hits(&fleet);
    fleet.purge_everywhere(json!({ "tags": ["small"] }));
    fleet.stop_edge(0);
    let log = fleet.dir("edge-0").join("purges/purges.log");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 3]).unwrap();
    fleet.stop_control_plane();
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false; 3]);
    fleet.stop_edge(0);
    fs::write(&log, &bytes[..bytes.len() - 3]).unwrap();
    fleet.start_control_plane();
    fleet.start_edge(0);
    // what is in memory and on disk by now was fetched since: no purge has covered it
    assert_eq!(hits(&fleet)[1..], [true, true]);
}

#[test]
fn a_cut_log_of_purges_is_not_forgotten_over_restarts_without_the_control_plane() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    hits(&fleet);
    fleet.purge_everywhere(json!({ "tags": ["small"] }));
    fleet.stop_edge(0);
    let log = fleet.dir("edge-0").join("purges/purges.log");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 3]).unwrap();
    fleet.stop_control_plane();
    // nobody asks between the two
    fleet.start_edge(0);
    fleet.stop_edge(0);
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false; 3]);
}

#[test]
fn a_node_whose_log_of_purges_was_cut_takes_no_copy_from_a_shield_before_it_has_caught_up() {
    let origin = origin();
    let spec = FleetSpec {
        shields: 1,
        relayed: true,
        ..spec()
    };
    let mut fleet = Fleet::start(spec, &origin);
    fleet.purge_everywhere(json!({ "tags": ["none"] }));
    hits(&fleet);
    // the edge acknowledges a purge that the shield does not hear of
    fleet.relay("shield-0").cut();
    let (_, answer) = fleet.purge(json!({ "tags": ["small"], "wait_ms": 10_000 }));
    assert_eq!(answer["applied"], 1, "{answer}");
    assert_eq!(answer["receipts"][0]["node"], "shield-0", "{answer}");
    fleet.stop_edge(0);
    let log = fleet.dir("edge-0").join("purges/purges.log");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 3]).unwrap();
    fleet.stop_control_plane();
    fleet.start_edge(0);
    // by what is left of its log the edge knows no more than the shield does
    let before = origin.count("/small");
    assert_eq!(hits(&fleet), [false; 3]);
    assert_eq!(origin.count("/small"), before + 1);
}

#[test]
fn a_lost_log_of_purges_or_a_cache_of_another_node_starts_empty() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    hits(&fleet);
    fleet.stop_edge(0);
    fs::remove_dir_all(fleet.dir("edge-0").join("purges")).unwrap();
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false; 3]);
    fleet.stop_edge(0);

    let mut other = Fleet::start(spec(), &origin);
    hits(&other);
    other.stop_edge(0);
    fs::remove_dir_all(fleet.disk("edge-0")).unwrap();
    fs::rename(other.disk("edge-0"), fleet.disk("edge-0")).unwrap();
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false; 3]);
}

#[test]
fn a_removed_node_starts_empty_and_so_do_all_after_a_restore() {
    let origin = origin();
    let mut fleet = Fleet::start(spec(), &origin);
    hits(&fleet);
    fleet.purge_everywhere(json!({ "tags": ["none"] }));
    fleet.stop_edge(0);
    assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-0", "", &[]).0, 204);
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false; 3]);

    let backup = fleet.dir("backup.db");
    seawall_control_plane::store::backup(&fleet.store(), &backup).unwrap();
    fleet.stop_control_plane();
    fleet.stop_edge(0);
    seawall_control_plane::store::restore(&backup, &fleet.store()).unwrap();
    fleet.start_control_plane();
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [false; 3]);
    // dead for good: also after another start
    fleet.stop_edge(0);
    fleet.start_edge(0);
    assert_eq!(hits(&fleet), [true; 3]);
}
