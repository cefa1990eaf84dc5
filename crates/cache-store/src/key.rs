//! What entries lie under, in memory and on disk, and what the entries are.

use crate::head::Head;
use crate::variants::Variants;
use bytes::Bytes;
use seawall_purge::Generation;
use std::sync::Arc;

/// The slot of one head, or of a key's variants (under [`crate::VARIANT_NONE`]).
///
/// Packed: an entry with a key of 16-byte alignment takes 32 bytes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(Rust, packed(8))]
pub(crate) struct HeadKey {
    pub(crate) primary: u128,
    pub(crate) variant: u64,
}

/// One chunk of one version of an object: its bytes never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChunkKey {
    pub(crate) object: u128,
    pub(crate) generation: Generation,
    pub(crate) index: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Head(Arc<Head>),
    Variants(Arc<Variants>),
}

/// The bytes of a chunk. A type of its own because foyer's decoding of `Bytes` believes any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk(pub(crate) Bytes);
