//! The one enum of what happened to a request.

/// What happened to a request: the metric's label, the log's field and the Cache-Status member all come from here.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Answered by a fresh copy.
    Hit,
    /// Answered by a fresh copy of which some was lost and fetched again.
    Partial,
    /// Answered by a stale copy within its stale-while-revalidate window, or because the request accepts it.
    Stale,
    /// Answered by a stale copy within its stale-if-error window, because upstream failed.
    StaleError,
    /// Answered by a copy that upstream confirmed with a 304 for this request.
    Revalidated,
    /// Answered by the fill that this request began.
    Miss,
    /// Answered by a fill that another request had begun.
    Collapsed,
    /// Sent upstream because a rule says so.
    Bypass,
    /// Sent upstream because the key was remembered as unstorable, or the fill's answer could not be stored.
    Unstorable,
    /// Sent upstream because no copy can answer it: its method, a body, an upgrade, its own directives.
    Pass,
    /// Refused by this node with a 4xx.
    Denied,
    /// Failed with a 5xx of this node's own: upstream did not answer, or the node could not.
    Error,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: &'static [Outcome] = &[
        Outcome::Hit,
        Outcome::Partial,
        Outcome::Stale,
        Outcome::StaleError,
        Outcome::Revalidated,
        Outcome::Miss,
        Outcome::Collapsed,
        Outcome::Bypass,
        Outcome::Unstorable,
        Outcome::Pass,
        Outcome::Denied,
        Outcome::Error,
    ];

    /// The name in metrics and logs; never changes its meaning.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Partial => "partial",
            Outcome::Stale => "stale",
            Outcome::StaleError => "stale_error",
            Outcome::Revalidated => "revalidated",
            Outcome::Miss => "miss",
            Outcome::Collapsed => "collapsed",
            Outcome::Bypass => "bypass",
            Outcome::Unstorable => "unstorable",
            Outcome::Pass => "pass",
            Outcome::Denied => "denied",
            Outcome::Error => "error",
        }
    }

    /// One line for the reference pages.
    pub fn describe(self) -> &'static str {
        match self {
            Outcome::Hit => "answered by a fresh copy",
            Outcome::Partial => "answered by a fresh copy of which some was lost and fetched again",
            Outcome::Stale => {
                "answered by a stale copy within its stale-while-revalidate window, or as the request accepts it"
            }
            Outcome::StaleError => {
                "answered by a stale copy within its stale-if-error window, because upstream failed"
            }
            Outcome::Revalidated => "answered by a copy that upstream confirmed for this request",
            Outcome::Miss => "answered by the fill that this request began",
            Outcome::Collapsed => "answered by a fill that another request had begun",
            Outcome::Bypass => "sent upstream because a rule says so",
            Outcome::Unstorable => "sent upstream because the answer cannot be stored",
            Outcome::Pass => "sent upstream because no copy can answer it",
            Outcome::Denied => "refused by this node with a 4xx",
            Outcome::Error => "failed with a 5xx of this node's own",
        }
    }

    /// The place in [`Outcome::ALL`], for tables of counters.
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_name_and_stands_at_its_index() {
        let mut names: Vec<_> = Outcome::ALL.iter().map(|o| o.as_str()).collect();
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), index);
            assert!(!outcome.describe().is_empty());
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
