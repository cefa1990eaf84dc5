//! One node of the fleet: who it is, whether it wants traffic, and when it has to stop.

use crate::admin::AdminState;
use crate::data_dir::{DataDir, DataDirError};
use crate::readiness::Readiness;
use seawall_purge::BootId;
use seawall_telemetry::Metrics;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::watch;

/// What can take its files and certificates anew while it serves.
pub trait Reload: Send + Sync {
    /// All of the new state comes into force, or none of it and the reason in one line.
    fn reload(&self) -> Result<(), String>;
}

const SERVING: u8 = 1;
const INFORMED: u8 = 2;

/// The life of a node: starting, ready, draining. It never goes back.
#[derive(Debug)]
pub struct Node {
    id: String,
    data: DataDir,
    readiness: Readiness,
    /// What readiness needs, as far as it came.
    parts: AtomicU8,
    draining: watch::Sender<bool>,
    metrics: Arc<Metrics>,
}

impl Node {
    /// Takes the data directory (see [`DataDir::open`]); the node is not ready yet.
    pub fn open(id: &str, data: &Path, metrics: Arc<Metrics>) -> Result<Arc<Self>, DataDirError> {
        Ok(Arc::new(Self {
            id: id.to_owned(),
            data: DataDir::open(data)?,
            readiness: Readiness::default(),
            parts: AtomicU8::new(0),
            draining: watch::Sender::new(false),
            metrics,
        }))
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn data_dir(&self) -> &DataDir {
        &self.data
    }

    pub fn boot(&self) -> BootId {
        self.data.boot()
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Its listeners are open. It is ready once it also knows what to serve, unless it drains already.
    pub fn serving(&self) {
        self.came(SERVING);
    }

    /// It knows what to serve.
    pub fn informed(&self) {
        self.came(INFORMED);
    }

    fn came(&self, part: u8) {
        let before = self.parts.fetch_or(part, Ordering::AcqRel);
        if before | part == SERVING | INFORMED {
            self.readiness.ready();
        }
    }

    /// Not ready from now on, and everybody who watches [`Node::draining`] is told. A second call changes nothing.
    pub fn drain(&self) {
        // readiness first: whoever sees the signal also sees a node that is not ready
        self.readiness.drain();
        self.draining.send_replace(true);
    }

    /// Becomes true once the node drains; a watcher that comes later finds it so.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Reloads `what`, counts the result, and logs a refusal; the old state is in force then.
    pub fn reload(&self, what: &dyn Reload) -> Result<(), String> {
        let result = what.reload();
        let label = if result.is_ok() { "ok" } else { "refused" };
        self.metrics.reloads.with_label_values(&[label]).inc();
        match &result {
            Ok(()) => tracing::info!(node = self.id, "files and certificates reloaded"),
            Err(reason) => {
                tracing::error!(
                    node = self.id,
                    reason,
                    "reload refused, the old state stays in force"
                );
            }
        }
        result
    }
}

impl AdminState for Node {
    fn ready(&self) -> (bool, &'static str) {
        self.readiness.tell()
    }

    fn metrics(&self) -> String {
        self.metrics.gather()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_telemetry::NodeKind;

    fn node(dir: &tempfile::TempDir) -> Arc<Node> {
        Node::open("edge-1", dir.path(), Metrics::new(NodeKind::Edge, "edge-1")).unwrap()
    }

    #[test]
    fn a_node_that_drains_tells_its_watchers_and_is_never_ready_again() {
        let dir = tempfile::tempdir().unwrap();
        let node = node(&dir);
        assert_eq!(AdminState::ready(&*node), (false, "starting"));
        node.serving();
        assert_eq!(AdminState::ready(&*node), (false, "starting"));
        node.informed();
        let early = node.draining();
        assert_eq!(
            (AdminState::ready(&*node), *early.borrow()),
            ((true, "ready"), false)
        );
        node.drain();
        node.informed();
        assert_eq!(AdminState::ready(&*node), (false, "draining"));
        assert!(*early.borrow() && *node.draining().borrow());
    }

    #[test]
    fn a_refused_reload_is_handed_back_and_counted() {
        struct Fixed(Result<(), String>);
        impl Reload for Fixed {
            fn reload(&self) -> Result<(), String> {
                self.0.clone()
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let node = node(&dir);
        assert_eq!(node.reload(&Fixed(Ok(()))), Ok(()));
        let refused = Fixed(Err("shop.toml:3: ttl: not a duration".into()));
        assert_eq!(node.reload(&refused), refused.0);
        let count = |label| node.metrics().reloads.with_label_values(&[label]).get();
        assert_eq!((count("ok"), count("refused")), (1, 1));
    }
}
