use http::HeaderValue;

use super::*;

/// When the response of every row is received: a whole number of days, for dates that are easy to read.
pub(crate) const NOW: Timestamp = Timestamp(1_700_006_400);

pub(crate) fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let value = match value.strip_prefix('@') {
            // `@-60` is the date 60 seconds before NOW.
            Some(offset) => {
                let at = NOW.0.saturating_add_signed(offset.parse().unwrap());
                HeaderValue::from_str(&Timestamp(at).to_http_date()).unwrap()
            }
            None => HeaderValue::from_str(value).unwrap(),
        };
        fields.append(*name, value);
    }
    fields
}

pub(crate) type Lines<'a> = &'a [(&'static str, &'a str)];

pub(crate) fn judge(
    method: &Method,
    request: Lines<'_>,
    status: u16,
    response: Lines<'_>,
    policy: &StoragePolicy,
) -> Storable {
    let status = StatusCode::from_u16(status).unwrap();
    storable(
        method,
        &head(request),
        status,
        &head(response),
        policy,
        NOW,
        NOW,
    )
}

fn check(
    id: &str,
    request: Lines<'_>,
    status: u16,
    response: Lines<'_>,
    expect: Option<Unstorable>,
) {
    let got = match judge(
        &Method::GET,
        request,
        status,
        response,
        &StoragePolicy::default(),
    ) {
        Storable::Yes(_) => None,
        Storable::No(reason) => Some(reason),
    };
    assert_eq!(got, expect, "{id}: {status} {response:?}");
}

