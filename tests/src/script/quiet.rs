//! When nothing can happen any more before the script does something.
//!
//! All nodes of a script run as tasks of one runtime with one thread, and their connections are in memory. The runtime
//! parks its thread when no task is ready to run. Only the script's own moves, and time, can make one ready then. So
//! "parked" is the end of a step, and no clock is asked for it: a loaded machine makes a step longer, not another one.
//!
//! Time has no part in scripts: nodes are told not to wait where they would wait for a moment (see `node`), and the
//! timeouts that remain are of seconds, where a whole script takes milliseconds.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use tokio::runtime::{Builder, Runtime};

#[derive(Debug, Default)]
struct State {
    waits: Option<Waker>,
    parked: bool,
}

/// Tells when the runtime has come to rest.
#[derive(Clone, Debug, Default)]
pub struct Quiet(Arc<Mutex<State>>);

impl Quiet {
    /// A runtime on the calling thread.
    pub fn runtime() -> (Runtime, Self) {
        let quiet = Self::default();
        let parks = quiet.clone();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || parks.parked())
            .build()
            .expect("a runtime");
        (runtime, quiet)
    }

    fn parked(&self) {
        let mut state = self.0.lock().expect("no holder panics");
        if let Some(waker) = state.waits.take() {
            state.parked = true;
            waker.wake();
        }
    }

    /// Waits until no task is ready.
    pub async fn rest(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().expect("no holder panics");
            if std::mem::take(&mut state.parked) {
                return Poll::Ready(());
            }
            state.waits = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
