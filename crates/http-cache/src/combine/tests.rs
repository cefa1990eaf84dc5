use super::*;
use http::HeaderName;

fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    map
}

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange { start, end }
}

/// Units of 100 bytes, four of them at most.
#[test]
fn a_range_is_sent_on_in_whole_units_and_never_for_more_than_the_most() {
    for (id, asked, expect) in [
        ("9110-14.1.2-01", &["bytes=0-4"][..], Some("bytes=0-99")),
        ("9110-14.1.2-02", &["bytes=99-100"], Some("bytes=0-199")),
        ("9110-14.1.2-03", &["Bytes=100-199"], Some("bytes=100-199")),
        ("9110-14.1.2-04", &["bytes=250-"], Some("bytes=200-599")),
        ("9110-14.1.2-05", &["bytes=0-9999"], Some("bytes=0-399")),
        ("9110-14.1.2-06", &["bytes=-5"], Some("bytes=-104")),
        ("9110-14.1.2-07", &["bytes=-300"], Some("bytes=-399")),
        ("9110-14.1.2-08", &["bytes=-301"], Some("bytes=0-99")),
        // of several the first; the others are asked for once the length is known
        (
            "9110-14.1.2-09",
            &["bytes=, 120-130, 7-8"],
            Some("bytes=100-199"),
        ),
        ("9110-14.2-01", &["bytes=-0"], None),
        ("9110-14.2-02", &["bytes=5-4"], None),
        ("9110-14.2-03", &["lines=1-2"], None),
        ("9110-14.2-04", &["bytes=a-b"], None),
        ("9110-14.2-05", &["bytes="], None),
        ("9110-14.2-06", &["bytes=1"], None),
        ("9110-14.2-07", &["bytes=0-1", "bytes=2-3"], None),
        (
            "9110-14.2-08",
            &["bytes=18446744073709551615-"],
            Some("bytes=0-99"),
        ),
        (
            "9110-14.2-10",
            &["bytes=5-99999999999999999999999"],
            Some("bytes=0-399"),
        ),
        ("9110-14.2-09", &[], None),
    ] {
        let lines: Vec<(&str, &str)> = asked.iter().map(|line| ("range", *line)).collect();
        let forwarded = range_to_forward(&fields(&lines), 100, 400);
        let forwarded = forwarded.as_ref().map(|v| v.to_str().unwrap());
        assert_eq!(forwarded, expect, "{id}: {asked:?}");
    }
}

#[test]
fn a_part_is_stored_with_a_strong_tag_and_a_known_length_alone() {
    const TAG: (&str, &str) = ("etag", "\"v1\"");
    let told = |value| ("content-range", value);
    let part = |start, end, length| {
        Ok(Incomplete {
            range: range(start, end),
            length,
        })
    };
    for (id, answer, expect) in [
        (
            "9111-3.3-01",
            vec![TAG, told("bytes 0-4/10")],
            part(0, 5, 10),
        ),
        (
            "9111-3.3-02",
            vec![TAG, told("Bytes 5-9/10")],
            part(5, 10, 10),
        ),
        (
            "9111-3.3-03",
            vec![TAG, told("bytes 0-4/10"), ("content-length", "5")],
            part(0, 5, 10),
        ),
        // all of it: there is nothing to combine
        ("9111-3.3-04", vec![told("bytes 0-9/10")], part(0, 10, 10)),
        (
            "9111-3.3-05",
            vec![("etag", "W/\"v1\""), told("bytes 0-9/10")],
            part(0, 10, 10),
        ),
        (
            "9111-3.4-01",
            vec![told("bytes 0-4/10")],
            Err(NotCombinable::Validator(10)),
        ),
        (
            "9111-3.4-02",
            vec![("etag", "W/\"v1\""), told("bytes 0-4/10")],
            Err(NotCombinable::Validator(10)),
        ),
        (
            "9111-3.4-03",
            vec![TAG, TAG, told("bytes 0-4/10")],
            Err(NotCombinable::Validator(10)),
        ),
        (
            "9111-3.4-04",
            vec![
                ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
                told("bytes 0-4/10"),
            ],
            Err(NotCombinable::Validator(10)),
        ),
        (
            "9110-14.4-01",
            vec![TAG, told("bytes 0-4/*")],
            Err(NotCombinable::Length),
        ),
        (
            "9110-14.4-02",
            vec![TAG, told("bytes */10")],
            Err(NotCombinable::Range),
        ),
        (
            "9110-14.4-03",
            vec![TAG, told("bytes 0-10/10")],
            Err(NotCombinable::Range),
        ),
        (
            "9110-14.4-04",
            vec![TAG, told("bytes 4-3/10")],
            Err(NotCombinable::Range),
        ),
        (
            "9110-14.4-05",
            vec![TAG, told("items 0-4/10")],
            Err(NotCombinable::Range),
        ),
        (
            "9110-14.4-06",
            vec![TAG, told("0-4/10")],
            Err(NotCombinable::Range),
        ),
        ("9110-14.4-07", vec![TAG], Err(NotCombinable::Range)),
        (
            "9110-14.4-08",
            vec![TAG, told("bytes 0-4/10"), told("bytes 0-4/10")],
            Err(NotCombinable::Range),
        ),
        (
            "9110-14.4-09",
            vec![TAG, told("bytes 0-18446744073709551615/*")],
            Err(NotCombinable::Range),
        ),
        (
            "9110-15.3.7.1-01",
            vec![TAG, told("bytes 0-4/10"), ("content-length", "4")],
            Err(NotCombinable::Range),
        ),
        (
            "9110-15.3.7.2-01",
            vec![
                TAG,
                told("bytes 0-4/10"),
                ("content-type", "Multipart/byteranges; boundary=x"),
            ],
            Err(NotCombinable::Range),
        ),
    ] {
        assert_eq!(incomplete(&fields(&answer)), expect, "{id}: {answer:?}");
    }
}

