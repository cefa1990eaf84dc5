//! How long a copy is fresh (RFC 9111 §4.2) and for how long it may be used stale (RFC 5861).

use http::{HeaderMap, StatusCode};

use crate::age::age_value;
use crate::cache_control::{CacheControl, DELTA_SECONDS_MAX};
use crate::fields::Fields;
use crate::storable::{StoragePolicy, is_heuristically_cacheable};
use crate::time::Timestamp;

/// The longest lifetime that is guessed, where nobody sets another: one day, beyond which RFC 7234 §5.5.4 wanted a
/// warning.
pub const HEURISTIC_LIFETIME_MAX: u64 = 24 * 60 * 60;

/// A copy is guessed to stay fresh for this part of the time since its last modification (RFC 9111 §4.2.2).
const HEURISTIC_DIVISOR: u64 = 10;

/// Where a freshness lifetime comes from.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum LifetimeSource {
    /// The rule's TTL, whatever the response says.
    Override,
    /// `s-maxage`
    SMaxage,
    /// `max-age`
    MaxAge,
    /// `s-maxage` of a targeted field (RFC 9213)
    TargetedSMaxage,
    /// `max-age` of a targeted field (RFC 9213)
    TargetedMaxAge,
    /// `Expires` less `Date`
    Expires,
    /// The rule's TTL for responses that state none.
    Default,
    /// A tenth of the time since `Last-Modified`.
    Heuristic,
    /// Nothing says or suggests one: the lifetime is 0.
    None,
}

impl LifetimeSource {
    /// The name in explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            LifetimeSource::Override => "override",
            LifetimeSource::SMaxage => "s-maxage",
            LifetimeSource::MaxAge => "max-age",
            LifetimeSource::TargetedSMaxage => "targeted-s-maxage",
            LifetimeSource::TargetedMaxAge => "targeted-max-age",
            LifetimeSource::Expires => "expires",
            LifetimeSource::Default => "default",
            LifetimeSource::Heuristic => "heuristic",
            LifetimeSource::None => "none",
        }
    }
}

/// The arithmetic's result, kept with a copy (RFC 9111 §4.2, RFC 5861). All durations in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The freshness lifetime, counted from when the origin made the response.
    pub lifetime: u64,
    /// Where the lifetime comes from.
    pub source: LifetimeSource,
    /// The corrected initial age (§4.2.3).
    pub initial_age: u64,
    /// When the response was received (§4.2.3: response_time).
    pub received: Timestamp,
    /// The stale-while-revalidate window; 0 where staleness is forbidden.
    pub stale_while_revalidate: u64,
    /// The stale-if-error window; 0 where staleness is forbidden.
    pub stale_if_error: u64,
    /// Every reuse needs a validation (unqualified `no-cache`).
    pub no_cache: bool,
    /// Never used stale: `must-revalidate`, `proxy-revalidate` or `s-maxage` (§4.2.4).
    pub must_revalidate: bool,
}

impl Freshness {
    /// The copy's current age (§4.2.3).
    #[inline]
    pub fn age(&self, now: Timestamp) -> u64 {
        self.initial_age
            .saturating_add(now.saturating_since(self.received))
    }

    /// Seconds of freshness left; 0 or negative when stale. `no-cache` does not show here.
    #[inline]
    pub fn ttl(&self, now: Timestamp) -> i64 {
        let (lifetime, age) = (self.lifetime, self.age(now));
        if lifetime >= age {
            i64::try_from(lifetime - age).unwrap_or(i64::MAX)
        } else {
            i64::try_from(age - lifetime).map_or(i64::MIN, |stale| -stale)
        }
    }

    /// The first second in which the copy is no longer fresh; `received` where it never is (`no_cache` included).
    ///
    /// A copy is fresh exactly while `now < fresh_until()`.
    #[inline]
    pub fn fresh_until(&self) -> Timestamp {
        if self.no_cache {
            return self.received;
        }
        self.received
            .plus(self.lifetime.saturating_sub(self.initial_age))
    }

    /// The same for a copy that something else than its age made stale at `since` (a soft purge): the stale windows count
    /// from there, also where it was received later, from a cache that had it before. It is stale at `now`, whatever the
    /// clocks say: those of two machines differ, and one may be set back.
    pub fn stale_since(&self, since: Timestamp, now: Timestamp) -> Freshness {
        let (received, since) = (self.received.min(now), since.min(now));
        let age_then = self
            .initial_age
            .saturating_add(since.saturating_since(received))
            .saturating_sub(received.saturating_since(since));
        Freshness {
            lifetime: self.lifetime.min(age_then),
            received,
            ..self.clone()
        }
    }

