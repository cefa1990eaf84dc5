//! A copy's freshness, in less room.

use seawall_http_cache::{Freshness, LifetimeSource, Timestamp};

/// A [`Freshness`] whose durations end at 2^32 - 1 seconds: those of responses end at 2^31 (RFC 9111 §1.2.2).
#[derive(Debug)]
pub(crate) struct Fresh {
    received: Timestamp,
    lifetime: u32,
    initial_age: u32,
    stale_while_revalidate: u32,
    stale_if_error: u32,
    source: LifetimeSource,
    no_cache: bool,
    must_revalidate: bool,
}

impl From<&Freshness> for Fresh {
    fn from(of: &Freshness) -> Self {
        let seconds = |seconds: u64| u32::try_from(seconds).unwrap_or(u32::MAX);
        Self {
            received: of.received,
            lifetime: seconds(of.lifetime),
            initial_age: seconds(of.initial_age),
            stale_while_revalidate: seconds(of.stale_while_revalidate),
            stale_if_error: seconds(of.stale_if_error),
            source: of.source,
            no_cache: of.no_cache,
            must_revalidate: of.must_revalidate,
        }
    }
}

impl Fresh {
    #[inline]
    pub(crate) fn get(&self) -> Freshness {
        Freshness {
            lifetime: self.lifetime.into(),
            source: self.source,
            initial_age: self.initial_age.into(),
            received: self.received,
            stale_while_revalidate: self.stale_while_revalidate.into(),
            stale_if_error: self.stale_if_error.into(),
            no_cache: self.no_cache,
            must_revalidate: self.must_revalidate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_it_was_made_of_but_for_more_seconds_than_any_response_names() {
        let mut freshness = Freshness {
            lifetime: 1,
            source: LifetimeSource::MaxAge,
            initial_age: 2,
            received: Timestamp(u64::MAX),
            stale_while_revalidate: 3,
            stale_if_error: u64::from(u32::MAX),
            no_cache: true,
            must_revalidate: false,
        };
        assert_eq!(Fresh::from(&freshness).get(), freshness);
        freshness.lifetime = u64::MAX;
        assert_eq!(Fresh::from(&freshness).get().lifetime, u64::from(u32::MAX));
    }
}
