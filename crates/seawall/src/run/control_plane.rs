//! A control plane by its file.

use super::{Signals, Told, runtime, say};
use crate::cli::{ControlPlaneArgs, ControlPlaneCommand};
use crate::operator;
use anyhow::Result;
use seawall_config::{ShieldEntryModel, load_control_plane};
use seawall_control_plane::server::{STORE_FILE, SyncTls, TOKEN_FILE};
use seawall_control_plane::store::{backup, restore};
use seawall_control_plane::{Alone, ControlPlane, ControlPlaneSpec, ShieldEntry};
use seawall_node::data_dir::load_or_create_secret;
use serde_json::json;
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
    let tls = model.fleet.tls.as_ref().filter(|_| model.sync_tls());
    let shield = |shield: &ShieldEntryModel| ShieldEntry {
        id: shield.id.clone(),
        host: shield.host.clone(),
        port: shield.port,
        weight: shield.weight,
        tls_name: shield.tls_name.clone(),
    };
    let shields: Vec<ShieldEntry> = model.shields.iter().map(shield).collect();
    let started = ControlPlane::start(ControlPlaneSpec {
        data: model.data.clone(),
        sync: model.sync,
        admin: model.admin,
        secret,
        tls: tls.map(|tls| SyncTls {
            cert: tls.cert.clone(),
            key: tls.key.clone(),
            ca: tls.ca.clone(),
        }),
        shields: (!shields.is_empty()).then_some(shields),
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
    runtime.block_on(async { while signals.next().await != Told::End {} });
    Ok(())
}
