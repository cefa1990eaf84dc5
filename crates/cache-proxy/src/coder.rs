//! Another coding of a copy, or the copy without the one it came in: made once, read by many while it is made, stored
//! beside its copy.

mod codec;

use self::codec::{DECODED_STEP_MEBIBYTES, Out, Work, codec};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::{CopyHead, recoded_fields};
use crate::fills::{Fill, FillKey, Join};
use crate::growing::{Answer, LAG_MAX, Reader, Room, Share};
use crate::source::Source;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use seawall_cache_store::{
    Body, CHUNK_BYTES, Coding, Found, Head, HeadParts, Hidden, INLINE_MAX, Recoding, Sums,
    recoded_variant,
};
use seawall_http_cache::AcceptEncoding;
use seawall_service_model::Policy;
use std::future::poll_fn;
use std::sync::Arc;
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
        Coding::Negotiable => accept().best(&policy.codings).map(Recoding::To),
        Coding::Decodable(coding) => {
            let accept = accept();
            let plain = policy.decode && !accept.accepts(coding) && accept.accepts_identity();
            plain.then_some(Recoding::Identity)
        }
        Coding::AsIs | Coding::Recoded(..) => None,
    }
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
        floor: head.label.0,
    };
    let came_in = match head.coding {
        Coding::Decodable(coding) => Some(coding),
        _ => None,
    };
    let work = Work::of(recoding, came_in)?;
    let memory = proxy.coders().clone();
    let memory = memory.try_acquire_many_owned(work.mebibytes()).ok();
    let nobody: Arc<HeaderMap> = Arc::default();
    let mut recoded = head.clone();
    recoded_fields(&mut recoded.fields, recoding);
    recoded.length = None;
    recoded.coding = Coding::AsIs;
    let recoded = Arc::new(recoded);
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
    _memory: Option<OwnedSemaphorePermit>,
}

impl Drop for Coder {
    /// Whoever still waits when this ends, however it ends, gets to know that no more comes.
    fn drop(&mut self) {
        self.proxy.fills().leave(&self.fill);
        self.fill.growing.finish(false);
    }
}

impl Coder {
    async fn run(self, source: Source) {
        let complete = self.code(source).await.is_some();
        if complete && self.fill.growing.keeps() {
            self.store();
            match self.recoding {
                Recoding::To(_) => self.proxy.metrics().compressions.inc(),
                Recoding::Identity => self.proxy.metrics().decompressions.inc(),
            }
        }
        self.proxy.fills().leave(&self.fill);
        self.fill.growing.finish(complete);
    }

    /// `None`: the copy failed, it cannot be decoded, or nobody waits for the coding any more.
    async fn code(&self, mut source: Source) -> Option<()> {
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
        let mut codec = codec(self.work, self.of.length, out.clone()).ok()?;
        let limit = self.asked.service.limits.object_bytes_max;
        let mut length = 0;
        while let Some(data) = source.next_alone().await.ok()? {
            for step in data.chunks(step_bytes) {
                out.allow(step.len() as u64 * ratio, most);
                codec.write(step).ok()?;
                length += self.push(&out).await?;
                if length > limit {
                    return None;
                }
                tokio::task::yield_now().await;
            }
        }
        codec.finish().ok()?;
        self.push(&out).await.map(drop)
    }

    /// Passes on what came out. Returns how many bytes.
    async fn push(&self, out: &Out) -> Option<u64> {
        let data = Bytes::from(out.take());
        let length = data.len() as u64;
        if data.is_empty() {
            return Some(0);
        }
        let growing = &self.fill.growing;
        loop {
            match pingora_timeout::timeout(LAG_MAX, poll_fn(|cx| growing.poll_room(cx))).await {
                Ok(Room::Yes) => break,
                Ok(Room::Useless) => return None,
                Err(_) => growing.cut_laggards(),
            }
        }
        let (_, within_budget) = growing.push(data);
        if !within_budget {
            growing.stop_keeping();
            self.proxy.fills().leave(&self.fill);
        }
        Some(length)
    }

    /// Stores what was made beside its copy, if that is still the one it was made from.
    fn store(&self) {
        let store = self.proxy.store();
        let key = self.asked.key.0;
        let Found::Copy { head: of, variant } = store.lookup(key, &*self.asked.fields) else {
            return;
        };
        if of.generation != self.of.generation || of.coding != self.of.coding {
            return;
        }
        let (length, parts) = self.fill.growing.whole();
        if length > store.body_bytes_max() {
            return;
        }
        // of the copy as it is now: a 304 may have come while it was coded
        let parts_of = of.fields();
        let mut fields = parts_of.fields;
        recoded_fields(&mut fields, self.recoding);
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let generation = store.next_generation();
        let inline = length <= INLINE_MAX;
        let mut sums = Vec::new();
        if !inline {
            let whole: Vec<u8> = parts.concat();
            for (index, chunk) in whole.chunks(CHUNK_BYTES as usize).enumerate() {
                let chunk = Bytes::copy_from_slice(chunk);
                sums.push(store.put_chunk(key, generation, index as u32, chunk));
            }
        }
        let parts: Vec<&[u8]> = parts.iter().map(|p| &p[..]).collect();
        let head = Head::new(
            HeadParts {
                generation,
                revision: 0,
                label: of.label,
                status: of.status,
                fields: &fields,
                hidden: Hidden::default(),
                upstream_cache_status: &parts_of.upstream_cache_status,
                freshness: of.freshness.clone(),
                length,
                scopes: of.scopes.clone(),
                coding: Coding::Recoded(self.recoding, of.generation, of.revision),
                object: key,
                sums: sums.into(),
            },
            inline.then_some(&parts[..]),
        );
        store.insert_recoded(key, variant, self.recoding, Arc::new(head));
    }
}

/// After a validation the copy `of` has newer fields and the same bytes: what was made of it gets them too.
pub(crate) fn refresh(
    proxy: &CacheProxy,
    key: u128,
    variant: u64,
    of: &Head,
    recoded: &Head,
    recoding: Recoding,
) -> Arc<Head> {
    let parts = of.fields();
    let mut fields = parts.fields;
    recoded_fields(&mut fields, recoding);
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(recoded.length));
    let body = recoded.inline_body();
    let (object, sums, inline) = match &recoded.body {
        // what was recoded is stored whole
        Body::Inline | Body::Part(_) => (key, Sums::default(), Some([&body[..]])),
        Body::Chunks { object, sums, .. } => (*object, sums.clone(), None),
    };
    let head = Arc::new(Head::new(
        HeadParts {
            generation: recoded.generation,
            revision: 0,
            label: of.label,
            status: of.status,
            fields: &fields,
            hidden: Hidden::default(),
            upstream_cache_status: &parts.upstream_cache_status,
            freshness: of.freshness.clone(),
            length: recoded.length,
            scopes: of.scopes.clone(),
            coding: Coding::Recoded(recoding, of.generation, of.revision),
            object,
            sums,
        },
        inline.as_ref().map(|i| &i[..]),
    ));
    proxy
        .store()
        .insert_recoded(key, variant, recoding, head.clone());
    head
}
