//! The servers of a node, and the proxy that asks them.

use crate::app::App;
use crate::ask::Ask;
use crate::dial::{Dial, Dialler};
use crate::idle::Idle;
use crate::origins::{Ready, origins};
use crate::resolve::Dns;
use crate::target::{Target, TargetError, TargetSpec};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use seawall_client_conn::{ClientSession, ShutdownWatch, Wire};
use seawall_service_model::Service;
use seawall_telemetry::Metrics;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// Idle connections kept for all servers together, by either way.
const POOL_MAX: usize = 1024;
/// pingora's own bound on attempts; an [`Ask`]'s is the one that counts.
const ATTEMPTS_MAX: usize = 16;

#[derive(Debug, Error)]
pub enum UpstreamError {
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// All that a node asks through.
pub struct Upstream {
    proxy: Arc<HttpProxy<App>>,
    pub(crate) metrics: Arc<Metrics>,
    /// What the shorter way connects by, and the connections it keeps.
    pub(crate) connector: TransportConnector,
    pub(crate) idle: Arc<Idle>,
    targets: Mutex<HashMap<TargetSpec, Arc<Target>>>,
    /// The origins of services in force.
    pub(crate) ready: ArcSwap<Ready>,
    dns: Arc<Dns>,
    dialler: Option<Arc<Dialler>>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

impl Upstream {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Self::with_dialler(metrics, None)
    }

    /// The same, but that all connections are opened by `dial`.
    pub fn dialled_by(metrics: Arc<Metrics>, dial: Arc<dyn Dial>) -> Arc<Self> {
        Self::with_dialler(metrics, Some(Arc::new(Dialler(dial))))
    }

    fn with_dialler(metrics: Arc<Metrics>, dialler: Option<Arc<Dialler>>) -> Arc<Self> {
        let conf = Arc::new(ServerConf {
            max_retries: ATTEMPTS_MAX,
            upstream_keepalive_pool_size: POOL_MAX,
            ..ServerConf::default()
        });
        Arc::new(Self {
            connector: TransportConnector::new(Some(ConnectorOptions::from_server_conf(&conf))),
            idle: Idle::new(POOL_MAX),
            metrics: metrics.clone(),
            proxy: Arc::new(http_proxy(&conf, App { metrics })),
            targets: Mutex::default(),
            ready: ArcSwap::default(),
            dns: Arc::default(),
            dialler,
        })
    }

    /// The server that `spec` describes. Equal specs are one server: one health, one pool.
    pub fn target(&self, spec: TargetSpec) -> Result<Arc<Target>, TargetError> {
        let mut targets = self.targets.lock();
        if let Some(target) = targets.get(&spec) {
            return Ok(target.clone());
        }
        let group = targets.len() as u64 + 1;
        let target = Arc::new(Target::new(
            spec.clone(),
            self.dns.clone(),
            group,
            self.dialler.clone(),
        )?);
        targets.insert(spec, target.clone());
        Ok(target)
    }

    /// Makes sure that every origin of `services` can be spoken to: their certificate files are read. These services are
    /// those that are asked for from now on.
    pub fn prepare<'s>(
        &self,
        services: impl Iterator<Item = &'s Arc<Service>>,
    ) -> Result<(), TargetError> {
        let mut ready = Ready::default();
        for service in services {
            ready.put(service, origins(self, service)?);
        }
        self.ready.store(Arc::new(ready));
        Ok(())
    }

    /// Runs one exchange; its answer, or an error answer of ours, is written to `session`.
    pub async fn exchange<W: Wire>(
        &self,
        mut session: ClientSession<W>,
        ask: Arc<Ask>,
        stop: &ShutdownWatch,
    ) {
        session.request_mut().extensions_mut().insert(ask);
        let session = ServerSession::new_custom(Box::new(session));
        // a custom session never comes back from here: its wire is put into its slot when it is dropped
        let _ = self.proxy.process_new_http(session, stop).await;
    }

    /// Ends what the proxy keeps running.
    pub async fn cleanup(&self) {
        self.idle.clear();
        self.proxy.http_cleanup().await;
    }
}
