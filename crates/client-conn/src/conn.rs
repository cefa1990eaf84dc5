//! An HTTP/1 connection: its stream, its buffers, and the state of the exchange that runs on it.

use crate::body::Body;
use crate::buffers::{self, BUFFER_BYTES};
use crate::clock::with_date;
use crate::conduct::Conduct;
use crate::exchange::{QuickBody, held};
use crate::framing::{Framing, Persistence, framing, write_head};
use crate::io::Io;
use crate::limits::ConnLimits;
use crate::wire::Wire;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_core::protocols::l4::socket::SocketAddr;
use std::future::Future as _;
use std::io::{self, IoSlice, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Room for a read of a request's body.
const BODY_READ_BYTES: usize = 32 * 1024;
/// A client may send this far ahead (pipelining) while its answer is made.
const READ_AHEAD_MAX: usize = 64 * 1024;
/// Shorter bodies are copied behind their head, so that both go out in one plain write.
const COPY_BYTES_MAX: usize = 16 * 1024;
/// A body in so many parts, and its head, are written without memory being asked for.
const PARTS_ON_STACK: usize = 16;
/// Answers to pipelined requests are gathered up to here.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Conn {
    pub(crate) io: Io,
    /// Read, not yet consumed; pipelined requests wait here.
    pub(crate) input: BytesMut,
    /// To be written before anything else.
    pub(crate) output: BytesMut,
    peer: SocketAddr,
    local: SocketAddr,
    pub(crate) limits: Arc<ConnLimits>,
    pub(crate) eof: bool,
    pub(crate) conduct: Conduct,
    write_timeout: Option<Duration>,
    // of this exchange:
    pub(crate) body: Body,
    body_room: u64,
    expects_continue: bool,
    head_request: bool,
    http10: bool,
    pub(crate) keep: bool,
    /// Set once the final head is written.
    out: Option<Framing>,
    left: u64,
    pub(crate) complete: bool,
    /// A write is under way. If it was dropped midway nothing may follow.
    pub(crate) writing: bool,
}

/// What an exchange has to know of its head.
pub(crate) struct Begin {
    pub(crate) body: Body,
    pub(crate) expects_continue: bool,
    pub(crate) head_request: bool,
    pub(crate) http10: bool,
    pub(crate) keep: bool,
}

impl Conn {
    pub(crate) fn new(
        io: Io,
        peer: std::net::SocketAddr,
        local: std::net::SocketAddr,
        limits: Arc<ConnLimits>,
        conduct: Conduct,
    ) -> Box<Self> {
        Box::new(Self {
            io,
            input: BytesMut::new(),
            output: BytesMut::new(),
            peer: SocketAddr::Inet(peer),
            local: SocketAddr::Inet(local),
            limits,
            eof: false,
            conduct,
            write_timeout: None,
            body: Body::Done,
            body_room: u64::MAX,
            expects_continue: false,
            head_request: false,
            http10: false,
            keep: true,
            out: None,
            left: 0,
            complete: false,
            writing: false,
        })
    }

    pub(crate) fn begin(&mut self, begin: &Begin) {
        self.body = begin.body;
        self.expects_continue = begin.expects_continue;
        self.head_request = begin.head_request;
        self.http10 = begin.http10;
        self.keep = begin.keep;
        self.body_room = u64::MAX;
        (self.out, self.left, self.complete, self.write_timeout) = (None, 0, false, None);
    }

    /// Reads more. Cancel-safe.
    pub(crate) async fn fill(&mut self, room: usize) -> io::Result<usize> {
        if self.input.capacity() - self.input.len() < room / 2 {
            self.input.reserve(room);
        }
        let n = match self.io.read_buf(&mut self.input).await {
            Ok(n) => n,
            Err(error) => {
                self.conduct.failed(&error);
                return Err(error);
            }
        };
        self.eof |= n == 0;
        Ok(n)
    }

