use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

type Lines<'a> = &'a [(&'static str, &'a str)];

fn head(lines: Lines<'_>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_static(name);
        fields.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    fields
}

/// The directives in one line, in a fixed order, behind the field that they come from.
fn shown(cc: &CacheControl) -> String {
    let target = cc.target.as_ref().map_or("-", HeaderName::as_str);
    let mut words = vec![target.to_owned()];
    let flags = [
        ("no-store", cc.no_store),
        ("no-cache", cc.no_cache),
        ("private", cc.private),
        ("public", cc.public),
        ("must-revalidate", cc.must_revalidate),
        ("proxy-revalidate", cc.proxy_revalidate),
        ("must-understand", cc.must_understand),
        ("no-transform", cc.no_transform),
    ];
    words.extend(flags.iter().filter(|f| f.1).map(|f| f.0.to_owned()));
    for (name, seconds) in [
        ("max-age", cc.max_age),
        ("s-maxage", cc.s_maxage),
        ("swr", cc.stale_while_revalidate),
        ("sie", cc.stale_if_error),
    ] {
        words.extend(seconds.map(|n| format!("{name}={n}")));
    }
    for (name, fields) in [
        ("no-cache", &cc.no_cache_fields),
        ("private", &cc.private_fields),
    ] {
        words.extend(fields.iter().map(|field| format!("{name}:{field}")));
    }
    words.join(" ")
}

fn check_for(id: &str, targets: &Targets, lines: Lines<'_>, expect: &str) {
    let got = shown(&CacheControl::of(&head(lines), targets));
    assert_eq!(got, expect, "{id}: {lines:?}");
}

fn check(id: &str, lines: Lines<'_>, expect: &str) {
    check_for(id, &Targets::default(), lines, expect);
}

const CC: &str = "cache-control";
const CDN: &str = "cdn-cache-control";
const OURS: &str = "seawall-cache-control";
const SURROGATE: &str = "surrogate-control";

