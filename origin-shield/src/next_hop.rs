//! Who a shield asks next, and whom it serves: the origin, and authenticated nodes of its fleet.

use http::{HeaderMap, HeaderValue};
use seawall_cache_proxy::{Changed, Link, PurgeAnswer, PurgeAsked, Refusal, Tier, TierKind, link};
use seawall_client_conn::ConnInfo;
use seawall_service_model::Service;
use seawall_upstream::{Hop, NextHop, origin_hops};
use std::net::IpAddr;
use std::sync::Arc;

/// What is only true before origins.
pub(crate) struct ShieldTier {
    pub(crate) upstream: Arc<seawall_upstream::Upstream>,
    pub(crate) fleet_id: String,
    /// Proof of membership on loopback links; on others a client certificate of the fleet's authority is the proof.
    pub(crate) secret: Option<HeaderValue>,
}

impl NextHop for ShieldTier {
    fn hops(&self, service: &Arc<Service>, _key: u64) -> Arc<[Hop]> {
        origin_hops(&self.upstream, service)
    }
}

impl Tier for ShieldTier {
    fn kind(&self) -> TierKind {
        TierKind::Shield
    }

    fn admit(&self, info: &ConnInfo, fields: &HeaderMap) -> Result<Link, Refusal> {
        let by_secret = info.peer.ip().to_canonical().is_loopback()
            && match (&self.secret, fields.get(link::FLEET)) {
                (Some(ours), Some(theirs)) => same(ours.as_bytes(), theirs.as_bytes()),
                _ => false,
            };
        // the listener verified the chain; an identity is only there if it did
        let by_certificate = info.client_identity.is_some();
        if !by_secret && !by_certificate {
            return Err(Refusal::new(
                403,
                "a shield serves the nodes of its fleet only",
            ));
        }
        link::read_request(fields)
            .ok_or_else(|| Refusal::new(400, "the link to this shield speaks another version"))
    }

    fn sign(&self, _hop: &Hop, fields: &mut HeaderMap) {
        if let Some(secret) = &self.secret {
            fields.insert(link::FLEET, secret.clone());
        }
    }

    fn fleet_id(&self) -> &str {
        &self.fleet_id
    }

    fn purge(&self, _asked: PurgeAsked) -> PurgeAnswer<'_> {
        let refusal = Refusal::new(405, "edges take PURGE, and the control plane");
        Box::pin(std::future::ready(Err(refusal)))
    }

    /// Edges have asked for it.
    fn changed(&self, _changed: Changed) {}

    /// Edges have judged this before.
    fn trusts_forwarded(&self, _address: IpAddr) -> bool {
        true
    }
}

/// Compares without telling by its time where two secrets differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
