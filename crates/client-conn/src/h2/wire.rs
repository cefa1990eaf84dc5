//! One exchange of HTTP/2.

use super::Frames;
use crate::clock::{uptime, with_date};
use crate::framing::{Framing, framing, has_date, of_connection};
use crate::limits::ConnLimits;
use crate::wire::Wire;
use bytes::Bytes;
use http::{HeaderMap, Method};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::l4::socket::SocketAddr;
use seawall_http_cache::is_hop_by_hop;
use seawall_http2::{Gone, Reason};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

/// A stream that a task has; it is given back when this is dropped.
pub(crate) struct H2Wire {
    frames: Frames,
    stream: u32,
    head_request: bool,
    expects_continue: bool,
    /// The final head is out.
    head: bool,
    /// The answer has its end, or will not get one.
    done: bool,
    room: u64,
    body_idle: Duration,
    addrs: Arc<(SocketAddr, SocketAddr)>,
}

fn gone(Gone(reason): Gone) -> Box<Error> {
    Error::explain(
        ErrorType::H2Error,
        format!("the client's stream is gone, reason {}", reason.0),
    )
}

impl H2Wire {
    pub(super) fn new(
        frames: Frames,
        stream: u32,
        method: &Method,
        expects_continue: bool,
        limits: &ConnLimits,
        addrs: Arc<(SocketAddr, SocketAddr)>,
    ) -> Self {
        Self {
            frames,
            stream,
            head_request: method == Method::HEAD,
            expects_continue,
            head: false,
            done: false,
            room: u64::MAX,
            body_idle: limits.body_idle_timeout,
            addrs,
        }
    }

    /// Its exchange is over.
    pub(super) fn finish(mut self) {
        if !self.done {
            self.abort();
        }
    }
}

impl Drop for H2Wire {
    fn drop(&mut self) {
        self.frames.lock().release(self.stream);
    }
}

impl Wire for H2Wire {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        if std::mem::take(&mut self.expects_continue) && !self.head {
            let none = std::iter::empty();
            let informed = self.frames.lock().inform(self.stream, 100, none);
            informed.map_err(gone)?;
        }
        let data = poll_fn(|cx| self.frames.lock().poll_read(self.stream, cx));
        let data = pingora_timeout::timeout(self.body_idle, data)
            .await
            .map_err(|_| {
                Error::explain(ErrorType::HTTPStatus(408), "the request body is too slow")
            })?;
        let Some(data) = data.map_err(gone)? else {
            return Ok(None);
        };
        let len = data.len() as u64;
        if len > self.room {
            return Error::e_explain(ErrorType::HTTPStatus(413), "the request body is too long");
        }
        self.room -= len;
        Ok(Some(data))
    }

    async fn idle(&mut self) -> Result<()> {
        poll_fn(|cx| self.frames.lock().poll_reset(self.stream, cx)).await;
        Ok(())
    }

    fn body_done(&mut self) -> bool {
        self.frames.lock().is_read(self.stream)
    }

    async fn head(&mut self, response: &ResponseHeader, end: bool) -> Result<()> {
        let status = response.status.as_u16();
        if status == 101 {
            return Error::e_explain(ErrorType::InternalError, "HTTP/2 has no 101");
        }
        let of_connection = of_connection(response);
        let fields = response
            .headers
            .iter()
            .filter(|(name, _)| !of_connection(name))
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        if response.status.is_informational() {
            let informed = self.frames.lock().inform(self.stream, status, fields);
            return informed.map_err(gone);
        }
        if std::mem::replace(&mut self.head, true) {
            return Ok(());
        }
        self.done = end || framing(response, self.head_request, false) == Framing::None;
        let responded = with_date(|_, date| {
            let date = (!has_date(response)).then_some((&b"date"[..], date.as_bytes()));
            // one that says nothing is left out
            let fields = fields
                .filter(|(name, _)| date.is_none() || *name != b"date")
                .map(|(name, value): (&[u8], &[u8])| (name, value))
                .chain(date);
            self.frames
                .lock()
                .respond(self.stream, status, fields, self.done)
        });
        responded.map_err(gone)
    }

    async fn data(&mut self, data: Bytes, end: bool) -> Result<()> {
        if !self.head || self.done || (data.is_empty() && !end) {
            return Ok(());
        }
        // back-pressure: the client's windows, and how fast it reads; who takes nothing for too long is reset
        let room = poll_fn(|cx| self.frames.lock().poll_room(self.stream, cx));
        room.await.map_err(gone)?;
        self.done = end;
        let sent = self.frames.lock().send(self.stream, data, end, uptime());
        sent.map_err(gone)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn end(&mut self, trailers: Option<HeaderMap>) -> Result<()> {
        if !self.head || std::mem::replace(&mut self.done, true) {
            return Ok(());
        }
        let mut frames = self.frames.lock();
        let ended = match trailers {
            Some(trailers) => {
                let fields = trailers.iter();
                let fields = fields.filter(|(name, _)| !is_hop_by_hop(name.as_str()));
                let fields =
                    fields.map(|(name, value)| (name.as_str().into(), value.as_bytes().into()));
                frames.send_trailers(self.stream, fields.collect())
            }
            None => frames.send(self.stream, Bytes::new(), true, uptime()),
        };
        ended.map_err(gone)
    }

    fn abort(&mut self) {
        self.done = true;
        let mut frames = self.frames.lock();
        frames.reset(self.stream, Reason::INTERNAL_ERROR);
    }

    fn peer(&self) -> &SocketAddr {
        &self.addrs.0
    }

    fn local(&self) -> &SocketAddr {
        &self.addrs.1
    }

    fn limit_body(&mut self, bytes_max: u64) {
        self.room = bytes_max;
    }
}
