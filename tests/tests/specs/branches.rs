//! A control plane's log is rolled back unnoticed and goes on: nodes have other records at the same positions.

use crate::membership::{image, roll_back};
use seawall_tests::client::get;
use seawall_tests::{Fleet, FleetSpec, Origin, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const URL: &str = "http://www.example/";

/// An origin that answers with the number it is set to.
fn numbered() -> (Origin, Arc<AtomicUsize>) {
    let version = Arc::new(AtomicUsize::new(1));
    let current = version.clone();
    let origin = Origin::start(move |_, reply| {
        reply.fresh(current.load(Ordering::SeqCst).to_string().as_bytes())
    });
    (origin, version)
}

/// Asks for the purge of something else, or of the object, which not all nodes will hear of. Its id.
fn purge(fleet: &Fleet, url: &str) -> String {
    let (status, told) = fleet.purge(json!({ "urls": [url], "wait_ms": 0 }));
    assert!(status == 200 || status == 202, "{told}");
    told["id"].as_str().unwrap().to_owned()
}

/// One edge before a shield. The shield hears of so many purges that will be lost, while the edge is cut off, and stores the
/// object after them. Then the log is rolled back behind them, and the edge hears of as many others while the shield is cut
/// off; the last one is of the object, which is "2" by then.
fn on_two_branches(lost: usize) -> (Fleet, Origin) {
    let (origin, version) = numbered();
    let spec = FleetSpec {
        edges: 1,
        relayed: true,
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    fleet.purge_everywhere(json!({ "urls": ["http://www.example/elsewhere"] }));
    let image = image(&mut fleet);
    eventually("it follows", || fleet.is_up_to_date("shield-0"));
    fleet.relay("edge-0").cut();
    let ids: Vec<String> = (0..lost)
        .map(|n| purge(&fleet, &format!("{URL}{n}")))
        .collect();
    eventually("it has what will be lost", || {
        fleet.is_up_to_date("shield-0")
    });
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "1");

    fleet.relay("shield-0").cut();
    roll_back(&mut fleet, &image);
    fleet.start_control_plane();
    fleet.relay("edge-0").mend();
    version.store(2, Ordering::SeqCst);
    let others = (1..lost).map(|n| purge(&fleet, &format!("{URL}other/{n}")));
    let mut again: Vec<String> = others.collect();
    again.push(purge(&fleet, URL));
    // by their numbers nobody can tell
    assert_eq!(again, ids);
    eventually("the edge has them", || fleet.is_up_to_date("edge-0"));
    (fleet, origin)
}

#[test]
fn a_shield_that_has_another_record_where_an_edge_stands_answers_it_with_no_copy() {
    for lost in [1, 2] {
        let (fleet, _origin) = on_two_branches(lost);
        assert_eq!(get(fleet.edge(0), "/", &[]).text(), "2", "{lost}");
        let again = get(fleet.edge(0), "/", &[]);
        assert!(again.is_hit() && again.text() == "2", "{lost} {again:?}");
    }
}

#[test]
fn what_was_lost_shows_when_the_shield_is_back_and_all_are_of_one_log_again() {
    let (fleet, _origin) = on_two_branches(1);
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "2");
    let elsewhere = json!({ "urls": ["http://www.example/elsewhere"] });
    let epoch = || {
        let id = purge(&fleet, "http://www.example/elsewhere");
        id.split('-').next().map(str::to_owned)
    };
    let before = epoch();
    fleet.relay("shield-0").mend();
    eventually("another epoch has begun", || epoch() != before);
    fleet.purge_everywhere(elsewhere.clone());
    // both have started empty, and what they store from then on they judge alike
    assert!(!get(fleet.edge(0), "/", &[]).is_hit());
    fleet.purge_everywhere(elsewhere);
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    fleet.purge_everywhere(json!({ "urls": [URL] }));
    assert!(!get(fleet.edge(0), "/", &[]).is_hit());
}
