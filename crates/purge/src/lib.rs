//! What a purge is, and which copies it covers.
//!
//! One totally ordered log says what was purged. A node answers a request with a copy only if no purge that it has
//! acknowledged covers that copy. This crate is pure: no clock, no I/O, no async; it must never know HTTP messages or
//! where bytes lie. It holds the identities today (sequences, scopes, labels, generations); the table of purges, its
//! folding, receipts and leases join them here.
//!
//! - [`sequence`]: epochs, sequences and labels of fills
//! - [`scope`]: what a purge names, as ids that every node computes alike
//! - [`strength`]: hard or soft
//! - [`generation`]: identities of stored versions

pub mod generation;
pub mod scope;
pub mod sequence;
pub mod strength;

pub use generation::{BootId, Generation};
pub use scope::{Scope, ScopeId};
pub use sequence::{Epoch, Label, ParseSequenceError, PurgeSeq};
pub use strength::Strength;
