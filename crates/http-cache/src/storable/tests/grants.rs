//! What lets a shared cache store what it otherwise would not: for whom an answer is, and whether its status is
//! understood.

use super::*;
use Unstorable::{
    Authorization, NoLifetime, NoStore, Partial, Private, SetCookie, Status as NotUnderstood,
};

const CC: &str = "cache-control";
const CDN: &str = "cdn-cache-control";
const ETAG: (&str, &str) = ("etag", "\"1\"");

#[test]
fn an_answer_to_authorization_is_stored_only_where_its_directives_say_so() {
    let request = [("authorization", "Basic x")];
    for (id, lines, expect) in [
        // RFC 9111 §3.5
        (
            "9111-3.5-01",
            &[(CC, "max-age=60")][..],
            Some(Authorization),
        ),
        ("9111-3.5-02", &[(CC, "max-age=60, public")], None),
        ("9111-3.5-03", &[(CC, "s-maxage=60")], None),
        ("9111-3.5-04", &[(CC, "max-age=60, must-revalidate")], None),
        (
            "9111-3.5-05",
            &[(CC, "max-age=60, proxy-revalidate")],
            Some(Authorization),
        ),
        (
            "9111-3.5-06",
            &[(CC, "max-age=60, no-cache"), ETAG],
            Some(Authorization),
        ),
        (
            "9111-3.5-07",
            &[(CC, "max-age=60, immutable")],
            Some(Authorization),
        ),
        (
            "9111-3.5-08 a permission with an argument",
            &[(CC, "max-age=60, public=1")],
            Some(Authorization),
        ),
        ("9111-3.5-09 no lifetime", &[(CC, "public"), ETAG], None),
        (
            "9111-3.5-10 expires",
            &[("expires", "@60")],
            Some(Authorization),
        ),
        (
            "9111-3.5-11 expires, public",
            &[("expires", "@60"), (CC, "public")],
            None,
        ),
        (
            "9111-3.5-12 no-store goes first",
            &[(CC, "no-store, public")],
            Some(NoStore),
        ),
        (
            "9111-3.5-13 private goes first",
            &[(CC, "private, public")],
            Some(Private),
        ),
        // RFC 9213 §2.2: read from the field that governs, and from no other
        ("9213-2.2-20", &[(CDN, "max-age=60")], Some(Authorization)),
        ("9213-2.2-21", &[(CDN, "max-age=60, public")], None),
        ("9213-2.2-22", &[(CDN, "s-maxage=60")], None),
        ("9213-2.2-23", &[(CDN, "max-age=60, must-revalidate")], None),
        (
            "9213-2.2-24",
            &[(CDN, "max-age=60"), (CC, "public")],
            Some(Authorization),
        ),
        (
            "9213-2.2-25",
            &[(CDN, "max-age=60, public"), (CC, "private")],
            None,
        ),
        (
            "9213-2.2-26",
            &[(CDN, "max-age=60, public=1")],
            Some(Authorization),
        ),
        (
            "9213-2.1-50 cannot be read",
            &[(CDN, "max-age=60, public,"), (CC, "public, max-age=1")],
            None,
        ),
    ] {
        check(id, &request, 200, lines, expect);
    }
    // whatever the request's field says: also where it is empty
    check(
        "9111-3.5-20",
        &[("authorization", "")],
        200,
        &[(CC, "max-age=60")],
        Some(Authorization),
    );
    check("9111-3.5-21", &[], 200, &[(CC, "max-age=60")], None);
}

#[test]
fn a_cookie_is_stored_only_where_the_answer_is_for_all() {
    const COOKIE: (&str, &str) = ("set-cookie", "a=b");
    for (id, lines, expect) in [
        (
            "cookie-01",
            &[COOKIE, (CC, "max-age=60")][..],
            Some(SetCookie),
        ),
        ("cookie-02", &[COOKIE, (CC, "max-age=60, public")], None),
        ("cookie-03", &[COOKIE, (CC, "s-maxage=60")], None),
        (
            "cookie-04 withheld",
            &[COOKIE, (CC, "max-age=60, private=\"set-cookie\"")],
            None,
        ),
        // RFC 9213: a lifetime that is meant for this cache
        ("cookie-11", &[COOKIE, (CDN, "max-age=60")], None),
        (
            "cookie-12",
            &[COOKIE, (CDN, "max-age=60"), (CC, "private, no-store")],
            None,
        ),
        (
            "cookie-13 none for this cache",
            &[COOKIE, (CDN, "must-revalidate"), ETAG],
            Some(SetCookie),
        ),
        (
            "cookie-14 of nothing",
            &[COOKIE, (CDN, "max-age=0"), ETAG],
            Some(SetCookie),
        ),
        (
            "cookie-15",
            &[COOKIE, (CDN, "max-age=60, private")],
            Some(Private),
        ),
        (
            "cookie-16 cannot be read",
            &[COOKIE, (CDN, "max-age=60s"), (CC, "max-age=60")],
            Some(SetCookie),
        ),
        (
            "cookie-17 of the field that governs",
            &[COOKIE, (CDN, "must-revalidate"), (CC, "public"), ETAG],
            Some(SetCookie),
        ),
    ] {
        check(id, &[], 200, lines, expect);
    }
}

