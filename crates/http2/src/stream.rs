//! One stream: what came on it and is not taken, what is to go out on it, and what its task may do.

use crate::closed::End;
use crate::connection::Connection;
use crate::frame::{PAYLOAD_BYTES_MAX, put_window_update};
use crate::out::Out;
use crate::reason::Reason;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A shorter piece of a body is copied to others: for each there would be a place in a queue, and what it was read with.
const COPIED_BYTES_MAX: usize = 1024;

/// The stream or its connection is no more: nobody waits for what would be sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone(pub Reason);

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) recv: Recv,
    pub(crate) send: Send,
    /// It was reset, by either side.
    pub(crate) reset: Option<Reason>,
    /// A task has it.
    pub(crate) held: bool,
    /// Whoever wants to know that it was reset.
    pub(crate) watcher: Option<Waker>,
}

/// The client's side.
#[derive(Debug)]
pub(crate) struct Recv {
    pub(crate) queue: VecDeque<Bytes>,
    /// Short pieces behind those of `queue`.
    pub(crate) few: BytesMut,
    pub(crate) ended: bool,
    /// What the client may still send.
    pub(crate) window: i64,
    /// What was taken, and has not been announced to the client.
    pub(crate) taken: u32,
    /// What its content-length leaves.
    pub(crate) left: Option<u64>,
    pub(crate) reader: Option<Waker>,
}

/// Our side.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) window: i64,
    pub(crate) queue: VecDeque<Bytes>,
    /// Bytes in `queue`.
    pub(crate) queued: usize,
    /// The final head is out.
    pub(crate) head: bool,
    /// What comes behind the last of `queue`.
    pub(crate) ends: Option<Ends>,
    pub(crate) ended: bool,
    /// It stands in the connection's row.
    pub(crate) in_row: bool,
    pub(crate) writer: Option<Waker>,
    /// When something was sent last, or began to wait.
    pub(crate) moved: Duration,
}

/// Names, in lower case, and values.
pub type Trailers = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Debug)]
pub(crate) enum Ends {
    Plain,
    Trailers(Trailers),
}

impl Stream {
    pub(crate) fn new(ended: bool, left: Option<u64>, recv_window: u32, send_window: i64) -> Self {
        Self {
            recv: Recv {
                queue: VecDeque::new(),
                few: BytesMut::new(),
                ended,
                window: i64::from(recv_window),
                taken: 0,
                left,
                reader: None,
            },
            send: Send {
                window: send_window,
                queue: VecDeque::new(),
                queued: 0,
                head: false,
                ends: None,
                ended: false,
                in_row: false,
                writer: None,
                moved: Duration::ZERO,
            },
            reset: None,
            held: false,
            watcher: None,
        }
    }

    /// For the client it is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.reset.is_some() || self.recv.ended && self.send.ended
    }

    /// Drops what waits, and wakes whoever does. The bytes that came and were not taken.
    pub(crate) fn cut(&mut self, reason: Reason) -> usize {
        self.reset.get_or_insert(reason);
        self.send.queue.clear();
        self.send.queued = 0;
        let untaken: usize = self.recv.queue.drain(..).map(|data| data.len()).sum();
        let few = std::mem::take(&mut self.recv.few).len();
        for waker in [
            &mut self.recv.reader,
            &mut self.send.writer,
            &mut self.watcher,
        ] {
            wake(waker);
        }
        untaken + few
    }
}

