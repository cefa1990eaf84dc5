//! What may be done with a stored copy for a request (RFC 9111 §4).

use crate::cache_control::RequestDirectives;
use crate::freshness::Freshness;
use crate::time::Timestamp;

/// What may be done with a stored copy for a request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// The copy answers.
    Fresh,
    /// Stale, but within its stale-while-revalidate window: the copy answers and is refreshed in the background.
    StaleWhileRevalidate,
    /// The copy must be validated, or another fetched, before anything answers.
    Validate {
        /// Within its stale-if-error window, and nothing forbids it: it may answer if upstream fails.
        may_serve_on_error: bool,
    },
}

/// RFC 9111 §4 and RFC 5861 for a copy that matches in key, method and Vary, and that no purge covers.
///
/// A request narrows what a copy may do and never widens it: `max-stale` grants nothing that neither the response nor a
/// rule granted (§5.2.1.2 allows that). A request with `max-age` or `min-fresh` wants nothing stale unless it says
/// `max-stale` (§5.2.1.1), except when upstream fails (RFC 5861 §4). `only-if-cached` is the caller's matter.
#[inline]
pub fn reuse(fresh: &Freshness, directives: &RequestDirectives, now: Timestamp) -> Reuse {
    if now < fresh.fresh_until() && directives.is_empty() {
        return Reuse::Fresh;
    }
    reuse_asked(fresh, directives, now)
}

fn reuse_asked(fresh: &Freshness, directives: &RequestDirectives, now: Timestamp) -> Reuse {
    if fresh.no_cache || directives.no_cache {
        return Reuse::Validate {
            may_serve_on_error: false,
        };
    }
    let age = fresh.age(now);
    let young = directives.max_age.is_none_or(|max| age <= max);
    if now < fresh.fresh_until() {
        let left = fresh.lifetime.saturating_sub(age);
        if young && directives.min_fresh.is_none_or(|min| left >= min) {
            return Reuse::Fresh;
        }
        return Reuse::Validate {
            may_serve_on_error: fresh.stale_if_error > 0,
        };
    }
    if fresh.must_revalidate {
        return Reuse::Validate {
            may_serve_on_error: false,
        };
    }
    let staleness = age.saturating_sub(fresh.lifetime);
    let wanted = match directives.max_stale {
        Some(max) => young && staleness <= max,
        None => directives.max_age.is_none() && directives.min_fresh.is_none(),
    };
    if wanted && staleness < fresh.stale_while_revalidate {
        return Reuse::StaleWhileRevalidate;
    }
    Reuse::Validate {
        may_serve_on_error: staleness < fresh.stale_if_error,
    }
}

#[cfg(test)]
mod tests;
