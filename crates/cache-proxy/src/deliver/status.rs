//! This node's member of `Cache-Status` (RFC 9211).

use super::Story;
use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::CopyHead;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use seawall_http_cache::{CacheStatus, Outcome, Timestamp};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Whether the answer that came is stored. Of one for which a copy stands in nothing is.
pub(super) fn is_stored_now(head: &CopyHead, story: &Story) -> bool {
    head.stored && story.forward.is_some() && story.outcome != Outcome::StaleError
}

/// Puts this node's member behind those of the tiers behind it.
pub(super) fn cache_status(
    proxy: &CacheProxy,
    asked: &Asked,
    fields: &mut HeaderMap,
    head: &CopyHead,
    story: &Story,
    now: Timestamp,
) {
    if !asked.service.response.cache_status && !asked.is_from_fleet() {
        return;
    }
    let name = proxy.tier().kind().cache_name();
    let ttl = head
        .freshness
        .as_ref()
        .filter(|_| head.stored)
        .map(|f| f.ttl(now));
    let key = asked.shown_key();
    let member = CacheStatus {
        cache: name,
        hit: story.forward.is_none(),
        forward: story.forward,
        forward_status: story.forward_status,
        ttl,
        stored: is_stored_now(head, story),
        collapsed: story.collapsed,
        key: key.as_deref(),
        detail: story.detail.or(head.detail),
    };
    let mut value = head.upstream_cache_status.to_vec();
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    member.write(&mut value);
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
        fields.insert(CACHE_STATUS, value);
    }
}
