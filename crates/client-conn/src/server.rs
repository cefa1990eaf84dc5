//! Workers: one thread, one runtime and one socket of each address for each; and how they end.

use crate::ShutdownWatch;
use crate::accept::{Door, accept};
use crate::conduct::Conduct;
use crate::conn::Conn;
use crate::exchange::Handler;
use crate::h1::{self, Begun};
use crate::info::ConnInfo;
use crate::io::{Io, Stream};
use crate::limits::ConnLimits;
use crate::listener::Bound;
use crate::open::Shared;
use crate::tls::TlsSettings;
use seawall_telemetry::Metrics;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

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

/// Starts the workers; they accept at once.
pub fn start<H: Handler>(spec: ServerSpec, handler: &Arc<H>) -> io::Result<Server> {
    let (stop, stopping) = watch::channel(false);
    let (end, ending) = watch::channel(false);
    let shared = Shared::new(spec.limits, spec.metrics);
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
                        let door = Door {
                            tls,
                            shared: shared.clone(),
                            handler: handler.clone(),
                            stopping: stopping.clone(),
                        };
                        tokio::spawn(accept(socket, door));
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

/// Serves one HTTP connection over a stream that somebody else accepted, on the runtime of the caller, until it ends or
/// `stop` turns true. `info` says what is known of it; it is not counted. For specs, whose nodes meet in memory.
pub async fn serve<H: Handler>(
    stream: Box<dyn Stream>,
    info: ConnInfo,
    limits: Arc<ConnLimits>,
    handler: Arc<H>,
    stop: ShutdownWatch,
) {
    let (io, conduct) = (Io::Other(stream), Conduct::default());
    let conn = Conn::new(io, info.peer, info.local, limits, conduct);
    // either way it has ended
    let _ = h1::serve(conn, handler, Arc::new(info), stop, Begun::default()).await;
}

impl Server {
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.open()
    }

    /// Accepts no more, lets what runs finish for at most `grace`, then ends. True: everything finished. Blocks.
    pub fn drain(self, grace: Duration) -> bool {
        let _ = self.stop.send(true);
        let finished = self.shared.wait_closed(Instant::now() + grace);
        let _ = self.end.send(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
        finished
    }
}
