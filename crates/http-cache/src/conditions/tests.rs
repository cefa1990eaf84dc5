use http::{HeaderMap, HeaderValue};

use super::*;

const T1: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const T2: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const T3: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

type Lines<'a> = &'a [(&'static str, &'a str)];

struct Copy {
    etag: Option<&'static str>,
    last_modified: Option<&'static str>,
    date: Option<&'static str>,
}

const STRONG: Copy = Copy {
    etag: Some("\"1\""),
    last_modified: Some(T2),
    date: Some(T3),
};
const WEAK: Copy = Copy {
    etag: Some("W/\"1\""),
    ..STRONG
};
const DATED: Copy = Copy {
    etag: None,
    ..STRONG
};
const BARE: Copy = Copy {
    etag: None,
    last_modified: None,
    date: None,
};
const RECEIVED: Copy = Copy {
    date: Some(T2),
    ..BARE
};

fn judge(method: &Method, copy: &Copy, request: Lines<'_>) -> Precondition {
    let mut fields = HeaderMap::new();
    for (name, value) in request {
        fields.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let bytes = |value: Option<&'static str>| value.map(str::as_bytes);
    evaluate(
        method,
        &fields,
        bytes(copy.etag),
        bytes(copy.last_modified),
        bytes(copy.date),
        // in 2023; the dates of the rows are of 1994
        Timestamp(1_700_006_400),
    )
}

fn check(id: &str, copy: &Copy, request: Lines<'_>, expect: Precondition) {
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(
            judge(&method, copy, request),
            expect,
            "{id}: {method} {request:?}"
        );
    }
}

use Precondition::{Failed, NotModified, Proceed};

#[test]
fn if_none_match_compares_weakly() {
    // RFC 9110 §13.1.2
    let inm = "if-none-match";
    check("none", &STRONG, &[], Precondition::None);
    check("same", &STRONG, &[(inm, "\"1\"")], NotModified);
    check("other", &STRONG, &[(inm, "\"2\"")], Proceed);
    check("weak asked", &STRONG, &[(inm, "W/\"1\"")], NotModified);
    check("weak stored", &WEAK, &[(inm, "\"1\"")], NotModified);
    check("both weak", &WEAK, &[(inm, "W/\"1\"")], NotModified);
    check(
        "list",
        &STRONG,
        &[(inm, "\"0\", W/\"1\" , \"2\"")],
        NotModified,
    );
    check("list without", &STRONG, &[(inm, "\"0\", \"2\"")], Proceed);
    check(
        "lines",
        &STRONG,
        &[(inm, "\"0\""), (inm, "\"1\"")],
        NotModified,
    );
    check("comma in tag", &STRONG, &[(inm, "\"0,\"1\"")], Proceed);
    check("star", &STRONG, &[(inm, "*")], NotModified);
    check("star, no tag", &BARE, &[(inm, " * ")], NotModified);
    check("star as tag", &STRONG, &[(inm, "\"*\"")], Proceed);
    check("no tag stored", &DATED, &[(inm, "\"1\"")], Proceed);
    check("unquoted", &STRONG, &[(inm, "1")], Proceed);
    check(
        "unquoted, echoed",
        &Copy {
            etag: Some("1"),
            ..STRONG
        },
        &[(inm, "1")],
        NotModified,
    );
    check(
        "case",
        &Copy {
            etag: Some("\"a\""),
            ..STRONG
        },
        &[(inm, "\"A\"")],
        Proceed,
    );
    check("empty", &STRONG, &[(inm, "")], Proceed);
    check("small w", &STRONG, &[(inm, "w/\"1\"")], Proceed);
    check("star in a list", &STRONG, &[(inm, "*, \"0\"")], Proceed);
    check("comma behind", &STRONG, &[(inm, "\"1\",")], NotModified);
    check("commas alone", &STRONG, &[(inm, ", ,")], Proceed);
    check("tabs", &STRONG, &[(inm, "\"0\"\t,\t\"1\"")], NotModified);
    check("unclosed", &STRONG, &[(inm, "\"1")], Proceed);
}

