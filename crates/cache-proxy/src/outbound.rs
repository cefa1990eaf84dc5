//! The request as it goes to the next server, for fills and passes alike.

use crate::asked::Asked;
use crate::tier::{Tier, TierKind};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use std::net::IpAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Adds `value` behind what a list field holds already.
pub(crate) fn append_list(fields: &mut HeaderMap, name: &HeaderName, value: &str) {
    if !fields.contains_key(name) {
        if let Ok(value) = HeaderValue::from_str(value) {
            fields.insert(name, value);
        }
        return;
    }
    let mut whole: Vec<u8> = Vec::new();
    for part in fields.get_all(name) {
        if !whole.is_empty() {
            whole.extend_from_slice(b", ");
        }
        whole.extend_from_slice(part.as_bytes());
    }
    if !whole.is_empty() {
        whole.extend_from_slice(b", ");
    }
    whole.extend_from_slice(value.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&whole) {
        fields.insert(name, value);
    }
}

/// Says that a message came by here, and in which version of HTTP it was received (RFC 9110 §7.6.3).
pub(crate) fn via(fields: &mut HeaderMap, received: Version, kind: TierKind) {
    let member = match (received, kind) {
        (Version::HTTP_2, TierKind::Edge) => "2.0 seawall-edge",
        (Version::HTTP_2, TierKind::Shield) => "2.0 seawall-shield",
        (Version::HTTP_10, TierKind::Edge) => "1.0 seawall-edge",
        (Version::HTTP_10, TierKind::Shield) => "1.0 seawall-shield",
        (_, TierKind::Edge) => "1.1 seawall-edge",
        (_, TierKind::Shield) => "1.1 seawall-shield",
    };
    if fields.contains_key(header::VIA) {
        append_list(fields, &header::VIA, member);
    } else {
        fields.insert(header::VIA, HeaderValue::from_static(member));
    }
}

fn text(peer: IpAddr) -> String {
    let IpAddr::V4(peer) = peer else {
        return peer.to_string();
    };
    // once a fill: formatting at large costs several times this
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in peer.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

/// Says who asks, as far as this tier knows it: `X-Forwarded-*`, `CDN-Loop` (RFC 8586), `Via` (RFC 9110 §7.6.3).
pub(crate) fn introduce(fields: &mut HeaderMap, asked: &Asked, tier: &dyn Tier) {
    if !asked.is_from_fleet() {
        let peer: IpAddr = asked.info.peer.ip().to_canonical();
        if !tier.trusts_forwarded(peer) {
            for name in [&FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST] {
                fields.remove(name);
            }
            // one hop's word about another's address is as good as X-Forwarded-For's
            fields.remove(header::FORWARDED);
        }
        append_list(fields, &FORWARDED_FOR, &text(peer));
        if !fields.contains_key(FORWARDED_PROTO) {
            let scheme = match asked.scheme {
                seawall_service_model::Scheme::Http => "http",
                seawall_service_model::Scheme::Https => "https",
            };
            fields.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
        }
        if !fields.contains_key(FORWARDED_HOST)
            && let Ok(host) = HeaderValue::from_bytes(&asked.host)
        {
            fields.insert(FORWARDED_HOST, host);
        }
        append_list(fields, &CDN_LOOP, tier.fleet_id());
    }
    via(fields, asked.version, tier.kind());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_always_is() {
        for peer in [
            "0.0.0.0",
            "10.2.30.255",
            "255.255.255.255",
            "::1",
            "2001:db8::a",
        ] {
            let peer: IpAddr = peer.parse().unwrap();
            assert_eq!(text(peer), peer.to_string());
        }
    }
}
