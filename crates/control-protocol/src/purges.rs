//! Purges on their way to a node.

use crate::checked::{ProtocolError, at_most};
use crate::{MESSAGE_BYTES, sequence, wire, wire_sequence};
use prost::Message;
use prost::bytes::Bytes;
pub use seawall_purge::Purge;
pub use seawall_purge::record::SCOPES_MAX;
use seawall_purge::{PurgeSeq, ScopeId, Strength};
use std::num::NonZeroU32;

/// Purges of one batch.
pub const BATCH_MAX: usize = 1000;

/// Consecutive purges of one epoch, none of them beyond `head`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeBatch {
    pub purges: Vec<Purge>,
    /// Where the log stood when this was sent.
    pub head: PurgeSeq,
}

/// A purge as it goes to nodes: encoded once for all of them.
#[derive(Clone, Debug)]
pub struct EncodedPurge {
    pub at: PurgeSeq,
    /// It, as a field of a batch.
    field: Bytes,
}

impl EncodedPurge {
    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        self.field.len()
    }
}

impl From<&Purge> for EncodedPurge {
    fn from(purge: &Purge) -> Self {
        let batch = wire::PurgeBatch {
            purges: vec![wire::Purge::from(purge)],
            head: None,
        };
        Self {
            at: purge.at,
            field: batch.encode_to_vec().into(),
        }
    }
}

/// How many of the first of `purges` go into one message: as many as fit [`MESSAGE_BYTES`], at least one.
pub fn fitting(purges: &[EncodedPurge]) -> usize {
    // the head, and what is around it
    const REST: usize = 64;
    let mut bytes = REST;
    let fits = purges.iter().take(BATCH_MAX).take_while(|purge| {
        bytes += purge.bytes();
        bytes <= MESSAGE_BYTES
    });
    fits.count().max(1).min(purges.len())
}

/// A batch of them, with where the log stands. A message is its fields one after the other, and one of repeated fields is
/// what its parts are together (the encoding of protobuf): nothing is encoded anew but the head.
pub fn encode_batch(purges: &[EncodedPurge], head: PurgeSeq) -> Bytes {
    let rest = wire::PurgeBatch {
        purges: Vec::new(),
        head: Some(wire_sequence(head)),
    };
    let bytes: usize = purges.iter().map(EncodedPurge::bytes).sum();
    let mut batch = Vec::with_capacity(bytes + rest.encoded_len());
    for purge in purges {
        batch.extend_from_slice(&purge.field);
    }
    batch.extend(rest.encode_to_vec());
    batch.into()
}

/// Reads a batch as it came.
pub fn decode_batch(batch: Bytes) -> Result<PurgeBatch, ProtocolError> {
    let batch = wire::PurgeBatch::decode(batch).map_err(|_| ProtocolError::Batch)?;
    PurgeBatch::try_from(batch)
}

impl TryFrom<wire::Purge> for Purge {
    type Error = ProtocolError;

    fn try_from(wire: wire::Purge) -> Result<Self, ProtocolError> {
        let at = sequence("at", wire.at.as_ref())?;
        at_most("scopes", wire.scopes.len(), SCOPES_MAX)?;
        // one that covers nothing would be acknowledged and have done nothing
        if wire.scopes.is_empty() {
            return Err(ProtocolError::NoScope { at });
        }
        Ok(Self {
            at,
            term: wire.term,
            appended_ms: wire.appended_ms,
            strength: if wire.soft {
                Strength::Soft
            } else {
                Strength::Hard
            },
            scopes: wire.scopes.into_iter().map(ScopeId).collect(),
            pace: NonZeroU32::new(wire.pace),
        })
    }
}

impl From<&Purge> for wire::Purge {
    fn from(purge: &Purge) -> Self {
        Self {
            at: Some(wire_sequence(purge.at)),
            term: purge.term,
            appended_ms: purge.appended_ms,
            soft: purge.strength == Strength::Soft,
            scopes: purge.scopes.iter().map(|scope| scope.0).collect(),
            pace: purge.pace.map_or(0, NonZeroU32::get),
        }
    }
}

impl TryFrom<wire::PurgeBatch> for PurgeBatch {
    type Error = ProtocolError;

    fn try_from(wire: wire::PurgeBatch) -> Result<Self, ProtocolError> {
        at_most("purges", wire.purges.len(), BATCH_MAX)?;
        let head = sequence("head", wire.head.as_ref())?;
        let purges: Vec<Purge> = wire
            .purges
            .into_iter()
            .map(Purge::try_from)
            .collect::<Result<_, _>>()?;
        for purge in &purges {
            // 0 stands for "before the first purge"
            let at = purge.at;
            if at.epoch != head.epoch || at.n > head.n || at.n == 0 {
                return Err(ProtocolError::Head { at, head });
            }
        }
        for pair in purges.windows(2) {
            let (last, found) = (pair[0].at, pair[1].at);
            // an acknowledgement is cumulative: one that was passed over would count as applied
            if last.n.checked_add(1) != Some(found.n) {
                return Err(ProtocolError::Gap { last, found });
            }
        }
        Ok(Self { purges, head })
    }
}

