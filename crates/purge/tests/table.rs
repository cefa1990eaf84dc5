//! The table of purges: what it covers, and that folding never covers less.

use proptest::prelude::*;
use seawall_purge::table::{ApplyError, LastPurges, Table, Verdict};
use seawall_purge::{Epoch, Label, Purge, PurgeSeq, ScopeId, Strength};

const EPOCH: Epoch = Epoch(7);

fn at(n: u64) -> PurgeSeq {
    PurgeSeq::new(EPOCH, n)
}

fn label(n: u64) -> Label {
    Label(at(n))
}

/// Appended at 1,000 ms for each position.
fn purge(n: u64, strength: Strength, scopes: &[u64]) -> Purge {
    Purge {
        at: at(n),
        term: 1,
        appended_ms: n * 1000,
        strength,
        scopes: scopes.iter().copied().map(ScopeId).collect(),
        pace: None,
    }
}

fn table(purges: &[Purge]) -> Table {
    let table = Table::new(at(0));
    for purge in purges {
        table.apply(purge).unwrap();
    }
    table
}

#[test]
fn a_hard_purge_covers_copies_of_its_scopes_that_were_asked_for_before_it() {
    let table = table(&[
        purge(1, Strength::Hard, &[1, 2]),
        purge(2, Strength::Hard, &[3]),
    ]);
    let rows = [
        (0, &[1][..], Verdict::Gone),
        (0, &[9, 2], Verdict::Gone),
        (1, &[1, 2], Verdict::Live),
        (1, &[3], Verdict::Gone),
        (2, &[3], Verdict::Live),
        (0, &[9], Verdict::Live),
        (0, &[], Verdict::Live),
        (5, &[1, 2, 3], Verdict::Live),
    ];
    for (n, scopes, expected) in rows {
        let scopes: Vec<ScopeId> = scopes.iter().copied().map(ScopeId).collect();
        assert_eq!(table.judge(label(n), &scopes), expected, "{n} {scopes:?}");
    }
}

#[test]
fn a_soft_purge_makes_stale_since_it_was_appended_and_a_hard_one_counts_more() {
    let table = table(&[
        purge(1, Strength::Soft, &[1]),
        purge(2, Strength::Soft, &[2]),
        purge(3, Strength::Hard, &[3]),
    ]);
    let judge = |n, scopes: &[u64]| {
        let scopes: Vec<ScopeId> = scopes.iter().copied().map(ScopeId).collect();
        table.judge(label(n), &scopes)
    };
    assert_eq!(judge(0, &[2]), Verdict::Stale { since_ms: 2000 });
    // the first of them made it stale
    assert_eq!(judge(0, &[2, 1]), Verdict::Stale { since_ms: 1000 });
    assert_eq!(judge(1, &[2, 1]), Verdict::Stale { since_ms: 2000 });
    assert_eq!(judge(0, &[1, 3]), Verdict::Gone);
    assert_eq!(judge(2, &[1, 2]), Verdict::Live);
}

#[test]
fn a_second_soft_purge_opens_no_second_window() {
    let table = table(&[
        purge(1, Strength::Soft, &[1]),
        purge(2, Strength::Soft, &[2]),
        purge(3, Strength::Soft, &[1]),
        purge(4, Strength::Soft, &[1]),
    ]);
    let since = |n| table.judge(label(n), &[ScopeId(1)]);
    assert_eq!(since(0), Verdict::Stale { since_ms: 1000 });
    assert_eq!(since(3), Verdict::Stale { since_ms: 4000 });
    assert_eq!(since(4), Verdict::Live);
    // which of the earlier ones it was is not known any more: the earliest is taken
    assert_eq!(since(1), Verdict::Stale { since_ms: 1000 });
    // the last of 1, of 2, and the earlier ones of 1
    assert_eq!(table.records(), 3);
    let again = Table::restore(&table.dump(), 1000);
    assert_eq!(again.judge(label(0), &[ScopeId(1)]), since(0));
    assert_eq!(again.judge(label(3), &[ScopeId(1)]), since(3));
    // what was purged hard is gone, and the windows of what came after it are its own
    for (n, strength) in [
        (5, Strength::Hard),
        (6, Strength::Soft),
        (7, Strength::Soft),
    ] {
        table.apply(&purge(n, strength, &[1])).unwrap();
    }
    let since = |n| table.judge(label(n), &[ScopeId(1)]);
    assert_eq!(since(4), Verdict::Gone);
    assert_eq!(since(5), Verdict::Stale { since_ms: 6000 });
}

