use super::*;
use crate::cache_control::DELTA_SECONDS_MAX;

const RECEIVED: Timestamp = Timestamp(1_000_000);

/// Fresh for 60 s, 10 s old when received; windows of 30 s and 120 s.
fn copy() -> Freshness {
    Freshness {
        lifetime: 60,
        source: LifetimeSource::MaxAge,
        initial_age: 10,
        received: RECEIVED,
        stale_while_revalidate: 30,
        stale_if_error: 120,
        no_cache: false,
        must_revalidate: false,
    }
}

const SWR: Reuse = Reuse::StaleWhileRevalidate;
const OR_ELSE: Reuse = Reuse::Validate {
    may_serve_on_error: true,
};
const NEVER: Reuse = Reuse::Validate {
    may_serve_on_error: false,
};

fn check(id: &str, copy: &Freshness, asked: RequestDirectives, age: u64, expect: Reuse) {
    let now = Timestamp(RECEIVED.0 + age - copy.initial_age);
    assert_eq!(copy.age(now), age, "{id}");
    assert_eq!(
        reuse(copy, &asked, now),
        expect,
        "{id}: age {age}, {asked:?}"
    );
}

#[test]
fn a_copy_is_fresh_then_stale_then_an_answer_to_errors_then_nothing() {
    let none = RequestDirectives::default();
    for (age, expect) in [
        (10, Reuse::Fresh),
        (59, Reuse::Fresh),
        (60, SWR),
        (89, SWR),
        (90, OR_ELSE),
        (179, OR_ELSE),
        (180, NEVER),
        (1_000_000, NEVER),
    ] {
        check("RFC 5861 §3, §4", &copy(), none, age, expect);
    }
    let bare = Freshness {
        stale_while_revalidate: 0,
        stale_if_error: 0,
        ..copy()
    };
    check("RFC 9111 §4.2: fresh", &bare, none, 59, Reuse::Fresh);
    check("RFC 9111 §4.2.4: nothing granted", &bare, none, 60, NEVER);
    let endless = Freshness {
        stale_while_revalidate: u64::MAX,
        ..copy()
    };
    check("no overflow", &endless, none, 1 << 40, SWR);
}

#[test]
fn what_forbids_staleness_goes_before_every_window() {
    let none = RequestDirectives::default();
    let must = Freshness {
        must_revalidate: true,
        ..copy()
    };
    check("RFC 9111 §5.2.2.2: fresh", &must, none, 59, Reuse::Fresh);
    check("RFC 9111 §5.2.2.2: stale", &must, none, 60, NEVER);
    let asked = RequestDirectives {
        max_stale: Some(DELTA_SECONDS_MAX),
        stale_if_error: Some(DELTA_SECONDS_MAX),
        ..none
    };
    check("RFC 9111 §4.2.4: max-stale", &must, asked, 60, NEVER);
    let no_cache = Freshness {
        no_cache: true,
        ..copy()
    };
    check("RFC 9111 §5.2.2.4: fresh", &no_cache, none, 10, NEVER);
    check("RFC 9111 §5.2.2.4: stale", &no_cache, none, 60, NEVER);
    check("RFC 9111 §5.2.2.4: asked", &no_cache, asked, 60, NEVER);
    let unstated = Freshness {
        source: LifetimeSource::None,
        lifetime: 0,
        stale_while_revalidate: 0,
        stale_if_error: 0,
        ..copy()
    };
    check("RFC 9111 §4.2.4: no lifetime", &unstated, asked, 60, NEVER);
}

