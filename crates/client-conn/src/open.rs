//! Connections that are open: counted, bounded, and waited for.

use crate::limits::ConnLimits;
use parking_lot::{Condvar, Mutex};
use seawall_telemetry::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What the connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    open: AtomicUsize,
    /// Taken and told when the last connection has closed.
    closed: (Mutex<()>, Condvar),
    pub(crate) limits: Arc<ConnLimits>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Counts a connection while it lives.
pub(crate) struct Open {
    pub(crate) shared: Arc<Shared>,
    _gauge: seawall_telemetry::InFlight,
}

impl Shared {
    pub(crate) fn new(limits: Arc<ConnLimits>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            closed: (Mutex::new(()), Condvar::new()),
            limits,
            metrics,
        })
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until none is open. False: some still are at `deadline`.
    pub(crate) fn wait_closed(&self, deadline: Instant) -> bool {
        let mut told = self.closed.0.lock();
        while self.open() > 0 {
            if self.closed.1.wait_until(&mut told, deadline).timed_out() {
                return self.open() == 0;
            }
        }
        true
    }
}

impl Open {
    /// One more. `None`: there are as many as there may be.
    pub(crate) fn new(shared: &Arc<Shared>) -> Option<Self> {
        shared.metrics.connections.inc();
        if shared.open.fetch_add(1, Ordering::AcqRel) >= shared.limits.connections_max {
            shared.leave();
            shared.metrics.connections_refused.inc();
            return None;
        }
        Some(Self {
            shared: shared.clone(),
            _gauge: shared.metrics.connections_open.guard(),
        })
    }
}

impl Shared {
    fn leave(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            // under the lock: who looked before and is about to wait does not miss it
            let _told = self.closed.0.lock();
            self.closed.1.notify_all();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.leave();
    }
}
