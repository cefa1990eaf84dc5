//! HTTP/2 over the h2 crate: a plain hit is answered by the connection's loop, any other stream is an exchange of its own.

mod gather;
mod hit;

use self::gather::gather;
use self::hit::Looked;
use crate::ShutdownWatch;
use crate::clock::with_date;
use crate::conn::Conn;
use crate::exchange::{Exchange, Handler};
use crate::framing::{Framing, framing, has_date, of_connection};
use crate::idle::IdleWatch;
use crate::info::{ConnInfo, Protocol, Scheme};
use crate::session::Slot;
use crate::target::{is_host, is_origin_form, same_host};
use crate::wire::Wire;
use bytes::Bytes;
use h2::server::SendResponse;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::l4::socket::SocketAddr;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Response bytes that wait inside h2 for one stream.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// Receive windows: of a stream, and of the connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that were reset and are still remembered: more means an attack (CVE-2023-44487).
const RESETS_MAX: usize = 64;

pub(crate) struct H2Wire {
    recv: h2::RecvStream,
    respond: SendResponse<Bytes>,
    send: Option<h2::SendStream<Bytes>>,
    head_request: bool,
    done: bool,
    room: u64,
    body_idle: Duration,
    write_idle: Duration,
    addrs: Arc<(SocketAddr, SocketAddr)>,
}

fn failed(error: h2::Error) -> Box<Error> {
    Error::because(ErrorType::H2Error, "client stream", error)
}

