//! What an operator names, as scopes: the other side of [`crate::scope_ids`].

use crate::host::{HostPattern, canonical_host};
use crate::key::{KeyRules, key_query};
use crate::scopes::{SEGMENTS_MAX, TAG_BYTES_MAX};
use crate::service::Scheme;
use crate::target::{canonical_target, split_target};
use seawall_purge::{Scope, ScopeId};

/// Bytes of a URL or prefix that can be purged: no longer target is served.
pub const URL_BYTES_MAX: usize = 16 * 1024;

const CONTROL: &str = "a URL has no white space and no control characters";

/// A host and a target, as copies have them in their scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Canonical: lower case, without a default port.
    pub host: String,
    /// Origin form, percent-encodings in upper case.
    pub target: String,
}

/// Reads a URL of either scheme. A fragment is no part of what is asked for, and let go; what a client would have
/// encoded is encoded.
pub fn parse_url(text: &str) -> Result<Location, &'static str> {
    let rest = strip_scheme(text)
        .ok_or("a URL begins with http:// or https://, as in https://www.example.com/a")?;
    location(rest)
}

/// Reads a URL as a client asks for it: its host keeps a port that is not its own scheme's.
pub fn parse_asked(text: &str) -> Result<(Scheme, Location), &'static str> {
    let mut location = parse_url(text)?;
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let scheme = if scheme.eq_ignore_ascii_case("https") {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = canonical_host(&rest.as_bytes()[..end], scheme).into_owned();
    location.host = String::from_utf8(host).unwrap_or(location.host);
    Ok((scheme, location))
}

/// Reads a prefix: a URL, or `host/path`. A query has no place in it.
pub fn parse_prefix(text: &str) -> Result<Location, &'static str> {
    let location = location(strip_scheme(text).unwrap_or(text))?;
    if location.target.contains('?') {
        return Err("a prefix is a path, without a query");
    }
    if location.target.trim_end_matches('/').split('/').count() > SEGMENTS_MAX + 1 {
        return Err("a prefix has at most 32 path segments: deeper objects are not stored");
    }
    Ok(location)
}

/// Reads a bare name, with a port where it is not a default one.
pub fn parse_host(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "a host is a bare name, as in www.example.com";
    if text.contains(['/', '?', '#', '@', '*']) {
        return Err(WRONG);
    }
    let host = canonical(text).ok_or(WRONG)?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => {
            port.parse::<u16>().map_err(|_| WRONG)?;
            name
        }
        _ => &host,
    };
    name.strip_suffix('.')
        .unwrap_or(name)
        .parse::<HostPattern>()
        .map_err(|_| WRONG)?;
    Ok(host)
}

/// Reads a surrogate key.
pub fn parse_tag(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() || text.len() > TAG_BYTES_MAX {
        return Err("a tag has 1 to 256 bytes");
    }
    if text.contains(|c: char| c.is_ascii_control()) || text.trim() != text {
        return Err("a tag has no control characters, and no white space around it");
    }
    Ok(text)
}

/// The scopes of one URL: as asked, after the query rules of each of `rules`, and any query, which copies carry whose
/// response declared `No-Vary-Search`.
pub fn url_scopes<'r>(
    url: &Location,
    rules: impl IntoIterator<Item = &'r KeyRules>,
) -> Vec<ScopeId> {
    let host = url.host.as_str();
    let (path, query) = split_target(&url.target);
    let id = |query: Option<&str>| Scope::Url { host, path, query }.id();
    let mut ids = vec![id(query), Scope::AnyQuery { host, path }.id()];
    for rules in rules {
        let keyed = id(key_query(query, rules).as_deref());
        if !ids.contains(&keyed) {
            ids.push(keyed);
        }
    }
    ids
}

/// The scopes that a copy of this URL carries of it, whichever of `rules` it was stored by; none that stands for other
/// URLs too.
pub fn url_scopes_asked<'r>(
    url: &Location,
    rules: impl IntoIterator<Item = &'r KeyRules>,
) -> Vec<ScopeId> {
    let (path, _) = split_target(&url.target);
    let host = url.host.as_str();
    let any_query = Scope::AnyQuery { host, path }.id();
    let mut ids = url_scopes(url, rules);
    ids.retain(|id| *id != any_query);
    ids
}

/// The scopes of all prefixes that a location's path lies under: the root's, each whole segment's on the way, its own.
pub fn prefixes_of(location: &Location) -> Result<Vec<ScopeId>, &'static str> {
    let (path, _) = split_target(&location.target);
    let host = location.host.as_str();
    let bare = path.strip_suffix('/').unwrap_or(path);
    let id = |end: usize| {
        let path = &bare[..end];
        Scope::Prefix { host, path }.id()
    };
    let ends = bare.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    let mut ids: Vec<ScopeId> = ends
        .map(|(end, _)| id(end))
        .take(SEGMENTS_MAX + 1)
        .collect();
    if ids.len() > SEGMENTS_MAX {
        return Err("it has more than 32 path segments: nothing so deep is stored");
    }
    ids.push(id(bare.len()));
    Ok(ids)
}

