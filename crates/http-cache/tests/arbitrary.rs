//! Whatever bytes the fields hold, judging ends with an answer, and the answers keep their promises.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use seawall_http_cache::*;

const NAMES: [&str; 34] = [
    "accept-encoding",
    "age",
    "authorization",
    "cache-control",
    "cache-groups",
    "cache-status",
    "cdn-cache-control",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "no-vary-search",
    "pragma",
    "range",
    "seawall-cache-control",
    "set-cookie",
    "surrogate-control",
    "transfer-encoding",
    "vary",
    "x-one",
    "te",
];

/// Pieces that the parsers branch on, so that arbitrary bytes get past the first token.
const PIECES: [&str; 44] = [
    "max-age",
    "s-maxage",
    "no-cache",
    "no-store",
    "private",
    "public",
    "must-understand",
    "stale-if-error",
    "stale-while-revalidate",
    "=",
    "\"",
    "\\",
    ",",
    ";",
    " ",
    "\t",
    "bytes=",
    "-",
    "0",
    "18446744073709551615",
    "99999999999999999999",
    "W/\"a\"",
    "\"a\"",
    "*",
    "gzip",
    "q=0.5",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "x-one",
    "min-fresh",
    "max-stale",
    "Sun Nov  6 08:49:37 1994",
    "bytes 0-1/2",
    "must-revalidate",
    "(",
    ")",
    "?1",
    ":aGk=:",
    "%\"%c3%bc\"",
    "60+5",
    "http://a",
    "/",
    "..",
];

/// Any byte that a field value can hold. Made, not filtered: rejected cases would use up the run.
fn field_byte() -> impl Strategy<Value = u8> {
    any::<u8>().prop_map(|byte| {
        if byte.is_ascii_control() && byte != b'\t' {
            byte | 0x80
        } else {
            byte
        }
    })
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let piece = prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(field_byte(), 0..8),
    ];
    proptest::collection::vec(piece, 0..12)
        .prop_map(|pieces| HeaderValue::from_bytes(&pieces.concat()).unwrap())
}

fn head() -> impl Strategy<Value = HeaderMap> {
    proptest::collection::vec((proptest::sample::select(&NAMES[..]), value()), 0..12).prop_map(
        |lines| {
            let mut fields = HeaderMap::new();
            for (name, value) in lines {
                fields.append(HeaderName::from_static(name), value);
            }
            fields
        },
    )
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..1000, 1_700_000_000_u64..1_700_001_000, any::<u64>()]
}

fn targets() -> impl Strategy<Value = Targets> {
    let all = [CDN_CACHE_CONTROL, SEAWALL_CACHE_CONTROL, SURROGATE_CONTROL];
    proptest::sample::subsequence(all.to_vec(), 0..=3).prop_map(Targets::new)
}

