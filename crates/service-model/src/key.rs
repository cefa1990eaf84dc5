//! The cache key: a 128-bit digest of framed parts.

use crate::host::canonical_host;
use crate::service::{Scheme, Service};
use crate::target::{canonical_target, split_target};
use http::HeaderName;
use seawall_http_cache::{Fields, QueryVariation};
use std::borrow::Cow;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Which query parameters are part of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QueryRule {
    /// The query as it was sent.
    #[default]
    Keep,
    Drop,
    /// These names alone.
    Only(Vec<String>),
    /// All but these names.
    Except(Vec<String>),
}

/// What the key is made of beside service, scheme, host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    pub query: QueryRule,
    /// Parameters are sorted by name; those of one name keep their order.
    pub sort_query: bool,
    pub headers: Vec<HeaderName>,
    pub cookies: Vec<String>,
    /// http and https share a copy.
    pub ignore_scheme: bool,
}

/// Identity of what is cached, before Vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey(pub u128);

impl CacheKey {
    /// For placement.
    pub fn hash64(self) -> u64 {
        (self.0 >> 64) as u64 ^ self.0 as u64
    }
}

/// The query after the key's rules. Borrowed where the rules change nothing.
pub(crate) fn key_query<'q>(query: Option<&'q str>, rules: &KeyRules) -> Option<Cow<'q, str>> {
    let query = query?;
    let keeps = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        match &rules.query {
            QueryRule::Keep => true,
            QueryRule::Drop => false,
            QueryRule::Only(names) => names.iter().any(|n| n == name),
            QueryRule::Except(names) => !names.iter().any(|n| n == name),
        }
    };
    if rules.query == QueryRule::Keep && !rules.sort_query {
        return Some(Cow::Borrowed(query));
    }
    let mut parameters: Vec<&str> = query.split('&').filter(keeps).collect();
    if rules.sort_query {
        parameters.sort_by_key(|p| p.split('=').next().unwrap_or_default());
    }
    // a query of which nothing is left is none
    if parameters.is_empty() {
        None
    } else {
        Some(Cow::Owned(parameters.join("&")))
    }
}

/// The value of one cookie in a request, the first where there are several.
fn cookie<'f>(name: &str, line: &'f [u8]) -> Option<&'f [u8]> {
    line.split(|&b| b == b';')
        .map(<[u8]>::trim_ascii)
        .find_map(|pair| {
            let at = pair.iter().position(|&b| b == b'=')?;
            (&pair[..at] == name.as_bytes()).then(|| &pair[at + 1..])
        })
}

/// Digests framed parts: each has its kind and its length before it, so that no two lists of parts are one text.
///
/// Short keys, which most are, are gathered and digested at once; that is cheaper than a digest in steps, and the same
/// value.
struct Frames {
    short: [u8; SHORT_BYTES],
    used: usize,
    long: Option<Xxh3>,
}

const SHORT_BYTES: usize = 240;

impl Frames {
    fn new() -> Self {
        Self {
            short: [0; SHORT_BYTES],
            used: 0,
            long: None,
        }
    }

    fn put(&mut self, kind: u8, bytes: &[u8]) {
        let mut head = [0; 9];
        head[0] = kind;
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        let end = self.used + head.len() + bytes.len();
        match (&mut self.long, self.short.get_mut(self.used..end)) {
            (None, Some(room)) => {
                let (front, rest) = room.split_at_mut(head.len());
                front.copy_from_slice(&head);
                rest.copy_from_slice(bytes);
                self.used = end;
            }
            (long, _) => {
                let short = &self.short[..self.used];
                let hash = long.get_or_insert_with(|| {
                    let mut hash = Xxh3::new();
                    hash.update(short);
                    hash
                });
                hash.update(&head);
                hash.update(bytes);
            }
        }
    }

    fn digest(&self) -> u128 {
        match &self.long {
            Some(hash) => hash.digest128(),
            None => xxh3_128(&self.short[..self.used]),
        }
    }
}

