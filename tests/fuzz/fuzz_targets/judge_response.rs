//! May a response be stored, for how long is it fresh, what may be done with the copy: whatever bytes the fields hold,
//! there is an answer, and it keeps its promises.

#![no_main]

use http::{HeaderMap, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use seawall_fuzz::Input;
use seawall_http_cache::{
    CDN_CACHE_CONTROL, CacheControl, CompressTypes, RequestDirectives, Reuse,
    SEAWALL_CACHE_CONTROL, SURROGATE_CONTROL, Storable, StoragePolicy, Targets, Timestamp, Vary,
    evaluate, freshen, may_compress, may_decode, reuse, storable, stored_fields, update_applies,
    variant_digest, vary,
};

const RESPONSE: [&str; 17] = [
    "cache-control",
    "cdn-cache-control",
    "seawall-cache-control",
    "surrogate-control",
    "expires",
    "date",
    "age",
    "last-modified",
    "etag",
    "vary",
    "set-cookie",
    "connection",
    "content-type",
    "content-encoding",
    "content-range",
    "pragma",
    "x-one",
];

const REQUEST: [&str; 10] = [
    "authorization",
    "cache-control",
    "pragma",
    "if-none-match",
    "if-modified-since",
    "if-match",
    "if-unmodified-since",
    "accept-encoding",
    "accept-language",
    "x-one",
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let policy = policy(&mut input);
    let status = 100 + (input.number() % 900) as u16;
    let Ok(status) = StatusCode::from_u16(status) else {
        return;
    };
    let times = [input.seconds(), input.seconds(), input.seconds()];
    let [asked, received, now] = times.map(Timestamp);
    let request = input.fields(&REQUEST);
    let response = input.fields(&RESPONSE);
    let update = input.fields(&RESPONSE);

    judge(&policy, status, &request, &response, [asked, received, now]);

    let first = |name: &str| response.get(name).map(http::HeaderValue::as_bytes);
    let (etag, modified, date) = (first("etag"), first("last-modified"), first("date"));
    evaluate(&Method::GET, &request, etag, modified, date, now);
    may_compress(&response, &policy.targets, &CompressTypes::default());
    may_decode(&response, &policy.targets);
    update_applies(&response, &update);
    let mut merged = response.clone();
    freshen(&mut merged, &update);
    judge(&policy, status, &request, &merged, [asked, received, now]);
});

fn policy(input: &mut Input<'_>) -> StoragePolicy {
    let switches = input.byte();
    let targets = [SEAWALL_CACHE_CONTROL, CDN_CACHE_CONTROL, SURROGATE_CONTROL];
    let listed = targets.into_iter().enumerate();
    let listed = listed.filter(|(index, _)| switches & (1 << index) == 0);
    StoragePolicy {
        targets: Targets::new(listed.map(|(_, name)| name).collect()),
        ttl_override: input.option(),
        ttl_default: input.option(),
        stale_while_revalidate: input.option(),
        stale_if_error: input.option(),
        store_set_cookie: switches & 8 != 0,
        heuristic: switches & 16 == 0,
        heuristic_max: input.seconds(),
        ttl_max: input.option(),
    }
}

fn judge(
    policy: &StoragePolicy,
    status: StatusCode,
    request: &HeaderMap,
    response: &HeaderMap,
    [asked, received, now]: [Timestamp; 3],
) {
    let judged = storable(
        &Method::GET,
        request,
        status,
        response,
        policy,
        asked,
        received,
    );
    let Storable::Yes(fresh) = judged else {
        return;
    };
    let control = CacheControl::of(response, &policy.targets);
    let directives = RequestDirectives::parse(request);
    assert!(!control.private && !directives.no_store);
    assert!(!control.no_store || control.must_understand);
    assert!(policy.ttl_max.is_none_or(|max| fresh.lifetime <= max));
    match vary(response) {
        Vary::Star => panic!("a response that matches no request was stored"),
        Vary::Fields(names) => assert!(variant_digest(&names, request) > 1),
        Vary::None => {}
    }
    let plain = reuse(&fresh, &RequestDirectives::default(), now);
    assert_eq!(plain == Reuse::Fresh, now < fresh.fresh_until());
    if fresh.must_revalidate || fresh.no_cache {
        assert_ne!(plain, Reuse::StaleWhileRevalidate);
    }
    if reuse(&fresh, &directives, now) == Reuse::Fresh {
        assert_eq!(plain, Reuse::Fresh, "a request only narrows");
    }
    let stored = stored_fields(response, &policy.targets);
    assert!(!stored.contains_key("connection") && !stored.contains_key("age"));
    assert!(!stored.keys().any(|name| control.withholds(name.as_str())));
}
