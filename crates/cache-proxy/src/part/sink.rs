//! The far end of a part's exchange: it judges the answer and brings the chunks.

use super::{byte_range, bytes_of};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::Asking;
use crate::fill::Stored;
use crate::message;
use crate::parts::{Fetch, NoPart};
use crate::refreshed::{Fate, refresh};
use crate::standing::Standing;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::l4::socket::SocketAddr;
use seawall_cache_store::{Body, Head};
use seawall_client_conn::Wire;
use seawall_http_cache::{Targets, combine, fields_of_the_whole, is_part};
use seawall_purge::copy::is_older;
use seawall_upstream::Ask;
use std::ops::Range;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Asked,
    /// The head was taken; the body follows.
    Comes,
    Ended,
}

/// The client side of the exchange: it judges the answer and brings the chunks.
pub(super) struct PartSink {
    pub(super) proxy: Arc<CacheProxy>,
    pub(super) asked: Arc<Asked>,
    pub(super) asking: Arc<Asking>,
    pub(super) ask: Arc<Ask>,
    pub(super) slot: (u128, u64),
    pub(super) head: Arc<Head>,
    /// The fields of `head`.
    pub(super) stored: HeaderMap,
    /// Which fields of an answer say whether its bytes may be kept.
    pub(super) targets: Targets,
    pub(super) range: Range<u64>,
    pub(super) fetch: Fetch,
    /// The chunk that comes next, and what has come of it.
    pub(super) next: u32,
    pub(super) chunk: BytesMut,
    pub(super) state: State,
    pub(super) addrs: (SocketAddr, SocketAddr),
}

impl PartSink {
    /// Why the answer with this head is not taken.
    fn judge(&self, response: &ResponseHeader) -> std::result::Result<(), NoPart> {
        let status = response.status;
        if self.ask.failure().is_some()
            || status.is_server_error()
            || status.is_redirection()
            || (status.is_client_error() && !matches!(status.as_u16(), 404 | 410 | 416))
        {
            // whoever is asked has trouble of its own, or with the one who asks: that says nothing about the version
            return Err(NoPart::Unavailable);
        }
        let range = byte_range(&self.range);
        let length = self.head.length;
        let judged = is_part(
            &self.stored,
            status,
            &response.headers,
            range,
            length,
            &self.targets,
        );
        if let Err(why) = judged {
            tracing::debug!(
                status = status.as_u16(),
                why = why.as_str(),
                "a part was refused"
            );
            return Err(NoPart::Lost);
        }
        if is_older(self.asking.learned().label(), self.head.label()) {
            // it may be from before a purge that the copy is from after
            return Err(NoPart::Lost);
        }
        Ok(())
    }

    /// RFC 9111 §3.4: the fields of an incomplete response are updated by those of a part that comes to it, as by a 304. A
    /// copy that was complete once has had them all. An error: with these fields its bytes may not be stored for others.
    fn update(&mut self, response: &ResponseHeader) -> std::result::Result<(), NoPart> {
        if !self.head.is_incomplete() {
            return Ok(());
        }
        // as it is by now: other parts and validations may have come since this one was asked for
        let current = self.proxy.store().exact(self.slot.0, self.slot.1);
        let same =
            |now: &Arc<Head>| now.generation() == self.head.generation() && now.is_incomplete();
        if let Some(current) = current.filter(same) {
            self.head = current;
        }
        let mut update = response.clone();
        let mut fields = response.headers.clone();
        fields_of_the_whole(&mut fields, self.head.length);
        message::replace_response_fields(&mut update, fields);
        let stored = Stored {
            head: self.head.clone(),
            variant: self.slot.1,
        };
        let (learned, now) = (self.asking.learned(), seawall_client_conn::now());
        let standing = self.proxy.standing_now(&self.asked, &self.head, now);
        if matches!(standing, Standing::Gone) {
            // a purge took it while we asked: under the label of the part it would be back
            return Ok(());
        }
        let refreshed = refresh(
            &self.proxy,
            &self.asked,
            &learned,
            learned.label(),
            &stored,
            &update,
            now,
        );
        let put = refreshed.put(&self.proxy, &self.asked, &stored);
        match (refreshed.fate, put) {
            (Fate::Kept, Some(variant)) => {
                self.slot.1 = variant;
                self.head = refreshed.head;
                Ok(())
            }
            // another part or a validation came before; their fields stay, and the bytes are of one version
            (Fate::Kept, None) => Ok(()),
            // this one's request allows no more: its answer is for nobody else
            (Fate::Left, _) => Err(NoPart::Unavailable),
            (Fate::Retired, _) => Err(NoPart::Lost),
        }
    }