impl From<&PurgeBatch> for wire::PurgeBatch {
    fn from(batch: &PurgeBatch) -> Self {
        Self {
            purges: batch.purges.iter().map(wire::Purge::from).collect(),
            head: Some(wire_sequence(batch.head)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::Epoch;

    fn at(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    fn purge(at: PurgeSeq, strength: Strength) -> Purge {
        Purge {
            at,
            term: 5,
            appended_ms: 1_700_000_000_000,
            strength,
            scopes: vec![ScopeId(u64::MAX), ScopeId(1)],
            pace: NonZeroU32::new(at.n as u32),
        }
    }

    #[test]
    fn a_message_takes_in_as_many_purges_as_fit() {
        let largest = Purge {
            scopes: vec![ScopeId(u64::MAX); SCOPES_MAX],
            ..purge(at(u64::MAX, u64::MAX), Strength::Soft)
        };
        let purges = vec![EncodedPurge::from(&largest); 300];
        let fits = fitting(&purges);
        let batch = |count: usize| encode_batch(&purges[..count], at(u64::MAX, u64::MAX));
        assert!(batch(fits).len() <= MESSAGE_BYTES);
        assert!(batch(fits + 2).len() > MESSAGE_BYTES);
        assert_eq!(fitting(&purges[..3]), 3);
        assert_eq!(fitting(&[]), 0);
    }

    #[test]
    fn purges_that_were_encoded_one_by_one_are_a_batch_of_them() {
        let head = at(7, 9);
        for positions in [&[][..], &[at(7, 9)], &[at(7, 7), at(7, 8), at(7, 9)]] {
            let batch = batch(positions);
            let encoded: Vec<EncodedPurge> = batch.purges.iter().map(EncodedPurge::from).collect();
            let sent = encode_batch(&encoded, head);
            assert_eq!(sent, wire::PurgeBatch::from(&batch).encode_to_vec());
            assert_eq!(decode_batch(sent), Ok(batch));
        }
        let cut = encode_batch(&[EncodedPurge::from(&purge(head, Strength::Hard))], head);
        let cut = cut.slice(..cut.len() - 1);
        assert_eq!(decode_batch(cut), Err(ProtocolError::Batch));
    }

    /// What an earlier version sends and reads: a message within the message.
    #[test]
    fn a_batch_is_the_same_on_the_wire_as_a_message_within_the_message() {
        let batch = batch(&[at(7, 8), at(7, 9)]);
        let inner = wire::PurgeBatch::from(&batch);
        let mut as_message = Vec::new();
        prost::encoding::message::encode(2, &inner, &mut as_message);
        let encoded: Vec<EncodedPurge> = batch.purges.iter().map(EncodedPurge::from).collect();
        let as_bytes = wire::ToNode {
            message: Some(wire::to_node::Message::Purges(encode_batch(
                &encoded, batch.head,
            ))),
        };
        assert_eq!(as_bytes.encode_to_vec(), as_message);
    }

    fn batch(positions: &[PurgeSeq]) -> PurgeBatch {
        let purges = positions.iter().map(|&at| purge(at, Strength::Hard));
        PurgeBatch {
            purges: purges.collect(),
            head: at(7, 9),
        }
    }

    fn sent(batch: &PurgeBatch) -> Result<PurgeBatch, ProtocolError> {
        let bytes = wire::PurgeBatch::from(batch).encode_to_vec();
        PurgeBatch::try_from(wire::PurgeBatch::decode(&bytes[..]).unwrap())
    }

    #[test]
    fn purges_survive_the_wire_hard_and_soft() {
        let batch = PurgeBatch {
            purges: vec![
                purge(at(7, 8), Strength::Soft),
                purge(at(7, 9), Strength::Hard),
            ],
            head: at(7, 9),
        };
        assert_eq!(sent(&batch), Ok(batch));
    }

    #[test]
    fn a_batch_with_a_gap_a_repetition_or_another_epoch_is_refused() {
        let rows: [&[PurgeSeq]; 6] = [
            &[at(7, 3), at(7, 5)],
            &[at(7, 3), at(7, 3)],
            &[at(7, 4), at(7, 3)],
            &[at(7, 3), at(8, 4)],
            &[at(7, 9), at(7, 10)],
            &[at(7, 0), at(7, 1)],
        ];
        for row in rows {
            assert!(sent(&batch(row)).is_err(), "{row:?}");
        }
        assert!(sent(&batch(&[])).is_ok(), "a head alone");
    }

    #[test]
    fn a_purge_that_would_do_nothing_is_refused() {
        let mut batch = batch(&[at(7, 3)]);
        batch.purges[0].scopes.clear();
        let refused = ProtocolError::NoScope { at: at(7, 3) };
        assert_eq!(sent(&batch), Err(refused));
    }

    #[test]
    fn more_scopes_or_purges_than_allowed_are_refused() {
        let mut wide = batch(&[at(7, 3)]);
        wide.purges[0].scopes = vec![ScopeId(1); SCOPES_MAX + 1];
        let mut long = batch(&vec![at(7, 3); BATCH_MAX + 1]);
        long.head = at(7, 5000);
        for batch in [wide, long] {
            let refused = sent(&batch);
            assert!(matches!(refused, Err(ProtocolError::TooMany { .. })));
        }
    }
}
