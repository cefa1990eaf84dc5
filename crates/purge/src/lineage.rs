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

impl Log<'_> {
    /// The term of the record at `n`.
    fn term_of(&self, n: u64) -> Option<u64> {
        let started = self.terms.iter().rev().find(|start| start.first <= n);
        started.map(|start| start.term)
    }
}

/// What a node found of its own log of purges when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
