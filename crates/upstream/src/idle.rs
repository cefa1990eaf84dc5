//! Connections that wait for their next question.

use parking_lot::Mutex;
use pingora::protocols::Stream;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};

/// A worker finds its own connections first: what another one opened wakes that one's thread.
const SHARDS: usize = 16;
/// How often those are closed whose server has gone, or that nobody wanted for too long.
const SWEEP: Duration = Duration::from_secs(1);

/// Whom a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    /// That of the target: servers of one address may differ in how they are spoken to.
    pub(crate) group: u64,
    pub(crate) address: SocketAddr,
}

struct Waiting {
    stream: Stream,
    until: Instant,
}

/// Those of one server, the one that was used last behind.
type Shard = HashMap<Server, Vec<Waiting>>;

/// All of a node, at most so many.
pub(crate) struct Idle {
    shards: [Mutex<Shard>; SHARDS],
    count: AtomicUsize,
    max: usize,
    swept: AtomicBool,
}

impl Idle {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: Default::default(),
            count: AtomicUsize::new(0),
            max,
            swept: AtomicBool::new(false),
        })
    }

    /// One to `server` over which nothing has come since.
    pub(crate) fn take(&self, server: &Server) -> Option<Stream> {
        let first = own_shard();
        for shard in 0..SHARDS {
            let shard = &self.shards[(first + shard) % SHARDS];
            while let Some(mut stream) = self.pop(&mut shard.lock(), server) {
                if is_quiet(&mut stream) {
                    return Some(stream);
                }
            }
            if self.count.load(Ordering::Relaxed) == 0 {
                return None;
            }
        }
        None
    }

    fn pop(&self, shard: &mut Shard, server: &Server) -> Option<Stream> {
        let Entry::Occupied(mut waiting) = shard.entry(*server) else {
            return None;
        };
        let last = waiting.get_mut().pop();
        if waiting.get().is_empty() {
            waiting.remove();
        }
        let last = last?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(last.stream)
    }

    /// Keeps a connection for as long as `idle`. When there are too many, another one makes room, or this one is closed.
    pub(crate) fn put(self: &Arc<Self>, server: Server, mut stream: Stream, idle: Duration) {
        if !is_quiet(&mut stream) {
            return;
        }
        let until = Instant::now() + idle;
        {
            let mut shard = self.shards[own_shard()].lock();
            if self.count.fetch_add(1, Ordering::Relaxed) >= self.max {
                let other = shard.keys().next().copied();
                if other
                    .and_then(|other| self.pop(&mut shard, &other))
                    .is_none()
                {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
            }
            let waiting = Waiting { stream, until };
            shard.entry(server).or_default().push(waiting);
        }
        if !self.swept.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Sweeper(Arc::downgrade(self))));
        }
    }

    /// Closes those that have waited too long, and those whose server has gone.
    fn sweep(&self, now: Instant) {
        for shard in &self.shards {
            self.retain(&mut shard.lock(), |waiting| {
                waiting.until > now && is_quiet(&mut waiting.stream)
            });
        }
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            self.retain(&mut shard.lock(), |_| false);
        }
    }

    fn retain(&self, shard: &mut Shard, mut keeps: impl FnMut(&mut Waiting) -> bool) {
        shard.retain(|_, waiting| {
            let before = waiting.len();
            waiting.retain_mut(&mut keeps);
            self.count
                .fetch_sub(before - waiting.len(), Ordering::Relaxed);
            !waiting.is_empty()
        });
    }
}

/// Says when it ends, with its runtime too: the next connection begins another one.
struct Sweeper(Weak<Idle>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(idle) = self.0.upgrade() {
            idle.swept.store(false, Ordering::Release);
        }
    }
}

/// Runs while connections wait.
async fn sweep(mut sweeper: Sweeper) {
    loop {
        pingora_timeout::sleep(SWEEP).await;
        let Some(idle) = sweeper.0.upgrade() else {
            return;
        };
        idle.sweep(Instant::now());
        if idle.count.load(Ordering::Acquire) > 0 {
            continue;
        }
        idle.swept.store(false, Ordering::Release);
        // one may have come meanwhile, which relied on this
        if idle.count.load(Ordering::Acquire) == 0 || idle.swept.swap(true, Ordering::AcqRel) {
            sweeper.0 = Weak::new();
            return;
        }
    }
}

/// Whether nothing came, not even the end.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut cx = Context::from_waker(Waker::noop());
    let read = Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
    read.is_pending()
}

fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    OWN.with(|own| *own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    const LONG: Duration = Duration::from_secs(3600);

    fn server(port: u16) -> Server {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Server { group: 1, address }
    }

    /// A connection, and its server's side.
    fn connection() -> (Stream, DuplexStream) {
        let (here, there) = duplex(64);
        (Box::new(here), there)
    }

    #[tokio::test]
    async fn a_connection_is_found_by_its_server_alone() {
        let idle = Idle::new(8);
        let (stream, _there) = connection();
        idle.put(server(1), stream, LONG);
        let other_group = Server {
            group: 2,
            ..server(1)
        };
        assert!(idle.take(&server(2)).is_none());
        assert!(idle.take(&other_group).is_none());
        assert!(idle.take(&server(1)).is_some());
        assert!(idle.take(&server(1)).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_ended_or_says_something_unasked_is_not_used_again() {
        let idle = Idle::new(8);
        let (ended, there) = connection();
        idle.put(server(1), ended, LONG);
        drop(there);
        let (speaks, mut there) = connection();
        idle.put(server(1), speaks, LONG);
        there.write_all(b"HTTP/1.1 408 \r\n\r\n").await.unwrap();
        assert!(idle.take(&server(1)).is_none());
        assert_eq!(idle.count.load(Ordering::Relaxed), 0);
        // nor is one kept that has said it before
        let (speaks, mut there) = connection();
        there.write_all(b"x").await.unwrap();
        idle.put(server(1), speaks, LONG);
        assert!(idle.take(&server(1)).is_none());
    }

    #[tokio::test]
    async fn no_more_connections_are_kept_than_are_allowed() {
        let idle = Idle::new(2);
        let mut there = Vec::new();
        for port in [1, 1, 2, 3, 3] {
            let (stream, other) = connection();
            idle.put(server(port), stream, LONG);
            there.push(other);
            assert!(idle.count.load(Ordering::Relaxed) <= 2);
        }
        assert!(idle.take(&server(3)).is_some(), "the last one is kept");
        let kept: usize = idle
            .shards
            .iter()
            .map(|s| s.lock().values().map(Vec::len).sum::<usize>())
            .sum();
        assert_eq!(kept, idle.count.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn connections_that_nobody_wants_are_closed_in_time() {
        let idle = Idle::new(8);
        let (old, there_old) = connection();
        idle.put(server(1), old, Duration::ZERO);
        let (ended, there_ended) = connection();
        idle.put(server(2), ended, LONG);
        drop(there_ended);
        let (stays, _there) = connection();
        idle.put(server(3), stays, LONG);
        idle.sweep(Instant::now());
        drop(there_old);
        assert_eq!(idle.count.load(Ordering::Relaxed), 1);
        assert!(idle.take(&server(3)).is_some());
    }
}
