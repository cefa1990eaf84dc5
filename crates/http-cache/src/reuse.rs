//! What may be done with a stored copy for a request (RFC 9111 §4).

use http::StatusCode;

use crate::cache_control::RequestDirectives;
use crate::freshness::{Freshness, LifetimeSource};
use crate::time::Timestamp;

/// What may be done with a stored copy for a request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// The copy answers.
    Fresh,
    /// Stale, but within its stale-while-revalidate window: the copy answers and is refreshed in the background.
    StaleWhileRevalidate,
    /// Stale, and the request accepts that (`max-stale`, §5.2.1.2): the copy answers as it is.
    StaleOnRequest,
    /// The copy must be validated, or another fetched, before anything answers.
    Validate {
        /// What [`serves_on_error`] says now: it may answer if upstream fails.
        may_serve_on_error: bool,
    },
}

/// RFC 9111 §4 and RFC 5861 for a copy that matches in key, method and Vary, and that no purge covers.
///
/// A request with `max-age` or `min-fresh` wants nothing stale unless it says `max-stale` (§5.2.1.1), except when
/// upstream fails (RFC 5861 §4). Ages are floors of true ages: `max-age=0` is met by no copy. `max-stale` narrows the
/// response's own window, and grants staleness (§4.2.4: "explicitly permitted by the client") where nothing forbids it:
/// `must-revalidate` and its like, `no-cache`, no lifetime that anybody stated or suggested, and
/// [`RequestDirectives::narrowing`]. `only-if-cached` is the caller's matter.
#[inline]
pub fn reuse(fresh: &Freshness, directives: &RequestDirectives, now: Timestamp) -> Reuse {
    if now < fresh.fresh_until() && directives.is_empty() {
        return Reuse::Fresh;
    }
    reuse_asked(fresh, directives, now)
}

fn reuse_asked(fresh: &Freshness, directives: &RequestDirectives, now: Timestamp) -> Reuse {
    match why(fresh, directives, now) {
        Why::Fresh => Reuse::Fresh,
        Why::Window => Reuse::StaleWhileRevalidate,
        Why::Accepted => Reuse::StaleOnRequest,
        Why::NoCache
        | Why::RequestNoCache
        | Why::RequestMaxAge
        | Why::RequestMinFresh
        | Why::MustRevalidate
        | Why::RequestTakesNoStale
        | Why::NoLifetime
        | Why::Stale => Reuse::Validate {
            may_serve_on_error: serves_on_error(fresh, directives, now),
        },
    }
}

/// What decides about a stored copy for a request: the reason of [`reuse`]'s answer.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// It is fresh, and the request takes it.
    Fresh,
    /// Stale, within its stale-while-revalidate window.
    Window,
    /// Stale, which the request accepts and nothing forbids.
    Accepted,
    /// The response's `no-cache`: every use is validated.
    NoCache,
    /// The request's `no-cache`.
    RequestNoCache,
    /// Fresh, but older than the request's `max-age`.
    RequestMaxAge,
    /// Fresh, but not for as long as the request's `min-fresh`.
    RequestMinFresh,
    /// Stale, which `must-revalidate`, `proxy-revalidate` or `s-maxage` forbid to be used.
    MustRevalidate,
    /// Stale, and the request wants nothing that is, or not as stale.
    RequestTakesNoStale,
    /// Nothing states or suggests a lifetime.
    NoLifetime,
    /// Stale, beyond every window.
    Stale,
}

/// Why [`reuse`] says what it says.
pub fn why(fresh: &Freshness, directives: &RequestDirectives, now: Timestamp) -> Why {
    if fresh.no_cache {
        return Why::NoCache;
    }
    if directives.no_cache {
        return Why::RequestNoCache;
    }
    let age = fresh.age(now);
    let young = directives.max_age.is_none_or(|max| max > 0 && age <= max);
    if now < fresh.fresh_until() {
        let left = fresh.lifetime.saturating_sub(age);
        if !young {
            return Why::RequestMaxAge;
        }
        if directives.min_fresh.is_some_and(|min| left < min) {
            return Why::RequestMinFresh;
        }
        return Why::Fresh;
    }
    if fresh.must_revalidate {
        return Why::MustRevalidate;
    }
    let staleness = age.saturating_sub(fresh.lifetime);
    let accepted = match directives.max_stale {
        Some(max) => young && staleness <= max,
        None => directives.max_age.is_none() && directives.min_fresh.is_none(),
    };
    if !accepted {
        return Why::RequestTakesNoStale;
    }
    if staleness < fresh.stale_while_revalidate {
        return Why::Window;
    }
    if directives.max_stale.is_some() && grants(fresh, directives) {
        return Why::Accepted;
    }
    if fresh.source == LifetimeSource::None {
        Why::NoLifetime
    } else {
        Why::Stale
    }
}

/// Whether the copy may answer in the place of an error of upstream (RFC 5861 §4), judged at the moment of the error.
///
/// `stale-if-error` of the request goes before the response's window, for this request: it is "the upper limit to
/// staleness" that its sender accepts. It grants as `max-stale` does, and no more: who may ask for a stale answer at any
/// time may ask for it after an error. With the request's `no-cache` nothing answers that is not validated (RFC 9111
/// §5.2.1.4).
pub fn serves_on_error(fresh: &Freshness, directives: &RequestDirectives, now: Timestamp) -> bool {
    if fresh.no_cache || fresh.must_revalidate || directives.no_cache {
        return false;
    }
    let window = match directives.stale_if_error {
        Some(asked) if grants(fresh, directives) => asked,
        Some(asked) => asked.min(fresh.stale_if_error),
        None => fresh.stale_if_error,
    };
    let staleness = fresh.age(now).saturating_sub(fresh.lifetime);
    staleness < window
}

/// Whether an answer with this status is an error that a stale copy may stand in for (RFC 5861 §4).
pub fn is_upstream_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether a request may grant staleness; `no-cache` and `must-revalidate` have been looked at.
fn grants(fresh: &Freshness, directives: &RequestDirectives) -> bool {
    !directives.only_narrows && fresh.source != LifetimeSource::None
}

#[cfg(test)]
mod tests;