/// What stands in a key for the query.
enum Query<'q> {
    /// What the rules leave of it.
    Keyed,
    /// Nothing: all queries of the path.
    Any,
    /// What counts of that for a response that declared so, as it was learned the time with this number.
    Counted(&'q QueryVariation, u64),
}

/// What a part of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Service,
    Scheme,
    Host,
    Path,
    Query,
    /// A field's name, and behind it its values.
    Field,
    Cookie,
    Value,
    /// In the place of the query: all queries of the path.
    AnyQuery,
    /// In the place of the query: when a declaration was learned, and what counts by it.
    Learned,
    Counted,
}

impl Part {
    /// Its kind in the digest, which is at rest: it never changes.
    fn kind(self) -> u8 {
        match self {
            Self::Service => b's',
            Self::Scheme => b'c',
            Self::Host => b'h',
            Self::Path => b'p',
            Self::Query => b'q',
            Self::Field => b'n',
            Self::Cookie => b'k',
            Self::Value => b'v',
            Self::AnyQuery => b'a',
            Self::Learned => b'l',
            Self::Counted => b'e',
        }
    }
}

/// Goes through the parts of a request's key, in their order.
#[inline]
#[allow(
    clippy::too_many_arguments,
    reason = "those of a key, and what stands for the query"
)]
fn parts(
    service: &Service,
    scheme: Scheme,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    fields: &dyn Fields,
    of: &Query<'_>,
    mut put: impl FnMut(Part, &[u8]),
) {
    let target = canonical_target(target);
    let (path, query) = split_target(&target);
    let query = key_query(query, rules);
    let host = canonical_host(host, scheme);
    put(Part::Service, service.id.0.as_bytes());
    if !rules.ignore_scheme {
        put(Part::Scheme, scheme.as_str().as_bytes());
    }
    put(Part::Host, &host);
    put(Part::Path, path.as_bytes());
    match (of, query) {
        (Query::Keyed, Some(query)) => put(Part::Query, query.as_bytes()),
        (Query::Keyed, None) => {}
        (Query::Any, _) => put(Part::AnyQuery, b""),
        (Query::Counted(variation, learned), query) => {
            let query = query.as_deref().map(str::as_bytes);
            put(Part::Learned, &learned.to_le_bytes());
            put(Part::Counted, &variation.canonical(query));
        }
    }
    for name in &rules.headers {
        put(Part::Field, name.as_str().as_bytes());
        // several lines are several parts; absent is no part, which differs from an empty one
        fields.each(name.as_str(), &mut |line| put(Part::Value, line));
    }
    for name in &rules.cookies {
        put(Part::Cookie, name.as_bytes());
        let mut first = true;
        fields.each("cookie", &mut |line| {
            if let Some(value) = cookie(name, line).filter(|_| first) {
                first = false;
                put(Part::Value, value);
            }
        });
    }
}

/// Computes the key of a request. `host` as sent, `target` in origin form. Nothing is allocated where the rules are
/// the default ones, unless the target has a percent-encoding in lower case.
pub fn cache_key(
    service: &Service,
    scheme: Scheme,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    fields: &dyn Fields,
) -> CacheKey {
    key_of(service, scheme, host, target, rules, fields, &Query::Keyed)
}

/// What the keys of all queries of a path have in common, as a key of its own: nothing is stored under it.
pub fn path_key(
    service: &Service,
    scheme: Scheme,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    fields: &dyn Fields,
) -> CacheKey {
    key_of(service, scheme, host, target, rules, fields, &Query::Any)
}

/// The same for all URLs that are equivalent for a response that declared `variation` (draft-ietf-httpbis-no-vary-search
/// §6), and whose query is the same by the rules or differs in what does not count. `learned` tells apart when that was
/// heard. Nothing is stored under it.
#[allow(
    clippy::too_many_arguments,
    reason = "those of a key, and what was declared"
)]
pub fn equivalence_key(
    service: &Service,
    scheme: Scheme,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    fields: &dyn Fields,
    variation: &QueryVariation,
    learned: u64,
) -> CacheKey {
    let query = Query::Counted(variation, learned);
    key_of(service, scheme, host, target, rules, fields, &query)
}

