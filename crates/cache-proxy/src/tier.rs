//! What differs between an edge and a shield, as far as one exchange goes.

use crate::refusal::Refusal;
use http::HeaderMap;
use seawall_client_conn::ConnInfo;
use seawall_purge::tier::Told;
use seawall_service_model::{Scheme, Service};
use seawall_upstream::{Hop, NextHop};
use std::net::IpAddr;
use std::pin::Pin;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierKind {
    Edge,
    Shield,
}

impl TierKind {
    /// The name in `Cache-Status` and `Via`.
    pub fn cache_name(self) -> &'static str {
        match self {
            Self::Edge => "seawall-edge",
            Self::Shield => "seawall-shield",
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// From outside the fleet.
    Client,
    /// From an authenticated node of this fleet.
    Fleet {
        /// The scheme the client used.
        scheme: Scheme,
        /// Fleet links passed so far.
        hops: u8,
        /// The purges that the one who asks knows.
        told: Told,
        /// What is older may not answer it, although this node knows as much.
        insists: bool,
        /// It refreshes a copy in the background: another stale copy is of no use.
        refreshes: bool,
        /// It has no lease: the origin itself has to be asked from now on.
        reaches: bool,
    },
}

/// What a client asks to be purged, by the method `PURGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeAsked {
    pub peer: IpAddr,
    /// The bearer token it showed.
    pub token: Option<String>,
    /// Whose tags they are.
    pub service: String,
    pub url: String,
    /// These instead of the URL, where there are any.
    pub tags: Vec<String>,
    pub soft: bool,
}

/// What an origin told to be changed, whose copies the whole fleet shall lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub urls: Vec<String>,
    /// Whose tags they are.
    pub service: String,
    pub tags: Vec<String>,
}

/// Status and JSON of the answer, or a refusal.
pub type PurgeAnswer<'a> =
    Pin<Box<dyn Future<Output = Result<(u16, Vec<u8>), Refusal>> + Send + 'a>>;

/// Implemented by edge and shield.
pub trait Tier: NextHop {
    fn kind(&self) -> TierKind;

    /// Who is asking, and may they.
    fn admit(&self, info: &ConnInfo, fields: &HeaderMap) -> Result<Link, Refusal>;

    /// Proves this node's membership on a link to another node of the fleet.
    fn sign(&self, hop: &Hop, fields: &mut HeaderMap);

    /// The ids of the shields that are asked for a key, the owner first; empty where origins are asked.
    fn shields(&self, _service: &Service, _key: u64) -> Vec<String> {
        Vec::new()
    }

    /// The fleet's id in `CDN-Loop` (RFC 8586).
    fn fleet_id(&self) -> &str;

    /// Has a purge carried out, if the client may ask for it.
    fn purge(&self, asked: PurgeAsked) -> PurgeAnswer<'_>;

    /// Has the copies of what was changed purged in the fleet, as well as it goes: nobody waits for it.
    fn changed(&self, changed: Changed);

    /// Whether `X-Forwarded-*` from this address is believed.
    fn trusts_forwarded(&self, address: IpAddr) -> bool;
}