fn policy() -> impl Strategy<Value = StoragePolicy> {
    let maybe = || proptest::option::of(seconds());
    (
        targets(),
        maybe(),
        maybe(),
        maybe(),
        maybe(),
        maybe(),
        any::<bool>(),
        any::<bool>(),
        seconds(),
    )
        .prop_map(
            |(
                targets,
                ttl_override,
                ttl_default,
                stale_while_revalidate,
                stale_if_error,
                ttl_max,
                store_set_cookie,
                heuristic,
                heuristic_max,
            )| {
                StoragePolicy {
                    targets,
                    ttl_override,
                    ttl_default,
                    stale_while_revalidate,
                    stale_if_error,
                    store_set_cookie,
                    heuristic,
                    heuristic_max,
                    ttl_max,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn storing_and_reusing_never_panic_and_agree(
        request in head(),
        response in head(),
        policy in policy(),
        status in 100_u16..1000,
        asked in seconds(),
        received in seconds(),
        now in seconds(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let (asked, received, now) = (Timestamp(asked), Timestamp(received), Timestamp(now));
        let directives = RequestDirectives::parse(&request);
        if let Storable::Yes(fresh) =
            storable(&Method::GET, &request, status, &response, &policy, asked, received)
        {
            let cc = CacheControl::of(&response, &policy.targets);
            prop_assert!(!cc.no_store || cc.must_understand);
            prop_assert!(!cc.private && !directives.no_store);
            prop_assert!(vary(&response) != Vary::Star);
            prop_assert!(policy.ttl_max.is_none_or(|max| fresh.lifetime <= max));
            if fresh.source == LifetimeSource::Heuristic {
                prop_assert!(fresh.lifetime <= policy.heuristic_max);
            }
            if let Some(target) = &cc.target {
                prop_assert!(policy.targets.names().contains(target));
                let elsewhere = [LifetimeSource::MaxAge, LifetimeSource::SMaxage, LifetimeSource::Expires];
                prop_assert!(!elsewhere.contains(&fresh.source));
            }
            let plain = reuse(&fresh, &RequestDirectives::default(), now);
            prop_assert_eq!(plain == Reuse::Fresh, now < fresh.fresh_until());
            if plain == Reuse::Fresh && now >= received {
                prop_assert!(fresh.ttl(now) > 0);
                prop_assert!(!fresh.no_cache);
            }
            if fresh.must_revalidate || fresh.no_cache {
                prop_assert!(plain != Reuse::StaleWhileRevalidate);
            }
            // A request makes nothing fresh, and grants staleness only where nothing forbids it.
            let asked = reuse(&fresh, &directives, now);
            if asked == Reuse::Fresh {
                prop_assert_eq!(plain, Reuse::Fresh);
            }
            if asked == Reuse::StaleOnRequest {
                prop_assert!(!fresh.must_revalidate && !fresh.no_cache);
                prop_assert!(directives.max_stale.is_some());
                prop_assert!(reuse(&fresh, &directives.narrowing(), now) != asked);
            }
            if serves_on_error(&fresh, &directives, now) {
                prop_assert!(!fresh.must_revalidate && !fresh.no_cache && !directives.no_cache);
            }
            let stored = stored_fields(&response, &policy.targets);
            prop_assert!(!stored.contains_key("connection") && !stored.contains_key("age"));
        }
    }

    /// RFC 5861: windows count from when a copy became stale, wherever it was then.
    #[test]
    fn what_was_made_stale_is_stale_for_as_long_as_that_is_ago(
        numbers in (seconds(), seconds(), seconds(), seconds()),
        received in seconds(),
        since in seconds(),
        now in seconds(),
    ) {
        let (lifetime, initial_age, stale_while_revalidate, stale_if_error) = numbers;
        let initial_age = initial_age.min(DELTA_SECONDS_MAX);
        let (received, since, now) = (Timestamp(received), Timestamp(since), Timestamp(now));
        let copy = Freshness {
            lifetime,
            source: LifetimeSource::MaxAge,
            initial_age,
            received,
            stale_while_revalidate,
            stale_if_error,
            no_cache: false,
            must_revalidate: false,
        };
        let stale = copy.stale_since(since, now);
        prop_assert!(stale.fresh_until() <= now);
        prop_assert!(stale.lifetime <= copy.lifetime);
        prop_assert_eq!(stale.age(now), copy.age(now));
        // it cannot have been stale before it was made
        let ago = now.saturating_since(since).min(stale.age(now));
        prop_assert!(stale.age(now) - stale.lifetime.min(stale.age(now)) >= ago);
        let reused = reuse(&stale, &RequestDirectives::default(), now);
        prop_assert!(reused != Reuse::Fresh);
        prop_assert!(ago < stale_while_revalidate || reused != Reuse::StaleWhileRevalidate);
    }

    #[test]
    fn selecting_never_panics_and_parts_lie_inside(
        request in head(),
        response in head(),
        len in prop_oneof![0_u64..100, any::<u64>()],
        targets in targets(),
        now in seconds(),
    ) {
        let now = Timestamp(now);
        let first = |name: &str| response.get(name).map(HeaderValue::as_bytes);
        let (etag, modified, date) = (first("etag"), first("last-modified"), first("date"));
        evaluate(&Method::GET, &request, etag, modified, date, now);
        if let Ranges::Parts(parts) = ranges(&request, etag, modified, date, len, now) {
            prop_assert!(!parts.is_empty() && parts.len() <= RANGES_MAX);
            prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= len));
            prop_assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
        if let Vary::Fields(names) = vary(&response) {
            prop_assert!(variant_digest(&names, &request) > 1);
        }
        let accept = AcceptEncoding::of(&request);
        if let Some(coding) = accept.best(&ContentCoding::PREFERRED) {
            prop_assert!(accept.accepts(coding));
        }
        may_compress(&response, &targets, &CompressTypes::default());
        may_decode(&response, &targets);
        let range = ByteRange { start: 0, end: 2 };
        let part = StatusCode::PARTIAL_CONTENT;
        let _ = is_part(&request, part, &response, range, 2, &targets);
        if let Ok(Incomplete { range, length }) = incomplete(&response) {
            prop_assert!(range.start < range.end && range.end <= length);
            let more = missing(range, length);
            prop_assert!(more.start <= more.end && more.end <= length);
        }
        cdn_loop_count(&request, "seawall");
    }

    #[test]
    fn a_range_is_sent_on_as_one_of_whole_units_that_is_bounded(
        spec in "(bytes=)?[0-9]{0,21}-[0-9]{0,21}(, ?[0-9]{0,3}-)?",
        unit in 1_u64..1000,
        units in 1_u64..20,
    ) {
        let mut request = HeaderMap::new();
        request.insert("range", HeaderValue::from_str(&spec).unwrap());
        let most = unit * units;
        let Some(range) = range_to_forward(&request, unit, most) else {
            return Ok(());
        };
        let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
        let (first, last) = range.split_once('-').unwrap();
        if first.is_empty() {
            prop_assert!(last.parse::<u64>().unwrap() < most);
        } else {
            let (first, end) = (first.parse::<u64>().unwrap(), last.parse::<u64>().unwrap() + 1);
            prop_assert!(first % unit == 0 && end % unit == 0 && first < end && end - first <= most);
        }
    }

    #[test]
    fn merging_never_panics_and_is_stable(stored in head(), update in head()) {
        let mut once = stored.clone();
        freshen(&mut once, &update, Form::AsReceived);
        let mut twice = once.clone();
        freshen(&mut twice, &update, Form::AsReceived);
        prop_assert_eq!(&once, &twice);
        let mut coded = stored.clone();
        freshen(&mut coded, &update, Form::CodedHere);
        prop_assert_eq!(coded.get("content-encoding"), stored.get("content-encoding"));
        let targets = Targets::default();
        let withheld = withheld_fields(&once, &CacheControl::of(&once, &targets));
        let kept = stored_fields(&once, &targets);
        prop_assert!(withheld.keys().all(|name| !kept.contains_key(name)));
        let fleet = fleet_not_modified_fields(&once);
        prop_assert!(!fleet.contains_key("content-length") && !fleet.contains_key("connection"));
        prop_assert!(!refusal_fields(&once).contains_key("cache-control"));
        head_update(StatusCode::OK, &stored, 5, StatusCode::OK, &update);
        let answer = not_modified_fields(&once);
        prop_assert!(!answer.contains_key("content-type") && !answer.contains_key("connection"));
        update_applies(&stored, &update);
        let mut request = update;
        let any = validation_fields(&stored, &mut request);
        prop_assert_eq!(any, stored.contains_key("etag") || stored.contains_key("last-modified"));
        weaken_etag(&mut once);
        strip_hop_by_hop(&mut once);
    }

    #[test]
    fn what_a_change_names_is_a_target_in_origin_form(
        answer in head(), target in "[/a.?*]{0,8}", status in 100_u16..600,
    ) {
        let sites = [Site { scheme: "http", authority: b"a" }];
        let status = StatusCode::from_u16(status).unwrap();
        for named in also_invalidated(&sites, &target, status, &answer) {
            prop_assert!(named.starts_with('/') && named.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(!named.contains('#') && named != target);
        }
        forwards_left(&Method::OPTIONS, &answer);
    }

    #[test]
    fn any_bytes_are_a_date_or_none(
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        now in any::<u64>(),
    ) {
        Timestamp::parse_http_date(&bytes, Timestamp(now));
    }

    /// RFC 9110 §5.6.7, whenever the reader lives.
    #[test]
    fn a_date_with_two_digits_is_read_as_one_of_the_hundred_years_around(
        at in 0_u64..253_402_300_800,
        now in 0_u64..253_402_300_800,
    ) {
        let full = Timestamp(at).to_http_date();
        let (day, rest) = full[5..].split_at(2);
        let (month, year, time) = (&rest[1..4], &rest[7..9], &rest[10..]);
        let short = format!("Sunday, {day}-{month}-{year} {time}");
        if let Some(read) = Timestamp::parse_http_date(short.as_bytes(), Timestamp(now)) {
            const YEAR: u64 = 366 * 86_400;
            prop_assert!(read.0 <= now + 50 * YEAR, "{short} at {now}: {read:?}");
            prop_assert!(read.0 + 51 * YEAR >= now, "{short} at {now}: {read:?}");
        }
    }

    /// Structured or not: no bytes make the parser panic, and what it reads it reads again in two lines.
    #[test]
    fn any_bytes_are_a_dictionary_or_none(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        one in value(),
        two in value(),
    ) {
        sf::Dictionary::parse(&bytes);
        let mut fields = HeaderMap::new();
        fields.append("x-one", one.clone());
        fields.append("x-one", two.clone());
        let joined = [one.as_bytes(), b", ", two.as_bytes()].concat();
        let whole = sf::Dictionary::parse(&joined);
        prop_assert_eq!(sf::Dictionary::of_field(&fields, "x-one"), whole);
    }

    #[test]
    fn a_cache_status_member_is_always_a_field_value(
        cache in ".{0,20}", key in ".{0,20}", detail in ".{0,20}", ttl in any::<i64>(),
    ) {
        let mut fields = HeaderMap::new();
        let status = CacheStatus {
            cache: &cache,
            ttl: Some(ttl),
            key: Some(&key),
            detail: Some(&detail),
            ..CacheStatus::default()
        };
        status.append(&mut fields);
        prop_assert_eq!(fields.len(), 1);
    }
}
