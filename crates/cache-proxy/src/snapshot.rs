//! What one exchange sees: read once, so that services and purges belong together.

use seawall_purge::tier::Told;
use seawall_purge::{Label, Table};
use seawall_service_model::ServiceSet;
use std::sync::Arc;

#[derive(Debug)]
pub struct Snapshot {
    pub services: ServiceSet,
    /// The purges of this lineage; it grows while the exchange goes on.
    pub purges: Arc<Table>,
}

impl Snapshot {
    /// The label of a fill that asks now.
    pub fn label(&self) -> Label {
        Label(self.purges.at())
    }

    /// What neighbours are told by a fill with `label`, one of these purges'.
    pub fn told(&self, label: Label) -> Told {
        Told {
            at: label.0,
            term: self.purges.term_of(label.0.n),
        }
    }
}
