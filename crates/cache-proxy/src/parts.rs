//! Chunks on their way back: those that stored copies have lost, each fetched once for all who read them.
//!
//! Neighbours that are missing too come by the same fetch, up to [`RUN_CHUNKS`], and readers go on with each chunk as
//! it comes. A fetch does not end with the reader that began it.

use bytes::Bytes;
use parking_lot::Mutex;
use seawall_cache_store::CHUNK_BYTES;
use seawall_purge::Generation;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Chunks of one fetch (4 MiB): it is held in memory until its last reader has it.
pub(crate) const RUN_CHUNKS: u32 = 16;
/// The same in bytes.
pub(crate) const RUN_BYTES: u64 = RUN_CHUNKS as u64 * CHUNK_BYTES;
/// Fetches running at the same time (128 MiB of runs).
const RUNNING_MAX: usize = 32;
/// Chunks fetched or waited for at the same time; beyond it a reader gets none.
const UNDER_WAY_MAX: usize = 4096;
/// How long a fetch waits for its turn.
pub(crate) const TURN_MAX: Duration = Duration::from_secs(10);
/// How long one runs: a server that drips holds up others.
pub(crate) const FETCH_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartKey {
    pub(crate) object: u128,
    pub(crate) generation: Generation,
    pub(crate) index: u32,
}

/// Why a chunk did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPart {
    /// Its version is not to be had any more: the copy should be retired.
    Lost,
    /// Nobody answered, or there was no room to ask: another time, perhaps.
    Unavailable,
}

/// What a fetch has brought so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// From the first of the run on, in order.
    chunks: Vec<Bytes>,
    end: Option<NoPart>,
}

/// All fetches of a node.
#[derive(Debug)]
pub(crate) struct Parts {
    under_way: Mutex<HashMap<PartKey, (watch::Receiver<Progress>, u32)>>,
    pub(crate) turns: Semaphore,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
            turns: Semaphore::new(RUNNING_MAX),
        }
    }
}

/// How a reader takes part.
pub(crate) enum Join {
    /// It is there by now.
    There(Bytes),
    Follow(Follower),
    /// This reader begins the fetch of these chunks: the caller runs it.
    Lead(Follower, Fetch),
    /// As many as are allowed are under way.
    Full,
}

impl Parts {
    /// A fetch of chunks that nobody else can be fetching yet: those of a generation that is new. `None`: as many as are
    /// allowed are under way, and these are fetched without being followed.
    pub(crate) fn lead(self: &Arc<Self>, key: PartKey, run: Range<u32>) -> Option<Fetch> {
        let mut under_way = self.under_way.lock();
        if under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        let (tell, progress) = watch::channel(Progress::default());
        for index in run.clone() {
            let key = PartKey { index, ..key };
            under_way.insert(key, (progress.clone(), run.start));
        }
        Some(Fetch {
            parts: self.clone(),
            key,
            run,
            tell,
        })
    }

    /// Follows the fetch of chunk `key`, or begins one of it and of those behind it, before `end`, of which `missing`
    /// says so. `there` is asked before a fetch begins: a chunk is stored before it leaves the map.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: PartKey,
        end: u32,
        there: impl FnOnce() -> Option<Bytes>,
        missing: impl Fn(u32) -> bool,
    ) -> Join {
        let mut under_way = self.under_way.lock();
        if let Some((progress, first)) = under_way.get(&key) {
            return Join::Follow(Follower {
                progress: progress.clone(),
                at: (key.index - first) as usize,
            });
        }
        if let Some(chunk) = there() {
            return Join::There(chunk);
        }
        if under_way.len() >= UNDER_WAY_MAX {
            return Join::Full;
        }
        let at = |index| PartKey { index, ..key };
        let end = end.min(key.index.saturating_add(RUN_CHUNKS));
        let behind = (key.index + 1..end)
            .take_while(|&index| missing(index) && !under_way.contains_key(&at(index)))
            .count();
        let run = key.index..key.index + 1 + behind as u32;
        let (tell, progress) = watch::channel(Progress::default());
        for index in run.clone() {
            under_way.insert(at(index), (progress.clone(), run.start));
        }
        let fetch = Fetch {
            parts: self.clone(),
            key,
            run,
            tell,
        };
        Join::Lead(Follower { progress, at: 0 }, fetch)
    }
}

