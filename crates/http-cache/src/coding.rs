//! gzip for answers that came plain (RFC 9110 §8.4, §12.5.3): who wants it, what is worth it, what it changes.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::cache_control::CacheControl;
use crate::fields::Fields;
use crate::list::{for_each_element, trim};
use crate::targeted::Targets;
use crate::vary::{Vary, vary};

/// A weight of 1 in thousandths (RFC 9110 §12.4.2).
const WEIGHT_ONE: u16 = 1000;

/// Whether gzip is acceptable and at least as welcome as no coding (RFC 9110 §12.5.3).
///
/// Takes the field's value, its lines joined by commas. Without the field, or for an element that cannot be read, no.
pub fn accepts_gzip(accept_encoding: Option<&[u8]>) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for_each_element(accept_encoding.unwrap_or_default(), |element| {
        let mut parts = element.splitn(2, |b| *b == b';');
        let coding = trim(parts.next().unwrap_or_default());
        let weight = parts
            .next()
            .map_or(WEIGHT_ONE, |rest| weight(rest).unwrap_or(0));
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        if is("gzip") || is("x-gzip") {
            gzip = Some(gzip.map_or(weight, |before: u16| before.max(weight)));
        } else if is("identity") {
            identity = Some(weight);
        } else if coding == b"*" {
            any = Some(weight);
        }
    });
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.or(any).unwrap_or(0)
}

/// `q=0.5` in thousandths; `None` where it is no weight.
fn weight(parameter: &[u8]) -> Option<u16> {
    let text = trim(parameter);
    let digits = text
        .strip_prefix(b"q=")
        .or_else(|| text.strip_prefix(b"Q="))?;
    let (whole, fraction) = match digits {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = (0..3).fold(0, |sum, place| {
        sum * 10
            + fraction
                .get(place)
                .map_or(0, |digit| u16::from(digit - b'0'))
    });
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(WEIGHT_ONE),
        _ => None,
    }
}

/// Whether content of this media type is text, or as good as text, that gzip makes smaller.
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
