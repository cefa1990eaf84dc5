//! The map of shields that edges are told of.

use crate::services::{decode, encode};
use crate::store::{Expect, Store, StoreError};
use seawall_control_protocol::Document;
use seawall_control_protocol::map::{SHIELDS, ShieldEntry};
use seawall_hash_ring::{Member, Ring, member_id};
use std::sync::Arc;
use tokio::sync::watch;

const KEY: &str = "map/shields";

/// The map in force.
pub(crate) struct Shields {
    store: Arc<dyn Store>,
    in_force: watch::Sender<InForce>,
}

#[derive(Clone, Default)]
struct InForce {
    /// `None`: edges go by their own files.
    document: Option<Document>,
    /// The last generation that any node was told since the start; it outlives its document.
    last: u64,
}

impl Shields {
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        shields: Option<&[ShieldEntry]>,
    ) -> Result<Self, StoreError> {
        let opened = Self {
            store,
            in_force: watch::Sender::default(),
        };
        opened.set(shields).await?;
        Ok(opened)
    }

    /// Puts a map in force, as a new generation where it is another one. An error leaves the old one in force.
    pub(crate) async fn set(&self, shields: Option<&[ShieldEntry]>) -> Result<(), StoreError> {
        let document = match shields {
            Some(shields) => Some(put(&*self.store, shields).await?),
            None => None,
        };
        self.in_force.send_if_modified(|in_force| {
            let changed = in_force.document != document;
            let generation = document.as_ref().map_or(0, |document| document.generation);
            in_force.last = in_force.last.max(generation);
            in_force.document = document;
            changed
        });
        Ok(())
    }

    pub(crate) fn document(&self) -> Option<Document> {
        self.in_force.borrow().document.clone()
    }

    /// The ids of the shields that are asked for a key, the owner first; `None` where edges go by their own files.
    pub(crate) fn order(&self, key: u64) -> Option<Vec<String>> {
        let body = self.document()?.body?;
        let shields: Vec<ShieldEntry> = serde_json::from_slice(&body).ok()?;
        let member = |shield: &ShieldEntry| Member {
            id: member_id(&shield.id),
            weight: shield.weight,
        };
        let mut order = Vec::new();
        Ring::new(shields.iter().map(member).collect()).order(key, &mut order);
        Some(order.into_iter().map(|at| shields[at].id.clone()).collect())
    }

    /// The last generation that any node may have been told since the start, also of a map that is in force no more.
    pub(crate) fn last(&self) -> u64 {
        self.in_force.borrow().last
    }

    /// Says when another map is in force.
    pub(crate) fn changes(&self) -> watch::Receiver<impl Sized> {
        self.in_force.subscribe()
    }
}

/// Puts the map in the store where it is another one than there; the document that edges are told.
async fn put(store: &dyn Store, shields: &[ShieldEntry]) -> Result<Document, StoreError> {
    let body = encode(&shields);
    let before = store.get(KEY).await?;
    let same = match &before {
        Some(document) => decode::<Vec<ShieldEntry>>(document)? == shields,
        None => false,
    };
    let revision = match (same, before) {
        (true, Some(document)) => document.revision,
        _ => store.put(KEY, body.clone(), Expect::Any).await?,
    };
    Ok(Document {
        name: SHIELDS.into(),
        generation: revision.0,
        body: Some(body.to_vec()),
    })
}