    /// The bytes that were asked for, whole: what of the body they make is stored. `None`: they are not its bytes.
    fn store(&self, bytes: Bytes) -> Option<Bytes> {
        let store = self.proxy.store();
        let Body::Part(held) = self.head.body() else {
            let same = store.restore_chunk(&self.head, self.next, bytes.clone());
            return same.then_some(bytes);
        };
        let (held, inline) = (byte_range(held), self.head.inline());
        let more = (byte_range(&self.range), &bytes[..]);
        let whole = combine((held, inline), more, self.head.length)?;
        let head = self.head.completed(&whole);
        store.refresh(self.slot.0, self.slot.1, Arc::new(head));
        Some(whole.into())
    }

    fn finish(&mut self, why: Option<NoPart>) {
        if std::mem::replace(&mut self.state, State::Ended) == State::Ended {
            return;
        }
        if let Body::Chunks(_) = self.head.body() {
            let (key, variant) = self.slot;
            self.proxy.store().note_progress(key, variant, &self.head);
        }
        let counters = &self.proxy.metrics().parts;
        match why {
            None => counters.fetched.inc(),
            Some(why) => {
                match why {
                    NoPart::Lost => counters.refused.inc(),
                    NoPart::Unavailable => counters.failed.inc(),
                }
                self.fetch.fail(why);
            }
        }
    }

    /// It broke off. A body that did is no better the next time, as far as can be known; no answer may be.
    fn broke_off(&mut self) {
        let why = match self.state {
            State::Comes => NoPart::Lost,
            State::Asked | State::Ended => NoPart::Unavailable,
        };
        self.finish(Some(why));
    }

    fn not_needed<T>() -> Result<T> {
        Error::e_explain(ErrorType::ConnectionClosed, "the answer is not needed")
    }
}

impl Drop for PartSink {
    fn drop(&mut self) {
        self.broke_off();
    }
}

impl Wire for PartSink {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }

    /// What is under way is stored, also when its readers have left.
    async fn idle(&mut self) -> Result<()> {
        std::future::pending().await
    }

    fn body_done(&mut self) -> bool {
        true
    }

    async fn head(&mut self, response: &ResponseHeader, _end: bool) -> Result<()> {
        if response.status.is_informational() || self.state != State::Asked {
            return Ok(());
        }
        match self.judge(response).and_then(|()| self.update(response)) {
            Ok(()) => {
                self.state = State::Comes;
                Ok(())
            }
            Err(why) => {
                self.finish(Some(why));
                Self::not_needed()
            }
        }
    }

    async fn data(&mut self, mut data: Bytes, _end: bool) -> Result<()> {
        while !data.is_empty() {
            if self.state != State::Comes {
                return Self::not_needed();
            }
            let bytes = match self.head.body() {
                Body::Part(_) => self.range.clone(),
                _ => bytes_of(&self.head, self.next..self.next + 1),
            };
            let length = (bytes.end - bytes.start) as usize;
            if self.chunk.capacity() == 0 {
                self.chunk = BytesMut::with_capacity(length);
            }
            let more = data.split_to(data.len().min(length - self.chunk.len()));
            self.chunk.extend_from_slice(&more);
            if self.chunk.len() < length {
                continue;
            }
            let chunk = std::mem::take(&mut self.chunk).freeze();
            let Some(chunk) = self.store(chunk) else {
                // the tag is the same and the bytes are not
                self.finish(Some(NoPart::Lost));
                return Self::not_needed();
            };
            self.fetch.bring(chunk);
            self.next += 1;
            if self.next == self.fetch.run().end {
                self.finish(None);
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn end(&mut self, _trailers: Option<HeaderMap>) -> Result<()> {
        self.broke_off();
        Ok(())
    }

    fn abort(&mut self) {
        self.broke_off();
    }

    fn peer(&self) -> &SocketAddr {
        &self.addrs.0
    }

    fn local(&self) -> &SocketAddr {
        &self.addrs.1
    }
}
