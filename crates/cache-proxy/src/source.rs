//! Where the bytes of a delivery come from: a stored copy, or one that is still growing.

use crate::growing::{Next, Reader};
use bytes::Bytes;
use seawall_cache_store::{CHUNK_BYTES, CacheStore, Head, Missing};
use seawall_client_conn::Wire;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// A body, whole or from some offset on.
#[derive(Debug)]
pub(crate) enum Source {
    Ready(VecDeque<Bytes>),
    Following(Reader),
    Stored(Stored),
}

/// A stored body, of which some is on a disk: read chunk by chunk.
#[derive(Debug)]
pub(crate) struct Stored {
    store: Arc<CacheStore>,
    head: Arc<Head>,
    /// Key and variant that the head lies under.
    slot: (u128, u64),
    /// The next chunk.
    index: u64,
}

impl Stored {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.index * CHUNK_BYTES >= self.head.length {
            return Ok(None);
        }
        let chunk = self.store.recall_chunk(&self.head, self.index as u32).await;
        self.index += 1;
        if chunk == Err(Missing::Gone) {
            // the next request finds no copy, rather than the same hole; a newer copy may be there by now, and stays
            let (key, variant) = self.slot;
            self.store.retire(key, variant, self.head.generation);
        }
        chunk.map(Some).map_err(|missing| match missing {
            Missing::Gone => Broken::Gone,
            Missing::Busy => Broken::Busy,
        })
    }
}

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The fill failed: the copy has no end.
    Fill,
    /// A part of a stored body is gone from the disk.
    Gone,
    /// A part of a stored body did not come from the disk in time.
    Busy,
    /// The client is gone, or does not read.
    Client,
}

impl Source {
    pub(crate) fn ready(parts: Vec<Bytes>) -> Self {
        Self::Ready(parts.into())
    }

    /// The body of the stored copy in `slot` (key, variant): from memory, or read from a disk as it is sent. `None`: a
    /// part of it is gone, and the copy is retired.
    pub(crate) fn stored(
        store: &Arc<CacheStore>,
        slot: (u128, u64),
        head: &Arc<Head>,
    ) -> Option<Self> {
        if let Some(parts) = store.body(head, 0..head.length) {
            return Some(Self::ready(parts));
        }
        if !store.holds(head, 0..head.length) {
            store.retire(slot.0, slot.1, head.generation);
            return None;
        }
        Some(Self::Stored(Stored {
            store: store.clone(),
            head: head.clone(),
            slot,
            index: 0,
        }))
    }

    /// Passes over what can be passed over without reading it, before `offset`. Returns where the source stands then;
    /// for one that was not read from yet.
    pub(crate) fn seek(&mut self, offset: u64) -> u64 {
        match self {
            Self::Ready(_) | Self::Following(_) => 0,
            Self::Stored(stored) => {
                stored.index = offset / CHUNK_BYTES;
                stored.index * CHUNK_BYTES
            }
        }
    }

    /// The next bytes, or `None` at the end. While it waits, what was written goes out, and a client that leaves is seen.
    pub(crate) async fn next<W: Wire>(&mut self, wire: &mut W) -> Result<Option<Bytes>, Broken> {
        let reader = match self {
            Self::Ready(parts) => return Ok(parts.pop_front()),
            Self::Stored(stored) => return stored.next().await,
            Self::Following(reader) => reader,
        };
        let next = match reader.poll_next(None) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                wire.flush().await.map_err(|_| Broken::Client)?;
                tokio::select! { biased;
                    next = poll_fn(|cx| reader.poll_next(Some(cx))) => next,
                    _ = wire.idle() => return Err(Broken::Client),
                }
            }
        };
        match next {
            Next::Data(data) => Ok(Some(data)),
            Next::Done => Ok(None),
            Next::Failed => Err(Broken::Fill),
        }
    }

    /// The same for a reader that has no client.
    pub(crate) async fn next_alone(&mut self) -> Result<Option<Bytes>, Broken> {
        match self {
            Self::Ready(parts) => Ok(parts.pop_front()),
            Self::Stored(stored) => stored.next().await,
            Self::Following(reader) => match poll_fn(|cx| reader.poll_next(Some(cx))).await {
                Next::Data(data) => Ok(Some(data)),
                Next::Done => Ok(None),
                Next::Failed => Err(Broken::Fill),
            },
        }
    }
}
