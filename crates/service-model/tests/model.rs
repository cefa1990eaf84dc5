//! What a request belongs to, by tables.

use http::HeaderMap;
use seawall_purge::Scope;
use seawall_service_model::{
    HostPattern, KeyRules, Origin, PathPattern, QueryRule, Scheme, Service, ServiceSet, TagsError,
    cache_key, canonical_host, scope_ids, tags,
};

fn origin() -> Origin {
    Origin {
        host: "127.0.0.1".into(),
        port: 80,
        tls: None,
        host_header: None,
    }
}

fn service(id: &str, hosts: &[&str]) -> Service {
    Service::new(
        id,
        hosts.iter().map(|h| h.parse().unwrap()).collect(),
        origin(),
    )
}

#[test]
fn an_exact_host_beats_the_longest_wildcard_which_beats_any() {
    let set = ServiceSet::new(vec![
        service("any", &["*"]),
        service("wide", &["*.example.com"]),
        service("narrow", &["*.img.example.com"]),
        service("exact", &["www.example.com", "[::1]"]),
    ])
    .unwrap();
    let check = |host: &str, expect: &str| {
        assert_eq!(&*set.find(host.as_bytes()).unwrap().id.0, expect, "{host}");
    };
    check("www.example.com", "exact");
    check("WWW.Example.COM:8080", "exact");
    check("www.example.com.", "exact");
    check("[::1]:443", "exact");
    check("a.example.com", "wide");
    check("a.b.example.com", "wide");
    check("a.img.example.com", "narrow");
    check("example.com", "any");
    check("", "any");
    check(&"x".repeat(5000), "any");
    check(&"X".repeat(5000), "any");
    check(&format!("{}example.com", "a.".repeat(5000)), "any");
}

#[test]
fn a_host_of_two_services_is_refused() {
    let error = ServiceSet::new(vec![
        service("a", &["x.example"]),
        service("b", &["X.example"]),
    ]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "host x.example belongs to service a and to service b"
    );
}

#[test]
fn a_host_pattern_that_could_not_match_is_refused() {
    for bad in [
        "", "a..b", "*.*.b", "a*.b", "http://a", "a:80", "a/b", "-a.b", "[::1", "[::1]:80", "ä.b",
    ] {
        assert!(bad.parse::<HostPattern>().is_err(), "{bad:?}");
    }
}

#[test]
fn path_patterns_take_one_segment_or_many() {
    let check = |pattern: &str, path: &str, expect: bool| {
        assert_eq!(
            PathPattern::new(pattern).unwrap().matches(path),
            expect,
            "{pattern} {path}"
        );
    };
    check("/a", "/a", true);
    check("/a", "/a/", false);
    check("/a/*", "/a/b", true);
    check("/a/*", "/a/b/c", false);
    check("/a/**", "/a/b/c", true);
    check("/a/**", "/a/", true);
    check("**.css", "/x/y.css", true);
    check("**.css", "/x/y.css.map", false);
    check("/*/x/**/z", "/a/x/b/c/z", true);
    check("/*/x/**/z", "/a/b/x/c/z", false);
    check("/**a*b", "/xaxab", true);
    check("/**a*b", "/xa/ab", true);
    check("/**a*b", "/xa/b", false);
    let hostile = format!("/{}", "a".repeat(4000));
    check(&format!("/{}b", "**a".repeat(50)), &hostile, false);
    assert!(PathPattern::new("a").is_none());
}

fn key(
    rules: &KeyRules,
    host: &str,
    target: &str,
    fields: &[(&'static str, &'static str)],
) -> u128 {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, value.parse().unwrap());
    }
    cache_key(
        &service("s", &["*"]),
        Scheme::Http,
        host.as_bytes(),
        target,
        rules,
        &map,
    )
    .0
}

/// Nodes of different versions share keys: a change here empties every cache and re-places every key.
#[test]
fn keys_are_what_they_were() {
    let keys = [
        key(&KeyRules::default(), "www.example.com", "/a?b=1", &[]),
        key(
            &KeyRules {
                headers: vec!["x-country".parse().unwrap()],
                cookies: vec!["lang".into()],
                ..KeyRules::default()
            },
            "www.example.com",
            "/",
            &[("x-country", "de"), ("cookie", "a=1; lang=fr")],
        ),
    ];
    assert_eq!(keys, GOLDEN, "{keys:#x?}");
}

