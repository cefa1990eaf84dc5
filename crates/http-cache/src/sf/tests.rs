use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

/// Reads `a=<value>`; the value as it came out.
fn bare(id: &str, value: &str, expect: Option<&BareItem>) {
    let parsed = Dictionary::parse(format!("a={value}").as_bytes());
    let got = parsed.as_ref().and_then(|d| d.item("a"));
    assert_eq!(got, expect, "{id}: {value}");
}

#[test]
fn numbers_are_integers_of_15_digits_or_decimals_of_12_and_3() {
    use BareItem::{Decimal, Integer};
    // RFC 9651 §4.2.4
    for (id, value, expect) in [
        ("sf-num-01", "0", Some(Integer(0))),
        ("sf-num-02", "42", Some(Integer(42))),
        ("sf-num-03", "-42", Some(Integer(-42))),
        ("sf-num-04", "-0", Some(Integer(0))),
        ("sf-num-05", "00060", Some(Integer(60))),
        (
            "sf-num-06",
            "999999999999999",
            Some(Integer(999_999_999_999_999)),
        ),
        (
            "sf-num-07",
            "-999999999999999",
            Some(Integer(-999_999_999_999_999)),
        ),
        ("sf-num-08 too long", "1000000000000000", None),
        ("sf-num-09 zeros count too", "0000000000000001", None),
        ("sf-num-10", "4.5", Some(Decimal(4500))),
        ("sf-num-11", "-0.05", Some(Decimal(-50))),
        ("sf-num-12", "1.123", Some(Decimal(1123))),
        (
            "sf-num-13",
            "999999999999.999",
            Some(Decimal(999_999_999_999_999)),
        ),
        ("sf-num-14 too long", "1234567890123.0", None),
        ("sf-num-15 too fine", "1.1234", None),
        ("sf-num-16 point last", "1.", None),
        ("sf-num-17 point first", ".5", None),
        ("sf-num-18 two points", "1.2.3", None),
        ("sf-num-19 sign alone", "-", None),
        ("sf-num-20 two signs", "--1", None),
        ("sf-num-21 plus", "+1", None),
        ("sf-num-22 sign, point", "-.1", None),
        ("sf-num-23 word behind", "60s", None),
        ("sf-num-24 exponent", "1e3", None),
    ] {
        bare(id, value, expect.as_ref());
    }
}

