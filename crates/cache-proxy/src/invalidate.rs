//! What a change ends on the nodes that it passes (RFC 9111 §4.4).

use crate::CacheProxy;
use crate::asked::Asked;
use crate::pass::Coming;
use crate::tier::Changed;
use http::HeaderValue;
use pingora::http::ResponseHeader;
use seawall_cache_store::Durability;
use seawall_http_cache::{Site, also_invalidated, string_list};
use seawall_purge::{Scope, ScopeId};
use seawall_service_model::named::parse_tag;
use seawall_service_model::{CacheKey, Invalidate, Scheme, cache_key};
use seawall_upstream::Settling;
use std::time::Duration;

/// A device that takes longer to write an invalidation down is waited for no more: the answer is worth more.
const DURABLE_WAIT: Duration = Duration::from_secs(5);
/// Groups of one answer that end; RFC 9875 §2 asks for 128 at least.
const GROUPS_MAX: usize = 1024;

/// Ends what is stored under the URI that was changed, and under those that the answer names as changed with it, and the
/// copies of the groups that it names, before its sender learns of its success: the answer waits until no loss of power can undo it.
/// `posted` is the answer itself, where it is to be stored in the place of what ends.
pub(crate) fn invalidate(
    proxy: &CacheProxy,
    asked: &Asked,
    answer: &ResponseHeader,
    mut posted: Option<&mut Coming>,
) -> Option<Settling> {
    let targets = changed(asked, answer);
    if targets.is_empty() {
        return None;
    }
    if asked.service.invalidate == Invalidate::Fleet && !asked.is_from_fleet() {
        proxy.tier().changed(for_fleet(asked, answer, &targets));
    }
    let groups = groups(answer);
    let scopes: Vec<ScopeId> = groups.iter().map(|group| scope(asked, group)).collect();
    let of_groups = (!scopes.is_empty()).then(|| proxy.store().invalidate_scopes(&scopes));
    let durabilities: Vec<Durability> = targets
        .iter()
        .flat_map(|target| keys_of_get(proxy, asked, target))
        .filter_map(|key| match &mut posted {
            Some(copy) if copy.key() == key.0 => copy.succeed(proxy),
            _ => end(proxy, key),
        })
        .chain(of_groups.flatten())
        .collect();
    if durabilities.is_empty() {
        return None;
    }
    Some(Box::pin(async move {
        let all = async {
            let mut all = true;
            for durability in durabilities {
                all &= durability.reached(DURABLE_WAIT).await;
            }
            all
        };
        if !pingora_timeout::timeout(DURABLE_WAIT, all)
            .await
            .unwrap_or(false)
        {
            tracing::warn!("an invalidation is not on the disk yet: a loss of power could undo it");
        }
    }))
}

/// The targets that an answer to an unsafe request tells to be outdated; none where it tells of a failure.
fn changed(asked: &Asked, answer: &ResponseHeader) -> Vec<String> {
    if !answer.status.is_success() && !answer.status.is_redirection() {
        return Vec::new();
    }
    let mut targets = vec![asked.target.clone()];
    let named = also_invalidated(&sites(asked), &asked.target, answer.status, &answer.headers);
    targets.extend(named);
    targets
}

/// The names that its origin is known by: the one that the client asked, and those that it is asked under.
pub(crate) fn sites(asked: &Asked) -> Vec<Site<'_>> {
    let mut sites = vec![Site {
        scheme: asked.scheme.as_str(),
        authority: &asked.host,
    }];
    // an origin may have been asked under a name of its own, which is the one that it knows
    sites.extend(asked.service.origins.iter().map(|origin| {
        let scheme = if origin.tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        };
        Site {
            scheme: scheme.as_str(),
            authority: match &origin.host_header {
                Some(host) => host.as_bytes(),
                None => &asked.host,
            },
        }
    }));
    sites
}

/// The same as the control plane's log names it, with the groups that the answer tells to be outdated: they are tags here
/// (RFC 9875 §3).
fn for_fleet(asked: &Asked, answer: &ResponseHeader, targets: &[String]) -> Changed {
    let (scheme, host) = (asked.scheme.as_str(), String::from_utf8_lossy(&asked.host));
    let url = |target: &String| format!("{scheme}://{host}{target}");
    let tags = groups(answer)
        .iter()
        .map(|group| String::from_utf8_lossy(group).into_owned())
        .filter(|tag| parse_tag(tag).is_ok())
        .collect();
    Changed {
        urls: targets.iter().map(url).collect(),
        service: asked.service.id.0.to_string(),
        tags,
    }
}

/// The groups that an answer tells to be outdated (RFC 9875 §3), as copies that are of them name them.
fn groups(answer: &ResponseHeader) -> Vec<Vec<u8>> {
    let mut groups = Vec::new();
    let lines = answer.headers.get_all("cache-group-invalidation").iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    // the lines are one list, and one that cannot be read is ignored as a whole (RFC 9651 §4.2)
    for group in string_list(&lines.join(&b", "[..])).unwrap_or_default() {
        let group = group.trim_ascii();
        if !group.is_empty() {
            groups.push(group.to_vec());
        }
    }
    if groups.len() > GROUPS_MAX {
        tracing::warn!(
            groups = groups.len(),
            "an answer names too many groups: some stay"
        );
        groups.truncate(GROUPS_MAX);
    }
    groups
}

/// A group is one of an origin (RFC 9875 §2.1). Here it is one of a service, with the tags of other fields that have the
/// same name: more than these copies end, and no fewer. So it is where the fleet is told.
fn scope(asked: &Asked, group: &[u8]) -> ScopeId {
    let service = &asked.service.id.0;
    Scope::Tag {
        service,
        tag: group,
    }
    .id()
}

/// The keys whose copies would answer a GET for `target`, whatever rule the change falls under: its own, and those of
/// equivalent URLs (`No-Vary-Search`).
fn keys_of_get(proxy: &CacheProxy, asked: &Asked, target: &str) -> Vec<CacheKey> {
    let path = target.split('?').next().unwrap_or_default();
    let service = &asked.service;
    let (policy, _) = service.policy("GET", path, &*asked.fields);
    let (scheme, host) = (asked.scheme, &asked.host);
    let own = cache_key(service, scheme, host, target, &policy.key, &*asked.fields);
    let mut keys = proxy.keys_of_equivalents(asked, target, &policy.key);
    keys.push(own);
    keys
}

/// What is not stored, and is not being fetched, needs no entry: there are more URLs than entries.
fn end(proxy: &CacheProxy, key: CacheKey) -> Option<Durability> {
    if !proxy.store().knows(key.0) && !proxy.fills().knows(key.0) {
        return None;
    }
    let durability = proxy.store().invalidate(key.0);
    // who asks from now on gets what the origin says from now on
    proxy.fills().forget(key.0);
    durability
}
