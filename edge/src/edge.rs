//! A running edge.

use crate::follow::{EdgeFollower, MakeMap};
use crate::next_hop::{EdgeTier, ShieldEntry, ShieldMap, Shields};
use crate::purge::CHANGES_MAX;
use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;
use seawall_cache_proxy::{CacheProxy, ProxyConfig, ProxyParts};
use seawall_cache_store::{CacheStore, DiskConfig, JournalError, OpenError, Purges, StoreConfig};
use seawall_client_conn::{Server, ServerSpec, start};
use seawall_config::{DiskModel, EdgeModel, NodeModel, ShieldEntryModel};
use seawall_node::data_dir::load_or_create_secret;
use seawall_node::{
    AdminError, AdminServer, AdminState, DataDirError, ListenError, Listening, Node, SyncClient,
    SyncError, access_log, control_plane_link, follow, limits,
};
use seawall_purge::lineage::Contact;
use seawall_service_model::ServiceSet;
use seawall_telemetry::{AccessLog, Metrics, NodeKind};
use seawall_upstream::{TargetError, TargetSpec, TargetTls, Upstream};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Semaphore;

/// Why an edge cannot start, or take a reload; one line.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Data(#[from] DataDirError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Purges(#[from] JournalError),
    #[error(transparent)]
    Disk(#[from] OpenError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("workers cannot be started: {0}")]
    Workers(#[from] io::Error),
}

/// A running edge. It serves until it is drained.
pub struct Edge {
    node: Arc<Node>,
    proxy: Arc<CacheProxy>,
    tier: Arc<EdgeTier>,
    upstream: Arc<Upstream>,
    listening: Listening,
    access_log: Option<Arc<AccessLog>>,
    /// Follows the control plane for as long as it lives.
    sync: Option<SyncClient>,
    server: Server,
    admin: Option<AdminServer>,
}

/// What the admin listener tells of this node.
struct Told {
    node: Arc<Node>,
    proxy: Arc<CacheProxy>,
}

impl AdminState for Told {
    fn ready(&self) -> (bool, &'static str) {
        AdminState::ready(&*self.node)
    }

    fn metrics(&self) -> String {
        self.proxy.refresh_gauges();
        self.node.metrics().gather()
    }
}

impl Edge {
    /// Starts an edge on threads of its own; it serves when this returns. Blocks for a moment.
    pub fn start(model: &EdgeModel, services: ServiceSet) -> Result<Self, StartError> {
        let metrics = Metrics::new(NodeKind::Edge, &model.node.id);
        let node = Node::open(&model.node.id, &model.node.data, metrics.clone())?;
        let (listening, listens) = Listening::bind(&model.node)?;
        let upstream = Upstream::new(metrics.clone());
        upstream.prepare(services.services().iter())?;
        let of_file = Arc::new(shield_map(&upstream, &model.node, &model.shields)?);
        let tier = Arc::new(EdgeTier {
            map: ArcSwap::new(of_file.clone()),
            shields: Mutex::new(Shields {
                of_file,
                are_told: false,
            }),
            upstream: upstream.clone(),
            fleet_id: model.node.fleet.id.clone(),
            secret: secret(&model.node)?,
            trusted: ArcSwap::from_pointee(model.node.trusted_proxies.clone()),
            purge_allow: ArcSwap::from_pointee(model.node.purge_allow.clone()),
            purger: OnceLock::new(),
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
            metrics: metrics.clone(),
        });
        let purges = Arc::new(Purges::open(&model.node.data.join("purges"))?);
        let store = CacheStore::open(
            &StoreConfig {
                memory_bytes: model.node.memory.0,
                boot: node.boot(),
                disks: disks(&model.node),
                lineage: purges.lineage(),
                state: Some(model.node.data.join("minima")),
                ..StoreConfig::default()
            },
            &metrics,
        )?;
        let access_log = access_log(&model.node, &metrics)?;
        let parts = ProxyParts {
            tier: tier.clone(),
            services,
            purges,
            store: Arc::new(store),
            upstream: upstream.clone(),
            metrics: metrics.clone(),
            access_log: access_log.clone(),
        };
        let proxy = CacheProxy::new(parts, ProxyConfig::default());
        let told = Arc::new(Told {
            node: node.clone(),
            proxy: proxy.clone(),
        });
        let admin = model
            .node
            .admin
            .map(|address| AdminServer::start(address, told))
            .transpose()?;
        let spec = ServerSpec {
            listens,
            workers: model.node.workers,
            limits: Arc::new(limits(&model.node.conn)),
            metrics,
        };
        let sync = match control_plane_link(&model.node)? {
            Some(link) => {
                let follower = EdgeFollower {
                    node: node.clone(),
                    proxy: proxy.clone(),
                    tier: tier.clone(),
                    upstream: upstream.clone(),
                    make_map: make_map(&upstream, &model.node),
                };
                Some(follow(&node, "edge", link, Arc::new(follower))?)
            }
            None => {
                proxy.contact(Contact::None);
                node.informed();
                None
            }
        };
        if let Some(sync) = &sync {
            // the only one that sets it
            let _ = tier.purger.set(sync.purger());
        }
        let server = start(spec, &proxy)?;
        node.serving();
        Ok(Self {
            node,
            proxy,
            tier,
            upstream,
            listening,
            access_log,
            sync,
            server,
            admin,
        })
    }

    pub fn addrs(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminServer::address)
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        self.node.metrics()
    }

    /// Whether it wants traffic, and the word for it, whenever it is called.
    pub fn readiness(&self) -> Arc<dyn Fn() -> (bool, &'static str) + Send + Sync> {
        let node = self.node.clone();
        Arc::new(move || AdminState::ready(&*node))
    }

    /// Brings the gauges up to date, whenever it is called: for whoever reads the metrics of several nodes.
    pub fn gauges(&self) -> Arc<dyn Fn() + Send + Sync> {
        let proxy = self.proxy.clone();
        Arc::new(move || proxy.refresh_gauges())
    }

    /// Takes services, shields, trusted proxies and certificates anew, and opens the access log anew. All of it comes
    /// into force, or none.
    pub fn reload(&self, model: &EdgeModel, services: ServiceSet) -> Result<(), StartError> {
        let result = self.try_reload(model, services);
        let label = if result.is_ok() { "ok" } else { "refused" };
        self.node
            .metrics()
            .reloads
            .with_label_values(&[label])
            .inc();
        result
    }

    /// Counts a reload whose files were refused before they came here.
    pub fn reload_refused(&self) {
        self.node
            .metrics()
            .reloads
            .with_label_values(&["refused"])
            .inc();
    }

    fn try_reload(&self, model: &EdgeModel, services: ServiceSet) -> Result<(), StartError> {
        self.upstream.prepare(services.services().iter())?;
        let map = shield_map(&self.upstream, &model.node, &model.shields)?;
        // the last thing that can fail
        self.listening.reload(&model.node)?;
        // what the control plane tells stays in force
        self.tier.reread(map);
        if self.sync.is_none() {
            self.proxy.install_services(services);
        }
        let node = &model.node;
        self.tier
            .trusted
            .store(Arc::new(node.trusted_proxies.clone()));
        self.tier
            .purge_allow
            .store(Arc::new(node.purge_allow.clone()));
        if let Some(log) = &self.access_log {
            log.reopen();
        }
        Ok(())
    }

    /// Not ready from now on; accepts no more and lets running exchanges finish for at most `grace`. True: they did.
    pub fn drain(self, grace: Duration) -> bool {
        self.node.drain();
        let drained = self.server.drain(grace);
        // no purge is acknowledged any more when the disks are let go of
        drop(self.sync);
        self.proxy.close();
        drained
    }
}

