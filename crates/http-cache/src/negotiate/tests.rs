use super::*;
use ContentCoding::{Brotli, Gzip, Zstd};
use http::{HeaderMap, HeaderValue};

const ALL: &[ContentCoding] = &ContentCoding::PREFERRED;

fn of(lines: &[&str]) -> AcceptEncoding {
    let mut fields = HeaderMap::new();
    for line in lines {
        fields.append("accept-encoding", HeaderValue::from_str(line).unwrap());
    }
    let accept = AcceptEncoding::of(&fields);
    if let [line] = lines {
        assert_eq!(AcceptEncoding::of_line(Some(line.as_bytes())), accept);
    }
    accept
}

#[test]
fn gzip_is_taken_where_it_is_as_welcome_as_no_coding() {
    // RFC 9110 §12.5.3
    for (value, expect) in [
        ("gzip", true),
        ("GZIP", true),
        ("x-gzip", true),
        ("gzip, deflate, br", true),
        ("deflate, br;q=1.0, gzip;q=0.8, *;q=0.1", true),
        ("br", false),
        ("", false),
        ("identity", false),
        ("*", true),
        ("*;q=0", false),
        ("gzip;q=0", false),
        ("gzip;q=0.000", false),
        ("gzip;q=0.001", true),
        ("gzip;q=1.000", true),
        ("gzip ; q=0.5", true),
        ("gzip;Q=0.5", true),
        ("gzip;q=0, *", false),
        ("*;q=0, gzip", true),
        ("identity, gzip", true),
        ("identity;q=1, gzip;q=0.5", false),
        ("identity;q=0.5, gzip;q=0.5", true),
        ("identity;q=0, gzip;q=0.1", true),
        ("gzip;q=0.5, *;q=1", false),
        ("gzip;q=2", false),
        ("gzip;q=-1", false),
        ("gzip;q=", false),
        ("gzip;q=1.5", false),
        ("gzip;q=0.1234", false),
        ("gzip;q=0.x", false),
        ("gzip;foo", false),
        ("gzipped", false),
        ("my-gzip", false),
    ] {
        let expect = expect.then_some(Gzip);
        assert_eq!(of(&[value]).best(&[Gzip]), expect, "{value}");
    }
    assert_eq!(of(&[]).best(ALL), None);
    assert_eq!(AcceptEncoding::of_line(None).best(ALL), None);
}

#[test]
fn of_several_codings_the_most_welcome_is_taken_and_of_equals_the_first_offered() {
    let check = |id: &str, lines: &[&str], offered: &[ContentCoding], expect| {
        assert_eq!(of(lines).best(offered), expect, "{id}: {lines:?}");
    };
    for (id, lines, expect) in [
        (
            "12.5.3-01 browser",
            &["gzip, deflate, br, zstd"][..],
            Some(Brotli),
        ),
        ("12.5.3-02 browser", &["gzip, deflate, br"], Some(Brotli)),
        ("12.5.3-03 old browser", &["gzip, deflate"], Some(Gzip)),
        (
            "12.5.3-04 weights",
            &["br;q=0.5, zstd;q=0.9, gzip;q=0.8"],
            Some(Zstd),
        ),
        ("12.5.3-05 weights", &["br;q=0.8, gzip"], Some(Gzip)),
        ("12.5.3-06 refused", &["br;q=0, zstd;q=0, gzip"], Some(Gzip)),
        ("12.5.3-07 any", &["*"], Some(Brotli)),
        ("12.5.3-08 any but one", &["br;q=0, *"], Some(Zstd)),
        ("12.5.3-09 any, less", &["gzip, *;q=0.5"], Some(Gzip)),
        ("12.5.3-10 any is refused", &["zstd, *;q=0"], Some(Zstd)),
        (
            "12.5.3-11 identity first",
            &["identity, br;q=0.9, gzip;q=0.5"],
            None,
        ),
        (
            "12.5.3-12 identity between",
            &["br;q=0.9, identity;q=0.5, gzip;q=0.2"],
            Some(Brotli),
        ),
        (
            "12.5.3-13 identity beats any",
            &["identity;q=1, *;q=0.5"],
            None,
        ),
        ("12.5.3-14 lines", &["gzip", "br"], Some(Brotli)),
        (
            "12.5.3-15 lines",
            &["gzip;q=0.5, br;q=0", "zstd;q=0.7"],
            Some(Zstd),
        ),
        ("12.5.3-16 empty line", &["", "gzip"], Some(Gzip)),
        (
            "12.5.3-17 twice",
            &["br;q=0.1, gzip;q=0.5, br;q=0.9"],
            Some(Brotli),
        ),
        ("12.5.3-18 identity alone", &["identity"], None),
        ("12.5.3-19 others", &["deflate, compress, dcb"], None),
        (
            "12.4.2 unreadable",
            &["br;q=1.0000, zstd;level=1, gzip;q=0.1"],
            Some(Gzip),
        ),
        ("5.6.1 case", &["BR;q=0.5, ZSTD"], Some(Zstd)),
        ("8.4.1.3 x-gzip", &["x-gzip, br;q=0.1"], Some(Gzip)),
    ] {
        check(id, lines, ALL, expect);
    }
    check(
        "order",
        &["gzip, br, zstd"],
        &[Gzip, Zstd, Brotli],
        Some(Gzip),
    );
    check(
        "order",
        &["gzip;q=0.1, br, zstd"],
        &[Gzip, Zstd, Brotli],
        Some(Zstd),
    );
    check("not offered", &["br"], &[Gzip], None);
    check("nothing offered", &["br, *"], &[], None);
}

