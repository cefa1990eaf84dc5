//! The disk tier: what was in memory is found again after a restart, and more fits than memory holds.
//!
//! Under our own memory caches lies, for each disk, a pair of foyer's block stores: one for heads, one for chunks. Every
//! record is offered to the disk when it is inserted, not when memory evicts it, so a killed process comes back warm.
//! A record that is offered may be dropped; a record that is read is checked; neither ever makes an answer wrong.
//!
//! foyer's hybrid cache was not taken: its `get` is asynchronous and dearer where a hit in memory is wanted, it evicts
//! heads and chunks by its own mind, and its writes vanish silently when its queues are full or its flusher has died.
//! So all records go through a queue of our own (`shelf`), which hands foyer no more than fits its buffer, waits, and
//! then looks whether everything arrived. That is also the watchdog for write errors: foyer's I/O traits cannot be
//! implemented outside of foyer (their argument types are private), hence errors are noticed by what they leave undone.
//!
//! - `codec`: records as bytes
//! - `directory`: one disk's directory: lock, stamp, space
//! - `stamp`: what its files may be used with, as bytes
//! - `shelf`: one foyer store with its queue
//! - `flights`: one read for all who ask for the same record
//! - `drive`: the pair of one disk, and its health
//! - `turn`: when all that lay on the disks was written over
//! - `tier`: all disks, their threads, opening and closing

pub(crate) mod codec;
pub(crate) mod directory;
pub(crate) mod drive;
pub(crate) mod error;
pub(crate) mod flights;
pub(crate) mod shelf;
pub(crate) mod stamp;
pub(crate) mod tier;
pub(crate) mod turn;

pub use error::{Missing, OpenError};

/// One disk of the disk tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// The cache's own directory. Created where it is missing; only this user may enter it.
    pub path: std::path::PathBuf,
    /// Space to allocate there, at least [`DISK_BYTES_MIN`]. A change starts the directory empty.
    pub bytes: u64,
}

/// Less space than this is refused (64 MiB): too few blocks to evict among.
pub const DISK_BYTES_MIN: u64 = 64 << 20;
