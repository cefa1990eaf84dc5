//! The scopes of a copy: what a purge may name to cover it.

use crate::host::canonical_host;
use crate::key::{KeyRules, key_query};
use crate::service::{Scheme, Service};
use crate::target::{canonical_target, split_target};
use http::{HeaderMap, HeaderName};
use seawall_http_cache::string_list;
use seawall_purge::{Scope, ScopeId};
use thiserror::Error;

/// Path segments of an object that is stored.
pub const SEGMENTS_MAX: usize = 32;
/// Tags of an object that is stored, and bytes of each.
pub const TAGS_MAX: usize = 256;
pub const TAG_BYTES_MAX: usize = 256;

const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const XKEY: HeaderName = HeaderName::from_static("xkey");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// A path is too deep: an object beyond the bound is not stored, never covered in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the path has more than {SEGMENTS_MAX} segments")]
pub struct TooManySegments;

/// Why the tags of a response are not known in full: an object that could be covered in part only is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TagsError {
    #[error("the response has more than {TAGS_MAX} tags, or one longer than {TAG_BYTES_MAX} bytes")]
    TooMany,
    #[error("the response has a Cache-Groups field that is no list of strings")]
    Unreadable,
}

/// Appends the ids of all scopes of a copy but its tags: the URL as asked and after the key's query rules, every prefix
/// of its path, host, service, everything.
pub fn scope_ids(
    service: &Service,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    out: &mut Vec<ScopeId>,
) -> Result<(), TooManySegments> {
    each_scope(service, host, target, rules, |scope| out.push(scope.id()))
}

/// Tells the scopes of [`scope_ids`] themselves, in the same order.
pub fn each_scope(
    service: &Service,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    mut tell: impl FnMut(Scope<'_>),
) -> Result<(), TooManySegments> {
    // purges name both schemes: a host's id has the port unless it is one of the two default ones
    let host = canonical_host(host, Scheme::Http);
    let host = canonical_host(&host, Scheme::Https);
    let host = String::from_utf8_lossy(&host);
    let target = canonical_target(target);
    let (path, query) = split_target(&target);
    tell(Scope::Url {
        host: &host,
        path,
        query,
    });
    let keyed = key_query(query, rules);
    if keyed.as_deref() != query {
        tell(Scope::Url {
            host: &host,
            path,
            query: keyed.as_deref(),
        });
    }
    let bare = path.strip_suffix('/').unwrap_or(path);
    let ends = bare
        .bytes()
        .enumerate()
        .filter(|(at, b)| *b == b'/' && *at > 0)
        .map(|(at, _)| at);
    let mut segments = 0;
    // the root, each whole segment on the way, the path itself
    let root = (!bare.is_empty()).then_some(0);
    for end in root.into_iter().chain(ends).chain([bare.len()]) {
        segments += 1;
        if segments > SEGMENTS_MAX + 1 {
            return Err(TooManySegments);
        }
        tell(Scope::Prefix {
            host: &host,
            path: &bare[..end],
        });
    }
    tell(Scope::Host { host: &host });
    tell(Scope::Service {
        service: &service.id.0,
    });
    tell(Scope::Everything);
    Ok(())
}

/// The id of every query of a target's path: for copies whose response declared `No-Vary-Search`, which makes several
/// URLs one.
pub fn any_query_scope(host: &[u8], target: &str) -> ScopeId {
    let host = canonical_host(host, Scheme::Http);
    let host = canonical_host(&host, Scheme::Https);
    let host = String::from_utf8_lossy(&host);
    let target = canonical_target(target);
    let (path, _) = split_target(&target);
    Scope::AnyQuery { host: &host, path }.id()
}

/// The tags that a response gives itself: `Surrogate-Key` and `xkey` (separated by spaces), `Cache-Tag` (by commas),
/// `Cache-Groups` (RFC 9875, strings in a list).
pub fn tags(response: &HeaderMap) -> Result<Vec<Vec<u8>>, TagsError> {
    let mut tags = Vec::new();
    let mut add = |tag: &[u8]| {
        let tag = tag.trim_ascii();
        if tag.is_empty() {
            return Ok(());
        }
        if tags.len() >= TAGS_MAX || tag.len() > TAG_BYTES_MAX {
            return Err(TagsError::TooMany);
        }
        tags.push(tag.to_vec());
        Ok(())
    };
    for name in [SURROGATE_KEY, XKEY] {
        for line in response.get_all(name) {
            line.as_bytes()
                .split(u8::is_ascii_whitespace)
                .try_for_each(&mut add)?;
        }
    }
    for line in response.get_all(CACHE_TAG) {
        line.as_bytes()
            .split(|&b| b == b',')
            .try_for_each(&mut add)?;
    }
    for line in response.get_all(CACHE_GROUPS) {
        let groups = string_list(line.as_bytes()).ok_or(TagsError::Unreadable)?;
        groups.iter().try_for_each(|group| add(group))?;
    }
    Ok(tags)
}
