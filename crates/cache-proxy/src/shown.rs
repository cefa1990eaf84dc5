//! What of an answer's fields goes to clients.

use crate::asked::Asked;
use crate::tier::TierKind;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use seawall_cache_store::{Coding, Hidden};
use seawall_http_cache::{
    CacheControl, SEAWALL_CACHE_CONTROL, add_vary, may_compress, may_decode, withheld_fields,
};
use seawall_service_model::Policy;
use std::sync::Arc;

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
    withhold_tags(asked, fields);
    withhold_targeted(asked, fields);
    if !asked.service.response.via {
        fields.remove(header::VIA);
    }
    asked.policy().response_headers.apply(fields);
}

/// Tags alone, unless the service keeps them.
pub(crate) fn withhold_tags(asked: &Asked, fields: &mut HeaderMap) {
    if !asked.service.response.keep_surrogate_key {
        for name in &TAG_FIELDS {
            fields.remove(name);
        }
    }
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

/// Fields of an answer that are not stored, for the one who asked alone: `private="..."`, `no-cache="..."`.
pub(crate) type Withheld = Option<Arc<HeaderMap>>;

/// What is made of an answer for clients, of `length` bytes where that is known. Text that the origin left plain is coded
/// at the edge, for those who accept it; what it coded is decoded there for those who do not, where the rule says so.
pub(crate) fn coding(
    kind: TierKind,
    policy: &Policy,
    status: StatusCode,
    fields: &HeaderMap,
    length: Option<u64>,
) -> Coding {
    let targets = &policy.storage.targets;
    if kind != TierKind::Edge || status != StatusCode::OK {
        return Coding::AsIs;
    }
    let codes = !policy.codings.is_empty()
        && may_compress(fields, targets, &policy.compress_types)
        && length.is_none_or(|length| length >= policy.gzip_min);
    if codes {
        return Coding::Negotiable;
    }
    match may_decode(fields, targets) {
        Some(coding) if policy.decode => Coding::Decodable(coding),
        _ => Coding::AsIs,
    }
}

/// Tells that the answers of this URL are coded for those who accept it.
pub(crate) fn vary_by_coding(fields: &mut HeaderMap, coding: Coding) {
    if matches!(coding, Coding::Negotiable | Coding::Decodable(_)) {
        add_vary(fields, &header::ACCEPT_ENCODING);
    }
}

/// Makes an answer's stored `fields` what goes out, and tells what they were before: at the edge without what clients do
/// not get, and with `Vary` of what is coded or decoded here.
pub(crate) fn show(
    kind: TierKind,
    asked: &Asked,
    fields: &mut HeaderMap,
    coding: Coding,
) -> Hidden {
    if kind != TierKind::Edge {
        return Hidden::default();
    }
    let named = |name: &HeaderName| fields.contains_key(name);
    let edits = &asked.policy().response_headers;
    let coded = !matches!(coding, Coding::AsIs);
    let targeted =
        named(&SEAWALL_CACHE_CONTROL) || asked.policy().storage.targets.names().iter().any(named);
    if !coded && edits.is_empty() && !targeted {
        withhold(asked, fields);
        return Hidden::default();
    }
    let original = fields.clone();
    vary_by_coding(fields, coding);
    withhold(asked, fields);
    // what tags say is kept as scopes, and Via judges nothing
    Hidden::between(&original, fields, |name| {
        TAG_FIELDS.contains(name) || *name == header::VIA
    })
}

/// What of an answer with `fields`, whose directives are `cc`, is for the one who asked alone, as it goes out of this
/// tier.
pub(crate) fn withheld(
    kind: TierKind,
    asked: &Asked,
    fields: &HeaderMap,
    cc: &CacheControl,
) -> Withheld {
    let mut withheld = withheld_fields(fields, cc);
    if kind == TierKind::Edge && !withheld.is_empty() {
        let edits = &asked.policy().response_headers;
        // what the rule sets is in the head already
        let set = edits.set.iter().map(|(name, _)| name);
        for name in edits.remove.iter().chain(set) {
            withheld.remove(name);
        }
        withhold_targeted(asked, &mut withheld);
        withhold_tags(asked, &mut withheld);
    }
    (!withheld.is_empty()).then(|| Arc::new(withheld))
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
