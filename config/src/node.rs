//! Node files: edges and shields.

use crate::fault::{Fault, Faults};
use crate::net::IpNet;
use crate::reader::{Source, Table};
use crate::service::{check_file, is_id};
use crate::units::ByteCount;
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

/// Who the node's own are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetModel {
    /// Goes into `CDN-Loop`.
    pub id: String,
    /// Proof on loopback links; made at the first start where it is missing.
    pub secret_file: Option<PathBuf>,
    /// Proof on all others.
    pub tls: Option<FleetTls>,
}

/// This node's certificate in the fleet, and the fleet's authority (PEM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetTls {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
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
            idle_timeout: Duration::from_secs(60),
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

/// A shield as edges know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShieldEntryModel {
    pub id: String,
    pub host: String,
    pub port: u16,
    /// Share of the keys; 0: draining.
    pub weight: u32,
    /// The link is TLS, with the fleet's certificates; the name that is verified.
    pub tls_name: Option<String>,
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
        let shields: Vec<ShieldEntryModel> = root
            .tables("shields", shield)
            .into_iter()
            .flatten()
            .collect();
        let (node, services) = node(root, Link::Asks)?;
        let with_tls = shields.iter().any(|s| s.tls_name.is_some());
        if with_tls && node.fleet.tls.is_none() {
            root.fault("a shield with `tls` needs `cert`, `key` and `ca` in [fleet]");
        }
        if !shields.is_empty() && !with_tls && node.fleet.secret_file.is_none() {
            root.fault("shields without `tls` need `secret_file` in [fleet]");
        }
        Some(EdgeModel {
            node,
            services,
            shields,
        })
    })
}

pub fn load_shield(file: &Path) -> Result<ShieldNodeModel, Faults> {
    load(file, "shield", |root| {
        let (node, services) = node(root, Link::Admits)?;
        Some(ShieldNodeModel { node, services })
    })
}

fn load<T>(
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

fn node(root: &Table<'_>, link: Link) -> Option<(NodeModel, Vec<PathBuf>)> {
    let id = root.required("id").filter(|at| {
        let legal = is_id(&at.value);
        if !legal {
            root.fault_at(
                at,
                "an id is 1 to 64 letters, digits, dots, dashes or underscores",
            );
        }
        legal
    });
    let data = root.required("data").map(|at| PathBuf::from(at.value));
    let services: Vec<PathBuf> = root
        .strings("services")
        .into_iter()
        .map(|at| at.value.into())
        .collect();
    if !root.has("services") || services.is_empty() {
        root.fault("field `services` is missing or empty: it lists service files");
    }
    let fleet = root.table("fleet", fleet);
    if fleet.is_none() && !root.has("fleet") {
        root.fault("table [fleet] is missing");
    }
    let fleet = fleet.flatten();
    let listen: Vec<ListenModel> = root
        .tables("listen", |t| listen(t, link, fleet.as_ref()))
        .into_iter()
        .flatten()
        .collect();
    if !root.has("listen") {
        root.fault("at least one [[listen]] is needed");
    }
    for (index, one) in listen.iter().enumerate() {
        if one.address.port() != 0 && listen[..index].iter().any(|l| l.address == one.address) {
            root.fault(format_args!("address {} is listened on twice", one.address));
        }
    }
    let admin = root
        .table("admin", |t| {
            t.required("address").and_then(|at| t.parse::<SocketAddr>(at)).filter(|at| {
                let loopback = at.value.ip().is_loopback();
                if !loopback {
                    t.fault_at(at, "an admin address that is not loopback needs TLS, which it does not speak yet");
                }
                loopback
            })
        })
        .flatten();
    let memory = root
        .bytes("memory", &((1 << 20)..=1 << 50))
        .unwrap_or(MEMORY_DEFAULT);
    let workers = root
        .integer("workers", &(1..=WORKERS_MAX))
        .map(|n| n as usize);
    let drain = root
        .duration("drain", &(Duration::ZERO..=Duration::from_secs(3600)))
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
        data: data?,
        fleet: fleet?,
        listen,
        admin: admin.map(|at| at.value),
        workers: workers.unwrap_or_else(default_workers),
        memory,
        conn,
        access_log,
        trusted_proxies,
        drain,
    };
    Some((node, services))
}

fn fleet(table: &Table<'_>) -> Option<FleetModel> {
    let id = table.required("id").filter(|at| {
        let legal = is_id(&at.value);
        if !legal {
            table.fault_at(
                at,
                "an id is 1 to 64 letters, digits, dots, dashes or underscores",
            );
        }
        legal
    });
    let secret_file = table.path("secret_file");
    let files = [
        table.string_at("cert"),
        table.string_at("key"),
        table.string_at("ca"),
    ];
    for at in files.iter().flatten() {
        check_file(table, at);
    }
    let tls = match files {
        [Some(cert), Some(key), Some(ca)] => Some(FleetTls {
            cert: cert.value.into(),
            key: key.value.into(),
            ca: ca.value.into(),
        }),
        [None, None, None] => None,
        _ => {
            table.fault("`cert`, `key` and `ca` belong together");
            None
        }
    };
    Some(FleetModel {
        id: id?.value,
        secret_file,
        tls,
    })
}

fn listen(table: &Table<'_>, link: Link, fleet: Option<&FleetModel>) -> Option<ListenModel> {
    let certificates: Vec<CertificateModel> = table
        .tables("certificates", certificate)
        .into_iter()
        .flatten()
        .collect();
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
    Some(ListenModel {
        address: at.value,
        certificates,
        fleet_tls,
    })
}

fn certificate(table: &Table<'_>) -> Option<CertificateModel> {
    let (cert, key) = (table.required("cert"), table.required("key"));
    for at in [&cert, &key].into_iter().flatten() {
        check_file(table, at);
    }
    let names = table
        .strings("names")
        .into_iter()
        .map(|at| at.value)
        .collect();
    Some(CertificateModel {
        cert: cert?.value.into(),
        key: key?.value.into(),
        names,
    })
}

fn shield(table: &Table<'_>) -> Option<ShieldEntryModel> {
    let id = table.required("id");
    let weight = table.integer("weight", &(0..=1_000_000)).unwrap_or(1) as u32;
    let tls = table.bool("tls").unwrap_or(false);
    let name = table.string("name");
    let at = table.required("address")?;
    let split = at.value.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok().filter(|p| *p > 0)?;
        (!host.is_empty()).then(|| (host.to_owned(), port))
    });
    let Some((host, port)) = split else {
        table.fault_at(&at, "an address is host:port, as in 127.0.0.1:8090");
        return None;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if !tls && !loopback {
        table.fault_at(&at, "a shield beyond loopback needs `tls = true`");
    }
    let tls_name = tls.then(|| name.unwrap_or_else(|| bare.to_owned()));
    Some(ShieldEntryModel {
        id: id?.value,
        host,
        port,
        weight,
        tls_name,
    })
}

fn conn(table: &Table<'_>) -> ConnModel {
    let default = ConnModel::default();
    let time = Duration::from_millis(10)..=Duration::from_secs(3600);
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
