//! One listening socket: its connections are accepted, counted, and run as tasks of this thread.

use crate::conduct::{Conduct, count_failed};
use crate::conn::Conn;
use crate::exchange::Handler;
use crate::first::{self, First};
use crate::h1::{self, Begun};
use crate::info::{ConnInfo, PeerIdentity, Protocol, Scheme};
use crate::io::Io;
use crate::open::{Open, Shared};
use crate::tls::TlsSettings;
use rustix::net::{SocketFlags, acceptfrom_with};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What the loop waits after an error that is its own (out of files), before it tries again.
const PAUSE: Duration = Duration::from_millis(20);
/// Connections taken in one go, before the others of this thread have their turn.
const ACCEPTS_MAX: usize = 32;

/// What may wait in a connection's TLS for a client that does not read: a short body with its head, in one write.
const TLS_WAITING_BYTES_MAX: usize = 96 * 1024;

/// What the connections of a listening socket need.
pub(crate) struct Door<H: Handler> {
    pub(crate) tls: Option<Arc<TlsSettings>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) handler: Arc<H>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Accepts until the server stops.
pub(crate) async fn accept<H: Handler>(socket: TcpListener, door: Door<H>) {
    let listening = socket
        .local_addr()
        .and_then(|bound| Ok((bound, register(socket)?)));
    let (bound, listener) = match listening {
        Ok(listening) => listening,
        Err(error) => {
            tracing::error!(%error, "a listening socket cannot be used");
            return;
        }
    };
    let mut stopping = door.stopping.clone();
    let mut stopped = pin!(stopping.wait_for(|stop| *stop));
    let mut young: Vec<Young> = Vec::new();
    loop {
        let ready = tokio::select! {
            ready = listener.readable() => ready,
            _ = &mut stopped => return,
        };
        let mut ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!(%error, "a listening socket cannot be waited for");
                return;
            }
        };
        let mut then = Then::Yield;
        for _ in 0..ACCEPTS_MAX {
            match ready.try_io(|listener| take(listener.get_ref())) {
                Ok(Ok((stream, peer))) => young.extend(door.open(stream, peer)),
                // the client was gone before it was its turn
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    then = Then::Pause;
                    break;
                }
                // none waits
                Err(_) => {
                    then = Then::Wait;
                    break;
                }
            }
        }
        drop(ready);
        // not before all are taken: what they ask for arrives meanwhile
        for young in young.drain(..) {
            door.enter(young, bound);
        }
        match then {
            Then::Wait => {}
            Then::Yield => tokio::task::yield_now().await,
            Then::Pause => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What the loop does when it has taken what it could.
enum Then {
    /// Waits for another connection.
    Wait,
    /// Lets others have their turn: more may wait.
    Yield,
    /// Lets the error pass.
    Pause,
}

/// A connection that was accepted and counted.
struct Young {
    stream: TcpStream,
    peer: SocketAddr,
    open: Open,
}

#[allow(
    unsafe_code,
    reason = "tokio's own listener registers what it accepts at once; this is the binding without that"
)]
fn register(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: a standard listener owns one descriptor from its beginning to its drop, and the AsyncFd owns the listener.
    unsafe {
        Ok(AsyncFd::register_with_interest(
            listener,
            Interest::READABLE,
        )?)
    }
}

fn take(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (stream, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.map(SocketAddr::try_from).transpose()?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((stream.into(), peer))
}

impl<H: Handler> Door<H> {
    /// `None`: there are as many as there may be.
    fn open(&self, stream: TcpStream, peer: SocketAddr) -> Option<Young> {
        let open = Open::new(&self.shared)?;
        Some(Young { stream, peer, open })
    }

    fn enter(&self, young: Young, bound: SocketAddr) {
        let Young { stream, peer, open } = young;
        let info = ConnInfo {
            peer,
            local: bound,
            scheme: Scheme::Http,
            protocol: Protocol::Http1,
            client_identity: None,
        };
        let (handler, stopping) = (self.handler.clone(), self.stopping.clone());
        if let Some(tls) = &self.tls {
            let settings = tls.clone();
            tokio::spawn(async move {
                // either way it has ended
                let _ = secure(stream, info, settings, handler, stopping, &open.shared).await;
                drop(open);
            });
            return;
        }
        let limits = &self.shared.limits;
        let begun = match first::look(&stream, &*self.handler, &info, limits) {
            First::Goes(begun) => begun,
            First::Done => return,
            First::Failed(error) => return count_failed(&self.shared.metrics, &error),
        };
        tokio::spawn(async move {
            let _ = plain(stream, info, &open.shared, handler, stopping, begun).await;
            drop(open);
        });
    }
}

impl Shared {
    fn conn(&self, io: Io, info: &ConnInfo) -> Box<Conn> {
        let conduct = Conduct::counted_in(self.metrics.clone());
        Conn::new(io, info.peer, info.local, self.limits.clone(), conduct)
    }
}

/// Hands the connection to the poller, and says where it was accepted: the socket knows that better than its listener if
/// that listens to all addresses.
fn register_client(stream: TcpStream, info: &mut ConnInfo) -> io::Result<tokio::net::TcpStream> {
    if info.local.ip().is_unspecified() {
        info.local = stream.local_addr()?;
    }
    tokio::net::TcpStream::from_std(stream)
}

async fn plain<H: Handler>(
    stream: TcpStream,
    mut info: ConnInfo,
    shared: &Shared,
    handler: Arc<H>,
    stopping: watch::Receiver<bool>,
    begun: Begun,
) -> Option<()> {
    let stream = register_client(stream, &mut info).ok()?;
    let conn = shared.conn(Io::Tcp(stream), &info);
    h1::serve(conn, handler, Arc::new(info), stopping, begun).await
}

async fn secure<H: Handler>(
    stream: TcpStream,
    mut info: ConnInfo,
    settings: Arc<TlsSettings>,
    handler: Arc<H>,
    stopping: watch::Receiver<bool>,
    shared: &Shared,
) -> Option<()> {
    let stream = register_client(stream, &mut info).ok()?;
    let handshake = TlsAcceptor::from(settings.current()).accept_with(stream, |tls| {
        tls.set_buffer_limit(Some(TLS_WAITING_BYTES_MAX));
    });
    let handshake = pingora_timeout::timeout(shared.limits.handshake_timeout, handshake);
    let Ok(Ok(tls)) = Box::pin(handshake).await else {
        shared.metrics.tls_failures.inc();
        return None;
    };
    info.scheme = Scheme::Https;
    let certificates = tls.get_ref().1.peer_certificates();
    info.client_identity = certificates
        .and_then(|chain| chain.first())
        .map(|leaf| PeerIdentity {
            certificate: leaf.to_vec(),
        });
    let io = Io::Tls(Box::new(tls));
    let conn = shared.conn(io, &info);
    h1::serve(conn, handler, Arc::new(info), stopping, Begun::default()).await
}