    /// Reads what is there into the room that there is.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { io, input, .. } = self;
        // cancel-safe: dropped while pending it has read nothing
        let read = ready!(pin!(io.read_buf(input)).poll(cx));
        match &read {
            Ok(n) => self.eof |= *n == 0,
            Err(error) => self.conduct.failed(error),
        }
        Poll::Ready(read)
    }

    /// Writes what waits. Cancel-safe: what was written is gone from the buffer.
    pub(crate) async fn flush_output(&mut self) -> io::Result<()> {
        if self.output.is_empty() && !matches!(self.io, Io::Tls(_)) {
            return Ok(());
        }
        if let Io::Tcp(tcp) = &self.io {
            // mostly the socket takes all of it; if not, the loop below says what becomes of it
            match tcp.try_write(&self.output) {
                Ok(n) if n == self.output.len() => {
                    self.output.clear();
                    return Ok(());
                }
                Ok(n) => self.output.advance(n),
                Err(_) => {}
            }
        }
        let timeout = self.limits.write_idle_timeout;
        while !self.output.is_empty() {
            let write = pingora_timeout::timeout(timeout, self.io.write(&self.output)).await;
            let n = self.judge_write(write)?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output.advance(n);
        }
        self.flush_io(timeout).await
    }

    /// Sends what the stream below still holds, in this time.
    async fn flush_io(&mut self, timeout: Duration) -> io::Result<()> {
        let flush = pingora_timeout::timeout(timeout, self.io.flush()).await;
        self.judge_write(flush.map(|flushed| flushed.map(|()| 0)))
            .map(|_| ())
    }

    /// What a write came to, which had its time.
    fn judge_write<E>(&mut self, write: Result<io::Result<usize>, E>) -> io::Result<usize> {
        match write {
            Ok(Ok(n)) => Ok(n),
            Ok(Err(error)) => {
                self.conduct.failed(&error);
                Err(error)
            }
            Err(_) => {
                self.conduct.takes_nothing();
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    /// Writes what waits and then `parts`, in as few writes as the socket allows. A client that takes nothing for the
    /// write timeout loses the connection.
    pub(crate) async fn write_now(&mut self, parts: &[&[u8]]) -> Result<()> {
        if std::mem::replace(&mut self.writing, true) {
            return Error::e_explain(ErrorType::WriteError, "an earlier write was dropped");
        }
        let idle = self.limits.write_idle_timeout;
        let idle = self.write_timeout.map_or(idle, |t| t.min(idle));
        let waiting = std::mem::take(&mut self.output);
        let all = std::iter::once(&waiting[..]).chain(parts.iter().copied());
        let (mut few, mut many) = ([IoSlice::new(&[]); PARTS_ON_STACK], Vec::new());
        let mut rest = if parts.len() < PARTS_ON_STACK {
            for (slice, part) in few.iter_mut().zip(all) {
                *slice = IoSlice::new(part);
            }
            &mut few[..=parts.len()]
        } else {
            many.extend(all.map(IoSlice::new));
            &mut many[..]
        };
        IoSlice::advance_slices(&mut rest, 0);
        if let Io::Tcp(tcp) = &self.io {
            // mostly the socket takes all of it; if not, the loop below says what becomes of it
            let written = match &*rest {
                [one] => tcp.try_write(one),
                parts => tcp.try_write_vectored(parts),
            };
            IoSlice::advance_slices(&mut rest, written.unwrap_or(0));
        }
        while !rest.is_empty() {
            let write = pingora_timeout::timeout(idle, self.io.write_vectored(rest)).await;
            let n = self.judge_write(write).map_err(|error| {
                let kind = match error.kind() {
                    io::ErrorKind::TimedOut => ErrorType::WriteTimedout,
                    _ => ErrorType::WriteError,
                };
                Error::because(kind, "client", error)
            })?;
            if n == 0 {
                return Error::e_explain(ErrorType::WriteError, "client");
            }
            IoSlice::advance_slices(&mut rest, n);
        }
        if let Io::Tls(_) = self.io {
            self.flush_io(idle)
                .await
                .or_err(ErrorType::WriteError, "client")?;
        }
        self.writing = false;
        self.output = waiting;
        self.output.clear();
        Ok(())
    }

    /// The body of a quick answer, whose head waits to be written. What is short waits as well, for the next request that is
    /// there already. `None`: the connection has ended.
    pub(crate) async fn body_behind(&mut self, body: QuickBody) -> Option<()> {
        if let Some(data) = body.short() {
            self.output.put_slice(data);
        } else {
            match &body {
                QuickBody::None => {}
                QuickBody::Held(holder, bytes) => {
                    self.write_now(&[held(&**holder, bytes)]).await.ok()?;
                }
                QuickBody::Many(parts) => {
                    let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
                    self.write_now(&parts).await.ok()?;
                }
            }
        }
        if self.output.len() > GATHERED_BYTES_MAX {
            self.flush_output().await.ok()?;
        }
        Some(())
    }

    /// Ends the connection because its client wants that. One that keeps to its word sends nothing more (RFC 9112 §9.6):
    /// its answer cannot be lost to a reset, and nothing is waited for.
    pub(crate) async fn close_as_asked(mut self: Box<Self>) {
        match self.io {
            // closed when it is dropped, with what was written
            Io::Tcp(_) if self.input.is_empty() => {
                let _ = self.flush_output().await;
            }
            _ => self.close().await,
        }
    }

    /// Ends the connection so that the last answer is not lost to a reset: what the client still sends is read for a while.
    pub(crate) async fn close(mut self: Box<Self>) {
        if self.flush_output().await.is_err() {
            return;
        }
        let idle = self.limits.write_idle_timeout;
        let shut_down = pingora_timeout::timeout(idle, self.io.shutdown()).await;
        if !matches!(shut_down, Ok(Ok(()))) {
            return;
        }
        self.conduct.ends();
        let linger = self.limits.linger;
        let drain = async {
            let mut seen = 0;
            while !self.eof && seen < READ_AHEAD_MAX {
                self.input.clear();
                seen += self.fill(BUFFER_BYTES).await.unwrap_or(READ_AHEAD_MAX);
            }
        };
        // the bound is the promise; whether it ran out makes no difference
        let _ = pingora_timeout::timeout(linger, drain).await;
    }

    /// Ends the connection so that the client sees that something is missing.
    pub(crate) fn reset(self: Box<Self>) {
        self.io.reset_on_close();
    }

    /// What remains to be done after an exchange. `None`: the connection has ended.
    pub(crate) async fn after_exchange(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.upgraded() {
            self.close().await;
            return None;
        }
        if !self.complete || self.writing {
            // what was written before goes out as far as it goes at once
            if !self.writing {
                let _ = self.flush_output().await;
            }
            self.reset();
            return None;
        }
        self.flush_output().await.ok()?;
        if self.keep && self.body != Body::Done && !self.expects_continue {
            let linger = self.limits.linger;
            let drain = async {
                let mut seen = 0;
                while let Ok(Some(data)) = self.read().await {
                    seen += data.len();
                    if seen > READ_AHEAD_MAX {
                        break;
                    }
                }
            };
            let _ = pingora_timeout::timeout(linger, drain).await;
        }
        if !self.keep || self.body != Body::Done {
            self.close().await;
            return None;
        }
        Some(self)
    }

    pub(crate) fn give_buffers(&mut self) {
        buffers::give(&mut self.input);
        buffers::give(&mut self.output);
    }

    pub(crate) fn take_input(&mut self) {
        self.input = buffers::take();
    }

    pub(crate) fn take_output(&mut self) {
        self.output = buffers::take();
    }
}

impl Wire for Box<Conn> {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        loop {
            let conn = &mut **self;
            match conn.body.take(&mut conn.input) {
                Ok(Some(data)) => {
                    let len = data.len() as u64;
                    if len > conn.body_room {
                        conn.keep = false;
                        return Error::e_explain(
                            ErrorType::HTTPStatus(413),
                            "the request body is too long",
                        );
                    }
                    conn.body_room -= len;
                    return Ok(Some(data));
                }
                Ok(None) if conn.body == Body::Done => return Ok(None),
                Ok(None) => {}
                Err(reason) => {
                    conn.keep = false;
                    return Error::e_explain(ErrorType::HTTPStatus(400), reason);
                }
            }
            if conn.eof {
                if conn.body == Body::Raw {
                    conn.body = Body::Done;
                    return Ok(None);
                }
                conn.keep = false;
                return Error::e_explain(
                    ErrorType::HTTPStatus(400),
                    "the request body is cut short",
                );
            }
            if std::mem::take(&mut conn.expects_continue) && conn.out.is_none() {
                conn.output.put_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            if conn.out.is_none() {
                conn.flush_output()
                    .await
                    .or_err(ErrorType::WriteError, "100 Continue")?;
            }
            if conn.body == Body::Raw {
                conn.fill(BODY_READ_BYTES)
                    .await
                    .or_err(ErrorType::ReadError, "tunnel")?;
                continue;
            }
            let idle = conn.limits.body_idle_timeout;
            match pingora_timeout::timeout(idle, conn.fill(BODY_READ_BYTES)).await {
                Ok(read) => {
                    read.or_err(ErrorType::ReadError, "request body")?;
                }
                Err(_) => {
                    conn.keep = false;
                    return Error::e_explain(
                        ErrorType::HTTPStatus(408),
                        "the request body is too slow",
                    );
                }
            }
        }
    }

    /// A FIN alone is a half-close and not the end: the client may still want its answer.
    async fn idle(&mut self) -> Result<()> {
        while !self.eof && self.input.len() < READ_AHEAD_MAX {
            self.fill(BUFFER_BYTES)
                .await
                .or_err(ErrorType::ConnectionClosed, "idle")?;
        }
        if self.eof {
            self.io.broken().await;
        } else {
            // more than may wait here: it stays in the socket, and the end is seen with the next write
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn body_done(&mut self) -> bool {
        self.body == Body::Done
    }

    async fn head(&mut self, response: &ResponseHeader, end: bool) -> Result<()> {
        let framing = framing(response, self.head_request, self.http10);
        if response.status.is_informational() && response.status != 101 {
            // HTTP/1.0 knows no interim answers
            if self.http10 || self.out.is_some() {
                return Ok(());
            }
            write_head(
                &mut self.output,
                response,
                framing,
                Persistence::Implied,
                "",
            );
            return self.flush().await;
        }
        self.keep &=
            framing != Framing::Close && !(self.expects_continue && self.body != Body::Done);
        let persistence = match (self.keep, self.http10) {
            (false, _) => Persistence::Close,
            (true, true) => Persistence::KeepAlive,
            (true, false) => Persistence::Implied,
        };
        with_date(|_, date| write_head(&mut self.output, response, framing, persistence, date));
        self.out = Some(framing);
        if let Framing::Length(length) = framing {
            self.left = length;
        }
        self.complete = matches!(framing, Framing::None | Framing::Length(0));
        if framing == Framing::Raw {
            self.body = Body::Raw;
            return self.flush().await;
        }
        if end {
            self.end(None).await?;
            self.flush().await?;
        }
        Ok(())
    }

    async fn data(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        let chunked = match self.out {
            None => return Error::e_explain(ErrorType::InternalError, "body before head"),
            Some(Framing::None) => return Ok(()),
            Some(Framing::Length(_)) => {
                // never more than the head said: it would be taken for the next answer
                data.truncate(self.left.min(usize::MAX as u64) as usize);
                self.left -= data.len() as u64;
                false
            }
            Some(Framing::Chunked) => !data.is_empty(),
            Some(Framing::Raw | Framing::Close) => false,
        };
        if chunked {
            // writing to memory does not fail
            let _ = write!((&mut self.output).writer(), "{:x}\r\n", data.len());
        }
        let behind: &[u8] = if chunked { b"\r\n" } else { b"" };
        if self.output.len() + data.len() <= COPY_BYTES_MAX {
            self.output.put_slice(&data);
            self.output.put_slice(behind);
        } else {
            self.write_now(&[&data, behind]).await?;
        }
        if end { self.end(None).await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        if self.output.is_empty() {
            Ok(())
        } else {
            self.write_now(&[]).await
        }
    }

    async fn push(&mut self) -> Result<()> {
        let pushed = self.flush_output().await;
        pushed.or_err(ErrorType::WriteError, "client")
    }

    async fn end(&mut self, _trailers: Option<HeaderMap>) -> Result<()> {
        match self.out {
            Some(Framing::Length(_)) if self.left > 0 => {
                self.abort();
                return Error::e_explain(
                    ErrorType::WriteError,
                    "the response is shorter than its length",
                );
            }
            Some(Framing::Chunked) if !self.complete => self.output.put_slice(b"0\r\n\r\n"),
            // else pingora waits for the client's side of the tunnel
            Some(Framing::Raw) => self.body = Body::Done,
            None => return Ok(()),
            Some(_) => {}
        }
        self.complete = true;
        Ok(())
    }

    fn abort(&mut self) {
        self.complete = false;
        self.keep = false;
    }

    fn peer(&self) -> &SocketAddr {
        &self.peer
    }

    fn local(&self) -> &SocketAddr {
        &self.local
    }

    fn upgraded(&self) -> bool {
        self.out == Some(Framing::Raw)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
    }

    fn limit_body(&mut self, bytes_max: u64) {
        self.body_room = bytes_max;
    }
}