#[test]
fn a_million_scopes_are_told_apart() {
    const SCOPES: u64 = 1_000_000;
    // spread as digests are: the steps of splitmix64 (Steele, Lea, Flood, 2014)
    let scope = |n: u64| {
        let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let table = Table::new(at(0));
    for n in 1..=SCOPES {
        table.apply(&purge(n, Strength::Hard, &[scope(n)])).unwrap();
    }
    assert_eq!(table.records() as u64, SCOPES);
    let judge = |n| table.judge(label(1), &[ScopeId(scope(n))]);
    assert_eq!(judge(1), Verdict::Live);
    assert_eq!(judge(2), Verdict::Gone);
    assert_eq!(judge(SCOPES + 1), Verdict::Live);
}

#[test]
fn who_reads_s_finds_every_purge_up_to_it_in_the_table() {
    const PURGES: u64 = 100;
    // all parts of the table, and the last one takes a while to come to
    let scope = |n: u64, i: u64| n | i << 40;
    let table = Table::new(at(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in 1..=PURGES {
                let scopes: Vec<u64> = (0..500).map(|i| scope(n, i)).collect();
                table.apply(&purge(n, Strength::Hard, &scopes)).unwrap();
            }
        });
        loop {
            let n = table.at().n;
            if n > 0 {
                let verdict = table.judge(label(n - 1), &[ScopeId(scope(n, 499))]);
                assert_eq!(verdict, Verdict::Gone, "{n}");
            }
            if n == PURGES {
                break;
            }
        }
    });
}

#[test]
fn a_copy_of_another_epoch_is_gone_whatever_its_number() {
    let table = table(&[purge(1, Strength::Hard, &[1])]);
    for n in [0, 1, u64::MAX] {
        let other = Label(PurgeSeq::new(Epoch(8), n));
        assert_eq!(table.judge(other, &[ScopeId(9)]), Verdict::Gone);
    }
}

#[test]
fn a_purge_out_of_turn_is_refused_and_one_twice_changes_nothing() {
    let table = table(&[purge(1, Strength::Hard, &[1])]);
    let gap = purge(3, Strength::Hard, &[2]);
    let (last, found) = (at(1), at(3));
    assert_eq!(table.apply(&gap), Err(ApplyError::Gap { last, at: found }));
    let mut other = purge(2, Strength::Hard, &[2]);
    other.at.epoch = Epoch(8);
    assert!(table.apply(&other).is_err());
    table.apply(&purge(1, Strength::Hard, &[5])).unwrap();
    assert_eq!(table.at(), at(1));
    assert_eq!(table.judge(label(0), &[ScopeId(5)]), Verdict::Live);
}

#[test]
fn a_table_that_begins_later_takes_older_copies_for_purged() {
    let table = Table::new(at(40));
    let again = Table::restore(&table.dump(), 1000);
    for table in [&table, &again] {
        assert_eq!(table.at(), at(40));
        assert_eq!(table.judge(label(39), &[ScopeId(1)]), Verdict::Gone);
        assert_eq!(table.judge(label(40), &[ScopeId(1)]), Verdict::Live);
    }
}

#[test]
fn the_last_purge_of_some_scopes_is_known_for_joining_fills() {
    let table = table(&[
        purge(1, Strength::Hard, &[1]),
        purge(2, Strength::Soft, &[2]),
    ]);
    assert_eq!(table.last_of(&[ScopeId(1), ScopeId(9)]), 1);
    assert_eq!(table.last_of(&[ScopeId(1), ScopeId(2)]), 2);
    assert_eq!(table.last_of(&[ScopeId(9)]), 0);
}

