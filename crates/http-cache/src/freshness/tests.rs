//! Longer than most: one table of lifetimes, their sources and ages, row by row.

use http::Method;

use super::*;
use crate::storable::tests::{Lines, NOW, head, judge};
use crate::storable::{Storable, storable};

/// Lifetime, its source, initial age, SWR, SIE.
type Arithmetic = (u64, LifetimeSource, u64, u64, u64);

fn arithmetic(
    id: &str,
    status: u16,
    response: Lines<'_>,
    policy: &StoragePolicy,
    expect: Arithmetic,
) {
    // A validator, so that a stale response is not refused as useless.
    let response: Vec<_> = response
        .iter()
        .copied()
        .chain([("etag", "\"1\"")])
        .collect();
    let got = match judge(&Method::GET, &[], status, &response, policy) {
        Storable::Yes(f) => (
            f.lifetime,
            f.source,
            f.initial_age,
            f.stale_while_revalidate,
            f.stale_if_error,
        ),
        Storable::No(reason) => panic!("{id}: not storable: {reason:?}"),
    };
    assert_eq!(got, expect, "{id}: {status} {response:?}");
}

#[test]
fn a_lifetime_comes_from_the_first_source_that_states_one() {
    use LifetimeSource::{Expires, Heuristic, MaxAge, None, SMaxage};
    const CC: &str = "cache-control";
    const DAY: u64 = 86_400;
    let check = |id: &str, response: Lines<'_>, lifetime: u64, source: LifetimeSource, age: u64| {
        arithmetic(
            id,
            200,
            response,
            &StoragePolicy::default(),
            (lifetime, source, age, 0, 0),
        );
    };
    // RFC 9111 §4.2.1
    check(
        "s-maxage first",
        &[(CC, "max-age=1, s-maxage=2"), ("expires", "@3")],
        2,
        SMaxage,
        0,
    );
    check(
        "s-maxage, smaller",
        &[(CC, "max-age=9, s-maxage=2")],
        2,
        SMaxage,
        0,
    );
    check(
        "s-maxage=0 is stated",
        &[(CC, "max-age=9, s-maxage=0")],
        0,
        SMaxage,
        0,
    );
    check(
        "max-age before expires",
        &[(CC, "max-age=1"), ("expires", "@3")],
        1,
        MaxAge,
        0,
    );
    check(
        "max-age=0 before expires",
        &[(CC, "max-age=0"), ("expires", "@3")],
        0,
        MaxAge,
        0,
    );
    check(
        "invalid max-age before expires",
        &[(CC, "max-age=x"), ("expires", "@3")],
        0,
        MaxAge,
        0,
    );
    check(
        "expires less date",
        &[("expires", "@30"), ("date", "@-10")],
        40,
        Expires,
        10,
    );
    check(
        "expires less a later date",
        &[("expires", "@30"), ("date", "@10")],
        20,
        Expires,
        0,
    );
    check(
        "expires without date",
        &[("expires", "@30")],
        30,
        Expires,
        0,
    );
    check(
        "expires, date unreadable",
        &[("expires", "@30"), ("date", "x")],
        30,
        Expires,
        0,
    );
    check(
        "expires equals date",
        &[("expires", "@0"), ("date", "@0")],
        0,
        Expires,
        0,
    );
    check(
        "expires in the past",
        &[("expires", "@-30"), ("date", "@0")],
        0,
        Expires,
        0,
    );
    // §5.3
    for invalid in [
        "0",
        "-1",
        "",
        "x",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050",
        "2050-08-18",
    ] {
        check("5.3 invalid", &[("expires", invalid)], 0, Expires, 0);
    }
    check(
        "5.3 rfc850",
        &[("expires", "Sunday, 06-Nov-94 08:49:37 GMT")],
        0,
        Expires,
        0,
    );
    check(
        "5.3 asctime",
        &[
            ("expires", "Fri Aug 18 02:01:18 2045"),
            ("date", "Fri Aug 18 02:01:08 2045"),
        ],
        10,
        Expires,
        0,
    );
    check(
        "5.3 two, the earlier",
        &[("expires", "@30"), ("expires", "@10")],
        10,
        Expires,
        0,
    );
    check(
        "5.3 two, one invalid",
        &[("expires", "@30"), ("expires", "0")],
        0,
        Expires,
        0,
    );
    check(
        "5.3 far away",
        &[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")],
        DELTA,
        Expires,
        0,
    );
    // §4.2.2
    check(
        "4.2.2 tenth",
        &[("last-modified", "@-1000")],
        100,
        Heuristic,
        0,
    );
    check(
        "4.2.2 tenth of date",
        &[("last-modified", "@-1000"), ("date", "@-100")],
        90,
        Heuristic,
        100,
    );
    check(
        "4.2.2 at most a day",
        &[("last-modified", "@-86400000")],
        DAY,
        Heuristic,
        0,
    );
    check(
        "4.2.2 future",
        &[("last-modified", "@1000")],
        0,
        Heuristic,
        0,
    );
    check(
        "4.2.2 unreadable",
        &[("last-modified", "yesterday")],
        0,
        None,
        0,
    );
    check(
        "4.2.2 not with max-age",
        &[(CC, "max-age=0"), ("last-modified", "@-1000")],
        0,
        MaxAge,
        0,
    );
    check(
        "4.2.2 not with expires",
        &[("expires", "0"), ("last-modified", "@-1000")],
        0,
        Expires,
        0,
    );
    check("nothing", &[], 0, None, 0);
    // §4.2.3
    check(
        "4.2.3 age",
        &[(CC, "max-age=60"), ("age", "7")],
        60,
        MaxAge,
        7,
    );
    check(
        "4.2.3 age beyond date",
        &[(CC, "max-age=60"), ("age", "7"), ("date", "@-5")],
        60,
        MaxAge,
        7,
    );
    check(
        "4.2.3 date beyond age",
        &[(CC, "max-age=60"), ("age", "7"), ("date", "@-9")],
        60,
        MaxAge,
        9,
    );
    check(
        "4.2.3 date in the future",
        &[(CC, "max-age=60"), ("date", "@9")],
        60,
        MaxAge,
        0,
    );
    check(
        "4.2.3 date unreadable",
        &[(CC, "max-age=60"), ("age", "7"), ("date", "yesterday")],
        60,
        MaxAge,
        7,
    );
    check(
        "4.2.3 negative age",
        &[(CC, "max-age=60"), ("age", "-7"), ("date", "@-5")],
        60,
        MaxAge,
        5,
    );
    check(
        "4.2.3 huge age",
        &[(CC, "max-age=60"), ("age", "99999999999")],
        60,
        MaxAge,
        DELTA,
    );
    check(
        "4.2.3 invalid age",
        &[(CC, "max-age=60"), ("age", "x")],
        60,
        MaxAge,
        0,
    );
    check(
        "4.2.3 first age",
        &[(CC, "max-age=60"), ("age", "3, 9"), ("age", "20")],
        60,
        MaxAge,
        3,
    );
}

