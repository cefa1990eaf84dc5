//! Nodes of one fleet that do not know the same purges: who is behind whom, and what that changes.

use crate::{Label, PurgeSeq};

/// How far a node says that it knows the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    pub at: PurgeSeq,
    /// Of the record there. `None`: there is no record at 0, nor at a position that nobody is at; and nodes of the version
    /// before tell none.
    pub term: Option<u64>,
}

/// Whether a node has come to what another one told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All that the other one knows is in force here.
    Reached,
    /// Not so far.
    NotYet,
    /// There is another record at that position here, or none that is known any more: as far as can be told, the log was
    /// rolled back between the two, and no position of one says anything to the other.
    OtherBranch,
}

/// Whether a node at `own` has come to `told`. `term`: of its own record at that position, if it has one and knows it
/// ([`crate::branch::Branch::term_of`]).
pub fn reach(told: Told, own: PurgeSeq, term: Option<u64>) -> Reach {
    if !own.reaches(told.at) {
        return Reach::NotYet;
    }
    if told.term.is_none() || told.term == term {
        Reach::Reached
    } else {
        Reach::OtherBranch
    }
}

/// What the sender of a request knows and this node does not, or insists on: what is older may not answer the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behind {
    /// This node knows it too, and labels tell what is older.
    Insists(PurgeSeq),
    /// This node has not reached it. With its term: nor does a label here, for the record that this node will have there
    /// may be another one.
    Lags(Told),
}

impl Behind {
    pub fn at(self) -> PurgeSeq {
        match self {
            Self::Insists(at) | Self::Lags(Told { at, .. }) => at,
        }
    }
}

/// What a request changes whose sender told `told`. `reach`: how that stands after the wait for it; `nobodys`: a position
/// of a lineage that nobody is of, another one each time, which nothing is new enough for but what the origin says.
pub fn behind(
    told: Told,
    reach: Reach,
    insists: bool,
    nobodys: impl FnOnce() -> PurgeSeq,
) -> Option<Behind> {
    match reach {
        Reach::Reached => insists.then_some(Behind::Insists(told.at)),
        Reach::NotYet => Some(Behind::Lags(told)),
        Reach::OtherBranch => Some(Behind::Lags(Told {
            at: nobodys(),
            term: None,
        })),
    }
}

/// Whether a copy or a fill with `label` can answer a request, as far as its sender's purges go.
pub fn admits(behind: Option<Behind>, label: Label) -> bool {
    match behind {
        None => true,
        Some(Behind::Insists(at) | Behind::Lags(Told { at, term: None })) => label.0.reaches(at),
        Some(Behind::Lags(_)) => false,
    }
}

/// What the next server is told of purges: what the sender of the request knows counts, should this node not know it yet.
/// `own`: this node's S. `None`: a position that nobody is at, since what is new enough for the sender may be from before
/// a purge that this node alone knows: it is of another branch, for all that can be told.
pub fn told_on(behind: Option<Behind>, own: Told) -> Option<Told> {
    let Some(Behind::Lags(told)) = behind else {
        return Some(own);
    };
    let other_lineage = own.at.epoch != told.at.epoch;
    let leads_there = told.term.is_none() || own.at.n == 0 || own.term == told.term;
    (other_lineage || leads_there).then_some(told)
}

