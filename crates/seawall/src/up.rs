//! A whole CDN in one process, of the parts and over the sockets that production uses.

use crate::cli::UpArgs;
use crate::origin::{DemoOrigin, StaticOrigin};
use anyhow::{Context, Result, bail};
use seawall_config::service::parse_origin_url;
use seawall_config::{EdgeModel, FleetModel, NodeModel, ShieldEntryModel, ShieldNodeModel};
use seawall_edge::Edge;
use seawall_node::{AdminServer, AdminState};
use seawall_origin_shield::Shield;
use seawall_service_model::{HostPattern, Origin, OriginTls, Scheme, Service, ServiceSet};
use seawall_telemetry::Metrics;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What runs.
pub struct Up {
    edges: Vec<Edge>,
    shields: Vec<Shield>,
    /// Ends when it is dropped.
    _origin: BuiltIn,
    admin: AdminServer,
    origin_url: String,
}

enum BuiltIn {
    None,
    Static(#[allow(dead_code, reason = "held for as long as it serves")] StaticOrigin),
    Demo(#[allow(dead_code, reason = "held for as long as it serves")] DemoOrigin),
}

/// All nodes as one.
struct All {
    nodes: Vec<Arc<dyn Fn() + Send + Sync>>,
    metrics: Vec<Arc<Metrics>>,
}

impl AdminState for All {
    /// The listener is there once every node serves, and goes before the first one drains.
    fn ready(&self) -> (bool, &'static str) {
        (true, "ready")
    }

    fn metrics(&self) -> String {
        self.nodes.iter().for_each(|refresh| refresh());
        let nodes: Vec<&Metrics> = self.metrics.iter().map(|m| &**m).collect();
        Metrics::gather_all(&nodes)
    }
}

const FLEET: &str = "seawall-up";

impl Up {
    /// Starts origin, shields and edges, in this order. An error has started nothing that stays.
    pub fn start(args: &UpArgs) -> Result<Self> {
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        let (built_in, url) = match (&args.origin, &args.dir) {
            (Some(url), _) => (BuiltIn::None, url.clone()),
            (None, Some(dir)) => {
                let origin = StaticOrigin::start(loopback, dir, args.ttl)?;
                let url = format!("http://{}", origin.address());
                (BuiltIn::Static(origin), url)
            }
            (None, None) => {
                let origin = DemoOrigin::start(loopback)?;
                let url = format!("http://{}", origin.address());
                (BuiltIn::Demo(origin), url)
            }
        };
        let service = service(&url, args)?;
        let services = || ServiceSet::new(vec![service.clone()]).context("service");
        std::fs::create_dir_all(&args.data)
            .with_context(|| format!("data directory {} cannot be written", args.data.display()))?;

        let mut shields = Vec::new();
        for index in 1..=args.shields {
            let node = node(&format!("shield-{index}"), args, loopback);
            let model = ShieldNodeModel {
                node,
                services: Vec::new(),
            };
            shields.push(Shield::start(&model, services()?)?);
        }
        let entry = |(index, shield): (usize, &Shield)| {
            let address = shield.addrs()[0];
            ShieldEntryModel {
                id: format!("shield-{}", index + 1),
                host: address.ip().to_string(),
                port: address.port(),
                weight: 1,
                tls_name: None,
            }
        };
        let entries: Vec<ShieldEntryModel> = shields.iter().enumerate().map(entry).collect();
        let mut edges = Vec::new();
        for (index, address) in edge_addresses(args)?.into_iter().enumerate() {
            let node = node(&format!("edge-{}", index + 1), args, address);
            let model = EdgeModel {
                node,
                services: Vec::new(),
                shields: entries.clone(),
            };
            edges.push(Edge::start(&model, services()?)?);
        }
        let mut all = All {
            nodes: Vec::new(),
            metrics: Vec::new(),
        };
        for edge in &edges {
            all.nodes.push(edge.gauges());
            all.metrics.push(edge.metrics().clone());
        }
        for shield in &shields {
            all.nodes.push(shield.gauges());
            all.metrics.push(shield.metrics().clone());
        }
        let admin = AdminServer::start(args.admin, Arc::new(all))?;
        Ok(Self {
            edges,
            shields,
            _origin: built_in,
            admin,
            origin_url: url,
        })
    }

    pub fn edge_addresses(&self) -> Vec<SocketAddr> {
        self.edges.iter().map(|edge| edge.addrs()[0]).collect()
    }

    pub fn shield_addresses(&self) -> Vec<SocketAddr> {
        self.shields
            .iter()
            .map(|shield| shield.addrs()[0])
            .collect()
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    pub fn origin_url(&self) -> &str {
        &self.origin_url
    }

    /// Edges first, so that what they still ask is answered. True: everything finished within `grace`.
    pub fn drain(self, grace: Duration) -> bool {
        drop(self.admin);
        let drained: Vec<bool> = std::thread::scope(|scope| {
            let edges: Vec<_> = self
                .edges
                .into_iter()
                .map(|edge| scope.spawn(move || edge.drain(grace)))
                .collect();
            edges
                .into_iter()
                .map(|edge| edge.join().unwrap_or(false))
                .collect()
        });
        // edges keep connections to shields open: they hold no exchange any more
        for shield in self.shields {
            shield.drain(Duration::ZERO);
        }
        drained.into_iter().all(|done| done)
    }
}

fn node(id: &str, args: &UpArgs, listen: SocketAddr) -> NodeModel {
    let fleet = FleetModel {
        id: FLEET.into(),
        secret_file: Some(args.data.join("fleet-secret")),
        tls: None,
    };
    let mut node = NodeModel::new(id, args.data.join(id), listen, fleet);
    node.memory = args.memory;
    if let Some(workers) = args.workers {
        node.workers = usize::from(workers);
    }
    node
}

/// The addresses of the edges: ports count up from the first, without the admin's.
fn edge_addresses(args: &UpArgs) -> Result<Vec<SocketAddr>> {
    let first = args.listen;
    if first.port() == 0 {
        return Ok(vec![first; usize::from(args.edges)]);
    }
    let taken = |port: &u16| *port != args.admin.port() || first.ip() != args.admin.ip();
    let ports: Vec<u16> = (first.port()..=u16::MAX)
        .filter(taken)
        .take(usize::from(args.edges))
        .collect();
    if ports.len() < usize::from(args.edges) || ports[0] != first.port() {
        bail!(
            "--listen {first} leaves no ports for {} edges beside --admin {}",
            args.edges,
            args.admin
        );
    }
    Ok(ports
        .into_iter()
        .map(|port| SocketAddr::new(first.ip(), port))
        .collect())
}

/// The service of `up`: every host, one origin, no stale windows.
fn service(url: &str, args: &UpArgs) -> Result<Service> {
    let (scheme, host, port) =
        parse_origin_url(url).map_err(|why| anyhow::anyhow!("--origin {url}: {why}"))?;
    let authority = if port == scheme.default_port() {
        host.clone()
    } else {
        format!("{host}:{port}")
    };
    let tls = (scheme == Scheme::Https).then(|| OriginTls {
        sni: host.clone(),
        ca_file: None,
        verify: true,
    });
    let origin = Origin {
        host,
        port,
        tls,
        host_header: (!args.pass_host).then_some(authority),
    };
    let mut service = Service::new("site", vec![HostPattern::Any], origin);
    service.shield = args.shields > 0;
    Ok(service)
}

/// Where the operator may look next.
pub fn next_steps(up: &Up, data: &Path) -> String {
    let edge = up.edge_addresses()[0];
    let admin = up.admin_address();
    let mut text = String::from("Seawall is up.\n\n");
    for (index, address) in up.edge_addresses().iter().enumerate() {
        text += &format!("  edge-{}    http://{address}\n", index + 1);
    }
    for (index, address) in up.shield_addresses().iter().enumerate() {
        text += &format!("  shield-{}  {address} (for edges only)\n", index + 1);
    }
    text += &format!("  origin    {}\n", up.origin_url());
    text += &format!("  admin     http://{admin} (/healthz /readyz /metrics)\n");
    text += &format!("  data      {}\n", data.display());
    text += &format!(
        "\nTry next:\n  curl -sD- -o/dev/null http://{edge}/     # twice: Cache-Status says miss, then hit\n  \
         curl -s http://{admin}/metrics | grep seawall_requests_total\n  \
         wrk -t1 -c32 -d5 http://{edge}/            # or: oha -z 5s http://{edge}/\n\nCtrl-C drains and ends it.\n"
    );
    text
}
