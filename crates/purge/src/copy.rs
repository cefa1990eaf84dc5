//! What the purges make of a stored copy: for a request, for a validation, for a part that comes back.

use crate::tier::{self, Behind};
use crate::{Judge, Label, ScopeId, Verdict};

/// What is known of a stored copy, as far as purges care.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub label: Label,
    /// All that it can be purged by.
    pub scopes: &'a [ScopeId],
    /// It was stored before this start of the node, and which purges it missed is not known yet: see
    /// [`crate::lineage::serves_stored`].
    pub unaccounted: bool,
}

impl Known<'_> {
    /// How the copy may be used, by `purges`. `behind`: see [`tier::behind`].
    pub fn verdict(self, behind: Option<Behind>, purges: &impl Judge) -> Verdict {
        if self.unaccounted || !tier::admits(behind, self.label) {
            return Verdict::Gone;
        }
        purges.judge(self.label, self.scopes)
    }
}

/// Whether a 304 makes a copy the answer. `asked_about`: its attempt carried the copy's validators, which it does unless
/// the copy is gone by the purges known after S was picked up for that attempt; `gone`: it is by those known when the 304
/// comes. Else a 304 would bring back what a purge took, under a label from after that.
pub fn is_validated(asked_about: bool, gone: bool) -> bool {
    asked_about && !gone
}

/// Whether a part with this label may be from before a purge that the copy, whose hole it is for, is from after.
pub fn is_older(part: Label, copy: Label) -> bool {
    !part.0.reaches(copy.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Purge, PurgeSeq, Strength, Table};

    fn seq(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    #[test]
    fn a_copy_is_used_as_the_purges_and_the_sender_of_the_request_allow() {
        let table = Table::new(seq(1, 0));
        let purge = Purge {
            at: seq(1, 1),
            term: 7,
            appended_ms: 70,
            strength: Strength::Hard,
            scopes: vec![ScopeId(1)],
            pace: None,
        };
        table.apply(&purge).unwrap();
        let rows = [
            (0, 1, false, None, Verdict::Gone),
            (1, 1, false, None, Verdict::Live),
            (0, 2, false, None, Verdict::Live),
            (1, 2, true, None, Verdict::Gone),
            (1, 2, false, Some(Behind::Insists(seq(1, 1))), Verdict::Live),
            (1, 2, false, Some(Behind::Insists(seq(1, 2))), Verdict::Gone),
            (1, 2, false, Some(Behind::Insists(seq(2, 0))), Verdict::Gone),
        ];
        for (n, scope, unaccounted, behind, expected) in rows {
            let known = Known {
                label: Label(seq(1, n)),
                scopes: &[ScopeId(scope)],
                unaccounted,
            };
            let verdict = known.verdict(behind, &table);
            assert_eq!(verdict, expected, "{known:?} {behind:?}");
        }
    }

    #[test]
    fn a_304_counts_for_a_copy_that_was_asked_about_and_is_not_gone() {
        assert!(is_validated(true, false));
        assert!(!is_validated(true, true));
        assert!(!is_validated(false, false));
    }

    #[test]
    fn a_part_is_not_older_than_its_copy_and_of_the_same_epoch() {
        let label = |epoch, n| Label(seq(epoch, n));
        let copy = label(1, 5);
        assert!(is_older(label(1, 4), copy));
        assert!(!is_older(label(1, 5), copy) && !is_older(label(1, 6), copy));
        assert!(is_older(label(2, 9), copy));
    }
}
