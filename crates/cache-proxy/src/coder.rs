//! Another coding of a copy, or the copy without the one it came in: made once, read by many while it is made, stored
//! beside its copy.

mod codec;
mod head;
mod undecodable;

use self::codec::{DECODED_STEP_MEBIBYTES, Out, Work, codec};
pub(crate) use self::head::refresh;
use self::head::{Made, recoded_head};
pub(crate) use self::undecodable::Undecodable;
use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::{CopyHead, recoded_fields};
use crate::fills::{Fill, FillKey, Join};
use crate::growing::{Answer, LAG_MAX, Reader, Room, Share};
use crate::source::Source;
use bytes::Bytes;
use http::HeaderMap;
use seawall_cache_store::{CHUNK_BYTES, Coding, Found, INLINE_MAX, Recoding, recoded_variant};
use seawall_http_cache::AcceptEncoding;
use seawall_purge::Generation;
use seawall_purge::join::Floor;
use seawall_service_model::Policy;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A coder's fill lies beside its copy's, under a variant that no request selects.
const CODING: u64 = 0x636f_6469_6e67_0001;
/// Bytes coded in one go before other work of this thread gets its turn (about 2 ms).
const STEP_BYTES: usize = 64 * 1024;
/// The same of bytes to decode, of which more is made.
const DECODE_STEP_BYTES: usize = 4 * 1024;
/// Memory of all coders of a node (256 MiB); beyond it clients get copies as they are.
const MEBIBYTES_MAX: usize = 256;
/// Content that is decoded may be this much (1 MiB) whatever its coded length,
const DECODED_BYTES_FREE: u64 = 1 << 20;
/// and beyond that so many times longer. Text is coded to a tenth or so; a bomb, to a thousandth and less.
const DECODED_RATIO_MAX: u64 = 100;

/// The memory that coders may take, in MiB.
pub(crate) fn memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MEBIBYTES_MAX))
}

/// What is made of a copy with this coding for a client that accepts this. `None`: it goes out as it is.
pub(crate) fn wanted(
    coding: Coding,
    policy: &Policy,
    accept: impl FnOnce() -> AcceptEncoding,
) -> Option<Recoding> {
    match coding {
        Coding::Negotiable if !policy.codings.is_empty() => {
            accept().best(&policy.codings).map(Recoding::To)
        }
        Coding::Decodable(coding) if policy.decode => {
            let accept = accept();
            let plain = !accept.accepts(coding) && accept.accepts_identity();
            plain.then_some(Recoding::Identity)
        }
        _ => None,
    }
}

/// The head of `recoding` of the copy `head`, as long as it is not made: its length is not known, and its tag is, which
/// is weak whatever the bytes will be (RFC 9110 §8.8.1).
pub(crate) fn recoded(head: &CopyHead, recoding: Recoding) -> CopyHead {
    let mut recoded = head.clone();
    recoded_fields(&mut recoded.fields, recoding);
    recoded.length = None;
    recoded.coding = Coding::AsIs;
    recoded.whole_only = true;
    recoded
}

/// Follows `recoding` of the copy `head`, whose body comes from `source`; begins it if nobody has. `None`: as many fills
/// or coders as are allowed are running; the copy as it is will do.
pub(crate) fn follow(
    proxy: &Arc<CacheProxy>,
    asked: &Arc<Asked>,
    head: &CopyHead,
    recoding: Recoding,
    source: impl FnOnce() -> Source,
) -> Option<(Arc<CopyHead>, Reader)> {
    let key = FillKey {
        key: asked.key.0,
        variant: recoded_variant(CODING, recoding)
            ^ head.generation.counter.rotate_left(17)
            ^ u64::from(head.generation.boot.0),
        floor: Floor::here(head.label.0),
        since: Duration::ZERO,
    };
    let came_in = match head.coding {
        Coding::Decodable(coding) => Some(coding),
        _ => None,
    };
    let work = Work::of(recoding, came_in)?;
    let memory = proxy.coders().clone();
    let memory = memory.try_acquire_many_owned(work.mebibytes()).ok();
    let nobody: Arc<HeaderMap> = Arc::default();
    let recoded = Arc::new(recoded(head, recoding));
    match proxy
        .fills()
        .join(key, &nobody, asked.key.0, || memory.is_none())
    {
        Join::Follow(reader, _) => Some((recoded, reader)),
        Join::Lead(reader, fill) => {
            let answer = Answer::Own {
                head: recoded.clone(),
                share: Share::Selecting(Arc::default()),
                withheld: None,
            };
            fill.growing.set_answer(answer, head.stored);
            let coder = Coder {
                proxy: proxy.clone(),
                fill,
                asked: asked.clone(),
                of: head.clone(),
                recoding,
                work,
                generation: proxy.store().next_generation(),
                sums: Vec::new(),
                _memory: memory,
            };
            let source = source();
            tokio::spawn(async move { coder.run(source).await });
            Some((recoded, reader))
        }
        Join::Again | Join::Full => None,
    }
}

