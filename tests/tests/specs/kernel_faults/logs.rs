//! The logs that a node keeps beside its copies cannot be written.

use super::harness::*;
use seawall_tests::fault::{SYNCS, WRITES};
use seawall_tests::{Fault, eventually};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

#[test]
fn a_log_of_purges_that_cannot_be_written_acknowledges_nothing_and_catches_up() {
    let rows = [
        (SYNCS, "EIO"),
        (SYNCS, "ENOSPC"),
        (WRITES, "EIO"),
        (WRITES, "ENOSPC"),
    ];
    for (calls, error) in rows {
        let site = Site::start();
        let mut edge = site.edge();
        let targets = targets(10);
        site.fill(&edge, &targets, 10);
        let Some(fault) = Fault::begin(edge.id(), calls, error, &site.purges()) else {
            return;
        };
        let log = fs::File::open(&site.purges()[0]).unwrap();
        let version = site.change();
        let purge = site.purge(&targets[0]);
        assert_eq!(
            (&purge["complete"], &purge["pending"]),
            (&json!(false), &json!(1))
        );
        eventually("it tried again and again", || fault.count() >= 4);
        // it serves on, and claims nothing
        assert_eq!(site.hits(&edge, &targets, 1), 10);
        assert_eq!(up(&edge), 1);
        let receipt = site.receipt(&purge);
        assert_eq!(receipt["complete"], json!(false), "{receipt}");
        assert!(!logged(&edge, "purges cannot be put in force here").is_empty());

        fault.end();
        eventually("it catches up", || {
            site.receipt(&purge)["complete"] == json!(true)
        });
        assert_eq!(site.ask(&edge, &targets[0]), (version, false));
        assert_eq!(site.hits(&edge, &targets[1..], 1), 9);
        // after an error of the device the old file is trusted no more: a second sync may claim what the first one lost
        let anew = fs::metadata(&site.purges()[0]).unwrap();
        let is_anew = anew.ino() != log.metadata().unwrap().ino();
        assert!(is_anew || error == "ENOSPC", "{error}");
        site.purge_everywhere(&targets[1]);
        edge.kill();

        // every acknowledged purge is in the log
        let edge = site.edge();
        assert_eq!(site.ask(&edge, &targets[1]), (version, false));
        assert_eq!(site.ask(&edge, &targets[0]).0, version);
        assert_eq!(site.hits(&edge, &targets[2..], 1), 8);
    }
}

#[test]
fn a_node_that_is_killed_while_its_log_of_purges_fails_comes_back_with_the_purge() {
    let site = Site::start();
    let mut edge = site.edge();
    let targets = targets(10);
    site.fill(&edge, &targets, 10);
    let Some(fault) = Fault::begin(edge.id(), SYNCS, "EIO", &site.purges()) else {
        return;
    };
    let version = site.change();
    let purge = site.purge(&targets[0]);
    eventually("it was tried", || fault.count() > 0);
    edge.kill();
    drop(fault);

    let edge = site.edge();
    assert_eq!(site.receipt(&purge)["complete"], json!(true));
    assert_eq!(site.ask(&edge, &targets[0]), (version, false));
    assert_eq!(site.hits(&edge, &targets[1..], 1), 9);
}

#[test]
fn what_is_invalidated_while_minima_cannot_be_written_down_stays_so() {
    let rows = [
        (WRITES, "EIO"),
        (WRITES, "ENOSPC"),
        (SYNCS, "EIO"),
        (SYNCS, "ENOSPC"),
    ];
    for (calls, error) in rows {
        let site = Site::start();
        let mut edge = site.edge();
        let targets = targets(20);
        site.fill(&edge, &targets, 20);
        let Some(fault) = Fault::begin(edge.id(), calls, error, &site.minima()) else {
            return;
        };
        let version = site.change();
        post(&edge, &targets[0]);
        assert_eq!(site.ask(&edge, &targets[0]), (version, false));
        eventually("the disk is given up", || up(&edge) == 0);
        assert!(fault.count() > 0);
        says_why(&edge, &site.disk(), "minima.log cannot be written");
        post(&edge, &targets[1]);
        site.purge_everywhere(&targets[2]);
        assert_eq!(site.hits(&edge, &targets[1..3], version), 0);
        assert_eq!(site.hits(&edge, &targets[3..], 1), 17);
        edge.kill();
        drop(fault);

        // the memory of the process alone knew what is dead: nothing of before is used
        let edge = site.edge();
        assert_eq!(up(&edge), 1);
        assert_eq!(site.hits(&edge, &targets, version), 0);
    }
}

#[test]
fn nor_does_it_come_back_where_the_node_is_killed_right_after_its_answer() {
    for (calls, error) in [(WRITES, "EIO"), (SYNCS, "EIO")].repeat(3) {
        let site = Site::start();
        let mut edge = site.edge();
        let targets = targets(20);
        site.fill(&edge, &targets, 20);
        let Some(fault) = Fault::begin(edge.id(), calls, error, &site.minima()) else {
            return;
        };
        let version = site.change();
        post(&edge, &targets[0]);
        edge.kill();
        drop(fault);

        let edge = site.edge();
        assert_eq!(site.ask(&edge, &targets[0]).0, version);
    }
}

#[test]
fn the_answer_to_a_change_waits_until_its_invalidation_is_on_the_device() {
    const SLOW: Duration = Duration::from_secs(1);
    let site = Site::start();
    let edge = site.edge();
    let targets = targets(2);
    site.fill(&edge, &targets, 2);
    let Some(_fault) = Fault::slow(edge.id(), SYNCS, SLOW, &site.minima()) else {
        return;
    };
    site.change();
    let began = Instant::now();
    post(&edge, &targets[0]);
    // the sync began after the request, and the answer came after the sync
    assert!(began.elapsed() >= SLOW, "{:?}", began.elapsed());
}
