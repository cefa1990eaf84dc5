//! What tiers of one fleet tell each other: the `Seawall-*` fields, honoured only on authenticated links.

use crate::scoped::SCOPES_MAX;
use crate::tier::Link;
use http::{HeaderMap, HeaderName, HeaderValue};
use seawall_purge::tier::Told;
use seawall_purge::{Label, ScopeId};
use seawall_service_model::Scheme;

/// Version of this dialect; a link that speaks another is refused.
pub const VERSION: &str = "1";
/// Hops inside the fleet before a request is taken for a loop.
pub const HOPS_MAX: u8 = 8;

pub const LINK: HeaderName = HeaderName::from_static("seawall-link");
/// The fleet secret, on loopback links without mutual TLS.
pub const FLEET: HeaderName = HeaderName::from_static("seawall-fleet");
pub const SCHEME: HeaderName = HeaderName::from_static("seawall-scheme");
pub const HOPS: HeaderName = HeaderName::from_static("seawall-hops");
/// The purge sequence of the one who asks.
pub const SEQUENCE: HeaderName = HeaderName::from_static("seawall-sequence");
/// The term of the record at that sequence, a decimal number. Not of 0, where there is no record, nor from nodes of the
/// version before.
pub const TERM: HeaderName = HeaderName::from_static("seawall-term");
/// Copies and fills from before that sequence do not answer the request, even though the neighbour has caught up: what
/// it answered before is covered by a purge, for all that the one who asks knows.
pub const INSIST: HeaderName = HeaderName::from_static("seawall-insist");
/// The one who asks refreshes a stale copy in the background, while it answers clients from that. A stale copy here does
/// not answer it: it is validated first, so that one revalidation makes the copies of all tiers fresh.
pub const REFRESH: HeaderName = HeaderName::from_static("seawall-refresh");
/// The one who asks has no lease: nothing answers but what the origin itself says to a question that is asked from now
/// on. No copy that it has not confirmed since, no fill from before.
pub const REACH: HeaderName = HeaderName::from_static("seawall-reach");
/// The label of the answer, and whether the origin was asked for it after the request arrived.
pub const LABEL: HeaderName = HeaderName::from_static("seawall-label");
pub const FETCHED: HeaderName = HeaderName::from_static("seawall-fetched");
/// The neighbour knows that its answer is stale, and that it may be used so (RFC 5861).
pub const STALE: HeaderName = HeaderName::from_static("seawall-stale");
/// Ids that the answer can be purged by, beyond those that its request and its fields tell.
pub const SCOPES: HeaderName = HeaderName::from_static("seawall-scopes");
/// The answer's end cannot be told from a truncation: nobody stores it.
pub const UNFRAMED: HeaderName = HeaderName::from_static("seawall-unframed");

const PREFIX: &str = "seawall-";
/// A field of the dialect of origins that is not ours to remove.
const TARGETED: &str = "seawall-cache-control";

fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with(PREFIX) && name.as_str() != TARGETED
}

/// Whether there is a field of the dialect.
pub fn is_spoken_in(fields: &HeaderMap) -> bool {
    fields.keys().any(is_ours)
}

/// Removes every field of the dialect.
pub fn strip(fields: &mut HeaderMap) {
    let ours: Vec<HeaderName> = fields.keys().filter(|n| is_ours(n)).cloned().collect();
    for name in ours {
        fields.remove(name);
    }
}

/// Reads what an authenticated neighbour says of its request. `None`: not this dialect.
pub fn read_request(fields: &HeaderMap) -> Option<Link> {
    let text = |name: &HeaderName| fields.get(name).and_then(|v| v.to_str().ok());
    if text(&LINK)? != VERSION {
        return None;
    }
    Some(Link::Fleet {
        scheme: match text(&SCHEME)? {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return None,
        },
        hops: text(&HOPS)?.parse().ok()?,
        told: Told {
            at: text(&SEQUENCE)?.parse().ok()?,
            term: if fields.contains_key(&TERM) {
                Some(text(&TERM)?.parse().ok()?)
            } else {
                None
            },
        },
        insists: fields.contains_key(&INSIST),
        refreshes: fields.contains_key(&REFRESH),
        reaches: fields.contains_key(&REACH),
    })
}

/// Writes what a neighbour has to know of a request.
pub fn write_request(
    fields: &mut HeaderMap,
    scheme: Scheme,
    hops: u8,
    told: Told,
    insists: bool,
    refreshes: bool,
    reaches: bool,
) {
    strip(fields);
    for (name, is_so) in [(INSIST, insists), (REFRESH, refreshes), (REACH, reaches)] {
        if is_so {
            fields.insert(name, HeaderValue::from_static("1"));
        }
    }
    fields.insert(LINK, HeaderValue::from_static(VERSION));
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    fields.insert(SCHEME, HeaderValue::from_static(scheme));
    fields.insert(HOPS, HeaderValue::from(u16::from(hops)));
    if let Ok(value) = HeaderValue::from_str(&told.at.to_string()) {
        fields.insert(SEQUENCE, value);
    }
    if let Some(term) = told.term {
        fields.insert(TERM, HeaderValue::from(term));
    }
}

