//! A whole CDN in one process, of the parts and over the sockets that production uses.

mod content;
mod disk;
mod ports;
mod site;
mod watch;

use crate::cli::UpArgs;
use crate::usage::Usage;
use anyhow::{Context, Result};
use content::Content;
use ports::edge_addresses;
use seawall_config::service::parse_origin_url;
use seawall_config::{
    ByteCount, ControlPlaneEntryModel, DiskModel, EdgeModel, FleetModel, LEASE_DEFAULT, NodeModel,
    ShieldEntryModel, ShieldNodeModel,
};
use seawall_control_plane::audit::{Change, Kind};
use seawall_control_plane::record::By;
use seawall_control_plane::server::TOKEN_FILE;
use seawall_control_plane::store::OpenError;
use seawall_control_plane::{ControlPlane, ControlPlaneSpec, StartError, StoreError};
use seawall_edge::Edge;
use seawall_node::AdminServer;
use seawall_node::data_dir::load_or_create_secret;
use seawall_node::sync::NOWHERE;
use seawall_origin_shield::Shield;
use seawall_service_model::ServiceSet;
use site::{put_service, service_text};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use watch::{All, Told, Watched};

/// What runs.
pub struct Up {
    edges: Vec<Edge>,
    shields: Vec<Shield>,
    content: Content,
    admin: Admin,
    all: Arc<All>,
    disk: Option<ByteCount>,
    notes: Vec<String>,
}

/// Who listens on the admin address.
enum Admin {
    ControlPlane(Box<ControlPlane>),
    /// The control plane's store is damaged, and `--serve-last-good` was given.
    Bare(AdminServer),
}

const FLEET: &str = "seawall-up";

