//! A running control plane.

use crate::api::{Host, router};
use crate::handshakes::{self, Bounds};
use crate::members::MEMBERS_MAX;
use crate::plane::{Plane, unix_ms};
use crate::serve::{self, Held};
use crate::store::OpenError;
use crate::store::{SqliteStore, Store, StoreError};
use crate::sync::NodeService;
use crate::tls::{self, SyncTls, TlsError, TlsSettings};
use crate::tokens::{Role, TokenError};
use futures::Stream;
use seawall_control_protocol::MESSAGE_BYTES_MAX;
use seawall_control_protocol::map::ShieldEntry;
use seawall_control_protocol::wire::node_control_server::NodeControlServer;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Server;

/// The store's file in the data directory.
pub const STORE_FILE: &str = "control-plane.db";
/// The first token's file there.
pub const TOKEN_FILE: &str = "operator.token";
const THREADS: usize = 2;
/// Connections of nodes at a time: one for each member, some that are on their way out, and handshakes of strangers.
const NODES_MAX: usize = MEMBERS_MAX + 1024;
/// TLS handshakes at a time: half of the room that members leave.
const HANDSHAKES_MAX: usize = 512;
/// A TLS handshake that takes longer ends its connection.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long answers under way may take when the control plane ends.
const STOP_MAX: Duration = Duration::from_secs(2);

/// What a control plane is started with.
pub struct ControlPlaneSpec {
    pub data: PathBuf,
    /// Where nodes connect; port 0: one that is free.
    pub sync: SocketAddr,
    /// The API. Loopback.
    pub admin: SocketAddr,
    /// What nodes show on links without TLS.
    pub secret: Option<String>,
    /// Nodes are met with this certificate, and show theirs (PEM files).
    pub tls: Option<SyncTls>,
    /// The shields that edges are told of; `None`: their own files say.
    pub shields: Option<Vec<ShieldEntry>>,
    /// The length of nodes' leases.
    pub lease: Duration,
    pub host: Arc<dyn Host>,
}

/// What a running control plane takes anew; see [`ControlPlane::reload`].
#[derive(Clone, Debug)]
pub struct Reload {
    /// `None`: the certificates stay as they are.
    pub tls: Option<SyncTls>,
    /// The shields that edges are told of; `None`: their own files say.
    pub shields: Option<Vec<ShieldEntry>>,
}

/// Why a reload was refused; one line. The old state is in force.
#[derive(Debug, Error)]
pub enum ReloadError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the shields cannot be stored: {0}")]
    Shields(StoreError),
}

/// Why a control plane cannot start; one line.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("data directory {path} cannot be written: {source}")]
    Data { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the admin address {0} is not loopback: that needs TLS, which it does not speak yet")]
    NotLoopback(SocketAddr),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the operator's token cannot be made: {0}")]
    Token(String),
    #[error("threads cannot be started: {0}")]
    Threads(io::Error),
}

/// A running control plane; it ends when this value is dropped.
pub struct ControlPlane {
    plane: Arc<Plane>,
    sync: SocketAddr,
    admin: SocketAddr,
    /// `None`: nodes show the fleet's secret.
    tls: Option<Arc<TlsSettings>>,
    serving: JoinSet<()>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl ControlPlane {
    /// Opens the store, which is checked first, and serves when this returns. Blocks for a moment.
    pub fn start(spec: ControlPlaneSpec) -> Result<Self, StartError> {
        if !spec.admin.ip().is_loopback() {
            return Err(StartError::NotLoopback(spec.admin));
        }
        let data = |source| StartError::Data {
            path: spec.data.clone(),
            source,
        };
        fs::create_dir_all(&spec.data).map_err(data)?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&spec.data.join(STORE_FILE))?);
        let (sync, sync_address) = listen(spec.sync)?;
        let (admin, admin_address) = listen(spec.admin)?;
        let tls = spec.tls.as_ref().map(TlsSettings::new).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("control-plane")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let plane = runtime
            .block_on(Plane::open(store, spec.shields.as_deref(), spec.lease))
            .map_err(|error| match error {
                // what the store's own check cannot see: it is restored in the same way
                StoreError::Corrupt(reason) => StartError::Open(OpenError::Damaged {
                    path: spec.data.join(STORE_FILE),
                    reason,
                }),
                error => StartError::Store(error),
            })?;
        let plane = Arc::new(plane);
        runtime.block_on(operator_token(&plane, &spec.data.join(TOKEN_FILE)))?;

