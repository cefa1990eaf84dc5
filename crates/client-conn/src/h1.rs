//! The loop of an HTTP/1 connection: heads one after the other, answered in order.

use crate::ShutdownWatch;
use crate::answer::error_head;
use crate::body::Body;
use crate::buffers::BUFFER_BYTES;
use crate::clock::with_date;
use crate::conn::{Begin, COPY_BYTES_MAX, Conn};
use crate::exchange::{Exchange, Handler, QuickBody};
use crate::framing::{Framing, Persistence, write_head};
use crate::head::{Parsed, to_request, with_head};
use crate::info::{ConnInfo, Scheme};
use crate::io::Io;
use crate::session::Slot;
use bytes::{Buf, BufMut, BytesMut};
use pingora::http::RequestHeader;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::Interest;

/// What the connection does next, decided while the head is borrowed.
enum Step {
    Quick(QuickBody, usize, bool),
    Exchange(Option<Box<RequestHeader>>, usize, bool, Begin),
}

/// The first line of HTTP/2 with prior knowledge (RFC 9113 §3.4); no HTTP/1 request begins like this.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Runs a connection until it ends. `None` throughout: it has.
pub(crate) async fn serve<H: Handler>(
    mut conn: Box<Conn>,
    handler: Arc<H>,
    info: Arc<ConnInfo>,
    mut stop: ShutdownWatch,
) -> Option<()> {
    let slot: Slot<Box<Conn>> = Slot::default();
    let https = info.scheme == Scheme::Https;
    let mut head_since: Option<Instant> = None;
    let mut first = true;
    loop {
        if first
            && !conn.input.is_empty()
            && H2_PREFACE.starts_with(&conn.input[..conn.input.len().min(H2_PREFACE.len())])
        {
            if conn.input.len() >= H2_PREFACE.len() {
                return crate::h2::serve(conn, handler, info, stop).await;
            }
            // a beginning of it: wait for the rest
            conn = wait(conn, &handler, &info, &mut stop, &mut head_since).await?;
            continue;
        }
        if conn.input.is_empty() {
            conn = wait(conn, &handler, &info, &mut stop, &mut head_since).await?;
            continue;
        }
        let limits = conn.limits.clone();
        let Conn { input, output, .. } = &mut *conn;
        let parsed = with_head(input, https, &limits, |head| {
            if head.plain
                && !head.http10
                && let Some(body) = handler.quick(head, &info, output)
            {
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
                conn = wait(conn, &handler, &info, &mut stop, &mut head_since).await?;
            }
            Parsed::Done(Step::Quick(body, len, keep)) => {
                (first, head_since) = (false, None);
                conn.input.advance(len);
                quick(&mut conn, body, keep).await?;
                if !keep {
                    conn.close().await;
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
                conn.begin(&begin);
                conn.keep &= !*stop.borrow();
                let exchange = Exchange::new(
                    request,
                    info.clone(),
                    upgrade,
                    stop.clone(),
                    conn,
                    slot.clone(),
                );
                handler.clone().exchange(exchange).await;
                conn = slot.lock().take()?;
                conn = conn.after_exchange().await?;
            }
        }
    }
}

/// Completes a quick answer: ends its head, and writes at once what is too long to wait for the next request.
async fn quick(conn: &mut Conn, body: QuickBody, keep: bool) -> Option<()> {
    conn.output.put_slice(if keep {
        b"\r\n"
    } else {
        b"connection: close\r\n\r\n"
    });
    match body {
        QuickBody::None => {}
        QuickBody::One(data) if data.len() <= COPY_BYTES_MAX => conn.output.put_slice(&data),
        QuickBody::One(data) => conn.write_now(&[&data]).await.ok()?,
        QuickBody::Many(parts) => {
            let parts: Vec<&[u8]> = parts.iter().map(|p| &p[..]).collect();
            conn.write_now(&parts).await.ok()?;
        }
    }
    // answers to pipelined requests are gathered, up to here
    if conn.output.len() > 4 * COPY_BYTES_MAX {
        conn.flush_output().await.ok()?;
    }
    Some(())
}

/// Waits for more of a head, or for a first byte.
async fn wait<H: Handler>(
    mut conn: Box<Conn>,
    handler: &Arc<H>,
    info: &Arc<ConnInfo>,
    stop: &mut ShutdownWatch,
    head_since: &mut Option<Instant>,
) -> Option<Box<Conn>> {
    conn.flush_output().await.ok()?;
    if conn.input.is_empty() {
        if conn.eof || *stop.borrow() {
            conn.close().await;
            return None;
        }
        *head_since = None;
        return idle(conn, stop).await;
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

/// Between two requests: holds no buffers.
async fn idle(mut conn: Box<Conn>, stop: &mut ShutdownWatch) -> Option<Box<Conn>> {
    conn.give_buffers();
    let timeout = conn.limits.idle_timeout;
    if let Io::Tcp(tcp) = &conn.io {
        let ready = async {
            tokio::select! { biased;
                ready = tcp.readable() => ready.is_ok(),
                _ = stop.changed() => false,
            }
        };
        if !pingora_timeout::timeout(timeout, ready)
            .await
            .unwrap_or(false)
        {
            return None;
        }
        conn.take_buffers();
        let Conn {
            io: Io::Tcp(tcp),
            input,
            ..
        } = &mut *conn
        else {
            return None;
        };
        let room = input.capacity();
        return match tcp.try_read_buf(input) {
            Ok(0) => None,
            Ok(n) => {
                if n < room {
                    // a short read has emptied the socket: saying so here saves the read that would find out. New data
                    // raises readiness anew (edge-triggered epoll)
                    let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    let _ = tcp.try_io(Interest::READABLE, nothing);
                }
                Some(conn)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(conn),
            Err(_) => None,
        };
    }
    conn.take_buffers();
    let read = async {
        tokio::select! { biased;
            read = conn.fill(BUFFER_BYTES) => read.is_ok_and(|n| n > 0),
            _ = stop.changed() => false,
        }
    };
    if pingora_timeout::timeout(timeout, read)
        .await
        .unwrap_or(false)
    {
        return Some(conn);
    }
    conn.close().await;
    None
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
