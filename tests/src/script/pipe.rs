//! Two ends of a connection in memory: a node reads and writes one, a script looks at the other.
//!
//! Nothing moves by itself: what a node writes lies there until the script takes it, and a node reads what the script has
//! written. Neither side ever waits for room; messages of scripts are short.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the script's side has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// No more comes.
    Done,
    /// The connection is lost.
    Reset,
}

#[derive(Debug)]
struct State {
    to_node: Vec<u8>,
    end: End,
    reader: Option<Waker>,
    from_node: Vec<u8>,
    /// The node writes no more.
    ended: bool,
}

/// The script's end.
#[derive(Clone, Debug)]
pub struct Pipe(Arc<Mutex<State>>);

/// The node's end.
#[derive(Debug)]
pub struct NodeEnd(Arc<Mutex<State>>);

/// A connection.
pub fn pipe() -> (Pipe, NodeEnd) {
    let state = Arc::new(Mutex::new(State {
        to_node: Vec::new(),
        end: End::Open,
        reader: None,
        from_node: Vec::new(),
        ended: false,
    }));
    (Pipe(state.clone()), NodeEnd(state))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder panics")
}

impl Pipe {
    pub fn write(&self, bytes: &[u8]) {
        self.change(|state| state.to_node.extend_from_slice(bytes));
    }

    /// The node reads what was written, then the end.
    pub fn end(&self) {
        self.change(|state| state.end = End::Done);
    }

    /// The node reads and writes no more.
    pub fn reset(&self) {
        self.change(|state| state.end = End::Reset);
    }

    /// What the node has written since.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.0).from_node)
    }

    /// Whether the node has closed its side.
    pub fn is_ended(&self) -> bool {
        lock(&self.0).ended
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.0);
        change(&mut state);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for NodeEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        if state.end == End::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let n = state.to_node.len().min(buf.remaining());
        if n > 0 {
            buf.put_slice(&state.to_node[..n]);
            state.to_node.drain(..n);
            return Poll::Ready(Ok(()));
        }
        if state.end == End::Done {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for NodeEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        if state.end == End::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.from_node.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).ended = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for NodeEnd {
    fn drop(&mut self) {
        lock(&self.0).ended = true;
    }
}
