//! What decides for the fleet.
//!
//! - [`members`]: what each node has acknowledged; every receipt is computed from it
//! - [`store`]: what an engine that keeps the state must do, and the engines: in memory, and on disk
//!
//! The admin API and the nodes' stream join them with the next step. The data plane never depends on this crate: nodes
//! serve on when it is away.

pub mod members;
pub mod store;

pub use members::Members;
pub use store::{MemoryStore, SqliteStore, Store, StoreError};
