//! Whether this node may answer by itself, or has not heard from the control plane for too long.

use crate::CacheProxy;
use crate::tier::Link;
use seawall_control_protocol::boottime;
use seawall_service_model::{OnLeaseLoss, Service};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The lease of a node, by the clock that goes on while the machine sleeps. A node that has just started has none.
#[derive(Debug, Default)]
pub struct Lease {
    /// Nanoseconds; the maximum: for ever.
    until: AtomicU64,
    reuse: AtomicU64,
    /// That it ran out was logged.
    is_missed: AtomicBool,
}

impl Lease {
    /// It runs until `until`, or longer if it was said to before; without it an origin's word is reused for `reuse`.
    pub fn runs_until(&self, until: Duration, reuse: Duration) {
        self.reuse.store(nanos(reuse), Ordering::Release);
        let until = nanos(until);
        // what was applied before this is seen by whoever sees this
        self.until.fetch_max(until, Ordering::AcqRel);
        if nanos(boottime()) < until && self.is_missed.swap(false, Ordering::Relaxed) {
            tracing::info!("this node has a lease again");
        }
    }

    /// There is none any more: what it was given for has ended.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Nobody purges anything: it runs for ever.
    pub(crate) fn for_ever(&self) {
        self.until.store(u64::MAX, Ordering::Release);
    }

    /// Whether it runs now: a load, and a look at the clock.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        nanos(boottime()) < self.until.load(Ordering::Acquire)
    }

    /// How long it runs on; zero: it does not.
    fn left(&self) -> Duration {
        let until = Duration::from_nanos(self.until.load(Ordering::Acquire));
        until.saturating_sub(boottime())
    }

    /// The earliest question to an origin whose answer does for a request that comes now; `window`: the same for all
    /// that come within a while, so that they share an answer.
    fn since(&self) -> Since {
        let reuse = self.reuse.load(Ordering::Acquire);
        let now = nanos(boottime());
        Since {
            confirmed: Duration::from_nanos(now.saturating_sub(reuse)),
            // a multiple of `reuse` that is no longer ago than that
            fill: Duration::from_nanos(now.checked_rem(reuse).map_or(now, |past| now - past)),
        }
    }
}

/// Nothing answers a request but what an origin itself said, and was asked for no earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    /// Copies that were confirmed since then may answer.
    pub(crate) confirmed: Duration,
    /// Fills that were begun for requests with the same one may be shared; none of them is older than `confirmed`.
    pub(crate) fill: Duration,
}

impl CacheProxy {
    /// The node's lease, which whoever follows the control plane keeps.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether other services may be put in force now: not where what is in force answers with nothing unconfirmed for
    /// lack of a lease, or nothing is in force yet.
    pub fn takes_services(&self) -> bool {
        let snapshot = self.snapshot();
        let services = snapshot.services.services();
        self.lease.is_held() || !(services.is_empty() || services.iter().any(|s| asks(s)))
    }

    /// What has to answer a request to `service` that comes now by `link`; `None`: whatever is judged to be good.
    pub(crate) fn since(&self, service: &Service, link: &Link) -> Option<Since> {
        if let Link::Fleet { reaches: true, .. } = link {
            // each gets an answer of its own
            let now = boottime();
            return Some(Since {
                confirmed: now,
                fill: now,
            });
        }
        (asks(service) && !self.lease.is_held()).then(|| self.lease.since())
    }

    /// Counts and, the first time, logs that a request has come while the node was fenced.
    pub(crate) fn count_fenced(&self) {
        if !self.lease.is_missed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "this node has no lease: services that ask for it answer with nothing unconfirmed"
            );
        }
        self.metrics().lease_fenced_answers.inc();
    }

    /// Whether a plain hit of `service` may go out.
    #[inline]
    pub(crate) fn may_hit(&self, service: &Service) -> bool {
        !asks(service) || self.lease.is_held()
    }

    /// Brings the gauges of the lease up to date.
    pub(crate) fn refresh_lease_gauges(&self) {
        let left = self.lease.left().as_secs();
        let metrics = self.metrics();
        metrics
            .lease_seconds
            .set(i64::try_from(left).unwrap_or(i64::MAX));
        let snapshot = self.snapshot();
        let asking = snapshot.services.services().iter().filter(|s| asks(s));
        let fenced = if self.lease.is_held() {
            0
        } else {
            asking.count()
        };
        metrics.lease_fenced_services.set(fenced as i64);
    }
}

#[inline]
fn asks(service: &Service) -> bool {
    service.on_lease_loss == OnLeaseLoss::Revalidate
}

/// 584 years of them fit.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REUSE: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_runs_as_long_as_it_was_said_to_and_a_shorter_word_does_not_end_it() {
        let lease = Lease::default();
        assert!(!lease.is_held());
        let now = boottime();
        lease.runs_until(now + Duration::from_hours(1), REUSE);
        lease.runs_until(now, REUSE);
        assert!(lease.is_held());
        lease.end();
        assert!(!lease.is_held());
        lease.runs_until(now.saturating_sub(REUSE), REUSE);
        assert!(!lease.is_held());
        lease.for_ever();
        assert!(lease.is_held());
    }

    #[test]
    fn requests_within_a_while_share_a_fill_and_no_fill_is_older_than_the_reuse() {
        let lease = Lease::default();
        lease.runs_until(Duration::ZERO, REUSE);
        for _ in 0..1000 {
            let before = boottime();
            let since = lease.since();
            assert!(since.fill >= since.confirmed, "{since:?}");
            assert!(since.confirmed + REUSE >= before);
            assert_eq!(since.fill.subsec_nanos(), 0, "of a whole second");
        }
        // before any terms were heard nothing is reused
        let strict = Lease::default().since();
        assert_eq!(strict.confirmed, strict.fill);
    }
}