    /// RFC 9111 §4.2 for a response that may be stored.
    pub(crate) fn of(
        status: StatusCode,
        response: &HeaderMap,
        cc: &CacheControl,
        policy: &StoragePolicy,
        request_time: Timestamp,
        response_time: Timestamp,
    ) -> Freshness {
        let date = response
            .first("date")
            .and_then(|date| Timestamp::parse_http_date(date, response_time));
        let (lifetime, source) = lifetime(status, response, cc, policy, date, response_time);
        let lifetime = policy.ttl_max.map_or(lifetime, |max| lifetime.min(max));

        let apparent_age = date.map_or(0, |date| response_time.saturating_since(date));
        let response_delay = response_time.saturating_since(request_time);
        let corrected_age = age_value(response).saturating_add(response_delay);

        let must_revalidate = cc.must_revalidate || cc.proxy_revalidate || cc.s_maxage.is_some();
        // A lifetime that nobody stated has no window behind it, and an error is worth no more than its lifetime.
        let stale_forbidden = must_revalidate
            || cc.no_cache
            || source == LifetimeSource::None
            || status.is_server_error();
        let window = |rule: Option<u64>, response: Option<u64>| {
            if stale_forbidden {
                0
            } else {
                rule.or(response).unwrap_or(0)
            }
        };
        Freshness {
            lifetime,
            source,
            initial_age: apparent_age.max(corrected_age),
            received: response_time,
            stale_while_revalidate: window(
                policy.stale_while_revalidate,
                cc.stale_while_revalidate,
            ),
            stale_if_error: window(policy.stale_if_error, cc.stale_if_error),
            no_cache: cc.no_cache,
            must_revalidate,
        }
    }
}

/// What the response itself states (§4.2.1), before rules and guesses. `date`: its own, else `now`, when it came.
pub(crate) fn explicit_lifetime(
    response: &HeaderMap,
    cc: &CacheControl,
    date: Timestamp,
    now: Timestamp,
) -> Option<(u64, LifetimeSource)> {
    use LifetimeSource::{MaxAge, SMaxage, TargetedMaxAge, TargetedSMaxage};
    let targeted = cc.target.is_some();
    if let Some(seconds) = cc.s_maxage {
        return Some((seconds, if targeted { TargetedSMaxage } else { SMaxage }));
    }
    if let Some(seconds) = cc.max_age {
        return Some((seconds, if targeted { TargetedMaxAge } else { MaxAge }));
    }
    if targeted {
        // RFC 9213 §2.2: where a targeted field governs, Expires counts for nothing
        return None;
    }
    let mut expires: Option<u64> = None;
    for line in response.get_all("expires") {
        // An invalid date, `0` above all, lies in the past (§5.3); of several lines the earliest counts.
        let seconds = Timestamp::parse_http_date(line.as_bytes(), now)
            .map_or(0, |at| at.saturating_since(date).min(DELTA_SECONDS_MAX));
        expires = Some(expires.map_or(seconds, |before| before.min(seconds)));
    }
    expires.map(|seconds| (seconds, LifetimeSource::Expires))
}

fn lifetime(
    status: StatusCode,
    response: &HeaderMap,
    cc: &CacheControl,
    policy: &StoragePolicy,
    date: Option<Timestamp>,
    now: Timestamp,
) -> (u64, LifetimeSource) {
    let date = date.unwrap_or(now);
    let explicit = explicit_lifetime(response, cc, date, now);
    let guessable = is_heuristically_cacheable(status) || cc.public;
    let ruled = !status.is_server_error();
    if let Some(seconds) = policy.ttl_override
        && ruled
        && (guessable || explicit.is_some())
    {
        return (seconds, LifetimeSource::Override);
    }
    if let Some(explicit) = explicit {
        return explicit;
    }
    if let Some(seconds) = policy.ttl_default
        && ruled
        && guessable
    {
        return (seconds, LifetimeSource::Default);
    }
    if policy.heuristic
        && guessable
        && let Some(modified) = response
            .first("last-modified")
            .and_then(|modified| Timestamp::parse_http_date(modified, now))
    {
        let seconds = date.saturating_since(modified) / HEURISTIC_DIVISOR;
        return (seconds.min(policy.heuristic_max), LifetimeSource::Heuristic);
    }
    (0, LifetimeSource::None)
}

#[cfg(test)]
mod tests;
