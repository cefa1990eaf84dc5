//! What a position is worth after something was lost: a log that was rolled back or trimmed, a node's own log.

use crate::PurgeSeq;

/// The last purge that a node has made durable, and the term of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub at: PurgeSeq,
    pub term: u64,
}

/// From `first` on the records of a log carry `term`, until the next of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermStart {
    pub first: u64,
    pub term: u64,
}

/// Where a log stands, and who wrote which part of it.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    pub head: PurgeSeq,
    /// The oldest record that is kept.
    pub first: u64,
    /// In the order of their positions, complete since the first record of the epoch.
    pub terms: &'a [TermStart],
}

/// How a node that says where it stands is to be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It gets the purges after its position.
    Continue,
    /// What it has stored cannot be judged any more: it lets go of all of it and begins at the head.
    StartEmpty,
    /// The node has seen what this log does not hold: the log was rolled back. A new epoch comes first, before anything
    /// is appended or acknowledged.
    RolledBack,
}

/// Receives a node. `removed`: an operator said that the node was gone for good.
pub fn receive(held: &Held, removed: bool, log: Log<'_>) -> Reception {
    if held.at.epoch != log.head.epoch {
        return Reception::StartEmpty;
    }
    if held.at.n > log.head.n || (held.at.n > 0 && log.term_of(held.at.n) != Some(held.term)) {
        return Reception::RolledBack;
    }
    // the record after the node's own must be there
    if removed || held.at.n + 1 < log.first {
        return Reception::StartEmpty;
    }
    Reception::Continue
}

/// Where a node begins that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Beginning {
    /// What counts as in force on it. Nothing, where it starts empty: it has not done so yet.
    pub applied: PurgeSeq,
    /// It is told what comes after this.
    pub told: PurgeSeq,
}

impl Reception {
    /// Where the node begins, that holds `held`; `head` is that of the log, of the new epoch where one began.
    pub fn beginning(self, held: PurgeSeq, head: PurgeSeq) -> Beginning {
        match self {
            Self::Continue => Beginning {
                applied: held,
                told: held,
            },
            Self::StartEmpty | Self::RolledBack => Beginning {
                applied: PurgeSeq::new(head.epoch, 0),
                told: head,
            },
        }
    }
}

/// What the control plane knows of a node that says hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Past {
    /// An operator removed it.
    pub removed: bool,
    /// It was told to start empty, and has not said yet that it has.
    pub owes_empty: bool,
}

/// Whether a node that holds `held` has to start empty, whatever its position: an operator removed it and it has not done
/// so since; or nothing is known of it (`None`) and it has a past, as one whose removal was forgotten does.
pub fn must_start_empty(past: Option<Past>, held: PurgeSeq) -> bool {
    match past {
        Some(past) => past.removed || past.owes_empty,
        None => held != PurgeSeq::default(),
    }
}

/// Whether an acknowledgement of `acked` changes that `applied` is in force on a node. An older one does not, nor does
/// one of an epoch that the node was not received into.
pub fn moves_on(applied: PurgeSeq, acked: PurgeSeq) -> bool {
    acked.reaches(applied) && acked != applied
}

/// Whether a node has caught up. `told_all`: everything that there was at its hello was told; `held`: what is in force on
/// it; `head`: where the log stood at its hello.
pub fn caught_up(told_all: bool, held: PurgeSeq, head: PurgeSeq) -> bool {
    told_all && held.reaches(head)
}

impl Log<'_> {
    /// The term of the record at `n`.
    fn term_of(&self, n: u64) -> Option<u64> {
        let started = self.terms.iter().rev().find(|start| start.first <= n);
        started.map(|start| start.term)
    }
}

/// What a node found of its own log of purges when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recovered {
    /// Every record, to the end.
    Whole,
    /// Something behind the last good record was unreadable: purges that were acknowledged may be missing.
    Cut,
    /// Nothing, or another log than the one the stored copies were judged by.
    Lost,
}

/// How far a node has come with the control plane since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Not heard of yet, and the bounded wait is not over.
    Waiting,
    /// Not heard of within the bounded wait.
    Away,
    /// The head told at the hello has been reached.
    CaughtUp,
    /// This fleet has none, and so no purges.
    None,
}

/// Whether a node may answer with copies stored before it started. Copies it stored since are judged like all.
pub fn serves_stored(recovered: Recovered, contact: Contact) -> bool {
    match (recovered, contact) {
        (Recovered::Lost, _) | (_, Contact::Waiting) => false,
        // whole: what was acknowledged is known, so the last good state is good enough
        (Recovered::Whole, _) | (Recovered::Cut, Contact::CaughtUp) => true,
        (Recovered::Cut, Contact::Away | Contact::None) => false,
    }
}

