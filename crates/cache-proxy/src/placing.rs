//! A request is placed: its rule, its key, what it asks of copies.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::snapshot::Snapshot;
use crate::tier::Link;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use seawall_client_conn::ConnInfo;
use seawall_http_cache::{
    AcceptEncoding, RequestDirectives, is_cacheable_method, strip_hop_by_hop,
};
use seawall_service_model::{AcceptedCodings, CacheMode, Policy, Scheme, Service, cache_key};
use std::sync::Arc;
use std::time::Instant;

/// A request whose service is found.
pub(crate) struct Placing {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) service: Arc<Service>,
    pub(crate) info: Arc<ConnInfo>,
    pub(crate) link: Link,
    pub(crate) scheme: Scheme,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) host: Vec<u8>,
    pub(crate) target: String,
    /// Without the fleet's own.
    pub(crate) fields: HeaderMap,
    pub(crate) received: Instant,
}

/// Puts the normal form of `Accept-Encoding` in its place, where the rule of GET says so, and tells what it was.
fn normalised(method: &Method, rule: &Policy, fields: &mut HeaderMap) -> Option<AcceptEncoding> {
    let normalises = rule.accept_encoding == AcceptedCodings::Normalised
        && rule.cache == CacheMode::Cache
        && is_cacheable_method(method);
    if !normalises {
        return None;
    }
    let accepts = AcceptEncoding::of(fields);
    let form = accepts.normal_form(&rule.codings)?;
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(form));
    Some(accepts)
}

impl CacheProxy {
    /// Finds rule and key.
    pub(crate) fn placed(placing: Placing) -> Asked {
        let Placing {
            snapshot,
            service,
            info,
            link,
            scheme,
            method,
            version,
            host,
            target,
            mut fields,
            received,
        } = placing;
        // before anything is chosen by fields: what ends here may not select what others get (RFC 9110 §7.6.1)
        strip_hop_by_hop(&mut fields);
        let path = target.split('?').next().unwrap_or_default();
        let (_, rule) = service.policy(method.as_str(), path, &fields);
        let (key_policy, key_rule) = service.policy(Method::GET.as_str(), path, &fields);
        let key = cache_key(&service, scheme, &host, &target, &key_policy.key, &fields);
        let accepts = normalised(&method, key_policy, &mut fields);
        let directives = match link {
            // a neighbour's own wish, for which its client's count no more
            Link::Fleet {
                refreshes: true, ..
            } => RequestDirectives::default(),
            _ if service.client_revalidation.allowed => RequestDirectives::parse(&fields),
            _ => RequestDirectives::parse(&fields).unforced(),
        };
        Asked {
            info,
            link,
            service,
            rule,
            key_rule,
            key,
            own_key: key,
            moved: None,
            scheme,
            method,
            version,
            host,
            target,
            fields: Arc::new(fields),
            accepts,
            directives,
            refresh: false,
            received,
            received_at: seawall_client_conn::now(),
            id: crate::request_id::next(),
            behind: None,
            since: None,
            snapshot,
        }
    }
}