const GOLDEN: [u128; 2] = [
    0x603a_c227_38f9_a80f_6c19_5c39_539d_fd65,
    0x47e4_3551_72b5_73ea_d193_1fcf_b57a_b718,
];

/// The bytes that are digested, as another implementation would write them down.
#[test]
fn keys_short_and_long_are_digests_of_the_same_frames() {
    for length in 1..600 {
        let path = format!("/{}", "p".repeat(length));
        let parts: [(u8, &str); 7] = [
            (b's', "s"),
            (b'c', "http"),
            (b'h', "www.example.com"),
            (b'p', &path),
            (b'q', "b=1"),
            (b'n', "x-country"),
            (b'v', "de"),
        ];
        let mut framed = Vec::new();
        for (kind, text) in parts {
            framed.push(kind);
            framed.extend((text.len() as u64).to_le_bytes());
            framed.extend(text.as_bytes());
        }
        let rules = KeyRules {
            headers: vec!["x-country".parse().unwrap()],
            ..KeyRules::default()
        };
        let target = format!("{path}?b=1");
        let found = key(&rules, "www.example.com", &target, &[("x-country", "de")]);
        assert_eq!(found, xxhash_rust::xxh3::xxh3_128(&framed), "{length}");
    }
}

#[test]
fn what_the_origin_may_tell_apart_has_different_keys() {
    let plain = KeyRules::default();
    let targets = [
        "/", "/?", "/?a", "/?a=", "/a", "/A", "/%61", "/a/", "/?a&b", "/?b&a", "/a%2Fb", "/a/b",
        "/a/../a", "/./a", "//a",
    ];
    let mut seen = std::collections::HashSet::new();
    for target in targets {
        assert!(seen.insert(key(&plain, "h", target, &[])), "{target}");
    }
    assert!(seen.insert(key(&plain, "h:8080", "/", &[])));
    assert_eq!(key(&plain, "H:80", "/", &[]), key(&plain, "h", "/", &[]));
    // RFC 3986 §6.2.2.1: the one thing in a target that nobody may tell apart
    let (lower, upper) = ("/a%2fb?c=%c3%A4", "/a%2Fb?c=%C3%A4");
    assert_eq!(key(&plain, "h", lower, &[]), key(&plain, "h", upper, &[]));
    let https = cache_key(
        &service("s", &["*"]),
        Scheme::Https,
        b"h",
        "/",
        &plain,
        &HeaderMap::new(),
    );
    assert!(seen.insert(https.0));
}

#[test]
fn query_rules_drop_and_sort_parameters() {
    let check = |query: QueryRule, sort: bool, a: &str, b: &str, same: bool| {
        let rules = KeyRules {
            query,
            sort_query: sort,
            ..KeyRules::default()
        };
        assert_eq!(
            key(&rules, "h", a, &[]) == key(&rules, "h", b, &[]),
            same,
            "{rules:?} {a} {b}"
        );
    };
    let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    check(QueryRule::Drop, false, "/?a=1", "/", true);
    check(
        QueryRule::Only(names(&["v"])),
        false,
        "/?a=1&v=2",
        "/?v=2",
        true,
    );
    check(
        QueryRule::Only(names(&["v"])),
        false,
        "/?v=1",
        "/?v=2",
        false,
    );
    check(
        QueryRule::Except(names(&["utm_source"])),
        false,
        "/?utm_source=x&q=1",
        "/?q=1",
        true,
    );
    check(
        QueryRule::Except(names(&["utm_source"])),
        false,
        "/?utm_source=x",
        "/",
        true,
    );
    check(QueryRule::Keep, true, "/?b=1&a=2", "/?a=2&b=1", true);
    check(QueryRule::Keep, true, "/?a=1&a=2", "/?a=2&a=1", false);
}

