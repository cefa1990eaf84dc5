//! Whether a node wants traffic.

use std::sync::atomic::{AtomicU8, Ordering};

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Starts as not ready; a node that drains is never ready again.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// The node serves from now on, unless it drains already.
    pub fn ready(&self) {
        let _ = self
            .0
            .compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Load balancers should look elsewhere from now on.
    pub fn drain(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    pub fn is_ready(&self) -> bool {
        self.tell().0
    }

    /// Whether the node wants traffic, and the word for it, for `/readyz`: both of one moment.
    pub fn tell(&self) -> (bool, &'static str) {
        match self.0.load(Ordering::Acquire) {
            READY => (true, "ready"),
            DRAINING => (false, "draining"),
            _ => (false, "starting"),
        }
    }

    /// The word alone.
    pub fn as_str(&self) -> &'static str {
        self.tell().1
    }
}
