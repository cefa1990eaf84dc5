//! Documents on their way to a node: services, the map of shields.

use crate::checked::{DOCUMENTS_MAX, ProtocolError, at_most, check_document_name};
use crate::{MESSAGE_BYTES, wire};
use prost::Message as _;

/// The names of services' documents begin with this; their bodies are service files.
pub const SERVICES: &str = "services/";

/// Whole state of one name. What the body means is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub name: String,
    /// Grows with each change; a node refuses one that is older than what it holds.
    pub generation: u64,
    /// `None`: there is no such document any more.
    pub body: Option<Vec<u8>>,
}

/// Cuts a change into messages of about [`MESSAGE_BYTES`], each of whole documents; all but the last say that there is
/// more.
pub fn parts(documents: &[Document]) -> Vec<wire::Documents> {
    let mut parts: Vec<wire::Documents> = Vec::new();
    let mut room = 0;
    for document in documents {
        let document = wire::Document::from(document);
        let bytes = document.encoded_len();
        match parts.last_mut() {
            Some(part) if bytes <= room && part.documents.len() < DOCUMENTS_MAX => {
                room -= bytes;
                part.documents.push(document);
            }
            before => {
                if let Some(before) = before {
                    before.more = true;
                }
                room = MESSAGE_BYTES.saturating_sub(bytes);
                parts.push(wire::Documents {
                    documents: vec![document],
                    more: false,
                });
            }
        }
    }
    parts
}

/// Checks a message; all of its documents, or the first that is wrong.
pub fn documents(wire: wire::Documents) -> Result<Vec<Document>, ProtocolError> {
    at_most("documents", wire.documents.len(), DOCUMENTS_MAX)?;
    let checked = wire.documents.into_iter().map(|document| {
        check_document_name(&document.name)?;
        Ok(Document {
            name: document.name,
            generation: document.generation,
            body: (!document.deleted).then_some(document.body),
        })
    });
    checked.collect()
}

impl From<&Document> for wire::Document {
    fn from(document: &Document) -> Self {
        Self {
            name: document.name.clone(),
            generation: document.generation,
            body: document.body.clone().unwrap_or_default(),
            deleted: document.body.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MESSAGE_BYTES_MAX;

    fn sent(sent: &[Document]) -> Result<Vec<Document>, ProtocolError> {
        let wire = wire::Documents {
            documents: sent.iter().map(wire::Document::from).collect(),
            more: false,
        };
        documents(wire::Documents::decode(&wire.encode_to_vec()[..]).unwrap())
    }

    fn document(name: &str, body: Option<&[u8]>) -> Document {
        Document {
            name: name.into(),
            generation: 3,
            body: body.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn documents_survive_the_wire_and_an_empty_one_is_not_a_deleted_one() {
        let all = [
            document("services/shop", Some(b"{}")),
            document("services/empty", Some(b"")),
            document("map", None),
        ];
        assert_eq!(sent(&all).unwrap(), all);
    }

    #[test]
    fn a_large_change_is_several_messages_of_whole_documents_and_only_the_last_ends_it() {
        assert!(parts(&[]).is_empty());
        let body = |bytes| Some(vec![b'x'; bytes]);
        let mut all = Vec::new();
        for (at, bytes) in [600_000, 600_000, 5 << 20, 10, 10].into_iter().enumerate() {
            all.push(Document {
                name: format!("services/{at}"),
                generation: 1,
                body: body(bytes),
            });
        }
        let parts = parts(&all);
        let shape: Vec<_> = parts.iter().map(|p| (p.documents.len(), p.more)).collect();
        assert_eq!(shape, [(1, true), (1, true), (1, true), (2, false)]);
        assert!(
            parts
                .iter()
                .all(|part| part.encoded_len() <= MESSAGE_BYTES_MAX)
        );
        let told: Vec<Document> = parts
            .into_iter()
            .flat_map(|part| documents(part).unwrap())
            .collect();
        assert_eq!(told, all);
    }

    #[test]
    fn a_document_without_a_proper_name_is_refused() {
        for name in ["", "a b", "a\n", "ä", &"x".repeat(257)] {
            let refused = sent(&[document(name, None)]);
            assert!(
                matches!(refused, Err(ProtocolError::DocumentName(_))),
                "{name:?}"
            );
        }
    }
}
