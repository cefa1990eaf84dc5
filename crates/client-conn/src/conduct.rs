//! How clients treat their connections: what is counted of that.

use seawall_telemetry::Metrics;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// Of one connection. How it was cut is counted once.
#[derive(Default)]
pub(crate) struct Conduct {
    /// None: nothing is counted.
    metrics: Option<Arc<Metrics>>,
    /// Counted here, and not told yet: two threads that count in one cell would pass its cache line to and fro.
    pipelined: u64,
    cut: bool,
}

impl Conduct {
    pub(crate) fn counted_in(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics: Some(metrics),
            ..Self::default()
        }
    }

    /// A request begins to be answered. `behind`: it came before the answer to the one before it went out.
    pub(crate) fn asked(&mut self, behind: bool) {
        self.pipelined += u64::from(behind);
    }

    /// Adds to the metrics what was counted here.
    pub(crate) fn tell(&mut self) {
        let pipelined = std::mem::take(&mut self.pipelined);
        if let Some(metrics) = self.metrics.as_ref().filter(|_| pipelined > 0) {
            metrics.pipelined.inc_by(pipelined);
        }
    }

    /// The client has taken nothing of its answer for too long.
    pub(crate) fn takes_nothing(&mut self) {
        if let (Some(metrics), false) = (&self.metrics, std::mem::replace(&mut self.cut, true)) {
            metrics.connections_cut.unread.inc();
        }
    }

    /// The stream has failed, or ended.
    pub(crate) fn failed(&mut self, error: &io::Error) {
        if let (Some(metrics), false) = (&self.metrics, std::mem::replace(&mut self.cut, true)) {
            count_failed(metrics, error);
        }
    }

    /// The connection is at its end: what its client does from now on harms nobody.
    pub(crate) fn ends(&mut self) {
        self.cut = true;
    }
}

impl Drop for Conduct {
    fn drop(&mut self) {
        self.tell();
    }
}

/// A stream has failed.
pub(crate) fn count_failed(metrics: &Metrics, error: &io::Error) {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    if matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    ) {
        metrics.connections_cut.reset.inc();
    }
}
