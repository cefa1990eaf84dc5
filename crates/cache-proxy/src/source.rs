//! Where the bytes of a delivery come from: a stored copy, or one that is still growing.

use crate::growing::{Next, Reader};
use bytes::Bytes;
use seawall_client_conn::Wire;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

/// A body, whole or from some offset on.
#[derive(Debug)]
pub(crate) enum Source {
    Ready(VecDeque<Bytes>),
    Following(Reader),
}

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The fill failed: the copy has no end.
    Fill,
    /// The client is gone, or does not read.
    Client,
}

impl Source {
    pub(crate) fn ready(parts: Vec<Bytes>) -> Self {
        Self::Ready(parts.into())
    }

    /// The next bytes, or `None` at the end. While it waits, what was written goes out, and a client that leaves is seen.
    pub(crate) async fn next<W: Wire>(&mut self, wire: &mut W) -> Result<Option<Bytes>, Broken> {
        let reader = match self {
            Self::Ready(parts) => return Ok(parts.pop_front()),
            Self::Following(reader) => reader,
        };
        let next = match reader.poll_next(None) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                wire.flush().await.map_err(|_| Broken::Client)?;
                tokio::select! { biased;
                    next = poll_fn(|cx| reader.poll_next(Some(cx))) => next,
                    _ = wire.idle() => return Err(Broken::Client),
                }
            }
        };
        match next {
            Next::Data(data) => Ok(Some(data)),
            Next::Done => Ok(None),
            Next::Failed => Err(Broken::Fill),
        }
    }

    /// The same for a reader that has no client.
    pub(crate) async fn next_alone(&mut self) -> Result<Option<Bytes>, Broken> {
        match self {
            Self::Ready(parts) => Ok(parts.pop_front()),
            Self::Following(reader) => match poll_fn(|cx| reader.poll_next(Some(cx))).await {
                Next::Data(data) => Ok(Some(data)),
                Next::Done => Ok(None),
                Next::Failed => Err(Broken::Fill),
            },
        }
    }
}
