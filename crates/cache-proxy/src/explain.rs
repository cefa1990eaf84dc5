//! How a request would be answered, and why, without anybody being asked and anything being changed.

mod body;
mod copies;
mod purges;
mod seen;
mod supposed;
mod words;
mod would;

use self::purges::{covering, named_by_request};
use self::seen::Seen;
use crate::CacheProxy;
use crate::asked::Asked;
use crate::last::Decided;
use seawall_cache_store::Kept;
use seawall_control_protocol::explain::{
    ASKS_MAX, COPIES_MAX, DECISIONS_MAX, Decision, ExplainGet, Explained, NextServers, StoredCopy,
    cut,
};
use seawall_http_cache::Forward;
use seawall_upstream::{Hop, Role};

impl CacheProxy {
    /// How a GET of this would be answered now.
    pub(crate) async fn explain(&self, get: &ExplainGet) -> Result<Explained, String> {
        let own = self.suppose(get)?;
        let seen = self.see(&own).await;
        let Seen { asked, view } = &seen;
        let now = seawall_client_conn::now();
        let of_request = named_by_request(asked);
        let copy = |(index, kept): (usize, &Kept)| {
            let selected = view.selected && index == 0;
            self.copy(asked, kept, selected, &of_request, now)
        };
        let shown = view.copies.iter().take(COPIES_MAX);
        let copies: Vec<StoredCopy> = shown.enumerate().map(copy).collect();
        let (asks, next_servers) = self.asks(asked);
        Ok(Explained {
            service: asked.service.id.0.to_string(),
            rule: asked.rule.map(|rule| rule as u32),
            key: asked.own_key.0,
            found_under: asked.moved.as_ref().map(|_| asked.key.0),
            purged: asked.snapshot.purges.at(),
            would: self.would(&seen, now),
            asks,
            next_servers,
            unread: (view.unread + view.copies.len() - copies.len()) as u32,
            copies,
            purges: covering(asked, &of_request),
            decisions: self.decisions(asked),
        })
    }

    /// Whom the node asks for the key, and what they are.
    fn asks(&self, asked: &Asked) -> (Vec<String>, NextServers) {
        let key = asked.key.hash64();
        let mut names = self.tier().shields(&asked.service, key);
        let mut are = NextServers::Shields;
        if names.is_empty() {
            let hops = self.tier().hops(&asked.service, key);
            let origin = |hop: &Hop| {
                let spec = hop.target.spec();
                (hop.role == Role::Origin).then(|| format!("{}:{}", spec.host, spec.port))
            };
            names = hops.iter().filter_map(origin).collect();
            are = NextServers::Origins;
        }
        names.truncate(ASKS_MAX);
        (names, are)
    }

    /// What became of the last requests with the key, and with the one that the copy lies under.
    fn decisions(&self, asked: &Asked) -> Vec<Decision> {
        let mut last = self.last().of(asked.key.0);
        if asked.own_key != asked.key {
            last.extend(self.last().of(asked.own_key.0));
            last.sort_by_key(|decided| std::cmp::Reverse(decided.at_ms));
            last.truncate(DECISIONS_MAX);
        }
        last.into_iter().map(decision).collect()
    }
}

fn decision(decided: Decided) -> Decision {
    Decision {
        at_ms: decided.at_ms,
        method: cut(decided.method.as_str().to_owned()),
        outcome: decided.outcome.as_str().to_owned(),
        status: decided.status,
        forward: decided.forward.map_or("", Forward::as_str).to_owned(),
        forward_status: decided.forward_status,
        stored: decided.stored,
        collapsed: decided.collapsed,
        detail: cut(decided.detail.unwrap_or_default().into_owned()),
    }
}
