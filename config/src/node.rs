//! Node files: edges and shields.

use crate::fault::{Fault, Faults};
use crate::fleet::{
    ControlPlaneEntryModel, FleetModel, ShieldEntryModel, check_links, control_plane, fleet, shield,
};
use crate::net::IpNet;
use crate::reader::{At, Source, Table};
use crate::units::ByteCount;
use seawall_service_model::HostPattern;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What edges and shields have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeModel {
    pub id: String,
    /// The node's own directory.
    pub data: PathBuf,
    pub fleet: FleetModel,
    /// At least one.
    pub listen: Vec<ListenModel>,
    /// Loopback.
    pub admin: Option<SocketAddr>,
    pub workers: usize,
    /// For cached copies.
    pub memory: ByteCount,
    /// For cached copies; none: they are kept in memory alone.
    pub disks: Vec<DiskModel>,
    /// Who tells services and purges; none: the files do, and there are no purges.
    pub control_plane: Option<ControlPlaneEntryModel>,
    /// Whose `PURGE` is taken without a token (edges).
    pub purge_allow: Vec<IpNet>,
    pub conn: ConnModel,
    pub access_log: Option<AccessLogModel>,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long running exchanges may take to finish when the node ends.
    pub drain: Duration,
}

impl NodeModel {
    /// A node with nothing but what every node must say.
    pub fn new(id: &str, data: PathBuf, listen: SocketAddr, fleet: FleetModel) -> Self {
        Self {
            id: id.to_owned(),
            data,
            fleet,
            listen: vec![ListenModel {
                address: listen,
                certificates: Vec::new(),
                fleet_tls: false,
            }],
            admin: None,
            workers: default_workers(),
            memory: MEMORY_DEFAULT,
            disks: Vec::new(),
            control_plane: None,
            purge_allow: Vec::new(),
            conn: ConnModel::default(),
            access_log: None,
            trusted_proxies: Vec::new(),
            drain: DRAIN_DEFAULT,
        }
    }
}

const MEMORY_DEFAULT: ByteCount = ByteCount(512 << 20);
const DRAIN_DEFAULT: Duration = Duration::from_secs(30);
const WORKERS_MAX: u64 = 256;

/// One for each processor that this process may use.
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenModel {
    pub address: SocketAddr,
    /// TLS for clients, by SNI; none: plain.
    pub certificates: Vec<CertificateModel>,
    /// TLS inside the fleet: the fleet's certificate, and clients must show theirs.
    pub fleet_tls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateModel {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub names: Vec<String>,
}

/// Room for cached copies on one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskModel {
    /// A directory of its own; made where it is missing.
    pub path: PathBuf,
    /// Taken up front.
    pub size: ByteCount,
}

/// Room on a disk: less would hold too little to be worth it.
pub const DISK_BYTES_MIN: u64 = 64 << 20;

/// Bounds of client connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnModel {
    pub connections_max: u64,
    pub head_max: ByteCount,
    pub target_max: ByteCount,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
}

