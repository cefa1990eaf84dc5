//! The loop of an HTTP/1 connection: heads one after the other, answered in order.

use crate::ShutdownWatch;
use crate::answer::error_head;
use crate::body::Body;
use crate::buffers::BUFFER_BYTES;
use crate::clock::with_date;
use crate::conn::{Begin, Conn};
use crate::exchange::{Exchange, Handler, QuickBody};
use crate::framing::{Framing, Persistence, write_head};
use crate::head::{Parsed, RequestHead, to_request, with_head};
use crate::idle::IdleWatch;
use crate::info::{ConnInfo, Scheme};
use crate::io::Io;
use crate::session::Slot;
use bytes::{Buf as _, BufMut as _, BytesMut};
use http::request::Parts;
use seawall_http2::PREFACE;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// What the connection does next, decided while the head is borrowed.
enum Step {
    Quick(QuickBody, usize, bool),
    Exchange(Option<Box<Parts>>, usize, bool, Begin),
}

/// Requests of one pipeline that are answered before the other connections of this thread have their turn: whoever sends
/// without end keeps nobody waiting longer than others do.
const TURN_MAX: u32 = 16;

/// What was done on a connection before its loop began: see [`crate::first`].
#[derive(Default)]
pub(crate) struct Begun {
    /// Read, not yet consumed.
    pub(crate) input: BytesMut,
    /// To be written before anything else.
    pub(crate) output: BytesMut,
    /// The body of an answer whose head stands in `output`, and whether the connection is kept behind it.
    pub(crate) rest: Option<(QuickBody, bool)>,
}

/// Runs a connection until it ends. `None` throughout: it has.
pub(crate) async fn serve<H: Handler>(
    mut conn: Box<Conn>,
    handler: Arc<H>,
    info: Arc<ConnInfo>,
    stop: ShutdownWatch,
    begun: Begun,
) -> Option<()> {
    (conn.input, conn.output) = (begun.input, begun.output);
    if let Some((body, keep)) = begun.rest {
        conn.body_behind(body).await?;
        if !keep {
            conn.close_as_asked().await;
            return None;
        }
    }
    let slot: Slot<Box<Conn>> = Slot::default();
    let mut idle = IdleWatch::new(stop.clone(), conn.limits.idle_timeout);
    let https = info.scheme == Scheme::Https;
    let mut head_since: Option<Instant> = None;
    let mut first = true;
    // something stood behind the last request when it was answered
    let mut behind = false;
    let mut turn = 0;
    loop {
        if first
            && !conn.input.is_empty()
            && PREFACE.starts_with(&conn.input[..conn.input.len().min(PREFACE.len())])
        {
            if conn.input.len() >= PREFACE.len() {
                return Box::pin(crate::h2::serve(conn, handler, info, stop)).await;
            }
            // a beginning of it: wait for the rest
            conn = wait(conn, &handler, &info, &mut idle, &mut head_since).await?;
            continue;
        }
        if conn.input.is_empty() {
            conn = wait(conn, &handler, &info, &mut idle, &mut head_since).await?;
            continue;
        }
        let Conn {
            input,
            output,
            limits,
            ..
        } = &mut *conn;
        let parsed = with_head(input, https, limits, |head| {
            if head.looks.plain
                && let Some(body) = handler.quick(head, &info, output)
            {
                end_head(output, head);
                return Step::Quick(body, head.len, head.keep_alive);
            }
            let begin = Begin {
                body: head.body,
                expects_continue: head.expects_continue,
                head_request: head.method == "HEAD",
                http10: head.http10,
                keep: head.keep_alive,
            };
            Step::Exchange(
                to_request(head).map(Box::new),
                head.len,
                head.upgrade,
                begin,
            )
        });
        match parsed {
            Parsed::Refused(status, reason) => {
                return refuse(conn, &*handler, &info, status, reason).await;
            }
            Parsed::Partial => {
                conn = wait(conn, &handler, &info, &mut idle, &mut head_since).await?;
            }
            Parsed::Done(Step::Quick(body, len, keep)) => {
                (first, head_since) = (false, None);
                conn.input.advance(len);
                conn.conduct.asked(behind);
                behind = !conn.input.is_empty();
                conn.body_behind(body).await?;
                turn = if behind { turn + 1 } else { 0 };
                if turn == TURN_MAX {
                    turn = 0;
                    tokio::task::yield_now().await;
                }
                if !keep {
                    conn.close_as_asked().await;
                    return None;
                }
            }
            Parsed::Done(Step::Exchange(None, ..)) => {
                return refuse(conn, &*handler, &info, 400, "malformed request head").await;
            }
            Parsed::Done(Step::Exchange(Some(request), len, upgrade, begin)) => {
                (first, head_since) = (false, None);
                conn.flush_output().await.ok()?;
                conn.input.advance(len);
                conn.conduct.asked(behind);
                conn.begin(&begin);
                conn.keep &= !idle.is_stopping();
                let exchange = Exchange::new(
                    request,
                    info.clone(),
                    upgrade,
                    stop.clone(),
                    conn,
                    slot.clone(),
                );
                // in memory of its own: between exchanges, and for plain hits, a connection is small
                Box::pin(handler.clone().exchange(exchange)).await;
                conn = slot.lock().take()?;
                conn = conn.after_exchange().await?;
                behind = !conn.input.is_empty();
            }
        }
    }
}