#[test]
fn a_response_is_stored_only_where_the_rfc_allows_it() {
    use Unstorable::{
        Authorization, NoLifetime, NoStore, NoUse, Partial, Private, RequestNoStore, SetCookie,
        Status, VaryStar,
    };
    const CC: &str = "cache-control";
    // RFC 9111 §3, status
    check("3 plain", &[], 200, &[(CC, "max-age=60")], None);
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        check(
            "4.2.2 heuristically cacheable",
            &[],
            status,
            &[("last-modified", "@-864000")],
            None,
        );
    }
    for status in [
        201, 202, 302, 303, 307, 400, 401, 403, 409, 422, 429, 451, 500, 502, 503, 504, 599,
    ] {
        check(
            "3 no lifetime",
            &[],
            status,
            &[("last-modified", "@-864000")],
            Some(NoLifetime),
        );
        check("3 max-age", &[], status, &[(CC, "max-age=60")], None);
        check("3 s-maxage", &[], status, &[(CC, "s-maxage=60")], None);
        check("3 expires", &[], status, &[("expires", "@60")], None);
        check(
            "3 public",
            &[],
            status,
            &[(CC, "public"), ("last-modified", "@-864000")],
            None,
        );
    }
    check(
        "3 expires in the past, no validator",
        &[],
        302,
        &[("expires", "0")],
        Some(NoUse),
    );
    check("3 interim", &[], 103, &[(CC, "max-age=60")], Some(Status));
    check(
        "3 not modified",
        &[],
        304,
        &[(CC, "max-age=60")],
        Some(Status),
    );
    check(
        "3.3 unsolicited part",
        &[],
        206,
        &[(CC, "max-age=60")],
        Some(Partial),
    );
    check(
        "3.3 part",
        &[("range", "bytes=0-1")],
        206,
        &[(CC, "max-age=60")],
        Some(Partial),
    );
    check(
        "3.3 whole for a range",
        &[("range", "bytes=0-1")],
        200,
        &[(CC, "max-age=60")],
        None,
    );
    // §5.2.2.3
    check(
        "5.2.2.3 understood",
        &[],
        200,
        &[(CC, "must-understand, no-store, max-age=60")],
        None,
    );
    check(
        "5.2.2.3 not understood",
        &[],
        599,
        &[(CC, "must-understand, max-age=60")],
        Some(Status),
    );
    check(
        "5.2.2.3 malformed",
        &[],
        200,
        &[(CC, "must-understand=1, no-store, max-age=60")],
        Some(NoStore),
    );
    // no-store
    check(
        "5.2.2.5",
        &[],
        200,
        &[(CC, "no-store, max-age=60")],
        Some(NoStore),
    );
    check(
        "5.2.2.5 second line",
        &[],
        200,
        &[(CC, "max-age=60"), (CC, "NO-STORE")],
        Some(NoStore),
    );
    check(
        "5.2.2.5 with public",
        &[],
        200,
        &[(CC, "public, no-store, max-age=60")],
        Some(NoStore),
    );
    check(
        "5.2.1.5",
        &[(CC, "no-store")],
        200,
        &[(CC, "max-age=60")],
        Some(RequestNoStore),
    );
    check(
        "5.2.1.4 does not forbid",
        &[(CC, "no-cache")],
        200,
        &[(CC, "max-age=60")],
        None,
    );
    check(
        "pragma of a response means nothing",
        &[],
        200,
        &[(CC, "max-age=60"), ("pragma", "no-cache")],
        None,
    );
    // private
    check(
        "5.2.2.7",
        &[],
        200,
        &[(CC, "private, max-age=60")],
        Some(Private),
    );
    check(
        "5.2.2.7 with public",
        &[],
        200,
        &[(CC, "public, private")],
        Some(Private),
    );
    check(
        "5.2.2.7 with s-maxage",
        &[],
        200,
        &[(CC, "private, s-maxage=60")],
        Some(Private),
    );
    check(
        "5.2.2.7 qualified",
        &[],
        200,
        &[(CC, "private=\"x-user\", max-age=60")],
        None,
    );
    check(
        "5.2.2.7 badly qualified",
        &[],
        200,
        &[(CC, "private=\"x user\", max-age=60")],
        Some(Private),
    );
    // §3.5
    let auth: Lines<'_> = &[("authorization", "Basic x")];
    check("3.5", auth, 200, &[(CC, "max-age=60")], Some(Authorization));
    check(
        "3.5 expires",
        auth,
        200,
        &[("expires", "@60")],
        Some(Authorization),
    );
    check(
        "3.5 proxy-revalidate",
        auth,
        200,
        &[(CC, "max-age=60, proxy-revalidate")],
        Some(Authorization),
    );
    check(
        "3.5 no-cache",
        auth,
        200,
        &[(CC, "no-cache"), ("etag", "\"1\"")],
        Some(Authorization),
    );
    check("3.5 public", auth, 200, &[(CC, "max-age=60, public")], None);
    check(
        "3.5 public=x",
        auth,
        200,
        &[(CC, "max-age=60, public=x")],
        Some(Authorization),
    );
    check(
        "3.5 must-revalidate",
        auth,
        200,
        &[(CC, "max-age=60, must-revalidate")],
        None,
    );
    check("3.5 s-maxage", auth, 200, &[(CC, "s-maxage=60")], None);
    // cookies: a caution of ours
    let cookie = ("set-cookie", "a=b");
    check(
        "cookie",
        &[],
        200,
        &[(CC, "max-age=60"), cookie],
        Some(SetCookie),
    );
    check(
        "cookie, must-revalidate",
        &[],
        200,
        &[(CC, "max-age=60, must-revalidate"), cookie],
        Some(SetCookie),
    );
    check(
        "cookie, public",
        &[],
        200,
        &[(CC, "max-age=60, public"), cookie],
        None,
    );
    check(
        "cookie, s-maxage",
        &[],
        200,
        &[(CC, "s-maxage=60"), cookie],
        None,
    );
    check(
        "cookie withheld",
        &[],
        200,
        &[(CC, "max-age=60, private=\"Set-Cookie\""), cookie],
        None,
    );
    check(
        "cookie of the request",
        &[("cookie", "a=b")],
        200,
        &[(CC, "max-age=60")],
        None,
    );
    // §4.1
    check(
        "4.1 star",
        &[],
        200,
        &[(CC, "max-age=60"), ("vary", "*")],
        Some(VaryStar),
    );
    check(
        "4.1 star in list",
        &[],
        200,
        &[(CC, "max-age=60"), ("vary", "accept, *")],
        Some(VaryStar),
    );
    check(
        "4.1 star in second line",
        &[],
        200,
        &[(CC, "max-age=60"), ("vary", "a"), ("vary", "*")],
        Some(VaryStar),
    );
    check(
        "4.1 fields",
        &[],
        200,
        &[(CC, "max-age=60"), ("vary", "accept")],
        None,
    );
    // of no use
    check("nothing said", &[], 200, &[], Some(NoUse));
    check("stale at once", &[], 200, &[(CC, "max-age=0")], Some(NoUse));
    check(
        "stale by Age, of use with max-stale (5.2.1.2)",
        &[],
        200,
        &[(CC, "max-age=60"), ("age", "60")],
        None,
    );
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
        check(
            "4.2.4 stale by Age, never used stale",
            &[],
            200,
            &[(CC, "max-age=60"), (CC, forbidding), ("age", "60")],
            Some(NoUse),
        );
    }
    check(
        "5.2.1.2 stale by Expires and Age",
        &[],
        200,
        &[("date", "@0"), ("expires", "@60"), ("age", "61")],
        None,
    );
    check(
        "5.3 Expires at Date",
        &[],
        200,
        &[("date", "@0"), ("expires", "@0")],
        Some(NoUse),
    );
    check(
        "no-cache",
        &[],
        200,
        &[(CC, "no-cache, max-age=60")],
        Some(NoUse),
    );
    check(
        "no-cache, validator",
        &[],
        200,
        &[(CC, "no-cache"), ("etag", "\"1\"")],
        None,
    );
    check(
        "stale, validator",
        &[],
        200,
        &[(CC, "max-age=0"), ("last-modified", "@-5")],
        None,
    );
    check(
        "stale, window",
        &[],
        200,
        &[(CC, "max-age=0, stale-while-revalidate=5")],
        None,
    );
    check(
        "stale, error window",
        &[],
        200,
        &[(CC, "max-age=0, stale-if-error=5")],
        None,
    );
    check(
        "stale, forbidden window",
        &[],
        200,
        &[(CC, "s-maxage=0, stale-if-error=5")],
        Some(NoUse),
    );
    check("validator only", &[], 200, &[("etag", "W/\"1\"")], None);
}

