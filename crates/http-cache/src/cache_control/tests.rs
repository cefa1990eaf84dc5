use http::{HeaderMap, HeaderValue};

use super::*;

fn fields(name: &'static str, lines: &[&str]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines {
        fields.append(name, HeaderValue::from_str(line).unwrap());
    }
    fields
}

fn names(names: &[HeaderName]) -> String {
    names
        .iter()
        .map(HeaderName::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What was read, in one line.
fn shown(cc: &CacheControl) -> String {
    let mut out = Vec::new();
    for (set, name) in [
        (cc.no_store, "no-store"),
        (cc.no_cache, "no-cache"),
        (cc.private, "private"),
        (cc.public, "public"),
        (cc.must_revalidate, "must-revalidate"),
        (cc.proxy_revalidate, "proxy-revalidate"),
        (cc.must_understand, "must-understand"),
        (cc.no_transform, "no-transform"),
    ] {
        out.extend(set.then(|| name.to_owned()));
    }
    for (value, name) in [
        (cc.max_age, "max-age"),
        (cc.s_maxage, "s-maxage"),
        (cc.stale_while_revalidate, "swr"),
        (cc.stale_if_error, "sie"),
    ] {
        out.extend(value.map(|v| format!("{name}={v}")));
    }
    for (list, name) in [
        (&cc.no_cache_fields, "no-cache"),
        (&cc.private_fields, "private"),
    ] {
        if !list.is_empty() {
            out.push(format!("{name}=[{}]", names(list)));
        }
    }
    out.join(", ")
}

fn check(id: &str, lines: &[&str], expect: &str) {
    let cc = CacheControl::parse(&fields("cache-control", lines));
    assert_eq!(shown(&cc), expect, "{id}: {lines:?}");
}

#[test]
fn response_directives_are_read_conservatively() {
    check("absent", &[], "");
    check("empty", &[""], "");
    check("commas only", &[",, ,"], "");
    // RFC 9111 §5.2: names in any case, unknown ones ignored, several lines are one list
    check(
        "5.2 case",
        &["No-Store, MAX-AGE=5, Public"],
        "no-store, public, max-age=5",
    );
    check(
        "5.2 unknown",
        &["foo, bar=1, baz=\"x, no-store\", max-age=5"],
        "max-age=5",
    );
    check("5.2 lines", &["max-age=5", "private"], "private, max-age=5");
    check(
        "5.2 prefix is no name",
        &["max-age-x=5, xno-store, no-store-x"],
        "",
    );
    check("immutable", &["max-age=5, immutable"], "max-age=5");
    // §5.2 both argument forms
    check("5.2 quoted number", &["max-age=\"5\""], "max-age=5");
    check("5.2 single quotes", &["max-age='5'"], "max-age=0");
    // §4.2.1 an invalid number is stale
    check("4.2.1 word", &["max-age=abc"], "max-age=0");
    check("4.2.1 negative", &["max-age=-5"], "max-age=0");
    check("4.2.1 plus", &["max-age=+5"], "max-age=0");
    check("4.2.1 fraction", &["max-age=5.5"], "max-age=0");
    check("4.2.1 none", &["max-age"], "max-age=0");
    check("4.2.1 empty", &["max-age="], "max-age=0");
    check("4.2.1 empty quoted", &["max-age=\"\""], "max-age=0");
    check("4.2.1 space before =", &["max-age =5"], "max-age=0");
    check("4.2.1 space behind =", &["max-age= 5"], "max-age=0");
    check("4.2.1 space within", &["max-age=5 5"], "max-age=0");
    check("4.2.1 semicolon", &["max-age=5; public"], "max-age=0");
    check("4.2.1 hex", &["max-age=0x10"], "max-age=0");
    check(
        "4.2.1 s-maxage",
        &["s-maxage=x, max-age=5"],
        "max-age=5, s-maxage=0",
    );
    check(
        "4.2.1 windows",
        &["stale-while-revalidate=x, stale-if-error"],
        "swr=0, sie=0",
    );
    check("leading zeros", &["max-age=005"], "max-age=5");
    // §1.2.2 overflow
    check("1.2.2 2^31", &["max-age=2147483648"], "max-age=2147483648");
    check(
        "1.2.2 beyond",
        &["max-age=2147483649"],
        "max-age=2147483648",
    );
    check(
        "1.2.2 far beyond",
        &["max-age=99999999999999999999999999999"],
        "max-age=2147483648",
    );
    // §4.2.1 duplicates: the smallest
    check("4.2.1 larger first", &["max-age=9, max-age=5"], "max-age=5");
    check(
        "4.2.1 smaller first",
        &["max-age=5", "max-age=9"],
        "max-age=5",
    );
    check("4.2.1 one invalid", &["max-age=5, max-age=x"], "max-age=0");
    check(
        "4.2.1 windows",
        &["stale-if-error=9, stale-if-error=5"],
        "sie=5",
    );
    // restrictions count with arguments, permissions only without
    check("no-store=1", &["no-store=1"], "no-store");
    check(
        "must-revalidate=x",
        &["must-revalidate=x"],
        "must-revalidate",
    );
    check(
        "proxy-revalidate=x",
        &["proxy-revalidate=\"\""],
        "proxy-revalidate",
    );
    check("no-transform", &["no-transform=x"], "no-transform");
    check("public=x", &["public=x, must-understand=x"], "");
    check(
        "public",
        &["public, must-understand"],
        "public, must-understand",
    );
    // §5.2.2.4, §5.2.2.7
    check("5.2.2.4 all", &["no-cache"], "no-cache");
    check(
        "5.2.2.4 one",
        &["no-cache=\"Set-Cookie\""],
        "no-cache=[set-cookie]",
    );
    check(
        "5.2.2.4 several",
        &["no-cache=\"a, B ,,c\""],
        "no-cache=[a b c]",
    );
    check(
        "5.2.2.4 both forms",
        &["no-cache=\"a\", no-cache"],
        "no-cache, no-cache=[a]",
    );
    check("5.2.2.4 token", &["no-cache=a"], "no-cache");
    check("5.2.2.4 empty", &["no-cache=\"\""], "no-cache");
    check(
        "5.2.2.4 no name",
        &["no-cache=\"a, b c\""],
        "no-cache, no-cache=[a]",
    );
    check("5.2.2.7 all", &["private"], "private");
    check("5.2.2.7 one", &["private=\"x-user\""], "private=[x-user]");
    check("5.2.2.7 token", &["private=1"], "private");
    check("5.2.2.7 unclosed", &["private=\"x-user"], "private");
    check(
        "5.2.2.7 escaped",
        &["private=\"x\\-user\""],
        "private=[x-user]",
    );
    // directives inside quoted strings are none, behind a quote that is never closed they are
    check(
        "quoted",
        &["foo=\"no-store\", bar=\"private, max-age=0\""],
        "",
    );
    check("unclosed quote", &["foo=\"bar, no-store"], "no-store");
    check(
        "quote closed in another line",
        &["foo=\"bar, no-store", "baz\", private"],
        "no-store, private",
    );
    // RFC 5861
    check(
        "5861 §3 §4",
        &["max-age=600, stale-while-revalidate=30, stale-if-error=1200"],
        "max-age=600, swr=30, sie=1200",
    );
    check("5861 case", &["Stale-While-Revalidate=\"30\""], "swr=30");
}

#[test]
fn too_many_qualified_names_mean_the_whole_response() {
    let list = (0..65)
        .map(|n| format!("x-{n}"))
        .collect::<Vec<_>>()
        .join(",");
    let cc = CacheControl::parse(&fields("cache-control", &[&format!("private=\"{list}\"")]));
    assert!(cc.private);
    assert_eq!(cc.private_fields.len(), 64);
}

fn check_request(id: &str, name: &'static str, lines: &[&str], expect: RequestDirectives) {
    let got = RequestDirectives::parse(&fields(name, lines));
    assert_eq!(got, expect, "{id}: {lines:?}");
    assert_eq!(
        got.is_empty(),
        expect == RequestDirectives::default(),
        "{id}"
    );
}

#[test]
fn request_directives_are_read_conservatively() {
    let none = RequestDirectives::default();
    let cc = "cache-control";
    check_request("absent", cc, &[], none);
    check_request("unknown", cc, &["foo, public, private, s-maxage=1"], none);
    check_request(
        "5.2.1.4",
        cc,
        &["No-Cache"],
        RequestDirectives {
            no_cache: true,
            ..none
        },
    );
    check_request(
        "5.2.1.5",
        cc,
        &["no-store=x"],
        RequestDirectives {
            no_store: true,
            ..none
        },
    );
    check_request(
        "5.2.1.6",
        cc,
        &["no-transform"],
        RequestDirectives {
            no_transform: true,
            ..none
        },
    );
    check_request(
        "5.2.1.7",
        cc,
        &["only-if-cached"],
        RequestDirectives {
            only_if_cached: true,
            ..none
        },
    );
    let max_age = |n| RequestDirectives {
        max_age: Some(n),
        ..none
    };
    check_request("5.2.1.1", cc, &["max-age=5"], max_age(5));
    check_request(
        "5.2.1.1 smallest",
        cc,
        &["max-age=5", "max-age=3"],
        max_age(3),
    );
    check_request("5.2.1.1 unreadable", cc, &["max-age=x"], max_age(0));
    check_request("5.2.1.1 none", cc, &["max-age"], max_age(0));
    let max_stale = |n| RequestDirectives {
        max_stale: Some(n),
        ..none
    };
    check_request("5.2.1.2", cc, &["max-stale=5"], max_stale(5));
    check_request(
        "5.2.1.2 any",
        cc,
        &["max-stale"],
        max_stale(DELTA_SECONDS_MAX),
    );
    check_request(
        "5.2.1.2 smallest",
        cc,
        &["max-stale, max-stale=5"],
        max_stale(5),
    );
    check_request("5.2.1.2 unreadable", cc, &["max-stale=x"], none);
    let on_error = |n| RequestDirectives {
        stale_if_error: Some(n),
        ..none
    };
    check_request("5861 §4", cc, &["Stale-If-Error=5"], on_error(5));
    check_request(
        "5861 §4 smallest",
        cc,
        &["stale-if-error=5", "stale-if-error=3"],
        on_error(3),
    );
    check_request("5861 §4 unreadable", cc, &["stale-if-error"], none);
    let min_fresh = |n| RequestDirectives {
        min_fresh: Some(n),
        ..none
    };
    check_request("5.2.1.3", cc, &["min-fresh=5"], min_fresh(5));
    check_request(
        "5.2.1.3 largest",
        cc,
        &["min-fresh=5, min-fresh=9"],
        min_fresh(9),
    );
    check_request(
        "5.2.1.3 unreadable",
        cc,
        &["min-fresh=x"],
        min_fresh(DELTA_SECONDS_MAX),
    );
    check_request(
        "5.4",
        "pragma",
        &["foo, No-Cache"],
        RequestDirectives {
            no_cache: true,
            ..none
        },
    );
    check_request("5.4 other", "pragma", &["foo=no-cache"], none);
    let mut both = fields("pragma", &["no-cache"]);
    both.insert("cache-control", HeaderValue::from_static("max-age=5"));
    assert_eq!(
        RequestDirectives::parse(&both),
        max_age(5),
        "5.4: Cache-Control goes before Pragma"
    );
}
