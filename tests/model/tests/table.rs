//! The model's table in the place of the real one: both judge alike, and both cover more when they fold.

use proptest::prelude::*;
use seawall_model::config::{PURGES_MAX, Spec, ids};
use seawall_model::state::At;
use seawall_model::table::Table as Small;
use seawall_purge::{Judge, Purge, Strength, Table, Verdict};

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let strength = prop_oneof![Just(Strength::Hard), Just(Strength::Soft)];
    let spec = (strength, 1..8_u8).prop_map(|(strength, scopes)| Spec { strength, scopes });
    proptest::collection::vec(spec, 0..=PURGES_MAX)
}

fn at(n: usize) -> At {
    At {
        epoch: 1,
        n: n as u8,
    }
}

/// Both tables, begun at `begun`, with all of `specs` that are after that.
fn tables(specs: &[Spec], begun: usize) -> (Small, Table) {
    let (mut small, real) = (Small::new(at(begun)), Table::new(at(begun).seq()));
    for (index, spec) in specs.iter().enumerate().skip(begun) {
        let order = index as u8 + 1;
        small.apply(order);
        let purge = Purge {
            at: at(index + 1).seq(),
            term: 1,
            appended_ms: order.into(),
            strength: spec.strength,
            scopes: ids(spec.scopes).to_vec(),
            pace: None,
        };
        real.apply(&purge).unwrap();
    }
    (small, real)
}

/// How much a verdict takes away.
fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Live => 0,
        Verdict::Stale { .. } => 1,
        Verdict::Gone => 2,
    }
}

proptest! {
    #[test]
    fn both_tables_judge_every_copy_alike(specs in specs(), begun in 0..=PURGES_MAX) {
        let begun = begun.min(specs.len());
        let (small, real) = tables(&specs, begun);
        let small = small.view(&specs, false);
        prop_assert_eq!(small.at(), Judge::at(&real));
        for scopes in 1..8 {
            let scopes = ids(scopes);
            for n in 0..=PURGES_MAX {
                for epoch in 1..=2 {
                    let label = At { epoch, n: n as u8 }.label();
                    let (ours, theirs) = (small.judge(label, scopes), Judge::judge(&real, label, scopes));
                    prop_assert_eq!(weight(ours), weight(theirs), "{:?} {:?}", label, scopes);
                }
            }
            // a hard purge forgets the soft ones before it, whose copies are gone: no floor is lower for that
            prop_assert_eq!(small.last_of(scopes), Judge::last_of(&real, scopes));
        }
    }

    #[test]
    fn a_table_that_folds_covers_more_and_never_less(specs in specs(), floor in 1..=PURGES_MAX) {
        let (whole, _) = tables(&specs, 0);
        let mut folded = whole;
        folded.fold(floor.min(specs.len()) as u8, &specs, true);
        for scopes in 1..8 {
            for n in 0..=specs.len() {
                let (label, scopes) = (at(n).label(), ids(scopes));
                let before = whole.view(&specs, false).judge(label, scopes);
                let after = folded.view(&specs, false).judge(label, scopes);
                prop_assert!(weight(after) >= weight(before), "{:?} {:?}", label, scopes);
            }
        }
    }
}
