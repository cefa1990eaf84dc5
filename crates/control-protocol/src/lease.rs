//! Leases on the wire, and the clock that both sides count them by.

use crate::checked::ProtocolError;
use crate::{sequence, wire, wire_sequence};
use rustix::time::{ClockId, clock_gettime};
use seawall_purge::PurgeSeq;
use seawall_purge::lease::Terms;
use std::time::Duration;

/// Time since this machine started, the time it was suspended included: no lease outlives its term because nobody ran.
/// Steps of the wall clock do not touch it. Costs about as much as `Instant::now()`.
pub fn boottime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // it begins with 0
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The answer to a node's renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The renewal that it answers, by its number.
    pub renewal: u64,
    /// The lease is held by who has applied the log up to here.
    pub head: PurgeSeq,
}

impl TryFrom<wire::Lease> for Lease {
    type Error = ProtocolError;

    fn try_from(wire: wire::Lease) -> Result<Self, ProtocolError> {
        Ok(Self {
            renewal: wire.renewal,
            head: sequence("head", wire.head.as_ref())?,
        })
    }
}

impl From<&Lease> for wire::Lease {
    fn from(lease: &Lease) -> Self {
        Self {
            renewal: lease.renewal,
            head: Some(wire_sequence(lease.head)),
        }
    }
}

pub(crate) fn terms(wire: &wire::LeaseTerms) -> Result<Terms, ProtocolError> {
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    // proto3 cannot tell 0 from absent, and nobody could renew such a lease in time
    if wire.length_ms == 0 {
        return Err(ProtocolError::Missing("length_ms"));
    }
    Ok(Terms {
        length: ms(wire.length_ms),
        reuse: ms(wire.reuse_ms),
        margin: ms(wire.margin_ms),
        drift_ppm: wire.drift_ppm,
    })
}

pub(crate) fn wire_terms(terms: &Terms) -> wire::LeaseTerms {
    // rounded down: a node's lease is never longer than the control plane takes it for
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    wire::LeaseTerms {
        length_ms: ms(terms.length),
        reuse_ms: ms(terms.reuse),
        margin_ms: ms(terms.margin),
        drift_ppm: terms.drift_ppm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use seawall_purge::Epoch;

    #[test]
    fn a_lease_survives_the_wire_and_one_without_a_head_is_refused() {
        let lease = Lease {
            renewal: 7,
            head: PurgeSeq::new(Epoch(3), 9),
        };
        let bytes = wire::Lease::from(&lease).encode_to_vec();
        let read = Lease::try_from(wire::Lease::decode(&bytes[..]).unwrap());
        assert_eq!(read, Ok(lease));
        let headless = wire::Lease {
            renewal: 7,
            head: None,
        };
        assert_eq!(
            Lease::try_from(headless),
            Err(ProtocolError::Missing("head"))
        );
    }

    #[test]
    fn the_clock_goes_on() {
        let before = boottime();
        assert!(before > Duration::ZERO);
        while boottime() == before {}
        assert!(boottime() > before);
    }
}
