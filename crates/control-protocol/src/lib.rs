//! The wire between control plane and nodes: protobuf messages, and their checked forms.
//!
//! What comes from a wire may lack anything; [`checked`] turns it into values that hold what they promise, or says what
//! is wrong. This crate must never know what either side does with a message.
//!
//! - [`checked`]: what is wrong with a message; a node's hello
//! - [`ack`]: what a node has in force
//! - [`welcome`], [`purges`], [`documents`]: what a node is told
//! - [`lease`]: until when a node may answer by itself, and the clock that counts it
//! - [`map`]: what edges are told of shields
//! - [`questions`]: what it is asked; [`explain`]: how it would answer a request
//! - [`wire`]: the messages as they are sent, client and server of the stream

/// Messages, client and server as they are made of `proto/control.proto`.
#[allow(
    clippy::pedantic,
    clippy::large_enum_variant,
    unreachable_pub,
    reason = "generated"
)]
pub mod wire {
    tonic::include_proto!("seawall.control.v1");
}

pub mod ack;
pub mod checked;
pub mod documents;
pub mod explain;
pub mod lease;
pub mod map;
pub mod purges;
pub mod questions;
pub mod welcome;

pub use ack::{Ack, DocumentAck};
pub use checked::{Hello, ProtocolError, sequence, wire_sequence};
pub use documents::Document;
pub use explain::{ExplainGet, Explained};
pub use lease::{Lease, boottime};
pub use purges::{Purge, PurgeBatch};
pub use questions::{About, Answer, Demand, Estimate, Question, Told};
pub use welcome::Welcome;

/// Protocol versions that this build speaks, best first.
pub const VERSIONS: &[u32] = &[1];

/// Bytes of one message, either way: the largest single thing is a document of 4 MiB, or a hello of all documents by
/// name (10,000 of 256 bytes). Both sides refuse more.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// From these many bytes on a message takes in nothing more: what is told is cut into several.
pub const MESSAGE_BYTES: usize = 1 << 20;
