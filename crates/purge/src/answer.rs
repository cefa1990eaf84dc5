//! What the answer of the next server is worth to the node that asked.

use crate::{Judge, Label, ScopeId, Verdict};

/// Who answered, and what a neighbour states of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The origin itself.
    Origin,
    /// A neighbour.
    Neighbour {
        /// Of what it answers with.
        label: Label,
        /// The origin was asked for it after the question had arrived there.
        fetched: bool,
    },
    /// A neighbour that states nothing: what it says is its own, and was never stored.
    Silent,
}

/// Whether something may be used by the purges known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Worth {
    /// As it is.
    Good,
    /// As one that is stale since then (milliseconds since the Unix epoch), if at all.
    Stale { since_ms: u64 },
    /// Not at all.
    Covered,
}

impl From<Verdict> for Worth {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Live => Self::Good,
            Verdict::Stale { since_ms } => Self::Stale { since_ms },
            Verdict::Gone => Self::Covered,
        }
    }
}

impl Source {
    /// Whether the origin itself was asked for this very question, through all tiers.
    pub fn fetched(self) -> bool {
        match self {
            Self::Origin => true,
            Self::Neighbour { fetched, .. } => fetched,
            Self::Silent => false,
        }
    }

    /// The label of a copy of the answer, to a question that was asked at `own`: where the origin was asked, that; else
    /// the stated one, and never a later one than ours: what a neighbour knows of the log is not what is durable here.
    pub fn label(self, own: Label) -> Label {
        match self {
            Self::Neighbour {
                label,
                fetched: false,
            } => {
                let ahead = label.0.reaches(own.0);
                // one of another lineage covers nothing here: it stays as it is
                if ahead { own } else { label }
            }
            Self::Origin | Self::Neighbour { .. } | Self::Silent => own,
        }
    }

    /// What the answer is worth by the purges known by now. A neighbour has judged it too, but a copy of its may carry
    /// less than is known here. What was purged after the question is for others to judge. `scopes`: what the answer can
    /// be purged by, if that is known.
    pub fn worth(self, own: Label, scopes: Option<&[ScopeId]>, purges: &impl Judge) -> Worth {
        let label = self.label(own);
        if self.fetched() || label.0.reaches(own.0) {
            return Worth::Good;
        }
        scopes.map_or(Worth::Covered, |scopes| purges.judge(label, scopes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Purge, PurgeSeq, Strength, Table};

    fn label(epoch: u64, n: u64) -> Label {
        Label(PurgeSeq::new(Epoch(epoch), n))
    }

    fn neighbour(label: Label, fetched: bool) -> Source {
        Source::Neighbour { label, fetched }
    }

    #[test]
    fn an_answer_has_the_label_of_its_question_only_where_the_origin_was_asked() {
        let own = label(1, 5);
        let rows = [
            (Source::Origin, own),
            (Source::Silent, own),
            (neighbour(label(1, 3), true), own),
            (neighbour(label(1, 3), false), label(1, 3)),
            // a neighbour's word never makes ours later
            (neighbour(label(1, 9), false), own),
            (neighbour(label(1, 9), true), own),
            (neighbour(label(2, 9), false), label(2, 9)),
            (neighbour(label(2, 9), true), own),
        ];
        for (source, expected) in rows {
            assert_eq!(source.label(own), expected, "{source:?}");
        }
    }

    #[test]
    fn what_no_origin_was_asked_for_is_judged_by_all_that_is_known_of_it() {
        let table = Table::new(PurgeSeq::new(Epoch(1), 0));
        let (hard, soft, other) = (ScopeId(1), ScopeId(2), ScopeId(3));
        for (n, strength, scope) in [(1, Strength::Hard, hard), (2, Strength::Soft, soft)] {
            let purge = Purge {
                at: PurgeSeq::new(Epoch(1), n),
                term: 7,
                appended_ms: 70,
                strength,
                scopes: vec![scope],
                pace: None,
            };
            table.apply(&purge).unwrap();
        }
        let (own, old) = (label(1, 2), neighbour(label(1, 0), false));
        let rows = [
            (Source::Origin, Some(hard), Worth::Good),
            (neighbour(label(1, 0), true), Some(hard), Worth::Good),
            (neighbour(label(1, 2), false), Some(hard), Worth::Good),
            (old, Some(hard), Worth::Covered),
            (old, Some(soft), Worth::Stale { since_ms: 70 }),
            (old, Some(other), Worth::Good),
            // it may carry anything
            (old, None, Worth::Covered),
            (neighbour(label(2, 9), false), Some(other), Worth::Covered),
        ];
        for (source, scope, expected) in rows {
            let scopes = scope.as_ref().map(std::slice::from_ref);
            let worth = source.worth(own, scopes, &table);
            assert_eq!(worth, expected, "{source:?} {scope:?}");
        }
    }
}
