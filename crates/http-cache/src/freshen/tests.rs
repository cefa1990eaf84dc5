use http::HeaderValue;

use super::*;

fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_str(value).unwrap());
    }
    fields
}

/// `name: value` lines, sorted by name.
fn shown(fields: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines
}

type Lines<'a> = &'a [(&'static str, &'a str)];

fn check(id: &str, stored: Lines<'_>, update: Lines<'_>, expect: &[&str]) {
    check_form(id, Form::AsReceived, stored, update, expect);
}

fn check_form(id: &str, form: Form, stored: Lines<'_>, update: Lines<'_>, expect: &[&str]) {
    let mut fields = head(stored);
    freshen(&mut fields, &head(update), form);
    assert_eq!(shown(&fields), expect, "RFC 9111 §3.2: {id}");
}

#[test]
fn an_update_replaces_all_but_what_the_stored_bytes_depend_on() {
    check("nothing", &[("etag", "\"1\"")], &[], &["etag: \"1\""]);
    check(
        "replaced and added",
        &[("cache-control", "max-age=1"), ("x-a", "1"), ("x-a", "2")],
        &[("cache-control", "max-age=2"), ("x-a", "3"), ("x-b", "4")],
        &["cache-control: max-age=2", "x-a: 3", "x-b: 4"],
    );
    check(
        "several lines",
        &[("vary", "a")],
        &[("vary", "b"), ("vary", "c")],
        &["vary: b", "vary: c"],
    );
    let stored: Lines<'_> = &[
        ("content-length", "5"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("content-language", "en"),
        ("digest", "a"),
    ];
    let update: Lines<'_> = &[
        ("content-length", "0"),
        ("content-type", "text/plain"),
        ("content-encoding", "br"),
        ("content-range", "bytes 0-1/2"),
        ("content-location", "/a"),
        ("content-disposition", "inline"),
        ("content-md5", "x"),
        ("content-language", "de"),
        ("accept-ranges", "none"),
        ("digest", "b"),
    ];
    for (id, form, coding) in [
        ("as received", Form::AsReceived, "content-encoding: br"),
        ("coded here", Form::CodedHere, "content-encoding: gzip"),
    ] {
        let expect = [
            "accept-ranges: none",
            "content-disposition: inline",
            coding,
            "content-language: de",
            "content-length: 5",
            "content-location: /a",
            "content-md5: x",
            "content-type: text/plain",
            "digest: b",
        ];
        check_form(id, form, stored, update, &expect);
    }
    check_form(
        "plain, coded here",
        Form::CodedHere,
        &[("content-type", "text/html")],
        &[("content-encoding", "br")],
        &["content-type: text/html"],
    );
    check(
        "of the connection",
        &[("x-one", "1")],
        &[
            ("connection", "x-one, close"),
            ("x-one", "2"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "a"),
        ],
        &["x-one: 1"],
    );
    check(
        "cookie that the copy has",
        &[("set-cookie", "a=1")],
        &[("set-cookie", "a=2")],
        &["set-cookie: a=2"],
    );
    check(
        "cookie that it has not",
        &[("x", "1")],
        &[("set-cookie", "a=2")],
        &["x: 1"],
    );
}

#[test]
fn a_weak_tag_is_never_made_strong_by_an_update() {
    // RFC 9110 §8.8.1: other bytes may have gone under it, as with servers that weaken the tag of what they code as they
    // send, and not that of a 304
    for (id, stored, update, expect) in [
        ("made strong", "W/\"1\"", "\"1\"", "etag: W/\"1\""),
        ("as it was", "W/\"1\"", "W/\"1\"", "etag: W/\"1\""),
        ("made weak", "\"1\"", "W/\"1\"", "etag: W/\"1\""),
        ("strong", "\"1\"", "\"1\"", "etag: \"1\""),
    ] {
        check(id, &[("etag", stored)], &[("etag", update)], &[expect]);
    }
    check("none before", &[], &[("etag", "\"1\"")], &["etag: \"1\""]);
}

#[test]
fn age_and_date_are_those_of_the_update() {
    check(
        "both new",
        &[("age", "9"), ("date", "old")],
        &[("age", "3"), ("date", "new")],
        &["age: 3", "date: new"],
    );
    check(
        "none",
        &[("age", "9"), ("date", "old")],
        &[("etag", "\"1\"")],
        &["etag: \"1\""],
    );
}

