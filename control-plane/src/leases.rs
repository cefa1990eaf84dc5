//! Leases of nodes, and what may be claimed of nodes that have none any more.

use crate::store::{Expect, Store, StoreError};
use parking_lot::Mutex;
use seawall_control_protocol::boottime;
use seawall_purge::PurgeSeq;
use seawall_purge::lease::Terms;
use seawall_purge::lease::claims::Claims;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Where the longest lease is kept that nodes may hold.
const LONGEST: &str = "leases/longest";

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Longest {
    ms: u64,
}

/// Whether a member that has not applied a purge is fenced for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// By the clock of [`Leases::now`].
    Since(Duration),
    /// Not yet; from then on, should nothing change.
    From(Duration),
    /// Not as far as anybody can tell.
    Unknown,
}

/// What is given to nodes, and since when what can be claimed.
pub struct Leases {
    store: Arc<dyn Store>,
    clock: fn() -> Duration,
    claims: Mutex<Claims>,
    /// Whether the store has a longer lease than those that are given now.
    longer_kept: Mutex<bool>,
}

impl Leases {
    /// Leases of `length` from now on. The store knows a lease as long as any that a node may hold when this returns.
    pub async fn open(
        store: Arc<dyn Store>,
        length: Duration,
        head: PurgeSeq,
    ) -> Result<Self, StoreError> {
        Self::open_with(store, length, head, boottime).await
    }

    pub(crate) async fn open_with(
        store: Arc<dyn Store>,
        length: Duration,
        head: PurgeSeq,
        clock: fn() -> Duration,
    ) -> Result<Self, StoreError> {
        let longest = match store.get(LONGEST).await? {
            Some(document) => {
                let body = document.body.unwrap_or_default();
                let longest: Longest = serde_json::from_slice(&body)
                    .map_err(|error| StoreError::Corrupt(format!("{LONGEST}: {error}")))?;
                Duration::from_millis(longest.ms)
            }
            None => Duration::ZERO,
        };
        if longest < length {
            keep(&*store, length).await?;
        }
        // `head` was read before: what is appended later is told by itself
        let claims = Claims::new(Terms::of(length), longest, head, clock());
        Ok(Self {
            store,
            clock,
            claims: Mutex::new(claims),
            longer_kept: Mutex::new(longest > length),
        })
    }

    pub fn terms(&self) -> Terms {
        self.claims.lock().terms()
    }

    /// The clock that leases count on.
    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Everything up to `at` has been appended by now.
    pub fn appended(&self, at: PurgeSeq) {
        let now = self.now();
        self.claims.lock().appended(at, now);
    }

    /// Whether a node whose services all ask for it is fenced for `purge`, which it has not applied. `answered`: when its
    /// last renewal was answered.
    pub fn fence(&self, purge: PurgeSeq, answered: Option<Duration>) -> Fence {
        let from = self.claims.lock().fenced_from(purge, answered);
        match from {
            Some(from) if from <= self.now() => Fence::Since(from),
            Some(from) => Fence::From(from),
            None => Fence::Unknown,
        }
    }

    /// Once the leases of earlier starts have ended, later starts need not wait for them.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let (ended, length) = {
            let claims = self.claims.lock();
            (claims.not_before() <= self.now(), claims.terms().length)
        };
        if ended && *self.longer_kept.lock() {
            keep(&*self.store, length).await?;
            *self.longer_kept.lock() = false;
        }
        Ok(())
    }
}

async fn keep(store: &dyn Store, length: Duration) -> Result<(), StoreError> {
    let longest = Longest {
        ms: length.as_millis() as u64,
    };
    let body = serde_json::to_vec(&longest).unwrap_or_default();
    store.put(LONGEST, body.into(), Expect::Any).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use seawall_purge::Epoch;
    use std::cell::Cell;

    thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::from_secs(1000)) };
    }

    fn now() -> Duration {
        NOW.get()
    }

    const AT: PurgeSeq = PurgeSeq::new(Epoch(1), 0);
    const SECOND: Duration = Duration::from_secs(1);

    async fn open(store: &Arc<dyn Store>, length: Duration) -> Leases {
        let opened = Leases::open_with(store.clone(), length, AT, now);
        opened.await.unwrap()
    }

    #[tokio::test]
    async fn a_start_with_shorter_leases_waits_for_the_longer_ones_and_so_does_the_next() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let began = now();
        open(&store, 60 * SECOND).await;
        let ends = Terms::of(60 * SECOND).fenced_from(began);
        for _ in 0..2 {
            // what an earlier start gave may be held from now on for as long
            let leases = open(&store, SECOND).await;
            leases.settle().await.unwrap();
            assert_eq!(leases.fence(AT, None), Fence::From(ends));
        }
        let leases = open(&store, SECOND).await;
        NOW.set(ends);
        assert_eq!(leases.fence(AT, None), Fence::Since(ends));
        leases.settle().await.unwrap();
        let later = open(&store, SECOND).await;
        let short = Terms::of(SECOND).fenced_from(ends);
        assert_eq!(later.fence(AT, None), Fence::From(short));
    }

    #[tokio::test]
    async fn nothing_is_claimed_of_a_purge_whose_append_is_not_known() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let leases = open(&store, SECOND).await;
        let purge = PurgeSeq::new(Epoch(1), 1);
        NOW.set(now() + 60 * SECOND);
        assert_eq!(leases.fence(purge, None), Fence::Unknown);
        leases.appended(purge);
        let from = Terms::of(SECOND).fenced_from(now());
        assert_eq!(leases.fence(purge, None), Fence::From(from));
        NOW.set(from);
        assert_eq!(leases.fence(purge, None), Fence::Since(from));
    }
}
