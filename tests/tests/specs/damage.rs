//! A store that is damaged below a running control plane.

use seawall_tests::client::get;
use seawall_tests::{Fleet, Origin, eventually};
use serde_json::json;
use std::fs;
use std::os::unix::fs::FileExt;

/// Overwrites the pages of the store from the second on, as far as the file goes.
fn overwrite_pages(fleet: &Fleet) {
    let file = fs::OpenOptions::new().write(true).open(fleet.store());
    let file = file.unwrap();
    let bytes = file.metadata().unwrap().len() as usize;
    file.write_all_at(&vec![0xa5; bytes - 4096], 4096).unwrap();
}

#[test]
fn a_store_found_damaged_while_it_runs_makes_the_control_plane_not_ready_and_nodes_serve_on() {
    let origin = Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    });
    let mut fleet = Fleet::of(&origin);
    let told = fleet.purge_everywhere(json!({ "tags": ["t"] }));
    // what the journal holds is in the file
    fleet.stop_control_plane();
    fleet.start_control_plane();
    for node in ["edge-0", "edge-1", "shield-0"] {
        eventually("it follows again", || fleet.is_up_to_date(node));
    }
    let ready = || {
        let answer = get(fleet.admin(), "/readyz", &[]);
        (answer.status, answer.text())
    };
    get(fleet.edge(0), "/", &[]);
    assert_eq!(ready(), (200, "ready\n".into()));

    overwrite_pages(&fleet);
    // damage is found by whoever comes upon it first
    assert_eq!(ready().0, 200);
    let path = format!("/v1/purges/{}", told["id"].as_str().unwrap());
    let (status, told) = fleet.get(&path);
    assert_eq!(status, 503, "{told}");
    assert!(
        told["error"].as_str().unwrap().contains("damaged"),
        "{told}"
    );
    let (status, word) = ready();
    let reason = word
        .strip_prefix("the store is damaged: ")
        .unwrap_or_default();
    assert!(status == 503 && reason.trim().len() > 3, "{status} {word}");
    assert_eq!(word.lines().count(), 1, "{word}");
    // it lives, and so do its nodes
    assert_eq!(get(fleet.admin(), "/healthz", &[]).status, 200);
    assert!(get(fleet.edge(0), "/", &[]).is_hit());
    assert_eq!(get(fleet.edge(1), "/another", &[]).text(), "body");
    assert_eq!(ready().0, 503);
}