#[test]
fn a_request_narrows_what_a_copy_may_do() {
    let none = RequestDirectives::default();
    let no_cache = RequestDirectives {
        no_cache: true,
        ..none
    };
    check("5.2.1.4 fresh", &copy(), no_cache, 10, NEVER);
    check("5.2.1.4 stale", &copy(), no_cache, 60, NEVER);

    let max_age = |n| RequestDirectives {
        max_age: Some(n),
        ..none
    };
    check("5.2.1.1 young", &copy(), max_age(20), 20, Reuse::Fresh);
    check("5.2.1.1 old", &copy(), max_age(20), 21, OR_ELSE);
    check("5.2.1.1 zero", &copy(), max_age(0), 10, OR_ELSE);
    let new = Freshness {
        initial_age: 0,
        ..copy()
    };
    check("5.2.1.1 zero, just now", &new, max_age(0), 0, OR_ELSE);
    check("5.2.1.1 one, just now", &new, max_age(1), 0, Reuse::Fresh);
    check(
        "5.2.1.1 wants nothing stale",
        &copy(),
        max_age(500),
        60,
        OR_ELSE,
    );
    let old_ok = RequestDirectives {
        max_stale: Some(10),
        ..max_age(500)
    };
    check("5.2.1.1 but with max-stale", &copy(), old_ok, 60, SWR);
    let both = RequestDirectives {
        max_stale: Some(100),
        ..max_age(65)
    };
    check("5.2.1.1 max-stale, young", &copy(), both, 65, SWR);
    check("5.2.1.1 max-stale, old", &copy(), both, 66, OR_ELSE);

    let min_fresh = |n| RequestDirectives {
        min_fresh: Some(n),
        ..none
    };
    check("5.2.1.3 enough", &copy(), min_fresh(20), 40, Reuse::Fresh);
    check("5.2.1.3 too little", &copy(), min_fresh(20), 41, OR_ELSE);
    check("5.2.1.3 stale", &copy(), min_fresh(0), 60, OR_ELSE);

    let max_stale = |n| RequestDirectives {
        max_stale: Some(n),
        ..none
    };
    check("5.2.1.2 fresh", &copy(), max_stale(5), 59, Reuse::Fresh);
    check("5.2.1.2 within", &copy(), max_stale(5), 65, SWR);
    check("5.2.1.2 too stale", &copy(), max_stale(5), 66, OR_ELSE);

    let others = RequestDirectives {
        no_store: true,
        only_if_cached: true,
        no_transform: true,
        ..none
    };
    check("5.2.1.5, 5.2.1.7 fresh", &copy(), others, 59, Reuse::Fresh);
    check("5.2.1.5, 5.2.1.7 stale", &copy(), others, 60, SWR);

    let bare = Freshness {
        stale_if_error: 0,
        ..copy()
    };
    check("no window for errors", &bare, max_age(0), 10, NEVER);
}

#[test]
fn max_stale_grants_staleness_where_nothing_forbids_it() {
    let bare = Freshness {
        stale_while_revalidate: 0,
        stale_if_error: 0,
        ..copy()
    };
    let asked = |max_stale| RequestDirectives {
        max_stale: Some(max_stale),
        ..RequestDirectives::default()
    };
    let any = asked(DELTA_SECONDS_MAX);
    let young = |max_age| RequestDirectives {
        max_age: Some(max_age),
        ..any
    };
    let soon = |min_fresh| RequestDirectives {
        min_fresh: Some(min_fresh),
        ..any
    };
    let ruled = Freshness {
        source: LifetimeSource::Default,
        ..bare.clone()
    };
    let guessed = Freshness {
        source: LifetimeSource::Heuristic,
        ..bare.clone()
    };
    let given = Reuse::StaleOnRequest;
    for (id, copy, asked, age, expect) in [
        ("5.2.1.2-01 within", &bare, asked(5), 65, given),
        ("5.2.1.2-02 beyond", &bare, asked(5), 66, NEVER),
        ("5.2.1.2-03 zero", &bare, asked(0), 60, given),
        ("5.2.1.2-04 zero, later", &bare, asked(0), 61, NEVER),
        ("5.2.1.2-05 any", &bare, any, 1_000_000, given),
        ("5.2.1.2-06 fresh", &bare, any, 59, Reuse::Fresh),
        ("5.2.1.2-07 in the window", &copy(), any, 89, SWR),
        ("5.2.1.2-08 after the window", &copy(), any, 90, given),
        ("5.2.1.2-09 by a rule", &ruled, any, 100, given),
        ("5.2.1.2-10 guessed", &guessed, any, 100, given),
        ("5.2.1.2-11 purged", &bare, any.narrowing(), 100, NEVER),
        ("5.2.1.2-12 purged", &copy(), any.narrowing(), 100, OR_ELSE),
        ("5.2.1.2-13 purged", &copy(), any.narrowing(), 70, SWR),
        ("5.2.1.2-14 max-age", &bare, young(100), 100, given),
        ("5.2.1.2-15 max-age", &bare, young(100), 101, NEVER),
        ("5.2.1.2-16 max-age=0", &bare, young(0), 60, NEVER),
        ("5.2.1.2-17 min-fresh", &bare, soon(5), 60, given),
    ] {
        check(id, copy, asked, age, expect);
    }
}

