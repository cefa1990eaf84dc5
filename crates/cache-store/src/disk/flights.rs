//! Reads under way: all who ask for one record share one read, whose end does not depend on any of them.

use super::error::Missing;
use parking_lot::Mutex;
use pingora_timeout::timeout;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

type Landed<T> = watch::Receiver<Option<Result<T, Missing>>>;

pub(crate) struct Flights<K, T> {
    under_way: Mutex<HashMap<K, Landed<T>>>,
    free: Arc<Semaphore>,
}

/// Takes a flight off the list however it ends.
struct Landing<K: Copy + Eq + Hash, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
    _place: OwnedSemaphorePermit,
}

impl<K: Copy + Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.flights.under_way.lock().remove(&self.key);
    }
}

impl<K, T> Flights<K, T>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// At most `max` reads are under way at once.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            under_way: Mutex::default(),
            free: Arc::new(Semaphore::new(max)),
        })
    }

    /// What `read` finds, run on `runtime` unless a read of `key` is under way there already. Waits for a place for
    /// `patience`, and then for the read no longer than `wait`. May be awaited from any runtime, and be dropped at any
    /// time.
    pub(crate) async fn join<F>(
        self: &Arc<Self>,
        runtime: &Handle,
        key: K,
        (patience, wait): (Duration, Duration),
        read: impl FnOnce() -> F,
    ) -> Result<T, Missing>
    where
        F: Future<Output = Result<T, Missing>> + Send + 'static,
    {
        let shared = self.under_way.lock().get(&key).cloned();
        let mut landed = if let Some(landed) = shared {
            landed
        } else {
            let place = match self.free.clone().try_acquire_owned() {
                Ok(place) => place,
                Err(_) if patience.is_zero() => return Err(Missing::Busy),
                Err(_) => timeout(patience, self.free.clone().acquire_owned())
                    .await
                    .ok()
                    .and_then(Result::ok)
                    .ok_or(Missing::Busy)?,
            };
            self.begin(runtime, key, place, read)
        };
        match timeout(wait, landed.wait_for(Option::is_some)).await {
            Ok(Ok(found)) => found.clone().unwrap_or(Err(Missing::Busy)),
            // its sender is gone: the disk was closed
            Ok(Err(_)) | Err(_) => Err(Missing::Busy),
        }
    }

    fn begin<F>(
        self: &Arc<Self>,
        runtime: &Handle,
        key: K,
        place: OwnedSemaphorePermit,
        read: impl FnOnce() -> F,
    ) -> Landed<T>
    where
        F: Future<Output = Result<T, Missing>> + Send + 'static,
    {
        let (tell, landed) = watch::channel(None);
        {
            let mut under_way = self.under_way.lock();
            // somebody else may have begun it while a place was waited for
            if let Some(landed) = under_way.get(&key) {
                return landed.clone();
            }
            under_way.insert(key, landed.clone());
        }
        let landing = Landing {
            flights: self.clone(),
            key,
            _place: place,
        };
        let read = read();
        runtime.spawn(async move {
            let _landing = landing;
            tell.send_replace(Some(read.await));
        });
        landed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LONG: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60));
    const AT_ONCE: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(60));

    #[test]
    fn who_asks_for_the_same_record_shares_one_read_that_outlives_the_first_asker() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let flights = Flights::<u64, u64>::new(1);
        let (reads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let ask = || {
            let (flights, reads, gate) = (flights.clone(), reads.clone(), gate.clone());
            let handle = runtime.handle().clone();
            Box::pin(async move {
                let read = move || async move {
                    reads.fetch_add(1, Ordering::SeqCst);
                    let _ = gate.acquire().await;
                    Ok(42)
                };
                flights.join(&handle, 7, LONG, read).await
            })
        };
        let mut first = ask();
        assert!(futures::FutureExt::now_or_never(&mut first).is_none());
        let mut second = ask();
        assert!(futures::FutureExt::now_or_never(&mut second).is_none());
        drop(first);
        gate.add_permits(1);
        assert_eq!(runtime.block_on(second), Ok(42));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        // the asker is told a moment before the read leaves the list
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !flights.under_way.lock().is_empty() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_read_beyond_the_bound_waits_for_a_place_or_says_that_the_disk_is_busy() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let flights = Flights::<u64, u64>::new(1);
        let gate = Arc::new(Semaphore::new(0));
        let ask = |key: u64, waits| {
            let (flights, gate) = (flights.clone(), gate.clone());
            let handle = runtime.handle().clone();
            Box::pin(async move {
                let read = move || async move {
                    let _ = gate.acquire().await;
                    Ok(key)
                };
                flights.join(&handle, key, waits, read).await
            })
        };
        let mut first = ask(1, LONG);
        assert!(futures::FutureExt::now_or_never(&mut first).is_none());
        let mut waiting = ask(2, LONG);
        assert!(futures::FutureExt::now_or_never(&mut waiting).is_none());
        assert_eq!(runtime.block_on(ask(3, AT_ONCE)), Err(Missing::Busy));
        // one that never comes back
        let short = (Duration::ZERO, Duration::from_millis(1));
        assert_eq!(runtime.block_on(ask(1, short)), Err(Missing::Busy));
        gate.add_permits(2);
        assert_eq!(runtime.block_on(first), Ok(1));
        assert_eq!(runtime.block_on(waiting), Ok(2));
    }
}
