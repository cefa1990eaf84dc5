//! What may be answered once receipts have told that purges are in force.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a purge covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// No older version answers.
    Hard,
    /// No older version answers as a fresh copy.
    Soft,
}

/// By edge and object, the least version that may be answered from now on. An origin's versions of an object only grow,
/// and grow before a purge of it is asked for: what was produced before the purge was accepted has a smaller one.
pub struct Judge {
    any: Vec<Vec<AtomicU64>>,
    fresh: Vec<Vec<AtomicU64>>,
}

/// The least versions as of one moment, which has to be before a request is sent.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    pub any: u64,
    pub fresh: u64,
}

impl Judge {
    pub fn new(edges: usize, objects: usize) -> Self {
        let of_edge = || (0..objects).map(|_| AtomicU64::new(0)).collect();
        let all = || (0..edges).map(|_| of_edge()).collect();
        Self {
            any: all(),
            fresh: all(),
        }
    }

    /// A receipt told that a purge from before `version` is in force on `edge`.
    pub fn in_force(&self, edge: usize, object: usize, version: u64, strength: Strength) {
        let least = match strength {
            Strength::Hard => &self.any,
            Strength::Soft => &self.fresh,
        };
        least[edge][object].fetch_max(version, Ordering::SeqCst);
    }

    pub fn least(&self, edge: usize, object: usize) -> Least {
        Least {
            any: self.any[edge][object].load(Ordering::SeqCst),
            fresh: self.fresh[edge][object].load(Ordering::SeqCst),
        }
    }
}

impl Least {
    /// Whether this version may be the answer; `fresh_hit`: the edge answered it from a copy that it calls fresh.
    pub fn allows(self, version: u64, fresh_hit: bool) -> bool {
        version >= self.any && (!fresh_hit || version >= self.fresh)
    }
}
