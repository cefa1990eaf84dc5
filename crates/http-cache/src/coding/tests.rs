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
            may_compress(&fields, &Targets::default(), &CompressTypes::Known),
            expect,
            "{lines:?}"
        );
    }
}

#[test]
fn an_operator_may_list_what_is_coded() {
    let patterns = ["text/html", "Application/*", "image/*+xml"].map(|text| text.parse().unwrap());
    let types = CompressTypes::Listed(patterns.into());
    for (value, expect) in [
        ("text/html", true),
        ("TEXT/HTML; charset=utf-8", true),
        (" text/html ", true),
        ("text/css", false),
        ("text/htm", false),
        ("text/html5", false),
        ("application/octet-stream", true),
        ("application/", false),
        ("application", false),
        ("image/svg+XML", true),
        ("image/+xml", false),
        ("image/xml", false),
        ("", false),
    ] {
        assert_eq!(types.contain(Some(value.as_bytes())), expect, "{value}");
    }
    assert!(!types.contain(None));
    let events = CompressTypes::Listed(vec!["text/*".parse().unwrap()]);
    assert!(events.contain(Some(b"text/plain")));
    assert!(!events.contain(Some(b"Text/Event-Stream")));
    assert!(!CompressTypes::Listed(Vec::new()).contain(Some(b"text/html")));
}

#[test]
fn what_is_no_pattern_of_media_types_is_refused() {
    for text in [
        "",
        "text",
        "text/",
        "/html",
        "*",
        "*/*",
        "*/html",
        "text/*html",
        "text/*+",
        "text/h*",
        "text/html;q=1",
        "text/a b",
        "text/**",
        "text/*+*",
    ] {
        assert!(text.parse::<TypePattern>().is_err(), "{text}");
    }
}

#[test]
fn the_only_coding_of_an_answer_may_be_undone_unless_something_binds_its_bytes() {
    let gzip = ("content-encoding", "gzip");
    for (lines, expect) in [
        (vec![gzip], Some(ContentCoding::Gzip)),
        (
            vec![("content-encoding", " BR ")],
            Some(ContentCoding::Brotli),
        ),
        (
            vec![("content-encoding", "zstd")],
            Some(ContentCoding::Zstd),
        ),
        (vec![("content-encoding", "identity")], None),
        (vec![("content-encoding", "gzip, br")], None),
        (vec![gzip, gzip], None),
        (vec![gzip, ("cache-control", "no-transform")], None),
        (vec![gzip, ("content-range", "bytes 0-1/2")], None),
        (vec![gzip, ("repr-digest", "x")], None),
        (vec![], None),
    ] {
        let mut fields = HeaderMap::new();
        for (name, value) in &lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(
            may_decode(&fields, &Targets::default()),
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