impl Default for ConnModel {
    fn default() -> Self {
        Self {
            connections_max: 65_536,
            head_max: ByteCount(32 << 10),
            target_max: ByteCount(16 << 10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    Stdout,
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogModel {
    pub to: LogTo,
    /// Lines that may wait to be written.
    pub queue: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeModel {
    pub node: NodeModel,
    pub services: Vec<PathBuf>,
    pub shields: Vec<ShieldEntryModel>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShieldNodeModel {
    pub node: NodeModel,
    pub services: Vec<PathBuf>,
}

pub fn load_edge(file: &Path) -> Result<EdgeModel, Faults> {
    load(file, "edge", |root| {
        let fleet = fleet_of(root);
        let shields: Vec<At<ShieldEntryModel>> = root
            .tables("shields", shield)
            .into_iter()
            .flatten()
            .collect();
        if let Some(fleet) = &fleet {
            check_links(root, fleet, &shields);
        }
        let (node, services) = node(root, Link::Asks, fleet)?;
        Some(EdgeModel {
            node,
            services,
            shields: shields.into_iter().map(|at| at.value).collect(),
        })
    })
}

pub fn load_shield(file: &Path) -> Result<ShieldNodeModel, Faults> {
    load(file, "shield", |root| {
        let fleet = fleet_of(root);
        let (node, services) = node(root, Link::Admits, fleet)?;
        Some(ShieldNodeModel { node, services })
    })
}

/// The service files that a node file names, whatever else is wrong with it.
pub(crate) fn services_of(file: &Path) -> Vec<PathBuf> {
    let source = Source::read(file).ok();
    let services = source.and_then(|source| source.walk_known(services));
    services.unwrap_or_default()
}

fn services(root: &Table<'_>) -> Vec<PathBuf> {
    let listed = root.strings("services").into_iter();
    listed.map(|at| at.value.into()).collect()
}

pub(crate) fn fleet_of(root: &Table<'_>) -> Option<FleetModel> {
    if !root.has("fleet") {
        root.missing("fleet", "table [fleet] is missing");
    }
    root.table("fleet", fleet).flatten()
}

pub(crate) fn load<T>(
    file: &Path,
    role: &'static str,
    walk: impl FnOnce(&Table<'_>) -> Option<T>,
) -> Result<T, Faults> {
    let source = Source::read(file).map_err(|fault| Faults(vec![fault]))?;
    let model = source.walk(|root| {
        if let Some(at) = root.required("role")
            && at.value != role
        {
            root.fault_at(&at, format_args!("this node is started as \"{role}\""));
        }
        walk(root)
    });
    let mut faults = source.into_faults();
    match (model.flatten(), faults.is_empty()) {
        (Some(model), true) => Ok(model),
        (_, empty) => {
            if empty {
                let message = "the file is incomplete".into();
                faults.push(Fault {
                    file: file.to_owned(),
                    line: None,
                    path: String::new(),
                    message,
                });
            }
            Err(Faults(faults))
        }
    }
}

/// Which end of fleet links a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Asks,
    Admits,
}

fn node(
    root: &Table<'_>,
    link: Link,
    fleet: Option<FleetModel>,
) -> Option<(NodeModel, Vec<PathBuf>)> {
    let id = root.id("id");
    let data = root.required("data");
    if let Some(at) = data.as_ref().filter(|at| is_no_directory(&at.value)) {
        root.fault_at(at, format_args!("{} is there and no directory", at.value));
    }
    let services = services(root);
    let control_plane = root
        .table("control_plane", |t| control_plane(t, fleet.as_ref()))
        .flatten();
    if !root.has("control_plane") {
        root.require_items("services", "it lists service files");
    } else if root.has("services") {
        root.fault("`services` come from the control plane where there is [control_plane]");
    }
    let disks = disks(root);
    let purge_allow = root.table("purge", purge).unwrap_or_default();
    let listen: Vec<At<ListenModel>> = root
        .tables("listen", |t| listen(t, link, fleet.as_ref()))
        .into_iter()
        .flatten()
        .collect();
    root.require_items("listen", "at least one [[listen]]");
    for (index, at) in listen.iter().enumerate() {
        let address = at.value.address;
        let taken = |other: &At<ListenModel>| other.value.address == address;
        if address.port() != 0 && listen[..index].iter().any(taken) {
            root.fault_at(at, format_args!("{address} is listened on twice"));
        }
    }
    let admin = root.table("admin", |t| admin(t, &listen)).flatten();
    let memory = root
        .bytes("memory", &((1 << 20)..=1 << 50))
        .unwrap_or(MEMORY_DEFAULT);
    let workers = root
        .integer("workers", &(1..=WORKERS_MAX))
        .map(|n| n as usize);
    let drain = root
        .duration("drain", &(Duration::ZERO..=Duration::from_hours(1)))
        .unwrap_or(DRAIN_DEFAULT);
    let trusted = root
        .parsed_list::<IpNet>("trusted_proxies")
        .into_iter()
        .map(|at| at.value);
    let trusted_proxies = trusted.collect();
    let conn = root.table("connections", conn).unwrap_or_default();
    let access_log = root.table("access_log", access_log).flatten();
    let node = NodeModel {
        id: id?.value,
        data: data?.value.into(),
        fleet: fleet?,
        listen: listen.into_iter().map(|at| at.value).collect(),
        admin,
        workers: workers.unwrap_or_else(default_workers),
        memory,
        disks,
        control_plane,
        purge_allow,
        conn,
        access_log,
        trusted_proxies,
        drain,
    };
    Some((node, services))
}

fn disks(root: &Table<'_>) -> Vec<DiskModel> {
    let disk = |table: &Table<'_>| {
        let size = table.bytes("size", &(DISK_BYTES_MIN..=1 << 50));
        if !table.has("size") {
            table.missing("size", "a disk says how much of it is for copies");
        }
        let path = table.required("path")?;
        if is_no_directory(&path.value) {
            table.fault_at(
                &path,
                format_args!("{} is there and no directory", path.value),
            );
        }
        let size = size?;
        Some(path.map(|path| DiskModel {
            path: path.into(),
            size,
        }))
    };
    let disks: Vec<At<DiskModel>> = root.tables("disks", disk).into_iter().flatten().collect();
    for (index, at) in disks.iter().enumerate() {
        if disks[..index].iter().any(|d| d.value.path == at.value.path) {
            root.fault_at(at, "this directory is another disk's already");
        }
    }
    disks.into_iter().map(|at| at.value).collect()
}

fn purge(table: &Table<'_>) -> Vec<IpNet> {
    let allow = table.parsed_list::<IpNet>("allow");
    allow.into_iter().map(|at| at.value).collect()
}

fn is_no_directory(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_dir())
}

fn admin(table: &Table<'_>, listen: &[At<ListenModel>]) -> Option<SocketAddr> {
    let at = table
        .required("address")
        .and_then(|at| table.parse::<SocketAddr>(at))?;
    let address = at.value;
    if !address.ip().is_loopback() {
        let message =
            "an admin address that is not loopback needs TLS, which it does not speak yet";
        table.fault_at(&at, message);
    }
    let overlaps = |other: SocketAddr| {
        let same = other.ip() == address.ip() || other.ip().is_unspecified();
        other.port() == address.port() && other.is_ipv4() == address.is_ipv4() && same
    };
    if let Some(other) = listen
        .iter()
        .map(|l| l.value.address)
        .find(|l| overlaps(*l))
        && address.port() != 0
    {
        table.fault_at(&at, format_args!("clients are listened for on {other}"));
    }
    Some(address)
}

fn listen(table: &Table<'_>, link: Link, fleet: Option<&FleetModel>) -> Option<At<ListenModel>> {
    let mut first = true;
    let certificates: Vec<CertificateModel> = table
        .tables("certificates", |t| {
            certificate(t, std::mem::replace(&mut first, false))
        })
        .into_iter()
        .flatten()
        .collect();
    table.refuse_empty("certificates");
    let fleet_tls = table.bool("fleet_tls").unwrap_or(false);
    let at = table
        .required("address")
        .and_then(|at| table.parse::<SocketAddr>(at))?;
    if fleet_tls && fleet.is_some_and(|f| f.tls.is_none()) {
        table.fault_at(&at, "`fleet_tls` needs `cert`, `key` and `ca` in [fleet]");
    }
    if fleet_tls && !certificates.is_empty() {
        table.fault_at(&at, "`fleet_tls` and `certificates` exclude each other");
    }
    if link == Link::Admits {
        if !fleet_tls && !at.value.ip().is_loopback() {
            table.fault_at(
                &at,
                "a shield listens beyond loopback only with `fleet_tls = true`",
            );
        }
        if !fleet_tls && fleet.is_some_and(|f| f.secret_file.is_none()) {
            table.fault_at(
                &at,
                "a shield without `fleet_tls` needs `secret_file` in [fleet]",
            );
        }
    }
    Some(at.map(|address| ListenModel {
        address,
        certificates,
        fleet_tls,
    }))
}

fn certificate(table: &Table<'_>, first: bool) -> Option<CertificateModel> {
    let given = |name| table.required(name).inspect(|at| table.readable(at));
    let (cert, key) = (given("cert"), given("key"));
    table.refuse_empty("names");
    let names: Vec<String> = table
        .parsed_list::<HostPattern>("names")
        .into_iter()
        .filter_map(|at| {
            if at.value == HostPattern::Any {
                table.fault_at(&at, "the first certificate is shown where no name fits");
                return None;
            }
            Some(at.value.to_string())
        })
        .collect();
    if !first && !table.has("names") {
        table.missing(
            "names",
            "without names it is never shown: only the first is the default",
        );
    }
    Some(CertificateModel {
        cert: cert?.value.into(),
        key: key?.value.into(),
        names,
    })
}

fn conn(table: &Table<'_>) -> ConnModel {
    let default = ConnModel::default();
    let time = Duration::from_millis(10)..=Duration::from_hours(1);
    let size = 1024..=1 << 20;
    ConnModel {
        connections_max: table
            .integer("max", &(1..=10_000_000))
            .unwrap_or(default.connections_max),
        head_max: table.bytes("head_max", &size).unwrap_or(default.head_max),
        target_max: table
            .bytes("target_max", &size)
            .unwrap_or(default.target_max),
        head_timeout: table
            .duration("head_timeout", &time)
            .unwrap_or(default.head_timeout),
        idle_timeout: table
            .duration("idle_timeout", &time)
            .unwrap_or(default.idle_timeout),
        body_timeout: table
            .duration("body_timeout", &time)
            .unwrap_or(default.body_timeout),
        write_timeout: table
            .duration("write_timeout", &time)
            .unwrap_or(default.write_timeout),
    }
}

fn access_log(table: &Table<'_>) -> Option<AccessLogModel> {
    let queue = table.integer("queue", &(1..=10_000_000)).unwrap_or(65_536) as usize;
    let to = table.required("to")?;
    let to = if to.value == "stdout" {
        LogTo::Stdout
    } else {
        LogTo::File(to.value.into())
    };
    Some(AccessLogModel { to, queue })
}
