use super::*;

#[test]
fn text_is_compressible_and_pictures_are_not() {
    for (value, expect) in [
        ("text/html", true),
        ("TEXT/HTML; charset=utf-8", true),
        ("text/css", true),
        ("text/event-stream", false),
        ("text/", false),
        ("application/json", true),
        ("application/ld+json;profile=x", true),
        ("application/javascript", true),
        ("application/atom+xml", true),
        ("application/wasm", true),
        ("application/octet-stream", false),
        ("application/zip", false),
        ("application/pdf", false),
        ("image/svg+xml", true),
        ("image/png", false),
        ("image/jpeg", false),
        ("font/woff2", false),
        ("font/ttf", true),
        ("video/mp4", false),
        ("multipart/byteranges", false),
        ("", false),
        ("text", false),
    ] {
        assert_eq!(compressible(Some(value.as_bytes())), expect, "{value}");
    }
    assert!(!compressible(None));
}

#[test]
fn an_answer_may_be_coded_unless_something_binds_its_bytes() {
    let html = ("content-type", "text/html");
    for (lines, expect) in [
        (vec![html], true),
        (vec![html, ("cache-control", "max-age=5")], true),
        (
            vec![html, ("cache-control", "max-age=5, no-transform")],
            false,
        ),
        (vec![html, ("content-encoding", "br")], false),
        (vec![html, ("content-encoding", "identity")], false),
        (vec![html, ("content-range", "bytes 0-1/2")], false),
        (vec![html, ("content-md5", "x")], false),
        (vec![html, ("repr-digest", "x")], false),
        (vec![("content-type", "image/png")], false),
        (vec![], false),
    ] {
        let mut fields = HeaderMap::new();
        for (name, value) in &lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(
            may_compress(&fields, &Targets::default()),
            expect,
            "{lines:?}"
        );
    }
}

#[test]
fn a_coded_answer_has_a_weak_tag() {
    for (before, after) in [
        ("\"1\"", Some("W/\"1\"")),
        ("W/\"1\"", Some("W/\"1\"")),
        ("1", None),
    ] {
        let mut fields = HeaderMap::new();
        fields.insert("etag", HeaderValue::from_static(before));
        weaken_etag(&mut fields);
        assert_eq!(
            fields.get("etag").map(|v| v.to_str().unwrap()),
            after,
            "{before}"
        );
    }
    let mut none = HeaderMap::new();
    weaken_etag(&mut none);
    assert!(none.is_empty());
}

#[test]
fn a_selecting_field_is_added_once() {
    for (before, after) in [
        (vec![], vec!["accept-encoding"]),
        (vec!["Accept"], vec!["Accept", "accept-encoding"]),
        (vec!["a, Accept-Encoding"], vec!["a, Accept-Encoding"]),
        (vec!["*"], vec!["*"]),
    ] {
        let mut fields = HeaderMap::new();
        for line in &before {
            fields.append("vary", HeaderValue::from_static(line));
        }
        add_vary(&mut fields, &header::ACCEPT_ENCODING);
        let lines: Vec<_> = fields
            .get_all("vary")
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect();
        assert_eq!(lines, after, "{before:?}");
    }
}
