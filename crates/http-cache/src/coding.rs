//! Codings for answers that came plain (RFC 9110 §8.4): what is worth one, what it changes.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::cache_control::CacheControl;
use crate::digest::has_digests;
use crate::fields::Fields;
use crate::list::{is_token_byte, trim};
use crate::negotiate::ContentCoding;
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

/// Which media types are worth a coding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CompressTypes {
    /// Those that [`compressible`] knows.
    #[default]
    Known,
    /// These. None: nothing is.
    Listed(Vec<TypePattern>),
}

impl CompressTypes {
    /// Whether content of this type is worth a coding. Server-sent events never are: an event must not wait in a coder.
    pub fn contain(&self, content_type: Option<&[u8]>) -> bool {
        match self {
            Self::Known => compressible(content_type),
            Self::Listed(patterns) => {
                let media_type = content_type.unwrap_or_default();
                let media_type = media_type.split(|b| *b == b';').next().unwrap_or_default();
                let media_type = trim(media_type);
                !media_type.eq_ignore_ascii_case(b"text/event-stream")
                    && patterns.iter().any(|pattern| pattern.matches(media_type))
            }
        }
    }
}

/// One media type, or many: `text/html`, `text/*`, `application/*+json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern {
    /// In lower case, with its slash.
    kind: String,
    /// In lower case.
    subtype: String,
    /// Any subtype that ends so.
    suffix: bool,
}

impl std::str::FromStr for TypePattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a media type is written type/subtype, type/* or type/*+suffix";
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/').ok_or(WRONG)?;
        let token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
        let (subtype, suffix) = match subtype.strip_prefix('*') {
            Some(subtype) => (subtype, true),
            None => (subtype, false),
        };
        let legal = match (suffix, subtype.strip_prefix('+')) {
            (true, Some(rest)) => token(rest),
            (true, None) => subtype.is_empty(),
            (false, _) => token(subtype),
        };
        if !legal || !token(kind) || text.matches('*').count() != usize::from(suffix) {
            return Err(WRONG);
        }
        Ok(Self {
            kind: format!("{kind}/"),
            subtype: subtype.to_owned(),
            suffix,
        })
    }
}

impl TypePattern {
    fn matches(&self, media_type: &[u8]) -> bool {
        let Some((kind, subtype)) = media_type.split_at_checked(self.kind.len()) else {
            return false;
        };
        let ends = if self.suffix {
            // the star stands for something
            subtype
                .len()
                .checked_sub(self.subtype.len())
                .filter(|at| *at > 0)
        } else {
            (subtype.len() == self.subtype.len()).then_some(0)
        };
        kind.eq_ignore_ascii_case(self.kind.as_bytes())
            && ends.is_some_and(|at| subtype[at..].eq_ignore_ascii_case(self.subtype.as_bytes()))
    }
}

/// Whether a response may be coded and is worth it: one of `types`, not coded already, no part, no `no-transform`
/// (RFC 9110 §7.7), and no digest of its bytes.
pub fn may_compress(response: &HeaderMap, targets: &Targets, types: &CompressTypes) -> bool {
    types.contain(response.first("content-type"))
        && !response.contains_key(header::CONTENT_ENCODING)
        && may_transform(response, targets)
}

/// The coding of a response that may be undone: the only one it has, and nothing binds its bytes.
pub fn may_decode(response: &HeaderMap, targets: &Targets) -> Option<ContentCoding> {
    let mut lines = response.get_all(header::CONTENT_ENCODING).iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let coding = ContentCoding::of_token(trim(line.as_bytes()))?;
    may_transform(response, targets).then_some(coding)
}

/// It is whole, and says nothing that would not be true of other bytes.
fn may_transform(response: &HeaderMap, targets: &Targets) -> bool {
    !response.contains_key(header::CONTENT_RANGE)
        && !has_digests(response)
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
