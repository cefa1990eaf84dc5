//! Workers: one thread, one runtime and one socket of each address for each; and how they end.

use crate::ShutdownWatch;
use crate::conn::Conn;
use crate::exchange::Handler;
use crate::h1;
use crate::info::{ConnInfo, PeerIdentity, Protocol, Scheme};
use crate::io::{Io, Stream};
use crate::limits::ConnLimits;
use crate::listener::Bound;
use crate::tls::TlsSettings;
use parking_lot::{Condvar, Mutex};
use seawall_telemetry::Metrics;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// One address to listen on.
#[derive(Debug)]
pub struct Listen {
    pub bound: Bound,
    pub tls: Option<Arc<TlsSettings>>,
}

#[derive(Debug)]
pub struct ServerSpec {
    pub listens: Vec<Listen>,
    /// Threads; each has its own runtime.
    pub workers: usize,
    pub limits: Arc<ConnLimits>,
    pub metrics: Arc<Metrics>,
}

/// Running workers.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    /// Dropped to end the runtimes.
    end: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    open: AtomicUsize,
    /// Taken and told when the last connection has closed.
    closed: (Mutex<()>, Condvar),
    limits: Arc<ConnLimits>,
    metrics: Arc<Metrics>,
}

/// Counts a connection while it lives.
struct Open {
    shared: Arc<Shared>,
    _gauge: seawall_telemetry::InFlight,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.shared.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            // under the lock: who looked before and is about to wait does not miss it
            let _told = self.shared.closed.0.lock();
            self.shared.closed.1.notify_all();
        }
    }
}

/// Starts the workers; they accept at once.
pub fn start<H: Handler>(spec: ServerSpec, handler: &Arc<H>) -> io::Result<Server> {
    let (stop, stopping) = watch::channel(false);
    let (end, ending) = watch::channel(false);
    let shared = Arc::new(Shared {
        open: AtomicUsize::new(0),
        closed: (Mutex::new(()), Condvar::new()),
        limits: spec.limits,
        metrics: spec.metrics,
    });
    let addresses = spec.listens.iter().map(|l| l.bound.address()).collect();
    let workers = spec.workers.max(1);
    let mut sockets: Vec<Vec<(std::net::TcpListener, Option<Arc<TlsSettings>>)>> =
        (0..workers).map(|_| Vec::new()).collect();
    for listen in spec.listens {
        for (index, socket) in listen.bound.into_listeners().into_iter().enumerate() {
            sockets[index % workers].push((socket, listen.tls.clone()));
        }
    }
    let mut threads = Vec::new();
    for (index, sockets) in sockets.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (shared, handler) = (shared.clone(), handler.clone());
        let (stopping, mut ending) = (stopping.clone(), ending.clone());
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                runtime.block_on(async move {
                    for (socket, tls) in sockets {
                        let accept = accept(
                            socket,
                            tls,
                            shared.clone(),
                            handler.clone(),
                            stopping.clone(),
                        );
                        tokio::spawn(accept);
                    }
                    // true, or its sender is gone
                    let _ = ending.wait_for(|end| *end).await;
                });
            })?;
        threads.push(thread);
    }
    Ok(Server {
        addresses,
        stop,
        shared,
        end,
        threads,
    })
}

/// What the accept loop waits after an error that is its own (out of files), before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

async fn accept<H: Handler>(
    socket: std::net::TcpListener,
    tls: Option<Arc<TlsSettings>>,
    shared: Arc<Shared>,
    handler: Arc<H>,
    mut stopping: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listening socket cannot be used");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        shared.metrics.connections.inc();
        if shared.open.fetch_add(1, Ordering::AcqRel) >= shared.limits.connections_max {
            shared.open.fetch_sub(1, Ordering::AcqRel);
            shared.metrics.connections_refused.inc();
            continue;
        }
        let open = Open {
            shared: shared.clone(),
            _gauge: shared.metrics.connections_open.guard(),
        };
        let (tls, handler, stopping) = (tls.clone(), handler.clone(), stopping.clone());
        tokio::spawn(async move {
            run(stream, peer, tls, handler, stopping, &open.shared).await;
            drop(open);
        });
    }
}

async fn run<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<TlsSettings>>,
    handler: Arc<H>,
    stopping: watch::Receiver<bool>,
    shared: &Arc<Shared>,
) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok()?;
    let mut info = ConnInfo {
        peer,
        local,
        scheme: Scheme::Http,
        protocol: Protocol::Http1,
        client_identity: None,
    };
    let io = match tls {
        None => Io::Tcp(stream),
        Some(settings) => {
            let handshake = TlsAcceptor::from(settings.current()).accept(stream);
            match pingora_timeout::timeout(shared.limits.handshake_timeout, handshake).await {
                Ok(Ok(tls)) => {
                    info.scheme = Scheme::Https;
                    let certificates = tls.get_ref().1.peer_certificates();
                    info.client_identity =
                        certificates
                            .and_then(|chain| chain.first())
                            .map(|leaf| PeerIdentity {
                                certificate: leaf.to_vec(),
                            });
                    Io::Tls(Box::new(tls))
                }
                Ok(Err(_)) | Err(_) => {
                    shared.metrics.tls_failures.inc();
                    return None;
                }
            }
        }
    };
    let conn = Conn::new(io, peer, local, shared.limits.clone());
    h1::serve(conn, handler, Arc::new(info), stopping).await
}

/// Serves one HTTP connection over a stream that somebody else accepted, on the runtime of the caller, until it ends or
/// `stop` turns true. `info` says what is known of it; it is not counted. For specs, whose nodes meet in memory.
pub async fn serve<H: Handler>(
    stream: Box<dyn Stream>,
    info: ConnInfo,
    limits: Arc<ConnLimits>,
    handler: Arc<H>,
    stop: ShutdownWatch,
) {
    let conn = Conn::new(Io::Other(stream), info.peer, info.local, limits);
    // either way it has ended
    let _ = h1::serve(conn, handler, Arc::new(info), stop).await;
}

impl Server {
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Acquire)
    }

    /// Accepts no more, lets what runs finish for at most `grace`, then ends. True: everything finished. Blocks.
    pub fn drain(self, grace: Duration) -> bool {
        let _ = self.stop.send(true);
        let finished = self.wait_closed(Instant::now() + grace);
        let _ = self.end.send(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
        finished
    }

    fn wait_closed(&self, deadline: Instant) -> bool {
        let mut told = self.shared.closed.0.lock();
        while self.open() > 0 {
            if self
                .shared
                .closed
                .1
                .wait_until(&mut told, deadline)
                .timed_out()
            {
                return self.open() == 0;
            }
        }
        true
    }
}