fn disks(node: &NodeModel) -> Vec<DiskConfig> {
    let disk = |disk: &DiskModel| DiskConfig {
        path: disk.path.clone(),
        bytes: disk.size.0,
    };
    node.disks.iter().map(disk).collect()
}

fn secret(node: &NodeModel) -> Result<Option<HeaderValue>, StartError> {
    let Some(path) = &node.fleet.secret_file else {
        return Ok(None);
    };
    let secret = load_or_create_secret(path)?;
    // printable ASCII, as it was read
    Ok(HeaderValue::from_str(&secret).ok())
}

fn make_map(upstream: &Arc<Upstream>, node: &NodeModel) -> MakeMap {
    let (upstream, node) = (upstream.clone(), node.clone());
    Box::new(move |shields| {
        shield_map(&upstream, &node, shields).map_err(|error| error.to_string())
    })
}

fn shield_map(
    upstream: &Upstream,
    node: &NodeModel,
    shields: &[ShieldEntryModel],
) -> Result<ShieldMap, StartError> {
    let entry = |shield: &ShieldEntryModel| {
        let tls = shield.tls_name.as_ref().map(|name| TargetTls {
            sni: name.clone(),
            verify: true,
            ca_file: node.fleet.tls.as_ref().map(|t| t.ca.clone()),
            client: node
                .fleet
                .tls
                .as_ref()
                .map(|t| (t.cert.clone(), t.key.clone())),
        });
        let spec = TargetSpec {
            host: shield.host.clone(),
            port: shield.port,
            tls,
        };
        let target = upstream.target(spec)?;
        Ok(ShieldEntry {
            id: shield.id.clone(),
            weight: shield.weight,
            target,
        })
    };
    let entries: Result<Vec<_>, StartError> = shields.iter().map(entry).collect();
    Ok(ShieldMap::new(entries?))
}
