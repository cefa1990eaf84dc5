//! What is known of a request before anything is looked up.

use crate::snapshot::Snapshot;
use crate::tier::Link;
use http::{HeaderMap, Method};
use seawall_client_conn::ConnInfo;
use seawall_http_cache::Timestamp;
use seawall_purge::{Label, PurgeSeq};
use seawall_service_model::{CacheKey, Policy, Scheme, Service};
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

/// One request, placed: service, rule, key. Shared by the exchange, its fill and the log.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) info: Arc<ConnInfo>,
    pub(crate) link: Link,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) service: Arc<Service>,
    /// Index of the rule that matched.
    pub(crate) rule: Option<usize>,
    pub(crate) key: CacheKey,
    pub(crate) scheme: Scheme,
    pub(crate) method: Method,
    /// As the client sent it: the authority of the target, or `Host`.
    pub(crate) host: Vec<u8>,
    /// Origin form.
    pub(crate) target: String,
    /// The request's fields without the fleet's own.
    pub(crate) fields: Arc<HeaderMap>,
    pub(crate) received: Instant,
    pub(crate) received_at: Timestamp,
    pub(crate) id: u64,
    /// The purges that its sender, a neighbour, knows and this node does not, or that it insists on: what is older may
    /// not answer it.
    pub(crate) behind: Option<PurgeSeq>,
}

impl Asked {
    pub(crate) fn policy(&self) -> &Policy {
        match self.rule {
            Some(index) => &self.service.rules[index].policy,
            None => &self.service.default,
        }
    }

    /// Fleet links that the request has passed.
    pub(crate) fn hops(&self) -> u8 {
        match self.link {
            Link::Client => 0,
            Link::Fleet { hops, .. } => hops,
        }
    }

    /// Whether a copy or fill with `label` can answer this, as far as the sender's purges go.
    pub(crate) fn admits(&self, label: Label) -> bool {
        self.behind.is_none_or(|known| {
            let order = label.0.cmp_within(known);
            matches!(order, Some(Ordering::Equal | Ordering::Greater))
        })
    }

    /// Whether its sender insists on an answer from after its purges.
    pub(crate) fn insists(&self) -> bool {
        matches!(self.link, Link::Fleet { insists: true, .. })
    }

    pub(crate) fn is_from_fleet(&self) -> bool {
        matches!(self.link, Link::Fleet { .. })
    }
}