const DELTA: u64 = crate::DELTA_SECONDS_MAX;

#[test]
fn time_on_the_way_counts_as_age() {
    let response = head(&[
        ("cache-control", "max-age=60"),
        ("age", "7"),
        ("date", "@-9"),
    ]);
    let policy = StoragePolicy::default();
    for (asked, expect) in [(NOW, 9), (Timestamp(NOW.0 - 5), 12), (NOW.plus(5), 9)] {
        let got = storable(
            &Method::GET,
            &head(&[]),
            StatusCode::OK,
            &response,
            &policy,
            asked,
            NOW,
        );
        let Storable::Yes(freshness) = got else {
            panic!("{got:?}")
        };
        assert_eq!(freshness.initial_age, expect, "RFC 9111 §4.2.3");
        assert_eq!(freshness.received, NOW);
    }
}

#[test]
fn a_rule_replaces_fills_in_and_caps_lifetimes() {
    use LifetimeSource::{
        Default as Ruled, Expires, Heuristic, MaxAge, None as Unstated, Override, SMaxage,
    };
    const CC: &str = "cache-control";
    let none = StoragePolicy::default();
    let over = StoragePolicy {
        ttl_override: Some(300),
        ..none.clone()
    };
    let default = StoragePolicy {
        ttl_default: Some(200),
        ..none.clone()
    };
    let max = StoragePolicy {
        ttl_max: Some(10),
        ..none.clone()
    };
    let no_guess = StoragePolicy {
        heuristic: false,
        ..none.clone()
    };
    let old = ("last-modified", "@-1000");

    arithmetic(
        "override nothing",
        200,
        &[],
        &over,
        (300, Override, 0, 0, 0),
    );
    arithmetic(
        "override max-age",
        200,
        &[(CC, "max-age=60")],
        &over,
        (300, Override, 0, 0, 0),
    );
    arithmetic(
        "override s-maxage",
        200,
        &[(CC, "s-maxage=60")],
        &over,
        (300, Override, 0, 0, 0),
    );
    arithmetic(
        "override invalid",
        200,
        &[(CC, "max-age=x")],
        &over,
        (300, Override, 0, 0, 0),
    );
    arithmetic(
        "override expires",
        200,
        &[("expires", "0")],
        &over,
        (300, Override, 0, 0, 0),
    );
    arithmetic(
        "override guess",
        200,
        &[old],
        &over,
        (300, Override, 0, 0, 0),
    );
    arithmetic(
        "override, age counts",
        200,
        &[("age", "9")],
        &over,
        (300, Override, 9, 0, 0),
    );
    arithmetic("override 404", 404, &[], &over, (300, Override, 0, 0, 0));
    arithmetic(
        "override 302 with lifetime",
        302,
        &[(CC, "max-age=5")],
        &over,
        (300, Override, 0, 0, 0),
    );
    arithmetic(
        "no override of 5xx",
        503,
        &[(CC, "max-age=5")],
        &over,
        (5, MaxAge, 0, 0, 0),
    );
    arithmetic(
        "no override of 501",
        501,
        &[],
        &over,
        (0, Unstated, 0, 0, 0),
    );

    arithmetic("default", 200, &[], &default, (200, Ruled, 0, 0, 0));
    arithmetic(
        "default before guess",
        200,
        &[old],
        &default,
        (200, Ruled, 0, 0, 0),
    );
    arithmetic("default, 404", 404, &[], &default, (200, Ruled, 0, 0, 0));
    arithmetic(
        "default behind max-age",
        200,
        &[(CC, "max-age=5")],
        &default,
        (5, MaxAge, 0, 0, 0),
    );
    arithmetic(
        "default behind max-age=0",
        200,
        &[(CC, "max-age=0")],
        &default,
        (0, MaxAge, 0, 0, 0),
    );
    arithmetic(
        "default behind s-maxage",
        200,
        &[(CC, "s-maxage=5")],
        &default,
        (5, SMaxage, 0, 0, 0),
    );
    arithmetic(
        "default behind expires",
        200,
        &[("expires", "0")],
        &default,
        (0, Expires, 0, 0, 0),
    );
    arithmetic(
        "no default for 5xx",
        501,
        &[],
        &default,
        (0, Unstated, 0, 0, 0),
    );
    arithmetic(
        "default, public 302",
        302,
        &[(CC, "public")],
        &default,
        (200, Ruled, 0, 0, 0),
    );

    arithmetic(
        "cap",
        200,
        &[(CC, "max-age=60")],
        &max,
        (10, MaxAge, 0, 0, 0),
    );
    arithmetic(
        "cap does not raise",
        200,
        &[(CC, "max-age=6")],
        &max,
        (6, MaxAge, 0, 0, 0),
    );
    arithmetic("cap guess", 200, &[old], &max, (10, Heuristic, 0, 0, 0));
    let capped = StoragePolicy {
        ttl_max: Some(10),
        ..over.clone()
    };
    arithmetic("cap override", 200, &[], &capped, (10, Override, 0, 0, 0));

    arithmetic("no guess", 200, &[old], &no_guess, (0, Unstated, 0, 0, 0));
}