/// Whether a node may tell neighbours how far it knows the log. One that may have forgotten purges that it acknowledged
/// may not: what a neighbour takes for as new as that may be from before them. It tells a position of a lineage that
/// nobody is of, another one each time, for which nothing is new enough but what the origin says.
pub fn tells_position(recovered: Recovered, contact: Contact) -> bool {
    match (recovered, contact) {
        (Recovered::Whole, _) | (_, Contact::CaughtUp | Contact::None) => true,
        (Recovered::Cut | Recovered::Lost, Contact::Waiting | Contact::Away) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    fn seq(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    const TERMS: [TermStart; 2] = [
        TermStart { first: 1, term: 70 },
        TermStart { first: 6, term: 71 },
    ];

    fn log(first: u64) -> Log<'static> {
        Log {
            head: seq(3, 9),
            first,
            terms: &TERMS,
        }
    }

    #[test]
    fn a_node_is_received_by_what_the_log_still_holds_of_its_past() {
        let rows = [
            (seq(3, 9), 71, 1, Reception::Continue),
            (seq(3, 5), 70, 1, Reception::Continue),
            (seq(3, 0), 0, 1, Reception::Continue),
            (seq(3, 4), 70, 5, Reception::Continue),
            // trimmed past it
            (seq(3, 4), 70, 6, Reception::StartEmpty),
            (seq(3, 0), 0, 2, Reception::StartEmpty),
            (seq(2, 4), 70, 1, Reception::StartEmpty),
            // beyond the head, or another record at its position
            (seq(3, 10), 71, 1, Reception::RolledBack),
            (seq(3, 5), 71, 1, Reception::RolledBack),
            (seq(3, 6), 70, 1, Reception::RolledBack),
            (seq(3, 4), 99, 6, Reception::RolledBack),
        ];
        for (at, term, first, expected) in rows {
            let held = Held { at, term };
            assert_eq!(receive(&held, false, log(first)), expected, "{held:?}");
        }
    }

    #[test]
    fn a_removed_node_starts_empty_and_a_rollback_is_seen_first() {
        let held = |n, term| Held {
            at: seq(3, n),
            term,
        };
        assert_eq!(receive(&held(9, 71), true, log(1)), Reception::StartEmpty);
        assert_eq!(receive(&held(10, 71), true, log(1)), Reception::RolledBack);
    }

    #[test]
    fn a_node_that_starts_empty_has_applied_nothing_and_is_told_what_comes_from_now_on() {
        let (held, head) = (seq(3, 4), seq(3, 9));
        let goes_on = Reception::Continue.beginning(held, head);
        assert_eq!((goes_on.applied, goes_on.told), (held, held));
        for reception in [Reception::StartEmpty, Reception::RolledBack] {
            let begins = reception.beginning(held, head);
            assert_eq!((begins.applied, begins.told), (seq(3, 0), head));
        }
    }

    #[test]
    fn a_removed_node_and_a_stranger_with_a_past_start_empty() {
        let past = |removed, owes_empty| {
            Some(Past {
                removed,
                owes_empty,
            })
        };
        let rows = [
            (past(false, false), seq(3, 4), false),
            (past(true, false), seq(3, 4), true),
            (past(false, true), seq(3, 4), true),
            (None, seq(3, 4), true),
            (None, PurgeSeq::default(), false),
        ];
        for (past, held, expected) in rows {
            assert_eq!(must_start_empty(past, held), expected, "{past:?} {held}");
        }
    }

    #[test]
    fn acknowledgements_are_cumulative_and_of_one_epoch() {
        assert!(moves_on(seq(3, 4), seq(3, 5)));
        assert!(!moves_on(seq(3, 4), seq(3, 4)) && !moves_on(seq(3, 4), seq(3, 3)));
        assert!(!moves_on(seq(3, 4), seq(2, 9)));
    }

    #[test]
    fn a_node_has_caught_up_when_the_head_told_at_its_hello_is_in_force() {
        assert!(caught_up(true, seq(3, 9), seq(3, 9)));
        assert!(!caught_up(false, seq(3, 9), seq(3, 9)));
        assert!(!caught_up(true, seq(3, 8), seq(3, 9)));
        assert!(!caught_up(true, seq(2, 9), seq(3, 9)));
    }

    #[test]
    fn a_node_that_may_have_forgotten_purges_tells_no_position_before_it_has_caught_up() {
        use Contact::{Away, CaughtUp, None, Waiting};
        use Recovered::{Cut, Lost, Whole};
        for recovered in [Whole, Cut, Lost] {
            for contact in [Waiting, Away, CaughtUp, None] {
                let knows = recovered == Whole || contact == CaughtUp || contact == None;
                assert_eq!(tells_position(recovered, contact), knows);
            }
        }
    }

    #[test]
    fn stored_copies_are_served_when_what_was_acknowledged_is_known() {
        use Contact::{Away, CaughtUp, None, Waiting};
        use Recovered::{Cut, Lost, Whole};
        let serving = [
            (Whole, Away),
            (Whole, CaughtUp),
            (Whole, None),
            (Cut, CaughtUp),
        ];
        for recovered in [Whole, Cut, Lost] {
            for contact in [Waiting, Away, CaughtUp, None] {
                let expected = serving.contains(&(recovered, contact));
                assert_eq!(serves_stored(recovered, contact), expected);
            }
        }
    }
}
