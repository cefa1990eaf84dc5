//! The head of an answer that passes, before it goes on to the client.

use super::head::freshen_by_head;
use super::posted::Posted;
use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::Asking;
use crate::invalidate::invalidate;
use crate::message;
use crate::outbound::via;
use crate::shown::{coding, take_cache_status, vary_by_coding, withhold};
use crate::tier::TierKind;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use seawall_http_cache::{
    CacheStatus, Forward, is_unsafe_method, not_modified_fields, strip_hop_by_hop,
};
use seawall_service_model::CacheMode;
use seawall_upstream::Settling;

/// Changes the head to what the client gets. A change that it tells of ends what is stored, which is waited for.
pub(super) fn answered(
    proxy: &CacheProxy,
    asked: &Asked,
    response: &mut ResponseHeader,
    asking: &Asking,
    forward: Forward,
    posted: Option<&Posted>,
) -> Option<Settling> {
    freshen_by_head(proxy, asked, response, asking);
    let mut coming = posted.and_then(|posted| posted.judge(response, asking));
    let settling = is_unsafe_method(&asked.method)
        .then(|| invalidate(proxy, asked, response, coming.as_mut()))
        .flatten();
    let stored = posted.is_some_and(|posted| posted.begin(coming));
    let kind = proxy.tier().kind();
    let shown = asked.service.response.cache_status || asked.is_from_fleet();
    let mut fields = response.headers.clone();
    let protocol = fields.get(header::UPGRADE).cloned();
    strip_hop_by_hop(&mut fields);
    if let Some(protocol) = protocol.filter(|_| response.status == StatusCode::SWITCHING_PROTOCOLS)
    {
        fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        fields.insert(header::UPGRADE, protocol);
    }
    let mut status = take_cache_status(&mut fields);
    if shown {
        let key = asked.shown_key();
        let member = CacheStatus {
            cache: kind.cache_name(),
            hit: false,
            forward: Some(forward),
            forward_status: Some(response.status.as_u16()),
            ttl: None,
            stored,
            collapsed: false,
            key: key.as_deref(),
            detail: None,
        };
        if !status.is_empty() {
            status.extend_from_slice(b", ");
        }
        status.extend_from_slice(member.to_string().as_bytes());
        if let Ok(value) = HeaderValue::from_bytes(&status) {
            fields.insert("cache-status", value);
        }
    }
    via(&mut fields, response.version, kind);
    if kind == TierKind::Edge {
        if matches!(asked.method, Method::GET | Method::HEAD)
            && asked.policy().cache != CacheMode::Bypass
        {
            // it is not coded, and others of this URL are
            let length = fields.get(header::CONTENT_LENGTH);
            let length = length.and_then(|v| v.to_str().ok()?.parse().ok());
            let coding = coding(kind, asked.policy(), response.status, &fields, length);
            vary_by_coding(&mut fields, coding);
        }
        let learned = asking.learned();
        if response.status == StatusCode::NOT_MODIFIED && !learned.fetched() {
            // of a neighbour's copy, with all of its fields
            fields = not_modified_fields(&fields);
        }
        withhold(asked, &mut fields);
    }
    if asked.is_from_fleet() {
        let learned = asking.learned();
        crate::link::write_answer(&mut fields, learned.stated());
    }
    message::replace_response_fields(response, fields);
    settling
}
