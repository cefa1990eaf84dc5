//! The control plane's file.

use crate::fault::Faults;
use crate::fleet::{FleetModel, ShieldEntryModel, check_links, shield};
use crate::node::{fleet_of, load};
use crate::reader::{At, Table};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a control plane is told by its file; services and purges come by its API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneModel {
    /// The control plane's own directory.
    pub data: PathBuf,
    pub fleet: FleetModel,
    /// Where nodes connect. Beyond loopback it is mutual TLS with the fleet's certificates.
    pub sync: SocketAddr,
    /// How long a node may answer without validation after it was heard of, where a service asks for that.
    pub lease: Duration,
    /// The API, health and metrics. Loopback.
    pub admin: SocketAddr,
    /// The shields that edges are told of; none: their own files say.
    pub shields: Vec<ShieldEntryModel>,
}

/// The length of leases, unless the file says otherwise.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(10);
/// The shortest: three renewals fit in, and the scheduling of a busy machine. The longest: so long a receipt may have to
/// wait for a node that is gone.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);

impl ControlPlaneModel {
    /// Whether nodes are met with the fleet's certificates.
    pub fn sync_tls(&self) -> bool {
        self.fleet.tls.is_some() && !self.sync.ip().is_loopback()
    }
}

pub fn load_control_plane(file: &Path) -> Result<ControlPlaneModel, Faults> {
    load(file, "control-plane", |root| {
        let fleet = fleet_of(root);
        let shields: Vec<At<ShieldEntryModel>> = root
            .tables("shields", shield)
            .into_iter()
            .flatten()
            .collect();
        if let Some(fleet) = &fleet {
            check_links(root, fleet, &shields);
        }
        let data = root.required("data");
        let mut lease = None;
        let sync = root.table("sync", |t| {
            lease = t.duration("lease", &LEASE);
            sync(t, fleet.as_ref())
        });
        let sync = sync.flatten();
        let admin = root.table("admin", admin).flatten();
        for (table, found) in [("sync", sync.is_some()), ("admin", admin.is_some())] {
            if !found && !root.has(table) {
                root.fault(format_args!("table [{table}] is missing"));
            }
        }
        let (sync, admin) = (sync?, admin?);
        if sync.value == admin.value && sync.value.port() != 0 {
            root.fault_at(&admin, format_args!("nodes connect to {}", sync.value));
        }
        Some(ControlPlaneModel {
            data: data?.value.into(),
            fleet: fleet?,
            sync: sync.value,
            lease: lease.unwrap_or(LEASE_DEFAULT),
            admin: admin.value,
            shields: shields.into_iter().map(|at| at.value).collect(),
        })
    })
}

fn address(table: &Table<'_>) -> Option<At<SocketAddr>> {
    let at = table.required("address")?;
    table.parse::<SocketAddr>(at)
}

fn sync(table: &Table<'_>, fleet: Option<&FleetModel>) -> Option<At<SocketAddr>> {
    let at = address(table)?;
    let loopback = at.value.ip().is_loopback();
    if !loopback && fleet.is_some_and(|fleet| fleet.tls.is_none()) {
        let message = "nodes are met beyond loopback only with `cert`, `key` and `ca` in [fleet]";
        table.fault_at(&at, message);
    }
    if loopback && fleet.is_some_and(|fleet| fleet.secret_file.is_none()) {
        table.fault_at(&at, "nodes on loopback need `secret_file` in [fleet]");
    }
    Some(at)
}

fn admin(table: &Table<'_>) -> Option<At<SocketAddr>> {
    let at = address(table)?;
    if !at.value.ip().is_loopback() {
        let message =
            "an admin address that is not loopback needs TLS, which it does not speak yet";
        table.fault_at(&at, message);
    }
    Some(at)
}
