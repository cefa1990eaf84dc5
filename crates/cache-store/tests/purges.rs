//! The log of purges of a node: what was acknowledged is known again after any end.

use seawall_cache_store::purges::Purges;
use seawall_purge::lineage::{Contact, Held, Recovered};
use seawall_purge::{Epoch, Label, Purge, PurgeSeq, ScopeId, Strength, Verdict};
use std::fs;
use std::path::Path;

const EPOCH: Epoch = Epoch(11);

fn at(n: u64) -> PurgeSeq {
    PurgeSeq::new(EPOCH, n)
}

fn purge(n: u64) -> Purge {
    Purge {
        at: at(n),
        term: 5,
        appended_ms: 1000 * n,
        strength: if n.is_multiple_of(3) {
            Strength::Soft
        } else {
            Strength::Hard
        },
        scopes: vec![ScopeId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), ScopeId(7)],
        pace: None,
    }
}

fn started(dir: &Path) -> Purges {
    let purges = Purges::open(dir).unwrap();
    let held = Held { at: at(0), term: 0 };
    purges.start_empty(held, || ()).unwrap();
    purges
}

fn judge(purges: &Purges, n: u64) -> Verdict {
    let scopes = &purge(n).scopes[..1];
    purges.table().judge(Label(at(n - 1)), scopes)
}

#[test]
fn what_was_applied_is_known_again() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    let lineage = purges.lineage();
    purges.apply(&[purge(1), purge(2)]).unwrap();
    purges.apply(&[purge(2), purge(3)]).unwrap();
    drop(purges);
    let again = Purges::open(dir.path()).unwrap();
    assert_eq!(again.recovered(), Recovered::Whole);
    assert_eq!(again.lineage(), lineage);
    assert_eq!(again.held(), Held { at: at(3), term: 5 });
    assert_eq!(judge(&again, 1), Verdict::Gone);
    assert_eq!(judge(&again, 3), Verdict::Stale { since_ms: 3000 });
}

/// What is known of the terms of the records up to `n`.
fn terms(purges: &Purges, n: u64) -> Vec<Option<u64>> {
    (1..=n).map(|n| purges.table().term_of(n)).collect()
}

#[test]
fn whose_record_lies_at_each_position_is_known_again() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    let by = |n, term| Purge { term, ..purge(n) };
    purges.apply(&[by(1, 5), by(2, 5), by(3, 6)]).unwrap();
    let expected = [Some(5), Some(5), Some(6)];
    assert_eq!(terms(&purges, 3), expected);
    drop(purges);
    let again = Purges::open(dir.path()).unwrap();
    assert_eq!(terms(&again, 3), expected);
    // of what came before it began a node knows nothing
    let held = Held { at: at(5), term: 7 };
    again.start_empty(held, || ()).unwrap();
    again.apply(&[by(6, 7), by(7, 8)]).unwrap();
    let expected = [None, None, None, None, Some(7), Some(7), Some(8)];
    assert_eq!(terms(&again, 7), expected);
    drop(again);
    assert_eq!(terms(&Purges::open(dir.path()).unwrap(), 7), expected);
}

#[test]
fn a_gap_is_refused_and_nothing_of_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    assert!(purges.apply(&[purge(1), purge(3)]).is_err());
    assert!(purges.apply(&[purge(2)]).is_err());
    assert_eq!(purges.table().at(), at(0));
    drop(purges);
    assert_eq!(Purges::open(dir.path()).unwrap().held().at, at(0));
}

#[test]
fn an_unreadable_end_is_cut_and_stored_copies_wait_for_the_control_plane() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    for n in 1..=20 {
        purges.apply(&[purge(n)]).unwrap();
    }
    drop(purges);
    let path = dir.path().join("purges.log");
    let whole = fs::read(&path).unwrap();
    // cut anywhere, or flipped anywhere: what is read is a beginning of what was written
    let mut seed = 42_u64;
    for _ in 0..200 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let place = 60 + (seed >> 33) as usize % (whole.len() - 60);
        let mut bytes = whole.clone();
        if seed & 1 == 0 {
            bytes.truncate(place);
        } else {
            bytes[place] ^= 1 << (seed & 7);
        }
        fs::write(&path, &bytes).unwrap();
        let purges = Purges::open(dir.path()).unwrap();
        let held = purges.held().at.n;
        assert!(held <= 20, "{seed}");
        for n in 1..=held {
            assert_ne!(judge(&purges, n), Verdict::Live, "{n} of {held}");
        }
        if purges.recovered() == Recovered::Cut {
            purges.contact(Contact::Away);
            assert!(!purges.serves_stored());
            purges.contact(Contact::CaughtUp);
        } else {
            purges.contact(Contact::Away);
        }
        assert!(purges.serves_stored());
        // and it goes on from there
        purges.apply(&[purge(held + 1)]).unwrap();
        drop(purges);
        assert_eq!(Purges::open(dir.path()).unwrap().held().at, at(held + 1));
    }
}

#[test]
fn a_lost_log_is_another_lineage() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    let lineage = purges.lineage();
    purges.apply(&[purge(1)]).unwrap();
    drop(purges);
    let path = dir.path().join("purges.log");
    for damage in [None, Some(&b""[..]), Some(&[0; 80][..])] {
        match damage {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let purges = Purges::open(dir.path()).unwrap();
        assert_eq!(purges.recovered(), Recovered::Lost);
        assert_ne!(purges.lineage(), lineage);
        purges.contact(Contact::CaughtUp);
        assert!(!purges.serves_stored());
    }
}

