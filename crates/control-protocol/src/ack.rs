//! What a node has in force.

use crate::checked::{DOCUMENTS_MAX, ProtocolError, at_most, check_document_name};
use crate::{sequence, wire, wire_sequence};
use seawall_purge::PurgeSeq;

/// Bytes of a reason that are told: 10,000 of them fit a message.
const REASON_BYTES_MAX: usize = 400;

/// Cumulative: all purges up to `purged` are in force on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub purged: PurgeSeq,
    pub documents: Vec<DocumentAck>,
}

/// One document's generation, applied or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAck {
    pub name: String,
    pub generation: u64,
    /// Why the node refuses it; the generation before stays in force then.
    pub result: Result<(), String>,
}

impl TryFrom<wire::Ack> for Ack {
    type Error = ProtocolError;

    fn try_from(wire: wire::Ack) -> Result<Self, ProtocolError> {
        at_most("documents", wire.documents.len(), DOCUMENTS_MAX)?;
        let purged = sequence("purged", wire.purged.as_ref())?;
        let documents = wire.documents.into_iter().map(|ack| {
            check_document_name(&ack.name)?;
            Ok(DocumentAck {
                name: ack.name,
                generation: ack.generation,
                result: if ack.error.is_empty() {
                    Ok(())
                } else {
                    Err(ack.error)
                },
            })
        });
        Ok(Self {
            purged,
            documents: documents.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Ack> for wire::Ack {
    fn from(ack: &Ack) -> Self {
        let documents = ack.documents.iter().map(|document| wire::DocumentAck {
            name: document.name.clone(),
            generation: document.generation,
            error: match &document.result {
                Ok(()) => String::new(),
                // an empty text would read as applied
                Err(reason) if reason.is_empty() => "refused without a reason".into(),
                // one reason may be that of all documents
                Err(reason) => reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned(),
            },
        });
        Self {
            purged: Some(wire_sequence(ack.purged)),
            documents: documents.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use seawall_purge::Epoch;

    fn document(result: Result<(), &str>) -> Ack {
        Ack {
            purged: PurgeSeq::new(Epoch(3), 9),
            documents: vec![DocumentAck {
                name: "services".into(),
                generation: 4,
                result: result.map_err(str::to_owned),
            }],
        }
    }

    fn sent(ack: &Ack) -> Ack {
        let bytes = wire::Ack::from(ack).encode_to_vec();
        Ack::try_from(wire::Ack::decode(&bytes[..]).unwrap()).unwrap()
    }

    #[test]
    fn an_acknowledgement_and_a_refusal_survive_the_wire() {
        for ack in [document(Ok(())), document(Err("rules[2].ttl: too long"))] {
            assert_eq!(sent(&ack), ack);
        }
    }

    #[test]
    fn a_refusal_without_a_reason_never_reads_as_applied() {
        assert!(sent(&document(Err(""))).documents[0].result.is_err());
    }

    #[test]
    fn an_acknowledgement_of_no_position_is_refused() {
        let refused = Ack::try_from(wire::Ack::default());
        assert_eq!(refused, Err(ProtocolError::Missing("purged")));
    }
}