#[test]
fn must_understand_stores_the_statuses_whose_caching_is_known_and_no_others() {
    // RFC 9111 §3, §5.2.2.3; RFC 9110 §15
    let known = |status| {
        let two = (200..=205).contains(&status);
        let three = matches!(status, 300..=303 | 305 | 307 | 308);
        let four = matches!(status, 400..=417 | 421 | 422 | 426);
        two || three || four || (500..=505).contains(&status)
    };
    for status in 100..=599 {
        let understood = match status {
            206 => Some(Partial),
            100..=199 | 304 => Some(NotUnderstood),
            _ if known(status) => None,
            _ => Some(NotUnderstood),
        };
        for (id, lines) in [
            ("9111-5.2.2.3-01", [(CC, "must-understand, max-age=60")]),
            (
                "9111-5.2.2.3-02",
                [(CC, "must-understand, no-store, max-age=60")],
            ),
            (
                "9213-2.2-30",
                [(CDN, "must-understand, no-store, max-age=60")],
            ),
        ] {
            check(id, &[], status, &lines, understood);
        }
        // where the directive is missing, an explicit lifetime is enough for every final status
        let final_one = match status {
            206 => Some(Partial),
            100..=199 | 304 => Some(NotUnderstood),
            _ => None,
        };
        check(
            "9111-3-status-01",
            &[],
            status,
            &[(CC, "max-age=60")],
            final_one,
        );
        check(
            "9111-3-status-02",
            &[],
            status,
            &[(CDN, "max-age=60")],
            final_one,
        );
    }
    // the permission counts without an argument only
    for control in [
        "must-understand=1, no-store, max-age=60",
        "no-store, max-age=60",
    ] {
        check("9111-5.2.2.3-03", &[], 200, &[(CC, control)], Some(NoStore));
    }
    check(
        "9213-2.1-51",
        &[],
        200,
        &[(CDN, "must-understand=1, no-store")],
        Some(NoStore),
    );
    check(
        "9213-2.2-31",
        &[],
        200,
        &[(CDN, "no-store"), (CC, "must-understand")],
        Some(NoStore),
    );
}

#[test]
fn a_targeted_field_says_whether_an_answer_is_stored() {
    for (id, status, lines, expect) in [
        // RFC 9213 §2.2
        (
            "9213-2.2-40",
            200,
            &[(CDN, "max-age=60"), (CC, "no-store")][..],
            None,
        ),
        (
            "9213-2.2-41",
            200,
            &[(CDN, "max-age=60"), (CC, "private")],
            None,
        ),
        (
            "9213-2.2-42",
            200,
            &[(CDN, "no-store"), (CC, "max-age=60")],
            Some(NoStore),
        ),
        (
            "9213-2.2-43",
            200,
            &[(CDN, "private"), (CC, "public, max-age=60")],
            Some(Private),
        ),
        (
            "9213-2.2-44 no lifetime",
            302,
            &[(CDN, "must-revalidate"), (CC, "max-age=60")],
            Some(NoLifetime),
        ),
        (
            "9213-2.2-45 expires",
            302,
            &[(CDN, "must-revalidate"), ("expires", "@60")],
            Some(NoLifetime),
        ),
        ("9213-2.2-46", 302, &[(CDN, "max-age=60")], None),
        (
            "9213-2.1-52 cannot be read",
            200,
            &[(CDN, "no-store;"), (CC, "max-age=60")],
            None,
        ),
        (
            "9213-2.1-53 empty",
            200,
            &[(CDN, ""), (CC, "max-age=60")],
            None,
        ),
    ] {
        check(id, &[], status, lines, expect);
    }
}
