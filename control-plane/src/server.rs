//! A running control plane.

use crate::api::{Host, router};
use crate::members::MEMBERS_MAX;
use crate::plane::{Plane, unix_ms};
use crate::serve;
use crate::store::OpenError;
use crate::store::{SqliteStore, Store, StoreError};
use crate::sync::NodeService;
use crate::tokens::{Role, TokenError};
use seawall_control_protocol::MESSAGE_BYTES_MAX;
use seawall_control_protocol::map::ShieldEntry;
use seawall_control_protocol::wire::node_control_server::NodeControlServer;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// The store's file in the data directory.
pub const STORE_FILE: &str = "control-plane.db";
/// The first token's file there.
pub const TOKEN_FILE: &str = "operator.token";
const THREADS: usize = 2;
/// Connections of nodes at a time: one for each member, and some that are on their way out.
const NODES_MAX: usize = MEMBERS_MAX + 1024;
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
    pub host: Arc<dyn Host>,
}

/// The fleet's certificates.
#[derive(Clone, Debug)]
pub struct SyncTls {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
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
    #[error("{path} cannot be read: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the certificates of the fleet cannot be used: {0}")]
    Tls(String),
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
        let tls = spec.tls.as_ref().map(server_tls).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("control-plane")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let plane = runtime
            .block_on(Plane::open(store, spec.shields.as_deref()))
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
        let secret = spec.secret.filter(|_| spec.tls.is_none());
        let service = NodeControlServer::new(NodeService::new(plane.clone(), secret))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut server = Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .http2_keepalive_timeout(Some(Duration::from_secs(5)));
        if let Some(tls) = tls {
            server = server
                .tls_config(tls)
                .map_err(|error| StartError::Tls(error.to_string()))?;
        }
        let (nodes, operators) = {
            let _inside = runtime.enter();
            let listener = |std| tokio::net::TcpListener::from_std(std);
            (
                listener(sync).map_err(StartError::Threads)?,
                listener(admin).map_err(StartError::Threads)?,
            )
        };
        let mut serving = JoinSet::new();
        let mut ended = stopped.clone();
        let served = server.add_service(service).serve_with_incoming_shutdown(
            serve::nodes(nodes, NODES_MAX),
            async move {
                serve::ended(&mut ended).await;
            },
        );
        let sync_served = async {
            if let Err(error) = served.await {
                tracing::error!(%error, "nodes are not served any more");
            }
        };
        serving.spawn_on(sync_served, runtime.handle());
        let router = router(plane.clone(), spec.host);
        serving.spawn_on(
            serve::operators(operators, router, stopped.clone()),
            runtime.handle(),
        );
        runtime.spawn(keep_positions(plane.clone()));
        Ok(Self {
            plane,
            sync: sync_address,
            admin: admin_address,
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

/// A control plane that is killed knows where the nodes were a minute ago.
async fn keep_positions(plane: Arc<Plane>) {
    let mut every = tokio::time::interval(Duration::from_mins(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Err(error) = plane.members.keep_positions().await {
            tracing::warn!(%error, "positions of nodes could not be kept");
        }
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn server_tls(tls: &SyncTls) -> Result<ServerTlsConfig, StartError> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|source| StartError::File {
            path: path.clone(),
            source,
        })
    };
    Ok(ServerTlsConfig::new()
        .identity(Identity::from_pem(read(&tls.cert)?, read(&tls.key)?))
        .client_ca_root(Certificate::from_pem(read(&tls.ca)?))
        .timeout(HANDSHAKE_MAX))
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