fn key_of(
    service: &Service,
    scheme: Scheme,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    fields: &dyn Fields,
    of: &Query<'_>,
) -> CacheKey {
    let mut frames = Frames::new();
    let put = |part: Part, bytes: &[u8]| frames.put(part.kind(), bytes);
    parts(service, scheme, host, target, rules, fields, of, put);
    CacheKey(frames.digest())
}

/// A part of a key, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// `service`, `scheme`, `host`, `path`, `query`, `header` or `cookie`.
    pub part: &'static str,
    /// Of a header or cookie.
    pub name: Option<String>,
    /// One, but of a header each of its lines; none where the request has no such header or cookie.
    pub values: Vec<String>,
}

/// What [`cache_key`] digests, in the same order.
pub fn key_parts(
    service: &Service,
    scheme: Scheme,
    host: &[u8],
    target: &str,
    rules: &KeyRules,
    fields: &dyn Fields,
) -> Vec<KeyPart> {
    let mut all: Vec<KeyPart> = Vec::new();
    let put = |kind: Part, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (part, named) = match kind {
            // of keys that nothing is stored under
            Part::AnyQuery | Part::Learned | Part::Counted => return,
            Part::Service => ("service", false),
            Part::Scheme => ("scheme", false),
            Part::Host => ("host", false),
            Part::Path => ("path", false),
            Part::Query => ("query", false),
            Part::Field => ("header", true),
            Part::Cookie => ("cookie", true),
            Part::Value => {
                if let Some(last) = all.last_mut() {
                    last.values.push(text);
                }
                return;
            }
        };
        all.push(if named {
            KeyPart {
                part,
                name: Some(text),
                values: Vec::new(),
            }
        } else {
            KeyPart {
                part,
                name: None,
                values: vec![text],
            }
        });
    };
    let of = &Query::Keyed;
    parts(service, scheme, host, target, rules, fields, of, put);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostPattern;
    use crate::service::Origin;
    use http::HeaderMap;

    #[test]
    fn the_parts_of_a_key_are_told_in_the_order_in_which_they_are_digested() {
        let origin = Origin {
            host: "o".into(),
            port: 80,
            tls: None,
            host_header: None,
        };
        let service = Service::new("shop", vec![HostPattern::Any], origin);
        let rules = KeyRules {
            query: QueryRule::Except(vec!["utm".into()]),
            headers: vec![
                HeaderName::from_static("x-a"),
                HeaderName::from_static("x-b"),
            ],
            cookies: vec!["k".into(), "none".into()],
            ..KeyRules::default()
        };
        let mut fields = HeaderMap::new();
        fields.append("x-a", "1".parse().unwrap());
        fields.append("x-a", "2".parse().unwrap());
        fields.append("cookie", "a=b; k=v".parse().unwrap());
        let target = "/a%2f?x=1&utm=2";
        let told = key_parts(
            &service,
            Scheme::Https,
            b"H.example:443",
            target,
            &rules,
            &fields,
        );
        let told: Vec<_> = told
            .iter()
            .map(|p| (p.part, p.name.as_deref().unwrap_or(""), p.values.join(",")))
            .collect();
        let expect = [
            ("service", "", "shop"),
            ("scheme", "", "https"),
            ("host", "", "h.example"),
            ("path", "", "/a%2F"),
            ("query", "", "x=1"),
            ("header", "x-a", "1,2"),
            ("header", "x-b", ""),
            ("cookie", "k", "v"),
            ("cookie", "none", ""),
        ];
        assert_eq!(
            told,
            expect.map(|(part, name, value)| (part, name, value.to_owned()))
        );
    }
}
