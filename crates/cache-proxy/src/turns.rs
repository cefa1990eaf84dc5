//! What a question to an origin waits for: the pace of the purge that brought it about, and the budget of its service.

use crate::bucket::{Bucket, Rate, TooLate};
use crate::pace::{Pace, Paces};
use parking_lot::Mutex;
use seawall_purge::{Label, Purge, ScopeId};
use seawall_service_model::{Service, ServiceId};
use seawall_telemetry::OriginBudgetCounters;
use seawall_upstream::{Failure, Phase, Role};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Services whose buckets are kept. Beyond it those that are idle are let go of; what that loses is what they had
/// promised for times that are over.
const BUDGETS_MAX: usize = 10_000;

/// How long a question can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It refreshes in the background what is used stale meanwhile: it takes what nobody waits for.
    None,
    UpTo(Duration),
}

impl Patience {
    /// What is left of it after a wait.
    pub(crate) fn less(self, waits: Duration) -> Self {
        match self {
            Patience::None => Patience::None,
            Patience::UpTo(max) => Patience::UpTo(max.saturating_sub(waits)),
        }
    }
}

/// When a question may be sent.
pub(crate) type Due = Result<Duration, (Patience, TooLate)>;

/// The buckets of a node that asks origins itself.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Moments are counted from here.
    began: Instant,
    budgets: Mutex<HashMap<ServiceId, Bucket>>,
    paces: Mutex<Paces>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            budgets: Mutex::default(),
            paces: Mutex::default(),
        }
    }
}

impl Turns {
    /// Later than the beginning by more than buckets save for, so that a node that has just started has saved as much.
    fn now(&self) -> Duration {
        self.began.elapsed() + Duration::from_secs(1)
    }

    /// Takes the next turn of a service, if it comes soon enough.
    pub(crate) fn of_budget(
        &self,
        service: &ServiceId,
        per_second: NonZeroU32,
        patience: Patience,
    ) -> Due {
        let now = self.now();
        let mut budgets = self.budgets.lock();
        if budgets.len() >= BUDGETS_MAX && !budgets.contains_key(service) {
            budgets.retain(|_, bucket| !bucket.is_idle(now));
        }
        let bucket = budgets.entry(service.clone()).or_default();
        take(bucket, now, Rate(per_second), patience)
    }

    /// Those of them that have a pace are paced from now on.
    pub(crate) fn remember(&self, purges: &[Purge]) {
        if purges.iter().any(|purge| purge.pace.is_some()) {
            self.paces.lock().remember(purges, self.now());
        }
    }

    /// The pace at which a copy that is gone comes back.
    pub(crate) fn pace(&self, label: Label, scopes: &[ScopeId]) -> Option<Pace> {
        self.paces.lock().of(label, scopes, self.now())
    }

    /// Takes the next turn of a pace, if it comes soon enough.
    pub(crate) fn of_pace(&self, pace: &Pace, patience: Patience) -> Due {
        let mut bucket = pace.bucket.lock();
        take(&mut bucket, self.now(), pace.rate, patience)
    }

    /// Whether the origin of `service` could be asked at once. True of a node that asks shields: it takes no turns.
    pub(crate) fn is_free(&self, service: &Service) -> bool {
        let Some(budget) = service.origin_budget else {
            return true;
        };
        let budgets = self.budgets.lock();
        budgets
            .get(&service.id)
            .is_none_or(|bucket| bucket.is_free(self.now(), Rate(budget.requests_per_second)))
    }
}

fn take(bucket: &mut Bucket, now: Duration, rate: Rate, patience: Patience) -> Due {
    let wait_max = match patience {
        Patience::None => Duration::ZERO,
        Patience::UpTo(wait_max) => wait_max,
    };
    bucket
        .take(now, rate, wait_max)
        .map_err(|late| (patience, late))
}

/// Waits until the question is due. An error: that is too late, and nothing was taken.
pub(crate) async fn awaited(due: Due, counters: &OriginBudgetCounters) -> Result<(), Failure> {
    match due {
        Ok(Duration::ZERO) => {
            counters.at_once.inc();
            Ok(())
        }
        Ok(wait) => {
            counters.queued.inc();
            tokio::time::sleep(wait).await;
            Ok(())
        }
        Err((patience, TooLate(by))) => {
            match patience {
                Patience::None => counters.put_off.inc(),
                Patience::UpTo(_) => counters.refused.inc(),
            }
            Err(Failure {
                status: 503,
                phase: Phase::OriginBudget,
                role: Role::Origin,
                reason: "too many requests wait for it".into(),
                retry_after_secs: Some(whole_seconds(by)),
            })
        }
    }
}

/// Rounded up; at least one.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_is_told_whole_seconds() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds, "{ms}");
        }
    }

    #[test]
    fn what_refreshes_in_the_background_takes_only_what_nobody_waits_for() {
        let (turns, service) = (Turns::default(), ServiceId("shop".into()));
        let rate = NonZeroU32::new(1).unwrap();
        let long = Patience::UpTo(Duration::from_secs(60));
        assert_eq!(
            turns.of_budget(&service, rate, Patience::None),
            Ok(Duration::ZERO)
        );
        assert!(turns.of_budget(&service, rate, Patience::None).is_err());
        assert!(
            turns
                .of_budget(&service, rate, long)
                .is_ok_and(|wait| !wait.is_zero())
        );
        // another service has its own
        let other = ServiceId("blog".into());
        assert_eq!(
            turns.of_budget(&other, rate, Patience::None),
            Ok(Duration::ZERO)
        );
    }
}