/// One reader of a fetch.
pub(crate) struct Follower {
    progress: watch::Receiver<Progress>,
    at: usize,
}

impl Follower {
    /// The chunk, once it is there. May be dropped at any time.
    pub(crate) async fn chunk(mut self) -> Result<Bytes, NoPart> {
        let at = self.at;
        let told = self
            .progress
            .wait_for(|progress| progress.chunks.len() > at || progress.end.is_some());
        let progress = told.await.map_err(|_| NoPart::Unavailable)?;
        match progress.chunks.get(at) {
            Some(chunk) => Ok(chunk.clone()),
            None => Err(progress.end.unwrap_or(NoPart::Unavailable)),
        }
    }
}

/// The end of a fetch that brings the chunks. Dropped, it is over: what is still missing has not come.
pub(crate) struct Fetch {
    parts: Arc<Parts>,
    key: PartKey,
    run: Range<u32>,
    tell: watch::Sender<Progress>,
}

impl Fetch {
    pub(crate) fn run(&self) -> Range<u32> {
        self.run.clone()
    }

    /// The next chunk of the run, which has been stored.
    pub(crate) fn bring(&self, chunk: Bytes) {
        self.tell
            .send_modify(|progress| progress.chunks.push(chunk));
    }

    /// Why the others do not come; only the first word counts.
    pub(crate) fn fail(&self, why: NoPart) {
        self.tell.send_modify(|progress| {
            progress.end.get_or_insert(why);
        });
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let mut under_way = self.parts.under_way.lock();
        for index in self.run.clone() {
            under_way.remove(&PartKey { index, ..self.key });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> PartKey {
        PartKey {
            object: 1,
            generation: Generation::default(),
            index,
        }
    }

    fn join(parts: &Arc<Parts>, index: u32, end: u32, held: &[u32]) -> Join {
        parts.join(key(index), end, || None, |i| !held.contains(&i))
    }

    #[tokio::test]
    async fn neighbours_come_by_one_fetch_and_each_reader_gets_its_own_chunk() {
        let parts = Arc::new(Parts::default());
        let Join::Lead(first, fetch) = join(&parts, 3, 9, &[6]) else {
            panic!("nobody fetches it yet");
        };
        assert_eq!(fetch.run(), 3..6);
        let Join::Follow(third) = join(&parts, 5, 9, &[6]) else {
            panic!("it is on its way");
        };
        let Join::Lead(_, other) = join(&parts, 1, 9, &[6]) else {
            panic!("it is not in the run");
        };
        assert_eq!(other.run(), 1..3);
        fetch.bring(Bytes::from_static(b"three"));
        assert_eq!(first.chunk().await.unwrap(), "three");
        fetch.bring(Bytes::from_static(b"four"));
        fetch.fail(NoPart::Lost);
        assert_eq!(third.chunk().await, Err(NoPart::Lost));
        drop((fetch, other));
        assert!(parts.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn a_fetch_that_is_given_up_leaves_nobody_waiting() {
        let parts = Arc::new(Parts::default());
        let Join::Lead(reader, fetch) = join(&parts, 0, u32::MAX, &[]) else {
            panic!("nobody fetches it yet");
        };
        assert_eq!(fetch.run(), 0..RUN_CHUNKS);
        drop(fetch);
        assert_eq!(reader.chunk().await, Err(NoPart::Unavailable));
        let there = || Some(Bytes::from_static(b"there"));
        let again = parts.join(key(0), 1, there, |_| true);
        assert!(matches!(again, Join::There(chunk) if chunk == "there"));
    }

    #[test]
    fn no_more_chunks_are_under_way_than_the_bound() {
        let parts = Arc::new(Parts::default());
        let mut fetches = Vec::new();
        for index in (0..).step_by(RUN_CHUNKS as usize) {
            match join(&parts, index, u32::MAX, &[]) {
                Join::Lead(_, fetch) => fetches.push(fetch),
                Join::Full => break,
                _ => panic!("each is its own"),
            }
        }
        assert_eq!(parts.under_way.lock().len(), UNDER_WAY_MAX);
    }
}
