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
    let validate = Reuse::Validate {
        may_serve_on_error: serves_on_error(fresh, directives, now),
    };
    if fresh.no_cache || directives.no_cache {
        return validate;
    }
    let age = fresh.age(now);
    let young = directives.max_age.is_none_or(|max| max > 0 && age <= max);
    if now < fresh.fresh_until() {
        let left = fresh.lifetime.saturating_sub(age);
        if young && directives.min_fresh.is_none_or(|min| left >= min) {
            return Reuse::Fresh;
        }
        return validate;
    }
    if fresh.must_revalidate {
        return validate;
    }
    let staleness = age.saturating_sub(fresh.lifetime);
    let accepted = match directives.max_stale {
        Some(max) => young && staleness <= max,
        None => directives.max_age.is_none() && directives.min_fresh.is_none(),
    };
    if accepted && staleness < fresh.stale_while_revalidate {
        return Reuse::StaleWhileRevalidate;
    }
    if accepted && directives.max_stale.is_some() && grants(fresh, directives) {
        return Reuse::StaleOnRequest;
    }
    validate
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
