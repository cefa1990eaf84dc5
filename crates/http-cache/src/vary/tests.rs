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

#[test]
fn digests_at_rest_stay_what_they_were() {
    assert_eq!(
        digest(&[("a", "x, y")]),
        10_594_330_615_481_939_080,
        "a change makes every stored variant unreachable"
    );
}
