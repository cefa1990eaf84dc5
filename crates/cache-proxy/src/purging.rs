//! Purges come into force here: durable, in the table, then in S.

use crate::CacheProxy;
use seawall_cache_store::JournalError;
use seawall_purge::lineage::{Contact, Held};
use seawall_purge::tier::{self, Reach, Told};
use seawall_purge::{Purge, PurgeSeq};
use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// After a wait that was in vain, nobody waits for as much again.
const CATCH_UP_PAUSE: Duration = Duration::from_secs(1);

impl CacheProxy {
    /// The last purge that is durable here.
    pub fn held(&self) -> Held {
        self.purges().held()
    }

    /// Puts consecutive purges in force. Once this returned, a request whose head arrives is answered with no copy that
    /// they cover, not even after a crash. Blocks for an fsync.
    pub fn apply_purges(&self, purges: &[Purge]) -> Result<PurgeSeq, JournalError> {
        // before they are in force: what they take is asked for from that moment on
        self.turns().remember(purges);
        let at = self.purges().apply(purges)?;
        self.moved.notify_waiters();
        Ok(at)
    }

    /// Lets go of every copy, for good, and begins at `held`.
    pub fn start_empty(&self, held: Held) -> Result<(), JournalError> {
        self.purges()
            .start_empty(held, || self.store().kill_all())?;
        // it was given for another log, perhaps by another control plane with other terms
        self.lease.end();
        self.install(None);
        self.moved.notify_waiters();
        Ok(())
    }

    /// How far the node has come with the control plane: it decides about copies from before this start.
    pub fn contact(&self, contact: Contact) {
        self.purges().contact(contact);
        if contact == Contact::None {
            self.lease.for_ever();
        }
    }

    /// Writes what waits for the disks and lets go of them: for an orderly end. Blocks, at most some seconds.
    pub fn close(&self) {
        self.store().close();
    }

    /// Whether every purge that a neighbour has `told` of is in force here; waits a moment for it, unless it is of another
    /// branch of the log.
    pub(crate) async fn catches_up(&self, told: Told) -> Reach {
        let reach = self.reach(told);
        if reach != Reach::NotYet || self.catch_up_max.is_zero() {
            return reach;
        }
        let in_vain = *self.in_vain.lock();
        if in_vain.is_some_and(|(at, when)| {
            when.elapsed() < CATCH_UP_PAUSE && at.cmp_within(told.at) != Some(Ordering::Greater)
        }) {
            return reach;
        }
        let caught_up = pingora_timeout::timeout(self.catch_up_max, async {
            loop {
                let moved = self.moved.notified();
                tokio::pin!(moved);
                // registered before S is read: no raise is missed
                moved.as_mut().enable();
                let reach = self.reach(told);
                if reach != Reach::NotYet {
                    return reach;
                }
                moved.await;
            }
        });
        caught_up.await.unwrap_or_else(|_| {
            *self.in_vain.lock() = Some((told.at, Instant::now()));
            Reach::NotYet
        })
    }

    fn reach(&self, told: Told) -> Reach {
        let snapshot = self.snapshot();
        // S first: the term of what it counts is there
        let own = snapshot.purges.at();
        tier::reach(told, own, snapshot.purges.term_of(told.at.n))
    }
}