#[test]
fn a_request_says_for_itself_how_stale_an_answer_to_an_error_may_be() {
    let bare = Freshness {
        stale_while_revalidate: 0,
        stale_if_error: 0,
        ..copy()
    };
    let no_while = Freshness {
        stale_while_revalidate: 0,
        ..copy()
    };
    let asked = |n| RequestDirectives {
        stale_if_error: Some(n),
        ..RequestDirectives::default()
    };
    let no_cache = RequestDirectives {
        no_cache: true,
        ..asked(1000)
    };
    let zero = RequestDirectives {
        max_age: Some(0),
        ..asked(1000)
    };
    for (id, copy, asked, age, expect) in [
        ("5861-4-01 grants", &bare, asked(5), 64, OR_ELSE),
        ("5861-4-02 not for longer", &bare, asked(5), 65, NEVER),
        ("5861-4-03 widens", &no_while, asked(500), 300, OR_ELSE),
        ("5861-4-04 narrows", &no_while, asked(5), 65, NEVER),
        ("5861-4-05 nothing", &no_while, asked(0), 60, NEVER),
        ("5861-4-06 no-cache", &no_while, no_cache, 60, NEVER),
        ("5861-4-07 max-age=0", &bare, zero, 20, OR_ELSE),
        ("5861-4-08 purged", &bare, asked(5).narrowing(), 60, NEVER),
        (
            "5861-4-09 purged",
            &no_while,
            asked(5).narrowing(),
            64,
            OR_ELSE,
        ),
        (
            "5861-4-10 purged",
            &no_while,
            asked(500).narrowing(),
            180,
            NEVER,
        ),
        ("5861-4-11 fresh", &bare, asked(5), 59, Reuse::Fresh),
    ] {
        check(id, copy, asked, age, expect);
        if let Reuse::Validate { may_serve_on_error } = expect {
            let now = Timestamp(RECEIVED.0 + age - copy.initial_age);
            assert_eq!(
                serves_on_error(copy, &asked, now),
                may_serve_on_error,
                "{id}"
            );
        }
    }
}

#[test]
fn what_leads_past_a_fresh_copy_can_be_taken_from_a_request() {
    let forced = RequestDirectives {
        no_cache: true,
        max_age: Some(0),
        min_fresh: Some(1000),
        ..RequestDirectives::default()
    };
    check("5.2.1 forced", &copy(), forced, 10, NEVER);
    check(
        "5.2.1 unforced",
        &copy(),
        forced.unforced(),
        10,
        Reuse::Fresh,
    );
    check("5.2.1 unforced, stale", &copy(), forced.unforced(), 60, SWR);
}

#[test]
fn age_ttl_and_the_end_of_freshness_agree() {
    let copy = copy();
    let at = |secs| RECEIVED.plus(secs);
    assert_eq!((copy.age(at(0)), copy.ttl(at(0))), (10, 50));
    assert_eq!((copy.age(at(50)), copy.ttl(at(50))), (60, 0));
    assert_eq!((copy.age(at(55)), copy.ttl(at(55))), (65, -5));
    assert_eq!(
        copy.age(Timestamp(0)),
        10,
        "a clock that went back makes nothing younger than received"
    );
    assert_eq!(copy.fresh_until(), at(50));
    assert_eq!(
        Freshness {
            no_cache: true,
            ..copy.clone()
        }
        .fresh_until(),
        RECEIVED
    );
    assert_eq!(
        Freshness {
            initial_age: 61,
            ..copy.clone()
        }
        .fresh_until(),
        RECEIVED
    );
    let huge = Freshness {
        lifetime: u64::MAX,
        initial_age: 0,
        ..copy.clone()
    };
    assert_eq!(huge.ttl(at(1)), i64::MAX);
    assert_eq!(
        Freshness {
            lifetime: 0,
            initial_age: u64::MAX,
            ..copy
        }
        .ttl(at(1)),
        i64::MIN
    );
}

