//! What edge and shield share as members of the fleet.
//!
//! - [`node`]: the life of a node: starting, ready, draining; reloads
//! - [`data_dir`]: the node's directory: one process at a time, a boot id that is never used twice, the fleet's secret
//! - [`readiness`]: whether the node wants traffic
//! - [`listen`]: sockets, certificates, limits and log of a node, from what an operator typed
//! - [`admin`]: the admin listener: health, readiness, metrics
//! - [`sync`]: the stream to the control plane; [`pushed`]: the documents it tells; `last_good`: the same on disk
//!
//! This crate must never know how a request is answered.

pub mod admin;
pub mod data_dir;
mod last_good;
pub mod listen;
pub mod node;
pub mod pushed;
pub mod readiness;
pub mod sync;

pub use admin::{AdminError, AdminServer, AdminState};
pub use data_dir::{DataDir, DataDirError};
pub use listen::{ListenError, Listening, access_log, limits};
pub use node::{Node, Reload};
pub use readiness::Readiness;
pub use sync::{
    ControlPlaneLink, Follower, LinkTls, Purger, SyncClient, SyncError, SyncSpec,
    control_plane_link, follow,
};
