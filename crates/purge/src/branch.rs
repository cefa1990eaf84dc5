//! Which records a node's own log holds: of two logs that a rollback made of one, a position tells nothing.

use crate::lineage::{Held, TermStart};
use std::collections::VecDeque;

/// Terms of which a node remembers where they begin. Writers start seldom; a position from before that is one that the
/// node does not know.
pub const TERMS_MAX: usize = 64;

/// Where terms begin in a node's own log, the last [`TERMS_MAX`] of them. A writer draws its term at random and appends in
/// order: two logs with the same term at a position are the same up to there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// In the order of their positions.
    starts: VecDeque<TermStart>,
}

impl Branch {
    /// That of a log which begins after `held`: what came before is not known.
    pub fn after(held: Held) -> Self {
        let mut branch = Self::default();
        if held.at.n > 0 {
            branch.note(held.at.n, held.term);
        }
        branch
    }

    /// Takes in the record at `n`, the next one.
    pub fn note(&mut self, n: u64, term: u64) {
        if self.starts.back().is_some_and(|last| last.term == term) {
            return;
        }
        if self.starts.len() == TERMS_MAX {
            self.starts.pop_front();
        }
        self.starts.push_back(TermStart { first: n, term });
    }

    /// The term of the record at `n`, which is there. `None`: it is not known any more, or `n` is 0.
    pub fn term_of(&self, n: u64) -> Option<u64> {
        let started = self.starts.iter().rev().find(|start| start.first <= n);
        started.map(|start| start.term)
    }

    /// To be kept at rest.
    pub fn starts(&self) -> Vec<TermStart> {
        self.starts.iter().copied().collect()
    }
}

impl FromIterator<TermStart> for Branch {
    fn from_iter<I: IntoIterator<Item = TermStart>>(starts: I) -> Self {
        let mut branch = Self::default();
        for start in starts {
            branch.note(start.first, start.term);
        }
        branch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, PurgeSeq};

    #[test]
    fn a_branch_tells_the_term_of_each_record_since_its_beginning() {
        let held = |n| Held {
            at: PurgeSeq::new(Epoch(1), n),
            term: 70,
        };
        let mut branch = Branch::after(held(4));
        for (n, term) in [(5, 70), (6, 71), (7, 71), (8, 72)] {
            branch.note(n, term);
        }
        let rows = [
            (0, None),
            (3, None),
            (4, Some(70)),
            (5, Some(70)),
            (6, Some(71)),
            (7, Some(71)),
            (8, Some(72)),
        ];
        let again: Branch = branch.starts().into_iter().collect();
        for (n, expected) in rows {
            assert_eq!(branch.term_of(n), expected, "{n}");
            assert_eq!(again.term_of(n), expected, "{n}");
        }
        // of a log that begins with its first record all is known, and of that there is none yet
        assert_eq!(Branch::after(held(0)), Branch::default());
    }

    #[test]
    fn a_branch_forgets_its_oldest_terms_first() {
        let mut branch = Branch::default();
        for n in 1..=TERMS_MAX as u64 + 3 {
            branch.note(n, 1000 + n);
        }
        assert_eq!(branch.starts().len(), TERMS_MAX);
        assert_eq!(branch.term_of(3), None);
        assert_eq!(branch.term_of(4), Some(1004));
    }
}
