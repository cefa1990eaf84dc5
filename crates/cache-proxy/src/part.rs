//! Chunks that a stored copy has lost, or never had, are fetched from the next server, by Range under the copy's strong
//! validator.
//!
//! What comes is taken only if it is that very part of that very version: the head says so (`http-cache`), its label is
//! not older than the copy's, and each chunk has the checksum that the copy's head recorded when the chunk came first.
//! So no mixture of two versions is ever sent, whatever a server makes of `If-Range`.

mod sink;

use self::sink::{PartSink, State};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::{Asking, Hook};
use crate::fill::{ATTEMPTS_MAX, request_fields};
use crate::message;
use crate::parts::{FETCH_MAX, Fetch, Join, NoPart, PartKey, TURN_MAX};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use pingora_core::protocols::l4::socket::SocketAddr;
use seawall_cache_store::{Body, CHUNK_BYTES, Head};
use seawall_client_conn::{ClientSession, ShutdownWatch, Slot};
use seawall_http_cache::{ByteRange, missing, part_validator};
use seawall_upstream::Ask;
use std::ops::Range;
use std::sync::Arc;

/// Whether lost chunks of `head` can be fetched again: its length is known, and it has a strong validator.
pub(crate) fn restorable(head: &Head) -> bool {
    head.status == StatusCode::OK
        && match head.body() {
            Body::Inline => false,
            Body::Part(_) => true,
            Body::Chunks(chunks) => chunks.sums.len() == chunks.count as usize,
        }
        && part_validator(&head.original_fields().fields).is_some()
}

/// Chunk `wanted.start` of `head`, which is neither in memory nor on a disk: fetched, with those behind it before
/// `wanted.end` that are missing too. Who asks for it meanwhile shares the fetch. May be dropped at any time.
/// `slot` is the key and the variant that `head` lies under. Of a short body that is incomplete it is all of it.
pub(crate) async fn fetch(
    proxy: &Arc<CacheProxy>,
    asked: &Arc<Asked>,
    stop: &ShutdownWatch,
    slot: (u128, u64),
    head: &Arc<Head>,
    wanted: Range<u32>,
) -> std::result::Result<Bytes, NoPart> {
    let object = match head.body() {
        Body::Chunks(chunks) => chunks.object,
        Body::Inline | Body::Part(_) => slot.0,
    };
    if !restorable(head) {
        return Err(NoPart::Lost);
    }
    let store = proxy.store();
    let key = PartKey {
        object,
        generation: head.generation(),
        index: wanted.start,
    };
    let there = || {
        let range = bytes_of(head, wanted.start..wanted.start + 1);
        store.body(head, range)?.pop()
    };
    let missing = |index| !store.holds_chunk(head, index);
    match proxy.parts().join(key, wanted.end, there, missing) {
        Join::There(chunk) => Ok(chunk),
        Join::Follow(follower) => follower.chunk().await,
        Join::Full => Err(NoPart::Unavailable),
        Join::Lead(follower, fetch) => {
            let (proxy, asked) = (proxy.clone(), asked.clone());
            let (head, stop) = (head.clone(), stop.clone());
            tokio::spawn(async move { run(&proxy, asked, &stop, slot, head, fetch).await });
            follower.chunk().await
        }
    }
}

/// The bytes that these chunks are.
fn bytes_of(head: &Head, chunks: Range<u32>) -> Range<u64> {
    let end = u64::from(chunks.end) * CHUNK_BYTES;
    u64::from(chunks.start) * CHUNK_BYTES..end.min(head.length)
}

fn byte_range(range: &Range<u64>) -> ByteRange {
    ByteRange {
        start: range.start,
        end: range.end,
    }
}

async fn run(
    proxy: &Arc<CacheProxy>,
    asked: Arc<Asked>,
    stop: &ShutdownWatch,
    slot: (u128, u64),
    head: Arc<Head>,
    fetch: Fetch,
) {
    let turn = pingora_timeout::timeout(TURN_MAX, proxy.parts().turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        fetch.fail(NoPart::Unavailable);
        proxy.metrics().parts.failed.inc();
        return;
    };
    let stored = head.original_fields().fields;
    let run = fetch.run();
    let range = match head.body() {
        Body::Part(held) => {
            let range = missing(byte_range(held), head.length);
            range.start..range.end
        }
        Body::Inline | Body::Chunks(_) => bytes_of(&head, run.clone()),
    };
    let mut fields = request_fields(proxy, &asked, None);
    let wanted = format!("bytes={}-{}", range.start, range.end - 1);
    if let (Ok(wanted), Some(Ok(tag))) = (
        HeaderValue::from_str(&wanted),
        part_validator(&stored).map(HeaderValue::from_bytes),
    ) {
        fields.insert(header::RANGE, wanted);
        fields.insert(header::IF_RANGE, tag);
    }
    let asking = Asking::new(&asked, false);
    let ask = Arc::new(Ask::new(
        proxy.tier().hops(&asked.service, asked.key.hash64()),
        asked.service.timeouts,
        ATTEMPTS_MAX,
        Box::new(Hook {
            asked: asked.clone(),
            asking: asking.clone(),
            proxy: proxy.clone(),
            validates: None,
            replaces: None,
            answer: None,
        }),
    ));
    let request = message::request(&Method::GET, &asked.target, &fields);
    let sink = PartSink {
        addrs: (
            SocketAddr::Inet(asked.info.peer),
            SocketAddr::Inet(asked.info.local),
        ),
        proxy: proxy.clone(),
        asked: asked.clone(),
        asking,
        ask: ask.clone(),
        slot,
        head,
        stored,
        targets: asked.policy().storage.targets.clone(),
        range,
        fetch,
        next: run.start,
        chunk: BytesMut::new(),
        state: State::Asked,
    };
    let Some(request) = request else {
        // a head that pingora refuses was refused to the client before; the sink ends the fetch when it is dropped
        return;
    };
    let slot = Slot::default();
    let session = ClientSession::new(sink, slot.clone(), request, false);
    let exchange = proxy.upstream().exchange(session, ask, stop);
    let _ = pingora_timeout::timeout(FETCH_MAX, exchange).await;
    // and with the slot the sink: what has not come by now does not
    drop(slot);
}
