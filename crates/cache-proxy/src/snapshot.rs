//! What one exchange sees: read once, so that services and purge sequence belong together.

use seawall_cache_store::Head;
use seawall_purge::{Label, PurgeSeq};
use seawall_service_model::ServiceSet;

#[derive(Debug)]
pub struct Snapshot {
    pub services: ServiceSet,
    /// The last purge this node has acknowledged.
    pub purged: PurgeSeq,
}

impl Snapshot {
    /// The label of a fill that asks now.
    pub fn label(&self) -> Label {
        Label(self.purged)
    }

    /// Whether `head` may not be used any more. Copies of another lineage of the log are dead.
    pub fn covers(&self, head: &Head) -> bool {
        head.label.0.epoch != self.purged.epoch
    }
}
