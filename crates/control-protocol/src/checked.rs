//! Messages whose promises were checked.

use crate::wire;
use seawall_purge::lineage::Held;
use seawall_purge::{Epoch, PurgeSeq};
use std::collections::HashMap;
use thiserror::Error;

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    #[error("a batch of purges cannot be read")]
    Batch,
    #[error("field {0} is missing")]
    Missing(&'static str),
    #[error("node id {0:?} is not 1 to 64 letters, digits, dots, dashes or underscores")]
    NodeId(String),
    #[error("no common protocol version: the node speaks {theirs:?}, this side {ours:?}")]
    Versions {
        theirs: Vec<u32>,
        ours: &'static [u32],
    },
    #[error("{field} has {found} entries, of at most {max}")]
    TooMany {
        field: &'static str,
        found: usize,
        max: usize,
    },
    #[error("{field} is no {wanted}")]
    Value {
        field: &'static str,
        wanted: &'static str,
    },
    #[error("document name {0:?} is not 1 to 256 bytes of printable ascii")]
    DocumentName(String),
    #[error("the purge at {at} names no scope")]
    NoScope { at: PurgeSeq },
    #[error("the purge at {found} stands where that after {last} belongs")]
    Gap { last: PurgeSeq, found: PurgeSeq },
    #[error("position {at} is not within a log that ends at {head}")]
    Head { at: PurgeSeq, head: PurgeSeq },
}

/// Characters of what a node says of itself for people; more are cut.
const NOTE_CHARS_MAX: usize = 64;
/// Documents that one node may hold, and that one message may carry.
pub const DOCUMENTS_MAX: usize = 10_000;

/// Refuses more than `max` entries of a repeated field.
pub fn at_most(field: &'static str, found: usize, max: usize) -> Result<(), ProtocolError> {
    if found > max {
        return Err(ProtocolError::TooMany { field, found, max });
    }
    Ok(())
}

/// Refuses a name that no document can have.
pub(crate) fn check_document_name(name: &str) -> Result<(), ProtocolError> {
    let legal = (1..=256).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    legal
        .then_some(())
        .ok_or_else(|| ProtocolError::DocumentName(name.chars().take(80).collect()))
}

/// A node's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub node_id: String,
    /// The best version that both sides speak.
    pub version: u32,
    pub held: Held,
    pub documents: HashMap<String, u64>,
    pub kind: String,
    pub software: String,
}

/// Whether `id` may name a node: 1 to 64 characters that need no quoting anywhere.
pub fn is_node_id(id: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=64).contains(&id.len()) && id.bytes().all(legal)
}

/// A position that must be there; `field` is named where it is not.
pub fn sequence(
    field: &'static str,
    wire: Option<&wire::Sequence>,
) -> Result<PurgeSeq, ProtocolError> {
    let wire = wire.ok_or(ProtocolError::Missing(field))?;
    Ok(PurgeSeq::new(Epoch(wire.epoch), wire.n))
}

pub fn wire_sequence(sequence: PurgeSeq) -> wire::Sequence {
    wire::Sequence {
        epoch: sequence.epoch.0,
        n: sequence.n,
    }
}

impl TryFrom<wire::Hello> for Hello {
    type Error = ProtocolError;

    fn try_from(wire: wire::Hello) -> Result<Self, ProtocolError> {
        if !is_node_id(&wire.node_id) {
            return Err(ProtocolError::NodeId(
                wire.node_id.chars().take(80).collect(),
            ));
        }
        let version = crate::VERSIONS
            .iter()
            .copied()
            .find(|v| wire.versions.contains(v));
        let Some(version) = version else {
            return Err(ProtocolError::Versions {
                theirs: wire.versions,
                ours: crate::VERSIONS,
            });
        };
        at_most("documents", wire.documents.len(), DOCUMENTS_MAX)?;
        wire.documents
            .keys()
            .try_for_each(|name| check_document_name(name))?;
        Ok(Self {
            version,
            held: Held {
                at: sequence("purged", wire.purged.as_ref())?,
                term: wire.term,
            },
            documents: wire.documents,
            kind: wire.kind.chars().take(NOTE_CHARS_MAX).collect(),
            software: wire.software.chars().take(NOTE_CHARS_MAX).collect(),
            node_id: wire.node_id,
        })
    }
}

/// What a node sends: it offers every version that this build speaks, and the other side picks.
impl From<&Hello> for wire::Hello {
    fn from(hello: &Hello) -> Self {
        Self {
            node_id: hello.node_id.clone(),
            versions: crate::VERSIONS.to_vec(),
            purged: Some(wire_sequence(hello.held.at)),
            term: hello.held.term,
            documents: hello.documents.clone(),
            kind: hello.kind.clone(),
            software: hello.software.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn hello() -> Hello {
        Hello {
            node_id: "edge-1.ams".into(),
            version: 1,
            held: Held {
                at: PurgeSeq::new(Epoch(7), 42),
                term: 99,
            },
            documents: HashMap::from([("services".into(), 3)]),
            kind: "edge".into(),
            software: "0.1.0".into(),
        }
    }

    #[test]
    fn a_hello_survives_the_wire() {
        let bytes = wire::Hello::from(&hello()).encode_to_vec();
        let read = Hello::try_from(wire::Hello::decode(&bytes[..]).unwrap()).unwrap();
        assert_eq!(read, hello());
    }

    #[test]
    fn a_hello_without_a_position_is_refused() {
        let wire = wire::Hello {
            purged: None,
            ..wire::Hello::from(&hello())
        };
        assert_eq!(Hello::try_from(wire), Err(ProtocolError::Missing("purged")));
    }

    #[test]
    fn a_node_that_speaks_no_common_version_is_told_which_there_are() {
        let wire = wire::Hello {
            versions: vec![8, 9],
            ..wire::Hello::from(&hello())
        };
        let error = Hello::try_from(wire).unwrap_err().to_string();
        assert!(error.contains("[8, 9]") && error.contains("[1]"), "{error}");
    }

    #[test]
    fn more_documents_than_a_node_can_hold_are_refused() {
        let documents = (0..=DOCUMENTS_MAX).map(|i| (i.to_string(), 1)).collect();
        let wire = wire::Hello::from(&Hello {
            documents,
            ..hello()
        });
        let refused = Hello::try_from(wire);
        assert!(matches!(refused, Err(ProtocolError::TooMany { .. })));
    }

    #[test]
    fn a_node_id_that_would_need_quoting_is_refused() {
        for id in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            let wire = wire::Hello {
                node_id: id.into(),
                ..wire::Hello::from(&hello())
            };
            assert!(
                matches!(Hello::try_from(wire), Err(ProtocolError::NodeId(_))),
                "{id:?}"
            );
        }
    }
}
