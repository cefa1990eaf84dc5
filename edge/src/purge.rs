//! Clients' `PURGE`: who may, and on to the control plane.

use crate::next_hop::EdgeTier;
use seawall_cache_proxy::{PurgeAsked, Refusal};
use std::time::Duration;

/// The control plane waits at most 5 s for the nodes that are connected, then tells how far it is; and it answers by
/// then, or is away.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// Has the control plane carry out a purge. Status and JSON as its API answers.
pub(crate) async fn carry(tier: &EdgeTier, asked: PurgeAsked) -> Result<(u16, Vec<u8>), Refusal> {
    let allowed = tier
        .purge_allow
        .load()
        .iter()
        .any(|net| net.contains(asked.peer));
    if !allowed && asked.token.is_none() {
        return Err(Refusal::new(
            403,
            "PURGE needs a bearer token, or a network that this edge allows",
        ));
    }
    let Some(purger) = tier.purger.get() else {
        return Err(Refusal::new(503, "this edge follows no control plane"));
    };
    let body = body(&asked);
    // a token that is shown is judged, wherever it comes from
    let token = asked.token.unwrap_or_default();
    let (status, answer) = purger
        .purge(body.into_bytes(), &token, ANSWER_MAX)
        .await
        .map_err(|reason| {
            tracing::warn!(reason, "a purge could not be carried to the control plane");
            Refusal::new(
                503,
                "the control plane does not answer: it is not known whether this is purged, ask again",
            )
        })?;
    match status {
        // to whom asks here, a bad token is not being allowed
        401 => Err(Refusal::new(403, "this token is not known, or was revoked")),
        status => Ok((status, answer)),
    }
}

fn body(asked: &PurgeAsked) -> String {
    let mut body = if asked.tags.is_empty() {
        serde_json::json!({ "urls": [asked.url] })
    } else {
        serde_json::json!({ "service": asked.service, "tags": asked.tags })
    };
    body["soft"] = asked.soft.into();
    body.to_string()
}
