//! Reads under way: all who ask for one record share one read, whose end does not depend on any of them.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Reads under way at once in one shelf; beyond it an answer is fetched rather than waited for.
const FLIGHTS_MAX: usize = 1024;

pub(crate) struct Flights<K, T> {
    under_way: Mutex<HashMap<K, watch::Receiver<Option<T>>>>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }
}

/// Takes a flight off the list however it ends.
struct Landing<K: Copy + Eq + Hash, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
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
    /// What `read` finds, run on `runtime` unless a read of `key` is under way there already. May be awaited from any
    /// runtime, and be dropped at any time.
    pub(crate) async fn join<F>(
        self: &Arc<Self>,
        runtime: &Handle,
        key: K,
        read: impl FnOnce() -> F,
    ) -> Option<T>
    where
        F: Future<Output = Option<T>> + Send + 'static,
    {
        let (mut landed, fly) = {
            let mut under_way = self.under_way.lock();
            match under_way.get(&key) {
                Some(landed) => (landed.clone(), None),
                None if under_way.len() >= FLIGHTS_MAX => return None,
                None => {
                    let (tell, landed) = watch::channel(None);
                    under_way.insert(key, landed.clone());
                    (landed, Some(tell))
                }
            }
        };
        if let Some(tell) = fly {
            let landing = Landing {
                flights: self.clone(),
                key,
            };
            let read = read();
            runtime.spawn(async move {
                let _landing = landing;
                if let Some(found) = read.await {
                    tell.send_replace(Some(found));
                }
            });
        }
        // an error says that the read found nothing: its sender is gone
        landed
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|v| (*v).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[test]
    fn who_asks_for_the_same_record_shares_one_read_that_outlives_the_first_asker() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let flights = Arc::new(Flights::<u64, u64>::default());
        let (reads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let ask = || {
            let (flights, reads, gate) = (flights.clone(), reads.clone(), gate.clone());
            let handle = runtime.handle().clone();
            Box::pin(async move {
                let read = move || async move {
                    reads.fetch_add(1, Ordering::SeqCst);
                    let _ = gate.acquire().await;
                    Some(42)
                };
                flights.join(&handle, 7, read).await
            })
        };
        let mut first = ask();
        assert!(futures::FutureExt::now_or_never(&mut first).is_none());
        let mut second = ask();
        assert!(futures::FutureExt::now_or_never(&mut second).is_none());
        drop(first);
        gate.add_permits(1);
        assert_eq!(runtime.block_on(second), Some(42));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        // the asker is told a moment before the read leaves the list
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !flights.under_way.lock().is_empty() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
