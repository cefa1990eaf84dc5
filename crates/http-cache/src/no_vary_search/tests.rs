use super::*;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

fn declared(value: &str) -> Option<QueryVariation> {
    let mut fields = HeaderMap::new();
    fields.append("no-vary-search", HeaderValue::from_str(value).unwrap());
    QueryVariation::of(&fields)
}

fn all_but(names: &[&str]) -> Params {
    Params::AllBut(names.iter().map(ToString::to_string).collect())
}

fn only(names: &[&str]) -> Params {
    Params::Only(names.iter().map(ToString::to_string).collect())
}

#[test]
fn a_field_says_which_names_and_whether_their_order_counts() {
    // id, section, field, whether the order counts, which names do
    for (id, section, value, key_order, params) in [
        ("nvs-read-01", "§5.2.1", "key-order", false, all_but(&[])),
        (
            "nvs-read-02",
            "§5.2.1",
            "params=(\"a\")",
            true,
            all_but(&["a"]),
        ),
        (
            "nvs-read-03",
            "§5.2.1",
            "except=(\"x\")",
            true,
            only(&["x"]),
        ),
        ("nvs-read-04", "§5.2.1", "except=()", true, only(&[])),
        ("nvs-read-05", "§5.2.1", "key-order=?1", false, all_but(&[])),
        (
            "nvs-read-06",
            "§5.2.1",
            "except=(\"x\"), key-order",
            false,
            only(&["x"]),
        ),
        (
            "nvs-read-07",
            "§5.1",
            "key-order, params=(\"b\" \"a\" \"b\")",
            false,
            all_but(&["a", "b"]),
        ),
        (
            "nvs-read-08",
            "§5.1 parameters are ignored",
            "params=(\"a\";x=1);y, key-order;z",
            false,
            all_but(&["a"]),
        ),
        (
            "nvs-read-09",
            "§3 unknown members",
            "params=(\"a\"), other=7",
            true,
            all_but(&["a"]),
        ),
        (
            "nvs-read-10",
            "§5.3",
            "params=(\"%C3%A9+%E6%B0%97\")",
            true,
            all_but(&["é 気"]),
        ),
        (
            "nvs-read-11",
            "§5.3",
            "params=(\"a%2bb\" \"100%\")",
            true,
            all_but(&["100%", "a+b"]),
        ),
        (
            "nvs-read-12",
            "§5.1 the last of a key",
            "params=(\"a\"), params=(\"b\")",
            true,
            all_but(&["b"]),
        ),
        ("nvs-read-13", "-04 §4.1", "params", true, only(&[])),
        ("nvs-read-14", "-04 §4.1", "params=?1", true, only(&[])),
        (
            "nvs-read-15",
            "-04 §4.1",
            "params, except=(\"x\")",
            true,
            only(&["x"]),
        ),
        (
            "nvs-read-16",
            "-04 §4.1",
            "params, key-order, except=(\"x\")",
            false,
            only(&["x"]),
        ),
        (
            "nvs-read-17",
            "-04 §4.1",
            "key-order, params=?0",
            false,
            all_but(&[]),
        ),
    ] {
        let expected = QueryVariation { key_order, params };
        assert_eq!(declared(value), Some(expected), "{id} {section}: {value}");
    }
}

#[test]
fn what_makes_no_sense_and_what_says_nothing_is_the_default() {
    let long = format!("params=(\"{}\")", "x".repeat(NAMES_BYTES_MAX + 1));
    for (id, section, value) in [
        ("nvs-default-01", "§5.2.1", "unknown-key"),
        ("nvs-default-02", "§5.2.1", "key-order=\"not a boolean\""),
        ("nvs-default-03", "§5.2.1", "params=\"not an inner list\""),
        ("nvs-default-04", "§5.2.1", "params=(not-a-string)"),
        ("nvs-default-05", "§5.2.1", "params=(\"a\"), except=(\"x\")"),
        ("nvs-default-06", "§5.2.1", "params=(), except=()"),
        ("nvs-default-07", "§5.2.1", "params=?0, except=(\"x\")"),
        ("nvs-default-08", "§5.2.1", "except=\"not an inner list\""),
        ("nvs-default-09", "§5.2.1", "except=(not-a-string)"),
        ("nvs-default-10", "§5.2.1", "except=?1"),
        ("nvs-default-11", "§5.2.1", "params=()"),
        ("nvs-default-12", "§5.2.1", "params=?0"),
        ("nvs-default-13", "§5.2.1", "key-order=?0"),
        ("nvs-default-14", "§5.1", "params, except=(\"x\" 1)"),
        ("nvs-default-15", "§5.1", "key-order=(), params=(\"a\")"),
        ("nvs-default-16", "§5.2, RFC 9651 §4.2", "params=(\"a\""),
        ("nvs-default-17", "§5.2, RFC 9651 §4.2", "params=(\"a\"),"),
        ("nvs-default-18", "§5.2, RFC 9651 §4.2", "Params=(\"a\")"),
        ("nvs-default-19", "§5.2, RFC 9651 §4.2", ""),
        ("nvs-default-20", "§7 may", &long),
    ] {
        assert_eq!(declared(value), None, "{id} {section}: {value}");
    }
    assert_eq!(QueryVariation::of(&HeaderMap::new()), None, "§5.2");
}