struct Coder {
    proxy: Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    of: CopyHead,
    recoding: Recoding,
    work: Work,
    /// Of what is made.
    generation: Generation,
    /// The checksums of its chunks, which are stored as they come.
    sums: Vec<u64>,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Why there is no coding.
enum Ended {
    /// The copy failed, or nobody waits any more.
    InVain,
    /// The content is not what its coding says, or more than may be made of it.
    Content,
}

impl Drop for Coder {
    /// Whoever still waits when this ends, however it ends, gets to know that no more comes.
    fn drop(&mut self) {
        self.proxy.fills().leave(&self.fill);
        self.fill.growing.finish(false);
    }
}

impl Coder {
    async fn run(mut self, source: Source) {
        let ended = self.code(source).await;
        if let Err(Ended::Content) = ended {
            // before it is told: whoever asks again gets the copy as it is
            self.proxy.undecodable().remember(self.of.generation);
        }
        if ended.is_ok() && self.fill.growing.keeps() {
            self.store();
            match self.recoding {
                Recoding::To(_) => self.proxy.metrics().compressions.inc(),
                Recoding::Identity => self.proxy.metrics().decompressions.inc(),
            }
        }
        self.proxy.fills().leave(&self.fill);
        self.fill.growing.finish(ended.is_ok());
    }

    async fn code(&mut self, mut source: Source) -> Result<(), Ended> {
        let (step_bytes, room, ratio, most) = match self.work {
            Work::Code(_) => (STEP_BYTES, u64::MAX, 0, u64::MAX),
            Work::Decode(_) => {
                let most = u64::from(DECODED_STEP_MEBIBYTES) << 20;
                (
                    DECODE_STEP_BYTES,
                    DECODED_BYTES_FREE,
                    DECODED_RATIO_MAX,
                    most,
                )
            }
        };
        let out = Out::new(room);
        let content = |_| Ended::Content;
        let mut codec = codec(self.work, self.of.length, out.clone()).map_err(content)?;
        let mut length = 0;
        while let Some(data) = source.next_alone().await.map_err(|_| Ended::InVain)? {
            for step in data.chunks(step_bytes) {
                out.allow(step.len() as u64 * ratio, most);
                codec.write(step).map_err(content)?;
                self.push(&out, &mut length).await?;
                tokio::task::yield_now().await;
            }
        }
        codec.finish().map_err(content)?;
        self.push(&out, &mut length).await
    }

    /// Passes on what came out, and stores the chunks that it makes whole. `length`: of what was passed on so far.
    async fn push(&mut self, out: &Out, length: &mut u64) -> Result<(), Ended> {
        let data = Bytes::from(out.take());
        if data.is_empty() {
            return Ok(());
        }
        *length += data.len() as u64;
        let growing = &self.fill.growing;
        loop {
            match pingora_timeout::timeout(LAG_MAX, poll_fn(|cx| growing.poll_room(cx))).await {
                Ok(Room::Yes) => break,
                Ok(Room::Useless) => return Err(Ended::InVain),
                Err(_) => growing.cut_laggards(),
            }
        }
        let (whole, within_budget) = growing.push(data);
        let store = self.proxy.store();
        for (index, chunk) in whole {
            let sum = store.put_chunk(self.asked.key.0, self.generation, index, chunk);
            self.sums.push(sum);
        }
        let limit = self.asked.service.limits.object_bytes_max;
        if !within_budget || *length > limit.min(store.body_bytes_max()) {
            growing.stop_keeping();
            self.proxy.fills().leave(&self.fill);
        }
        Ok(())
    }

    /// Stores what was made beside its copy, if that is still the one it was made from.
    fn store(&mut self) {
        let store = self.proxy.store();
        let key = self.asked.key.0;
        let Found::Copy { head: of, variant } = store.lookup(key, &*self.asked.fields) else {
            return;
        };
        if of.generation() != self.of.generation || of.coding() != self.of.coding {
            return;
        }
        let (length, tail) = self.fill.growing.tail();
        let tail: Vec<&[u8]> = tail.iter().map(|piece| &piece[..]).collect();
        let inline = length <= INLINE_MAX;
        let mut sums = std::mem::take(&mut self.sums);
        if !inline {
            let last: Vec<u8> = tail.concat();
            if !last.is_empty() {
                let index = (length / CHUNK_BYTES) as u32;
                sums.push(store.put_chunk(key, self.generation, index, last.into()));
            }
        }
        let made = Made {
            generation: self.generation,
            length,
            object: key,
            sums: sums.into(),
            inline: inline.then_some(&tail[..]),
        };
        let head = Arc::new(recoded_head(&of, self.recoding, made));
        store.insert_recoded(key, variant, self.recoding, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_http_cache::ContentCoding;

    /// What is made of a copy for a client that takes anything; `Err`: the client's field is not looked at.
    fn check(coding: Coding, policy: &Policy, expect: Result<Option<Recoding>, ()>) {
        let mut read = false;
        let made = wanted(coding, policy, || {
            read = true;
            AcceptEncoding::of_line(Some(b"br, identity"))
        });
        let got = read.then_some(made).ok_or(());
        assert_eq!(got, expect, "{coding:?}");
        assert!(read || made.is_none());
    }

    #[test]
    fn what_a_client_accepts_is_read_only_where_it_decides() {
        let gzip = Coding::Decodable(ContentCoding::Gzip);
        let none = Policy {
            codings: Vec::new(),
            decode: false,
            ..Policy::default()
        };
        check(Coding::Negotiable, &none, Err(()));
        check(gzip, &none, Err(()));
        check(Coding::AsIs, &none, Err(()));
        let all = Policy {
            codings: vec![ContentCoding::Brotli],
            decode: true,
            ..Policy::default()
        };
        let brotli = Recoding::To(ContentCoding::Brotli);
        check(Coding::Negotiable, &all, Ok(Some(brotli)));
        check(gzip, &all, Ok(Some(Recoding::Identity)));
        check(Coding::Decodable(ContentCoding::Brotli), &all, Ok(None));
        check(Coding::AsIs, &all, Err(()));
    }
}
