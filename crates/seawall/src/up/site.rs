//! The service of `up`: its file, and when it is put in force.

use crate::cli::UpArgs;
use anyhow::{Context, Result, anyhow, bail};
use seawall_control_plane::api::Refused;
use seawall_control_plane::api::purges::Requested;
use seawall_control_plane::record::By;
use seawall_control_plane::services::{ChangeError, Condition};
use seawall_control_plane::{ControlPlane, Plane};
use serde_json::json;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The service of `up`, and the name under which it is put.
const SERVICE: &str = "site";
const BY: &str = "up";
/// Tells versions that `up` put from those of operators. No request to the API can say it.
const NOTE: &str = "as `seawall up` was started";

/// Puts the service of this start in force, unless an operator has changed or deleted it. What was cached by another
/// version of `up`'s own, or of what a built-in origin served before (`is_other`), is purged first. Returns what to tell.
pub(super) fn put_service(
    plane: &ControlPlane,
    text: String,
    is_other: bool,
) -> Result<Option<String>> {
    match plane.block_on(put_in_force(plane.plane(), text, is_other)) {
        Some(told) => told.context("the service of this start"),
        None => bail!("the control plane has ended"),
    }
}

async fn put_in_force(plane: &Arc<Plane>, text: String, is_other: bool) -> Result<Option<String>> {
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
            let history = match plane.services.history(SERVICE).await {
                Err(ChangeError::Unknown(_)) => Vec::new(),
                told => told?,
            };
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
async fn purge_copies(plane: &Arc<Plane>, in_force: bool) -> Result<()> {
    let body = if in_force {
        json!({ "service": SERVICE, "wait_ms": 0 }).to_string()
    } else {
        json!({ "everything": true, "wait_ms": 0 }).to_string()
    };
    let refused =
        |refused: Refused| anyhow!("its copies cannot be purged: {}", refused.body()["error"]);
    let requested = Requested::parse(body.as_bytes(), plane).map_err(refused)?;
    requested
        .carry_out(plane, By::named(BY), None, false)
        .await
        .map_err(refused)?;
    Ok(())
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}

/// The service of `up` as a service file: every host, one origin, no stale windows.
pub(super) fn service_text(url: &str, args: &UpArgs) -> Result<String> {
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
