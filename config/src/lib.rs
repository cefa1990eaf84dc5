//! What an operator types: node files and service files, read raw and checked into models whose values are all legal.
//!
//! Every fault is reported at once, with its file, line and the path of the setting; an unknown field is a fault. This
//! crate must never know how a setting is used. `docs/reference/configuration.md` describes every field.
//!
//! - [`node`]: files of edges and shields; [`fleet`]: who the node's own are
//! - [`control_plane`]: the control plane's file
//! - [`service`]: files of services, one service a file; `policy`: what their rules say
//! - [`check`]: any file, recognised by what it holds
//! - [`fault`], [`reader`]: faults, and the typed walk over a file that collects them
//! - [`units`], [`net`]: sizes, durations, networks

pub mod check;
pub mod control_plane;
pub mod fault;
pub mod fleet;
pub mod net;
pub mod node;
mod policy;
pub mod reader;
pub mod service;
pub mod units;

pub use check::{Kind, check_files};
pub use control_plane::{ControlPlaneModel, LEASE_DEFAULT, load_control_plane};
pub use fault::{Fault, Faults, Place};
pub use fleet::{ControlPlaneEntryModel, FleetModel, FleetTls, ShieldEntryModel};
pub use net::IpNet;
pub use node::{
    AccessLogModel, CertificateModel, ConnModel, DiskModel, EdgeModel, ListenModel, LogTo,
    NodeModel, ShieldNodeModel, load_edge, load_shield,
};
pub use service::{load_services, read_services};
pub use units::ByteCount;
