//! A whole CDN in one process, of the parts and over the sockets that production uses.

mod content;
mod disk;

use crate::cli::UpArgs;
use crate::usage::Usage;
use anyhow::{Context, Result, anyhow, bail};
use content::Content;
use parking_lot::RwLock;
use seawall_config::service::parse_origin_url;
use seawall_config::{
    ByteCount, ControlPlaneEntryModel, DiskModel, EdgeModel, FleetModel, NodeModel,
    ShieldEntryModel, ShieldNodeModel,
};
use seawall_control_plane::api::Refused;
use seawall_control_plane::api::purges::Requested;
use seawall_control_plane::server::TOKEN_FILE;
use seawall_control_plane::services::Condition;
use seawall_control_plane::store::OpenError;
use seawall_control_plane::{ControlPlane, ControlPlaneSpec, Host, Plane, StartError, StoreError};
use seawall_edge::Edge;
use seawall_node::data_dir::load_or_create_secret;
use seawall_node::sync::NOWHERE;
use seawall_node::{AdminServer, AdminState};
use seawall_origin_shield::Shield;
use seawall_service_model::ServiceSet;
use seawall_telemetry::Metrics;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// All nodes as one.
#[derive(Default)]
struct All {
    nodes: RwLock<Vec<Watched>>,
    draining: AtomicBool,
}

/// What is told of one node.
struct Watched {
    readiness: Arc<dyn Fn() -> (bool, &'static str) + Send + Sync>,
    gauges: Arc<dyn Fn() + Send + Sync>,
    metrics: Arc<Metrics>,
}

impl All {
    fn tell_ready(&self) -> (bool, &'static str) {
        if self.draining.load(Ordering::Acquire) {
            return (false, "draining");
        }
        let nodes = self.nodes.read();
        if nodes.is_empty() {
            return (false, "starting");
        }
        let told = nodes.iter().map(|node| (node.readiness)());
        told.into_iter()
            .find(|(ready, _)| !ready)
            .unwrap_or((true, "ready"))
    }

    fn gather(&self) -> String {
        let nodes = self.nodes.read();
        nodes.iter().for_each(|node| (node.gauges)());
        let metrics: Vec<&Metrics> = nodes.iter().map(|node| &*node.metrics).collect();
        Metrics::gather_all(&metrics)
    }
}

impl AdminState for All {
    fn ready(&self) -> (bool, &'static str) {
        self.tell_ready()
    }

    fn metrics(&self) -> String {
        self.gather()
    }

    /// This listener stands in for the control plane's.
    fn api_away(&self) -> Option<&'static str> {
        Some(
            "the control plane's store is damaged: nodes serve on their last good state, and nothing can be purged or changed until it is restored",
        )
    }
}

/// The same for the control plane's API.
struct Told(Arc<All>);

impl Host for Told {
    fn ready(&self) -> (bool, &'static str) {
        self.0.tell_ready()
    }

    fn metrics(&self) -> String {
        self.0.gather()
    }
}

const FLEET: &str = "seawall-up";
/// The service of `up`, and the name under which it is put.
const SERVICE: &str = "site";
const BY: &str = "up";
/// Tells versions that `up` put from those of operators. No request to the API can say it.
const NOTE: &str = "as `seawall up` was started";

