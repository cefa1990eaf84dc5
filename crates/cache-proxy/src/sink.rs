//! The far end of a fill: it looks like a client to pingora, judges the answer and writes the copy.

mod judge;

pub(crate) use self::judge::may_serve_on_error;
use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::CopyHead;
use crate::fill::Before;
use crate::fills::Fill;
use crate::growing::{Answer, LAG_MAX, Room, Share};
use crate::outbound::{Asking, append_list};
use crate::scoped::{TOO_MANY, is_error, scopes};
use crate::tier::TierKind;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::l4::socket::SocketAddr;
use seawall_cache_store::{CHUNK_BYTES, Coding, Head, HeadParts, INLINE_MAX};
use seawall_client_conn::Wire;
use seawall_http_cache::{
    Freshness, Storable, Timestamp, Vary, add_vary, compressible, may_compress, storable,
    stored_fields, strip_hop_by_hop, vary,
};
use seawall_purge::ScopeId;
use seawall_upstream::Ask;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Fields that tell tags; they are for caches, not for clients.
pub(crate) const TAG_FIELDS: [HeaderName; 3] = [
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("xkey"),
    HeaderName::from_static("cache-tag"),
];

/// The client side of a fill's exchange.
pub(crate) struct FillSink {
    proxy: Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    asking: Arc<Asking>,
    ask: Arc<Ask>,
    before: Before,
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
    /// Passed to who waits, and forgotten.
    Pass,
    /// Nobody needs it: a stored copy was the answer.
    Discard,
}

