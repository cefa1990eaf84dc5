//! A control plane by its file.

use super::{Signals, Told, runtime, say};
use crate::cli::{ControlPlaneArgs, ControlPlaneCommand};
use crate::operator;
use anyhow::Result;
use seawall_config::{ControlPlaneModel, ShieldEntryModel, load_control_plane};
use seawall_control_plane::server::{STORE_FILE, TOKEN_FILE};
use seawall_control_plane::store::{backup, restore};
use seawall_control_plane::{Alone, ControlPlane, ControlPlaneSpec, Reload, ShieldEntry, SyncTls};
use seawall_node::data_dir::load_or_create_secret;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Arc;

pub(super) fn control_plane(args: &ControlPlaneArgs, as_json: bool) -> Result<()> {
    match (&args.command, &args.config) {
        (Some(ControlPlaneCommand::Backup { data, to }), _) => {
            backup(&data.join(STORE_FILE), to)?;
            let told = json!({ "backup": to });
            say(&if as_json {
                format!("{told}\n")
            } else {
                format!("{} is a backup\n", to.display())
            });
            Ok(())
        }
        (Some(ControlPlaneCommand::Restore { data, from }), _) => {
            restore(from, &data.join(STORE_FILE))?;
            let told = json!({ "restored": data });
            say(&if as_json {
                format!("{told}\n")
            } else {
                let data = data.display();
                format!("{data} is restored: start the control plane; nodes will start empty\n")
            });
            Ok(())
        }
        (None, Some(config)) => run_control_plane(config, as_json),
        (None, None) => anyhow::bail!("--config FILE is needed"),
    }
}

fn run_control_plane(config: &Path, as_json: bool) -> Result<()> {
    let runtime = runtime()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let model = load_control_plane(config)?;
    let secret = match &model.fleet.secret_file {
        Some(path) if !model.sync_tls() => Some(load_or_create_secret(path)?),
        _ => None,
    };
    let mut started = ControlPlane::start(ControlPlaneSpec {
        data: model.data.clone(),
        sync: model.sync,
        admin: model.admin,
        secret: secret.clone(),
        tls: model.sync_tls().then(|| sync_tls(&model)).flatten(),
        shields: shields(&model),
        lease: model.lease,
        host: Arc::new(Alone),
    })?;
    operator::remember(started.admin_address(), &model.data);
    let (sync, admin) = (started.sync_address(), started.admin_address());
    let token = model.data.join(TOKEN_FILE);
    if as_json {
        let told = json!({ "role": "control-plane", "sync": sync.to_string(), "admin": admin.to_string(), "token_file": token });
        say(&format!("{told}\n"));
    } else {
        let token = token.display();
        say(&format!(
            "control plane: admin http://{admin}, nodes {sync}, token in {token}\n"
        ));
    }
    while runtime.block_on(signals.next()) == Told::Reload {
        match reload(config, &model, &mut started) {
            Ok(now) => {
                tracing::info!("certificates and shields are reloaded");
                for setting in at_next_start(&model, secret.as_deref(), &now) {
                    tracing::warn!("{setting} changes at the next start");
                }
            }
            Err(reason) => {
                tracing::error!("reload refused, the old state stays in force: {reason}");
            }
        }
    }
    Ok(())
}

/// Takes the file anew; what it says now, or one line that tells why it is refused.
fn reload(
    config: &Path,
    began: &ControlPlaneModel,
    started: &mut ControlPlane,
) -> Result<ControlPlaneModel, String> {
    let now = load_control_plane(config).map_err(|faults| {
        started.reload_refused();
        let faults: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })?;
    // those of a later start are looked at too
    let needed = began.sync_tls() || now.sync_tls();
    let anew = Reload {
        tls: needed.then(|| sync_tls(&now)).flatten(),
        shields: shields(&now),
    };
    let done = started.reload(&anew);
    done.map_err(|error| error.to_string())?;
    Ok(now)
}

/// What the file says now and a running control plane cannot change.
fn at_next_start(
    began: &ControlPlaneModel,
    secret: Option<&str>,
    now: &ControlPlaneModel,
) -> Vec<&'static str> {
    let secret_now = || {
        let text = fs::read_to_string(now.fleet.secret_file.as_ref()?).ok()?;
        Some(text.trim().to_owned())
    };
    let changes = [
        ("data", began.data != now.data),
        ("sync.address", began.sync != now.sync),
        ("sync.lease", began.lease != now.lease),
        ("admin.address", began.admin != now.admin),
        ("TLS towards nodes", began.sync_tls() != now.sync_tls()),
        (
            "the fleet's secret",
            secret.is_some() && secret != secret_now().as_deref(),
        ),
    ];
    let changed = changes.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(setting, _)| setting).collect()
}

fn sync_tls(model: &ControlPlaneModel) -> Option<SyncTls> {
    model.fleet.tls.as_ref().map(|tls| SyncTls {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        ca: tls.ca.clone(),
    })
}

fn shields(model: &ControlPlaneModel) -> Option<Vec<ShieldEntry>> {
    let shield = |shield: &ShieldEntryModel| ShieldEntry {
        id: shield.id.clone(),
        host: shield.host.clone(),
        port: shield.port,
        weight: shield.weight,
        tls_name: shield.tls_name.clone(),
    };
    let shields: Vec<ShieldEntry> = model.shields.iter().map(shield).collect();
    (!shields.is_empty()).then_some(shields)
}