#[test]
fn stale_windows_come_from_the_rule_else_the_response_and_are_zero_where_forbidden() {
    use LifetimeSource::{MaxAge, None as Unstated, SMaxage};
    const CC: &str = "cache-control";
    let none = StoragePolicy::default();
    let rule = StoragePolicy {
        stale_while_revalidate: Some(7),
        stale_if_error: Some(8),
        ..none.clone()
    };
    let zero = StoragePolicy {
        stale_while_revalidate: Some(0),
        stale_if_error: Some(0),
        ..none.clone()
    };
    let stated = "max-age=60, stale-while-revalidate=3, stale-if-error=4";

    arithmetic(
        "5861 none granted",
        200,
        &[(CC, "max-age=60")],
        &none,
        (60, MaxAge, 0, 0, 0),
    );
    arithmetic(
        "5861 response",
        200,
        &[(CC, stated)],
        &none,
        (60, MaxAge, 0, 3, 4),
    );
    arithmetic(
        "rule",
        200,
        &[(CC, "max-age=60")],
        &rule,
        (60, MaxAge, 0, 7, 8),
    );
    arithmetic(
        "rule wins",
        200,
        &[(CC, stated)],
        &rule,
        (60, MaxAge, 0, 7, 8),
    );
    arithmetic(
        "rule takes away",
        200,
        &[(CC, stated)],
        &zero,
        (60, MaxAge, 0, 0, 0),
    );
    for forbidding in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        let cc = format!("{stated}, {forbidding}");
        arithmetic(
            "9111 §4.2.4",
            200,
            &[(CC, &cc)],
            &rule,
            (60, MaxAge, 0, 0, 0),
        );
    }
    arithmetic(
        "9111 §4.2.4",
        200,
        &[(CC, "s-maxage=60, stale-if-error=4")],
        &rule,
        (60, SMaxage, 0, 0, 0),
    );
    arithmetic(
        "qualified no-cache",
        200,
        &[(CC, "max-age=60, no-cache=\"a\"")],
        &rule,
        (60, MaxAge, 0, 7, 8),
    );
    arithmetic(
        "error answer",
        503,
        &[(CC, stated)],
        &rule,
        (60, MaxAge, 0, 0, 0),
    );
    arithmetic(
        "not found",
        404,
        &[(CC, stated)],
        &rule,
        (60, MaxAge, 0, 7, 8),
    );
    arithmetic(
        "nobody stated a lifetime",
        200,
        &[],
        &rule,
        (0, Unstated, 0, 0, 0),
    );
}

