//! pingora's view of one exchange: the bookkeeping that every protocol shares, over a [`Wire`] that does the I/O.
//!
//! pingora's trait for such sessions is hidden from its documentation, hence its pinned version. What is easy to get
//! wrong: `end` on heads is always false here, so the end comes with `write_body(end)` or `finish`; a cached answer may
//! end with an empty write; `finish` of a custom session never gives the connection back, so [`Drop`] does; `shutdown`
//! means abort; a tunnel hangs unless `is_body_done` turns true when the server's side ends.

use crate::hold::{Held, is_of_body};
use crate::wire::Wire;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::custom::{CustomMessageWrite, server::Session};
use pingora_core::protocols::{Digest, l4::socket::SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A request body up to this length is kept, so that an attempt may be repeated (64 KiB).
const RETRY_BYTES_MAX: usize = 64 * 1024;

/// Where the wire is found again after a session.
pub type Slot<W> = Arc<Mutex<Option<W>>>;

/// What went over a session, readable while and after it lives.
#[derive(Debug, Default)]
pub struct Tally {
    sent: AtomicU64,
}

impl Tally {
    /// Bytes of the response's body.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Who looks at the body of an answer on its way to the client. Called in order, and never waited for.
pub trait Tap: Send + Sync {
    /// The next bytes go out.
    fn data(&self, data: &Bytes);

    /// The body came to its end. The client gets to know after this.
    fn ended(&self);
}

pub struct ClientSession<W: Wire> {
    /// There until drop.
    wire: Option<W>,
    slot: Slot<W>,
    request: RequestHeader,
    upgrade: bool,
    no_body: bool,
    held: Option<Held>,
    written: Option<Box<ResponseHeader>>,
    ended: bool,
    tally: Arc<Tally>,
    tap: Option<Arc<dyn Tap>>,
    read: usize,
    retry: Option<BytesMut>,
    truncated: bool,
    digest: Digest,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    drain_timeout: Option<Duration>,
}

impl<W: Wire> ClientSession<W> {
    /// A session for `request` over `wire`, which is put into `slot` when the session is dropped.
    pub fn new(mut wire: W, slot: Slot<W>, request: RequestHeader, upgrade: bool) -> Self {
        let no_body = wire.body_done();
        Self {
            wire: Some(wire),
            slot,
            request,
            upgrade,
            no_body,
            held: None,
            written: None,
            ended: false,
            tally: Arc::default(),
            tap: None,
            read: 0,
            retry: None,
            truncated: false,
            digest: Digest::default(),
            read_timeout: None,
            write_timeout: None,
            drain_timeout: None,
        }
    }

    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Has `tap` look at the answer's body.
    pub fn set_tap(&mut self, tap: Arc<dyn Tap>) {
        self.tap = Some(tap);
    }

    fn tell_end(&self) {
        if let Some(tap) = &self.tap {
            tap.ended();
        }
    }

    /// For what has to travel with the request: extensions of its head.
    pub fn request_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    fn wire(&mut self) -> &mut W {
        self.wire.as_mut().expect("the wire is there until drop")
    }

    async fn head(&mut self, response: Box<ResponseHeader>, end: bool) -> Result<()> {
        let status = response.status.as_u16();
        // a second final head is ignored, as HTTP/1 sessions do; 100 is ours to send
        if self.written.is_some() || status == 100 {
            return Ok(());
        }
        let is_final = status >= 200 || status == 101;
        if is_final && self.held.take().is_some() {
            // an error answer takes the place of one that waits, and its body is not that one's
            self.tap = None;
        }
        if end && is_final {
            self.tell_end();
        }
        self.wire().head(&response, end).await?;
        if is_final {
            self.written = Some(response);
        }
        self.ended |= end;
        Ok(())
    }

    /// A head from the next server: written, or kept until the first of its body comes. While the client still sends,
    /// pingora may not ask how long it has waited: then it waits for nothing.
    async fn head_or_hold(&mut self, response: Box<ResponseHeader>, end: bool) -> Result<()> {
        if end || self.written.is_some() || !self.wire().body_done() {
            return self.head(response, end).await;
        }
        match Held::of(response) {
            Ok(held) => {
                self.held = Some(held);
                Ok(())
            }
            Err(response) => self.head(response, end).await,
        }
    }

    /// Writes the head that waits. Nothing of it is awaited: no final head but 101 is written to the client at once.
    async fn release(&mut self) -> Result<()> {
        match self.held.take() {
            Some(held) => self.head(held.head, false).await,
            None => Ok(()),
        }
    }

    async fn read_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.wire().body_done() {
            self.wire().idle().await?;
            return Error::e_explain(ErrorType::ConnectionClosed, "the client is gone");
        }
        self.read_body_bytes().await
    }

    async fn data(&mut self, data: Bytes, end: bool) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.tally
            .sent
            .fetch_add(data.len() as u64, Ordering::Relaxed);
        self.ended = end;
        if let Some(tap) = &self.tap {
            tap.data(&data);
        }
        if end {
            self.tell_end();
        }
        self.wire().data(data, end).await
    }

    async fn end(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.ended, true) {
            self.tell_end();
            self.wire().end(None).await?;
        }
        self.wire().flush().await
    }
}