mod grants;

#[test]
fn only_answers_to_get_are_stored() {
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "QUERY", "get"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let got = judge(
            &method,
            &[],
            200,
            &[("cache-control", "public, max-age=60")],
            &StoragePolicy::default(),
        );
        assert_eq!(got, Storable::No(Unstorable::Method), "{method}");
    }
}

#[test]
fn a_rule_stores_cookies_but_never_what_is_private() {
    let policy = StoragePolicy {
        store_set_cookie: true,
        ttl_override: Some(60),
        ..StoragePolicy::default()
    };
    let cookie = ("set-cookie", "a=b");
    assert!(matches!(
        judge(&Method::GET, &[], 200, &[cookie], &policy),
        Storable::Yes(_)
    ));
    for (cc, reason) in [
        ("private", Unstorable::Private),
        ("no-store", Unstorable::NoStore),
        ("private, max-age=9", Unstorable::Private),
    ] {
        let got = judge(
            &Method::GET,
            &[],
            200,
            &[cookie, ("cache-control", cc)],
            &policy,
        );
        assert_eq!(got, Storable::No(reason), "{cc}");
    }
    let got = judge(&Method::GET, &[("authorization", "x")], 200, &[], &policy);
    assert_eq!(got, Storable::No(Unstorable::Authorization));
}

#[test]
fn reasons_have_names_of_their_own() {
    use Unstorable::*;
    let all = [
        Method,
        Status,
        Partial,
        RequestNoStore,
        NoStore,
        Private,
        Authorization,
        SetCookie,
        VaryStar,
        NoLifetime,
        NoUse,
    ];
    let mut names: Vec<_> = all.iter().map(|r| r.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
}
