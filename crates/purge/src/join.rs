//! Several requests that wait for one answer.

use crate::tier::{Behind, Told};
use crate::{Judge, Label, PurgeSeq, ScopeId, Worth};
use std::cmp::Ordering;

/// What two requests for the same have to agree in to share a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Floor {
    pub at: PurgeSeq,
    /// Of the record there, where this node has not reached it and was told: who knows another record at the same position
    /// knows something else.
    pub term: Option<u64>,
}

impl Floor {
    /// A position that this node knows.
    pub fn here(at: PurgeSeq) -> Self {
        Self { at, term: None }
    }
}

/// The purge floor of a request: the last purge of anything that its answer is known to carry. A fill from before it is
/// not joined. `behind`: see [`crate::tier::behind`]; `scopes`: those of its URL, and of what lies there, covered or not.
pub fn floor(
    behind: Option<Behind>,
    purges: &impl Judge,
    scopes: impl FnOnce() -> Vec<ScopeId>,
) -> Floor {
    match behind {
        // nobody here knows that far: requests that know as much share a fill
        Some(Behind::Lags(Told { at, term })) => return Floor { at, term },
        Some(Behind::Insists(at)) => return Floor::here(at),
        None => {}
    }
    let at = purges.at();
    if at.n == 0 {
        return Floor::here(at);
    }
    Floor::here(PurgeSeq::new(at.epoch, purges.last_of(&scopes())))
}

/// What an answer that somebody else asked for, with this label and these scopes, is worth to who waited for it: its tags
/// are known only now. `None`: its scopes are not known.
pub fn share(
    behind: Option<Behind>,
    label: Label,
    scopes: Option<&[ScopeId]>,
    purges: &impl Judge,
) -> Worth {
    let at = purges.at();
    let behind = behind.map(Behind::at);
    let order = behind.and_then(|known| at.cmp_within(known));
    let label = match (behind, order) {
        // the floor has said so: the origin was asked after everything that is known here
        (Some(_), Some(Ordering::Less)) => return Worth::Good,
        // whoever began the fill knew as much, and this node knows more by now
        (Some(known), Some(_)) if !label.0.reaches(known) => Label(known),
        // of another lineage: what is known here is judged by its own label
        _ => label,
    };
    match scopes {
        Some(scopes) => purges.judge(label, scopes).into(),
        None if label.0.reaches(at) => Worth::Good,
        None => Worth::Covered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Purge, Strength, Table};

    fn seq(n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(1), n)
    }

    /// Scope 1 is purged hard at 1, scope 2 softly at 2.
    fn table() -> Table {
        let table = Table::new(seq(0));
        for (n, strength) in [(1, Strength::Hard), (2, Strength::Soft)] {
            let purge = Purge {
                at: seq(n),
                term: 7,
                appended_ms: 70,
                strength,
                scopes: vec![ScopeId(n)],
                pace: None,
            };
            table.apply(&purge).unwrap();
        }
        table
    }

    fn lags(at: PurgeSeq) -> Behind {
        Behind::Lags(Told { at, term: None })
    }

    #[test]
    fn a_floor_is_the_last_purge_of_what_is_known_or_what_the_sender_knows() {
        let table = table();
        let known = Told {
            at: seq(9),
            term: Some(70),
        };
        let rows = [
            (None, vec![1], 1, None),
            (None, vec![1, 2], 2, None),
            (None, vec![3], 0, None),
            (Some(lags(seq(9))), vec![1], 9, None),
            (Some(Behind::Insists(seq(2))), vec![1], 2, None),
            // who knows another record there shares no fill with it
            (Some(Behind::Lags(known)), vec![1], 9, Some(70)),
        ];
        for (behind, scopes, n, term) in rows {
            let scopes = || scopes.into_iter().map(ScopeId).collect();
            let expected = Floor { at: seq(n), term };
            assert_eq!(floor(behind, &table, scopes), expected);
        }
    }

    #[test]
    fn who_waited_judges_the_answer_by_what_it_turned_out_to_carry() {
        let table = table();
        let insists = |n| Some(Behind::Insists(seq(n)));
        let rows = [
            (None, 0, Some(1), Worth::Covered),
            (None, 1, Some(1), Worth::Good),
            (None, 1, Some(2), Worth::Stale { since_ms: 70 }),
            (None, 0, Some(3), Worth::Good),
            // it may carry anything
            (None, 1, None, Worth::Covered),
            (None, 2, None, Worth::Good),
            // the fill was joined by what the sender knows
            (Some(lags(seq(9))), 0, Some(1), Worth::Good),
            // which is less than what is known here, for it insists
            (insists(1), 0, Some(1), Worth::Good),
            (insists(1), 0, Some(2), Worth::Stale { since_ms: 70 }),
            (insists(0), 0, Some(1), Worth::Covered),
            (insists(0), 1, None, Worth::Covered),
            // or by now
            (Some(lags(seq(1))), 0, Some(1), Worth::Good),
            // of another lineage
            (
                Some(lags(PurgeSeq::new(Epoch(2), 9))),
                1,
                Some(1),
                Worth::Good,
            ),
            (
                Some(lags(PurgeSeq::new(Epoch(2), 9))),
                0,
                Some(1),
                Worth::Covered,
            ),
        ];
        for (behind, label, scope, expected) in rows {
            let scope = scope.map(ScopeId);
            let scopes = scope.as_ref().map(std::slice::from_ref);
            let worth = share(behind, Label(seq(label)), scopes, &table);
            assert_eq!(worth, expected, "{label} {scope:?}");
        }
    }
}