/// Ends the head of a quick answer, and says what becomes of the connection.
pub(crate) fn end_head(output: &mut BytesMut, request: &RequestHead<'_>) {
    output.put_slice(match (request.keep_alive, request.http10) {
        (true, false) => b"\r\n",
        (true, true) => b"connection: keep-alive\r\n\r\n",
        (false, _) => b"connection: close\r\n\r\n",
    });
}

/// Waits for more of a head, or for a first byte.
async fn wait<H: Handler>(
    mut conn: Box<Conn>,
    handler: &Arc<H>,
    info: &Arc<ConnInfo>,
    idle: &mut IdleWatch,
    head_since: &mut Option<Instant>,
) -> Option<Box<Conn>> {
    conn.conduct.tell();
    conn.flush_output().await.ok()?;
    if conn.input.is_empty() {
        if conn.eof || idle.is_stopping() {
            conn.close().await;
            return None;
        }
        *head_since = None;
        return next(conn, idle).await;
    }
    if conn.eof {
        return refuse_some(conn, &**handler, info, 400, "the request is cut short").await;
    }
    let since = *head_since.get_or_insert_with(Instant::now);
    let left = conn.limits.head_timeout.saturating_sub(since.elapsed());
    match pingora_timeout::timeout(left, conn.fill(BUFFER_BYTES)).await {
        Ok(Ok(_)) => Some(conn),
        Ok(Err(_)) => None,
        Err(_) => refuse_some(conn, &**handler, info, 408, "the request head is too slow").await,
    }
}

/// Waits for the next request, without buffers.
async fn next(mut conn: Box<Conn>, idle: &mut IdleWatch) -> Option<Box<Conn>> {
    idle.begin();
    conn.give_buffers();
    let read = poll_fn(|cx| {
        conn.take_input();
        if let Poll::Ready(read) = conn.poll_fill(cx) {
            conn.take_output();
            return Poll::Ready(Some(read));
        }
        conn.give_buffers();
        idle.poll_over(cx).map(|()| None)
    });
    match (read.await, &conn.io) {
        (Some(Ok(read)), _) if read > 0 => Some(conn),
        // the client has closed, or is gone; or it has sent nothing that a reset could make it lose
        (Some(_), _) | (None, Io::Tcp(_)) => None,
        // it is told that this is the end
        (None, Io::Tls(_) | Io::Other(_)) => {
            conn.close().await;
            None
        }
    }
}

async fn refuse_some<H: Handler>(
    conn: Box<Conn>,
    handler: &H,
    info: &ConnInfo,
    status: u16,
    reason: &'static str,
) -> Option<Box<Conn>> {
    refuse(conn, handler, info, status, reason).await;
    None
}

/// Answers what is no request, and closes: nothing behind it can be trusted.
async fn refuse<H: Handler>(
    mut conn: Box<Conn>,
    handler: &H,
    info: &ConnInfo,
    status: u16,
    reason: &'static str,
) -> Option<()> {
    handler.rejected(info, status, reason);
    let (head, body) = error_head(status, reason);
    let output: &mut BytesMut = &mut conn.output;
    with_date(|_, date| {
        write_head(
            output,
            &head,
            Framing::Length(body.len() as u64),
            Persistence::Close,
            date,
        );
    });
    output.put_slice(&body);
    conn.body = Body::Done;
    conn.close().await;
    None
}
