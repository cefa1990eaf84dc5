//! Bytes at rest: heads, variants and chunks over foyer's caches.
//!
//! A *head* is a response's status and fields, serialised once as they go to clients, with what is needed to judge it;
//! bodies up to [`INLINE_MAX`] bytes lie in the same allocation. Longer bodies are *chunks* of [`CHUNK_BYTES`]. A head
//! names its chunks by its [`Generation`](seawall_purge::Generation), which is never used twice, so that parts of two versions never mix.
//!
//! This crate must never judge a response, read a clock or talk to a network: what is fresh says `seawall-http-cache`,
//! what is purged says `seawall-purge`, and both are asked by `seawall-cache-proxy`.
//!
//! - [`head`]: a head; `record`: its lines, serialised; `alike`: lines that many heads have alike
//! - `rare`: what few heads have; [`hidden`]: what its fields were before they were changed for clients
//! - [`variants`]: the Vary lists and variants seen under one key
//! - [`memo`]: what the purges made of a copy last
//! - `sample`, `demand`: some of the keys, and when clients asked for them, to tell what a purge would take away
//! - [`minimum`]: generations below which heads of a key are dead
//! - [`store`]: the store itself; `view`: what lies under a key, for people
//! - [`disk`]: the disk tier under it
//! - [`purges`]: the purges that this node has acknowledged, written ahead

mod alike;
mod demand;
pub mod disk;
mod durability;
mod fresh;
pub mod head;
pub mod hidden;
mod key;
pub mod memo;
mod minima;
mod minima_log;
pub mod minimum;
pub mod purges;
mod rare;
mod record;
mod replace;
mod sample;
pub mod store;
mod sums;
pub mod variants;
mod view;

pub use disk::{DISK_BYTES_MIN, DiskConfig, Missing, OpenError};
pub use durability::Durability;
pub use head::{Body, Chunks, Coding, Head, HeadFields, HeadParts, Recoding};
pub use hidden::Hidden;
pub use purges::{JournalError, Purges};
pub use sample::SampleCount;
pub use store::{CacheStore, Found, StoreConfig, VARIANT_NONE, recoded_variant};
pub use sums::Sums;
pub use view::{Kept, Place, Recoded, View};

/// Bodies up to this length lie beside their head (64 KiB).
pub const INLINE_MAX: u64 = 64 * 1024;
/// Length of every chunk but the last (256 KiB).
pub const CHUNK_BYTES: u64 = 256 * 1024;
