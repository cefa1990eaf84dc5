//! One server: its addresses, their health, how it is spoken to.

use crate::dial::Dialler;
use crate::health::Health;
use crate::resolve::{Dns, Name};
use crate::tls;
use pingora::upstreams::peer::HttpPeer;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::CertKey;
use seawall_service_model::Timeouts;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use thiserror::Error;

/// What makes a server that server: equal ones share connections and health.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetSpec {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub tls: Option<TargetTls>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetTls {
    pub sni: String,
    pub verify: bool,
    /// Authorities (PEM); the system's where `None`.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key (PEM) that this node shows.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why a server cannot be spoken to; one line with the file.
#[derive(Clone, Debug, Error)]
pub enum TargetError {
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
}

/// A server in use.
#[derive(Debug)]
pub struct Target {
    spec: TargetSpec,
    name: Name,
    pub(crate) health: Health,
    ca: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
    turn: AtomicUsize,
    /// Keeps pooled connections of targets apart that differ in more than their address.
    pub(crate) group: u64,
    /// How connections are opened; `None`: by TCP.
    dialler: Option<Arc<Dialler>>,
}

impl Target {
    pub(crate) fn new(
        spec: TargetSpec,
        dns: Arc<Dns>,
        group: u64,
        dialler: Option<Arc<Dialler>>,
    ) -> Result<Self, TargetError> {
        let (mut ca, mut client) = (None, None);
        if let Some(tls) = &spec.tls {
            ca = tls.ca_file.as_deref().map(tls::authorities).transpose()?;
            client = tls
                .client
                .as_ref()
                .map(|(c, k)| tls::client_certificate(c, k))
                .transpose()?;
        }
        Ok(Self {
            name: Name::new(dns, &spec.host),
            spec,
            health: Health::default(),
            ca,
            client,
            turn: AtomicUsize::new(0),
            group,
            dialler,
        })
    }

    pub fn spec(&self) -> &TargetSpec {
        &self.spec
    }

    /// All addresses, well ones first; among those each takes its turn to be the first.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let found = self.name.addresses().await?;
        let now = Instant::now();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % found.len().max(1);
        let mut addresses: Vec<SocketAddr> = found
            .iter()
            .map(|ip| SocketAddr::new(*ip, self.spec.port))
            .collect();
        addresses.rotate_left(turn);
        addresses.sort_by_key(|address| !self.health.is_well(address, now));
        Ok(addresses)
    }

    pub(crate) fn peer(&self, address: SocketAddr, timeouts: &Timeouts) -> HttpPeer {
        let sni = self
            .spec
            .tls
            .as_ref()
            .map(|t| t.sni.clone())
            .unwrap_or_default();
        let mut peer = HttpPeer::new(address, self.spec.tls.is_some(), sni);
        peer.group_key = self.group;
        peer.client_cert_key.clone_from(&self.client);
        let options = &mut peer.options;
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.tls.max(timeouts.connect));
        options.read_timeout = Some(timeouts.read);
        options.write_timeout = Some(timeouts.write);
        options.idle_timeout = Some(timeouts.idle);
        options.ca.clone_from(&self.ca);
        options.custom_l4 = self.dialler.clone().map(|dialler| dialler as _);
        if let Some(tls) = &self.spec.tls {
            options.verify_cert = tls.verify;
            options.verify_hostname = tls.verify;
        }
        options.http_upstream_request_policy.h1_upgrade =
            pingora::upstreams::peer::H1UpgradePolicy::WebSocketOnly;
        peer
    }
}
