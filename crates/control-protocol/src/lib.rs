//! The wire between control plane and nodes: protobuf messages, and their checked forms.
//!
//! What comes from a wire may lack anything; [`checked`] turns it into values that hold what they promise, or says what
//! is wrong. The stream itself, purge batches and documents join these with the control plane. This crate must never
//! know what either side does with a message.

/// Messages as prost makes them of `proto/control.proto`.
#[allow(clippy::pedantic, reason = "generated")]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/seawall.control.v1.rs"));
}

pub mod checked;

pub use checked::{Hello, ProtocolError, sequence, wire_sequence};

/// Protocol versions that this build speaks, best first.
pub const VERSIONS: &[u32] = &[1];