#[test]
fn the_fields_of_a_part_become_those_of_the_whole() {
    let mut stored = fields(&[
        ("content-range", "bytes 0-4/10"),
        ("content-length", "5"),
        ("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        ("content-digest", "sha-256=:AA==:"),
        ("repr-digest", "sha-256=:AA==:"),
        ("etag", "\"v1\""),
    ]);
    fields_of_the_whole(&mut stored, 10);
    let whole = fields(&[
        ("content-length", "10"),
        ("repr-digest", "sha-256=:AA==:"),
        ("etag", "\"v1\""),
    ]);
    assert_eq!(stored, whole);
}

#[test]
fn what_is_missing_is_asked_for_by_one_range() {
    for (id, held, expect) in [
        ("9111-3.4-05", (0, 5), (5, 10)),
        ("9111-3.4-06", (5, 10), (0, 5)),
        ("9111-3.4-07", (3, 6), (0, 10)),
    ] {
        let more = missing(range(held.0, held.1), 10);
        assert_eq!((more.start, more.end), expect, "{id}");
    }
}

#[test]
fn parts_are_combined_to_the_whole_or_not_at_all() {
    let whole = Some(&b"0123456789"[..]);
    for (id, held, more, expect) in [
        ("9111-3.4-08", (0, "01234"), (5, "56789"), whole),
        ("9111-3.4-09", (5, "56789"), (0, "01234"), whole),
        ("9111-3.4-10", (3, "345"), (0, "0123456789"), whole),
        // the same bytes twice, and not the same
        ("9111-3.4-11", (3, "xyz"), (0, "0123456789"), None),
        ("9111-3.4-12", (0, "01234"), (6, "6789"), None),
        ("9111-3.4-13", (6, "6789"), (0, "01234"), None),
        ("9111-3.4-14", (0, "01234"), (5, "5678"), None),
    ] {
        let of = |(start, bytes): (u64, &'static str)| {
            let range = range(start, start + bytes.len() as u64);
            (range, bytes.as_bytes())
        };
        let combined = combine(of(held), of(more), 10);
        assert_eq!(combined.as_deref(), expect, "{id}");
    }
    let cut = (range(5, 10), &b"5678"[..]);
    assert_eq!(combine((range(0, 5), b"01234"), cut, 10), None);
}

#[test]
fn a_206_and_a_416_answer_a_range_and_nothing_else() {
    for status in [200, 204, 304, 404, 412, 503] {
        assert!(!is_of_the_range(StatusCode::from_u16(status).unwrap()));
    }
    for status in [206, 416] {
        assert!(is_of_the_range(StatusCode::from_u16(status).unwrap()));
    }
}