#[test]
fn several_lines_are_one_field() {
    let mut fields = HeaderMap::new();
    for line in ["params=(\"a\")", "key-order"] {
        fields.append("no-vary-search", HeaderValue::from_static(line));
    }
    assert_eq!(
        QueryVariation::of(&fields),
        declared("params=(\"a\"), key-order")
    );
}

#[test]
fn urls_are_equivalent_where_what_counts_of_their_queries_is_the_same() {
    let key_order = "key-order";
    // id, section, field, a query, another one, whether they are equivalent
    for (id, section, value, a, b, expected) in [
        // §6.1: whatever is not the default
        ("nvs-same-01", "§6.1", key_order, None, Some(""), true),
        (
            "nvs-same-02",
            "§6.1",
            key_order,
            Some("a=x"),
            Some("%61=%78"),
            true,
        ),
        (
            "nvs-same-03",
            "§6.1",
            key_order,
            Some("a=é"),
            Some("a=%C3%A9"),
            true,
        ),
        (
            "nvs-same-04",
            "§6.1",
            key_order,
            Some("a=%f6"),
            Some("a=%ef%bf%bd"),
            true,
        ),
        (
            "nvs-same-05",
            "§6.1",
            key_order,
            Some("a=x&&&&"),
            Some("a=x"),
            true,
        ),
        (
            "nvs-same-06",
            "§6.1",
            key_order,
            Some("a="),
            Some("a"),
            true,
        ),
        (
            "nvs-same-07",
            "§6.1",
            key_order,
            Some("a=%20"),
            Some("a= &"),
            true,
        ),
        (
            "nvs-same-08",
            "§6.1",
            key_order,
            Some("a=+"),
            Some("a= &"),
            true,
        ),
        (
            "nvs-same-09",
            "§6.1",
            key_order,
            Some("a=%C3%A9"),
            Some("a=e%CC%81"),
            false,
        ),
        (
            "nvs-same-10",
            "§6",
            key_order,
            Some("a=1&b=2"),
            Some("b=2&a=1"),
            true,
        ),
        (
            "nvs-same-11",
            "§6 of one name",
            key_order,
            Some("a=1&a=2"),
            Some("a=2&a=1"),
            false,
        ),
        (
            "nvs-same-12",
            "§6 stable",
            key_order,
            Some("b=1&a=1&b=2"),
            Some("b=1&b=2&a=1"),
            true,
        ),
        (
            "nvs-same-13",
            "§6",
            key_order,
            Some("a=1"),
            Some("a=1&a=1"),
            false,
        ),
        (
            "nvs-same-14",
            "§6",
            key_order,
            Some("a=1"),
            Some("a=2"),
            false,
        ),
        (
            "nvs-same-15",
            "§6 case counts",
            key_order,
            Some("a=1"),
            Some("A=1"),
            false,
        ),
        (
            "nvs-same-16",
            "URL: no encoding",
            key_order,
            Some("a=%"),
            Some("a=%25"),
            true,
        ),
        (
            "nvs-same-17",
            "URL: no encoding",
            key_order,
            Some("a=%4"),
            Some("a=%254"),
            true,
        ),
        (
            "nvs-same-18",
            "URL: decoded once",
            key_order,
            Some("a=%2541"),
            Some("a=%41"),
            false,
        ),
        (
            "nvs-same-19",
            "URL: +",
            key_order,
            Some("a=%2B"),
            Some("a=+"),
            false,
        ),
        (
            "nvs-same-20",
            "URL: first =",
            key_order,
            Some("a=b=c"),
            Some("a=b%3Dc"),
            true,
        ),
        (
            "nvs-same-21",
            "URL: first =",
            key_order,
            Some("a=b=c"),
            Some("a%3Db=c"),
            false,
        ),
        (
            "nvs-same-22",
            "URL: no name",
            key_order,
            Some("=x"),
            Some("x"),
            false,
        ),
        (
            "nvs-same-23",
            "URL: only &",
            key_order,
            Some("a;b"),
            Some("a&b"),
            false,
        ),
        (
            "nvs-same-24",
            "§6",
            "params=(\"u\")",
            Some("a=1&u=2"),
            Some("u=3&a=1&u"),
            true,
        ),
        (
            "nvs-same-25",
            "§6 order",
            "params=(\"u\")",
            Some("a=1&b=2"),
            Some("b=2&a=1"),
            false,
        ),
        (
            "nvs-same-26",
            "§6",
            "params=(\"u\")",
            Some("u=1"),
            None,
            true,
        ),
        (
            "nvs-same-27",
            "§6",
            "params=(\"u\")",
            Some("uu=1"),
            None,
            false,
        ),
        (
            "nvs-same-28",
            "§6",
            "params=(\"u\")",
            Some("%75=1"),
            None,
            true,
        ),
        (
            "nvs-same-29",
            "§5.3",
            "params=(\"%C3%A9+%E6%B0%97\")",
            Some("é 気=1"),
            Some("%C3%A9%20気=3"),
            true,
        ),
        (
            "nvs-same-30",
            "§6",
            "except=(\"id\")",
            Some("id=1&x=2"),
            Some("y&id=1"),
            true,
        ),
        (
            "nvs-same-31",
            "§6",
            "except=(\"id\")",
            Some("id=1"),
            Some("id=2"),
            false,
        ),
        (
            "nvs-same-32",
            "§6",
            "except=(\"id\")",
            Some("id=1&id=2"),
            Some("id=1"),
            false,
        ),
        ("nvs-same-33", "§6", "except=()", Some("a=1"), None, true),
        (
            "nvs-same-34",
            "§6",
            "except=(\"a\" \"b\")",
            Some("a=1&b=2"),
            Some("b=2&a=1"),
            false,
        ),
        (
            "nvs-same-35",
            "§6",
            "except=(\"a\" \"b\"), key-order",
            Some("a=1&c&b=2"),
            Some("b=2&a=1"),
            true,
        ),
        (
            "nvs-same-36",
            "framing",
            "key-order",
            Some("a=b&c=d"),
            Some("a=b%26c%3Dd"),
            false,
        ),
    ] {
        let declared = declared(value).expect(id);
        let canonical = |query: Option<&str>| declared.canonical(query.map(str::as_bytes));
        assert_eq!(
            canonical(a) == canonical(b),
            expected,
            "{id} {section}: {a:?} {b:?}"
        );
    }
}

