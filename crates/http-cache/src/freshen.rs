//! Validation (RFC 9111 §4.3): asking with a copy's validators, merging the 304, and writing one.

use http::{HeaderMap, HeaderName, header};

use crate::digest::{OF_CONTENT, OF_REPRESENTATION};
use crate::entity_tag::weak_match;
use crate::hop::{is_hop_by_hop, strip_hop_by_hop};
use crate::list::trim;

/// Metadata of the representation that a 304 to a client does not carry (RFC 9110 §15.4.5): the client has it.
/// Beside these what digests it.
const OF_THE_BYTES: [&str; 7] = [
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
];

/// What a copy's fields say to caches, or to the client that gets the copy.
const NOT_IN_REFUSALS: [&str; 13] = [
    "age",
    "cache-control",
    "cache-group-invalidation",
    "cache-groups",
    "content-location",
    "expires",
    "last-modified",
    "no-vary-search",
    "pragma",
    "set-cookie",
    "set-cookie2",
    "surrogate-control",
    "warning",
];

/// Fields of RFC 9213: `CDN-Cache-Control` and its like.
const TARGETED_SUFFIX: &str = "-cache-control";

/// How a copy lies in the store, as far as its fields depend on it (RFC 9111 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it was received: its `Content-Encoding` is the origin's word.
    AsReceived,
    /// Codings are made of it here, so that its `Content-Encoding` goes with the stored bytes.
    CodedHere,
}

/// Conditions and ranges of the client's that a validation replaces.
const CONDITIONS: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// The fields that a 304 to a client carries of a stored head (RFC 9110 §15.4.5).
///
/// All but the metadata of the representation and cookies; `Last-Modified` only where there is no `ETag`. What remains
/// (caching, dates, tags, CORS) updates the receiver's copy. `Age` is the caller's to add.
pub fn not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let tagged = stored.contains_key(header::ETAG);
    let mut fields = HeaderMap::with_capacity(stored.len());
    for (name, value) in stored {
        if goes_with_not_modified(name.as_str(), tagged) {
            fields.append(name, value.clone());
        }
    }
    fields
}

/// Whether a field of a stored head, by its name in lower case, is one of [`not_modified_fields`]. `tagged`: the head has an
/// `ETag`.
pub fn goes_with_not_modified(name: &str, tagged: bool) -> bool {
    !(is_of_the_bytes(name)
        || is_hop_by_hop(name)
        || name == "set-cookie"
        || (tagged && name == "last-modified"))
}

/// Whether a field of a stored head, by its name in lower case, goes with a single part of the stored body (RFC 9110
/// §15.3.7.1). `Content-Length` and `Content-Range` are the part's own; see [`crate::remove_content_digests`].
pub fn goes_with_part(name: &str) -> bool {
    !matches!(name, "content-length" | "content-range") && !OF_CONTENT.contains(&name)
}

/// The fields that a 304 to another cache of the fleet carries of a stored head: all, so that each of them updates the
/// copy there (RFC 9111 §3.2), but `Content-Length`.
pub fn fleet_not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let mut fields = stored.clone();
    strip_hop_by_hop(&mut fields);
    fields.remove(header::CONTENT_LENGTH);
    fields
}

/// What a 412 or a 416 that a copy is the reason of may have of its fields (RFC 9110 §15.5.13, §15.5.17).
///
/// Nothing that describes the representation, which is not sent, and nothing that guides caches or sets cookies: it was
/// said of another answer. `ETag`, `Date` and `Vary` stay, and what is no caching matter (CORS and the like).
pub fn refusal_fields(stored: &HeaderMap) -> HeaderMap {
    let mut fields = stored.clone();
    strip_hop_by_hop(&mut fields);
    let dropped: Vec<HeaderName> = fields
        .keys()
        .filter(|name| {
            // Accept-Ranges says what a 416 is about
            let kept = **name == header::ACCEPT_RANGES;
            let guides = NOT_IN_REFUSALS.contains(&name.as_str())
                || name.as_str().ends_with(TARGETED_SUFFIX);
            (is_of_the_bytes(name.as_str()) && !kept) || guides
        })
        .cloned()
        .collect();
    for name in dropped {
        fields.remove(name);
    }
    fields
}

