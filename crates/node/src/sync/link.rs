//! How a node reaches its control plane, from what an operator typed.

use super::{ControlPlaneLink, Follower, LinkTls, SyncClient, SyncError, SyncSpec};
use crate::data_dir::load_or_create_secret;
use crate::node::Node;
use seawall_config::NodeModel;
use std::sync::Arc;

/// The link of a node that follows a control plane; `None`: it follows none.
pub fn control_plane_link(node: &NodeModel) -> Result<Option<ControlPlaneLink>, SyncError> {
    let Some(entry) = &node.control_plane else {
        return Ok(None);
    };
    let fleet = node.fleet.tls.as_ref();
    let tls = entry
        .tls_name
        .as_ref()
        .zip(fleet)
        .map(|(name, files)| LinkTls {
            name: name.clone(),
            cert: files.cert.clone(),
            key: files.key.clone(),
            ca: files.ca.clone(),
        });
    let secret = match &node.fleet.secret_file {
        // a secret is for links without TLS
        Some(path) if tls.is_none() => Some(load_or_create_secret(path)?),
        _ => None,
    };
    Ok(Some(ControlPlaneLink {
        address: entry.address.clone(),
        tls,
        secret,
    }))
}

/// Follows the control plane; returns once it was reached, or is known to be away.
pub fn follow(
    node: &Node,
    kind: &'static str,
    link: ControlPlaneLink,
    follower: Arc<dyn Follower>,
) -> Result<SyncClient, SyncError> {
    let spec = SyncSpec {
        node_id: node.id().to_owned(),
        kind,
        data: node.data_dir().path().to_owned(),
        link,
        metrics: node.metrics().clone(),
    };
    let client = SyncClient::start(spec, follower)?;
    let contact = client.wait_for_contact();
    tracing::debug!(
        node = node.id(),
        ?contact,
        "the control plane was looked for"
    );
    Ok(client)
}
