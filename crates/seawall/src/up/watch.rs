//! What all nodes of `up` tell together: whether they want traffic, and their metrics.

use parking_lot::RwLock;
use seawall_control_plane::Host;
use seawall_node::AdminState;
use seawall_telemetry::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// All nodes as one.
#[derive(Default)]
pub(super) struct All {
    pub(super) nodes: RwLock<Vec<Watched>>,
    pub(super) draining: AtomicBool,
}

/// What is told of one node.
pub(super) struct Watched {
    pub(super) readiness: Arc<dyn Fn() -> (bool, &'static str) + Send + Sync>,
    pub(super) gauges: Arc<dyn Fn() + Send + Sync>,
    pub(super) metrics: Arc<Metrics>,
}

impl All {
    fn tell_ready(&self) -> (bool, &'static str) {
        if self.draining.load(Ordering::Acquire) {
            return (false, "draining");
        }
        let nodes = self.nodes.read();
        if nodes.is_empty() {
            return (false, "starting");
        }
        let told = nodes.iter().map(|node| (node.readiness)());
        told.into_iter()
            .find(|(ready, _)| !ready)
            .unwrap_or((true, "ready"))
    }

    fn gather(&self) -> String {
        let nodes = self.nodes.read();
        nodes.iter().for_each(|node| (node.gauges)());
        let metrics: Vec<&Metrics> = nodes.iter().map(|node| &*node.metrics).collect();
        Metrics::gather_all(&metrics)
    }
}

impl AdminState for All {
    fn ready(&self) -> (bool, &'static str) {
        self.tell_ready()
    }

    fn metrics(&self) -> String {
        self.gather()
    }

    /// This listener stands in for the control plane's.
    fn api_away(&self) -> Option<&'static str> {
        Some(
            "the control plane's store is damaged: nodes serve on their last good state, and nothing can be purged or changed until it is restored",
        )
    }
}

/// The same for the control plane's API.
pub(super) struct Told(pub(super) Arc<All>);

impl Host for Told {
    fn ready(&self) -> (bool, &'static str) {
        self.0.tell_ready()
    }

    fn metrics(&self) -> String {
        self.0.gather()
    }
}
