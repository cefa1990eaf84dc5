//! One purge, as it stands in the log.

use crate::table::ApplyError;
use crate::{PurgeSeq, ScopeId, Strength};
use std::num::NonZeroU32;

/// Scopes of one purge: more are several purges.
pub const SCOPES_MAX: usize = 1000;

/// One record of the purge log. A copy is covered that carries any of the scopes and whose label is older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    pub at: PurgeSeq,
    /// Drawn at random at each start of the log's writer: tells apart two records of one position.
    pub term: u64,
    /// Milliseconds since the Unix epoch, by the writer's clock. Softly purged copies are stale since then.
    pub appended_ms: u64,
    pub strength: Strength,
    /// 1 to [`SCOPES_MAX`].
    pub scopes: Vec<ScopeId>,
    /// How often in a second an origin is asked for what a hard one takes. Nodes do not keep it with the purge.
    pub pace: Option<NonZeroU32>,
}

/// Which of these purges a node that stands at `last` has not taken in. They have to be consecutive and of its lineage, and
/// may begin before its position: what it has already changes nothing.
pub fn news(last: PurgeSeq, purges: &[Purge]) -> Result<&[Purge], ApplyError> {
    let mut next = last.n;
    for purge in purges {
        next = next.saturating_add(1);
        let at = purge.at;
        if at.epoch != last.epoch || at.n > next {
            return Err(ApplyError::Gap { last, at });
        }
        next = at.n.max(last.n);
    }
    let first = purges.iter().position(|purge| purge.at.n > last.n);
    Ok(first.map_or(&[], |first| &purges[first..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    fn purge(epoch: u64, n: u64) -> Purge {
        Purge {
            at: PurgeSeq::new(Epoch(epoch), n),
            term: 7,
            appended_ms: 70,
            strength: Strength::Hard,
            scopes: vec![ScopeId(1)],
            pace: None,
        }
    }

    #[test]
    fn a_node_takes_in_what_follows_its_position_and_no_more() {
        let last = PurgeSeq::new(Epoch(1), 3);
        let rows = [
            (vec![], Some(vec![])),
            (vec![4, 5], Some(vec![4, 5])),
            (vec![2, 3, 4], Some(vec![4])),
            (vec![3], Some(vec![])),
            // told twice
            (vec![3, 3, 4], Some(vec![4])),
            (vec![5], None),
            (vec![4, 6], None),
        ];
        for (told, expected) in rows {
            let purges: Vec<Purge> = told.iter().map(|&n| purge(1, n)).collect();
            let news = news(last, &purges).ok();
            let news = news.map(|news| news.iter().map(|p| p.at.n).collect::<Vec<_>>());
            assert_eq!(news, expected, "{told:?}");
        }
        assert!(news(last, &[purge(2, 4)]).is_err());
    }
}
