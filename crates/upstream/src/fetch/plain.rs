//! A plain answer: HTTP/1.1, a final head that comes in a few reads, and a body of the length that it says.

use super::head::{self, Head, Parsed};
use bytes::{Buf as _, Bytes, BytesMut};
use pingora::protocols::Stream;
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_core::protocols::http::HttpTask;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Room for a first read: the head, and all of a small body.
const FIRST_READ_BYTES: usize = 8 * 1024;
/// Room for a read of the body.
const BODY_READ_BYTES: usize = 64 * 1024;
/// A head that is longer is not plain.
const HEAD_BYTES_MAX: usize = 16 * 1024;

pub(super) enum Read {
    Task(HttpTask),
    /// What was read is not the beginning of a plain answer, and nothing of it was taken.
    NotPlain,
}

pub(super) struct Plain {
    stream: Stream,
    input: BytesMut,
    state: State,
    keep: bool,
    /// For each read.
    timeout: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So much of it is still to come.
    Body(u64),
    Done,
}

impl Plain {
    pub(super) fn new(stream: Stream, timeout: Duration) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            state: State::Head,
            keep: false,
            timeout,
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }

    /// The connection, where the answer came to its end with nothing behind it, and its server keeps it.
    pub(super) fn into_kept(self) -> Option<Stream> {
        let kept = self.keep && self.state == State::Done && self.input.is_empty();
        spare::give(self.input);
        kept.then_some(self.stream)
    }

    pub(super) async fn next(&mut self) -> Result<Read> {
        let task = match self.state {
            State::Head => {
                let Some(head) = self.head().await? else {
                    return Ok(Read::NotPlain);
                };
                self.keep = head.keep;
                self.state = match head.length {
                    0 => State::Done,
                    length => State::Body(length),
                };
                HttpTask::Header(head.response, head.length == 0)
            }
            State::Body(left) => self.body(left).await?,
            State::Done => HttpTask::Done,
        };
        Ok(Read::Task(task))
    }

    async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if !self.input.is_empty() {
                match head::response(&self.input) {
                    Parsed::Plain(head) => {
                        self.input.advance(head.bytes);
                        return Ok(Some(head));
                    }
                    Parsed::Partial if self.input.len() < HEAD_BYTES_MAX => {}
                    Parsed::Partial | Parsed::NotPlain => return Ok(None),
                }
            }
            let had = self.input.len();
            let so_far = || format!("while reading response headers, bytes already read: {had}");
            match pingora_timeout::timeout(self.timeout, self.read(FIRST_READ_BYTES)).await {
                Ok(Ok(0)) => return Error::e_explain(ErrorType::ConnectionClosed, so_far()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Error::e_because(ErrorType::ReadError, so_far(), error),
                Err(_) => {
                    let why = "while reading response headers";
                    return Error::e_explain(ErrorType::ReadTimedout, why);
                }
            }
        }
    }

    /// Reads behind what is there, with so much room at least. While nothing has come of what is short no buffer is held:
    /// of all that a thread waits for, the one that comes next is read into the same memory.
    async fn read(&mut self, room: usize) -> io::Result<usize> {
        let Self { stream, input, .. } = self;
        let is_short = room <= FIRST_READ_BYTES;
        poll_fn(|cx| {
            if is_short && input.capacity() == 0 {
                *input = spare::take();
            }
            input.reserve(room);
            let read = pin!(stream.read_buf(input)).poll(cx);
            if is_short && read.is_pending() && input.is_empty() {
                spare::give(std::mem::take(input));
            }
            read
        })
        .await
    }

    async fn body(&mut self, left: u64) -> Result<HttpTask> {
        if self.input.is_empty() {
            let room = left.min(BODY_READ_BYTES as u64) as usize;
            match pingora_timeout::timeout(self.timeout, self.read(room)).await {
                Ok(read) => {
                    if read.or_err(ErrorType::ReadError, "when reading body")? == 0 {
                        let why = format!(
                            "Peer prematurely closed connection with {left} bytes of body remaining to read"
                        );
                        return Error::e_explain(ErrorType::ConnectionClosed, why);
                    }
                }
                Err(_) => {
                    let why = format!("reading body, timeout: {:?}", self.timeout);
                    return Error::e_explain(ErrorType::ReadTimedout, why);
                }
            }
        }
        let now = left.min(self.input.len() as u64);
        self.state = match left - now {
            0 => State::Done,
            left => State::Body(left),
        };
        let data = self.take(now as usize);
        Ok(HttpTask::Body(Some(data), now == left))
    }

    /// The next `len` bytes. Few of them are copied: they may be kept for long, and a buffer with them.
    fn take(&mut self, len: usize) -> Bytes {
        if len < self.input.capacity() / 2 {
            let data = Bytes::copy_from_slice(&self.input[..len]);
            self.input.advance(len);
            return data;
        }
        self.input.split_to(len).freeze()
    }
}

/// A buffer that the last answer of this thread has left.
mod spare {
    use super::FIRST_READ_BYTES;
    use bytes::BytesMut;
    use std::cell::Cell;

    thread_local! {
        static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
    }

    pub(super) fn take() -> BytesMut {
        let spare = SPARE.take();
        spare.unwrap_or_else(|| BytesMut::with_capacity(FIRST_READ_BYTES))
    }

    /// Keeps `buffer` if all of it is its own, and it is no larger than it was.
    pub(super) fn give(mut buffer: BytesMut) {
        buffer.clear();
        let whole = buffer.try_reclaim(FIRST_READ_BYTES);
        if whole && buffer.capacity() < 2 * FIRST_READ_BYTES {
            SPARE.set(Some(buffer));
        }
    }
}
