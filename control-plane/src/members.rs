//! The nodes that were seen, and what each has acknowledged, cumulatively.

use seawall_control_protocol::Hello;
use seawall_purge::PurgeSeq;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Nodes by id.
#[derive(Debug, Default)]
pub struct Members {
    applied: BTreeMap<String, PurgeSeq>,
}

impl Members {
    /// A node has said where it stands.
    pub fn hello(&mut self, hello: &Hello) {
        self.applied.insert(hello.node_id.clone(), hello.held.at);
    }

    /// A node has applied everything up to `purged`. An acknowledgement that is older than one before it changes
    /// nothing, as does one of a node that has not said hello.
    pub fn acknowledge(&mut self, node: &str, purged: PurgeSeq) {
        if let Some(applied) = self.applied.get_mut(node)
            && purged.cmp_within(*applied) != Some(Ordering::Less)
        {
            *applied = purged;
        }
    }

    /// An operator says that a node is gone for good: nothing waits for it any more.
    pub fn remove(&mut self, node: &str) -> bool {
        self.applied.remove(node).is_some()
    }

    /// The nodes that have not applied `purge`. A node of another epoch has not: that is never claimed on hope.
    pub fn pending(&self, purge: PurgeSeq) -> Vec<&str> {
        let reached = |applied: &PurgeSeq| {
            matches!(
                applied.cmp_within(purge),
                Some(Ordering::Equal | Ordering::Greater)
            )
        };
        self.applied
            .iter()
            .filter(|(_, a)| !reached(a))
            .map(|(id, _)| id.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::Epoch;
    use seawall_purge::lineage::Held;

    fn seq(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    fn members() -> Members {
        let mut members = Members::default();
        for (id, purged) in [("a", seq(1, 5)), ("b", seq(1, 7)), ("c", seq(2, 9))] {
            members.hello(&Hello {
                node_id: id.into(),
                version: 1,
                held: Held {
                    at: purged,
                    term: 0,
                },
                documents: std::collections::HashMap::new(),
                kind: "edge".into(),
                software: String::new(),
            });
        }
        members
    }

    #[test]
    fn a_purge_is_pending_on_nodes_that_are_behind_or_of_another_epoch() {
        assert_eq!(members().pending(seq(1, 6)), ["a", "c"]);
    }

    #[test]
    fn acknowledgements_are_cumulative_and_never_go_back() {
        let mut members = members();
        members.acknowledge("a", seq(1, 8));
        members.acknowledge("a", seq(1, 3));
        members.acknowledge("stranger", seq(1, 100));
        assert_eq!(members.pending(seq(1, 8)), ["b", "c"]);
    }

    #[test]
    fn nothing_waits_for_a_node_that_was_removed() {
        let mut members = members();
        assert!(members.remove("c") && !members.remove("c"));
        assert!(members.pending(seq(1, 5)).is_empty());
    }
}
