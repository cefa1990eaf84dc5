//! The fleet as one node sees it: who its own are, and how they prove it.

use crate::reader::{At, Table};
use crate::service::is_host;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

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

pub(crate) fn fleet(table: &Table<'_>) -> Option<FleetModel> {
    let id = table.id("id");
    let secret_file = table.path_at("secret_file");
    if let Some(at) = &secret_file
        && let Err(message) = check_secret(Path::new(&at.value))
    {
        table.fault_at(at, format_args!("{} {message}", at.value));
    }
    let files = ["cert", "key", "ca"].map(|name| table.file(name));
    let tls = match files {
        [Some(cert), Some(key), Some(ca)] => Some(FleetTls {
            cert: cert.value.into(),
            key: key.value.into(),
            ca: ca.value.into(),
        }),
        _ => {
            let given = ["cert", "key", "ca"].map(|name| table.has(name));
            if given.contains(&true) && given.contains(&false) {
                table.fault("`cert`, `key` and `ca` belong together");
            }
            None
        }
    };
    Some(FleetModel {
        id: id?.value,
        secret_file: secret_file.map(|at| at.value.into()),
        tls,
    })
}

/// Characters of a secret, as the node that reads it demands them.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=512;

/// A secret that is there must be good; one that is missing must be one that the node can make.
fn check_secret(path: &Path) -> Result<(), String> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut above = path
                .ancestors()
                .skip(1)
                .map(|dir| match dir.as_os_str().len() {
                    0 => Path::new("."),
                    _ => dir,
                });
            let Some(dir) = above.find(|dir| dir.exists()) else {
                return Ok(());
            };
            if !dir.is_dir() {
                return Err(format!("cannot be made: {} is no directory", dir.display()));
            }
            return Ok(());
        }
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    if !found.is_file() {
        return Err("is no file".into());
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "can be read by others (mode {mode:o}): chmod 600 it"
        ));
    }
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(4096).read_to_end(&mut text))
        .map_err(|error| format!("cannot be read: {error}"))?;
    let secret = text.trim_ascii();
    if secret.is_empty() {
        return Err("is empty: remove it, and the node makes a new one".into());
    }
    if !SECRET_CHARS.contains(&secret.len()) || !secret.iter().all(u8::is_ascii_graphic) {
        return Err("must hold 16 to 512 printable ASCII characters".into());
    }
    Ok(())
}

/// What proves a node on its links to these shields, and whether the fleet's table has it.
pub(crate) fn check_links(root: &Table<'_>, fleet: &FleetModel, shields: &[At<ShieldEntryModel>]) {
    for (index, at) in shields.iter().enumerate() {
        let shield = &at.value;
        if let Some(first) = shields[..index]
            .iter()
            .position(|s| s.value.id == shield.id)
        {
            let message = format!("shields[{first}] has the id {} too", shield.id);
            root.fault_at(at, message);
        }
        if shield.tls_name.is_some() && fleet.tls.is_none() {
            root.fault_at(at, "`tls` needs `cert`, `key` and `ca` in [fleet]");
        }
        if shield.tls_name.is_none() && fleet.secret_file.is_none() {
            root.fault_at(at, "a shield without `tls` needs `secret_file` in [fleet]");
        }
    }
}

pub(crate) fn shield(table: &Table<'_>) -> Option<At<ShieldEntryModel>> {
    let id = table.id("id");
    let weight = table.integer("weight", &(0..=1_000_000)).unwrap_or(1) as u32;
    let tls = table.bool("tls").unwrap_or(false);
    let name = table.path_at("name");
    if let Some(name) = name.as_ref().filter(|_| !tls) {
        table.fault_at(name, "a name is verified with `tls = true` alone");
    }
    let at = table.required("address")?;
    let (host, port) = host_and_port(table, &at)?;
    let bare = host.trim_matches(['[', ']']);
    if !tls && !is_loopback(&host) {
        table.fault_at(&at, "a shield beyond loopback needs `tls = true`");
    }
    let tls_name = tls.then(|| name.map_or_else(|| bare.to_owned(), |at| at.value));
    let id = id?;
    Some(id.map(|id| ShieldEntryModel {
        id,
        host,
        port,
        weight,
        tls_name,
    }))
}

/// `host:port`; anything else is a fault.
fn host_and_port(table: &Table<'_>, at: &At<String>) -> Option<(String, u16)> {
    let split = at.value.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok().filter(|p| *p > 0)?;
        is_host(host).then(|| (host.to_owned(), port))
    });
    if split.is_none() {
        table.fault_at(at, "an address is host:port, as in 127.0.0.1:8090");
    }
    split
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Where a node finds the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneEntryModel {
    /// `host:port`.
    pub address: String,
    /// The link is TLS, with the fleet's certificates; the name that is verified.
    pub tls_name: Option<String>,
}

pub(crate) fn control_plane(
    table: &Table<'_>,
    fleet: Option<&FleetModel>,
) -> Option<ControlPlaneEntryModel> {
    let tls = table.bool("tls").unwrap_or(false);
    let name = table.path_at("name");
    if let Some(name) = name.as_ref().filter(|_| !tls) {
        table.fault_at(name, "a name is verified with `tls = true` alone");
    }
    let at = table.required("address")?;
    let (host, _) = host_and_port(table, &at)?;
    if !tls && !is_loopback(&host) {
        table.fault_at(&at, "a control plane beyond loopback needs `tls = true`");
    }
    if tls && fleet.is_some_and(|fleet| fleet.tls.is_none()) {
        table.fault_at(&at, "`tls` needs `cert`, `key` and `ca` in [fleet]");
    }
    if !tls && fleet.is_some_and(|fleet| fleet.secret_file.is_none()) {
        table.fault_at(&at, "a link without `tls` needs `secret_file` in [fleet]");
    }
    let bare = host.trim_matches(['[', ']']);
    Some(ControlPlaneEntryModel {
        tls_name: tls.then(|| name.map_or_else(|| bare.to_owned(), |at| at.value)),
        address: at.value,
    })
}
