//! Sockets, certificates, limits and log of a node, from what an operator typed.

use seawall_client_conn::{
    Bound, CertFiles, ClientAuth, ConnLimits, Listen, TlsError, TlsSettings, bind,
};
use seawall_config::{ConnModel, FleetModel, ListenModel, LogTo, NodeModel};
use seawall_telemetry::{AccessLog, Destination, Metrics};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// Why a node cannot listen; one line.
#[derive(Debug, Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        address: SocketAddr,
        reason: io::Error,
    },
    #[error("listen address {address}: {reason}")]
    Tls {
        address: SocketAddr,
        reason: TlsError,
    },
    #[error("access log {path} cannot be opened: {reason}")]
    AccessLog { path: PathBuf, reason: io::Error },
}

/// What has to be remembered of a node's listeners for a reload.
#[derive(Debug)]
pub struct Listening {
    tls: Vec<(SocketAddr, Arc<TlsSettings>)>,
}

/// Certificates and what clients must show, of one address. `None`: plain.
fn settings(listen: &ListenModel, fleet: &FleetModel) -> Option<(Vec<CertFiles>, ClientAuth)> {
    match (&fleet.tls, listen.fleet_tls) {
        (Some(tls), true) => {
            let cert = CertFiles {
                cert: tls.cert.clone(),
                key: tls.key.clone(),
                names: Vec::new(),
            };
            Some((vec![cert], ClientAuth::Required(tls.ca.clone())))
        }
        _ if listen.certificates.is_empty() => None,
        _ => {
            let certs = listen.certificates.iter().map(|c| CertFiles {
                cert: c.cert.clone(),
                key: c.key.clone(),
                names: c.names.clone(),
            });
            Some((certs.collect(), ClientAuth::None))
        }
    }
}

impl Listening {
    /// Reads certificates and binds every address of `node`; the sockets do not accept yet.
    pub fn bind(node: &NodeModel) -> Result<(Self, Vec<Listen>), ListenError> {
        let (mut listens, mut kept) = (Vec::new(), Vec::new());
        for one in &node.listen {
            let address = one.address;
            let tls = settings(one, &node.fleet)
                .map(|(certs, clients)| TlsSettings::new(&certs, &clients))
                .transpose()
                .map_err(|reason| ListenError::Tls { address, reason })?;
            let bound: Bound = bind(address, node.workers)
                .map_err(|reason| ListenError::Bind { address, reason })?;
            if let Some(tls) = &tls {
                kept.push((address, tls.clone()));
            }
            listens.push(Listen { bound, tls });
        }
        Ok((Self { tls: kept }, listens))
    }

    /// Reads the certificates of `node` anew: all of them are good, or nothing changes. Addresses stay as they are; one
    /// that was added or that changes between plain and TLS needs a restart.
    pub fn reload(&self, node: &NodeModel) -> Result<(), ListenError> {
        let find = |address| node.listen.iter().find(|l| l.address == address);
        let wanted = self.tls.iter().filter_map(|(address, tls)| {
            let (certs, clients) = settings(find(*address)?, &node.fleet)?;
            Some((*address, tls, certs, clients))
        });
        let wanted: Vec<_> = wanted.collect();
        // tried first, so that a bad file among good ones changes nothing
        for (address, _, certs, clients) in &wanted {
            TlsSettings::new(certs, clients).map_err(|reason| ListenError::Tls {
                address: *address,
                reason,
            })?;
        }
        for (address, tls, certs, clients) in &wanted {
            tls.reload(certs, clients)
                .map_err(|reason| ListenError::Tls {
                    address: *address,
                    reason,
                })?;
        }
        Ok(())
    }
}

/// The bounds of client connections.
pub fn limits(model: &ConnModel) -> ConnLimits {
    ConnLimits {
        head_bytes_max: model.head_max.0 as usize,
        target_bytes_max: model.target_max.0 as usize,
        head_timeout: model.head_timeout,
        idle_timeout: model.idle_timeout,
        body_idle_timeout: model.body_timeout,
        write_idle_timeout: model.write_timeout,
        connections_max: model.connections_max as usize,
        ..ConnLimits::default()
    }
}

/// Opens the access log that `node` asks for.
pub fn access_log(
    node: &NodeModel,
    metrics: &Metrics,
) -> Result<Option<Arc<AccessLog>>, ListenError> {
    let Some(model) = &node.access_log else {
        return Ok(None);
    };
    let (to, path) = match &model.to {
        LogTo::Stdout => (Destination::Stdout, PathBuf::from("stdout")),
        LogTo::File(path) => (Destination::File(path.clone()), path.clone()),
    };
    AccessLog::open(to, model.queue, metrics.access_log_dropped.clone())
        .map(|log| Some(Arc::new(log)))
        .map_err(|reason| ListenError::AccessLog { path, reason })
}