#[test]
fn a_log_that_begins_later_is_lost_without_its_table() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    let held = Held {
        at: at(40),
        term: 9,
    };
    purges.start_empty(held, || ()).unwrap();
    let lineage = purges.lineage();
    drop(purges);
    let files = ["purges.log", "purges.table"].map(|name| dir.path().join(name));
    let [log, table] = files.clone().map(|file| fs::read(file).unwrap());
    let mut damaged = table.clone();
    damaged[30] ^= 1;
    for (table, lost) in [(None, true), (Some(damaged), true), (Some(table), false)] {
        fs::write(&files[0], &log).unwrap();
        match table {
            None => fs::remove_file(&files[1]).unwrap(),
            Some(table) => fs::write(&files[1], table).unwrap(),
        }
        let purges = Purges::open(dir.path()).unwrap();
        assert_eq!(purges.recovered() == Recovered::Lost, lost);
        assert_eq!(purges.lineage() != lineage, lost);
    }
}

#[test]
fn a_new_epoch_kills_what_is_stored_before_it_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    purges.apply(&[purge(1)]).unwrap();
    let held = Held {
        at: PurgeSeq::new(Epoch(12), 40),
        term: 9,
    };
    let killed = std::cell::Cell::new(false);
    let kill = || {
        // not before: a crash in between would leave them alive in the new epoch
        assert_eq!(Purges::open(dir.path()).unwrap().held().at, at(1));
        killed.set(true);
    };
    purges.start_empty(held, kill).unwrap();
    assert!(killed.get());
    assert_eq!(purges.table().at(), held.at);
    drop(purges);
    let again = Purges::open(dir.path()).unwrap();
    assert_eq!(again.held(), held);
    assert_eq!(again.recovered(), Recovered::Whole);
}

#[test]
fn a_long_log_is_replaced_by_its_table_and_nothing_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    // 8 KB each: past 4 MiB after some five hundred
    let mut n = 0;
    for _ in 0..6 {
        let batch: Vec<Purge> = (1..=100)
            .map(|i| {
                let mut purge = purge(n + i);
                purge.term = (n + i) / 250;
                let first = purge.scopes[0].0;
                purge.scopes = (0..1000).map(|i| ScopeId(first ^ (i << 48))).collect();
                purge
            })
            .collect();
        n += 100;
        purges.apply(&batch).unwrap();
    }
    let length = fs::metadata(dir.path().join("purges.log")).unwrap().len();
    assert!(length < 4 << 20, "{length}");
    drop(purges);
    let again = Purges::open(dir.path()).unwrap();
    assert_eq!(again.recovered(), Recovered::Whole);
    assert_eq!(again.held().at, at(n));
    for n in (1..=n).step_by(11) {
        assert_ne!(judge(&again, n), Verdict::Live, "{n}");
        assert_eq!(again.table().term_of(n), Some(n / 250));
    }
}

#[test]
fn a_cut_log_stays_cut_over_restarts_until_the_control_plane_was_heard() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    purges.apply(&[purge(1)]).unwrap();
    purges.apply(&[purge(2)]).unwrap();
    drop(purges);
    let path = dir.path().join("purges.log");
    let whole = fs::read(&path).unwrap();
    let cut = || fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    cut();
    for _ in 0..3 {
        let purges = Purges::open(dir.path()).unwrap();
        assert_eq!(purges.recovered(), Recovered::Cut);
        purges.contact(Contact::Away);
        assert!(!purges.serves_stored());
    }
    let purges = Purges::open(dir.path()).unwrap();
    purges.apply(&[purge(2)]).unwrap();
    purges.contact(Contact::CaughtUp);
    assert!(purges.serves_stored());
    drop(purges);
    assert_eq!(
        Purges::open(dir.path()).unwrap().recovered(),
        Recovered::Whole
    );

    cut();
    drop(Purges::open(dir.path()).unwrap());
    let purges = Purges::open(dir.path()).unwrap();
    assert_eq!(purges.recovered(), Recovered::Cut);
    // what it would have judged is dead
    let held = Held { at: at(9), term: 5 };
    purges.start_empty(held, || ()).unwrap();
    drop(purges);
    assert_eq!(
        Purges::open(dir.path()).unwrap().recovered(),
        Recovered::Whole
    );
}

#[test]
fn a_start_that_failed_half_way_holds_what_it_held_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let purges = started(dir.path());
    purges.apply(&[purge(1)]).unwrap();
    let before = purges.held();
    let held = Held {
        at: PurgeSeq::new(Epoch(12), 40),
        term: 9,
    };
    let table = dir.path().join("purges.table");
    fs::remove_file(&table).unwrap();
    fs::create_dir(&table).unwrap();
    purges.start_empty(held, || ()).unwrap_err();
    assert_eq!((purges.held(), purges.table().at()), (before, before.at));
    purges.apply(&[purge(2)]).unwrap_err();
    // neither S nor the table is ahead of the log
    assert_eq!((purges.held(), purges.table().at()), (before, before.at));
    assert_eq!(judge(&purges, 2), Verdict::Live);

    fs::remove_dir(&table).unwrap();
    purges.start_empty(held, || ()).unwrap();
    assert_eq!((purges.held(), purges.table().at()), (held, held.at));
    drop(purges);
    assert_eq!(Purges::open(dir.path()).unwrap().held(), held);
}
