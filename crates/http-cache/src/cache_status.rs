//! `Cache-Status` (RFC 9211): what one cache did, for whoever reads the response.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::list::is_token_byte;

/// The most bytes of a `key` or `detail` that are written.
const TEXT_BYTES_MAX: usize = 512;

/// Why a request went upstream (RFC 9211 §2.2).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Forward {
    /// The cache was told not to handle it.
    Bypass,
    /// The method's semantics require it.
    Method,
    /// Nothing is stored under the key.
    UriMiss,
    /// Something is stored, but nothing that the selecting fields match.
    VaryMiss,
    /// Nothing usable is stored, without saying which of the two.
    Miss,
    /// A fresh copy, but the request's directives do not take it.
    Request,
    /// The copy is stale.
    Stale,
    /// Only parts of the copy are stored.
    Partial,
}

impl Forward {
    /// The token of `fwd`.
    pub fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Miss => "miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

/// One cache's member of `Cache-Status`; its `Display` is the text.
///
/// `key` and `detail` lose what a structured string cannot hold, and all beyond 512 bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct CacheStatus<'a> {
    /// Who speaks: `seawall-edge`, `seawall-shield`.
    pub cache: &'a str,
    /// Answered by a copy without going upstream. Excludes `forward`, which is then not written.
    pub hit: bool,
    /// Why it went upstream.
    pub forward: Option<Forward>,
    /// The status that upstream answered.
    pub forward_status: Option<u16>,
    /// Seconds of freshness left; negative when stale.
    pub ttl: Option<i64>,
    /// The answer was stored.
    pub stored: bool,
    /// The request joined another's fill.
    pub collapsed: bool,
    /// The key under which the copy is stored.
    pub key: Option<&'a str>,
    /// Anything else.
    pub detail: Option<&'a str>,
}

impl CacheStatus<'_> {
    /// Adds the member behind those of the caches nearer to the origin.
    pub fn append(&self, fields: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            fields.append(HeaderName::from_static("cache-status"), value);
        }
    }

    /// Writes the member, ASCII, behind what is in `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        item(out, self.cache);
        if self.hit {
            out.extend_from_slice(b"; hit");
        } else if let Some(forward) = self.forward {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(forward.as_str().as_bytes());
        }
        if let Some(status) = self.forward_status.filter(|_| !self.hit) {
            out.extend_from_slice(b"; fwd-status=");
            integer(out, i64::from(status));
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            integer(out, ttl.clamp(-INTEGER_MAX, INTEGER_MAX));
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(key) = self.key {
            out.extend_from_slice(b"; key=");
            string(out, key);
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            item(out, detail);
        }
    }
}

impl fmt::Display for CacheStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const INTEGER_MAX: i64 = 999_999_999_999_999;

fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A token where it can be one, else a string.
fn item(out: &mut Vec<u8>, text: &str) {
    let is_token = text.len() <= TEXT_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*')
        && text
            .bytes()
            .all(|b| is_token_byte(b) || matches!(b, b':' | b'/'));
    if is_token {
        out.extend_from_slice(text.as_bytes());
    } else {
        string(out, text);
    }
}

/// A string (RFC 9651 §4.1.6); what is not printable ASCII is left out.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text
        .bytes()
        .take(TEXT_BYTES_MAX)
        .filter(|b| (b' '..=b'~').contains(b))
    {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: CacheStatus<'_>, expect: &str) {
        assert_eq!(status.to_string(), expect);
    }

    #[test]
    fn a_member_is_written_as_the_rfc_shows() {
        let edge = CacheStatus {
            cache: "seawall-edge",
            ..CacheStatus::default()
        };
        check(edge, "seawall-edge");
        check(
            CacheStatus {
                hit: true,
                ttl: Some(37),
                ..edge
            },
            "seawall-edge; hit; ttl=37",
        );
        check(
            CacheStatus {
                hit: true,
                ttl: Some(-412),
                ..edge
            },
            "seawall-edge; hit; ttl=-412",
        );
        check(
            CacheStatus {
                forward: Some(Forward::UriMiss),
                forward_status: Some(200),
                stored: true,
                collapsed: true,
                detail: Some("no-store"),
                ..edge
            },
            "seawall-edge; fwd=uri-miss; fwd-status=200; stored; collapsed; detail=no-store",
        );
        check(
            CacheStatus {
                hit: true,
                forward: Some(Forward::Stale),
                forward_status: Some(304),
                ..edge
            },
            "seawall-edge; hit",
        );
        check(
            CacheStatus {
                key: Some("a\"b\\c\u{e9}\n"),
                detail: Some("two words"),
                ..edge
            },
            r#"seawall-edge; key="a\"b\\c"; detail="two words""#,
        );
        check(
            CacheStatus {
                cache: "1 node",
                ..edge
            },
            "\"1 node\"",
        );
    }

    #[test]
    fn every_reason_to_forward_is_a_token_of_the_rfc() {
        for (forward, token) in [
            (Forward::Bypass, "bypass"),
            (Forward::Method, "method"),
            (Forward::UriMiss, "uri-miss"),
            (Forward::VaryMiss, "vary-miss"),
            (Forward::Miss, "miss"),
            (Forward::Request, "request"),
            (Forward::Stale, "stale"),
            (Forward::Partial, "partial"),
        ] {
            let status = CacheStatus {
                cache: "c",
                forward: Some(forward),
                ..CacheStatus::default()
            };
            check(status, &format!("c; fwd={token}"));
        }
    }

    #[test]
    fn members_stand_origin_side_first_and_text_is_bounded() {
        let mut fields = HeaderMap::new();
        for cache in ["seawall-shield", "seawall-edge"] {
            CacheStatus {
                cache,
                hit: true,
                ..CacheStatus::default()
            }
            .append(&mut fields);
        }
        let lines: Vec<_> = fields.get_all("cache-status").iter().collect();
        assert_eq!(lines, ["seawall-shield; hit", "seawall-edge; hit"]);
        let long = "x".repeat(10_000);
        let status = CacheStatus {
            cache: "c",
            key: Some(&long),
            detail: Some(&long),
            ..CacheStatus::default()
        };
        assert!(status.to_string().len() < 2 * TEXT_BYTES_MAX + 40);
    }
}