#[test]
fn a_targeted_lifetime_goes_before_all_that_everybody_reads() {
    use LifetimeSource::{
        Heuristic, MaxAge, None as Unstated, Override, TargetedMaxAge, TargetedSMaxage,
    };
    const CC: &str = "cache-control";
    const CDN: &str = "cdn-cache-control";
    let default = StoragePolicy::default();
    let targeted = |n| (n, TargetedMaxAge, 0, 0, 0);
    for (id, lines, expect) in [
        // RFC 9213 §2.2
        (
            "9213-2.2-50",
            &[(CDN, "max-age=60"), (CC, "max-age=5")][..],
            targeted(60),
        ),
        (
            "9213-2.2-51 shorter",
            &[(CDN, "max-age=5"), (CC, "max-age=60")],
            targeted(5),
        ),
        (
            "9213-2.2-52 nothing",
            &[(CDN, "max-age=0"), (CC, "max-age=60")],
            targeted(0),
        ),
        (
            "9213-2.2-53 s-maxage",
            &[(CDN, "max-age=5"), (CC, "s-maxage=60")],
            targeted(5),
        ),
        (
            "9213-2.2-54 expires",
            &[(CDN, "max-age=5"), ("expires", "@60")],
            targeted(5),
        ),
        (
            "9213-2.2-55",
            &[(CDN, "max-age=5, s-maxage=9")],
            (9, TargetedSMaxage, 0, 0, 0),
        ),
        (
            "9213-2.2-56 Age counts",
            &[(CDN, "max-age=60"), ("age", "7")],
            (60, TargetedMaxAge, 7, 0, 0),
        ),
        (
            "9213-2.2-57 no lifetime in it: neither Cache-Control's nor Expires",
            &[(CDN, "public"), (CC, "max-age=60"), ("expires", "@60")],
            (0, Unstated, 0, 0, 0),
        ),
        (
            "9213-2.2-58 but a guess",
            &[
                (CDN, "public"),
                (CC, "max-age=60"),
                ("last-modified", "@-1000"),
            ],
            (100, Heuristic, 0, 0, 0),
        ),
        (
            "9213-2.1-60 cannot be read",
            &[(CDN, "max-age=60.5 "), (CC, "max-age=5")],
            (0, Unstated, 0, 0, 0),
        ),
        (
            "9213-2.1-61 cannot be parsed",
            &[(CDN, "max-age=60s"), (CC, "max-age=5")],
            (5, MaxAge, 0, 0, 0),
        ),
        // RFC 5861, RFC 9111 §4.2.4, with the directives of the field that governs
        (
            "5861-3-01",
            &[(CDN, "max-age=5, stale-while-revalidate=3, stale-if-error=4")],
            (5, TargetedMaxAge, 0, 3, 4),
        ),
        (
            "5861-3-02 not Cache-Control's",
            &[
                (CDN, "max-age=5"),
                (CC, "stale-while-revalidate=3, stale-if-error=4"),
            ],
            targeted(5),
        ),
        (
            "9111-4.2.4-01",
            &[
                (CDN, "max-age=5, stale-if-error=4"),
                (CC, "must-revalidate, no-cache"),
            ],
            (5, TargetedMaxAge, 0, 0, 4),
        ),
        (
            "9111-4.2.4-02",
            &[(CDN, "max-age=5, stale-if-error=4, must-revalidate")],
            targeted(5),
        ),
    ] {
        arithmetic(id, 200, lines, &default, expect);
    }
    let over = StoragePolicy {
        ttl_override: Some(7),
        ..default.clone()
    };
    arithmetic(
        "rule",
        200,
        &[(CDN, "max-age=60")],
        &over,
        (7, Override, 0, 0, 0),
    );
    let none = StoragePolicy {
        targets: crate::Targets::new(Vec::new()),
        ..default
    };
    let both = [(CDN, "max-age=60"), (CC, "max-age=5")];
    arithmetic("no targets", 200, &both, &none, (5, MaxAge, 0, 0, 0));
}

