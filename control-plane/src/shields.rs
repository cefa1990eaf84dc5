//! The map of shields that edges are told of.

use crate::services::{decode, encode};
use crate::store::{Expect, Store, StoreError};
use seawall_control_protocol::Document;
use seawall_control_protocol::map::{SHIELDS, ShieldEntry};
use std::sync::Arc;

/// Puts the map in the store where it is another one than there; the document that edges are told.
pub(crate) async fn put_shields(
    store: &Arc<dyn Store>,
    shields: &[ShieldEntry],
) -> Result<Document, StoreError> {
    const KEY: &str = "map/shields";
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
