//! The answer to a hello.

use crate::checked::ProtocolError;
use crate::{lease, sequence, wire, wire_sequence};
use seawall_purge::PurgeSeq;
use seawall_purge::lease::Terms;
use std::time::Duration;

/// What a node learns first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    pub version: u32,
    /// The node serves stored copies once it has come this far.
    pub head: PurgeSeq,
    /// The term of the record at `head`.
    pub term: u64,
    /// The node lets go of all that it has stored, and begins at `head`.
    pub start_empty: bool,
    /// A stream that is silent for longer is dead.
    pub silence_max: Duration,
    /// `None`: the control plane gives no leases.
    pub lease: Option<Terms>,
}

impl TryFrom<wire::Welcome> for Welcome {
    type Error = ProtocolError;

    fn try_from(wire: wire::Welcome) -> Result<Self, ProtocolError> {
        if !crate::VERSIONS.contains(&wire.version) {
            return Err(ProtocolError::Versions {
                theirs: vec![wire.version],
                ours: crate::VERSIONS,
            });
        }
        // proto3 cannot tell 0 from absent, and no stream lives with 0
        if wire.silence_ms_max == 0 {
            return Err(ProtocolError::Missing("silence_ms_max"));
        }
        Ok(Self {
            version: wire.version,
            head: sequence("head", wire.head.as_ref())?,
            term: wire.term,
            start_empty: wire.start_empty,
            silence_max: Duration::from_millis(u64::from(wire.silence_ms_max)),
            lease: wire.lease.as_ref().map(lease::terms).transpose()?,
        })
    }
}

impl From<&Welcome> for wire::Welcome {
    fn from(welcome: &Welcome) -> Self {
        let silence = welcome.silence_max.as_millis();
        Self {
            version: welcome.version,
            head: Some(wire_sequence(welcome.head)),
            term: welcome.term,
            start_empty: welcome.start_empty,
            silence_ms_max: u32::try_from(silence).unwrap_or(u32::MAX),
            lease: welcome.lease.as_ref().map(lease::wire_terms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use seawall_purge::Epoch;

    fn welcome() -> Welcome {
        Welcome {
            version: 1,
            head: PurgeSeq::new(Epoch(7), 42),
            term: 99,
            start_empty: true,
            silence_max: Duration::from_secs(10),
            lease: Some(Terms::of(Duration::from_secs(10))),
        }
    }

    #[test]
    fn a_welcome_survives_the_wire() {
        for lease in [welcome().lease, None] {
            let sent = Welcome { lease, ..welcome() };
            let bytes = wire::Welcome::from(&sent).encode_to_vec();
            let read = Welcome::try_from(wire::Welcome::decode(&bytes[..]).unwrap());
            assert_eq!(read, Ok(sent));
        }
    }

    #[test]
    fn a_welcome_that_lacks_a_part_or_speaks_another_version_is_refused() {
        let good = wire::Welcome::from(&welcome());
        let rows = [
            wire::Welcome { version: 2, ..good },
            wire::Welcome { head: None, ..good },
            wire::Welcome {
                silence_ms_max: 0,
                ..good
            },
            wire::Welcome {
                lease: Some(wire::LeaseTerms::default()),
                ..good
            },
        ];
        for row in rows {
            assert!(Welcome::try_from(row).is_err(), "{row:?}");
        }
    }
}
