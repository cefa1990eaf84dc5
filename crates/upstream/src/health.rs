//! Which addresses have failed of late: told by exchanges, not by probes.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Failures in a row before an address is passed over.
const FAILURES_MAX: u32 = 3;
/// It is passed over for this long, doubled with each further failure up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Addresses remembered for one name; a name with more forgets those that are well.
const ADDRESSES_MAX: usize = 256;

#[derive(Debug, Default)]
struct State {
    failures: u32,
    until: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct Health {
    states: Mutex<HashMap<SocketAddr, State>>,
    /// How many there are; most often none, which is seen without the lock.
    count: AtomicUsize,
}

impl Health {
    /// Whether `address` should be tried before those that are not well.
    pub(crate) fn is_well(&self, address: &SocketAddr, now: Instant) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return true;
        }
        self.states
            .lock()
            .get(address)
            .and_then(|s| s.until)
            .is_none_or(|until| until <= now)
    }

    pub(crate) fn failed(&self, address: SocketAddr, now: Instant) {
        let mut states = self.states.lock();
        if states.len() >= ADDRESSES_MAX && !states.contains_key(&address) {
            states.retain(|_, s| s.until.is_some_and(|until| until > now));
            if states.len() >= ADDRESSES_MAX {
                return;
            }
        }
        let state = states.entry(address).or_default();
        state.failures += 1;
        if state.failures >= FAILURES_MAX {
            let doubled = PAUSE * 2u32.saturating_pow((state.failures - FAILURES_MAX).min(5));
            state.until = Some(now + doubled.min(PAUSE_MAX));
        }
        self.count.store(states.len(), Ordering::Release);
    }

    pub(crate) fn succeeded(&self, address: &SocketAddr) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut states = self.states.lock();
        states.remove(address);
        self.count.store(states.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_passed_over_after_three_failures_in_a_row_and_tried_again_after_a_pause() {
        let (health, now) = (Health::default(), Instant::now());
        let address = "127.0.0.1:1".parse().unwrap();
        health.failed(address, now);
        health.failed(address, now);
        assert!(health.is_well(&address, now));
        health.failed(address, now);
        assert!(!health.is_well(&address, now));
        assert!(health.is_well(&address, now + PAUSE));
        health.failed(address, now + PAUSE);
        assert!(!health.is_well(&address, now + PAUSE * 2));
        health.succeeded(&address);
        assert!(health.is_well(&address, now + PAUSE * 2));
    }
}
