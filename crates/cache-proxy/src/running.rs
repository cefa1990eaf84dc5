//! A fill that runs in the task of the request that began it, for as long as that waits for it.
//!
//! Most fills are over when their client has its answer: a task of their own would only cost. One that is not goes on in
//! a task, whatever became of the client.

use std::future::poll_fn;
use std::pin::Pin;
use tokio::runtime::Handle;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is not over yet is handed to a task of its own when this is dropped.
pub(crate) struct Running(Option<Task>);

impl Running {
    pub(crate) fn new(fill: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(fill)))
    }

    /// Nothing runs here.
    pub(crate) fn elsewhere() -> Self {
        Self(None)
    }

    /// What `other` comes to, while the fill goes on beside it. Neither waits for the other. It is pinned by who calls: held
    /// here it would lie in that one's memory twice.
    pub(crate) async fn beside<T>(&mut self, mut other: Pin<&mut impl Future<Output = T>>) -> T {
        poll_fn(|cx| {
            if let Some(fill) = &mut self.0
                && fill.as_mut().poll(cx).is_ready()
            {
                self.0 = None;
            }
            other.as_mut().poll(cx)
        })
        .await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // without a runtime nothing goes on
        if let (Some(fill), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(fill);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    /// A fill that ends when it is told to, and counts that.
    fn fill(told: &Arc<Notify>, ended: &Arc<AtomicUsize>) -> Running {
        let (told, ended) = (told.clone(), ended.clone());
        Running::new(async move {
            told.notified().await;
            ended.fetch_add(1, Ordering::AcqRel);
        })
    }

    #[tokio::test]
    async fn a_fill_goes_on_beside_who_waits_for_it() {
        let (told, ended) = (Arc::new(Notify::new()), Arc::default());
        let mut running = fill(&told, &ended);
        let waits = async {
            told.notify_one();
            while ended.load(Ordering::Acquire) == 0 {
                tokio::task::yield_now().await;
            }
        };
        running.beside(pin!(waits)).await;
        // and is not begun again
        running.beside(pin!(tokio::task::yield_now())).await;
        drop(running);
        tokio::task::yield_now().await;
        assert_eq!(ended.load(Ordering::Acquire), 1);
    }

    #[tokio::test]
    async fn a_fill_whose_client_has_gone_goes_on_by_itself() {
        let (told, ended) = (Arc::new(Notify::new()), Arc::default());
        let mut running = fill(&told, &ended);
        running.beside(pin!(std::future::ready(()))).await;
        drop(running);
        told.notify_one();
        while ended.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
    }
}
