//! Fields that belong to one connection (RFC 9110 §7.6.1), and what of a response is stored (RFC 9111 §3.1).

use http::{HeaderMap, HeaderName, header};

use crate::cache_control::CacheControl;
use crate::fields::Fields;
use crate::list::for_each_element;
use crate::targeted::Targets;

/// Fields of one connection, named in `Connection` or not; the Proxy- fields belong to the next proxy only.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields meant for every recipient, which `Connection` may not name (RFC 9110 §7.6.1).
///
/// A client that names them wants something removed that origins or later caches rely on: identity, framing, the guard
/// against loops.
const END_TO_END: [&str; 24] = [
    "age",
    "authorization",
    "cache-control",
    "cdn-loop",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "forwarded",
    "host",
    "last-modified",
    "location",
    "pragma",
    "set-cookie",
    "vary",
    "via",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Fields that a delivery writes itself, or that go with the bytes that it sends.
const OF_EACH_DELIVERY: [&str; 7] = [
    "age",
    "cache-status",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "via",
];

/// Removes what belongs to the connection that a message came over, the fields named in `Connection` included.
///
/// For every message that is forwarded or stored; an upgrade that is passed on must be noted before and written anew.
pub fn strip_hop_by_hop(fields: &mut HeaderMap) {
    if fields.contains_key(header::CONNECTION) {
        let mut named = Vec::new();
        fields.each("connection", &mut |line| {
            for_each_element(line, |option| named.extend(HeaderName::from_bytes(option)));
        });
        for name in named {
            if !END_TO_END.contains(&name.as_str()) {
                fields.remove(name);
            }
        }
    }
    // of most messages nothing is left to remove
    if fields.keys().any(|name| is_hop_by_hop(name.as_str())) {
        for name in HOP_BY_HOP {
            fields.remove(name);
        }
    }
}

/// The head to store of a response that may be stored (RFC 9111 §3.1).
///
/// Without hop-by-hop fields, without those that `private="..."` and `no-cache="..."` name where a cache with these
/// targets reads its directives, and without `Age`, which [`crate::Freshness`] keeps and each delivery writes anew.
pub fn stored_fields(response: &HeaderMap, targets: &Targets) -> HeaderMap {
    into_stored_fields(response.clone(), &CacheControl::of(response, targets))
}

/// The same of a head that nobody else needs, whose directives are `cc`.
pub fn into_stored_fields(mut stored: HeaderMap, cc: &CacheControl) -> HeaderMap {
    strip_hop_by_hop(&mut stored);
    for name in cc.private_fields.iter().chain(&cc.no_cache_fields) {
        stored.remove(name);
    }
    stored.remove(header::AGE);
    stored
}

/// What [`stored_fields`] leaves out of a response because `private="..."` or `no-cache="..."` names it (RFC 9111
/// §5.2.2.4, §5.2.2.7): it is for the one whose request the response answers, and for nobody else. `cc`: the response's
/// directives.
///
/// Without the fields of the connection, nor those that each delivery writes anew or that say how the body is framed.
pub fn withheld_fields(response: &HeaderMap, cc: &CacheControl) -> HeaderMap {
    let mut withheld = HeaderMap::new();
    if cc.private_fields.is_empty() && cc.no_cache_fields.is_empty() {
        return withheld;
    }
    let mut end_to_end = response.clone();
    strip_hop_by_hop(&mut end_to_end);
    for name in cc.private_fields.iter().chain(&cc.no_cache_fields) {
        if !OF_EACH_DELIVERY.contains(&name.as_str()) && !withheld.contains_key(name) {
            for value in end_to_end.get_all(name) {
                withheld.append(name, value.clone());
            }
        }
    }
    withheld
}

/// Whether the field belongs to one connection by its name, whatever `Connection` says (RFC 9110 §7.6.1, §11.7).
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    fn withheld(response: &HeaderMap) -> HeaderMap {
        withheld_fields(response, &CacheControl::of(response, &Targets::default()))
    }

    fn names(fields: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn fields_of_the_connection_go_and_all_others_stay() {
        let mut fields = head(&[
            ("connection", "close, X-One"),
            ("connection", "x-two"),
            ("x-one", "1"),
            ("x-one", "2"),
            ("x-two", "1"),
            ("x-three", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "5"),
        ]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(names(&fields), ["content-length", "x-three"]);
    }

    #[test]
    fn connection_cannot_name_a_field_meant_for_all() {
        let mut fields = head(&[
            (
                "connection",
                "cookie, Authorization, CDN-Loop, host, bad name, via",
            ),
            ("cookie", "a=b"),
            ("authorization", "Basic x"),
            ("cdn-loop", "x"),
            ("host", "a"),
            ("via", "1.1 a"),
        ]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(
            names(&fields),
            ["authorization", "cdn-loop", "cookie", "host", "via"]
        );
    }

    #[test]
    fn a_stored_head_lacks_what_qualified_directives_name() {
        let fields = head(&[
            (
                "cache-control",
                "max-age=60, private=\"X-User, set-cookie\"",
            ),
            ("cache-control", "no-cache=\"x-token\""),
            ("x-user", "1"),
            ("x-token", "1"),
            ("set-cookie", "a=b"),
            ("age", "7"),
            ("etag", "\"1\""),
            ("trailer", "x"),
        ]);
        let stored = |fields| stored_fields(fields, &Targets::default());
        assert_eq!(names(&stored(&fields)), ["cache-control", "etag"]);
        let kept = head(&[("set-cookie", "a=b"), ("cache-control", "public")]);
        assert_eq!(names(&stored(&kept)), ["cache-control", "set-cookie"]);
        // RFC 9213 §2.2: where a targeted field governs, what Cache-Control names is not withheld
        let targeted = head(&[
            ("cdn-cache-control", "max-age=60, private=\"x-user\""),
            ("cache-control", "no-cache=\"x-token\""),
            ("x-user", "1"),
            ("x-token", "1"),
        ]);
        assert_eq!(
            names(&withheld(&fields)),
            ["set-cookie", "x-token", "x-user"]
        );
        assert!(withheld(&kept).is_empty());
        assert_eq!(names(&withheld(&targeted)), ["x-user"]);
        assert_eq!(
            names(&stored(&targeted)),
            ["cache-control", "cdn-cache-control", "x-token"]
        );
    }

    #[test]
    fn what_is_withheld_has_nothing_of_the_connection_the_framing_or_the_delivery() {
        // RFC 9111 §5.2.2.4, §5.2.2.7
        let fields = head(&[
            (
                "cache-control",
                "private=\"x-user, content-length, age, date, x-hop, connection, x-none\"",
            ),
            ("cache-control", "no-cache=\"x-user, content-encoding\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-user", "1"),
            ("x-user", "2"),
            ("content-length", "1"),
            ("content-encoding", "gzip"),
            ("age", "1"),
            ("date", "d"),
        ]);
        let withheld = withheld(&fields);
        assert_eq!(names(&withheld), ["x-user"]);
        assert_eq!(withheld.get_all("x-user").iter().count(), 2);
    }
}
