//! The harness of the specs: an origin that does what a spec says, a cluster of real nodes, a client that shows every byte.
//!
//! Everything runs over real sockets on loopback, on ports that the kernel picks. Nothing waits for time to pass: what
//! has to happen first is waited for, at most [`PATIENCE`].

pub mod client;
pub mod cluster;
pub mod fault;
pub mod fleet;
pub mod gate;
pub mod judge;
pub mod origin;
pub mod plane_process;
pub mod process;
pub mod relay;
pub mod script;

pub use client::{Client, Response};
pub use cluster::{Cluster, ClusterSpec};
pub use fault::Fault;
pub use fleet::{Fleet, FleetSpec};
pub use gate::Gate;
pub use judge::Judge;
pub use origin::{Origin, Reply, Request, Then};
pub use relay::Relay;

use std::time::Duration;

/// How long anything may take before a spec has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until `holds`, at most [`PATIENCE`]: for what a background task brings about.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            std::time::Instant::now() < deadline,
            "it never came to be: {what}"
        );
        std::thread::yield_now();
    }
}
