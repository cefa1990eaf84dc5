//! The far end of a fill: it looks like a client to pingora, judges the answer and writes the copy.

mod answer;
mod judge;
mod part;

use self::part::{Coming, PartBody};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::Asking;
use crate::copy::CopyHead;
use crate::fill::Before;
use crate::fills::Fill;
use crate::growing::{LAG_MAX, Room};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::l4::socket::SocketAddr;
use seawall_cache_store::{CHUNK_BYTES, Coding, Head, HeadParts, Hidden, INLINE_MAX};
use seawall_client_conn::Wire;
use seawall_http_cache::Freshness;
use seawall_purge::{Generation, ScopeId};
use seawall_upstream::Ask;
use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

/// The client side of a fill's exchange.
pub(crate) struct FillSink {
    proxy: Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    asking: Arc<Asking>,
    ask: Arc<Ask>,
    before: Before,
    /// Drawn before anything is asked: a change that comes before the answer's head ends the copy that this becomes.
    generation: Generation,
    /// A range was asked for.
    ranged: bool,
    /// The part that comes, where the answer is one that may be stored.
    part: Option<Coming>,
    /// Length that the head announced.
    want: Option<u64>,
    body: Body,
    len: u64,
    addrs: (SocketAddr, SocketAddr),
    ended: bool,
}

/// What becomes of the body that follows.
enum Body {
    /// No head yet.
    None,
    /// Stored when it is complete.
    Keep(Box<Keeping>),
    /// A part of a response, stored as it comes.
    Part(Box<PartBody>),
    /// Passed to who waits, and forgotten.
    Pass,
    /// Nobody needs it: a stored copy was the answer.
    Discard,
}

struct Keeping {
    head: Arc<CopyHead>,
    names: Vec<HeaderName>,
    /// What the head's fields were before they were changed for clients.
    hidden: Hidden,
    scopes: Box<[ScopeId]>,
    freshness: Freshness,
    /// Checksums of the chunks stored so far.
    sums: Vec<u64>,
}

impl FillSink {
    pub(crate) fn new(
        proxy: Arc<CacheProxy>,
        fill: Arc<Fill>,
        asked: Arc<Asked>,
        asking: Arc<Asking>,
        ask: Arc<Ask>,
        before: Before,
        ranged: bool,
    ) -> Self {
        let addrs = (
            SocketAddr::Inet(asked.info.peer),
            SocketAddr::Inet(asked.info.local),
        );
        let generation = proxy.store().next_generation();
        Self {
            generation,
            proxy,
            fill,
            asked,
            asking,
            ask,
            before,
            ranged,
            part: None,
            want: None,
            body: Body::None,
            len: 0,
            addrs,
            ended: false,
        }
    }

    /// The body is over. What was announced and came is stored; what fell short has failed.
    fn finish(&mut self, complete: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if matches!(self.body, Body::Part(_)) {
            return self.finish_part(complete);
        }
        let whole = complete
            && !matches!(self.body, Body::None)
            && (matches!(self.body, Body::Discard)
                || self.want.is_none_or(|want| want == self.len));
        let body = std::mem::replace(&mut self.body, Body::Discard);
        if let Body::Keep(keeping) = body {
            if whole && self.fill.growing.keeps() {
                self.store(&keeping);
                self.proxy.metrics().fills.stored.inc();
            } else {
                self.proxy.metrics().fills.failed.inc();
            }
        } else if !whole {
            self.proxy.metrics().fills.failed.inc();
        }
        self.proxy.fills().leave(&self.fill);
        self.fill.growing.finish(whole);
    }

    fn store(&self, keeping: &Keeping) {
        let store = self.proxy.store();
        let (length, tail) = self.fill.growing.tail();
        let key = self.asked.own_key.0;
        let mut fields = Cow::Borrowed(&keeping.head.fields);
        if !matches!(keeping.head.status.as_u16(), 204 | 304) {
            let told = HeaderValue::from(length);
            if fields.get(header::CONTENT_LENGTH) != Some(&told) {
                fields.to_mut().insert(header::CONTENT_LENGTH, told);
            }
        }
        let tail: Vec<&[u8]> = tail.iter().map(|piece| &piece[..]).collect();
        let inline = length <= INLINE_MAX;
        let mut sums = keeping.sums.clone();
        if !inline {
            let last: Vec<u8> = tail.concat();
            if !last.is_empty() {
                let index = (length / CHUNK_BYTES) as u32;
                sums.push(store.put_chunk(key, keeping.head.generation, index, last.into()));
            }
        }
        let small =
            keeping.head.coding == Coding::Negotiable && length < self.asked.policy().gzip_min;
        let head = Head::new(
            HeadParts {
                generation: keeping.head.generation,
                revision: 0,
                label: keeping.head.label,
                status: keeping.head.status,
                fields: &fields,
                hidden: keeping.hidden.clone(),
                upstream_cache_status: &keeping.head.upstream_cache_status,
                freshness: keeping.freshness.clone(),
                length,
                scopes: &keeping.scopes,
                coding: if small {
                    Coding::AsIs
                } else {
                    keeping.head.coding
                },
                object: key,
                sums: sums.into(),
            },
            inline.then_some(&tail[..]),
        );
        self.insert(&keeping.names, Arc::new(head));
    }

