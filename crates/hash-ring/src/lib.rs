//! Which node is responsible for a key: weighted rendezvous hashing, in integers only, so that all nodes agree.
//!
//! Each member draws a number from (key, member); the member with the best number for its weight owns the key, the next
//! best is its successor. A member that leaves gives its keys to their successors and moves no other key; one that comes
//! takes its share and nothing else. Pure: no clock, no I/O, no async; it must never know what a node or a key is.
//!
//! With `u` uniform in (0, 1), `-log2(u) / weight` is exponentially distributed with a rate proportional to the weight,
//! and the smallest of such numbers is member i's with probability `weight_i / sum of weights`
//! (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005). [`log`] has the logarithm.

pub mod log;

use std::cmp::Ordering;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// One node, as far as placement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Hash of the node's id, see [`member_id`].
    pub id: u64,
    /// Share of the keys relative to the others; 0 means draining: it owns nothing and comes last in every order.
    pub weight: u32,
}

/// The hash of a node's id: what makes a member, whatever its place in a list.
pub fn member_id(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// The members that keys are placed on. O(members) for each question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    members: Vec<Member>,
}

impl Ring {
    pub fn new(members: Vec<Member>) -> Self {
        Self { members }
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member (its index) that owns `key`. `None` where all are draining, or there are none.
    pub fn owner(&self, key: u64) -> Option<usize> {
        let scored = self
            .members
            .iter()
            .enumerate()
            .filter(|(_, m)| m.weight > 0);
        scored
            .map(|(index, m)| (Score::new(key, m), index))
            .min()
            .map(|(_, index)| index)
    }

    /// Writes the indices of all members to `out`, best first: the owner, then successors, draining ones last.
    pub fn order(&self, key: u64, out: &mut Vec<usize>) {
        let mut scored: Vec<(Score, usize)> = self
            .members
            .iter()
            .enumerate()
            .map(|(i, m)| (Score::new(key, m), i))
            .collect();
        scored.sort_unstable();
        out.clear();
        out.extend(scored.into_iter().map(|(_, index)| index));
    }
}

/// What a member drew for a key; smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Score {
    /// -log2(u) with 32 bits behind the point.
    drawn: u64,
    weight: u32,
    id: u64,
}

impl Score {
    fn new(key: u64, member: &Member) -> Self {
        // the seed keeps members apart; the key's own bytes are hashed so that related keys are not placed alike
        let hash = xxh3_64_with_seed(&key.to_le_bytes(), member.id);
        Self {
            drawn: log::neg_log2(hash),
            weight: member.weight,
            id: member.id,
        }
    }
}

impl Ord for Score {
    /// By drawn / weight, compared by cross products: no division, no rounding. A weight of 0 is infinitely bad.
    fn cmp(&self, other: &Self) -> Ordering {
        let ours = u128::from(self.drawn) * u128::from(other.weight);
        let theirs = u128::from(other.drawn) * u128::from(self.weight);
        let by_share = match (self.weight, other.weight) {
            (0, 0) => self.drawn.cmp(&other.drawn),
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            _ => ours.cmp(&theirs),
        };
        by_share
            .then(self.id.cmp(&other.id))
            .then(self.weight.cmp(&other.weight))
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