#[test]
fn a_guess_is_no_longer_than_the_setting() {
    use LifetimeSource::Heuristic;
    let modified = [("last-modified", "@-8640000")];
    for (max, expect) in [
        (0, 0),
        (60, 60),
        (HEURISTIC_LIFETIME_MAX, 86_400),
        (u64::MAX, 864_000),
    ] {
        let policy = StoragePolicy {
            heuristic_max: max,
            ..StoragePolicy::default()
        };
        // RFC 9111 §4.2.2
        arithmetic(
            "9111-4.2.2-max",
            200,
            &modified,
            &policy,
            (expect, Heuristic, 0, 0, 0),
        );
    }
    let capped = StoragePolicy {
        heuristic_max: 60,
        ttl_max: Some(30),
        ..StoragePolicy::default()
    };
    arithmetic("both", 200, &modified, &capped, (30, Heuristic, 0, 0, 0));
}

#[test]
fn a_year_of_two_digits_is_told_by_when_the_answer_came() {
    // RFC 9110 §5.6.7; NOW is in 2023
    let policy = StoragePolicy::default();
    for (id, year, lifetime) in [
        ("9110-5.6.7-exp-1 49 years ahead", "72", 1_539_043_200),
        ("9110-5.6.7-exp-2 51 years ahead", "74", 0),
        ("9110-5.6.7-exp-3 in the past", "20", 0),
    ] {
        let expires = format!("Monday, 22-Aug-{year} 00:00:00 GMT");
        let lines = [("date", "@0"), ("expires", expires.as_str())];
        let source = LifetimeSource::Expires;
        arithmetic(id, 200, &lines, &policy, (lifetime, source, 0, 0, 0));
    }
}