/// The scope of a prefix.
pub fn prefix_scope(prefix: &Location) -> ScopeId {
    let path = prefix.target.strip_suffix('/').unwrap_or(&prefix.target);
    let host = prefix.host.as_str();
    Scope::Prefix { host, path }.id()
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    known.then_some(rest)
}

fn location(rest: &str) -> Result<Location, &'static str> {
    if rest.len() > URL_BYTES_MAX {
        return Err("it is longer than any target that is served (16 KiB)");
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    // it is let go, and stays in what is told of the purge
    if fragment.contains(char::is_control) {
        return Err(CONTROL);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('@') {
        return Err("a URL has no user here");
    }
    let host = parse_host(authority)?;
    let mut encoded = String::with_capacity(target.len() + 1);
    if !target.starts_with('/') {
        encoded.push('/');
    }
    for byte in target.bytes() {
        match byte {
            0..=b' ' | 0x7f => return Err(CONTROL),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    // what is encoded grows threefold
    if encoded.len() > URL_BYTES_MAX {
        return Err("encoded, it is longer than any target that is served (16 KiB)");
    }
    Ok(Location {
        host,
        target: canonical_target(&encoded).into_owned(),
    })
}

/// As a copy's scopes have it: whatever the scheme, a default port is none.
pub(crate) fn canonical(host: &str) -> Option<String> {
    if host.is_empty() {
        return None;
    }
    let host = canonical_host(host.as_bytes(), Scheme::Http);
    let host = canonical_host(&host, Scheme::Https);
    String::from_utf8(host.into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::QueryRule;
    use crate::scopes::scope_ids;
    use crate::service::{Origin, Service};

    fn copy(host: &str, target: &str, rules: &KeyRules) -> Vec<ScopeId> {
        let origin = Origin {
            host: "o".into(),
            port: 80,
            tls: None,
            host_header: None,
        };
        let service = Service::new("shop", vec![HostPattern::Any], origin);
        let mut ids = Vec::new();
        scope_ids(&service, host.as_bytes(), target, rules, &mut ids).unwrap();
        ids
    }

    fn covers(purge: &[ScopeId], copy: &[ScopeId]) -> bool {
        purge.iter().any(|id| copy.contains(id))
    }

    #[test]
    fn the_scopes_that_a_url_is_looked_for_by_are_those_that_its_copy_carries() {
        let rules = KeyRules {
            sort_query: true,
            ..KeyRules::default()
        };
        let whole = [
            Scope::Host { host: "h" }.id(),
            Scope::Service { service: "shop" }.id(),
            Scope::Everything.id(),
        ];
        for target in ["/", "/a", "/a/", "/a/b%2fc/d?y=1&x=2", "//", "/a?"] {
            let location = parse_url(&format!("http://h{target}")).unwrap();
            let mut looked = url_scopes_asked(&location, [&rules]);
            looked.extend(prefixes_of(&location).unwrap());
            looked.extend(whole);
            let mut carried = copy("h", target, &rules);
            looked.sort_unstable();
            carried.sort_unstable();
            assert_eq!(looked, carried, "{target}");
        }
        let deep = |segments: usize| {
            prefixes_of(&parse_url(&format!("http://h{}", "/a".repeat(segments))).unwrap())
        };
        assert!(deep(SEGMENTS_MAX).is_ok() && deep(SEGMENTS_MAX + 1).is_err());
    }

    #[test]
    fn a_url_names_the_copies_of_both_schemes_and_of_its_spellings() {
        let rules = KeyRules::default();
        let stored = copy("www.example.com", "/a?b=1", &rules);
        for url in [
            "http://www.example.com/a?b=1",
            "HTTPS://WWW.example.com:443/a?b=1#part",
            "http://www.example.com:80/a?b=1",
        ] {
            assert!(
                covers(&url_scopes(&parse_url(url).unwrap(), [&rules]), &stored),
                "{url}"
            );
        }
        for url in [
            "http://www.example.com/a",
            "http://www.example.com/a?b=2",
            "http://www.example.com:8080/a?b=1",
            "http://example.com/a?b=1",
        ] {
            assert!(
                !covers(&url_scopes(&parse_url(url).unwrap(), [&rules]), &stored),
                "{url}"
            );
        }
        let encoded = copy("h", "/a%2fb%C3%a4", &rules);
        for url in ["http://h/a%2Fb%c3%a4", "http://h/a%2fbä"] {
            let purge = url_scopes(&parse_url(url).unwrap(), [&rules]);
            assert!(covers(&purge, &encoded), "{url}");
        }
        let prefix = parse_prefix("h/a%2Fb%c3%A4").unwrap();
        assert!(encoded.contains(&prefix_scope(&prefix)));
        let root = copy("h", "/", &rules);
        assert!(covers(
            &url_scopes(&parse_url("http://h").unwrap(), []),
            &root
        ));
    }

    #[test]
    fn no_part_of_a_url_has_control_characters() {
        for text in [
            "h/a\n",
            "h/a?\x1b[2J",
            "h/a#\n  urls: http://h/b",
            "h/#\x1b[2J",
            "h/#\u{9b}2J",
        ] {
            assert!(parse_url(&format!("http://{text}")).is_err(), "{text:?}");
            assert!(parse_prefix(text).is_err(), "{text:?}");
        }
        assert!(parse_url("http://h/a#a part").is_ok());
    }

    #[test]
    fn a_url_names_the_copies_that_its_keys_rules_make_one() {
        let rules = KeyRules {
            query: QueryRule::Except(vec!["utm".into()]),
            ..KeyRules::default()
        };
        let stored = copy("h", "/a?utm=1&x=2", &rules);
        let purge = |url: &str| url_scopes(&parse_url(url).unwrap(), [&rules]);
        assert!(covers(&purge("http://h/a?utm=9&x=2"), &stored));
        assert!(covers(&purge("http://h/a?x=2"), &stored));
        assert!(!covers(&purge("http://h/a?x=3"), &stored));
    }

    #[test]
    fn a_prefix_names_whole_segments_with_and_without_its_slash() {
        let rules = KeyRules::default();
        for (prefix, target, expected) in [
            ("http://h/a", "/a/b", true),
            ("h/a/", "/a/b?q", true),
            ("h/a", "/a", true),
            ("h/a", "/ab", false),
            ("h", "/anything", true),
            ("h/", "/", true),
            ("g/", "/", false),
        ] {
            let scope = prefix_scope(&parse_prefix(prefix).unwrap());
            assert_eq!(
                copy("h", target, &rules).contains(&scope),
                expected,
                "{prefix} {target}"
            );
        }
    }

    #[test]
    fn what_is_no_url_no_prefix_no_host_and_no_tag_is_refused() {
        for url in [
            "",
            "/a",
            "www.example.com/a",
            "ftp://h/",
            "http:///a",
            "http://u@h/",
            "http://h/a b",
        ] {
            assert!(parse_url(url).is_err(), "{url:?}");
        }
        assert!(parse_prefix("h/a?x").is_err() && parse_prefix("").is_err());
        assert!(parse_prefix(&format!("h{}", "/a".repeat(40))).is_err());
        for host in [
            "",
            "http://h",
            "h/",
            "*.example.com",
            "h:x",
            "a b",
            "h:70000",
        ] {
            assert!(parse_host(host).is_err(), "{host:?}");
        }
        assert_eq!(
            parse_host("WWW.Example.com:8080").unwrap(),
            "www.example.com:8080"
        );
        assert_eq!(parse_host("[::1]:8080").unwrap(), "[::1]:8080");
        for tag in ["", " a", "a\n", &"x".repeat(257)] {
            assert!(parse_tag(tag).is_err(), "{tag:?}");
        }
    }

    #[test]
    fn a_url_that_is_asked_for_keeps_the_port_that_is_not_its_schemes() {
        for (url, scheme, host, target) in [
            ("http://H:80", Scheme::Http, "h", "/"),
            ("http://h:443/a", Scheme::Http, "h:443", "/a"),
            ("HTTPS://h:443?b#c", Scheme::Https, "h", "/?b"),
            (
                "https://[::1]:8443/%c3",
                Scheme::Https,
                "[::1]:8443",
                "/%C3",
            ),
        ] {
            let (found, location) = parse_asked(url).unwrap();
            assert_eq!(found, scheme, "{url}");
            assert_eq!(
                (&*location.host, &*location.target),
                (host, target),
                "{url}"
            );
        }
        assert!(parse_asked("h/a").is_err());
    }

    #[test]
    fn letters_beyond_ascii_are_encoded_as_clients_do() {
        let location = parse_url("http://h/ä?ö").unwrap();
        assert_eq!(location.target, "/%C3%A4?%C3%B6");
        let long = format!("http://h/{}", "ä".repeat(URL_BYTES_MAX / 3));
        assert!(long.len() < URL_BYTES_MAX && parse_url(&long).is_err());
    }
}