impl<W: Wire> Drop for ClientSession<W> {
    fn drop(&mut self) {
        *self.slot.lock() = self.wire.take();
    }
}

#[async_trait]
impl<W: Wire> Session for ClientSession<W> {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        let data = match self.read_timeout {
            Some(timeout) => pingora_timeout::timeout(timeout, self.wire().read())
                .await
                .map_err(|_| Error::explain(ErrorType::ReadTimedout, "client body"))??,
            None => self.wire().read().await?,
        };
        if let Some(data) = &data {
            self.read += data.len();
            if let Some(retry) = &mut self.retry {
                if retry.len() + data.len() > RETRY_BYTES_MAX {
                    self.truncated = true;
                    self.retry = None;
                } else {
                    retry.extend_from_slice(data);
                }
            }
        }
        Ok(data)
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        while self.read_body_bytes().await?.is_some() {}
        Ok(())
    }

    async fn write_response_header(
        &mut self,
        response: Box<ResponseHeader>,
        end: bool,
    ) -> Result<()> {
        self.head(response, end).await
    }

    async fn write_response_header_ref(
        &mut self,
        response: &ResponseHeader,
        end: bool,
    ) -> Result<()> {
        self.head(Box::new(response.clone()), end).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.data(data, end).await?;
        self.wire().flush().await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if !std::mem::replace(&mut self.ended, true) {
            self.tell_end();
            self.wire().end(Some(trailers)).await?;
        }
        Ok(())
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        for task in tasks {
            if is_of_body(&task) {
                self.release().await.map_err(pingora::Error::into_down)?;
            }
            let done = match task {
                // interim answers were passed on by upstream's response filter, before pingora could drop them
                HttpTask::Header(head, _)
                    if head.status.is_informational() && head.status != 101 =>
                {
                    Ok(())
                }
                HttpTask::Header(head, end) => self.head_or_hold(head, end).await,
                HttpTask::Body(data, end) | HttpTask::UpgradedBody(data, end) => match data {
                    Some(data) if !data.is_empty() => self.data(data, end).await,
                    _ if end => self.end().await,
                    _ => Ok(()),
                },
                HttpTask::Trailer(Some(trailers)) => self.write_trailers(*trailers).await,
                HttpTask::Trailer(None) | HttpTask::Done => self.end().await,
                HttpTask::Failed(error) => {
                    // what came before it still goes out; the end stays missing
                    let _ = self.wire().flush().await;
                    return Err(error);
                }
            };
            done.map_err(pingora::Error::into_down)?;
        }
        self.wire()
            .flush()
            .await
            .map_err(pingora::Error::into_down)?;
        Ok(self.ended)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
        self.wire().set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_timeout = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain_timeout
    }

    fn request_summary(&self) -> String {
        format!("{} {}", self.request.method, self.request.uri)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.wire().abort();
    }

    fn is_body_done(&mut self) -> bool {
        self.wire().body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        if self.written.is_some() {
            self.end().await
        } else {
            Ok(())
        }
    }

    fn is_body_empty(&mut self) -> bool {
        self.no_body
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if let Some(left) = self.held.as_ref().map(Held::left) {
            let read = self.read_or_idle(no_body_expected);
            if let Ok(read) = pingora_timeout::timeout(left, read).await {
                return read;
            }
            self.release().await?;
            self.wire().push().await?;
        }
        self.read_or_idle(no_body_expected).await
    }

    fn body_bytes_sent(&self) -> usize {
        self.tally.sent() as usize
    }

    fn body_bytes_read(&self) -> usize {
        self.read
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.wire.as_ref().map(Wire::peer)
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.wire.as_ref().map(Wire::local)
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        let mut raw = BytesMut::with_capacity(512);
        let method = self.request.method.as_str().as_bytes();
        for part in [method, b" ", self.request.raw_path(), b" HTTP/1.1\r\n"] {
            raw.extend_from_slice(part);
        }
        for (name, value) in &self.request.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                raw.extend_from_slice(part);
            }
        }
        raw.extend_from_slice(b"\r\n");
        raw.freeze()
    }

    fn enable_retry_buffering(&mut self) {
        if self.retry.is_none() && !self.truncated {
            self.retry = Some(BytesMut::new());
        }
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.truncated
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.retry
            .as_ref()
            .filter(|b| !b.is_empty())
            .map(|b| Bytes::copy_from_slice(b))
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn futures::Stream<Item = Result<Bytes>> + Unpin + Send + Sync>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn futures::Stream<Item = Result<Bytes>> + Unpin + Send + Sync>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(
        &mut self,
        _writer: Box<dyn CustomMessageWrite>,
    ) -> Result<()> {
        Ok(())
    }

    fn is_upgrade_req(&self) -> bool {
        self.upgrade
    }

    fn was_upgraded(&self) -> bool {
        self.wire.as_ref().is_some_and(Wire::upgraded)
    }
}