/// §6 word for word, over pairs that are parsed by another hand.
fn equivalent(of: &QueryVariation, a: &str, b: &str) -> bool {
    let parse = |query: &str| -> Vec<(String, String)> {
        let mut list = Vec::new();
        for part in query.split('&') {
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            list.push((percent(name), percent(value)));
        }
        list.retain(|(name, _)| match &of.params {
            Params::AllBut(names) => !names.contains(name),
            Params::Only(names) => names.contains(name),
        });
        if !of.key_order {
            list.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        }
        list
    };
    parse(a) == parse(b)
}

fn percent(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part
            .get(..2)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn some_variation() -> impl Strategy<Value = QueryVariation> {
    let names = proptest::collection::vec("[ab\u{ff5e}\u{10000}]{0,2}", 0..3);
    (any::<bool>(), any::<bool>(), names).prop_map(|(key_order, but, mut names)| {
        names.sort_unstable();
        names.dedup();
        let params = if but {
            Params::AllBut(names)
        } else {
            Params::Only(names)
        };
        QueryVariation { key_order, params }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_agrees_with_the_algorithm_of_the_draft(
        variation in some_variation(),
        a in "[ab=&%+6124\u{ff5e}\u{10000}é]{0,12}",
        b in "[ab=&%+6124\u{ff5e}\u{10000}é]{0,12}",
    ) {
        let same = variation.canonical(Some(a.as_bytes())) == variation.canonical(Some(b.as_bytes()));
        prop_assert_eq!(same, equivalent(&variation, &a, &b));
    }

    /// Reflexive, symmetric, transitive: it compares values of one function. What is left to show is that the spelling of
    /// a query that says the same does not count.
    #[test]
    fn a_query_is_equivalent_to_its_other_spellings(
        variation in some_variation(),
        pairs in proptest::collection::vec(("[abc é&=%+]{0,3}", "[abc é&=%+]{0,3}"), 0..6),
    ) {
        let plain = |text: &str| -> String {
            let bytes: Vec<String> = text.bytes().map(|b| format!("%{b:02x}")).collect();
            bytes.concat()
        };
        let sparing = |text: &str| -> String {
            text.bytes()
                .map(|b| match b {
                    b'a'..=b'z' => char::from(b).to_string(),
                    b' ' => "+".to_owned(),
                    _ => format!("%{b:02X}"),
                })
                .collect()
        };
        let one: Vec<String> = pairs.iter().map(|(n, v)| format!("{}={}", plain(n), plain(v))).collect();
        let other: Vec<String> = pairs.iter().map(|(n, v)| format!("&{}={}&", sparing(n), sparing(v))).collect();
        prop_assert_eq!(
            variation.canonical(Some(one.join("&").as_bytes())),
            variation.canonical(Some(other.concat().as_bytes()))
        );
    }

    #[test]
    fn no_bytes_are_too_much_for_it(
        value in proptest::collection::vec(32_u8..127, 0..60),
        query in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut fields = HeaderMap::new();
        fields.append("no-vary-search", HeaderValue::from_bytes(&value).unwrap());
        if let Some(variation) = QueryVariation::of(&fields) {
            prop_assert!(!variation.is_default());
            variation.canonical(Some(&query));
        }
    }
}
