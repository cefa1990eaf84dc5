//! What an operator types: node files and service files, read raw and checked into models whose values are all legal.
//!
//! Every fault is reported at once, with its file, line and the path of the setting; an unknown field is a fault. This
//! crate must never know how a setting is used. `docs/reference/configuration.md` describes every field.
//!
//! - [`node`]: files of edges and shields; [`service`]: files of services
//! - [`check`]: any file, recognised by what it holds
//! - [`fault`], [`reader`]: faults, and the typed walk over a file that collects them
//! - [`units`], [`net`]: sizes, durations, networks

pub mod check;
pub mod fault;
pub mod net;
pub mod node;
pub mod reader;
pub mod service;
pub mod units;

pub use check::{Kind, check_files};
pub use fault::{Fault, Faults};
pub use net::IpNet;
pub use node::{
    AccessLogModel, ConnModel, EdgeModel, FleetModel, FleetTls, ListenModel, LogTo, NodeModel,
    ShieldEntryModel, ShieldNodeModel, load_edge, load_shield,
};
pub use service::load_services;
pub use units::ByteCount;
