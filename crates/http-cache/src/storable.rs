//! May a response be stored (RFC 9111 §3), and under which freshness.

use http::{HeaderMap, Method, StatusCode};

use crate::cache_control::{CacheControl, RequestDirectives};
use crate::fields::Fields;
use crate::freshness::{Freshness, HEURISTIC_LIFETIME_MAX, explicit_lifetime};
use crate::targeted::Targets;
use crate::time::Timestamp;
use crate::vary::{Vary, vary};

/// What a rule or service says beside the response. Durations in seconds.
///
/// None of it makes a response storable that says `no-store` or `private`, and none of it lifts `no-cache`,
/// `must-revalidate` or the Authorization rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoragePolicy {
    /// The fields with directives for this cache, which go before `Cache-Control` and `Expires` (RFC 9213).
    pub targets: Targets,
    /// The lifetime, whatever the response states. Not applied to 5xx, nor to a status that is neither heuristically
    /// cacheable nor given an explicit lifetime. As any lifetime it counts from the origin's answer: `Age` is taken
    /// off, so that tiers do not add up.
    pub ttl_override: Option<u64>,
    /// The lifetime of a response that states none; goes before the heuristic, within the same bounds.
    pub ttl_default: Option<u64>,
    /// The stale-while-revalidate window; goes before the response's.
    pub stale_while_revalidate: Option<u64>,
    /// The stale-if-error window; goes before the response's.
    pub stale_if_error: Option<u64>,
    /// Store answers with `Set-Cookie`, cookies included, even where the response does not say that they are meant for
    /// all. Default: false.
    pub store_set_cookie: bool,
    /// Guess a lifetime from `Last-Modified` (RFC 9111 §4.2.2). Default: true.
    pub heuristic: bool,
    /// The longest lifetime that is guessed. Default: [`HEURISTIC_LIFETIME_MAX`].
    pub heuristic_max: u64,
    /// The longest lifetime, whatever its source.
    pub ttl_max: Option<u64>,
}

impl Default for StoragePolicy {
    fn default() -> Self {
        StoragePolicy {
            targets: Targets::default(),
            ttl_override: None,
            ttl_default: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            store_set_cookie: false,
            heuristic: true,
            heuristic_max: HEURISTIC_LIFETIME_MAX,
            ttl_max: None,
        }
    }
}

/// Whether a response may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storable {
    /// It may, and this is how long it can be used.
    Yes(Freshness),
    /// It may not, or would be of no use.
    No(Unstorable),
}

/// Why a response is not stored.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Unstorable {
    /// The answer to anything but GET.
    Method,
    /// An interim answer, a 304, or a status that is not understood under `must-understand`.
    Status,
    /// A 206: parts are asked for by whoever puts copies together, never stored as a copy.
    Partial,
    /// The request said `no-store` (§5.2.1.5).
    RequestNoStore,
    /// `no-store` (§5.2.2.5).
    NoStore,
    /// `private` (§5.2.2.7): this is a shared cache.
    Private,
    /// The request had `Authorization` and the response none of the directives of §3.5.
    Authorization,
    /// `Set-Cookie` without `public`, `s-maxage`, a lifetime of a targeted field or a rule.
    SetCookie,
    /// `Vary: *`, or selecting fields that cannot be read.
    VaryStar,
    /// Neither an explicit lifetime nor a status that may be stored without one.
    NoLifetime,
    /// Without a lifetime that could be used, even stale, and without validator: no request could use the copy.
    NoUse,
}

impl Unstorable {
    /// Whether the request is the reason: the answer to another client's may be stored, and a copy that is there is
    /// none the worse for it.
    pub fn is_of_the_request(self) -> bool {
        matches!(self, Unstorable::RequestNoStore | Unstorable::Authorization)
    }