    /// Puts `head` in the place of what the fill was for. Returns its variant.
    fn insert(&self, names: &[HeaderName], head: Arc<Head>) -> u64 {
        let (store, key) = (self.proxy.store(), self.asked.own_key.0);
        self.asking.learned().confirm(&head);
        let variant = store.insert(key, names, &*self.fill.request, head);
        if let Some(replaced) = &self.before.replaced
            && (self.asked.key.0, replaced.variant) != (key, variant)
        {
            // it was asked about, or a purge took it, and another response came with other selecting fields (RFC 9111
            // §4.3.3): it would be found again, and asked about each time, should its `Date` be the later one
            let key = self.asked.key.0;
            store.retire(key, replaced.variant, replaced.head.generation());
        }
        variant
    }

    fn stop_keeping(&mut self) {
        if matches!(self.body, Body::Keep(_)) {
            self.body = Body::Pass;
        }
        self.fill.growing.stop_keeping();
        // who reads already stays on; nobody else can join a copy whose first bytes go
        self.proxy.fills().leave(&self.fill);
    }
}

impl Drop for FillSink {
    fn drop(&mut self) {
        self.finish(false);
    }
}

impl Wire for FillSink {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }

    /// Pending while somebody reads or the copy will be stored.
    async fn idle(&mut self) -> Result<()> {
        poll_fn(|cx| self.fill.growing.poll_useless(cx)).await;
        Ok(())
    }

    fn body_done(&mut self) -> bool {
        true
    }

    async fn head(&mut self, response: &ResponseHeader, end: bool) -> Result<()> {
        self.take_head(Box::new(response.clone()), end).await
    }

    async fn take_head(&mut self, response: Box<ResponseHeader>, end: bool) -> Result<()> {
        if response.status.is_informational() {
            self.fill.growing.push_interim(*response);
        } else if matches!(self.body, Body::None) {
            self.decide((*response).into());
            if end {
                self.finish(true);
            }
        }
        Ok(())
    }

    async fn data(&mut self, data: Bytes, end: bool) -> Result<()> {
        if matches!(self.body, Body::Discard) {
            return if end || self.len < DISCARD_MAX {
                self.len += data.len() as u64;
                Ok(())
            } else {
                Error::e_explain(ErrorType::ConnectionClosed, "the answer is not needed")
            };
        }
        if matches!(self.body, Body::Part(_)) {
            return self.part_data(data, end);
        }
        loop {
            let room = poll_fn(|cx| self.fill.growing.poll_room(cx));
            match pingora_timeout::timeout(LAG_MAX, room).await {
                Ok(Room::Yes) => break,
                Ok(Room::Useless) => {
                    return Error::e_explain(ErrorType::ConnectionClosed, "no reader is left");
                }
                Err(_) => self.fill.growing.cut_laggards(),
            }
        }
        self.len += data.len() as u64;
        let (whole, within_budget) = self.fill.growing.push(data);
        if let Body::Keep(keeping) = &mut self.body {
            for (index, chunk) in whole {
                let (store, generation) = (self.proxy.store(), keeping.head.generation);
                let sum = store.put_chunk(self.asked.own_key.0, generation, index, chunk);
                keeping.sums.push(sum);
            }
            let limit = self
                .asked
                .service
                .limits
                .object_bytes_max
                .min(self.proxy.store().body_bytes_max());
            if !within_budget || self.len > limit {
                self.stop_keeping();
            }
        }
        if end {
            self.finish(true);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn end(&mut self, _trailers: Option<HeaderMap>) -> Result<()> {
        self.finish(true);
        Ok(())
    }

    fn abort(&mut self) {
        self.finish(false);
    }

    fn peer(&self) -> &SocketAddr {
        &self.addrs.0
    }

    fn local(&self) -> &SocketAddr {
        &self.addrs.1
    }

    fn upgraded(&self) -> bool {
        false
    }

    fn set_write_timeout(&mut self, _timeout: Option<Duration>) {}
}

/// An error answer that nobody needs is read this far, so that its connection can be used again (64 KiB).
const DISCARD_MAX: u64 = 64 * 1024;
