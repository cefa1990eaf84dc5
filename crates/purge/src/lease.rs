//! When a silent node is known to answer nothing unvalidated.
//!
//! A node may answer without validation for as long as its lease runs; it counts from the moment it *sent* the renewal,
//! on a clock that goes on while the machine sleeps. The control plane counts from the moment it *appended* the purge,
//! which a renewal answered before cannot have been sent after. Clocks differ in pace by at most `drift_ppm`.

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
    /// Until when a node may answer without validation: its clock, the renewal sent at `sent`.
    pub fn runs_until(&self, sent: Duration) -> Duration {
        sent.saturating_add(self.length)
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
