//! Clients' `PURGE`: who may, and on to the control plane; and purges of what a client's request changed.

use crate::next_hop::EdgeTier;
use seawall_cache_proxy::{Changed, PurgeAsked, Refusal};
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

/// Further purges because of changes are counted, and not asked for.
pub(crate) const CHANGES_MAX: usize = 256;

/// Has the control plane purge what was changed, in the background and once: where that fails, other nodes keep their
/// copies for as long as these are fresh, as they do without it.
pub(crate) fn changed(tier: &EdgeTier, changed: Changed) {
    let metrics = tier.metrics.clone();
    let Ok(permit) = tier.changes.clone().try_acquire_owned() else {
        metrics.changes.dropped.inc();
        tracing::warn!(
            service = changed.service,
            "too many changes at once: one is not purged in the fleet"
        );
        return;
    };
    let purger = tier.purger.get().cloned();
    tokio::spawn(async move {
        let _permit = permit;
        for body in bodies(&changed) {
            let asked = match &purger {
                Some(purger) => purger.purge_changed(body.into_bytes(), ANSWER_MAX).await,
                None => Err("this edge follows no control plane".to_owned()),
            };
            let asked = asked.and_then(|(status, answer)| match status {
                200..=299 => Ok(()),
                _ => Err(String::from_utf8_lossy(&answer).into_owned()),
            });
            match asked {
                Ok(()) => metrics.changes.asked.inc(),
                Err(reason) => {
                    metrics.changes.failed.inc();
                    tracing::warn!(
                        service = changed.service,
                        reason,
                        "a change is not purged in the fleet"
                    );
                }
            }
        }
    });
}

/// One purge of the URLs, one of the tags: what is wrong with the one does not keep the other back. Nobody waits for
/// nodes.
fn bodies(changed: &Changed) -> Vec<String> {
    let mut bodies = Vec::new();
    if !changed.urls.is_empty() {
        bodies.push(serde_json::json!({ "urls": changed.urls, "wait_ms": 0 }).to_string());
    }
    if !changed.tags.is_empty() {
        let (service, tags) = (&changed.service, &changed.tags);
        let body = serde_json::json!({ "service": service, "tags": tags, "wait_ms": 0 });
        bodies.push(body.to_string());
    }
    bodies
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