#[test]
fn if_modified_since_compares_dates_and_yields_to_tags() {
    // RFC 9110 §13.1.3
    let (ims, inm) = ("if-modified-since", "if-none-match");
    check("earlier", &DATED, &[(ims, T1)], Proceed);
    check("equal", &DATED, &[(ims, T2)], NotModified);
    check("later", &DATED, &[(ims, T3)], NotModified);
    check(
        "rfc850",
        &DATED,
        &[(ims, "Sunday, 06-Nov-94 08:49:37 GMT")],
        NotModified,
    );
    check(
        "asctime",
        &DATED,
        &[(ims, "Sun Nov  6 08:49:37 1994")],
        NotModified,
    );
    check(
        "unreadable",
        &DATED,
        &[(ims, "yesterday")],
        Precondition::None,
    );
    check("two", &DATED, &[(ims, T2), (ims, T2)], Precondition::None);
    check(
        "wrong zone",
        &DATED,
        &[(ims, "Sun, 06 Nov 1994 08:49:37 UTC")],
        Precondition::None,
    );
    check("no dates stored", &BARE, &[(ims, T2)], Precondition::None);
    check(
        "9111 §4.3.2: date stands in",
        &RECEIVED,
        &[(ims, T2)],
        NotModified,
    );
    check(
        "9111 §4.3.2: date stands in, later",
        &RECEIVED,
        &[(ims, T1)],
        Proceed,
    );
    let unreadable = Copy {
        last_modified: Some("x"),
        ..DATED
    };
    check("stored unreadable", &unreadable, &[(ims, T3)], NotModified);
    check(
        "tag differs",
        &STRONG,
        &[(inm, "\"2\""), (ims, T3)],
        Proceed,
    );
    check(
        "tag equal, date older",
        &STRONG,
        &[(inm, "\"1\""), (ims, T1)],
        NotModified,
    );
    check("empty tag list", &STRONG, &[(inm, ""), (ims, T3)], Proceed);
}

#[test]
fn if_match_compares_strongly() {
    // RFC 9110 §13.1.1
    let im = "if-match";
    check("same", &STRONG, &[(im, "\"1\"")], Proceed);
    check("other", &STRONG, &[(im, "\"2\"")], Failed);
    check("weak asked", &STRONG, &[(im, "W/\"1\"")], Failed);
    check("weak stored", &WEAK, &[(im, "\"1\"")], Failed);
    check("both weak", &WEAK, &[(im, "W/\"1\"")], Failed);
    check("list", &STRONG, &[(im, "\"0\", \"1\"")], Proceed);
    check("star", &STRONG, &[(im, "*")], Proceed);
    check("star, no tag", &BARE, &[(im, "*")], Proceed);
    check("no tag", &DATED, &[(im, "\"1\"")], Failed);
}

#[test]
fn if_unmodified_since_yields_to_if_match() {
    // RFC 9110 §13.1.4
    let (ius, im) = ("if-unmodified-since", "if-match");
    check("earlier", &DATED, &[(ius, T1)], Failed);
    check("equal", &DATED, &[(ius, T2)], Proceed);
    check("later", &DATED, &[(ius, T3)], Proceed);
    check("unreadable", &DATED, &[(ius, "x")], Precondition::None);
    check("two", &DATED, &[(ius, T1), (ius, T1)], Precondition::None);
    check(
        "no modification date",
        &RECEIVED,
        &[(ius, T1)],
        Precondition::None,
    );
    check(
        "if-match holds",
        &STRONG,
        &[(im, "\"1\""), (ius, T1)],
        Proceed,
    );
    check(
        "if-match fails",
        &STRONG,
        &[(im, "\"2\""), (ius, T3)],
        Failed,
    );
}

#[test]
fn conditions_are_judged_in_the_order_of_the_rfc() {
    // RFC 9110 §13.2.2
    let (im, ius, inm, ims) = (
        "if-match",
        "if-unmodified-since",
        "if-none-match",
        "if-modified-since",
    );
    check(
        "1 fails before 3",
        &STRONG,
        &[(im, "\"2\""), (inm, "\"1\"")],
        Failed,
    );
    check(
        "1 holds, 3 fails",
        &STRONG,
        &[(im, "\"1\""), (inm, "\"1\"")],
        NotModified,
    );
    check(
        "1 holds, 3 holds",
        &STRONG,
        &[(im, "\"1\""), (inm, "\"2\"")],
        Proceed,
    );
    check(
        "1 holds, 4 fails",
        &STRONG,
        &[(im, "\"1\""), (ims, T2)],
        NotModified,
    );
    check(
        "2 fails before 3",
        &STRONG,
        &[(ius, T1), (inm, "\"1\"")],
        Failed,
    );
    check(
        "2 holds, 3 fails",
        &STRONG,
        &[(ius, T2), (inm, "\"1\"")],
        NotModified,
    );
    check(
        "2 holds, 4 fails",
        &STRONG,
        &[(ius, T2), (ims, T2)],
        NotModified,
    );
    check(
        "2 holds, 4 holds",
        &STRONG,
        &[(ius, T2), (ims, T1)],
        Proceed,
    );
    check(
        "2 holds, 4 unreadable",
        &STRONG,
        &[(ius, T2), (ims, "x")],
        Proceed,
    );
}

#[test]
fn for_other_methods_a_matching_tag_fails_and_dates_do_not_count() {
    for (request, expect) in [
        (("if-none-match", "\"1\""), Failed),
        (("if-none-match", "*"), Failed),
        (("if-none-match", "\"2\""), Proceed),
        (("if-modified-since", T3), Precondition::None),
    ] {
        assert_eq!(
            judge(&Method::POST, &STRONG, &[request]),
            expect,
            "{request:?}"
        );
    }
}