/// Merges the fields of a 304 (or of a HEAD's 200) into the stored ones (RFC 9111 §3.2).
///
/// Each field of the update replaces all stored ones of its name, except those of the connection, `Content-Length`,
/// `Content-Range`, and `Content-Encoding` where the copy's `form` depends on it. A weak `ETag` stays weak. `Set-Cookie` is replaced only where
/// the copy already has one: otherwise a validation would put one client's cookie into a copy. `Age` and `Date` become
/// the update's, or absent. Judge the result with [`crate::storable`] for its new freshness, then store
/// [`crate::stored_fields`] of it.
pub fn freshen(stored: &mut HeaderMap, update: &HeaderMap, form: Form) {
    let mut update = update.clone();
    strip_hop_by_hop(&mut update);
    stored.remove(header::AGE);
    stored.remove(header::DATE);
    for name in update.keys() {
        let stays = match *name {
            header::CONTENT_LENGTH | header::CONTENT_RANGE => true,
            header::CONTENT_ENCODING => form == Form::CodedHere,
            header::SET_COOKIE => !stored.contains_key(name),
            // the stored bytes came under the weak one, and are not known to be those that have the strong one
            header::ETAG => is_weak(stored) && !is_weak(&update),
            _ => false,
        };
        if stays {
            continue;
        }
        stored.remove(name);
        for value in update.get_all(name) {
            stored.append(name, value.clone());
        }
    }
}

/// Whether a 304 speaks of this copy (RFC 9111 §4.3.4): the validators it repeats are the copy's.
///
/// Where the update has a tag it must be the copy's, but for `W/`; without one, `Last-Modified` must be. An update
/// without validators, or with one that the copy lacks, is taken at its word: it answers the question about this copy.
pub fn update_applies(stored: &HeaderMap, update: &HeaderMap) -> bool {
    let both = |name: HeaderName| {
        let (update, stored) = (update.get(&name)?, stored.get(&name)?);
        Some((trim(update.as_bytes()), trim(stored.as_bytes())))
    };
    if let Some((update, stored)) = both(header::ETAG) {
        return weak_match(update, stored);
    }
    both(header::LAST_MODIFIED).is_none_or(|(update, stored)| update == stored)
}

/// Whether the request has a condition or asks for a part (RFC 9110 §13.1, §14.2).
pub fn has_conditions(request: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| request.contains_key(name))
}

/// Whether the request makes its answer depend on what the one who asks has (RFC 9110 §13.1); a range alone does not.
pub fn has_preconditions(request: &HeaderMap) -> bool {
    let mut names = CONDITIONS.iter().filter(|name| **name != header::RANGE);
    names.any(|name| request.contains_key(name))
}

/// Turns a request into a validation of a copy: its `ETag` as `If-None-Match`, its `Last-Modified` as
/// `If-Modified-Since` (RFC 9111 §4.3.1). Returns false if the copy has neither.
///
/// The request's own conditions and ranges are removed in any case.
pub fn validation_fields(stored: &HeaderMap, request: &mut HeaderMap) -> bool {
    for name in CONDITIONS {
        request.remove(name);
    }
    let mut any = false;
    for (validator, condition) in [
        (header::ETAG, header::IF_NONE_MATCH),
        (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE),
    ] {
        if let Some(value) = stored.get(validator) {
            request.insert(condition, value.clone());
            any = true;
        }
    }
    any
}

fn is_weak(fields: &HeaderMap) -> bool {
    let tag = fields.get(header::ETAG);
    tag.is_some_and(|tag| trim(tag.as_bytes()).starts_with(b"W/"))
}

fn is_of_the_bytes(name: &str) -> bool {
    OF_THE_BYTES.contains(&name) || OF_CONTENT.contains(&name) || OF_REPRESENTATION.contains(&name)
}

#[cfg(test)]
mod tests;
