//! A response on its way to clients: its head as they get it, whatever holds its body.

use crate::equivalents::UrlSet;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use seawall_cache_store::{Coding, Head, Recoding};
use seawall_http_cache::{Freshness, remove_digests, weaken_etag};
use seawall_purge::{Generation, Label, ScopeId};
use std::sync::Arc;

/// The head of a copy, stored or growing. `fields` are end-to-end fields, without `Age` and `Cache-Status`.
#[derive(Clone, Debug)]
pub(crate) struct CopyHead {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    /// `Cache-Status` members of the tiers behind.
    pub(crate) upstream_cache_status: Bytes,
    pub(crate) length: Option<u64>,
    pub(crate) freshness: Option<Freshness>,
    /// It is stored, or will be when it is complete.
    pub(crate) stored: bool,
    pub(crate) coding: Coding,
    pub(crate) generation: Generation,
    pub(crate) label: Label,
    /// What it can be purged by; `None` where that is not known in full, and it is not going to be stored.
    pub(crate) scopes: Option<Arc<[ScopeId]>>,
    /// The URLs that it declares to be one with the one it was fetched for.
    pub(crate) equivalents: Option<UrlSet>,
    /// The origin was asked for this answer.
    pub(crate) fetched: bool,
    /// The next server's answer is stale, as that one says.
    pub(crate) stale: bool,
    /// Its end can be told from a truncation.
    pub(crate) framed: bool,
    /// No ranges of it are served: under its weak tag other nodes may have other bytes, and this one at another time.
    pub(crate) whole_only: bool,
    /// Why it was not stored, for `Cache-Status`.
    pub(crate) detail: Option<&'static str>,
    /// It is an error answer of our own, because the next server failed.
    pub(crate) failed: bool,
}

impl CopyHead {
    /// The head of a stored copy, taken apart; as fresh as `freshness` says, which may be less than it was stored with.
    pub(crate) fn of_stored(head: &Head, freshness: &Freshness) -> Self {
        let parts = head.fields();
        Self {
            status: parts.status,
            fields: parts.fields,
            upstream_cache_status: parts.upstream_cache_status,
            length: Some(head.length),
            freshness: Some(freshness.clone()),
            stored: true,
            coding: head.coding(),
            generation: head.generation(),
            label: head.label(),
            scopes: Some(Arc::from(head.scopes())),
            equivalents: None,
            fetched: false,
            stale: false,
            framed: true,
            whole_only: matches!(head.coding(), Coding::Recoded(..)),
            detail: None,
            failed: false,
        }
    }
}

/// Turns the head of a copy into that of what is made of it: its coding is named, the length is not known, a strong
/// validator becomes weak (RFC 9110 §8.8.1: the bytes differ), ranges are not offered.
pub(crate) fn recoded_fields(fields: &mut HeaderMap, recoding: Recoding) {
    match recoding {
        Recoding::To(coding) => {
            let coding = HeaderValue::from_static(coding.token());
            fields.insert(header::CONTENT_ENCODING, coding);
        }
        Recoding::Identity => {
            fields.remove(header::CONTENT_ENCODING);
        }
    }
    fields.remove(header::CONTENT_LENGTH);
    fields.remove(header::ACCEPT_RANGES);
    remove_digests(fields);
    weaken_etag(fields);
}