    /// The token for Cache-Status' `detail` and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            Unstorable::Method => "method",
            Unstorable::Status => "status",
            Unstorable::Partial => "partial",
            Unstorable::RequestNoStore => "request-no-store",
            Unstorable::NoStore => "no-store",
            Unstorable::Private => "private",
            Unstorable::Authorization => "authorization",
            Unstorable::SetCookie => "set-cookie",
            Unstorable::VaryStar => "vary-star",
            Unstorable::NoLifetime => "no-lifetime",
            Unstorable::NoUse => "no-use",
        }
    }
}

/// RFC 9111 §3, and the freshness (§4.2) of what may be stored.
///
/// `request` are the fields of the request as it was sent upstream, `request_time` when that was, `response_time` when
/// the head of the response came. After a 304 the freshened fields (see [`crate::freshen`]) are judged again with the
/// stored status. An answer that is not storable must still retire the older copy it was asked to replace.
pub fn storable(
    method: &Method,
    request: &dyn Fields,
    status: StatusCode,
    response: &HeaderMap,
    policy: &StoragePolicy,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Storable {
    let cc = CacheControl::of(response, &policy.targets);
    let times = (request_time, response_time);
    storable_by(&cc, method, request, status, response, policy, times)
}

/// The same where the response's directives `cc`, for the targets of `policy`, have been read; `times`: of request and
/// response.
pub fn storable_by(
    cc: &CacheControl,
    method: &Method,
    request: &dyn Fields,
    status: StatusCode,
    response: &HeaderMap,
    policy: &StoragePolicy,
    times: (Timestamp, Timestamp),
) -> Storable {
    let (request_time, response_time) = times;
    if let Some(reason) = forbidden(method, request, status, response, cc, policy) {
        return Storable::No(reason);
    }
    if !cc.public
        && !is_heuristically_cacheable(status)
        && explicit_lifetime(response, cc, response_time, response_time).is_none()
    {
        return Storable::No(Unstorable::NoLifetime);
    }
    let freshness = Freshness::of(status, response, cc, policy, request_time, response_time);
    // stale at its arrival, it is still of use to who takes it so (`max-stale`, §5.2.1.2), where nothing forbids that
    let usable = freshness.fresh_until() > freshness.received
        || (freshness.lifetime > 0 && !freshness.no_cache && !freshness.must_revalidate)
        || freshness.stale_while_revalidate > 0
        || freshness.stale_if_error > 0
        || response.contains_key("etag")
        || response.contains_key("last-modified");
    if usable {
        Storable::Yes(freshness)
    } else {
        Storable::No(Unstorable::NoUse)
    }
}

fn forbidden(
    method: &Method,
    request: &dyn Fields,
    status: StatusCode,
    response: &HeaderMap,
    cc: &CacheControl,
    policy: &StoragePolicy,
) -> Option<Unstorable> {
    if *method != Method::GET {
        return Some(Unstorable::Method);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        return Some(Unstorable::Partial);
    }
    if status.is_informational() || status == StatusCode::NOT_MODIFIED {
        return Some(Unstorable::Status);
    }
    if cc.must_understand && !is_understood(status) {
        return Some(Unstorable::Status);
    }
    if RequestDirectives::parse(request).no_store {
        return Some(Unstorable::RequestNoStore);
    }
    // §5.2.2.3: where the status is understood, must-understand takes no-store back.
    if cc.no_store && !cc.must_understand {
        return Some(Unstorable::NoStore);
    }
    if cc.private {
        return Some(Unstorable::Private);
    }
    let reused_for_all = cc.public || cc.s_maxage.is_some() || cc.must_revalidate;
    if request.first("authorization").is_some() && !reused_for_all {
        return Some(Unstorable::Authorization);
    }
    if response.contains_key("set-cookie")
        && !cc.is_shared()
        && !policy.store_set_cookie
        && !cc.withholds("set-cookie")
    {
        return Some(Unstorable::SetCookie);
    }
    (vary(response) == Vary::Star).then_some(Unstorable::VaryStar)
}

/// RFC 9110 §15.1: what may be stored without an explicit lifetime. 206 is missing: its parts are not stored.
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// The final status codes of RFC 9110 §15 whose caching is implemented here.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

#[cfg(test)]
pub(crate) mod tests;
