//! The stream below h2: frames of several answers go out in one write.
//!
//! h2 flushes whenever it is asked for the next request. Here frames wait until there is no further request to answer at
//! once: then [`Flush`] sends them, over TLS in as few records.

use crate::buffers;
use crate::io::Io;
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Frames beyond this are written at once: what one TLS record holds (16 KiB).
const HELD_BYTES_MAX: usize = 16 * 1024;

struct Inner {
    io: Io,
    /// Read before this began.
    input: Bytes,
    held: BytesMut,
    holds: bool,
}

/// The stream, for h2.
pub(super) struct Gather(Arc<Mutex<Inner>>);

/// Sends what the stream holds.
pub(super) struct Flush(Arc<Mutex<Inner>>);

/// `input` was read from `io` before. Nothing is held until [`Flush::holds`].
pub(super) fn gather(io: Io, input: Bytes) -> (Gather, Flush) {
    let inner = Arc::new(Mutex::new(Inner {
        io,
        input,
        held: BytesMut::new(),
        holds: false,
    }));
    (Gather(inner.clone()), Flush(inner))
}

impl Flush {
    /// From now on frames wait.
    pub(super) fn holds(&self) {
        self.0.lock().holds = true;
    }

    /// Sends all that waits. An error is one of the connection, which h2 will see too.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_flush(cx)
    }
}

impl Inner {
    fn io(&mut self) -> Pin<&mut Io> {
        Pin::new(&mut self.io)
    }

    /// Writes what is held, and `data` behind it as far as it goes. The bytes of `data` that were written; 0 only where it
    /// is empty.
    fn poll_through(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let held = self.held.len();
            if held == 0 && data.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let parts = [IoSlice::new(&self.held), IoSlice::new(data)];
            let parts = &parts[usize::from(held == 0)..];
            let n = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, parts))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(n.min(held));
            if n > held {
                return Poll::Ready(Ok(n - held));
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_through(cx, &[]))?;
        // an idle connection has no buffer
        buffers::give(&mut self.held);
        self.io().poll_flush(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if !self.holds || self.held.len() + data.len() > HELD_BYTES_MAX {
            return self.poll_through(cx, data);
        }
        if self.held.capacity() == 0 {
            self.held = buffers::take();
        }
        self.held.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }
}

impl AsyncRead for Gather {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.input.is_empty() {
            return inner.io().poll_read(cx, buf);
        }
        let n = inner.input.len().min(buf.remaining());
        buf.put_slice(&inner.input.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gather {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let mut written = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            match inner.poll_write(cx, part) {
                Poll::Ready(Ok(n)) => {
                    written += n;
                    if n < part.len() {
                        break;
                    }
                }
                // it is told of the next time
                _ if written > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.holds {
            return Poll::Ready(Ok(()));
        }
        inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_flush(cx))?;
        inner.io().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn run(future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future);
    }

    #[test]
    fn frames_wait_and_go_out_in_one_piece() {
        run(async {
            let (io, mut client) = tokio::io::duplex(1 << 20);
            let (mut stream, flush) = gather(Io::Other(Box::new(io)), Bytes::new());
            flush.holds();
            for frame in ["one ", "two ", "three"] {
                stream.write_all(frame.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
            let mut seen = [0; 64];
            assert!(client.read(&mut seen).now_or_never().is_none());

            poll_fn(|cx| flush.poll(cx)).await.unwrap();

            let n = client.read(&mut seen).await.unwrap();
            assert_eq!(&seen[..n], b"one two three");
        });
    }

    #[test]
    fn long_frames_keep_their_place_and_no_more_than_one_record_waits() {
        run(async {
            let (io, mut client) = tokio::io::duplex(1000);
            let (mut stream, flush) = gather(Io::Other(Box::new(io)), Bytes::new());
            flush.holds();
            let pieces: Vec<Vec<u8>> = [1, 900, 40_000, 3, 16 * 1024, 7]
                .iter()
                .zip(b'a'..)
                .map(|(length, byte)| vec![byte; *length])
                .collect();
            let whole = pieces.concat();
            let mut seen = vec![0; whole.len()];
            let writes = async {
                for piece in &pieces {
                    stream.write_all(piece).await.unwrap();
                    stream.flush().await.unwrap();
                    assert!(flush.0.lock().held.len() <= HELD_BYTES_MAX);
                }
                poll_fn(|cx| flush.poll(cx)).await.unwrap();
            };
            let ((), read) = tokio::join!(writes, client.read_exact(&mut seen));
            read.unwrap();
            assert!(seen == whole);
            // an idle connection has no buffer
            assert_eq!(flush.0.lock().held.capacity(), 0);
        });
    }

    #[test]
    fn what_was_read_before_comes_first() {
        run(async {
            let (io, mut client) = tokio::io::duplex(1000);
            let (mut stream, _flush) = gather(Io::Other(Box::new(io)), Bytes::from("PRI "));
            client.write_all(b"* HTTP/2.0").await.unwrap();
            let mut seen = [0; 14];
            stream.read_exact(&mut seen).await.unwrap();
            assert_eq!(&seen, b"PRI * HTTP/2.0");
        });
    }
}
