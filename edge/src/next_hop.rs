//! Who an edge asks next: a shield chosen by the map, or the origin where a service has no shield.

use crate::purge;
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use seawall_cache_proxy::{Changed, Link, PurgeAnswer, PurgeAsked, Refusal, Tier, TierKind, link};
use seawall_client_conn::ConnInfo;
use seawall_config::IpNet;
use seawall_hash_ring::{Member, Ring, member_id};
use seawall_node::Purger;
use seawall_service_model::Service;
use seawall_telemetry::Metrics;
use seawall_upstream::{Hop, NextHop, Role, Target, origin_hops};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// The shields of the fleet, by weighted rendezvous: each key has its owner, then successors.
pub(crate) struct ShieldMap {
    ring: Ring,
    ids: Vec<String>,
    targets: Vec<Arc<Target>>,
}

/// One shield of the map.
pub(crate) struct ShieldEntry {
    pub(crate) id: String,
    pub(crate) weight: u32,
    pub(crate) target: Arc<Target>,
}

impl ShieldMap {
    pub(crate) fn new(shields: Vec<ShieldEntry>) -> Self {
        let members = shields
            .iter()
            .map(|s| Member {
                id: member_id(&s.id),
                weight: s.weight,
            })
            .collect();
        Self {
            ring: Ring::new(members),
            ids: shields.iter().map(|s| s.id.clone()).collect(),
            targets: shields.into_iter().map(|s| s.target).collect(),
        }
    }

    /// The shields that are asked for `key`, by their places, the owner first.
    fn order(&self, key: u64) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.targets.len());
        self.ring.order(key, &mut order);
        order.truncate(SHIELDS_TRIED_MAX);
        order
    }
}

/// Two say which shields there are: the control plane, and where it tells of none, the edge's own file.
pub(crate) struct Shields {
    pub(crate) of_file: Arc<ShieldMap>,
    pub(crate) are_told: bool,
}

/// What is only true before clients.
pub(crate) struct EdgeTier {
    pub(crate) map: ArcSwap<ShieldMap>,
    /// Where the map comes from.
    pub(crate) shields: Mutex<Shields>,
    pub(crate) upstream: Arc<seawall_upstream::Upstream>,
    pub(crate) fleet_id: String,
    /// Sent on links without mutual TLS, which are loopback links.
    pub(crate) secret: Option<HeaderValue>,
    pub(crate) trusted: ArcSwap<Vec<IpNet>>,
    /// Whose `PURGE` is taken without a token.
    pub(crate) purge_allow: ArcSwap<Vec<IpNet>>,
    /// Who carries purges to the control plane; empty where this edge follows none.
    pub(crate) purger: OnceLock<Purger>,
    /// Purges that may be asked for at the same time because of changes.
    pub(crate) changes: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
}

impl EdgeTier {
    /// The control plane tells of these shields, or of none any more.
    pub(crate) fn told(&self, map: Option<ShieldMap>) {
        let mut shields = self.shields.lock();
        shields.are_told = map.is_some();
        let map = map.map_or_else(|| shields.of_file.clone(), Arc::new);
        self.map.store(map);
    }

    /// The edge's file says so.
    pub(crate) fn reread(&self, map: ShieldMap) {
        let mut shields = self.shields.lock();
        shields.of_file = Arc::new(map);
        if !shields.are_told {
            self.map.store(shields.of_file.clone());
        }
    }
}

/// Shields asked for one request, the owner included, before it has failed.
const SHIELDS_TRIED_MAX: usize = 3;

impl NextHop for EdgeTier {
    fn hops(&self, service: &Arc<Service>, key: u64) -> Arc<[Hop]> {
        let map = self.map.load();
        if !service.shield || map.targets.is_empty() {
            return origin_hops(&self.upstream, service);
        }
        map.order(key)
            .into_iter()
            .map(|index| Hop {
                target: map.targets[index].clone(),
                role: Role::Shield,
                host_header: None,
            })
            .collect()
    }
}

impl Tier for EdgeTier {
    fn kind(&self) -> TierKind {
        TierKind::Edge
    }

    /// Clients are strangers: what they say in the fleet's own fields is stripped, not believed.
    fn admit(&self, _info: &ConnInfo, _fields: &HeaderMap) -> Result<Link, Refusal> {
        Ok(Link::Client)
    }

    fn sign(&self, _hop: &Hop, fields: &mut HeaderMap) {
        if let Some(secret) = &self.secret {
            fields.insert(link::FLEET, secret.clone());
        }
    }

    fn shields(&self, service: &Service, key: u64) -> Vec<String> {
        let map = self.map.load();
        if !service.shield {
            return Vec::new();
        }
        let order = map.order(key).into_iter();
        order.map(|index| map.ids[index].clone()).collect()
    }

    fn fleet_id(&self) -> &str {
        &self.fleet_id
    }

    fn purge(&self, asked: PurgeAsked) -> PurgeAnswer<'_> {
        Box::pin(purge::carry(self, asked))
    }

    fn changed(&self, changed: Changed) {
        purge::changed(self, changed);
    }

    fn trusts_forwarded(&self, address: IpAddr) -> bool {
        self.trusted.load().iter().any(|net| net.contains(address))
    }
}
