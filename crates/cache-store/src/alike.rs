//! Lines that many heads have alike, held once for all of them.
//!
//! An origin says much the same of every response: its name, how long it may be stored, what a browser may do with it.
//! Such lines are most of a small response's head. They are kept in one block, with the status line; what differs between
//! responses (`Date`, `ETag`, `Content-Length`, tags, names that are not known here) stays with the head.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use xxhash_rust::xxh3::xxh3_64;

const SHARDS: usize = 16;
/// Blocks held at a time, by shard; what is beyond that stays with its head.
const BLOCKS_MAX: usize = 256;
/// A longer block stays with its head.
const BLOCK_BYTES_MAX: usize = 4096;

/// A status line and the fields that go with many responses.
#[derive(Clone, Debug)]
pub(crate) struct Alike(Arc<Lines>);

#[derive(Debug)]
struct Lines(Box<[u8]>);

impl Deref for Alike {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.0
    }
}

/// By the digest of their bytes. Of two with one digest the second stays with its head.
type Shard = Mutex<HashMap<u64, Alike>>;

static BLOCKS: LazyLock<[Shard; SHARDS]> =
    LazyLock::new(|| std::array::from_fn(|_| Shard::default()));

impl Alike {
    /// The block with these bytes. `None`: they are to stay with their head.
    pub(crate) fn of(lines: &[u8]) -> Option<Self> {
        if lines.len() > BLOCK_BYTES_MAX {
            return None;
        }
        let digest = xxh3_64(lines);
        let mut blocks = BLOCKS[digest as usize % SHARDS].lock();
        if let Some(block) = blocks.get(&digest) {
            return (**block == *lines).then(|| block.clone());
        }
        if blocks.len() >= BLOCKS_MAX {
            // those that no head has any more
            blocks.retain(|_, block| Arc::strong_count(&block.0) > 1);
            if blocks.len() >= BLOCKS_MAX {
                return None;
            }
        }
        let block = Self(Arc::new(Lines(lines.into())));
        blocks.insert(digest, block.clone());
        Some(block)
    }

    /// Its bytes, shared out among the heads that have it now.
    pub(crate) fn share(&self) -> usize {
        // one is the table's own
        self.len() / Arc::strong_count(&self.0).saturating_sub(1).max(1)
    }
}

/// Whether fields of this name, in lower case, mostly say the same in an origin's responses.
pub(crate) fn is_alike(name: &str) -> bool {
    matches!(
        name,
        "accept-ranges"
            | "access-control-allow-credentials"
            | "access-control-allow-headers"
            | "access-control-allow-methods"
            | "access-control-allow-origin"
            | "access-control-expose-headers"
            | "access-control-max-age"
            | "alt-svc"
            | "cache-control"
            | "cdn-cache-control"
            | "content-encoding"
            | "content-language"
            | "content-security-policy"
            | "content-type"
            | "cross-origin-embedder-policy"
            | "cross-origin-opener-policy"
            | "cross-origin-resource-policy"
            | "nel"
            | "permissions-policy"
            | "pragma"
            | "referrer-policy"
            | "report-to"
            | "seawall-cache-control"
            | "server"
            | "strict-transport-security"
            | "timing-allow-origin"
            | "vary"
            | "via"
            | "x-content-type-options"
            | "x-dns-prefetch-control"
            | "x-download-options"
            | "x-frame-options"
            | "x-permitted-cross-domain-policies"
            | "x-powered-by"
            | "x-robots-tag"
            | "x-xss-protection"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_lines_are_held_once() {
        let lines = b"HTTP/1.1 200 OK\r\nserver: the_same_lines_are_held_once\r\n";
        let (one, two) = (Alike::of(lines).unwrap(), Alike::of(lines).unwrap());
        assert!(Arc::ptr_eq(&one.0, &two.0));
        assert_eq!(&*one, lines);
        assert_eq!(two.share(), lines.len() / 2);
        drop(one);
        assert_eq!(two.share(), lines.len());
    }

    #[test]
    fn there_are_no_more_blocks_than_there_may_be_and_those_in_use_stay() {
        let lines = |n: usize| format!("HTTP/1.1 200 OK\r\nserver: many {n}\r\n");
        let held: Vec<Option<Alike>> = (0..3 * SHARDS * BLOCKS_MAX)
            .map(|n| Alike::of(lines(n).as_bytes()))
            .collect();
        assert!(held.iter().flatten().count() <= SHARDS * BLOCKS_MAX);
        assert!(held.last().unwrap().is_none());
        let first = held[0].clone().unwrap();
        drop(held);
        // room is made by what nobody has any more
        assert!(Alike::of(lines(usize::MAX).as_bytes()).is_some());
        let again = Alike::of(lines(0).as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&first.0, &again.0));
    }

    #[test]
    fn a_long_block_stays_with_its_head() {
        assert!(Alike::of(&[b'a'; BLOCK_BYTES_MAX + 1]).is_none());
    }
}
