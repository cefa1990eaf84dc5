//! Connections, of operators and of nodes: how many there are at a time, and how long one may take to say what it wants.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

/// Connections of operators at a time; further ones wait to be accepted.
const OPERATORS_MAX: usize = 1024;
/// A head that takes longer ends its connection.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// After an accept that failed, as without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the API until `stopped`, and what is under way then to its end.
pub(crate) async fn operators(
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(OPERATORS_MAX));
    let service = TowerToHyperService::new(router);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, permit) = tokio::select! {
            () = ended(&mut stopped) => break,
            Some(accepted) = accept(&listener, &room) => accepted,
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let mut stopped = stopped.clone();
        connections.spawn(async move {
            let _permit = permit;
            let mut connection = std::pin::pin!(connection);
            // an error is the client's: it hung up, or sent what is no request
            tokio::select! {
                _ = connection.as_mut() => {}
                () = ended(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Ready once the control plane ends.
pub(crate) async fn ended(ending: &mut watch::Receiver<bool>) {
    // an error: the sender is gone, which ends it too
    let _ = ending.wait_for(|ends| *ends).await;
}

/// Connections of nodes without TLS, at most `max` at a time.
pub(crate) fn plain(
    listener: TcpListener,
    max: usize,
) -> impl Stream<Item = io::Result<Held<TcpStream>>> {
    let room = Arc::new(Semaphore::new(max));
    futures::stream::unfold((listener, room), |(listener, room)| async {
        let (stream, permit) = accept(&listener, &room).await?;
        Some((Ok(Held::new(stream, permit)), (listener, room)))
    })
}

/// The next connection, once there is room. `None`: never. Cancel-safe.
pub(crate) async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                return Some((stream, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection, and its place among all.
#[derive(Debug)]
pub(crate) struct Held<S> {
    stream: S,
    _permit: OwnedSemaphorePermit,
}

impl<S> Held<S> {
    pub(crate) fn new(stream: S, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            _permit: permit,
        }
    }
}

impl<S> Connected for Held<S> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
