//! Which nodes have a purge in force: computed from what each has acknowledged, never from events.

use crate::PurgeSeq;

/// How a purge stands on one member of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// In force: the member has acknowledged it.
    Applied,
    /// The member's lease ran out: it answers nothing without a validation at the origin (see [`crate::lease`]).
    Fenced,
    /// An operator removed the member before it acknowledged. It starts empty, should it come back.
    Removed,
    /// Neither of these: the member may still answer with what the purge covers.
    Pending,
}

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Everything up to here is in force on it.
    pub applied: PurgeSeq,
    /// Where the log stood when an operator removed it.
    pub removed_at: Option<PurgeSeq>,
    /// It answers nothing unvalidated, for its lease has run out.
    pub fenced: bool,
}

/// How the purge at `purge` stands on a member. `None`: it is not its business, for the member was removed before.
/// Positions of another epoch are never taken for reached: nothing is claimed on hope.
pub fn state(member: &Standing, purge: PurgeSeq) -> Option<State> {
    if let Some(removed_at) = member.removed_at {
        if member.applied.reaches(purge) {
            return Some(State::Applied);
        }
        return removed_at.reaches(purge).then_some(State::Removed);
    }
    Some(if member.applied.reaches(purge) {
        State::Applied
    } else if member.fenced {
        State::Fenced
    } else {
        State::Pending
    })
}

/// A purge on all members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub applied: usize,
    pub fenced: usize,
    pub removed: usize,
    pub pending: usize,
}

impl Tally {
    pub fn of(states: impl IntoIterator<Item = State>) -> Self {
        let mut tally = Self::default();
        for state in states {
            match state {
                State::Applied => tally.applied += 1,
                State::Fenced => tally.fenced += 1,
                State::Removed => tally.removed += 1,
                State::Pending => tally.pending += 1,
            }
        }
        tally
    }

    /// Members that the purge is or was the business of.
    pub fn nodes(&self) -> usize {
        self.applied + self.fenced + self.removed + self.pending
    }

    /// No member may still answer with what the purge covers.
    pub fn is_complete(&self) -> bool {
        self.pending == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    fn seq(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    fn member(applied: PurgeSeq) -> Standing {
        Standing {
            applied,
            removed_at: None,
            fenced: false,
        }
    }

    #[test]
    fn a_member_has_applied_what_it_acknowledged_and_nothing_of_another_epoch() {
        let rows = [
            (seq(1, 5), seq(1, 5), State::Applied),
            (seq(1, 6), seq(1, 5), State::Applied),
            (seq(1, 4), seq(1, 5), State::Pending),
            (seq(2, 9), seq(1, 5), State::Pending),
        ];
        for (applied, purge, expected) in rows {
            assert_eq!(state(&member(applied), purge), Some(expected));
        }
    }

    #[test]
    fn a_removed_member_is_told_as_removed_for_purges_before_and_not_at_all_after() {
        let removed = Standing {
            removed_at: Some(seq(1, 7)),
            ..member(seq(1, 5))
        };
        assert_eq!(state(&removed, seq(1, 5)), Some(State::Applied));
        assert_eq!(state(&removed, seq(1, 7)), Some(State::Removed));
        assert_eq!(state(&removed, seq(1, 8)), None);
        assert_eq!(state(&removed, seq(2, 1)), None);
    }

    #[test]
    fn a_fenced_member_is_not_pending_and_not_applied() {
        let fenced = Standing {
            fenced: true,
            ..member(seq(1, 5))
        };
        assert_eq!(state(&fenced, seq(1, 6)), Some(State::Fenced));
        assert_eq!(state(&fenced, seq(1, 5)), Some(State::Applied));
    }

    #[test]
    fn a_purge_is_complete_when_none_is_pending() {
        let done = Tally::of([State::Applied, State::Fenced, State::Removed]);
        assert!(done.is_complete() && done.nodes() == 3);
        assert!(!Tally::of([State::Applied, State::Pending]).is_complete());
        assert!(Tally::of([]).is_complete());
    }
}
