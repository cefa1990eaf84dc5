//! The gzip coding of a copy: made once, read by many while it is made, stored beside its copy.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::{CopyHead, gzip_fields};
use crate::fills::{Fill, FillKey, Join};
use crate::growing::{Answer, LAG_MAX, Reader, Room, Share};
use crate::source::Source;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use seawall_cache_store::{CHUNK_BYTES, Coding, Found, Head, HeadParts, Hidden, INLINE_MAX};
use std::future::poll_fn;
use std::io::Write;
use std::sync::Arc;

/// A coding's fill lies beside its copy's, under a variant that no request selects.
const CODING: u64 = 0x636f_6469_6e67_0001;
/// Bytes coded in one go before other work of this thread gets its turn (about 2 ms).
const STEP_BYTES: usize = 64 * 1024;

/// Follows the gzip coding of the copy `head`, whose body comes from `source`; begins it if nobody has. `None`: as many
/// fills as are allowed are running; the plain copy will do.
pub(crate) fn follow(
    proxy: &Arc<CacheProxy>,
    asked: &Arc<Asked>,
    head: &CopyHead,
    source: impl FnOnce() -> Source,
) -> Option<(Arc<CopyHead>, Reader)> {
    let key = FillKey {
        key: asked.key.0,
        variant: CODING
            ^ head.generation.counter.rotate_left(17)
            ^ u64::from(head.generation.boot.0),
        floor: head.label.0,
    };
    let nobody: Arc<HeaderMap> = Arc::default();
    let mut coded = head.clone();
    gzip_fields(&mut coded.fields);
    coded.length = None;
    coded.coding = Coding::AsIs;
    let coded = Arc::new(coded);
    match proxy.fills().join(key, &nobody, || false) {
        Join::Follow(reader, _) => Some((coded, reader)),
        Join::Lead(reader, fill) => {
            let answer = Answer::Own {
                head: coded.clone(),
                share: Share::Selecting(Arc::default()),
                withheld: None,
            };
            fill.growing.set_answer(answer, head.stored);
            let coder = Coder {
                proxy: proxy.clone(),
                fill,
                asked: asked.clone(),
                of: head.clone(),
            };
            let source = source();
            tokio::spawn(async move { coder.run(source).await });
            Some((coded, reader))
        }
        Join::Again | Join::Full => None,
    }
}

struct Coder {
    proxy: Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    of: CopyHead,
}

/// Where the encoder writes: taken out after each step.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Coder {
    async fn run(self, source: Source) {
        let complete = self.code(source).await.is_some();
        if complete && self.fill.growing.keeps() {
            self.store();
            self.proxy.metrics().compressions.inc();
        }
        self.proxy.fills().leave(&self.fill);
        self.fill.growing.finish(complete);
    }

    /// `None`: the copy failed, or nobody waits for the coding any more.
    async fn code(&self, mut source: Source) -> Option<()> {
        let out = Out::default();
        let mut encoder = GzEncoder::new(out.clone(), Compression::new(6));
        while let Some(data) = source.next_alone().await.ok()? {
            for step in data.chunks(STEP_BYTES) {
                encoder.write_all(step).ok()?;
                tokio::task::yield_now().await;
            }
            self.push(&out).await?;
        }
        encoder.finish().ok()?;
        self.push(&out).await
    }

    async fn push(&self, out: &Out) -> Option<()> {
        let data = Bytes::from(std::mem::take(&mut *out.0.lock()));
        if data.is_empty() {
            return Some(());
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
        Some(())
    }

    /// Stores the coding beside its copy, if that is still the one it was made from.
    fn store(&self) {
        let store = self.proxy.store();
        let key = self.asked.key.0;
        let Found::Copy { head: of, variant } = store.lookup(key, &*self.asked.fields) else {
            return;
        };
        if of.generation != self.of.generation || of.coding != Coding::Negotiable {
            return;
        }
        let (length, parts) = self.fill.growing.whole();
        // of the copy as it is now: a 304 may have come while it was coded
        let plain = of.fields();
        let mut fields = plain.fields;
        gzip_fields(&mut fields);
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
                upstream_cache_status: &plain.upstream_cache_status,
                freshness: of.freshness.clone(),
                length,
                scopes: of.scopes.clone(),
                coding: Coding::GzipOf(of.generation, of.revision),
                object: key,
                sums: sums.into(),
            },
            inline.then_some(&parts[..]),
        );
        store.insert_gzip(key, variant, Arc::new(head));
    }
}

/// After a validation the plain copy has newer fields and the same bytes: its coding gets them too.
pub(crate) fn refresh(
    proxy: &CacheProxy,
    key: u128,
    variant: u64,
    plain: &Head,
    coded: &Head,
) -> Arc<Head> {
    let parts = plain.fields();
    let mut fields = parts.fields;
    gzip_fields(&mut fields);
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(coded.length));
    let body = coded.inline_body();
    let (object, sums, inline) = match &coded.body {
        seawall_cache_store::Body::Inline => (key, [].into(), Some([&body[..]])),
        seawall_cache_store::Body::Chunks { object, sums, .. } => (*object, sums.clone(), None),
    };
    let head = Arc::new(Head::new(
        HeadParts {
            generation: coded.generation,
            revision: 0,
            label: plain.label,
            status: plain.status,
            fields: &fields,
            hidden: Hidden::default(),
            upstream_cache_status: &parts.upstream_cache_status,
            freshness: plain.freshness.clone(),
            length: coded.length,
            scopes: plain.scopes.clone(),
            coding: Coding::GzipOf(plain.generation, plain.revision),
            object,
            sums,
        },
        inline.as_ref().map(|i| &i[..]),
    ));
    proxy.store().insert_gzip(key, variant, head.clone());
    head
}
