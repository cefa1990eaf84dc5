//! When a silent node is known to answer nothing unvalidated.
//!
//! A node may answer without validation for as long as its lease runs. It counts from the moment it *sent* the renewal
//! that was answered, on a clock that goes on while the machine sleeps, and it holds that lease only once it has applied
//! the log up to the head that the answer tells. The control plane reads that head after the renewal came: a lease that
//! a purge is not part of comes of a renewal that was sent before the purge was appended. So the control plane counts from
//! the append. Clocks differ in pace by at most `drift_ppm`.
//!
//! - [`renewals`]: the node's side
//! - [`claims`]: the control plane's

pub mod claims;
pub mod renewals;

use std::time::Duration;

/// The terms of a lease, the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a node may answer after a renewal.
    pub length: Duration,
    /// How long a validation at the origin may be reused by a fenced node.
    pub reuse: Duration,
    /// For what nobody thought of.
    pub margin: Duration,
    /// Parts in a million by which two clocks may differ in pace.
    pub drift_ppm: u32,
}

impl Terms {
    /// Terms of this length; the rest as everywhere: 1 s of reuse, 100 ms of margin, clocks that differ by a thousandth
    /// at most (a hundred times what a machine's quartz does).
    pub fn of(length: Duration) -> Self {
        Self {
            length,
            reuse: Duration::from_secs(1),
            margin: Duration::from_millis(100),
            drift_ppm: 1000,
        }
    }

    /// Until when a node may answer without validation: its clock, the renewal sent at `sent`.
    pub fn runs_until(&self, sent: Duration) -> Duration {
        sent.saturating_add(self.length)
    }

    /// How long after a renewal a node sends the next one: two may be lost.
    pub fn renew_every(&self) -> Duration {
        self.length / 3
    }

    /// From when on a purge appended at `appended` may be claimed as fenced: the control plane's clock.
    pub fn fenced_from(&self, appended: Duration) -> Duration {
        let ran = self.length.saturating_add(self.reuse);
        // the node's clock may be the slower one
        let drift = ran.saturating_mul(self.drift_ppm) / 1_000_000;
        let wait = ran.saturating_add(drift).saturating_add(self.margin);
        appended.saturating_add(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A purge is appended, and a node that does not hear of it goes on with its last lease.
        #[test]
        fn nothing_unvalidated_is_answered_once_fenced_is_claimed(
            length_ms in 1..100_000_u64,
            reuse_ms in 0..2000_u64,
            drift_ppm in 0..1000_u32,
            slow in 0..1000_u32,
            sent_before_ms in 0..100_000_u64,
        ) {
            let terms = Terms {
                length: Duration::from_millis(length_ms),
                reuse: Duration::from_millis(reuse_ms),
                margin: Duration::from_millis(1),
                drift_ppm,
            };
            let appended = Duration::from_secs(1000);
            // the renewal was sent before the append, or it would have been answered with the purge
            let sent = appended.saturating_sub(Duration::from_millis(sent_before_ms));
            let claimed = terms.fenced_from(appended).saturating_sub(sent);
            // what a clock that is slower by at most the bound shows meanwhile
            let slow = slow.min(drift_ppm);
            let on_node = claimed * 1_000_000 / (1_000_000 + slow);
            let last_answer = terms.runs_until(Duration::ZERO) + terms.reuse;
            prop_assert!(on_node >= last_answer, "{on_node:?} {last_answer:?}");
        }
    }
}
