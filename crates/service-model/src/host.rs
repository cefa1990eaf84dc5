//! Hosts: patterns that services have, and the canonical form that keys and scopes have.

use crate::service::Scheme;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// What a service answers for: a name, all names below one, or every host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Lower case, without port.
    Exact(String),
    /// `*.example.com`: every name below `example.com`, at any depth, and not that name itself.
    Below(String),
    /// `*`
    Any,
}

/// A text that is no host pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no host: {reason}")]
pub struct ParseHostError {
    pub text: String,
    pub reason: &'static str,
}

fn legal_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&name.len()) && name.split('.').all(label)
}

impl FromStr for HostPattern {
    type Err = ParseHostError;

    fn from_str(text: &str) -> Result<Self, ParseHostError> {
        let refuse = |reason| {
            Err(ParseHostError {
                text: text.into(),
                reason,
            })
        };
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.starts_with('[') {
            let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
            return match inner.and_then(|t| t.parse::<std::net::Ipv6Addr>().ok()) {
                Some(address) => Ok(Self::Exact(format!("[{address}]"))),
                None => refuse("brackets hold an IPv6 address and nothing follows them"),
            };
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') {
            return refuse("a wildcard stands alone or as the whole first label");
        }
        if name.contains(':') || name.contains('/') {
            return refuse("a host has no scheme, port or path here");
        }
        if !legal_name(name) {
            return refuse("labels are letters, digits, dashes and underscores, joined by dots");
        }
        let name = name.to_ascii_lowercase();
        Ok(if below {
            Self::Below(name)
        } else {
            Self::Exact(name)
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// `host` as sent, without its port.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    if host.first() == Some(&b'[') {
        return match host.iter().position(|&b| b == b']') {
            Some(end) => &host[..=end],
            None => host,
        };
    }
    match host.iter().rposition(|&b| b == b':') {
        Some(colon) => &host[..colon],
        None => host,
    }
}

/// The form in which keys and scopes have a host: lower case, without the root's dot, the scheme's default port dropped,
/// other ports kept. Borrowed where it is canonical already.
pub fn canonical_host(host: &[u8], scheme: Scheme) -> Cow<'_, [u8]> {
    let bare = without_port(host);
    let port = host
        .get(bare.len()..)
        .and_then(|p| p.strip_prefix(b":"))
        .unwrap_or_default();
    let default = match scheme {
        Scheme::Http => b"80".as_slice(),
        Scheme::Https => b"443",
    };
    // `find` takes no notice of the dot either: both spellings are one object, which one purge covers
    let name = bare.strip_suffix(b".").unwrap_or(bare);
    let kept = if port.is_empty() || port == default {
        name
    } else if name.len() == bare.len() {
        host
    } else {
        return Cow::Owned([name, b":", port].concat().to_ascii_lowercase());
    };
    if kept.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(kept.to_ascii_lowercase())
    } else {
        Cow::Borrowed(kept)
    }
}