/// Writes what the one who asked has to know of an answer.
pub fn write_answer(fields: &mut HeaderMap, stated: Stated) {
    if let Ok(value) = HeaderValue::from_str(&stated.label.0.to_string()) {
        fields.insert(LABEL, value);
    }
    if stated.fetched {
        fields.insert(FETCHED, HeaderValue::from_static("1"));
    }
    if stated.stale {
        fields.insert(STALE, HeaderValue::from_static("1"));
    }
    if !stated.framed {
        fields.insert(UNFRAMED, HeaderValue::from_static("1"));
    }
}

/// What an answer of a neighbour says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated {
    pub label: Label,
    /// The origin was asked for it after the request arrived.
    pub fetched: bool,
    /// It is stale, and its sender knows that.
    pub stale: bool,
    /// Its end can be told from a truncation.
    pub framed: bool,
}

/// Reads it.
pub fn read_answer(fields: &HeaderMap) -> Option<Stated> {
    let label = fields.get(LABEL)?.to_str().ok()?.parse().ok()?;
    let is_set = |name| {
        fields
            .get(name)
            .is_some_and(|v: &HeaderValue| v.as_bytes() == b"1")
    };
    Some(Stated {
        label: Label(label),
        fetched: is_set(FETCHED),
        stale: is_set(STALE),
        framed: !is_set(UNFRAMED),
    })
}

/// Writes what the one who asked cannot tell by itself of what the answer can be purged by.
pub fn write_scopes(fields: &mut HeaderMap, scopes: &[ScopeId]) {
    if scopes.is_empty() {
        return;
    }
    let ids: Vec<String> = scopes.iter().map(|id| format!("{:016x}", id.0)).collect();
    if let Ok(value) = HeaderValue::from_str(&ids.join(" ")) {
        fields.insert(SCOPES, value);
    }
}

/// Reads it. `None`: what a neighbour stated is not known in full.
pub fn read_scopes(fields: &HeaderMap) -> Option<Vec<ScopeId>> {
    let Some(value) = fields.get(SCOPES) else {
        return Some(Vec::new());
    };
    let id = |text: &str| u64::from_str_radix(text, 16).ok().map(ScopeId);
    let ids = value.to_str().ok()?.split(' ').take(SCOPES_MAX + 1).map(id);
    let ids = ids.collect::<Option<Vec<_>>>()?;
    (ids.len() <= SCOPES_MAX).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::{Epoch, PurgeSeq};

    #[test]
    fn a_request_is_read_as_it_was_written() {
        for set in 0..16 {
            let [insists, refreshes, reaches, first] = [1, 2, 4, 8].map(|bit| set & bit != 0);
            let mut fields = HeaderMap::new();
            // what somebody else said of it does not stay
            fields.insert(INSIST, HeaderValue::from_static("1"));
            fields.insert(REFRESH, HeaderValue::from_static("1"));
            fields.insert(REACH, HeaderValue::from_static("1"));
            fields.insert(TERM, HeaderValue::from_static("1"));
            let told = Told {
                at: PurgeSeq::new(Epoch(7), if first { 0 } else { 8 }),
                term: (!first).then_some(u64::MAX),
            };
            let https = Scheme::Https;
            write_request(&mut fields, https, 2, told, insists, refreshes, reaches);
            let expect = Link::Fleet {
                scheme: Scheme::Https,
                hops: 2,
                told,
                insists,
                refreshes,
                reaches,
            };
            assert_eq!(read_request(&fields), Some(expect));
        }
    }

    #[test]
    fn a_term_that_cannot_be_read_is_not_taken_for_none() {
        let mut fields = HeaderMap::new();
        let told = Told {
            at: PurgeSeq::new(Epoch(7), 8),
            term: Some(9),
        };
        write_request(&mut fields, Scheme::Http, 1, told, false, false, false);
        assert!(read_request(&fields).is_some());
        fields.insert(TERM, HeaderValue::from_static("x"));
        assert_eq!(read_request(&fields), None);
    }

    #[test]
    fn scopes_are_read_as_they_are_written_and_never_in_part() {
        let ids = [ScopeId(0), ScopeId(u64::MAX), ScopeId(7)];
        let mut fields = HeaderMap::new();
        assert_eq!(read_scopes(&fields), Some(Vec::new()));
        write_scopes(&mut fields, &ids);
        assert_eq!(read_scopes(&fields).as_deref(), Some(&ids[..]));
        let many = vec![ScopeId(1); SCOPES_MAX + 1];
        write_scopes(&mut fields, &many);
        assert_eq!(read_scopes(&fields), None);
        fields.insert(SCOPES, HeaderValue::from_static("1 x"));
        assert_eq!(read_scopes(&fields), None);
    }
}
