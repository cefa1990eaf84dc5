//! Bodies in chunks: stored, read, found missing and put back.

use super::CacheStore;
use crate::CHUNK_BYTES;
use crate::disk::Missing;
use crate::head::{Body, Head};
use crate::key::{Chunk, ChunkKey};
use crate::sums::sum_of;
use bytes::Bytes;
use seawall_purge::Generation;
use std::ops::Range;
use std::sync::Arc;

impl CacheStore {
    /// Stores chunk `index` of the body of (`object`, `generation`). Returns its checksum, for [`HeadParts::sums`].
    ///
    /// [`HeadParts::sums`]: crate::HeadParts::sums
    pub fn put_chunk(&self, object: u128, generation: Generation, index: u32, chunk: Bytes) -> u64 {
        let sum = sum_of(&chunk);
        let key = ChunkKey {
            object,
            generation,
            index,
        };
        let entry = self.chunks.insert(key, Chunk(chunk));
        if let Some(disk) = &self.disk {
            disk.offer_chunk(entry);
        }
        sum
    }

    /// The bytes `range` of the body of `head`, in order. `None`: a chunk is gone, and with it this generation.
    pub fn body(&self, head: &Arc<Head>, range: Range<u64>) -> Option<Vec<Bytes>> {
        let range = range.start.min(head.length)..range.end.min(head.length);
        if range.is_empty() {
            return Some(Vec::new());
        }
        match head.body() {
            Body::Inline => Some(vec![
                head.inline_body()
                    .slice(range.start as usize..range.end as usize),
            ]),
            Body::Part(held) => {
                let contained = held.start <= range.start && range.end <= held.end;
                let at = |n: u64| (n - held.start) as usize;
                contained.then(|| vec![head.inline_body().slice(at(range.start)..at(range.end))])
            }
            Body::Chunks(chunks) => {
                let (first, last) = (range.start / CHUNK_BYTES, (range.end - 1) / CHUNK_BYTES);
                (first..=last)
                    .map(|index| {
                        let key = ChunkKey {
                            object: chunks.object,
                            generation: head.generation(),
                            index: index as u32,
                        };
                        let chunk = self.chunks.get(&key)?.value().0.clone();
                        let base = index * CHUNK_BYTES;
                        let from = range.start.saturating_sub(base) as usize;
                        let to = (range.end - base).min(chunk.len() as u64) as usize;
                        // a chunk of the wrong length is as good as none
                        let whole = CHUNK_BYTES.min(head.length - base);
                        (chunk.len() as u64 == whole).then(|| chunk.slice(from..to))
                    })
                    .collect()
            }
        }
    }

    /// Whether the bytes `range` of the body of `head` are in memory or, as far as is known without reading, on a disk.
    pub fn holds(&self, head: &Head, range: Range<u64>) -> bool {
        let range = range.start.min(head.length)..range.end.min(head.length);
        if let Body::Part(held) = head.body() {
            return range.is_empty() || (held.start <= range.start && range.end <= held.end);
        }
        range.is_empty()
            || (range.start / CHUNK_BYTES..=(range.end - 1) / CHUNK_BYTES)
                .all(|index| self.holds_chunk(head, index as u32))
    }

    /// The same for chunk `index`.
    pub fn holds_chunk(&self, head: &Head, index: u32) -> bool {
        let Body::Chunks(chunks) = head.body() else {
            return matches!(head.body(), Body::Inline);
        };
        let key = ChunkKey {
            object: chunks.object,
            generation: head.generation(),
            index,
        };
        let on_disk = || self.disk.as_ref().is_some_and(|d| d.may_load_chunk(&key));
        self.chunks.contains(&key) || on_disk()
    }

    /// Puts chunk `index` of the body of `head` back, which was lost and fetched again, or there for the first time.
    /// `false`: these are not its bytes.
    pub fn restore_chunk(&self, head: &Head, index: u32, chunk: Bytes) -> bool {
        let Body::Chunks(chunks) = head.body() else {
            return false;
        };
        let base = u64::from(index) * CHUNK_BYTES;
        let whole = CHUNK_BYTES.min(head.length.saturating_sub(base));
        let same = chunk.len() as u64 == whole && chunks.sums.admit(index as usize, sum_of(&chunk));
        if same {
            self.put_chunk(chunks.object, head.generation(), index, chunk);
        }
        same
    }

    /// Chunk `index` of the body of `head`: from memory, else from the disk and then in memory too. Waits some seconds
    /// for a busy disk. Never bytes of another length or checksum than `head` says.
    pub async fn recall_chunk(&self, head: &Head, index: u32) -> Result<Bytes, Missing> {
        let Body::Chunks(chunks) = head.body() else {
            return Err(Missing::Gone);
        };
        let key = ChunkKey {
            object: chunks.object,
            generation: head.generation(),
            index,
        };
        let base = u64::from(index) * CHUNK_BYTES;
        let rest = head.length.checked_sub(base).ok_or(Missing::Gone)?;
        let length = CHUNK_BYTES.min(rest);
        if let Some(chunk) = self.chunks.get(&key) {
            let bytes = chunk.value().0.clone();
            return if bytes.len() as u64 == length {
                Ok(bytes)
            } else {
                Err(Missing::Gone)
            };
        }
        let disk = self.disk.as_ref().ok_or(Missing::Gone)?;
        let sum = chunks.sums.get(index as usize).ok_or(Missing::Gone)?;
        let loaded = disk.load_chunk(key, length, sum).await?;
        let bytes = loaded.value.0.clone();
        let entry = self.chunks.insert(key, loaded.value);
        if loaded.leaving {
            disk.offer_chunk(entry);
        }
        Ok(bytes)
    }
}