impl Wire for H2Wire {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        let data = pingora_timeout::timeout(self.body_idle, self.recv.data())
            .await
            .map_err(|_| {
                Error::explain(ErrorType::HTTPStatus(408), "the request body is too slow")
            })?;
        let Some(data) = data.transpose().map_err(failed)? else {
            return Ok(None);
        };
        // the window opens again; a stream that is gone needs none
        let _ = self.recv.flow_control().release_capacity(data.len());
        let len = data.len() as u64;
        if len > self.room {
            return Error::e_explain(ErrorType::HTTPStatus(413), "the request body is too long");
        }
        self.room -= len;
        Ok(Some(data))
    }

    async fn idle(&mut self) -> Result<()> {
        let reset = poll_fn(|cx| match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        });
        reset.await.map_err(failed)?;
        Ok(())
    }

    fn body_done(&mut self) -> bool {
        self.recv.is_end_stream()
    }

    async fn head(&mut self, response: &ResponseHeader, end: bool) -> Result<()> {
        let mut out = http::Response::new(());
        *out.status_mut() = response.status;
        let of_connection = of_connection(response);
        let fields = response
            .headers
            .iter()
            .filter(|(name, _)| !of_connection(name));
        out.headers_mut()
            .extend(fields.map(|(name, value)| (name.clone(), value.clone())));
        if response.status == 101 {
            return Error::e_explain(ErrorType::InternalError, "HTTP/2 has no 101");
        }
        if response.status.is_informational() {
            return self.respond.send_informational(out).map_err(failed);
        }
        if self.send.is_some() {
            return Ok(());
        }
        if !has_date(response) {
            with_date(|_, date| {
                if let Ok(date) = date.parse() {
                    out.headers_mut().insert(header::DATE, date);
                }
            });
        }
        self.done = end || framing(response, self.head_request, false) == Framing::None;
        self.send = Some(self.respond.send_response(out, self.done).map_err(failed)?);
        Ok(())
    }

    async fn data(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        let write_idle = self.write_idle;
        let (Some(send), false) = (self.send.as_mut(), self.done) else {
            return Ok(());
        };
        let ends_with_data = end && !data.is_empty();
        while !data.is_empty() {
            send.reserve_capacity(data.len().min(SEND_BUFFER_BYTES));
            // back-pressure: the client's windows
            let capacity =
                pingora_timeout::timeout(write_idle, poll_fn(|cx| send.poll_capacity(cx)))
                    .await
                    .map_err(|_| Error::explain(ErrorType::WriteTimedout, "client stream"))?;
            let Some(capacity) = capacity else {
                return Error::e_explain(ErrorType::WriteError, "the stream was reset");
            };
            let part = data.split_to(capacity.map_err(failed)?.min(data.len()));
            send.send_data(part, end && data.is_empty())
                .map_err(failed)?;
        }
        // an answer may end with an empty write: END_STREAM must still go out
        if end && !ends_with_data {
            send.send_data(Bytes::new(), true).map_err(failed)?;
        }
        self.done = end;
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn end(&mut self, trailers: Option<HeaderMap>) -> Result<()> {
        let (Some(send), false) = (self.send.as_mut(), std::mem::replace(&mut self.done, true))
        else {
            return Ok(());
        };
        match trailers {
            Some(trailers) => send.send_trailers(trailers),
            None => send.send_data(Bytes::new(), true),
        }
        .map_err(failed)
    }

    fn abort(&mut self) {
        self.done = true;
        match &mut self.send {
            Some(send) => send.send_reset(h2::Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(h2::Reason::INTERNAL_ERROR),
        }
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

impl H2Wire {
    /// Sends a body behind its head.
    async fn parts(&mut self, parts: Vec<Bytes>) -> Result<()> {
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            self.data(part, index == last).await?;
        }
        Ok(())
    }
}

/// Runs a connection whose first bytes are HTTP/2's.
pub(crate) async fn serve<H: Handler>(
    conn: Box<Conn>,
    handler: Arc<H>,
    info: Arc<ConnInfo>,
    stop: ShutdownWatch,
) -> Option<()> {
    let Conn {
        io, input, limits, ..
    } = *conn;
    let info = Arc::new(ConnInfo {
        protocol: Protocol::Http2,
        ..(*info).clone()
    });
    let addrs = Arc::new((SocketAddr::Inet(info.peer), SocketAddr::Inet(info.local)));
    let (io, flush) = gather(io, input.freeze());
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(limits.head_bytes_max as u32)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(RESETS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .handshake::<_, Bytes>(io);
    let mut conn = pingora_timeout::timeout(limits.head_timeout, handshake)
        .await
        .ok()?
        .ok()?;
    flush.holds();
    let mut closing = false;
    let mut idle = IdleWatch::new(stop.clone(), limits.idle_timeout);
    // streams at work: while there are any the connection is not idle
    let work = Arc::new(());
    let is_working = || Arc::strong_count(&work) > 1;
    loop {
        idle.begin();
        let next = poll_fn(|cx| {
            if let Poll::Ready(next) = conn.poll_accept(cx) {
                return Poll::Ready(Some(next));
            }
            // an error ends the next read too
            let _ = flush.poll(cx);
            idle.poll_over(cx).map(|()| None)
        });
        let (request, mut respond) = match next.await {
            Some(Some(Ok(stream))) => stream,
            Some(Some(Err(_)) | None) => return None,
            None if idle.takes_stop() || !(closing || is_working()) => {
                conn.graceful_shutdown();
                closing = true;
                continue;
            }
            None if is_working() => continue,
            None => return None,
        };
        let (parts, recv) = request.into_parts();
        let Some(request) = origin_form(parts, info.scheme == Scheme::Https) else {
            handler.rejected(&info, 400, "malformed HTTP/2 request");
            respond.send_reset(h2::Reason::PROTOCOL_ERROR);
            continue;
        };
        let wire = H2Wire {
            head_request: request.method == Method::HEAD,
            recv,
            respond,
            send: None,
            done: false,
            room: u64::MAX,
            body_idle: limits.body_idle_timeout,
            write_idle: limits.write_idle_timeout,
            addrs: addrs.clone(),
        };
        let wire = match hit::answer(wire, &request, &*handler, &info) {
            Looked::Answered => continue,
            Looked::Sends(mut wire, parts) => {
                let working = work.clone();
                tokio::spawn(async move {
                    if wire.parts(parts).await.is_err() {
                        wire.abort();
                    }
                    drop(working);
                });
                continue;
            }
            Looked::Exchange(wire) => wire,
        };
        let slot: Slot<H2Wire> = Slot::default();
        let exchange = Exchange::new(
            Box::new(request),
            info.clone(),
            false,
            stop.clone(),
            wire,
            slot.clone(),
        );
        let (handler, working) = (handler.clone(), work.clone());
        tokio::spawn(async move {
            handler.exchange(exchange).await;
            let left = slot.lock().take();
            if let Some(mut wire) = left.filter(|wire| !wire.done) {
                wire.abort();
            }
            drop(working);
        });
    }
}

/// Reconciles authority and Host, and turns the target into origin form. `None`: malformed, or two hosts.
fn origin_form(mut request: Parts, https: bool) -> Option<Parts> {
    let authority = request.uri.authority().map(|a| a.as_str().to_owned());
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|v| v.as_bytes().to_vec());
    if hosts.next().is_some() || request.method == Method::CONNECT {
        return None;
    }
    match (&authority, &host) {
        (Some(authority), Some(host)) if !same_host(authority.as_bytes(), host, https) => {
            return None;
        }
        (None, None) => return None,
        _ => {}
    }
    if let Some(authority) = authority {
        let host = HeaderValue::try_from(authority).ok()?;
        request.headers.insert(header::HOST, host);
    }
    if !is_host(request.headers.get(header::HOST)?.as_bytes()) {
        return None;
    }
    join_cookies(&mut request)?;
    let target = request.uri.path_and_query().cloned();
    let target = target.unwrap_or(http::uri::PathAndQuery::from_static("/"));
    if target.as_str() != "*" && !is_origin_form(target.as_str()) {
        return None;
    }
    request.uri = http::Uri::from(target);
    Some(request)
}

/// Cookies that came in several fields are one field again: what is not HTTP/2 knows one alone (RFC 9113 §8.2.3).
fn join_cookies(request: &mut Parts) -> Option<()> {
    let crumbs: Vec<&[u8]> = request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1 {
        let whole = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).ok()?;
        request.headers.insert(header::COOKIE, whole);
    }
    Some(())
}