        let stopped = plane.ending.subscribe();
        let secret = spec.secret.filter(|_| tls.is_none());
        let service = NodeService::new(plane.clone(), secret);
        let (nodes, operators) = {
            let _inside = runtime.enter();
            let listener = |std| tokio::net::TcpListener::from_std(std);
            (
                listener(sync).map_err(StartError::Threads)?,
                listener(admin).map_err(StartError::Threads)?,
            )
        };
        let mut serving = JoinSet::new();
        let ended = stopped.clone();
        match &tls {
            Some(tls) => {
                let bounds = Bounds {
                    connections: NODES_MAX,
                    handshakes: HANDSHAKES_MAX,
                    each: HANDSHAKE_MAX,
                };
                let metrics = plane.metrics.clone();
                let nodes = handshakes::verified(nodes, bounds, tls.clone(), metrics);
                serving.spawn_on(serve_nodes(service, nodes, ended), runtime.handle());
            }
            None => {
                let nodes = serve::plain(nodes, NODES_MAX);
                serving.spawn_on(serve_nodes(service, nodes, ended), runtime.handle());
            }
        }
        let router = router(plane.clone(), spec.host);
        serving.spawn_on(
            serve::operators(operators, router, stopped.clone()),
            runtime.handle(),
        );
        runtime.spawn(keep_positions(plane.clone()));
        runtime.spawn(tell_of_leases(plane.clone()));
        Ok(Self {
            plane,
            sync: sync_address,
            admin: admin_address,
            tls,
            serving,
            runtime: Some(runtime),
        })
    }

    /// Where nodes connect.
    pub fn sync_address(&self) -> SocketAddr {
        self.sync
    }

    /// Where operators are answered.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Takes certificates and shields anew, all of it or nothing. Connections that begin from now on are met with these
    /// certificates and held against this authority; those that are there go on. Where nodes are met without TLS,
    /// certificates are looked at and not used.
    pub fn reload(&mut self, anew: &Reload) -> Result<(), ReloadError> {
        let done = self.try_reload(anew);
        match done {
            Ok(()) => self.plane.metrics.reloads_ok.inc(),
            Err(_) => self.reload_refused(),
        }
        done
    }

    fn try_reload(&mut self, anew: &Reload) -> Result<(), ReloadError> {
        let config = anew.tls.as_ref().map(tls::read).transpose()?;
        // the last thing that can fail
        if let Some(set) = self.block_on(self.plane.shields.set(anew.shields.as_deref())) {
            set.map_err(ReloadError::Shields)?;
        }
        if let (Some(tls), Some(config)) = (&self.tls, config) {
            tls.replace(config);
        }
        Ok(())
    }

    /// Counts a reload whose file was refused before it came here.
    pub fn reload_refused(&self) {
        self.plane.metrics.reloads_refused.inc();
    }

    /// Runs something of the plane's to its end, from outside of any runtime.
    pub fn block_on<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        self.runtime.as_ref().map(|runtime| runtime.block_on(what))
    }
}

impl Drop for ControlPlane {
    /// Answers under way get `STOP_MAX`; then positions are kept.
    fn drop(&mut self) {
        let _ = self.plane.ending.send(true);
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        runtime.block_on(async {
            let ended = async { while self.serving.join_next().await.is_some() {} };
            if tokio::time::timeout(STOP_MAX, ended).await.is_err() {
                tracing::info!("answers under way are cut: the control plane ends");
            }
            let kept = tokio::time::timeout(STOP_MAX, self.plane.members.keep_positions()).await;
            if !matches!(kept, Ok(Ok(()))) {
                tracing::warn!("positions of nodes could not be kept");
            }
        });
        runtime.shutdown_timeout(STOP_MAX);
    }
}

/// Serves nodes until `stopped`, and what is under way then to its end.
async fn serve_nodes<S>(
    service: NodeService,
    connections: impl Stream<Item = io::Result<Held<S>>>,
    mut stopped: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = NodeControlServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let served = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .add_service(service)
        .serve_with_incoming_shutdown(connections, async move {
            serve::ended(&mut stopped).await;
        });
    if let Err(error) = served.await {
        tracing::error!(%error, "nodes are not served any more");
    }
}

/// A control plane that is killed knows where the nodes were a minute ago.
async fn keep_positions(plane: Arc<Plane>) {
    let mut every = tokio::time::interval(Duration::from_mins(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Err(error) = plane.members.keep_positions().await {
            tracing::warn!(%error, "positions of nodes could not be kept");
        }
        if let Err(error) = plane.leases.settle().await {
            tracing::warn!(%error, "that longer leases have ended could not be kept");
        }
    }
}

/// Events only: nothing is decided by them.
async fn tell_of_leases(plane: Arc<Plane>) {
    let mut every = tokio::time::interval(Duration::from_millis(500));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = BTreeMap::new();
    loop {
        every.tick().await;
        plane.tell_of_leases(&mut told);
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Makes the operator's first token, and a new one where the file is gone or its token was revoked. Only the owner can
/// read the file.
async fn operator_token(plane: &Plane, path: &Path) -> Result<(), StartError> {
    let failed = |reason: String| StartError::Token(format!("{}: {reason}", path.display()));
    if let Ok(text) = fs::read_to_string(path)
        && plane.tokens.caller(text.trim()).is_some()
    {
        return Ok(());
    }
    let made = plane
        .tokens
        .create("operator", Role::Admin, unix_ms())
        .await;
    let (_, text) = made.map_err(|error| match error {
        TokenError::Store(error) => StartError::Store(error),
        other => failed(other.to_string()),
    })?;
    let put = || {
        let new = path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    put().map_err(|error| failed(error.to_string()))
}