#[test]
fn a_304_carries_what_guides_caches_and_nothing_of_the_bytes() {
    // RFC 9110 §15.4.5
    let stored = head(&[
        ("cache-control", "max-age=60"),
        ("content-location", "/a"),
        ("date", "d"),
        ("etag", "\"1\""),
        ("expires", "e"),
        ("vary", "accept"),
        ("vary", "x"),
        ("last-modified", "l"),
        ("content-type", "text/html"),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("content-language", "en"),
        ("accept-ranges", "bytes"),
        ("set-cookie", "a=b"),
        ("access-control-allow-origin", "*"),
        ("surrogate-key", "k"),
        ("transfer-encoding", "chunked"),
    ]);
    assert_eq!(
        shown(&not_modified_fields(&stored)),
        [
            "access-control-allow-origin: *",
            "cache-control: max-age=60",
            "content-location: /a",
            "date: d",
            "etag: \"1\"",
            "expires: e",
            "surrogate-key: k",
            "vary: accept",
            "vary: x",
        ]
    );
    assert_eq!(
        shown(&fleet_not_modified_fields(&stored)),
        [
            "accept-ranges: bytes",
            "access-control-allow-origin: *",
            "cache-control: max-age=60",
            "content-encoding: gzip",
            "content-language: en",
            "content-location: /a",
            "content-type: text/html",
            "date: d",
            "etag: \"1\"",
            "expires: e",
            "last-modified: l",
            "set-cookie: a=b",
            "surrogate-key: k",
            "vary: accept",
            "vary: x",
        ],
        "another cache learns all (RFC 9111 §3.2)"
    );
    let dated = head(&[("last-modified", "l"), ("content-type", "text/html")]);
    assert_eq!(
        shown(&not_modified_fields(&dated)),
        ["last-modified: l"],
        "without a tag the date identifies"
    );
}

#[test]
fn a_validation_asks_with_the_copys_validators_only() {
    // RFC 9111 §4.3.1
    let own = [
        ("if-match", "\"9\""),
        ("if-none-match", "\"9\""),
        ("if-modified-since", "x"),
        ("if-unmodified-since", "x"),
        ("if-range", "\"9\""),
        ("range", "bytes=0-1"),
        ("accept", "a"),
    ];
    for (stored, any, expect) in [
        (vec![], false, vec!["accept: a"]),
        (
            vec![("etag", "W/\"1\"")],
            true,
            vec!["accept: a", "if-none-match: W/\"1\""],
        ),
        (
            vec![("last-modified", "l")],
            true,
            vec!["accept: a", "if-modified-since: l"],
        ),
        (
            vec![("etag", "\"1\""), ("last-modified", "l")],
            true,
            vec!["accept: a", "if-modified-since: l", "if-none-match: \"1\""],
        ),
    ] {
        let mut request = head(&own);
        assert_eq!(
            validation_fields(&head(&stored), &mut request),
            any,
            "{stored:?}"
        );
        assert_eq!(shown(&request), expect, "{stored:?}");
    }
}

#[test]
fn an_update_applies_to_the_copy_whose_validators_it_repeats() {
    // RFC 9111 §4.3.4
    let tag = |value: &'static str| ("etag", value);
    let modified = |value: &'static str| ("last-modified", value);
    for (id, stored, update, applies) in [
        ("no validators", vec![tag("\"1\"")], vec![], true),
        ("same tag", vec![tag("\"1\"")], vec![tag("\"1\"")], true),
        ("other tag", vec![tag("\"1\"")], vec![tag("\"2\"")], false),
        ("weakened", vec![tag("W/\"1\"")], vec![tag("\"1\"")], true),
        (
            "tag before date",
            vec![tag("\"1\""), modified("a")],
            vec![tag("\"1\""), modified("b")],
            true,
        ),
        ("same date", vec![modified("a")], vec![modified("a")], true),
        (
            "other date",
            vec![modified("a")],
            vec![modified("b")],
            false,
        ),
        (
            "new tag",
            vec![modified("a")],
            vec![tag("\"1\""), modified("a")],
            true,
        ),
    ] {
        assert_eq!(
            update_applies(&head(&stored), &head(&update)),
            applies,
            "{id}"
        );
    }
}

#[test]
fn a_refusal_has_nothing_of_the_copy_that_guides_caches_or_describes_bytes() {
    // RFC 9110 §15.5.13, §15.5.17; RFC 9111 §3
    let stored = head(&[
        ("age", "1"),
        ("cache-control", "public, max-age=60"),
        ("cdn-cache-control", "max-age=60"),
        ("surrogate-control", "max-age=60"),
        ("expires", "e"),
        ("pragma", "x"),
        ("last-modified", "l"),
        ("set-cookie", "a=b"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("content-length", "5"),
        ("content-location", "/a"),
        ("content-security-policy", "x"),
        ("accept-ranges", "bytes"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("date", "d"),
        ("etag", "\"1\""),
        ("vary", "accept"),
        ("via", "1.1 x"),
        ("cache-status", "x"),
        ("seawall-label", "1"),
    ]);
    assert_eq!(
        shown(&refusal_fields(&stored)),
        [
            "accept-ranges: bytes",
            "cache-status: x",
            "content-security-policy: x",
            "date: d",
            "etag: \"1\"",
            "seawall-label: 1",
            "vary: accept",
            "via: 1.1 x",
        ]
    );
}
