//! HTTP/2 by the h2 crate alone: each stream gets a fixed answer.

use crate::bodies::{self, BODIES};
use anyhow::Result;
use bytes::Bytes;
use rustls::ServerConfig;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// Windows that never fill: an answer waits for nobody's permission.
const WINDOW: u32 = 1 << 30;

/// Serves both for ever, on one thread.
pub(super) fn serve(
    h2: Option<TcpListener>,
    h2c: Option<TcpListener>,
    tls: Arc<ServerConfig>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let bodies: Arc<[Bytes]> = BODIES
        .iter()
        .map(|b| Bytes::from(bodies::noise(b.bytes)))
        .collect();
    let acceptor = TlsAcceptor::from(tls);
    runtime.block_on(async {
        let local = tokio::task::LocalSet::new();
        if let Some(listener) = h2 {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let bodies = bodies.clone();
            local.spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    let (acceptor, bodies) = (acceptor.clone(), bodies.clone());
                    tokio::task::spawn_local(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let _ = connection(stream, &bodies).await;
                        }
                    });
                }
            });
        }
        if let Some(listener) = h2c {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            local.spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    let bodies = bodies.clone();
                    tokio::task::spawn_local(async move {
                        let _ = connection(stream, &bodies).await;
                    });
                }
            });
        }
        local.await;
        Ok(())
    })
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, bodies: &[Bytes]) -> Result<()> {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(1000)
        .max_send_buffer_size(1 << 20)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, mut answer) = request?;
        let path = request.uri().path();
        let body = BODIES.iter().position(|b| b.path == path).unwrap_or(0);
        let head = http::Response::builder()
            .header("server", "floor")
            .header("content-type", "application/octet-stream")
            .header("content-length", BODIES[body].bytes)
            .header("cache-control", "public, max-age=86400")
            .header("etag", "\"fixed\"")
            .header("age", "12")
            .body(())?;
        let mut stream = answer.send_response(head, false)?;
        stream.send_data(bodies[body].clone(), true)?;
    }
    Ok(())
}
