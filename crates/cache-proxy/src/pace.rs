//! Purges with a pace: what they took is asked for no faster. Pure: it takes `now`.

use crate::bucket::{Bucket, Rate};
use parking_lot::Mutex;
use seawall_purge::{Label, Purge, PurgeSeq, ScopeId, Strength};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Records of purges that are remembered; beyond it the oldest go. Each has 1000 scopes at most: 2 MiB in all.
const RECORDS_MAX: usize = 256;
/// What is asked for later than this after the purge is not paced.
const LASTS: Duration = Duration::from_secs(3600);

/// What a pace lets through.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) rate: Rate,
    /// One for all records of a purge.
    pub(crate) bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Remembered {
    at: PurgeSeq,
    appended_ms: u64,
    /// In order.
    scopes: Box<[ScopeId]>,
    until: Duration,
    pace: Pace,
}

/// The last purges with a pace, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Paces(VecDeque<Remembered>);

impl Paces {
    /// Takes in those of `purges` that have a pace.
    pub(crate) fn remember(&mut self, purges: &[Purge], now: Duration) {
        self.forget(now);
        for purge in purges {
            let Some(per_second) = purge.pace else {
                continue;
            };
            if purge.strength == Strength::Soft || self.0.iter().any(|known| known.at == purge.at) {
                continue;
            }
            let rate = Rate(per_second);
            // the records of one purge are appended together
            let last = self.0.back().filter(|last| {
                let follows = PurgeSeq::new(last.at.epoch, last.at.n.saturating_add(1));
                follows == purge.at
                    && (last.appended_ms, last.pace.rate) == (purge.appended_ms, rate)
            });
            let bucket = last.map_or_else(Arc::default, |last| last.pace.bucket.clone());
            let mut scopes = purge.scopes.clone();
            scopes.sort_unstable_by_key(|scope| scope.0);
            if self.0.len() >= RECORDS_MAX {
                self.0.pop_front();
            }
            self.0.push_back(Remembered {
                at: purge.at,
                appended_ms: purge.appended_ms,
                scopes: scopes.into(),
                until: now.saturating_add(LASTS),
                pace: Pace { rate, bucket },
            });
        }
    }

    /// The pace of the last of them that covers a copy.
    pub(crate) fn of(&mut self, label: Label, scopes: &[ScopeId], now: Duration) -> Option<Pace> {
        self.forget(now);
        let covers = |known: &&Remembered| {
            let has = |scope: &ScopeId| known.scopes.binary_search_by_key(&scope.0, |s| s.0);
            known.at.epoch == label.0.epoch
                && known.at.n > label.0.n
                && scopes.iter().any(|scope| has(scope).is_ok())
        };
        let last = self.0.iter().rev().find(covers);
        last.map(|known| known.pace.clone())
    }

    fn forget(&mut self, now: Duration) {
        while self.0.front().is_some_and(|oldest| oldest.until <= now) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::Epoch;
    use std::num::NonZeroU32;

    const NOW: Duration = Duration::from_secs(5);

    fn at(n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(1), n)
    }

    fn purge(n: u64, scopes: &[u64], pace: u32) -> Purge {
        Purge {
            at: at(n),
            term: 1,
            appended_ms: 7,
            strength: Strength::Hard,
            scopes: scopes.iter().copied().map(ScopeId).collect(),
            pace: NonZeroU32::new(pace),
        }
    }

    fn rate(paces: &mut Paces, label: u64, scope: u64, now: Duration) -> Option<u32> {
        let pace = paces.of(Label(at(label)), &[ScopeId(scope)], now);
        pace.map(|pace| pace.rate.0.get())
    }

    #[test]
    fn a_copy_comes_back_at_the_pace_of_the_last_purge_with_one_that_covers_it() {
        let mut paces = Paces::default();
        let soft = Purge {
            strength: Strength::Soft,
            ..purge(4, &[5], 50)
        };
        let purges = [
            purge(1, &[3, 1], 10),
            purge(2, &[1], 20),
            purge(3, &[9], 0),
            soft,
        ];
        paces.remember(&purges, NOW);
        for (label, scope, expected) in [
            (0, 1, Some(20)),
            (0, 3, Some(10)),
            (1, 3, None),
            (1, 1, Some(20)),
            (2, 1, None),
            (0, 2, None),
            (0, 9, None),
            (0, 5, None),
        ] {
            let found = rate(&mut paces, label, scope, NOW);
            assert_eq!(found, expected, "{label} {scope}");
        }
        let other = Label(PurgeSeq::new(Epoch(2), 0));
        assert!(paces.of(other, &[ScopeId(1)], NOW).is_none());
    }

    #[test]
    fn paces_are_remembered_for_an_hour_and_the_oldest_go_first() {
        let mut paces = Paces::default();
        let purges: Vec<Purge> = (1..=300).map(|n| purge(n, &[n], 10)).collect();
        paces.remember(&purges, NOW);
        // told twice
        paces.remember(&purges[290..], NOW);
        assert_eq!(paces.0.len(), RECORDS_MAX);
        assert_eq!(rate(&mut paces, 0, 44, NOW), None);
        assert_eq!(rate(&mut paces, 0, 45, NOW), Some(10));
        let end = NOW + LASTS;
        let before = NOW + Duration::from_secs(3599);
        assert!(rate(&mut paces, 0, 45, before).is_some());
        assert_eq!(rate(&mut paces, 0, 45, end), None);
        assert_eq!(paces.0.len(), 0);
    }

    #[test]
    fn all_records_of_a_purge_share_their_tokens_and_other_purges_have_their_own() {
        let mut paces = Paces::default();
        let later = Purge {
            appended_ms: 8,
            ..purge(3, &[3], 10)
        };
        paces.remember(&[purge(1, &[1], 10), purge(2, &[2], 10), later], NOW);
        let mut bucket = |scope| {
            let pace = paces.of(Label(at(0)), &[ScopeId(scope)], NOW);
            pace.unwrap().bucket
        };
        assert!(Arc::ptr_eq(&bucket(1), &bucket(2)));
        assert!(!Arc::ptr_eq(&bucket(2), &bucket(3)));
    }
}
