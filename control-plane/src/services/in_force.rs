//! What nodes and purges are told of the services in force.

use super::{Current, InForce};
use crate::store::Revision;
use seawall_control_protocol::Document as NodeDocument;
use seawall_control_protocol::documents::SERVICES as DOCUMENT;
use seawall_service_model::KeyRules;
use std::collections::BTreeMap;

impl InForce {
    /// The key rules by which copies of `host` may have been stored: those of the versions kept of all services that
    /// had it, also of those that were deleted since.
    pub fn rules_of(&self, host: &str) -> Vec<&KeyRules> {
        self.past.rules_of(host)
    }

    /// The services that have, or had, `host`, in its canonical form.
    pub fn services_of(&self, host: &str) -> Vec<&str> {
        self.past.services_of(host)
    }

    /// The store's count of changes when these came into force.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether there is, or was, such a service: copies of one that was deleted come back with it.
    pub fn knows(&self, id: &str) -> bool {
        self.past.knows(id)
    }

    /// The documents of nodes, of which it holds `held` (by name, with generations): those it lacks, and those to let go.
    pub fn documents_for(&self, held: &BTreeMap<String, u64>) -> Vec<NodeDocument> {
        let mut documents = Vec::new();
        for (id, current) in &self.services {
            let name = format!("{DOCUMENT}{id}");
            let generation = current.revision.0;
            if held.get(&name).is_none_or(|held| *held != generation) {
                documents.push(NodeDocument {
                    name,
                    generation,
                    body: Some(current.version.text.clone().into_bytes()),
                });
            }
        }
        for (name, generation) in held {
            let gone = name
                .strip_prefix(DOCUMENT)
                .is_some_and(|id| !self.services.contains_key(id));
            if gone {
                documents.push(NodeDocument {
                    name: name.clone(),
                    generation: generation + 1,
                    body: None,
                });
            }
        }
        documents
    }

    /// The same as generations: what a node holds once it has them.
    pub fn generations(&self) -> BTreeMap<String, u64> {
        let generation =
            |(id, current): (&String, &Current)| (format!("{DOCUMENT}{id}"), current.revision.0);
        self.services.iter().map(generation).collect()
    }
}
