//! What is asked of all that is known of the purges.

use crate::{Label, PurgeSeq, ScopeId, Table, Verdict};

/// The purges of one lineage up to S. Decisions are written against it, so that a model can put something smaller in the
/// place of [`Table`].
pub trait Judge {
    /// S. To be read before [`Judge::judge`] if its verdict is to be remembered.
    fn at(&self) -> PurgeSeq;

    /// What the purges make of a copy with `label` and `scopes`.
    fn judge(&self, label: Label, scopes: &[ScopeId]) -> Verdict;

    /// The last position whose purge covers anything with one of `scopes`; 0 where there is none.
    fn last_of(&self, scopes: &[ScopeId]) -> u64;
}

impl Judge for Table {
    fn at(&self) -> PurgeSeq {
        Self::at(self)
    }

    fn judge(&self, label: Label, scopes: &[ScopeId]) -> Verdict {
        Self::judge(self, label, scopes)
    }

    fn last_of(&self, scopes: &[ScopeId]) -> u64 {
        Self::last_of(self, scopes)
    }
}