impl Up {
    /// Starts origin, control plane, shields and edges, in this order. An error has started nothing that stays.
    pub fn start(args: &UpArgs) -> Result<Self> {
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        if let Some(url) = &args.origin {
            parse_origin_url(url).map_err(|why| Usage(format!("--origin {url}: {why}")))?;
        }
        let addresses = edge_addresses(args)?;
        for &address in &addresses {
            // before anything is made: disks take their space up front
            drop(
                TcpListener::bind(address)
                    .with_context(|| format!("cannot listen on {address}"))?,
            );
        }
        if !args.admin.ip().is_loopback() {
            let why = format!(
                "--admin {} is not loopback: that needs TLS, which it does not speak yet",
                args.admin
            );
            return Err(Usage(why).into());
        }
        std::fs::create_dir_all(&args.data)
            .with_context(|| format!("data directory {} cannot be written", args.data.display()))?;
        let content = Content::start(args)?;
        let nodes: Vec<String> = node_ids(args).collect();
        let disk = disk::choose(args.disk, &args.data, &nodes);
        let mut notes: Vec<String> = disk.note.into_iter().collect();
        let disk = disk.size;
        let all = Arc::new(All::default());
        let started = control_plane(args, &all)?;
        disk::remember(args.disk, disk, &args.data);
        let sync = match &started {
            Some(plane) => {
                crate::operator::remember(plane.admin_address(), &args.data);
                let text = service_text(&content.url, args)?;
                if let Some(note) = put_service(plane, text, content.is_other)? {
                    notes.push(note);
                }
                content.remember()?;
                plane.sync_address().to_string()
            }
            None => {
                notes.push(
                    "the control plane's store is damaged: serving on the last good state; nothing can be purged or changed".into(),
                );
                NOWHERE.into()
            }
        };

        let mut shields = Vec::new();
        for index in 1..=args.shields {
            let node = node(&format!("shield-{index}"), args, disk, loopback, &sync);
            let model = ShieldNodeModel {
                node,
                services: Vec::new(),
            };
            shields.push(Shield::start(&model, ServiceSet::default())?);
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
        for (index, address) in addresses.into_iter().enumerate() {
            let node = node(&format!("edge-{}", index + 1), args, disk, address, &sync);
            let model = EdgeModel {
                node,
                services: Vec::new(),
                shields: entries.clone(),
            };
            edges.push(Edge::start(&model, ServiceSet::default())?);
        }
        let watched_edges = edges.iter().map(|edge: &Edge| Watched {
            readiness: edge.readiness(),
            gauges: edge.gauges(),
            metrics: edge.metrics().clone(),
        });
        let watched_shields = shields.iter().map(|shield| Watched {
            readiness: shield.readiness(),
            gauges: shield.gauges(),
            metrics: shield.metrics().clone(),
        });
        all.nodes
            .write()
            .extend(watched_edges.chain(watched_shields));
        let admin = match started {
            Some(plane) => {
                remove_others(&plane, &nodes)?;
                Admin::ControlPlane(Box::new(plane))
            }
            None => {
                let server = AdminServer::start(args.admin, all.clone())?;
                crate::operator::remember(server.address(), &args.data);
                Admin::Bare(server)
            }
        };
        Ok(Self {
            edges,
            shields,
            content,
            admin,
            all,
            disk,
            notes,
        })
    }

    /// What the operator should know beside the addresses.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Disk for cached copies, of each node.
    pub fn disk(&self) -> Option<ByteCount> {
        self.disk
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
        match &self.admin {
            Admin::ControlPlane(plane) => plane.admin_address(),
            Admin::Bare(server) => server.address(),
        }
    }

    pub fn origin_url(&self) -> &str {
        &self.content.url
    }

    /// Edges first, so that what they still ask is answered. True: everything finished within `grace`.
    pub fn drain(self, grace: Duration) -> bool {
        self.all.draining.store(true, Ordering::Release);
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
        // last: nodes that end tell it where they stand
        drop(self.admin);
        drained.into_iter().all(|done| done)
    }
}

/// The control plane, or none where its store is damaged and nodes are to serve on all the same.
fn control_plane(args: &UpArgs, all: &Arc<All>) -> Result<Option<ControlPlane>> {
    let spec = ControlPlaneSpec {
        data: args.data.clone(),
        sync: ([127, 0, 0, 1], 0).into(),
        admin: args.admin,
        secret: Some(load_or_create_secret(&secret_file(args))?),
        tls: None,
        shields: None,
        lease: LEASE_DEFAULT,
        host: Arc::new(Told(all.clone())),
    };
    match ControlPlane::start(spec) {
        Ok(plane) => Ok(Some(plane)),
        Err(error) if is_damage(&error) => {
            if args.serve_last_good {
                tracing::error!(%error, "serving without a control plane");
                return Ok(None);
            }
            let data = args.data.display();
            Err(anyhow::Error::new(error).context(format!(
                "the control plane cannot start: put a backup in place by `seawall control-plane restore --data {data} --from FILE`, or serve without it by --serve-last-good"
            )))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a store is damaged, rather than in use or out of reach.
fn is_damage(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Open(OpenError::Damaged { .. }) | StartError::Store(StoreError::Corrupt(_))
    )
}

/// Removes members that this start does not run: no receipt waits for them.
fn remove_others(plane: &ControlPlane, runs: &[String]) -> Result<()> {
    let removed = plane.block_on(async {
        let head = plane.plane().log.head().await?.at;
        for member in plane.plane().members.list(head) {
            if !runs.contains(&member.id) {
                let (inner, id) = (plane.plane().clone(), member.id.clone());
                let removal = async move { inner.remove_node(&id).await };
                let what = Change {
                    kind: Kind::Node,
                    action: "remove",
                    target: member.id,
                };
                let by = By::named("up");
                let removed = plane.plane().entered(by, what, removal, |_| String::new());
                removed.await?;
            }
        }
        Ok::<(), StoreError>(())
    });
    removed.unwrap_or(Ok(()))?;
    Ok(())
}

fn node_ids(args: &UpArgs) -> impl Iterator<Item = String> {
    let edges = (1..=args.edges).map(|index| format!("edge-{index}"));
    edges.chain((1..=args.shields).map(|index| format!("shield-{index}")))
}

fn secret_file(args: &UpArgs) -> PathBuf {
    args.data.join("fleet-secret")
}

fn node(
    id: &str,
    args: &UpArgs,
    disk: Option<ByteCount>,
    listen: SocketAddr,
    sync: &str,
) -> NodeModel {
    let fleet = FleetModel {
        id: FLEET.into(),
        secret_file: Some(secret_file(args)),
        tls: None,
    };
    let mut node = NodeModel::new(id, args.data.join(id), listen, fleet);
    node.memory = args.memory;
    node.control_plane = Some(ControlPlaneEntryModel {
        address: sync.to_owned(),
        tls_name: None,
    });
    let disk = disk.map(|size| DiskModel {
        path: args.data.join(id).join("disk"),
        size,
    });
    node.disks = disk.into_iter().collect();
    if let Some(workers) = args.workers {
        node.workers = usize::from(workers);
    }
    node
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
    text += &format!(
        "  admin     http://{admin} (API, /metrics); token in {}\n",
        data.join(TOKEN_FILE).display()
    );
    let cached = match up.disk() {
        Some(size) => format!("{size} of disk for each node's copies"),
        None => "no disk for copies".into(),
    };
    text += &format!("  data      {} ({cached})\n", data.display());
    for note in up.notes() {
        text += &format!("\nNote: {note}\n");
    }
    let at = if admin.to_string() == "127.0.0.1:8081" {
        String::new()
    } else {
        format!(" --admin {admin}")
    };
    text += &format!(
        "\nTry next:\n  curl -sD- -o/dev/null http://{edge}/     # twice: Cache-Status says miss, then hit\n  \
         seawall purge http://{edge}/{at}   # gone on every node: the receipt says where and when\n  \
         wrk -t1 -c32 -d5 http://{edge}/            # or: oha -z 5s http://{edge}/\n\nCtrl-C drains and ends it.\n"
    );
    text
}