#[test]
fn header_and_cookie_parts_tell_absent_from_empty_and_one_from_another() {
    let rules = KeyRules {
        headers: vec!["x-a".parse().unwrap()],
        cookies: vec!["c".into()],
        ..KeyRules::default()
    };
    let keys = [
        key(&rules, "h", "/", &[]),
        key(&rules, "h", "/", &[("x-a", "")]),
        key(&rules, "h", "/", &[("x-a", "1")]),
        key(&rules, "h", "/", &[("cookie", "c=1")]),
        key(&rules, "h", "/", &[("cookie", "c=")]),
    ];
    assert_eq!(
        keys.iter().collect::<std::collections::HashSet<_>>().len(),
        keys.len()
    );
    assert_eq!(
        keys[3],
        key(&rules, "h", "/", &[("cookie", "d=2; c=1; c=3")])
    );
}

#[test]
fn hosts_are_canonical_without_the_default_port() {
    let check = |host: &str, scheme, expect: &str| {
        assert_eq!(&*canonical_host(host.as_bytes(), scheme), expect.as_bytes());
    };
    check("A.example", Scheme::Http, "a.example");
    check("a.example:80", Scheme::Http, "a.example");
    check("a.example:443", Scheme::Http, "a.example:443");
    check("a.example:443", Scheme::Https, "a.example");
    check("[::1]:80", Scheme::Http, "[::1]");
    check("A.example.", Scheme::Http, "a.example");
    check("a.example.:80", Scheme::Http, "a.example");
    check("A.example.:8080", Scheme::Http, "a.example:8080");
}

#[test]
fn a_copy_has_the_scopes_that_purges_name() {
    let service = service("s", &["*"]);
    let rules = KeyRules {
        query: QueryRule::Drop,
        ..KeyRules::default()
    };
    let mut ids = Vec::new();
    scope_ids(
        &service,
        b"H.example:443",
        "/a/b/c.html?x=1",
        &rules,
        &mut ids,
    )
    .unwrap();
    let host = "h.example";
    for scope in [
        Scope::Url {
            host,
            path: "/a/b/c.html",
            query: Some("x=1"),
        },
        Scope::Url {
            host,
            path: "/a/b/c.html",
            query: None,
        },
        Scope::Prefix { host, path: "" },
        Scope::Prefix { host, path: "/a" },
        Scope::Prefix { host, path: "/a/b" },
        Scope::Prefix {
            host,
            path: "/a/b/c.html",
        },
        Scope::Host { host },
        Scope::Service { service: "s" },
        Scope::Everything,
    ] {
        assert!(ids.contains(&scope.id()), "{scope:?}");
    }
    assert_eq!(ids.len(), 9);
    let deep = "/x".repeat(40);
    assert!(scope_ids(&service, b"h", &deep, &rules, &mut ids).is_err());
}

#[test]
fn tags_come_from_all_four_fields_and_are_bounded() {
    let mut fields = HeaderMap::new();
    fields.append("surrogate-key", "a  b".parse().unwrap());
    fields.append("xkey", "c".parse().unwrap());
    fields.append("cache-tag", "d e, f".parse().unwrap());
    fields.append("cache-groups", "\"g\", h, \"i\";x=1".parse().unwrap());
    let found: Vec<String> = tags(&fields)
        .unwrap()
        .into_iter()
        .map(|t| String::from_utf8(t).unwrap())
        .collect();
    assert_eq!(found, ["a", "b", "c", "d e", "f", "g", "i"]);
    fields.append("xkey", "x ".repeat(300).trim().parse().unwrap());
    assert!(tags(&fields).is_err());
    for (groups, found) in [
        (r#""x,y", "x;y";z="1,2""#, vec!["x,y", "x;y"]),
        (r#""a\"b""#, vec!["a\"b"]),
    ] {
        let mut fields = HeaderMap::new();
        fields.append("cache-groups", groups.parse().unwrap());
        let found: Vec<Vec<u8>> = found.into_iter().map(Into::into).collect();
        assert_eq!(tags(&fields), Ok(found), "{groups}");
    }
    let mut unreadable = HeaderMap::new();
    unreadable.append("cache-groups", "\"a\", \"b".parse().unwrap());
    assert_eq!(tags(&unreadable), Err(TagsError::Unreadable));
    let mut long = HeaderMap::new();
    long.append("xkey", "x".repeat(257).parse().unwrap());
    assert!(tags(&long).is_err());
}
