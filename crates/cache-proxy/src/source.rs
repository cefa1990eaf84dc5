//! Where the bytes of a delivery come from: a stored copy, or one that is still growing.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::growing::{Next, Reader};
use crate::held::{Held, NotHeld, chunks, held, may_ask};
use crate::part;
use crate::parts::NoPart;
use bytes::Bytes;
use seawall_cache_store::{Body, CHUNK_BYTES, CacheStore, Head, Missing};
use seawall_client_conn::{ShutdownWatch, Wire};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// A body, whole or from some offset on.
#[derive(Debug)]
pub(crate) enum Source {
    /// In memory, from this offset on.
    Ready(VecDeque<Bytes>, u64),
    Following(Reader),
    Stored(Box<Stored>),
}

/// A stored body that is not in memory as a whole: read chunk by chunk, from a disk or, where one was lost, from the next
/// server.
#[derive(Debug)]
pub(crate) struct Stored {
    proxy: Arc<CacheProxy>,
    /// On whose behalf a lost chunk is asked for.
    asked: Arc<Asked>,
    stop: ShutdownWatch,
    head: Arc<Head>,
    /// Key and variant that the head lies under.
    slot: (u128, u64),
    /// The chunks still to come.
    rest: Range<u32>,
    /// One that was had before anything was sent.
    had: Option<(u32, Bytes)>,
    /// Something had been lost.
    partial: bool,
    /// What was lost may be asked for: the request takes more than what is here (RFC 9111 §5.2.1.7).
    may_ask: bool,
}

impl Stored {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let index = self.rest.start;
        let had = self.had.take().filter(|(of, _)| *of == index);
        let chunk = match had {
            Some((_, chunk)) => chunk,
            None => self.chunk(index).await?,
        };
        self.rest.start += 1;
        Ok(Some(chunk))
    }

    async fn chunk(&mut self, index: u32) -> Result<Bytes, Broken> {
        let missing = match self.proxy.store().recall_chunk(&self.head, index).await {
            Ok(chunk) => return Ok(chunk),
            Err(missing) => missing,
        };
        if !self.may_ask || may_come_later(missing, part::restorable(&self.head)) {
            return Err(Broken::Gone);
        }
        let wanted = index..self.rest.end;
        let fetched = part::fetch(
            &self.proxy,
            &self.asked,
            &self.stop,
            self.slot,
            &self.head,
            wanted,
        )
        .await;
        match fetched {
            Ok(chunk) => {
                self.partial = true;
                Ok(chunk)
            }
            Err(NoPart::Lost) => Err(self.retire()),
            Err(NoPart::Unavailable) => Err(Broken::Gone),
        }
    }

    /// The next request finds no copy, rather than the same hole; a newer copy may be there by now, and stays.
    fn retire(&self) -> Broken {
        let (key, variant) = self.slot;
        self.proxy
            .store()
            .retire(key, variant, self.head.generation());
        Broken::Gone
    }

    /// Sets out to read `range`. Returns where its first chunk begins.
    fn seek(&mut self, range: &Range<u64>) -> u64 {
        self.rest = chunks(range);
        u64::from(self.rest.start) * CHUNK_BYTES
    }

    /// Whether all of `wanted` is here, as far as is known without reading. An error: not all, and it cannot be had.
    fn look(&self, wanted: &[Range<u64>]) -> Result<Held, Broken> {
        let store = self.proxy.store();
        match held(store, &self.head, wanted, &self.asked, self.may_ask) {
            Ok(held) => Ok(held),
            Err(NotHeld::Spared) => Err(Broken::Gone),
            Err(NotHeld::Lost) => Err(self.retire()),
        }
    }
}

/// The bytes of the part of `head`'s body that is held, and where it begins, if `wanted` lies in it.
fn held_part(
    store: &CacheStore,
    head: &Arc<Head>,
    wanted: &[Range<u64>],
) -> Option<(Vec<Bytes>, u64)> {
    let Body::Part(held) = head.body() else {
        return None;
    };
    let contained = wanted.iter().all(|range| store.holds(head, range.clone()));
    let bytes = store.body(head, held.clone()).filter(|_| contained)?;
    Some((bytes, held.start))
}

/// Whether a chunk that the disk did not give is left to another time, and the copy to the disk: a busy one may have it
/// then, which is no reason to let go of a copy that can be had from there alone.
fn may_come_later(missing: Missing, restorable: bool) -> bool {
    missing == Missing::Busy && !restorable
}

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The fill failed: the copy has no end.
    Fill,
    /// A part of a stored body was lost and cannot be had.
    Gone,
    /// The client is gone, or does not read.
    Client,
}

