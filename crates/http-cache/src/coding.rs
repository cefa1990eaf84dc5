//! Codings for answers that came plain (RFC 9110 §8.4): what is worth one, what it changes.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::cache_control::CacheControl;
use crate::fields::Fields;
use crate::list::trim;
use crate::targeted::Targets;
use crate::vary::{Vary, vary};

/// Whether content of this media type is text, or as good as text, that a coding makes smaller.
///
/// Server-sent events are not: an event must not wait in a compressor.
pub fn compressible(content_type: Option<&[u8]>) -> bool {
    let media_type = content_type
        .unwrap_or_default()
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default();
    let Ok(media_type) = std::str::from_utf8(trim(media_type)) else {
        return false;
    };
    let media_type = media_type.to_ascii_lowercase();
    let Some((kind, subtype)) = media_type.split_once('/') else {
        return false;
    };
    match kind {
        "text" => subtype != "event-stream" && !subtype.is_empty(),
        "font" => matches!(subtype, "ttf" | "otf" | "collection" | "sfnt"),
        "image" => matches!(subtype, "svg+xml" | "bmp" | "x-icon" | "vnd.microsoft.icon"),
        "application" => {
            matches!(
                subtype,
                "json"
                    | "javascript"
                    | "x-javascript"
                    | "ecmascript"
                    | "xml"
                    | "xml-dtd"
                    | "wasm"
                    | "graphql"
                    | "x-ndjson"
                    | "jsonl"
                    | "json-seq"
                    | "sql"
                    | "toml"
                    | "yaml"
                    | "x-yaml"
                    | "rtf"
                    | "vnd.ms-fontobject"
                    | "x-font-ttf"
                    | "x-sh"
            ) || ["+json", "+xml", "+yaml", "+text"]
                .iter()
                .any(|suffix| subtype.ends_with(suffix))
        }
        "model" => subtype == "gltf+json" || subtype == "obj",
        _ => false,
    }
}

/// Whether a response may be coded and is worth it: a compressible type, not coded already, no part, no `no-transform`
/// (RFC 9110 §7.7), and no digest of its bytes.
pub fn may_compress(response: &HeaderMap, targets: &Targets) -> bool {
    let bound = [
        "content-encoding",
        "content-range",
        "content-md5",
        "content-digest",
        "digest",
        "repr-digest",
    ];
    compressible(response.first("content-type"))
        && !bound.iter().any(|name| response.contains_key(*name))
        && !CacheControl::of(response, targets).no_transform
}

/// Makes a strong `ETag` weak: other bytes, the same meaning (RFC 9110 §8.8.1). A weak one stays; one that cannot be
/// made weak is removed.
pub fn weaken_etag(fields: &mut HeaderMap) {
    let Some(tag) = fields.get(header::ETAG) else {
        return;
    };
    let tag = trim(tag.as_bytes());
    if tag.starts_with(b"W/") {
        return;
    }
    let weak = [b"W/", tag].concat();
    match HeaderValue::from_bytes(&weak) {
        Ok(value) if tag.starts_with(b"\"") => fields.insert(header::ETAG, value),
        _ => fields.remove(header::ETAG),
    };
}

/// Adds a selecting field to `Vary`, unless it is there or the response varies by `*`.
pub fn add_vary(fields: &mut HeaderMap, name: &HeaderName) {
    let known = match vary(fields) {
        Vary::Star => true,
        Vary::None => false,
        Vary::Fields(names) => names.contains(name),
    };
    if !known {
        fields.append(header::VARY, HeaderValue::from(name.clone()));
    }
}

#[cfg(test)]
mod tests;