impl Up {
    /// Starts origin, control plane, shields and edges, in this order. An error has started nothing that stays.
    pub fn start(args: &UpArgs) -> Result<Self> {
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        if let Some(url) = &args.origin {
            parse_origin_url(url).map_err(|why| Usage(format!("--origin {url}: {why}")))?;
        }
        let addresses = edge_addresses(args)?;
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

/// Puts the service of this start in force, unless an operator has changed or deleted it. What was cached by another
/// version of `up`'s own, or of what a built-in origin served before (`is_other`), is purged first. Returns what to tell.
fn put_service(plane: &ControlPlane, text: String, is_other: bool) -> Result<Option<String>> {
    match plane.block_on(put_in_force(plane.plane(), text, is_other)) {
        Some(told) => told.context("the service of this start"),
        None => bail!("the control plane has ended"),
    }
}

async fn put_in_force(plane: &Plane, text: String, is_other: bool) -> Result<Option<String>> {
    let in_force = plane.services.in_force();
    let current = in_force.services.get(SERVICE).map(|c| &c.version);
    // whoever changed it by the API left no such note, whatever the name of the token
    let own = current.filter(|version| version.note.as_deref() == Some(NOTE));
    let same = current.is_some_and(|version| version.text == text);
    if is_other || (own.is_some() && !same) {
        purge_copies(plane, current.is_some()).await?;
    }
    let condition = match (current, own) {
        _ if same => return Ok(None),
        (Some(version), None) => {
            return Ok(Some(format!(
                "service {SERVICE} stays as {} put it (version {}): what --origin, --dir, --pass-host and --shields say is not in force",
                version.by, version.version
            )));
        }
        (_, Some(own)) => Condition::Version(own.version),
        (None, None) => {
            let history = plane.services.history(SERVICE).await.unwrap_or_default();
            if let Some(last) = history.first() {
                return Ok(Some(format!(
                    "service {SERVICE} was deleted by {} and stays so; `seawall service rollback {SERVICE} --to {}` puts it back",
                    last.by,
                    last.version.saturating_sub(1)
                )));
            }
            Condition::Absent
        }
    };
    let note = Some(NOTE.to_owned());
    let put = plane
        .services
        .put(SERVICE, text, condition, BY, unix_ms(), note);
    put.await?;
    Ok(None)
}

/// Nodes hear of it when they start, before they answer with stored copies. A service that is not in force cannot be named.
async fn purge_copies(plane: &Plane, in_force: bool) -> Result<()> {
    let body = if in_force {
        json!({ "service": SERVICE, "wait_ms": 0 }).to_string()
    } else {
        json!({ "everything": true, "wait_ms": 0 }).to_string()
    };
    let refused =
        |refused: Refused| anyhow!("its copies cannot be purged: {}", refused.body()["error"]);
    let requested = Requested::parse(body.as_bytes(), plane).map_err(refused)?;
    requested
        .carry_out(plane, BY, None, false)
        .await
        .map_err(refused)?;
    Ok(())
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}

/// Removes members that this start does not run: no receipt waits for them.
fn remove_others(plane: &ControlPlane, runs: &[String]) -> Result<()> {
    let removed = plane.block_on(async {
        let head = plane.plane().log.head().await?.at;
        for member in plane.plane().members.list(head) {
            if !runs.contains(&member.id) {
                plane.plane().remove_node(&member.id).await?;
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

/// The addresses of the edges: ports count up from the first, without the admin's, whatever its IP address: a port is one
/// thing to people, and 0.0.0.0 has those of 127.0.0.1.
fn edge_addresses(args: &UpArgs) -> Result<Vec<SocketAddr>> {
    let (first, admin, edges) = (args.listen, args.admin, usize::from(args.edges));
    if first.port() == 0 {
        return Ok(vec![first; edges]);
    }
    let any = first.ip().is_unspecified() || admin.ip().is_unspecified();
    if first.port() == admin.port() && (any || first.ip() == admin.ip()) {
        let why = format!("--listen {first} and --admin {admin} are the same");
        return Err(Usage(why).into());
    }
    let further = (first.port()..=u16::MAX).skip(1);
    let ports: Vec<u16> = std::iter::once(first.port())
        .chain(further.filter(|port| *port != admin.port()))
        .take(edges)
        .collect();
    if ports.len() < edges {
        let why =
            format!("--listen {first} leaves no ports for {edges} edges beside --admin {admin}");
        return Err(Usage(why).into());
    }
    let address = |port| SocketAddr::new(first.ip(), port);
    Ok(ports.into_iter().map(address).collect())
}

/// The service of `up` as a service file: every host, one origin, no stale windows.
fn service_text(url: &str, args: &UpArgs) -> Result<String> {
    let mut origin = toml::Table::new();
    origin.insert("url".into(), url.into());
    let mut service = toml::Table::new();
    service.insert("id".into(), SERVICE.into());
    service.insert("hosts".into(), vec!["*"].into());
    service.insert("pass_host".into(), args.pass_host.into());
    service.insert("shield".into(), (args.shields > 0).into());
    service.insert("origins".into(), vec![origin].into());
    let mut file = toml::Table::new();
    file.insert("service".into(), service.into());
    let text = toml::to_string(&file).context("the service of this start")?;
    Ok(format!(
        "# Put by `seawall up`; once an operator has put another, `up` leaves it alone.\n{text}"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn ports(listen: &str, admin: &str, edges: &str) -> Option<Vec<u16>> {
        let line = [
            "seawall", "up", "--listen", listen, "--admin", admin, "--edges", edges,
        ];
        let Command::Up(args) = Cli::parse_from(line).command else {
            unreachable!("it says up")
        };
        let addresses = edge_addresses(&args).ok()?;
        assert!(addresses.iter().all(|a| a.ip() == args.listen.ip()));
        Some(addresses.iter().map(SocketAddr::port).collect())
    }

    #[test]
    fn ports_count_up_from_the_first_without_the_admins() {
        let rows = [
            (
                "127.0.0.1:8080",
                "127.0.0.1:8081",
                "3",
                Some(vec![8080, 8082, 8083]),
            ),
            (
                "0.0.0.0:8080",
                "127.0.0.1:8081",
                "2",
                Some(vec![8080, 8082]),
            ),
            ("[::]:8080", "127.0.0.1:8081", "2", Some(vec![8080, 8082])),
            ("127.0.0.1:0", "127.0.0.1:8081", "2", Some(vec![0, 0])),
            ("127.0.0.1:65535", "127.0.0.1:8081", "2", None),
            ("0.0.0.0:8081", "127.0.0.1:8081", "1", None),
            (
                "127.0.0.2:8081",
                "127.0.0.1:8081",
                "2",
                Some(vec![8081, 8082]),
            ),
        ];
        for (listen, admin, edges, expected) in rows {
            assert_eq!(ports(listen, admin, edges), expected, "{listen} {admin}");
        }
    }
}
