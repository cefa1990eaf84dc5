//! The socket and the thread of a built-in origin.

use super::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

/// Why a built-in origin does not start. One line.
#[derive(Debug, Error)]
pub enum OriginError {
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        address: SocketAddr,
        reason: io::Error,
    },
    #[error("directory {path} cannot be served: {reason}")]
    Directory { path: PathBuf, reason: io::Error },
}

/// Answers one request.
pub(super) trait Answer: Send + Sync + 'static {
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// A running origin; it ends when this value is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// Threads that read files.
const BLOCKING_THREADS_MAX: usize = 16;
/// For a head to arrive, the pause before it included: longer than a node keeps a pooled connection (50 s), so that it is
/// the node that closes and no request meets a closing connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Listener {
    /// Listens on `address` (port 0: one the kernel picks).
    pub(super) fn start<A: Answer>(
        name: &str,
        address: SocketAddr,
        answers: A,
    ) -> Result<Self, OriginError> {
        let failed = |reason| OriginError::Listen { address, reason };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .map_err(failed)?;
        let requests = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn({
            let requests = requests.clone();
            move || {
                runtime.block_on(async move {
                    tokio::select! {
                        () = accept(listener, Arc::new(answers), requests) => {}
                        _ = stopped => {}
                    }
                });
                // a file read that hangs must not keep the process
                runtime.shutdown_background();
            }
        });
        Ok(Self {
            address: bound,
            requests,
            stop: Some(stop),
            thread: Some(thread.map_err(failed)?),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests whose head arrived.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept<A: Answer>(listener: TcpListener, answers: Arc<A>, requests: Arc<AtomicU64>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "origin cannot accept");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "origin cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (answers, requests) = (answers.clone(), requests.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                requests.fetch_add(1, Ordering::Relaxed);
                let answers = answers.clone();
                async move { Ok::<_, Infallible>(answers.answer(request).await) }
            });
            // a connection that breaks is its client's affair
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}