#[test]
fn the_first_field_of_the_list_that_can_be_read_and_says_something_governs() {
    for (id, lines, expect) in [
        // RFC 9213 §2.2
        ("9213-2.2-01", &[][..], "-"),
        ("9213-2.2-02", &[(CC, "max-age=1")], "- max-age=1"),
        (
            "9213-2.2-03",
            &[(CC, "no-store, max-age=1"), (CDN, "max-age=2")],
            "cdn-cache-control max-age=2",
        ),
        (
            "9213-2.2-04",
            &[(CC, "max-age=9"), (CDN, "no-store")],
            "cdn-cache-control no-store",
        ),
        (
            "9213-2.2-05 the more special one",
            &[(CDN, "max-age=2"), (OURS, "max-age=3"), (CC, "max-age=1")],
            "seawall-cache-control max-age=3",
        ),
        (
            "9213-2.2-06 not merged",
            &[(CDN, "max-age=2, stale-if-error=5"), (OURS, "max-age=3")],
            "seawall-cache-control max-age=3",
        ),
        (
            "9213-2.2-07 the next, where one cannot be read",
            &[(OURS, "max-age=3s"), (CDN, "max-age=2"), (CC, "max-age=1")],
            "cdn-cache-control max-age=2",
        ),
        (
            "9213-2.2-08 others' targets",
            &[("other-cache-control", "max-age=2"), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.2-09 nothing that is known",
            &[(CDN, "x-thing=1"), (CC, "max-age=1")],
            "cdn-cache-control",
        ),
        (
            "9213-2.2-10 not on the list",
            &[(SURROGATE, "max-age=2"), (CC, "max-age=1")],
            "- max-age=1",
        ),
        // §2.1: empty, or not parsed, is as if absent
        (
            "9213-2.1-01",
            &[(CDN, ""), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.1-02",
            &[(CDN, "  "), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.1-03",
            &[(CDN, "max-age=5, &"), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.1-04 case",
            &[(CDN, "Max-Age=5"), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.1-05 number too long",
            &[(CDN, "max-age=9999999999999999"), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.1-06 comma last",
            &[(CDN, "max-age=5,"), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.1-07 space around =",
            &[(CDN, "max-age = 5"), (CC, "max-age=1")],
            "- max-age=1",
        ),
        (
            "9213-2.1-08 not ascii",
            &[(CDN, "max-age=5, a=\"\u{e4}\""), (CC, "no-store")],
            "- no-store",
        ),
    ] {
        check(id, lines, expect);
    }
}

#[test]
fn a_member_counts_in_the_type_of_its_directive_alone() {
    for (id, value, expect) in [
        // RFC 9213 §2.1
        ("9213-2.1-10", "max-age=60", " max-age=60"),
        (
            "9213-2.1-11 parameters",
            "max-age=60;x=\"y\", public;z",
            " public max-age=60",
        ),
        (
            "9213-2.1-12 unknown",
            "max-age=60, x=(1 2), y",
            " max-age=60",
        ),
        (
            "9213-2.1-13 last one",
            "max-age=60, max-age=5",
            " max-age=5",
        ),
        (
            "9213-2.1-14 last one, wrong",
            "max-age=60, max-age=\"5\"",
            "",
        ),
        ("9213-2.1-15 zeros", "max-age=0060", " max-age=60"),
        ("9213-2.1-16 zero", "max-age=0", " max-age=0"),
        ("9213-2.1-17 negative", "max-age=-1", " max-age=0"),
        (
            "9213-2.1-18 large",
            "max-age=999999999999999",
            " max-age=2147483648",
        ),
        ("9213-2.1-19 string", "max-age=\"60\"", ""),
        ("9213-2.1-20 decimal", "max-age=60.0", ""),
        ("9213-2.1-21 token", "max-age=a60", ""),
        ("9213-2.1-22 none", "max-age", ""),
        ("9213-2.1-23 inner list", "max-age=(60)", ""),
        ("9213-2.1-24 date", "max-age=@60", ""),
        (
            "9213-2.1-25",
            "s-maxage=5, max-age=9",
            " max-age=9 s-maxage=5",
        ),
        (
            "9213-2.1-26",
            "stale-while-revalidate=3, stale-if-error=4",
            " swr=3 sie=4",
        ),
        (
            "9213-2.1-27",
            "no-store, no-cache, private, public, must-revalidate, proxy-revalidate, must-understand, no-transform",
            " no-store no-cache private public must-revalidate proxy-revalidate must-understand no-transform",
        ),
        (
            "9213-2.1-28 true",
            "no-store=?1, no-cache=?1",
            " no-store no-cache",
        ),
        (
            "9213-2.1-29 false",
            "no-store=?0, no-cache=?0, private=?0, max-age=1",
            " max-age=1",
        ),
        (
            "9213-2.1-30 numbers",
            "no-store=1, no-cache=1, private=1, max-age=1",
            " max-age=1",
        ),
        (
            "9213-2.1-31 strings",
            "no-store=\"\", public=\"\", max-age=1",
            " max-age=1",
        ),
        (
            "9213-2.1-32",
            "private=\"x-a, X-B\", no-cache=\"x-c\"",
            " no-cache:x-c private:x-a private:x-b",
        ),
        (
            "9213-2.1-33 no names",
            "private=\"\", no-cache=\"a b\"",
            " no-cache private",
        ),
        ("9213-2.1-34 token", "private=x-a, max-age=1", " max-age=1"),
        (
            "9213-2.1-35 inner list",
            "private=(\"x-a\"), max-age=1",
            " max-age=1",
        ),
    ] {
        check(id, &[(CDN, value)], &format!("{CDN}{expect}"));
    }
    check(
        "9213-2.1-40 lines",
        &[(CDN, "max-age=60, public"), (CDN, "max-age=5")],
        "cdn-cache-control public max-age=5",
    );
    check(
        "9213-2.1-41 one bad line",
        &[(CDN, "max-age=60"), (CDN, "x=")],
        "-",
    );
}

#[test]
fn no_transform_binds_wherever_it_stands() {
    // RFC 9111 §5.2.2.6
    check(
        "9111-5.2.2.6-1",
        &[(CC, "no-transform, no-store"), (CDN, "max-age=1")],
        "cdn-cache-control no-transform max-age=1",
    );
    check(
        "9111-5.2.2.6-2",
        &[(CC, "max-age=1"), (CDN, "no-transform")],
        "cdn-cache-control no-transform",
    );
}

#[test]
fn surrogate_control_is_read_where_it_is_listed() {
    let targets = Targets::new(vec![CDN_CACHE_CONTROL, SURROGATE_CONTROL]);
    for (id, value, expect) in [
        ("surrogate-01", "max-age=60", " max-age=60 swr=0 sie=0"),
        ("surrogate-02", "max-age=60+30", " max-age=60 swr=30 sie=30"),
        (
            "surrogate-03",
            "Max-Age = 60 + 30",
            " max-age=60 swr=30 sie=30",
        ),
        ("surrogate-04", "no-store", " no-store"),
        (
            "surrogate-05",
            "No-Store, max-age=60, content=\"ESI/1.0\"",
            " no-store max-age=60 swr=0 sie=0",
        ),
        (
            "surrogate-06 smallest",
            "max-age=60+9, max-age=5+10",
            " max-age=5 swr=9 sie=9",
        ),
        (
            "surrogate-07 another's",
            "max-age=60;other, max-age=5",
            " max-age=5 swr=0 sie=0",
        ),
    ] {
        let lines = [(SURROGATE, value), (CC, "max-age=1")];
        check_for(id, &targets, &lines, &format!("{SURROGATE}{expect}"));
    }
    for (id, value) in [
        ("surrogate-11", "content=\"ESI/1.0\""),
        ("surrogate-12", "max-age=x"),
        ("surrogate-13", "max-age=60+x"),
        ("surrogate-14", "max-age=60+"),
        ("surrogate-15", "max-age"),
        ("surrogate-16", "no-store;other"),
        ("surrogate-17", ""),
    ] {
        let lines = [(SURROGATE, value), (CC, "max-age=1")];
        check_for(id, &targets, &lines, "- max-age=1");
    }
    check_for(
        "surrogate-21 the list's order",
        &targets,
        &[(SURROGATE, "max-age=1"), (CDN, "max-age=2")],
        "cdn-cache-control max-age=2",
    );
}

#[test]
fn without_targets_cache_control_alone_counts() {
    let none = Targets::new(Vec::new());
    let lines = [(CDN, "max-age=2"), (OURS, "max-age=3"), (CC, "max-age=1")];
    check_for("9213-2.2-11", &none, &lines, "- max-age=1");
}

#[test]
fn a_target_is_a_field_of_the_kind_that_the_rfc_names() {
    // RFC 9213 §3
    for (name, expect) in [
        ("cdn-cache-control", true),
        ("seawall-cache-control", true),
        ("example-cache-control", true),
        ("surrogate-control", true),
        ("cache-control", false),
        ("x-control", false),
        ("content-length", false),
        ("seawall-other-cache-control", false),
    ] {
        assert_eq!(
            Targets::may_be(&HeaderName::from_static(name)),
            expect,
            "{name}"
        );
    }
}
