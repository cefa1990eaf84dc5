//! What of an answer's fields goes to clients.

use crate::asked::Asked;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use seawall_http_cache::SEAWALL_CACHE_CONTROL;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Fields that tell tags; they are for caches, not for clients.
pub(crate) const TAG_FIELDS: [HeaderName; 3] = [
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("xkey"),
    HeaderName::from_static("cache-tag"),
];

/// Fields that do not go to clients: tags (unless the service keeps them), targeted fields (where it does not), and what
/// the rule removes or sets.
pub(crate) fn withhold(asked: &Asked, fields: &mut HeaderMap) {
    if !asked.service.response.keep_surrogate_key {
        for name in &TAG_FIELDS {
            fields.remove(name);
        }
    }
    withhold_targeted(asked, fields);
    if !asked.service.response.via {
        fields.remove(header::VIA);
    }
    asked.policy().response_headers.apply(fields);
}

/// RFC 9213 §3.1: a cache that uses `CDN-Cache-Control` typically forwards it, for caches behind it that know it too, and
/// may be told not to. What is addressed to Seawall is of use to nobody else.
fn withhold_targeted(asked: &Asked, fields: &mut HeaderMap) {
    fields.remove(SEAWALL_CACHE_CONTROL);
    if !asked.service.response.keep_targeted {
        for name in asked.policy().storage.targets.names() {
            fields.remove(name);
        }
    }
}

/// Takes the members of the tiers behind out of `fields`, as one list.
pub(crate) fn take_cache_status(fields: &mut HeaderMap) -> Vec<u8> {
    let values: Vec<&[u8]> = fields
        .get_all(&CACHE_STATUS)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = values.join(&b", "[..]);
    fields.remove(&CACHE_STATUS);
    joined
}