struct Keeping {
    head: Arc<CopyHead>,
    names: Vec<HeaderName>,
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
    ) -> Self {
        let addrs = (
            SocketAddr::Inet(asked.info.peer),
            SocketAddr::Inet(asked.info.local),
        );
        Self {
            proxy,
            fill,
            asked,
            asking,
            ask,
            before,
            want: None,
            body: Body::None,
            len: 0,
            addrs,
            ended: false,
        }
    }

    /// The answer is a response of its own.
    fn own(&mut self, response: &ResponseHeader, now: Timestamp, failed: bool) {
        let learned = self.asking.learned();
        let mut fields = response.headers.clone();
        let upstream_cache_status = take_cache_status(&mut fields);
        let bodiless = matches!(response.status.as_u16(), 204 | 304);
        self.want = if bodiless {
            Some(0)
        } else {
            fields
                .get(header::CONTENT_LENGTH)
                .and_then(|v| v.to_str().ok()?.parse().ok())
        };
        // without a length and without chunks the body ends with the connection: a truncation could not be seen
        let end_is_seen = learned.framed || bodiless;
        let judged = if failed {
            None
        } else {
            Some(storable(
                &Method::GET,
                &*self.asked.fields,
                response.status,
                &fields,
                &self.asked.policy().storage,
                learned.at,
                now,
            ))
        };
        let mut detail = None;
        let freshness = match judged {
            Some(Storable::Yes(freshness)) => Some(freshness),
            Some(Storable::No(why)) => {
                detail = Some(why.as_str());
                None
            }
            None => None,
        };
        if freshness.is_some() {
            fields = stored_fields(&fields);
        } else {
            strip_hop_by_hop(&mut fields);
        }
        fields.remove(header::AGE);
        if !fields.contains_key(header::DATE)
            && let Ok(date) = HeaderValue::from_str(&now.to_http_date())
        {
            fields.insert(header::DATE, date);
        }
        let replaced = self.before.replaced.clone();
        let replaced = replaced.filter(|_| is_error(response.status));
        let replaced: Vec<&[ScopeId]> = replaced.iter().map(|head| &head.scopes[..]).collect();
        // of the fields as they came: some of them are not stored
        let scopes = self.scopes(&response.headers, &replaced);
        if !failed && !self.may_use(scopes.as_deref().ok(), freshness.as_ref(), now) {
            return self.covered();
        }
        let scopes = match scopes {
            Ok(scopes) => freshness.is_some().then_some(scopes),
            Err(why) if freshness.is_some() => {
                self.proxy.metrics().fills.unscoped.inc();
                detail = Some(why);
                None
            }
            Err(_) => None,
        };
        if detail == Some(TOO_MANY) {
            // errors take over more and more: the next one begins anew. Nobody was promised anything
            drop(self.proxy.store().invalidate(self.asked.key.0));
        }
        let limit = self
            .asked
            .service
            .limits
            .object_bytes_max
            .min(self.proxy.store().body_bytes_max());
        let fits = self.want.is_none_or(|want| want <= limit);
        if freshness.is_some() && !fits {
            detail = Some("too-large");
        } else if freshness.is_some() && !end_is_seen {
            detail = Some("ends-by-close");
        }
        let keep = freshness.is_some() && scopes.is_some() && fits && end_is_seen;
        let coding = self.coding(response.status, &fields);
        if coding == Coding::Negotiable {
            add_vary(&mut fields, &header::ACCEPT_ENCODING);
        }
        let names = match vary(&response.headers) {
            Vary::Fields(names) => names,
            Vary::None | Vary::Star => Vec::new(),
        };
        if !failed {
            append_list(
                &mut fields,
                &header::VIA,
                &format!("1.1 {}", self.proxy.tier().kind().cache_name()),
            );
        }
        self.withhold(&mut fields);
        let share = if freshness.is_some() || failed {
            Share::Selecting(names.clone().into())
        } else {
            Share::FirstOnly
        };
        let head = Arc::new(CopyHead {
            status: response.status,
            fields,
            upstream_cache_status: upstream_cache_status.into(),
            length: self.want,
            freshness: freshness.clone(),
            stored: keep,
            coding,
            generation: self.proxy.store().next_generation(),
            label: learned.label(),
            scopes: scopes.as_deref().map(Arc::from),
            fetched: learned.fetched(),
            stale: learned.stale(),
            framed: end_is_seen,
            detail,
            failed,
        });
        let key = self.asked.key.0;
        if freshness.is_some() {
            self.proxy.unstorable().forget(key);
            self.proxy.store().note_vary(key, &names);
        } else if !failed && !response.status.is_server_error() {
            self.proxy.unstorable().remember(key, now);
        }
        self.body = match (keep, freshness, scopes) {
            (true, Some(freshness), Some(scopes)) => Body::Keep(Box::new(Keeping {
                head: head.clone(),
                names,
                scopes,
                freshness,
                sums: Vec::new(),
            })),
            _ => Body::Pass,
        };
        self.fill
            .growing
            .set_answer(Answer::Own { head, share }, keep);
        if !keep {
            self.proxy.fills().leave(&self.fill);
        }
    }

    /// Text that the origin left plain is coded at the edge, for those who accept it.
    fn coding(&self, status: StatusCode, fields: &HeaderMap) -> Coding {
        let policy = self.asked.policy();
        let wanted = self.proxy.tier().kind() == TierKind::Edge
            && policy.gzip
            && status == StatusCode::OK
            && may_compress(fields)
            && self.want.is_none_or(|want| want >= policy.gzip_min)
            && compressible(fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes));
        if wanted {
            Coding::Negotiable
        } else {
            Coding::AsIs
        }
    }

    /// What clients do not get: at the edge the tag fields, and what the rule removes.
    fn withhold(&self, fields: &mut HeaderMap) {
        if self.proxy.tier().kind() != TierKind::Edge {
            return;
        }
        withhold(&self.asked, fields);
    }

    /// What an answer can be purged by, `taken_over` and what a neighbour stated included. An error says why it is not
    /// known in full: such an answer is not stored.
    fn scopes(
        &self,
        fields: &HeaderMap,
        taken_over: &[&[ScopeId]],
    ) -> std::result::Result<Box<[ScopeId]>, &'static str> {
        let stated = self.asking.learned().scopes.ok_or("unreadable-scopes")?;
        let taken_over = [taken_over, &[&stated[..]]].concat();
        scopes(&self.asked, fields, &taken_over)
    }

    /// The body is over. What was announced and came is stored; what fell short has failed.
    fn finish(&mut self, complete: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
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
        let key = self.asked.key.0;
        let mut fields = keeping.head.fields.clone();
        if !matches!(keeping.head.status.as_u16(), 204 | 304) {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
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
                upstream_cache_status: &keeping.head.upstream_cache_status,
                freshness: keeping.freshness.clone(),
                length,
                scopes: keeping.scopes.clone(),
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
        store.insert(key, &keeping.names, &*self.fill.request, Arc::new(head));
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

/// Fields that do not go to clients: tags (unless the service keeps them), and what the rule removes or sets.
pub(crate) fn withhold(asked: &Asked, fields: &mut HeaderMap) {
    if !asked.service.response.keep_surrogate_key {
        for name in &TAG_FIELDS {
            fields.remove(name);
        }
    }
    if !asked.service.response.via {
        fields.remove(header::VIA);
    }
    asked.policy().response_headers.apply(fields);
}

/// Takes the members of the tiers behind out of `fields`, as one list.
pub(crate) fn take_cache_status(fields: &mut HeaderMap) -> Vec<u8> {
    let values: Vec<&[u8]> = fields
        .get_all(&CACHE_STATUS)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = values.join(&b", "[..]);
    fields.remove(&CACHE_STATUS);
    joined
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
        if response.status.is_informational() {
            self.fill.growing.push_interim(response.clone());
        } else if matches!(self.body, Body::None) {
            self.decide(response);
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
                let sum = store.put_chunk(self.asked.key.0, generation, index, chunk);
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
