//! Nodes of one fleet that do not know the same purges: who is behind whom, and what that changes.

use crate::{Label, PurgeSeq};

/// What its sender knows and this node does not, or insists on: what is older may not answer the request. `known`: the
/// purges that the sender knows; `reached`: whether they are in force here, after the wait for them.
pub fn behind(known: PurgeSeq, reached: bool, insists: bool) -> Option<PurgeSeq> {
    (!reached || insists).then_some(known)
}

/// Whether a copy or a fill with `label` can answer a request, as far as its sender's purges go.
pub fn admits(behind: Option<PurgeSeq>, label: Label) -> bool {
    behind.is_none_or(|known| label.0.reaches(known))
}

/// The purges that the next server has to know of: what the sender of the request knows counts, should this node not
/// know it yet. `own`: this node's S.
pub fn told_on(behind: Option<PurgeSeq>, own: PurgeSeq) -> PurgeSeq {
    behind.unwrap_or(own)
}

/// The label to state to the sender, of an answer that has `label` here. A node that lags labels with less than the
/// sender knows; but a fill that was joined by the sender's position was begun by a request with the same one: the origin
/// was asked after that. `fetched`: the origin was asked in that fill.
pub fn stated(behind: Option<PurgeSeq>, label: Label, joined: bool, fetched: bool) -> Label {
    match behind {
        Some(known) if joined && fetched && !admits(behind, label) => Label(known),
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

    #[test]
    fn a_node_is_behind_where_it_lags_or_its_sender_insists() {
        let known = seq(1, 5);
        let rows = [
            (true, false, None),
            (false, false, Some(known)),
            (true, true, Some(known)),
            (false, true, Some(known)),
        ];
        for (reached, insists, expected) in rows {
            assert_eq!(behind(known, reached, insists), expected);
            assert_eq!(told_on(expected, seq(1, 3)), expected.unwrap_or(seq(1, 3)));
        }
    }

    #[test]
    fn who_is_behind_uses_nothing_older_than_what_its_sender_knows() {
        let known = Some(seq(1, 5));
        let rows = [
            (seq(1, 4), false),
            (seq(1, 5), true),
            (seq(1, 6), true),
            (seq(2, 9), false),
        ];
        for (label, expected) in rows {
            assert_eq!(admits(known, Label(label)), expected, "{label}");
            assert!(admits(None, Label(label)));
        }
    }

    #[test]
    fn a_label_is_raised_only_for_who_joined_a_fetch_of_what_both_know() {
        let (label, known) = (Label(seq(1, 3)), Some(seq(1, 5)));
        let rows = [
            (known, true, true, seq(1, 5)),
            (known, false, true, seq(1, 3)),
            (known, true, false, seq(1, 3)),
            (None, true, true, seq(1, 3)),
            // it states what it has, where that is enough
            (Some(seq(1, 2)), true, true, seq(1, 3)),
        ];
        for (behind, joined, fetched, expected) in rows {
            assert_eq!(stated(behind, label, joined, fetched), Label(expected));
        }
    }
}