#[test]
fn strings_tokens_booleans_bytes_dates_and_display_strings_are_read_strictly() {
    use BareItem::{Boolean, Bytes, Date, Display, String, Token};
    let text = |s: &str| s.to_owned();
    for (id, value, expect) in [
        // §4.2.5
        ("sf-str-01", r#""""#, Some(String(text("")))),
        ("sf-str-02", r#""a b""#, Some(String(text("a b")))),
        ("sf-str-03", r#""a\"b\\c""#, Some(String(text("a\"b\\c")))),
        (
            "sf-str-04 comma inside",
            r#""a, b=1""#,
            Some(String(text("a, b=1"))),
        ),
        ("sf-str-05 other escape", r#""a\n""#, None),
        ("sf-str-06 not closed", r#""a"#, None),
        ("sf-str-07 not closed, escape", "\"a\\", None),
        ("sf-str-08 tab", "\"a\tb\"", None),
        ("sf-str-09 not ascii", "\"\u{e4}\"", None),
        ("sf-str-10 single quotes", "'a'", None),
        ("sf-str-11 behind it", r#""a"b"#, None),
        // §4.2.6
        ("sf-tok-01", "a", Some(Token(text("a")))),
        ("sf-tok-02", "A-b.c:d/e*~", Some(Token(text("A-b.c:d/e*~")))),
        ("sf-tok-03", "*", Some(Token(text("*")))),
        ("sf-tok-04 other bytes", "a@", None),
        ("sf-tok-05 first byte", "!a", None),
        // §4.2.7
        ("sf-bin-01", "::", Some(Bytes(vec![]))),
        ("sf-bin-02", ":aGVsbG8=:", Some(Bytes(b"hello".to_vec()))),
        (
            "sf-bin-03 no padding",
            ":aGVsbG8:",
            Some(Bytes(b"hello".to_vec())),
        ),
        ("sf-bin-04", ":aGk=:", Some(Bytes(b"hi".to_vec()))),
        ("sf-bin-05", ":aA==:", Some(Bytes(b"h".to_vec()))),
        ("sf-bin-06", ":+/+/:", Some(Bytes(vec![0xfb, 0xff, 0xbf]))),
        ("sf-bin-07 pad bits", ":iZ==:", Some(Bytes(vec![0x89]))),
        ("sf-bin-08 half a byte", ":a:", None),
        ("sf-bin-09 too much padding", ":aGk==:", None),
        ("sf-bin-10 padding inside", ":aG=k:", None),
        ("sf-bin-11 other alphabet", ":_-_-:", None),
        ("sf-bin-12 not closed", ":aGk=", None),
        ("sf-bin-13 space", ":aG k:", None),
        // §4.2.8
        ("sf-boo-01", "?1", Some(Boolean(true))),
        ("sf-boo-02", "?0", Some(Boolean(false))),
        ("sf-boo-03", "?2", None),
        ("sf-boo-04", "?", None),
        ("sf-boo-05", "?11", None),
        // §4.2.9
        ("sf-dat-01", "@0", Some(Date(0))),
        ("sf-dat-02", "@-62135596800", Some(Date(-62_135_596_800))),
        ("sf-dat-03 decimal", "@1.5", None),
        ("sf-dat-04 nothing", "@", None),
        // §4.2.10
        ("sf-dis-01", "%\"a\"", Some(Display(text("a")))),
        ("sf-dis-02", "%\"f%c3%bc\"", Some(Display(text("f\u{fc}")))),
        ("sf-dis-03 upper case", "%\"f%C3%BC\"", None),
        ("sf-dis-04 not utf-8", "%\"%ff\"", None),
        ("sf-dis-05 cut", "%\"%f\"", None),
        ("sf-dis-06 no quote", "%a", None),
        ("sf-dis-07 not closed", "%\"a", None),
        ("sf-dis-08 not ascii", "%\"\u{fc}\"", None),
        // §4.2.3.1
        ("sf-bar-01 nothing", "", None),
        ("sf-bar-02", "{1}", None),
        ("sf-bar-03 space before", " 1", None),
    ] {
        bare(id, value, expect.as_ref());
    }
}

/// Whether it can be read, and how many members it then has.
fn members(id: &str, value: &str, expect: Option<usize>) {
    let got = Dictionary::parse(value.as_bytes()).map(|d| d.0.0.len());
    assert_eq!(got, expect, "{id}: {value}");
}

#[test]
fn a_dictionary_is_read_whole_or_not_at_all() {
    for (id, value, expect) in [
        // RFC 9651 §4.2, §4.2.2
        ("sf-dic-01 empty", "", Some(0)),
        ("sf-dic-02 spaces", "   ", Some(0)),
        ("sf-dic-03", "a", Some(1)),
        ("sf-dic-04", "a=1, b, c=?0", Some(3)),
        ("sf-dic-05 no space", "a=1,b=2", Some(2)),
        ("sf-dic-06 tabs between", "a=1\t,\tb=2", Some(2)),
        ("sf-dic-07 space around", "  a=1  ", Some(1)),
        ("sf-dic-08 tab before", "\ta=1", None),
        ("sf-dic-09 comma last", "a=1,", None),
        ("sf-dic-10 comma first", ",a=1", None),
        ("sf-dic-11 two commas", "a=1,,b", None),
        ("sf-dic-12 no comma", "a=1 b=2", None),
        ("sf-dic-13 semicolon alone", "a=1;", None),
        ("sf-dic-14 space before =", "a =1", None),
        ("sf-dic-15 nothing behind =", "a=", None),
        ("sf-dic-16 nothing behind =, comma", "a=, b", None),
        ("sf-dic-17 one bad member", "a=1, b=60s, c", None),
        // §4.2.3.3
        ("sf-key-01", "a1_-.*=1, *x", Some(2)),
        ("sf-key-02 upper case", "Max-Age=1", None),
        ("sf-key-03 upper case inside", "maX=1", None),
        ("sf-key-04 digit", "1a=1", None),
        ("sf-key-05 quoted", "\"a\"=1", None),
        ("sf-key-06 none", "=1", None),
        // §4.2.3.2
        ("sf-par-01", "a=1;b;c=2; d=\"x\"", Some(1)),
        ("sf-par-02 of a key alone", "a;b=1, c", Some(2)),
        ("sf-par-03 space before ;", "a=1 ;b", None),
        ("sf-par-04 tab behind ;", "a=1;\tb", None),
        ("sf-par-05 upper case", "a=1;B", None),
        ("sf-par-06 inner list as value", "a=1;b=(1)", None),
        // §4.2.1.2
        ("sf-inn-01", "a=()", Some(1)),
        ("sf-inn-02", "a=( 1  \"b\" c;x=1 );y, d", Some(2)),
        ("sf-inn-03 not closed", "a=(1", None),
        ("sf-inn-04 comma", "a=(1, 2)", None),
        ("sf-inn-05 no space", "a=(\"b\"\"c\")", None),
        ("sf-inn-06 nested", "a=((1))", None),
        ("sf-inn-07 tab", "a=(1\t2)", None),
        ("sf-inn-08 without a key", "(1 2)", None),
        ("sf-inn-09 closed twice", "a=(1))", None),
        ("sf-oth-01 nul", "a=\0", None),
        ("sf-oth-02 not ascii", "\u{e4}=1", None),
    ] {
        members(id, value, expect);
    }
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    let read = Dictionary::parse(b"a=1, b=(1 2);p=1;p=2, a=?0;x=1;x=tok").unwrap();
    assert_eq!(read.item("a"), Some(&BareItem::Boolean(false)));
    assert_eq!(read.item("b"), None, "it is no item");
    assert_eq!(read.get("c"), None);
    let Some(Member::Item(a)) = read.get("a") else {
        panic!("{read:?}")
    };
    assert_eq!(a.parameter("x"), Some(&BareItem::Token("tok".into())));
    assert_eq!(a.parameter("y"), None);
    let Some(Member::Inner(items, parameters)) = read.get("b") else {
        panic!("{read:?}")
    };
    assert_eq!(items.len(), 2);
    assert_eq!(parameters.get("p"), Some(&BareItem::Integer(2)));
}

#[test]
fn lines_of_one_field_are_one_dictionary() {
    let field = |lines: &[&str]| {
        let mut fields = HeaderMap::new();
        for line in lines {
            let name = HeaderName::from_static("x-one");
            fields.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        Dictionary::of_field(&fields, "x-one")
    };
    assert_eq!(field(&[]), None);
    assert!(field(&[""]).unwrap().is_empty());
    let two = field(&["a=1, b", "a=2"]).unwrap();
    assert_eq!(two.item("a"), Some(&BareItem::Integer(2)));
    assert_eq!(two.item("b"), Some(&BareItem::Boolean(true)));
    // §4.2: joined first, read then
    for broken in [&["a=1", ""][..], &["a=1,", "b"], &["a=\"x", "y"]] {
        assert_eq!(field(broken), None, "{broken:?}");
    }
    let odd = field(&["a=\"x", "y\""]).unwrap();
    assert_eq!(odd.item("a"), Some(&BareItem::String("x, y".into())));
    let long = "a".repeat(VALUE_BYTES_MAX);
    assert!(field(&[&long]).is_some());
    assert_eq!(field(&[&long, "a"]), None);
}

#[test]
fn what_has_more_parts_than_the_bounds_is_no_dictionary() {
    let joined = |one: &str, separator: &str, n: usize| vec![one; n].join(separator);
    members("members", &joined("a", ",", MEMBERS_MAX), Some(MEMBERS_MAX));
    members("members", &joined("a", ",", MEMBERS_MAX + 1), None);
    let inner = |n| format!("a=({})", joined("1", " ", n));
    members("items", &inner(INNER_ITEMS_MAX), Some(1));
    members("items", &inner(INNER_ITEMS_MAX + 1), None);
    let parameters = |n| format!("a;{}", joined("b", ";", n));
    members("parameters", &parameters(PARAMETERS_MAX), Some(1));
    members("parameters", &parameters(PARAMETERS_MAX + 1), None);
    members("bytes", &"a".repeat(VALUE_BYTES_MAX + 1), None);
    members("open lists", &"a=(".repeat(1000), None);
}
