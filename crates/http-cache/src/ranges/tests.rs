use http::{HeaderMap, HeaderValue};

use super::*;

const T1: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const T2: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn shown(ranges: &Ranges) -> String {
    match ranges {
        Ranges::Whole => "whole".to_owned(),
        Ranges::Unsatisfiable => "416".to_owned(),
        Ranges::Parts(parts) => {
            let part = |p: &ByteRange| format!("{}..{}", p.start, p.end);
            parts.iter().map(part).collect::<Vec<_>>().join(" ")
        }
    }
}

fn request(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_str(value).unwrap());
    }
    fields
}

/// In 2023; the dates of the rows are of 1994.
const NOW: Timestamp = Timestamp(1_700_006_400);

fn ranges(
    request: &HeaderMap,
    etag: Option<&[u8]>,
    modified: Option<&[u8]>,
    date: Option<&[u8]>,
    len: u64,
) -> Ranges {
    super::ranges(request, etag, modified, date, len, NOW)
}

fn check(value: &str, len: u64, expect: &str) {
    let got = ranges(&request(&[("range", value)]), None, None, None, len);
    assert_eq!(shown(&got), expect, "RFC 9110 §14.1.2: {value} of {len}");
}

#[test]
fn one_range_is_cut_to_the_representation() {
    check("bytes=0-499", 10_000, "0..500");
    check("bytes=500-999", 10_000, "500..1000");
    check("bytes=-500", 10_000, "9500..10000");
    check("bytes=9500-", 10_000, "9500..10000");
    check("bytes=0-0", 10_000, "0..1");
    check("bytes=-1", 10_000, "9999..10000");
    check("bytes=0-", 10_000, "0..10000");
    check("bytes=0-99999", 10_000, "0..10000");
    check("bytes=-99999", 10_000, "0..10000");
    check("bytes=9999-9999", 10_000, "9999..10000");
    check("bytes=000-001", 10_000, "0..2");
    check("Bytes=0-1", 10_000, "0..2");
    check(" bytes=0-1 ", 10_000, "0..2");
    check("bytes= 0-1", 10_000, "0..2");
    check("bytes=0-18446744073709551615", 10_000, "0..10000");
    check("bytes=0-99999999999999999999999", 10_000, "0..10000");
    check("bytes=-99999999999999999999999", 10_000, "0..10000");
    check("bytes=0-1", u64::MAX, "0..2");
}

#[test]
fn a_range_outside_is_unsatisfiable() {
    check("bytes=10000-", 10_000, "416");
    check("bytes=10000-10001", 10_000, "416");
    check("bytes=99999999999999999999999-", 10_000, "416");
    check("bytes=-0", 10_000, "416");
    check("bytes=10000-,20000-,-0", 10_000, "416");
    check("bytes=0-", 0, "416");
    check("bytes=0-0", 0, "416");
    check("bytes=-0", 0, "416");
    check("bytes=-5", 0, "whole");
}

#[test]
fn a_range_that_is_not_understood_is_ignored() {
    for value in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-4",
        "bytes=0-1,5-4",
        "bytes=0-1,x",
        "bytes=0 -1",
        "bytes=0- 1",
        "bytes=+0-1",
        "bytes=0-1;2-3",
        "bytes =0-1",
        "bytes:0-1",
        "items=0-1",
        "bytes=0-1, bytes=2-3",
        "0-1",
        "bytes=0x0-1",
        "none",
        "bytes=\"0-1\"",
    ] {
        check(value, 10_000, "whole");
    }
    let two = request(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
    assert_eq!(ranges(&two, None, None, None, 10), Ranges::Whole);
    assert_eq!(ranges(&request(&[]), None, None, None, 10), Ranges::Whole);
}

#[test]
fn several_ranges_come_apart_and_ascending() {
    check("bytes=0-0,-1", 10_000, "0..1 9999..10000");
    check("bytes=500-600,601-999", 10_000, "500..1000");
    check("bytes=500-700,601-999", 10_000, "500..1000");
    check("bytes=0-9,11-19", 10_000, "0..10 11..20");
    check("bytes=20-29,0-9", 10_000, "0..10 20..30");
    check("bytes=0-99,10-19", 10_000, "0..100");
    check("bytes=0-1 , ,\t4-5,", 10_000, "0..2 4..6");
    check("bytes=0-1,10000-", 10_000, "0..2");
    check("bytes=0-1,-0", 10_000, "0..2");
    check("bytes=0-,0-,-10000", 10_000, "0..10000");
    let specs = |n: usize| {
        (0..n)
            .map(|n| format!("{}-{}", n * 10, n * 10))
            .collect::<Vec<_>>()
            .join(",")
    };
    let many = ranges(
        &request(&[("range", &format!("bytes={}", specs(RANGES_MAX)))]),
        None,
        None,
        None,
        10_000,
    );
    assert!(matches!(many, Ranges::Parts(parts) if parts.len() == RANGES_MAX));
    check(&format!("bytes={}", specs(RANGES_MAX + 1)), 10_000, "whole");
}

#[test]
fn if_range_holds_for_a_strong_validator_that_is_equal() {
    // RFC 9110 §13.1.5
    let (tag, weak) = (Some("\"1\""), Some("W/\"1\""));
    for (id, if_range, etag, modified, date, holds) in [
        ("same tag", "\"1\"", tag, None, None, true),
        ("other tag", "\"2\"", tag, None, None, false),
        ("weak asked", "W/\"1\"", tag, None, None, false),
        ("weak stored", "\"1\"", weak, None, None, false),
        ("both weak", "W/\"1\"", weak, None, None, false),
        ("no tag", "\"1\"", None, Some(T1), Some(T2), false),
        ("list", "\"1\", \"2\"", tag, None, None, false),
        ("star", "*", tag, None, None, false),
        ("unquoted", "1", Some("1"), None, None, false),
        ("empty", "", tag, None, None, false),
        ("same date", T1, tag, Some(T1), Some(T2), true),
        (
            "same date, rfc850",
            "Sunday, 06-Nov-94 08:49:36 GMT",
            None,
            Some(T1),
            Some(T2),
            true,
        ),
        (
            "later date is not equal",
            T2,
            None,
            Some(T1),
            Some(T2),
            false,
        ),
        ("date not strong", T1, None, Some(T1), Some(T1), false),
        ("date, no Date", T1, None, Some(T1), None, false),
        ("date, no Last-Modified", T1, None, None, Some(T2), false),
    ] {
        let fields = request(&[("range", "bytes=0-1"), ("if-range", if_range)]);
        let bytes = |value: Option<&'static str>| value.map(str::as_bytes);
        let got = ranges(&fields, bytes(etag), bytes(modified), bytes(date), 10);
        assert_eq!(shown(&got), if holds { "0..2" } else { "whole" }, "{id}");
    }
    let two = request(&[
        ("range", "bytes=0-1"),
        ("if-range", "\"1\""),
        ("if-range", "\"1\""),
    ]);
    assert_eq!(
        ranges(&two, Some(b"\"1\""), None, None, 10),
        Ranges::Whole,
        "twice"
    );
    let alone = request(&[("if-range", "\"1\"")]);
    assert_eq!(
        ranges(&alone, Some(b"\"1\""), None, None, 10),
        Ranges::Whole,
        "§13.1.5: without Range ignored"
    );
    let outside = request(&[("range", "bytes=10-"), ("if-range", "\"2\"")]);
    assert_eq!(
        ranges(&outside, Some(b"\"1\""), None, None, 10),
        Ranges::Whole,
        "no 416 for another version"
    );
}
