//! Which services let go of a node's copies when its lease runs out, and since which change they say so without a break.
//!
//! A node is claimed as fenced for a purge only where every service whose copies the purge may cover has asked for that
//! in every version that the node may have in force: from what it acknowledged last to what it may have been told since.

use super::{InForce, SERVICES_KNOWN_MAX};
use crate::record::Named;
use seawall_service_model::named::{parse_host, parse_prefix, parse_url};
use seawall_service_model::{OnLeaseLoss, ServiceSet};
use std::collections::BTreeSet;

/// What a purge covers, as far as it matters to who is fenced for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    everything: bool,
    service: Option<String>,
    /// In their canonical form.
    hosts: BTreeSet<String>,
    /// Something of it cannot be read: nobody is fenced for it.
    unreadable: bool,
}

impl Covered {
    pub fn by(named: &Named) -> Self {
        let mut covered = Self {
            everything: named.everything,
            ..Self::default()
        };
        let mut add = |host: Option<String>| match host {
            Some(host) => {
                covered.hosts.insert(host);
            }
            None => covered.unreadable = true,
        };
        for url in &named.urls {
            add(parse_url(url).ok().map(|location| location.host));
        }
        for prefix in &named.prefixes {
            add(parse_prefix(prefix).ok().map(|location| location.host));
        }
        for host in &named.hosts {
            add(parse_host(host).ok());
        }
        if !named.tags.is_empty() || (covered.hosts.is_empty() && !covered.everything) {
            // tags are a service's own; a service that stands alone is named as a whole
            covered.service.clone_from(&named.service);
            covered.unreadable |= named.service.is_none();
        }
        covered
    }
}

/// Whether the one service of `set` asks for it.
pub(super) fn revalidates(set: &ServiceSet) -> bool {
    let mut services = set.services().iter();
    services
        .next()
        .is_some_and(|service| service.on_lease_loss == OnLeaseLoss::Revalidate)
}

impl InForce {
    /// A node that has acknowledged the services as they stood at this revision or later answers with nothing that
    /// `covered` names once its lease has run out. `None`: no node is known to.
    pub fn fenced_since(&self, covered: &Covered) -> Option<u64> {
        // a node takes no services in without a lease as long as one of them asks for that: what it has in force stays
        let holds_still = self
            .services
            .values()
            .filter_map(|c| c.fenced_since)
            .min()?;
        if covered.unreadable || self.past.len() + 1 >= SERVICES_KNOWN_MAX {
            // where the history is full, some service may have been forgotten
            return None;
        }
        let mut since = holds_still;
        if covered.everything {
            for id in self.past.ids() {
                since = since.max(self.kept_back_since(id)?);
            }
        }
        if let Some(id) = &covered.service {
            since = since.max(self.kept_back_since(id)?);
        }
        for host in &covered.hosts {
            for id in self.past.may_have_had(host) {
                since = since.max(self.kept_back_since(id)?);
            }
        }
        Some(since)
    }

    /// From which revision on no version of a service could be answered from without a lease: it was deleted, or has
    /// asked for that ever since.
    fn kept_back_since(&self, id: &str) -> Option<u64> {
        match self.services.get(id) {
            Some(current) => current.fenced_since,
            None => self.deleted.get(id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, Services};
    use super::*;
    use crate::store::{MemoryStore, Store};
    use seawall_purge::Epoch;
    use serde_json::{Value, json};
    use std::sync::Arc;

    const SERVE: &str = "serve";
    const REVALIDATE: &str = "revalidate";

    async fn put(services: &Services, id: &str, host: &str, word: &str) -> u64 {
        let text = format!(
            "[service]\nid = \"{id}\"\nhosts = [\"{host}\"]\non_lease_loss = \"{word}\"\n[[service.origins]]\nurl = \"http://127.0.0.1:1\"\n"
        );
        let put = services.put(id, text, Condition::None, "ci", 1, None);
        put.await.unwrap();
        services.in_force().revision().0
    }

    fn since(services: &Services, named: Value) -> Option<u64> {
        let named: Named = serde_json::from_value(named).unwrap();
        services.in_force().fenced_since(&Covered::by(&named))
    }

    #[tokio::test]
    async fn a_service_is_left_alone_from_the_first_version_on_since_which_all_say_so() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let services = Services::open(store.clone()).await.unwrap();
        let all = || json!({ "service": "a" });
        assert_eq!(since(&services, all()), None);
        put(&services, "a", "a.example", SERVE).await;
        assert_eq!(since(&services, all()), None);
        let first = put(&services, "a", "a.example", REVALIDATE).await;
        for host in ["b.example", "c.example"] {
            put(&services, "a", host, REVALIDATE).await;
            assert_eq!(since(&services, all()), Some(first), "{host}");
            let again = Services::open(store.clone()).await.unwrap();
            assert_eq!(since(&again, all()), Some(first), "{host}");
        }
        put(&services, "a", "c.example", SERVE).await;
        assert_eq!(since(&services, all()), None);
        let later = put(&services, "a", "c.example", REVALIDATE).await;
        assert_eq!(since(&services, all()), Some(later));
        // a node that has not heard of this has `serve`, which it may have been told last
        assert!(later > first);
    }

    #[tokio::test]
    async fn every_service_that_a_purge_may_cover_counts() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let services = Services::open(store.clone()).await.unwrap();
        put(&services, "b", "was.example", SERVE).await;
        put(&services, "b", "*.b.example", SERVE).await;
        put(&services, "d", "d.example", SERVE).await;
        let fenced = put(&services, "a", "a.example", REVALIDATE).await;
        let delete = services.delete("d", Condition::None, "ci", 1);
        delete.await.unwrap();
        let deleted = services.in_force().revision().0;
        let again = Services::open(store.clone()).await.unwrap();
        for services in [&services, &again] {
            let rows = [
                (json!({ "everything": true }), None),
                (json!({ "service": "a" }), Some(fenced)),
                (json!({ "service": "a", "tags": ["t"] }), Some(fenced)),
                (json!({ "service": "b" }), None),
                (json!({ "service": "b", "tags": ["t"] }), None),
                (json!({ "service": "unknown" }), None),
                (json!({ "tags": ["t"] }), None),
                (json!({ "urls": ["http://a.example/"] }), Some(fenced)),
                (json!({ "hosts": ["a.example"] }), Some(fenced)),
                (json!({ "prefixes": ["a.example/x"] }), Some(fenced)),
                (json!({ "urls": ["http://x.b.example/"] }), None),
                // a node that has not heard of it has this host with the service that serves on
                (json!({ "urls": ["http://was.example/"] }), None),
                (
                    json!({ "urls": ["http://a.example/", "http://was.example/"] }),
                    None,
                ),
                // one that has heard of the deletion
                (json!({ "urls": ["http://d.example/"] }), Some(deleted)),
                (json!({ "service": "d" }), Some(deleted)),
                (json!({ "urls": ["no url"] }), None),
                // nobody has ever had it
                (json!({ "hosts": ["nobody.example"] }), Some(fenced)),
            ];
            for (named, expected) in rows {
                assert_eq!(since(services, named.clone()), expected, "{named}");
            }
        }
        let last = put(&services, "b", "b.example", REVALIDATE).await;
        assert_eq!(since(&services, json!({ "everything": true })), Some(last));
        // without any such service in force a node takes others in at any time
        for id in ["a", "b"] {
            let delete = services.delete(id, Condition::None, "ci", 1);
            delete.await.unwrap();
        }
        assert_eq!(since(&services, json!({ "everything": true })), None);
    }
}
