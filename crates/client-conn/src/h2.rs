//! The loop of an HTTP/2 connection: a plain hit is answered by it at once, any other request is an exchange of its own.
//!
//! Answers to all requests that have come go out in one write, over TLS in as few records.

mod deadline;
mod request;
mod wire;

use self::deadline::Deadline;
use self::request::{Step, step};
use self::wire::H2Wire;
use crate::ShutdownWatch;
use crate::answer::error_head;
use crate::buffers::{self, BUFFER_BYTES};
use crate::clock::{uptime, with_date};
use crate::conn::Conn;
use crate::exchange::{Exchange, Handler};
use crate::idle::IdleWatch;
use crate::info::{ConnInfo, Protocol};
use crate::limits::FIELDS_MAX;
use crate::session::Slot;
use parking_lot::Mutex;
use pingora_core::protocols::l4::socket::SocketAddr;
use seawall_http2::{Asked, Body, Connection, Fatal, Limits, Reason};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite as _;

/// Response bytes that wait for one stream's windows before its exchange does.
const STREAM_SEND_BYTES_MAX: usize = 256 * 1024;
/// Receive windows: of a stream, and of the connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Requests that are answered before the other connections of this thread have their turn.
const TURN_MAX: u32 = 64;
/// Pieces of one write.
const PIECES_MAX: usize = 32;

/// A connection, and what its tasks share with it.
type Frames = Arc<Mutex<Connection>>;

/// When it is dropped, however the connection came to its end, every task hears of that.
struct Cut(Frames);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.lock().cut_all(Reason::CANCEL);
    }
}

/// How a connection ends.
enum End {
    /// What is ready is written; the client is given the time to read it.
    Whole,
    /// The client is gone, or takes nothing.
    Lost,
}

const IDLE: Fatal = Fatal {
    reason: Reason::NO_ERROR,
    text: "idle",
};
const SLOW: Fatal = Fatal {
    reason: Reason::NO_ERROR,
    text: "the request head is too slow",
};

/// Why something has to happen soon.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    /// The client does not read.
    Write,
    /// It does not go on with what it has begun.
    Head,
    /// It was told of the end, and says nothing.
    Goodbye,
    /// It does not open its windows.
    Window,
}

struct Run<H: Handler> {
    conn: Box<Conn>,
    frames: Frames,
    handler: Arc<H>,
    info: Arc<ConnInfo>,
    stop: ShutdownWatch,
    addrs: Arc<(SocketAddr, SocketAddr)>,
    idle: IdleWatch,
    deadline: Deadline,
    /// What is being waited for, and since when.
    late: Option<(Late, Duration)>,
    /// Something was given to the stream below and may not have left it.
    unflushed: bool,
}

/// Runs a connection whose first bytes are HTTP/2's.
pub(crate) async fn serve<H: Handler>(
    conn: Box<Conn>,
    handler: Arc<H>,
    info: Arc<ConnInfo>,
    stop: ShutdownWatch,
) -> Option<()> {
    let limits = &conn.limits;
    let frames = Connection::new(Limits {
        streams_max: limits.h2_streams_max,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        head_bytes_max: limits.head_bytes_max,
        fields_max: FIELDS_MAX,
        stream_send_bytes_max: STREAM_SEND_BYTES_MAX,
    });
    let mut run = Run {
        addrs: Arc::new((SocketAddr::Inet(info.peer), SocketAddr::Inet(info.local))),
        idle: IdleWatch::new(stop.clone(), limits.idle_timeout),
        conn,
        frames: Arc::new(Mutex::new(frames)),
        handler,
        info: Arc::new(ConnInfo {
            protocol: Protocol::Http2,
            ..(*info).clone()
        }),
        stop,
        deadline: Deadline::default(),
        late: None,
        unflushed: false,
    };
    run.idle.begin();
    let cut = Cut(run.frames.clone());
    let end = poll_fn(|cx| run.poll(cx)).await;
    drop(cut);
    match end {
        End::Whole => {
            run.conn.output.clear();
            run.conn.close().await;
        }
        End::Lost => {}
    }
    None
}