fn purges() -> impl Strategy<Value = Vec<Purge>> {
    let one = (any::<bool>(), prop::collection::vec(0..400_u64, 1..6));
    prop::collection::vec(one, 1..400).prop_map(|rows| {
        let spread = |scope: &u64| scope.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let make = |(n, (soft, scopes)): (usize, (bool, Vec<u64>))| {
            let strength = if soft { Strength::Soft } else { Strength::Hard };
            let scopes: Vec<u64> = scopes.iter().map(spread).collect();
            purge(n as u64 + 1, strength, &scopes)
        };
        rows.into_iter().enumerate().map(make).collect()
    })
}

/// What the definition says, by looking at every purge.
fn by_definition(purges: &[Purge], copy: u64, scopes: &[ScopeId]) -> (bool, bool) {
    let covers = |p: &&Purge| p.at.n > copy && p.scopes.iter().any(|s| scopes.contains(s));
    let of = |strength| purges.iter().filter(covers).any(|p| p.strength == strength);
    (of(Strength::Hard), of(Strength::Soft))
}

/// When the first purge was appended that covers a copy.
fn first_of(purges: &[Purge], copy: u64, scope: ScopeId) -> Option<u64> {
    let covers = |p: &&Purge| p.at.n > copy && p.scopes.contains(&scope);
    purges.iter().find(covers).map(|p| p.appended_ms)
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Live => 0,
        Verdict::Stale { .. } => 1,
        Verdict::Gone => 2,
    }
}

proptest! {
    #[test]
    fn a_table_that_never_folded_says_what_the_definition_says(purges in purges(), picks in prop::collection::vec((0..400_u64, 0..400_usize), 50)) {
        let table = table(&purges);
        for (scope, n) in picks {
            let scopes = [ScopeId(scope.wrapping_mul(0x9e37_79b9_7f4a_7c15))];
            let (hard, soft) = by_definition(&purges, n as u64, &scopes);
            let expected = if hard { 2 } else { u8::from(soft) };
            let verdict = table.judge(label(n as u64), &scopes);
            prop_assert_eq!(rank(verdict), expected);
            if let Verdict::Stale { since_ms } = verdict {
                let first = first_of(&purges, n as u64, scopes[0]);
                prop_assert!(Some(since_ms) <= first, "stale since the first that covers it");
            }
        }
    }

    #[test]
    fn folding_and_dumping_never_uncover_a_copy(purges in purges(), records_max in 1..200_usize) {
        let whole = table(&purges);
        let mut folded = Table::with_records_max(at(0), records_max);
        for (index, purge) in purges.iter().enumerate() {
            folded.apply(purge).unwrap();
            prop_assert!(folded.records() <= records_max.max(64));
            if index % 97 == 96 {
                folded = Table::restore(&folded.dump(), records_max);
            }
        }
        let dumped = Table::restore(&folded.dump(), records_max);
        prop_assert_eq!(dumped.at(), whole.at());
        for scope in 0..400_u64 {
            let scopes = [ScopeId(scope.wrapping_mul(0x9e37_79b9_7f4a_7c15))];
            for n in (0..=purges.len() as u64).step_by(7) {
                let before = whole.judge(label(n), &scopes);
                let after = folded.judge(label(n), &scopes);
                prop_assert!(rank(after) >= rank(before));
                prop_assert_eq!(dumped.judge(label(n), &scopes), after);
                if let (Verdict::Stale { .. }, Verdict::Stale { since_ms: folded }) = (before, after) {
                    prop_assert!(Some(folded) <= first_of(&purges, n, scopes[0]), "stale for at least as long");
                }
                prop_assert!(folded.last_of(&scopes) >= whole.last_of(&scopes));
            }
        }
    }
}

#[test]
fn the_last_purges_of_a_scope_are_told_by_strength_and_what_was_before_the_table_is_a_floor() {
    let purges = [
        purge(1, Strength::Hard, &[1]),
        purge(2, Strength::Soft, &[1, 2]),
        purge(3, Strength::Soft, &[2]),
    ];
    let table = table(&purges);
    let last = |scope| table.last(ScopeId(scope));
    let check = |scope, hard, soft| {
        let floor = 0;
        assert_eq!(last(scope), LastPurges { hard, soft, floor }, "{scope}");
    };
    check(1, 1, 2);
    check(2, 0, 3);
    check(3, 0, 0);
    assert_eq!(Table::new(at(9)).last(ScopeId(1)).floor, 9);
}
