//! What edge and shield share as members of the fleet.
//!
//! - [`node`]: the life of a node: starting, ready, draining; reloads
//! - [`data_dir`]: the node's directory: one process at a time, a boot id that is never used twice, the fleet's secret
//! - [`readiness`]: whether the node wants traffic
//! - [`listen`]: sockets, certificates, limits and log of a node, from what an operator typed
//! - [`admin`]: the admin listener: health, readiness, metrics
//!
//! Sync with the control plane and the last good state join them here. This crate must never know how a request is
//! answered.

pub mod admin;
pub mod data_dir;
pub mod listen;
pub mod node;
pub mod readiness;

pub use admin::{AdminError, AdminServer, AdminState};
pub use data_dir::{DataDir, DataDirError};
pub use listen::{ListenError, Listening, access_log, limits};
pub use node::{Node, Reload};
pub use readiness::Readiness;