impl Recv {
    /// More of the body has come.
    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() < COPIED_BYTES_MAX && self.few.len() < PAYLOAD_BYTES_MAX {
            self.few.extend_from_slice(&data);
            return;
        }
        if !self.few.is_empty() {
            self.queue.push_back(self.few.split().freeze());
        }
        if data.len() < COPIED_BYTES_MAX {
            self.few.extend_from_slice(&data);
        } else {
            self.queue.push_back(data);
        }
    }

    /// So many bytes are no longer here. The client hears of that by halves of the window: a frame for each piece would be
    /// as many.
    pub(crate) fn take(&mut self, bytes: usize, stream: u32, window: u32, out: &mut Out) {
        self.taken += bytes as u32;
        if !self.ended && self.taken >= window / 2 {
            put_window_update(&mut out.tail, stream, self.taken);
            self.window += i64::from(self.taken);
            self.taken = 0;
        }
    }

    /// The next of what has come.
    fn pop(&mut self) -> Option<Bytes> {
        let few = &mut self.few;
        self.queue
            .pop_front()
            .or_else(|| (!few.is_empty()).then(|| few.split().freeze()))
    }
}

pub(crate) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn wait(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// For the task that holds `stream`.
impl Connection {
    /// The next of the request's body; `None` at its end. Cancel-safe.
    pub fn poll_read(
        &mut self,
        stream: u32,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Gone>> {
        let Some(found) = self.streams.get_mut(&stream) else {
            return Poll::Ready(Err(Gone(Reason::CANCEL)));
        };
        let recv = &mut found.recv;
        if let Some(data) = recv.pop() {
            recv.take(data.len(), stream, self.limits.stream_window, &mut self.out);
            self.take(data.len());
            if !self.out.is_empty() {
                self.stir();
            }
            return Poll::Ready(Ok(Some(data)));
        }
        match found.reset {
            Some(reason) => Poll::Ready(Err(Gone(reason))),
            None if recv.ended => Poll::Ready(Ok(None)),
            None => {
                wait(&mut recv.reader, cx);
                Poll::Pending
            }
        }
    }

    /// Whether all of the request's body has been read.
    pub fn is_read(&self, stream: u32) -> bool {
        let recv = self.streams.get(&stream).map(|found| &found.recv);
        recv.is_none_or(|recv| recv.ended && recv.queue.is_empty() && recv.few.is_empty())
    }

    /// Ready when the stream has been reset, or its connection is at its end. Cancel-safe.
    pub fn poll_reset(&mut self, stream: u32, cx: &Context<'_>) -> Poll<Reason> {
        let Some(found) = self.streams.get_mut(&stream) else {
            return Poll::Ready(Reason::CANCEL);
        };
        match found.reset {
            Some(reason) => Poll::Ready(reason),
            None => {
                wait(&mut found.watcher, cx);
                Poll::Pending
            }
        }
    }

    /// Ready when there is room for more of the answer's body. Cancel-safe.
    pub fn poll_room(&mut self, stream: u32, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        let most = self.limits.stream_send_bytes_max;
        let found = match self.live(stream) {
            Ok(found) => found,
            Err(gone) => return Poll::Ready(Err(gone)),
        };
        if found.send.queued < most {
            return Poll::Ready(Ok(()));
        }
        wait(&mut found.send.writer, cx);
        Poll::Pending
    }

    /// The task is done with it. An answer that has no end by then never gets one, and the client sees that.
    pub fn release(&mut self, stream: u32) {
        let Some(found) = self.streams.get_mut(&stream) else {
            return;
        };
        found.held = false;
        if found.reset.is_some() {
            self.streams.remove(&stream);
        } else if !found.send.ended && found.send.ends.is_none() {
            self.reset(stream, Reason::INTERNAL_ERROR);
        } else {
            self.settle(stream);
        }
        self.stir();
    }

    /// Ends the stream at once.
    pub fn reset(&mut self, stream: u32, reason: Reason) {
        let Some(found) = self.streams.get(&stream) else {
            return;
        };
        if !found.is_closed() {
            self.put_reset(stream, reason);
        }
        self.drop_stream(stream, reason, End::Here);
        self.stir();
    }

    /// A stream that is not over.
    pub(crate) fn live(&mut self, stream: u32) -> Result<&mut Stream, Gone> {
        match self.streams.get_mut(&stream) {
            None => Err(Gone(Reason::CANCEL)),
            Some(found) => match found.reset {
                Some(reason) => Err(Gone(reason)),
                None => Ok(found),
            },
        }
    }
}