#[test]
fn a_copy_that_was_made_stale_has_its_windows_from_then_on() {
    let copy = Freshness {
        lifetime: 1000,
        source: LifetimeSource::MaxAge,
        initial_age: 10,
        received: Timestamp(5000),
        stale_while_revalidate: 60,
        stale_if_error: 600,
        no_cache: false,
        must_revalidate: false,
    };
    let judge = |since, now| {
        let (since, now) = (Timestamp(since), Timestamp(now));
        reuse(
            &copy.stale_since(since, now),
            &RequestDirectives::default(),
            now,
        )
    };
    let validate = |may_serve_on_error| Reuse::Validate { may_serve_on_error };
    assert_eq!(judge(5100, 5100), Reuse::StaleWhileRevalidate);
    assert_eq!(judge(5100, 5159), Reuse::StaleWhileRevalidate);
    assert_eq!(judge(5100, 5160), validate(true));
    assert_eq!(judge(5100, 5699), validate(true));
    assert_eq!(judge(5100, 5700), validate(false));
    // by a clock that is ahead, and by one that is behind the copy's own making
    assert_eq!(judge(9000, 5100), Reuse::StaleWhileRevalidate);
    assert_eq!(judge(4000, 5001), Reuse::StaleWhileRevalidate);
    // by a cache that had it before: it was stale for 4 seconds when it was received
    assert_eq!(judge(4996, 5055), Reuse::StaleWhileRevalidate);
    assert_eq!(judge(4996, 5056), validate(true));
    // a clock that was set back makes nothing fresh
    assert_eq!(judge(4900, 4990), Reuse::StaleWhileRevalidate);
    // one that was stale before stays so
    assert_eq!(judge(6500, 6600), validate(false));
}

#[test]
fn the_reason_names_what_decides() {
    let asks = |line: &str| {
        let mut fields = http::HeaderMap::new();
        if !line.is_empty() {
            fields.insert("cache-control", line.parse().unwrap());
        }
        RequestDirectives::parse(&fields)
    };
    let no_cache = Freshness {
        no_cache: true,
        ..copy()
    };
    let must = Freshness {
        must_revalidate: true,
        ..copy()
    };
    let bare = Freshness {
        source: LifetimeSource::None,
        lifetime: 0,
        stale_while_revalidate: 0,
        ..copy()
    };
    for (id, copy, line, age, expect) in [
        ("9111 4.2", copy(), "", 59, Why::Fresh),
        ("5861 3", copy(), "", 60, Why::Window),
        ("9111 4.2.4", copy(), "", 90, Why::Stale),
        ("9111 5.2.1.2", copy(), "max-stale", 200, Why::Accepted),
        (
            "9111 5.2.1.2",
            copy(),
            "max-stale=5",
            90,
            Why::RequestTakesNoStale,
        ),
        ("9111 5.2.1.1", copy(), "max-age=20", 21, Why::RequestMaxAge),
        (
            "9111 5.2.1.1",
            copy(),
            "max-age=20",
            61,
            Why::RequestTakesNoStale,
        ),
        (
            "9111 5.2.1.3",
            copy(),
            "min-fresh=20",
            50,
            Why::RequestMinFresh,
        ),
        ("9111 5.2.1.4", copy(), "no-cache", 20, Why::RequestNoCache),
        ("9111 5.2.2.4", no_cache, "", 20, Why::NoCache),
        ("9111 5.2.2.2", must, "max-stale", 60, Why::MustRevalidate),
        ("9111 4.2.2", bare, "", 10, Why::NoLifetime),
    ] {
        let now = Timestamp(RECEIVED.0 + age - copy.initial_age);
        assert_eq!(why(&copy, &asks(line), now), expect, "{id}: {line}");
    }
}
