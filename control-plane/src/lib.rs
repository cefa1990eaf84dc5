//! What decides for the fleet.
//!
//! It holds the table of what each node has acknowledged, from which every receipt is computed. The purge log, its
//! store, the admin API and the nodes' stream join it with the next step. The data plane never depends on this crate:
//! nodes serve on when it is away.

pub mod members;

pub use members::Members;
