//! What is known of a request before anything is looked up.

use crate::equivalents::Moved;
use crate::lease::Since;
use crate::snapshot::Snapshot;
use crate::standing::Standing;
use crate::tier::Link;
use http::{HeaderMap, Method, Version};
use seawall_cache_store::Head;
use seawall_client_conn::ConnInfo;
use seawall_http_cache::{AcceptEncoding, RequestDirectives, Timestamp};
use seawall_purge::Label;
use seawall_purge::tier::{self, Behind};
use seawall_service_model::{CacheKey, KeyRules, Policy, Scheme, Service};
use std::sync::Arc;
use std::time::Instant;

/// One request, placed: service, rule, key. Shared by the exchange, its fill and the log.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) info: Arc<ConnInfo>,
    pub(crate) link: Link,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) service: Arc<Service>,
    /// Index of the rule that matched.
    pub(crate) rule: Option<usize>,
    /// Index of the rule that matches GET of the same, which the key is made by.
    pub(crate) key_rule: Option<usize>,
    /// Under which it is looked up: its own one, or that of an equivalent URL.
    pub(crate) key: CacheKey,
    /// Of its own URL: what is fetched for it is stored there.
    pub(crate) own_key: CacheKey,
    /// Why `key` is not its own.
    pub(crate) moved: Option<Moved>,
    pub(crate) scheme: Scheme,
    pub(crate) method: Method,
    /// The version that the request was received in.
    pub(crate) version: Version,
    /// As the client sent it: the authority of the target, or `Host`.
    pub(crate) host: Vec<u8>,
    /// Origin form.
    pub(crate) target: String,
    /// The request's fields without the fleet's own.
    pub(crate) fields: Arc<HeaderMap>,
    /// What its client accepts, where `fields` say the normal form of that.
    pub(crate) accepts: Option<AcceptEncoding>,
    /// What it asks of copies (RFC 9111 §5.2.1), as far as the service lets clients ask.
    pub(crate) directives: RequestDirectives,
    /// A copy of this node is refreshed in the background by it.
    pub(crate) refresh: bool,
    pub(crate) received: Instant,
    pub(crate) received_at: Timestamp,
    pub(crate) id: u64,
    /// The purges that its sender, a neighbour, knows and this node does not, or that it insists on: what is older may
    /// not answer it.
    pub(crate) behind: Option<Behind>,
    /// This node, or the neighbour that asks, has no lease: nothing answers but what an origin was asked for since then.
    pub(crate) since: Option<Since>,
}

impl Asked {
    pub(crate) fn policy(&self) -> &Policy {
        match self.rule {
            Some(index) => &self.service.rules[index].policy,
            None => &self.service.default,
        }
    }

    /// The rules of its key: those of GET, whatever its method. HEAD is answered from what GET stored, and a change
    /// ends that (RFC 9111 §4, §4.4).
    pub(crate) fn key_rules(&self) -> &KeyRules {
        match self.key_rule {
            Some(index) => &self.service.rules[index].policy.key,
            None => &self.service.default.key,
        }
    }

    /// What it asks of the copy `head`, which may be used as `standing` says. A copy that was validated a moment ago is not validated
    /// again because a client says so; one that a soft purge made stale, and an error, are used no longer than they
    /// were granted for.
    pub(crate) fn directives_for(
        &self,
        head: &Head,
        standing: &Standing,
        now: Timestamp,
    ) -> RequestDirectives {
        let mut directives = self.directives;
        let interval = self.service.client_revalidation.interval_secs;
        if now.saturating_since(head.freshness().received) < interval {
            directives = directives.unforced();
        }
        if standing.is_softly_purged() || head.status.is_server_error() {
            directives = directives.narrowing();
        }
        directives
    }

    /// Whether it is a refreshment in the background, of a copy here or of a neighbour's.
    pub(crate) fn refreshes(&self) -> bool {
        let asked = matches!(
            self.link,
            Link::Fleet {
                refreshes: true,
                ..
            }
        );
        self.refresh || asked
    }

    /// The key as `Cache-Status` tells it, where the service wants that; as the access log has it.
    pub(crate) fn shown_key(&self) -> Option<String> {
        let shows = self.service.response.cache_status_key;
        shows.then(|| format!("{:032x}", self.key.0))
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
        tier::admits(self.behind, label)
    }

    /// Whether the copy `head` can answer this, or stand in for an answer, as far as leases go.
    pub(crate) fn takes(&self, head: &Head) -> bool {
        self.since
            .is_none_or(|since| head.memo.is_confirmed(since.confirmed))
    }

    /// Whether its sender insists on an answer from after its purges.
    pub(crate) fn insists(&self) -> bool {
        matches!(self.link, Link::Fleet { insists: true, .. })
    }

    pub(crate) fn is_from_fleet(&self) -> bool {
        matches!(self.link, Link::Fleet { .. })
    }
}
