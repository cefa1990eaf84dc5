//! The edge as a follower of the control plane: what it is told comes into force here.

use crate::next_hop::{EdgeTier, ShieldMap};
use seawall_cache_proxy::CacheProxy;
use seawall_config::ShieldEntryModel;
use seawall_node::sync::{About, Answering, Document, Follower};
use seawall_node::{Node, pushed};
use seawall_purge::Purge;
use seawall_purge::lineage::{Contact, Held};
use seawall_upstream::Upstream;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Makes a map of shields as this edge reaches them.
pub(crate) type MakeMap =
    Box<dyn Fn(&[ShieldEntryModel]) -> Result<ShieldMap, String> + Send + Sync>;

/// What the control plane's word changes.
pub(crate) struct EdgeFollower {
    pub(crate) node: Arc<Node>,
    pub(crate) proxy: Arc<CacheProxy>,
    pub(crate) tier: Arc<EdgeTier>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) make_map: MakeMap,
}

impl Follower for EdgeFollower {
    fn held(&self) -> Held {
        self.proxy.held()
    }

    fn apply(&self, purges: &[Purge]) -> Result<(), String> {
        let applied = self.proxy.apply_purges(purges);
        applied.map(drop).map_err(|error| error.to_string())
    }

    fn start_empty(&self, held: Held) -> Result<(), String> {
        let started = self.proxy.start_empty(held);
        started.map_err(|error| error.to_string())
    }

    fn contact(&self, contact: Contact) {
        self.proxy.contact(contact);
    }

    fn install(&self, documents: &BTreeMap<String, Document>) -> Result<(), String> {
        let pushed = pushed::read(documents)?;
        let prepared = self.upstream.prepare(pushed.services.services().iter());
        prepared.map_err(|error| error.to_string())?;
        let map = pushed.shields.as_deref().map(&self.make_map).transpose()?;
        self.tier.told(map);
        self.proxy.install_services(pushed.services);
        self.node.informed();
        Ok(())
    }

    fn lease(&self, until: Duration, reuse: Duration) {
        self.proxy.lease().runs_until(until, reuse);
    }

    fn takes_documents(&self) -> bool {
        self.proxy.takes_services()
    }

    fn answer<'a>(&'a self, about: &'a About) -> Answering<'a> {
        Box::pin(self.proxy.answer(about))
    }
}
