//! The wire between control plane and nodes: protobuf messages, and their checked forms.
//!
//! What comes from a wire may lack anything; [`checked`] turns it into values that hold what they promise, or says what
//! is wrong. The stream itself joins these with the control plane. This crate must never know what either side does with
//! a message.
//!
//! - [`checked`]: what is wrong with a message; a node's hello
//! - [`ack`]: what a node has in force
//! - [`welcome`], [`purges`], [`documents`]: what a node is told

/// Messages as prost makes them of `proto/control.proto`.
#[allow(clippy::pedantic, reason = "generated")]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/seawall.control.v1.rs"));
}

pub mod ack;
pub mod checked;
pub mod documents;
pub mod purges;
pub mod welcome;

pub use ack::{Ack, DocumentAck};
pub use checked::{Hello, ProtocolError, sequence, wire_sequence};
pub use documents::Document;
pub use purges::{Purge, PurgeBatch};
pub use welcome::Welcome;

/// Protocol versions that this build speaks, best first.
pub const VERSIONS: &[u32] = &[1];