impl<H: Handler> Run<H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let shared = self.frames.clone();
        let frames = &mut *shared.lock();
        let mut turn = 0;
        if self.conn.output.capacity() == 0 {
            self.conn.take_output();
        }
        loop {
            let has_more = self.take_requests(frames, &mut turn);
            match self.poll_write(frames, cx) {
                Poll::Ready(Ok(())) if frames.is_over() => return Poll::Ready(End::Whole),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.conn.conduct.failed(&error);
                    return Poll::Ready(End::Lost);
                }
                // nothing is read from a client that does not read
                Poll::Pending => match ready!(self.poll_wait(frames, cx, Some(Late::Write))) {
                    Some(end) => return Poll::Ready(end),
                    None => continue,
                },
            }
            if turn >= TURN_MAX {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if has_more {
                continue;
            }
            // a read counts too: who sends frames that are no requests keeps nobody waiting
            turn += 1;
            self.make_room();
            match self.conn.poll_fill(cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(End::Lost),
                Poll::Pending => {
                    if let Some(end) = ready!(self.poll_wait(frames, cx, None)) {
                        return Poll::Ready(end);
                    }
                }
            }
        }
    }

    /// Room for the next read.
    fn make_room(&mut self) {
        let input = &mut self.conn.input;
        if input.capacity() == 0 {
            *input = buffers::take();
        } else if input.capacity() - input.len() < BUFFER_BYTES / 2 {
            input.reserve(BUFFER_BYTES);
        }
    }

    /// Answers what has come, or gives it to tasks. True: there is more, and no room or no time for it now.
    fn take_requests(&mut self, frames: &mut Connection, turn: &mut u32) -> bool {
        if self.conn.input.is_empty() {
            return false;
        }
        if frames.out.buffer().capacity() == 0 {
            *frames.out.buffer() = buffers::take();
        }
        while *turn < TURN_MAX && frames.has_room() {
            match frames.receive(&mut self.conn.input) {
                Ok(Some(asked)) => {
                    *turn += 1;
                    self.idle.begin();
                    if self.late.is_some_and(|(late, _)| late == Late::Head) {
                        self.late = None;
                    }
                    self.request(frames, asked);
                }
                Ok(None) => return false,
                Err(fatal) => {
                    self.handler.rejected(&self.info, 400, fatal.text);
                    frames.fail(fatal);
                    return false;
                }
            }
        }
        true
    }

    /// Answers the request whose head was read last.
    fn request(&mut self, frames: &mut Connection, asked: Asked) {
        let output = &mut self.conn.output;
        output.clear();
        let limits = &self.conn.limits;
        let handler = &*self.handler;
        match step(
            &frames.head,
            asked.ended(),
            handler,
            &self.info,
            limits,
            output,
        ) {
            Step::Quick(status, body) => {
                let (fields, now) = (request::lines(output), uptime());
                if let Some(data) = body.short() {
                    frames.answer(asked, status, fields, Body::Copied(data), now);
                } else {
                    let parts = Body::Parts(body.into_parts());
                    frames.answer(asked, status, fields, parts, now);
                }
            }
            Step::Refused(status, reason) => {
                handler.rejected(&self.info, status, reason);
                let (head, body) = error_head(status, reason);
                let has_body = frames.head.method() != "HEAD";
                let body = if has_body { &body[..] } else { &[] };
                with_date(|_, date| {
                    let fields = head.headers.iter();
                    let fields =
                        fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
                    let fields = fields.chain([(&b"date"[..], date.as_bytes())]);
                    frames.answer(asked, status, fields, Body::Copied(body), uptime());
                });
            }
            Step::Malformed(reason) => {
                handler.rejected(&self.info, 400, reason);
                frames.reject(asked, Reason::PROTOCOL_ERROR);
            }
            Step::Exchange(request, expects_continue) => {
                let wire = H2Wire::new(
                    self.frames.clone(),
                    frames.hold(asked),
                    &request.method,
                    expects_continue,
                    &self.conn.limits,
                    self.addrs.clone(),
                );
                let slot: Slot<H2Wire> = Slot::default();
                let (info, stop) = (self.info.clone(), self.stop.clone());
                let exchange = Exchange::new(request, info, false, stop, wire, slot.clone());
                let handler = self.handler.clone();
                tokio::spawn(async move {
                    handler.exchange(exchange).await;
                    let left = slot.lock().take();
                    if let Some(wire) = left {
                        wire.finish();
                    }
                });
            }
        }
    }

    /// Writes what is ready, and what becomes ready by that.
    fn poll_write(
        &mut self,
        frames: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            frames.pump(uptime());
            if frames.out.is_empty() {
                break;
            }
            let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
            let filled = frames.out.slices(&mut pieces);
            let io = Pin::new(&mut self.conn.io);
            let n = ready!(match &pieces[..filled] {
                [one] => io.poll_write(cx, one),
                pieces => io.poll_write_vectored(cx, pieces),
            })?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            frames.out.advance(n);
            self.unflushed = true;
            if self.late.is_some_and(|(late, _)| late == Late::Write) {
                self.late = None;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.conn.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing can be done now. Ready with an end: it is too late; ready without: something can be done again.
    fn poll_wait(
        &mut self,
        frames: &mut Connection,
        cx: &mut Context<'_>,
        late: Option<Late>,
    ) -> Poll<Option<End>> {
        frames.driven_by(cx.waker());
        let begun = frames.is_midway() || !self.conn.input.is_empty() && frames.is_idle();
        let late = late.or_else(|| match () {
            () if begun => Some(Late::Head),
            () if frames.says_goodbye() => Some(Late::Goodbye),
            () if frames.waits_since().is_some() => Some(Late::Window),
            () => None,
        });
        if !frames.is_idle() {
            self.idle.begin();
        }
        while self.idle.poll_over(cx).is_ready() {
            if self.idle.takes_stop() {
                frames.shut_down();
                return Poll::Ready(None);
            }
            if late.is_none() && frames.is_idle() {
                frames.fail(IDLE);
                return Poll::Ready(None);
            }
            self.idle.begin();
        }
        if let Some(late) = late {
            ready!(self.poll_late(frames, cx, late));
            return Poll::Ready(self.is_late(frames, late));
        }
        self.late = None;
        // an idle connection has no buffers
        if self.conn.input.is_empty() {
            buffers::give(&mut self.conn.input);
        }
        buffers::give(&mut self.conn.output);
        if frames.out.is_empty() {
            buffers::give(frames.out.buffer());
        }
        Poll::Pending
    }

    /// Ready: what is waited for has not happened in its time.
    fn poll_late(&mut self, frames: &Connection, cx: &mut Context<'_>, late: Late) -> Poll<()> {
        let now = uptime();
        let since = match (late, self.late) {
            (Late::Window, _) => frames.waits_since().unwrap_or(now),
            (late, Some((same, since))) if late == same => since,
            _ => now,
        };
        self.late = Some((late, since));
        let limits = &self.conn.limits;
        let limit = match late {
            Late::Write | Late::Window => limits.write_idle_timeout,
            Late::Head => limits.head_timeout,
            Late::Goodbye => limits.linger,
        };
        self.deadline.poll(since + limit, now, cx)
    }

    fn is_late(&mut self, frames: &mut Connection, late: Late) -> Option<End> {
        self.late = None;
        match late {
            Late::Write => {
                self.conn.conduct.takes_nothing();
                self.conn.io.reset_on_close();
                return Some(End::Lost);
            }
            Late::Window => {
                self.conn.conduct.takes_nothing();
                let since = uptime().saturating_sub(self.conn.limits.write_idle_timeout);
                frames.reset_stalled(since);
            }
            Late::Head => {
                self.handler.rejected(&self.info, 408, SLOW.text);
                frames.fail(SLOW);
            }
            Late::Goodbye => frames.end_is_known(),
        }
        None
    }
}
