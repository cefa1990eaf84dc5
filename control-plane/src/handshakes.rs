//! TLS handshakes of nodes: how many at a time, how long, and what becomes of those that fail. None of them holds up
//! another, or the accepting.

use crate::serve::{Held, accept};
use crate::tls::TlsSettings;
use futures::Stream;
use seawall_telemetry::ControlPlaneMetrics;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A line of the log about refused connections at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What handshakes are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections, those in their handshake among them; further ones wait to be accepted.
    pub(crate) connections: usize,
    /// Handshakes at a time. Where one more begins the oldest is cut: a node's takes milliseconds, so that the oldest
    /// are those of strangers who hang on.
    pub(crate) handshakes: usize,
    /// One that takes longer ends its connection.
    pub(crate) each: Duration,
}

/// Connections of nodes that the fleet's authority vouches for.
pub(crate) fn verified(
    listener: TcpListener,
    bounds: Bounds,
    settings: Arc<TlsSettings>,
    metrics: Arc<ControlPlaneMetrics>,
) -> impl Stream<Item = io::Result<Held<TlsStream<TcpStream>>>> {
    let handshakes = Handshakes {
        listener,
        room: Arc::new(Semaphore::new(bounds.connections)),
        bounds,
        settings,
        running: JoinSet::new(),
        by_age: VecDeque::new(),
        refusals: Refusals::default(),
        metrics,
    };
    futures::stream::unfold(handshakes, |mut handshakes| async {
        let held = handshakes.next().await?;
        Some((Ok(held), handshakes))
    })
}

/// Why a connection was refused.
#[derive(Debug, Error)]
enum Refused {
    #[error(transparent)]
    Failed(io::Error),
    #[error("the handshake took too long")]
    TooLong,
    #[error("too many handshakes at a time, and this was the oldest")]
    Oldest,
    #[error("the certificates were replaced during the handshake")]
    Overtaken,
}

type Done = Result<Held<TlsStream<TcpStream>>, (Option<SocketAddr>, Refused)>;

struct Handshakes {
    listener: TcpListener,
    room: Arc<Semaphore>,
    bounds: Bounds,
    settings: Arc<TlsSettings>,
    running: JoinSet<Done>,
    /// Oldest first; never more than `bounds.handshakes`.
    by_age: VecDeque<(Option<SocketAddr>, AbortHandle)>,
    refusals: Refusals,
    metrics: Arc<ControlPlaneMetrics>,
}

impl Handshakes {
    async fn next(&mut self) -> Option<Held<TlsStream<TcpStream>>> {
        loop {
            tokio::select! {
                biased;
                Some(done) = self.running.join_next() => match done {
                    Ok(Ok(held)) => return Some(held),
                    Ok(Err((peer, refused))) => self.refuse(peer, &refused),
                    // it was cut, which was told then
                    Err(_) => {}
                },
                accepted = accept(&self.listener, &self.room) => {
                    let (stream, permit) = accepted?;
                    self.begin(stream, permit);
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        if self.by_age.len() >= self.bounds.handshakes {
            self.by_age
                .retain(|(_, handshake)| !handshake.is_finished());
        }
        if self.by_age.len() >= self.bounds.handshakes
            && let Some((peer, oldest)) = self.by_age.pop_front()
        {
            oldest.abort();
            self.refuse(peer, &Refused::Oldest);
        }
        let peer = stream.peer_addr().ok();
        let (settings, each) = (self.settings.clone(), self.bounds.each);
        let handshake = async move {
            let shaken = shake(stream, &settings, each).await;
            shaken
                .map(|stream| Held::new(stream, permit))
                .map_err(|refused| (peer, refused))
        };
        self.by_age.push_back((peer, self.running.spawn(handshake)));
    }

    fn refuse(&mut self, peer: Option<SocketAddr>, refused: &Refused) {
        self.metrics.tls_failures.inc();
        if let Some(count) = self.refusals.note(Instant::now()) {
            let peer = peer.map(|peer| peer.to_string());
            tracing::warn!(peer, reason = %refused, count, "connections to the nodes' address are refused");
        }
    }
}

async fn shake(
    stream: TcpStream,
    settings: &TlsSettings,
    each: Duration,
) -> Result<TlsStream<TcpStream>, Refused> {
    let config = settings.current();
    let handshake = TlsAcceptor::from(config.clone()).accept(stream);
    let stream = tokio::time::timeout(each, handshake)
        .await
        .map_err(|_| Refused::TooLong)?
        .map_err(Refused::Failed)?;
    // who comes after a reload is never taken by what was in force before it
    if settings.is_current(&config) {
        Ok(stream)
    } else {
        Err(Refused::Overtaken)
    }
}

/// When a refusal is worth a line.
#[derive(Debug, Default)]
struct Refusals {
    told_at: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// One more. `Some`: it is to be told now, with how many there were since it was told last.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let since = self.told_at.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < TOLD_EVERY) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests;
