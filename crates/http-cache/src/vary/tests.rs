use http::HeaderValue;

use super::*;

fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_str(value).unwrap());
    }
    fields
}

fn shown(vary: &Vary) -> String {
    match vary {
        Vary::None => "none".to_owned(),
        Vary::Star => "*".to_owned(),
        Vary::Fields(names) => names
            .iter()
            .map(HeaderName::as_str)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

#[test]
fn selecting_fields_are_sorted_and_anything_unreadable_is_a_star() {
    for (lines, expect) in [
        (vec![], "none"),
        (vec![""], "none"),
        (vec![", ,"], "none"),
        (vec!["Accept"], "accept"),
        (vec!["b, A", "a,C"], "a b c"),
        (vec!["*"], "*"),
        (vec!["accept, *"], "*"),
        (vec!["accept", "*"], "*"),
        (vec!["accept encoding"], "*"),
        (vec!["accept; q=1"], "*"),
        (vec!["\"accept\""], "*"),
    ] {
        let fields: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
        assert_eq!(
            shown(&vary(&head(&fields))),
            expect,
            "RFC 9110 §12.5.5: {lines:?}"
        );
    }
}

#[test]
fn the_number_of_selecting_fields_is_bounded() {
    let list = |n: usize| {
        (0..n)
            .map(|n| format!("x-{n}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let many = list(VARY_FIELDS_MAX);
    assert!(
        matches!(vary(&head(&[("vary", &many)])), Vary::Fields(names) if names.len() == VARY_FIELDS_MAX)
    );
    assert!(matches!(
        vary(&head(&[("vary", &many), ("vary", &many)])),
        Vary::Fields(_)
    ));
    assert_eq!(
        vary(&head(&[("vary", &list(VARY_FIELDS_MAX + 1))])),
        Vary::Star
    );
}

fn digest(lines: &[(&'static str, &str)]) -> u64 {
    let names = [HeaderName::from_static("a"), HeaderName::from_static("b")];
    variant_digest(&names, &head(lines))
}

#[test]
fn requests_that_select_the_same_response_have_the_same_digest() {
    // RFC 9111 §4.1
    let base = digest(&[("a", "x, y"), ("b", "z")]);
    for (id, lines) in [
        ("other fields", vec![("a", "x, y"), ("b", "z"), ("c", "1")]),
        ("order of fields", vec![("b", "z"), ("a", "x, y")]),
        ("white space", vec![("a", "  x\t,y "), ("b", "z")]),
        ("lines", vec![("a", "x"), ("a", "y"), ("b", "z")]),
        ("empty elements", vec![("a", "x,, y,"), ("b", "z")]),
    ] {
        assert_eq!(digest(&lines), base, "{id}");
    }
}

#[test]
fn requests_that_may_select_another_response_have_other_digests() {
    let rows = [
        vec![("a", "x, y"), ("b", "z")],
        vec![("a", "y, x"), ("b", "z")],
        vec![("a", "X, y"), ("b", "z")],
        vec![("a", "x"), ("b", "y, z")],
        vec![("a", "xy"), ("b", "z")],
        vec![("a", "x y"), ("b", "z")],
        vec![("a", "\"x, y\""), ("b", "z")],
        vec![("a", "\"x,y\""), ("b", "z")],
        vec![("a", "x, y")],
        vec![("a", "x, y"), ("b", "")],
        vec![("b", "x, y")],
        vec![("a", ""), ("b", "")],
        vec![("a", "")],
        vec![("b", "")],
        vec![],
    ];
    let mut digests: Vec<_> = rows.iter().map(|row| digest(row)).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), rows.len());
    assert!(digests.iter().all(|d| *d > 1));
}

/// The digest by one field alone.
fn digest_by(name: &'static str, lines: &[&str]) -> u64 {
    let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
    variant_digest(&[HeaderName::from_static(name)], &head(&lines))
}

#[test]
fn spellings_of_the_same_preferences_have_the_same_digest() {
    // RFC 9111 §4.1: "known to have identical semantics, according to that header field's specification"
    let (language, coding) = ("accept-language", "accept-encoding");
    for (id, name, one, other) in [
        (
            "4.1-01 order",
            language,
            &["de, en;q=0.5"][..],
            &["en;q=0.5,de"][..],
        ),
        ("4.1-02 case", language, &["de-AT"], &["DE-at"]),
        ("4.1-03 weight", language, &["de"], &["de;q=1.0"]),
        ("4.1-04 twice", language, &["de"], &["de, DE"]),
        ("4.1-05 lines", language, &["de", "en"], &["en, de"]),
        ("4.1-06 coding", coding, &["gzip, br"], &["br,  GZIP"]),
        (
            "4.1-07 media",
            "accept",
            &["text/html,*/*"],
            &["*/*, Text/HTML"],
        ),
        (
            "4.1-08 charset",
            "accept-charset",
            &["utf-8"],
            &["UTF-8;q=1"],
        ),
    ] {
        assert_eq!(digest_by(name, one), digest_by(name, other), "{id}");
    }
}

#[test]
fn preferences_that_differ_have_other_digests() {
    let (language, coding) = ("accept-language", "accept-encoding");
    for (id, name, one, other) in [
        (
            "4.1-11 weight",
            language,
            &["de, en;q=0.5"][..],
            &["de, en;q=0.4"][..],
        ),
        (
            "4.1-12 weights",
            language,
            &["de, en;q=0.5"],
            &["en, de;q=0.5"],
        ),
        ("4.1-13 nothing", language, &[], &[""]),
        ("4.1-14 refused", coding, &["gzip, br;q=0"], &["gzip"]),
        ("4.1-15 refused", coding, &["gzip;q=0"], &["gzip"]),
        ("4.1-16 unreadable", coding, &["gzip;q=2"], &["GZIP;q=2"]),
        (
            "4.1-17 unreadable",
            language,
            &["de, en, de;q=0.1"],
            &["en, de, de;q=0.1"],
        ),
        ("4.1-18 parameter", "accept", &["a/b;c=D"], &["a/b;c=d"]),
        (
            "4.1-19 another field",
            "x-language",
            &["de, en"],
            &["en, de"],
        ),
        ("4.1-20 another field", "x-language", &["de"], &["DE"]),
    ] {
        assert_ne!(digest_by(name, one), digest_by(name, other), "{id}");
    }
}

#[test]
fn digests_at_rest_stay_what_they_were() {
    assert_eq!(
        digest(&[("a", "x, y")]),
        10_594_330_615_481_939_080,
        "a change makes every stored variant unreachable"
    );
}