#[test]
fn a_coding_is_accepted_that_is_named_or_covered_by_a_star() {
    // RFC 9110 §12.5.3: without the field any may be sent; that is no promise that it is understood
    for (id, lines, gzip, identity) in [
        ("named", &["gzip"][..], true, true),
        ("not named", &["br"], false, true),
        ("no field", &[], false, true),
        ("empty", &[""], false, true),
        ("star", &["*;q=0.1"], true, true),
        ("refused", &["gzip;q=0, *"], false, true),
        ("identity is refused", &["identity;q=0, gzip"], true, false),
        ("all but gzip are refused", &["*;q=0, gzip"], true, false),
        ("identity alone", &["*;q=0, identity;q=0.1"], false, true),
    ] {
        let accept = of(lines);
        let got = (accept.accepts(Gzip), accept.accepts_identity());
        assert_eq!(got, (gzip, identity), "{id}");
    }
}

#[test]
fn a_coding_is_known_by_the_name_that_it_is_told_by() {
    for coding in ALL {
        let token = coding.token().to_ascii_uppercase();
        assert_eq!(ContentCoding::of_token(token.as_bytes()), Some(*coding));
    }
    assert_eq!(ContentCoding::of_token(b"x-gzip"), Some(Gzip));
    for other in ["", "gz", "identity", "deflate", "brotli", "*"] {
        assert_eq!(ContentCoding::of_token(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn what_clients_say_comes_to_one_form_for_each_coding_and_one_for_none() {
    // RFC 9110 §12.5.3
    for (id, lines, offered, expect) in [
        ("browser", &["gzip, deflate, br, zstd"][..], ALL, Some("br")),
        ("an older one", &["gzip, deflate"], ALL, Some("gzip")),
        ("weights", &["br;q=0.5, gzip;q=0.8"], ALL, Some("gzip")),
        ("lines", &["deflate", "zstd"], ALL, Some("zstd")),
        ("spelling", &["X-GZIP"], ALL, Some("gzip")),
        ("anything", &["*"], ALL, Some("br")),
        ("gzip or nothing", &["gzip, br"], &[Gzip], Some("gzip")),
        ("gzip or nothing", &["br"], &[Gzip], Some("identity")),
        ("nothing is offered", &["gzip"], &[], Some("identity")),
        ("unknown alone", &["deflate"], ALL, Some("identity")),
        (
            "identity is liked better",
            &["identity, gzip;q=0.5"],
            ALL,
            Some("identity"),
        ),
        ("empty", &[""], ALL, Some("identity")),
        ("absent", &[], ALL, Some("identity")),
        ("refuses plain", &["identity;q=0, br"], ALL, Some("br")),
        ("takes nothing of it", &["identity;q=0, deflate"], ALL, None),
        ("takes nothing of it", &["deflate, *;q=0"], ALL, None),
    ] {
        assert_eq!(of(lines).normal_form(offered), expect, "{id}: {lines:?}");
    }
}
