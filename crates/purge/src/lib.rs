//! What a purge is, and which copies it covers.
//!
//! One totally ordered log says what was purged. A node answers a request with a copy only if no purge that it has
//! acknowledged covers that copy. This crate is pure: no clock, no I/O, no async; it must never know HTTP messages or
//! where bytes lie.
//!
//! - [`sequence`]: epochs, sequences and labels of fills
//! - [`scope`]: what a purge names, as ids that every node computes alike
//! - [`strength`]: hard or soft
//! - [`record`]: one purge in the log
//! - [`judge`]: what is asked of all that is known of the purges
//! - [`table`]: which copies the purges up to now cover, in bounded memory
//! - [`answer`]: what the answer of the next server is worth
//! - [`copy`]: what the purges make of a stored copy
//! - [`join`]: several requests that wait for one answer
//! - [`tier`]: nodes of one fleet that do not know the same purges
//! - [`branch`]: which records a node's own log holds, where a log may have been rolled back
//! - [`lineage`]: what a position is worth after a log was rolled back, trimmed, cut or lost
//! - [`receipt`]: on which nodes a purge is in force
//! - [`lease`]: when a silent node is known to answer nothing unvalidated
//! - [`generation`]: identities of stored versions

pub mod answer;
pub mod branch;
pub mod copy;
pub mod generation;
pub mod join;
pub mod judge;
pub mod lease;
pub mod lineage;
pub mod receipt;
pub mod record;
pub mod scope;
pub mod sequence;
pub mod strength;
pub mod table;
pub mod tier;

pub use answer::{Source, Worth};
pub use generation::{BootId, Generation};
pub use judge::Judge;
pub use record::Purge;
pub use scope::{Scope, ScopeId};
pub use sequence::{Epoch, Label, ParseSequenceError, PurgeSeq};
pub use strength::Strength;
pub use table::{LastPurges, Table, Verdict};
