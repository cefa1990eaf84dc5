//! One exchange on some client protocol: HTTP/1, HTTP/2, or the sink of a fill.

use bytes::Bytes;
use http::HeaderMap;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_core::protocols::l4::socket::SocketAddr;
use std::future::Future;
use std::time::Duration;

/// `read` and `idle` are cancel-safe: pingora polls them in `select!`. Writes are awaited where they are called; one
/// that was dropped midway forbids all that follow.
pub trait Wire: Send + Sync + Unpin + 'static {
    /// The next bytes of the request's body, `None` at its end.
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
    /// Pending until the client is gone, or nobody needs the answer any more.
    fn idle(&mut self) -> impl Future<Output = Result<()>> + Send;
    /// Whether the request's body has been read to its end.
    fn body_done(&mut self) -> bool;
    /// Writes a head; interim ones (1xx) and 101 go out at once. `end`: no body follows.
    fn head(
        &mut self,
        response: &ResponseHeader,
        end: bool,
    ) -> impl Future<Output = Result<()>> + Send;
    /// The same of a head that nobody else needs.
    fn take_head(
        &mut self,
        response: Box<ResponseHeader>,
        end: bool,
    ) -> impl Future<Output = Result<()>> + Send {
        async move { self.head(&response, end).await }
    }
    fn data(&mut self, data: Bytes, end: bool) -> impl Future<Output = Result<()>> + Send;
    fn flush(&mut self) -> impl Future<Output = Result<()>> + Send;
    /// Writes what waits, as `flush` does, and may be dropped midway: cancel-safe.
    fn push(&mut self) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
    /// The response is complete. An error: it is shorter than its head said.
    fn end(&mut self, trailers: Option<HeaderMap>) -> impl Future<Output = Result<()>> + Send;
    /// The response will not be completed: the client has to see that.
    fn abort(&mut self);
    fn peer(&self) -> &SocketAddr;
    fn local(&self) -> &SocketAddr;
    fn upgraded(&self) -> bool {
        false
    }
    fn set_write_timeout(&mut self, _timeout: Option<Duration>) {}
    /// A longer request body makes `read` fail with status 413.
    fn limit_body(&mut self, _bytes_max: u64) {}
}
