//! What decides for the fleet: which services are in force, what was purged, who is a member.
//!
//! The data plane never depends on this crate: nodes serve on when it is away. It must never know how a request is
//! answered.
//!
//! - `serve`: connections, how many and how long; `handshakes`, [`tls`]: how nodes prove themselves by certificates
//! - [`server`]: a running control plane: its listeners, its thread, its first token
//! - [`plane`]: the parts together, and what an operator can do with them
//! - [`api`]: the admin API; [`sync`]: the nodes' streams
//! - [`log`], [`record`]: the purge log: one writer, epochs, what was asked
//! - `window`: the part of the log that nodes are being told, encoded once for all
//! - [`members`]: what each node has acknowledged; every receipt is computed from it
//! - [`keys`], [`signed`]: receipts that can be kept: what they are signed with, and their form
//! - [`services`]: versions of services; `shields`: the map of shields; [`tokens`]: operators' tokens
//! - [`audit`]: who changed what, and when
//! - [`events`], [`questions`]: what happens, told; what nodes are asked
//! - [`store`]: what an engine that keeps the state must do, and the engines: in memory, and on disk

pub mod api;
pub mod audit;
pub mod events;
mod handshakes;
pub mod keys;
pub mod leases;
pub mod log;
pub mod members;
pub mod plane;
pub mod questions;
pub mod record;
mod serve;
pub mod server;
pub mod services;
mod shields;
pub mod signed;
pub mod store;
pub mod sync;
pub mod tls;
pub mod tokens;
mod window;

pub use api::{Alone, Host};
pub use plane::Plane;
pub use seawall_control_protocol::map::ShieldEntry;
pub use server::{ControlPlane, ControlPlaneSpec, Reload, ReloadError, StartError};
pub use store::{MemoryStore, SqliteStore, Store, StoreError};
pub use tls::SyncTls;