impl Source {
    pub(crate) fn ready(parts: Vec<Bytes>) -> Self {
        Self::Ready(parts.into(), 0)
    }

    /// The body of the stored copy in `slot` (key, variant): from memory, or read as it is sent.
    pub(crate) fn stored(
        proxy: &Arc<CacheProxy>,
        asked: &Arc<Asked>,
        stop: &ShutdownWatch,
        slot: (u128, u64),
        head: &Arc<Head>,
    ) -> Self {
        let store = proxy.store();
        if head.length <= store.pinned_bytes_max()
            && let Some(parts) = store.body(head, 0..head.length)
        {
            return Self::ready(parts);
        }
        Self::Stored(Box::new(Stored {
            proxy: proxy.clone(),
            asked: asked.clone(),
            stop: stop.clone(),
            head: head.clone(),
            slot,
            rest: chunks(&(0..head.length)),
            had: None,
            partial: false,
            may_ask: may_ask(asked),
        }))
    }

    /// Whether any part of it can be read, in any order.
    pub(crate) fn is_stored(&self) -> bool {
        !matches!(self, Self::Following(_))
    }

    /// Before anything is sent: makes sure that the ranges in `wanted` can be had, as far as can be told, and gets the
    /// first bytes of them. An error: not so, and nothing is lost yet; a copy that is no longer of use is retired.
    pub(crate) async fn begin<W: Wire>(
        &mut self,
        wire: &mut W,
        wanted: &[Range<u64>],
    ) -> Result<Held, Broken> {
        let (Self::Stored(stored), Some(first)) = (&mut *self, wanted.first()) else {
            return Ok(Held::All);
        };
        if first.is_empty() {
            return Ok(Held::All);
        }
        if let Some((parts, at)) = held_part(stored.proxy.store(), &stored.head, wanted) {
            *self = Self::Ready(parts.into(), at);
            return Ok(Held::All);
        }
        let all = stored.look(wanted)? == Held::All;
        stored.seek(first);
        let index = stored.rest.start;
        let chunk = while_connected(wire, Box::pin(stored.chunk(index))).await?;
        if let Body::Part(_) = stored.head.body() {
            // a short body, which came whole
            *self = Self::ready(vec![chunk]);
            return Ok(Held::Partial);
        }
        stored.had = Some((index, chunk));
        Ok(if all && !stored.partial {
            Held::All
        } else {
            Held::Partial
        })
    }

    /// Whether some of what was read had been lost.
    pub(crate) fn was_partial(&self) -> bool {
        matches!(self, Self::Stored(stored) if stored.partial)
    }

    /// Sets out to read `range`, and passes over what can be passed over without reading it. Returns where the source
    /// stands then; for one that is not stored, only before anything was read.
    pub(crate) fn seek(&mut self, range: &Range<u64>) -> u64 {
        match self {
            Self::Ready(_, at) => *at,
            Self::Following(_) => 0,
            Self::Stored(stored) => stored.seek(range),
        }
    }

    /// The next bytes, or `None` at the end. While it waits, what was written goes out, and a client that leaves is seen.
    pub(crate) async fn next<W: Wire>(&mut self, wire: &mut W) -> Result<Option<Bytes>, Broken> {
        let reader = match self {
            Self::Ready(parts, _) => return Ok(parts.pop_front()),
            Self::Stored(stored) => return while_connected(wire, Box::pin(stored.next())).await,
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
            Self::Ready(parts, _) => Ok(parts.pop_front()),
            Self::Stored(stored) => Box::pin(stored.next()).await,
            Self::Following(reader) => match poll_fn(|cx| reader.poll_next(Some(cx))).await {
                Next::Data(data) => Ok(Some(data)),
                Next::Done => Ok(None),
                Next::Failed => Err(Broken::Fill),
            },
        }
    }
}

/// `next`, unless it has to be waited for and the client leaves meanwhile; what was written goes out before.
async fn while_connected<W: Wire, T>(
    wire: &mut W,
    mut next: Pin<Box<impl Future<Output = Result<T, Broken>>>>,
) -> Result<T, Broken> {
    let at_once = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
    if let Poll::Ready(next) = at_once {
        return next;
    }
    wire.flush().await.map_err(|_| Broken::Client)?;
    tokio::select! { biased;
        next = next => next,
        _ = wire.idle() => Err(Broken::Client),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_its_disk_alone_can_give_outlives_a_time_when_that_is_busy() {
        let rows = [
            (Missing::Busy, false, true),
            (Missing::Busy, true, false),
            (Missing::Gone, false, false),
            (Missing::Gone, true, false),
        ];
        for (missing, restorable, later) in rows {
            assert_eq!(may_come_later(missing, restorable), later, "{missing:?}");
        }
    }
}
