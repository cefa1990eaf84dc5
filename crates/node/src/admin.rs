//! The admin listener: `/healthz`, `/readyz`, `/metrics`, without a token, on loopback.

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// A head that takes longer ends its connection.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// A connection is kept this long: whoever reads metrics every minute connects again.
const CONNECTION_MAX: Duration = Duration::from_mins(5);
/// After an accept that failed, as without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the listener tells, implemented by edge and shield.
pub trait AdminState: Send + Sync + 'static {
    /// Whether traffic is welcome, and the word for it.
    fn ready(&self) -> (bool, &'static str);
    /// All metrics in Prometheus' text format.
    fn metrics(&self) -> String;
    /// Where operators expect the control plane's API at this address: why it is not there.
    fn api_away(&self) -> Option<&'static str> {
        None
    }
}

/// Why the listener cannot be had.
#[derive(Debug, Error)]
pub enum AdminError {
    #[error(
        "admin address {address} is not loopback: that needs TLS, which the admin listener does not speak yet"
    )]
    NotLoopback { address: SocketAddr },
    #[error("cannot listen on admin address {address}: {reason}")]
    Listen {
        address: SocketAddr,
        reason: io::Error,
    },
}

/// A running listener; it ends when this value is dropped.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Listens on `address` (port 0: one the kernel picks) from a thread of its own.
    pub fn start(address: SocketAddr, state: Arc<dyn AdminState>) -> Result<Self, AdminError> {
        if !address.ip().is_loopback() {
            return Err(AdminError::NotLoopback { address });
        }
        let failed = |reason| AdminError::Listen { address, reason };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || {
                runtime.block_on(async move {
                    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                        return;
                    };
                    tokio::select! {
                        () = serve(listener, router(state)) => {}
                        _ = stopped => {}
                    }
                });
            });
        let thread = thread.map_err(failed)?;
        Ok(Self {
            address: bound,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves until it is dropped.
async fn serve(listener: tokio::net::TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let service = TowerToHyperService::new(router);
    let mut connections = JoinSet::new();
    while let Ok(permit) = room.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "an admin connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        connections.spawn(async move {
            // an error is the client's: it hung up, or sent what is no request
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
            drop(permit);
        });
    }
}

fn router(state: Arc<dyn AdminState>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

async fn readyz(State(state): State<Arc<dyn AdminState>>) -> Response {
    let (ready, word) = state.ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{word}\n")).into_response()
}

async fn metrics(State(state): State<Arc<dyn AdminState>>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        state.metrics(),
    )
        .into_response()
}

async fn not_found(State(state): State<Arc<dyn AdminState>>, uri: Uri) -> Response {
    if let Some(reason) = state.api_away().filter(|_| uri.path().starts_with("/v1/")) {
        return error(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    error(
        StatusCode::NOT_FOUND,
        &format!("there is nothing at {}", uri.path()),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("{} does not take {method}", uri.path()),
    )
}

fn error(status: StatusCode, reason: &str) -> Response {
    (status, axum::Json(json!({ "error": reason }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    struct Fixed(bool);
    impl AdminState for Fixed {
        fn ready(&self) -> (bool, &'static str) {
            (self.0, if self.0 { "ready" } else { "draining" })
        }
        fn metrics(&self) -> String {
            "seawall_x 1\n".into()
        }
    }

    fn ask(server: &AdminServer, line: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn start(ready: bool) -> AdminServer {
        AdminServer::start("127.0.0.1:0".parse().unwrap(), Arc::new(Fixed(ready))).unwrap()
    }

    #[test]
    fn health_readiness_and_metrics_are_told_without_a_token() {
        let server = start(true);
        assert!(ask(&server, "GET /healthz").starts_with("HTTP/1.1 200"));
        assert!(ask(&server, "GET /readyz").ends_with("ready\n"));
        assert!(ask(&server, "GET /metrics").ends_with("seawall_x 1\n"));
    }

    #[test]
    fn a_draining_node_is_not_ready_and_unknown_paths_and_methods_say_so() {
        let server = start(false);
        assert!(ask(&server, "GET /readyz").starts_with("HTTP/1.1 503"));
        assert!(ask(&server, "GET /nothing").contains("there is nothing at /nothing"));
        assert!(ask(&server, "DELETE /metrics").starts_with("HTTP/1.1 405"));
    }

    #[test]
    fn connections_that_say_nothing_are_bounded_and_their_places_come_back() {
        let server = start(true);
        let silent: Vec<TcpStream> = (0..CONNECTIONS_MAX)
            .map(|_| TcpStream::connect(server.address()).unwrap())
            .collect();
        let mut further = TcpStream::connect(server.address()).unwrap();
        further
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        further
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut byte = [0];
        assert!(further.read(&mut byte).is_err(), "it waits");
        drop(silent);
        further.set_read_timeout(None).unwrap();
        let mut answer = String::new();
        further.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[test]
    fn an_address_that_is_not_loopback_is_refused() {
        let address = "0.0.0.0:0".parse().unwrap();
        let refused = AdminServer::start(address, Arc::new(Fixed(true)));
        assert!(matches!(refused, Err(AdminError::NotLoopback { .. })));
    }
}
