//! Real edges and shields in one process.

use seawall_config::node::CertificateModel;
use seawall_config::{
    ConnModel, EdgeModel, FleetModel, FleetTls, IpNet, NodeModel, ShieldEntryModel, ShieldNodeModel,
};
use seawall_edge::Edge;
use seawall_origin_shield::Shield;
use seawall_service_model::{HostPattern, Origin, Service, ServiceSet};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// What a cluster is made of. One service for every host, whose origin sees the client's Host.
pub struct ClusterSpec {
    pub edges: usize,
    /// 0: edges ask the origin.
    pub shields: usize,
    pub service: Service,
    pub conn: ConnModel,
    pub certificates: Vec<CertificateModel>,
    pub trusted_proxies: Vec<IpNet>,
    pub memory: u64,
    /// Links inside the fleet are TLS with these files; the shields' name is the second.
    pub fleet_tls: Option<(FleetTls, String)>,
}

impl ClusterSpec {
    pub fn new(origin: SocketAddr) -> Self {
        let origin = Origin {
            host: origin.ip().to_string(),
            port: origin.port(),
            tls: None,
            host_header: None,
        };
        Self {
            edges: 1,
            shields: 1,
            service: Service::new("site", vec![HostPattern::Any], origin),
            conn: ConnModel::default(),
            certificates: Vec::new(),
            trusted_proxies: Vec::new(),
            memory: 256 << 20,
            fleet_tls: None,
        }
    }

    pub fn edges(mut self, n: usize) -> Self {
        self.edges = n;
        self
    }

    pub fn shields(mut self, n: usize) -> Self {
        self.shields = n;
        self
    }

    pub fn service(mut self, change: impl FnOnce(&mut Service)) -> Self {
        change(&mut self.service);
        self
    }

    pub fn conn(mut self, change: impl FnOnce(&mut ConnModel)) -> Self {
        change(&mut self.conn);
        self
    }

    pub fn start(self) -> Cluster {
        Cluster::start(self)
    }
}

/// Running nodes; they end when this is dropped.
pub struct Cluster {
    edges: Vec<Edge>,
    shields: Vec<Option<Shield>>,
    _data: TempDir,
}

impl Cluster {
    /// One edge, one shield, one origin.
    pub fn of(origin: &crate::Origin) -> Self {
        ClusterSpec::new(origin.address()).start()
    }

    pub fn start(mut spec: ClusterSpec) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        spec.service.shield = spec.shields > 0;
        let services = || ServiceSet::new(vec![spec.service.clone()]).expect("one service");
        let node = |id: &str| {
            let fleet = FleetModel {
                id: "specs".into(),
                secret_file: spec.fleet_tls.is_none().then(|| data.path().join("secret")),
                tls: spec.fleet_tls.as_ref().map(|(tls, _)| tls.clone()),
            };
            let mut node = NodeModel::new(id, data.path().join(id), loopback, fleet);
            node.workers = 2;
            node.memory.0 = spec.memory;
            node.conn = spec.conn.clone();
            node.trusted_proxies.clone_from(&spec.trusted_proxies);
            node
        };
        let mut shields = Vec::new();
        let mut entries = Vec::new();
        for index in 0..spec.shields {
            let id = format!("shield-{index}");
            let mut node = node(&id);
            node.listen[0].fleet_tls = spec.fleet_tls.is_some();
            let model = ShieldNodeModel {
                node,
                services: Vec::new(),
            };
            let shield = Shield::start(&model, services()).expect("a shield starts");
            let address = shield.addrs()[0];
            entries.push(ShieldEntryModel {
                id,
                host: address.ip().to_string(),
                port: address.port(),
                weight: 1,
                tls_name: spec.fleet_tls.as_ref().map(|(_, name)| name.clone()),
            });
            shields.push(Some(shield));
        }
        let edges = (0..spec.edges).map(|index| {
            let mut node = node(&format!("edge-{index}"));
            node.admin = Some(loopback);
            node.listen[0].certificates.clone_from(&spec.certificates);
            let model = EdgeModel {
                node,
                services: Vec::new(),
                shields: entries.clone(),
            };
            Edge::start(&model, services()).expect("an edge starts")
        });
        Self {
            edges: edges.collect(),
            shields,
            _data: data,
        }
    }

    pub fn edge(&self, index: usize) -> SocketAddr {
        self.edges[index].addrs()[0]
    }

    pub fn admin(&self, index: usize) -> SocketAddr {
        self.edges[index].admin_addr().expect("an admin listener")
    }

    pub fn shield(&self, index: usize) -> SocketAddr {
        self.shields[index].as_ref().expect("it runs").addrs()[0]
    }

    pub fn metrics(&self, index: usize) -> String {
        self.edges[index].gauges()();
        self.edges[index].metrics().gather()
    }

    /// Ends a shield at once.
    pub fn stop_shield(&mut self, index: usize) {
        if let Some(shield) = self.shields[index].take() {
            shield.drain(Duration::ZERO);
        }
    }

    /// Ends the edges as SIGTERM does. True: everything finished within `grace`.
    pub fn drain_edges(&mut self, grace: Duration) -> bool {
        self.edges
            .drain(..)
            .map(|edge| edge.drain(grace))
            .fold(true, |all, done| all & done)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for edge in self.edges.drain(..) {
            edge.drain(Duration::ZERO);
        }
        for shield in self.shields.drain(..).flatten() {
            shield.drain(Duration::ZERO);
        }
    }
}

/// The sum of a metric's lines that have all of `labels`.
pub fn metric(text: &str, name: &str, labels: &[&str]) -> u64 {
    let values = text
        .lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{'))
        })
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>().round() as u64
}