/// The label to state to the sender, of an answer that has `label` here. A node that lags labels with less than the
/// sender knows; but a fill that was joined by the sender's position was begun by a request with the same one: the origin
/// was asked after that. `fetched`: the origin was asked in that fill.
pub fn stated(behind: Option<Behind>, label: Label, joined: bool, fetched: bool) -> Label {
    match behind {
        Some(known) if joined && fetched && !admits(behind, label) => Label(known.at()),
        _ => label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    fn seq(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    fn told(epoch: u64, n: u64, term: Option<u64>) -> Told {
        let at = seq(epoch, n);
        Told { at, term }
    }

    const NOBODYS: PurgeSeq = PurgeSeq::new(Epoch(99), 1);

    #[test]
    fn a_position_is_reached_by_its_number_and_by_the_term_of_the_record_there() {
        let own = seq(1, 5);
        let rows = [
            (told(1, 5, Some(70)), Some(70), Reach::Reached),
            (told(1, 3, Some(70)), Some(70), Reach::Reached),
            (told(1, 6, Some(70)), None, Reach::NotYet),
            (told(2, 3, Some(70)), Some(70), Reach::NotYet),
            (told(1, 5, Some(71)), Some(70), Reach::OtherBranch),
            // what was there is not known any more
            (told(1, 3, Some(70)), None, Reach::OtherBranch),
            // the beginning, and nodes of the version before
            (told(1, 0, None), None, Reach::Reached),
            (told(1, 5, None), Some(70), Reach::Reached),
            (told(1, 6, None), None, Reach::NotYet),
        ];
        for (told, term, expected) in rows {
            assert_eq!(reach(told, own, term), expected, "{told:?} {term:?}");
        }
    }

    #[test]
    fn a_node_is_behind_where_it_lags_or_its_sender_insists_or_is_of_another_branch() {
        let known = told(1, 5, Some(70));
        let nobody = Some(Behind::Lags(told(99, 1, None)));
        let rows = [
            (Reach::Reached, false, None),
            (Reach::NotYet, false, Some(Behind::Lags(known))),
            (Reach::Reached, true, Some(Behind::Insists(known.at))),
            (Reach::NotYet, true, Some(Behind::Lags(known))),
            (Reach::OtherBranch, false, nobody),
            (Reach::OtherBranch, true, nobody),
        ];
        for (reach, insists, expected) in rows {
            assert_eq!(behind(known, reach, insists, || NOBODYS), expected);
        }
    }

    #[test]
    fn who_is_behind_uses_nothing_older_than_what_its_sender_knows() {
        let insists = Behind::Insists(seq(1, 5));
        let bare = Behind::Lags(told(1, 5, None));
        // whose record the one at 5 will be is not known
        let with_term = Behind::Lags(told(1, 5, Some(70)));
        let rows = [
            (seq(1, 4), false),
            (seq(1, 5), true),
            (seq(1, 6), true),
            (seq(2, 9), false),
        ];
        for (label, expected) in rows {
            assert_eq!(admits(Some(insists), Label(label)), expected, "{label}");
            assert_eq!(admits(Some(bare), Label(label)), expected, "{label}");
            assert!(!admits(Some(with_term), Label(label)), "{label}");
            assert!(admits(None, Label(label)));
        }
    }

    #[test]
    fn the_next_server_is_told_what_is_new_enough_for_all_who_asked() {
        let own = told(1, 3, Some(70));
        let rows = [
            (None, own, Some(own)),
            (Some(Behind::Insists(seq(1, 2))), own, Some(own)),
            (
                Some(Behind::Lags(told(1, 5, Some(70)))),
                own,
                Some(told(1, 5, Some(70))),
            ),
            // another writer's: it may have gone on from less than this node has
            (Some(Behind::Lags(told(1, 5, Some(71)))), own, None),
            (
                Some(Behind::Lags(told(1, 5, Some(71)))),
                told(1, 0, None),
                Some(told(1, 5, Some(71))),
            ),
            // what comes of it is dead here
            (
                Some(Behind::Lags(told(2, 5, Some(71)))),
                own,
                Some(told(2, 5, Some(71))),
            ),
            (
                Some(Behind::Lags(told(1, 5, None))),
                own,
                Some(told(1, 5, None)),
            ),
            (
                Some(Behind::Lags(told(99, 1, None))),
                own,
                Some(told(99, 1, None)),
            ),
        ];
        for (behind, own, expected) in rows {
            assert_eq!(told_on(behind, own), expected, "{behind:?}");
        }
    }

    #[test]
    fn a_label_is_raised_only_for_who_joined_a_fetch_of_what_both_know() {
        let label = Label(seq(1, 3));
        let known = Some(Behind::Lags(told(1, 5, None)));
        let with_term = Some(Behind::Lags(told(1, 5, Some(70))));
        let rows = [
            (known, true, true, seq(1, 5)),
            (with_term, true, true, seq(1, 5)),
            (known, false, true, seq(1, 3)),
            (known, true, false, seq(1, 3)),
            (None, true, true, seq(1, 3)),
            // it states what it has, where that is enough
            (Some(Behind::Insists(seq(1, 2))), true, true, seq(1, 3)),
            // and no more than what both know, where a label says nothing
            (
                Some(Behind::Lags(told(1, 2, Some(70)))),
                true,
                true,
                seq(1, 2),
            ),
        ];
        for (behind, joined, fetched, expected) in rows {
            assert_eq!(stated(behind, label, joined, fetched), Label(expected));
        }
    }
}
