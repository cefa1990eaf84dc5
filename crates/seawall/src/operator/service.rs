//! Services and their versions.

use super::Output;
use super::client::{Carrying, Client, segment};
use super::table::table;
use crate::cli::ServiceCommand;
use anyhow::{Context, Result, bail};
use http::{Method, header};
use seawall_config::read_services;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(client: &Client, command: &ServiceCommand, output: &Output) -> Result<ExitCode> {
    match command {
        ServiceCommand::List => {
            let body = client.get("/v1/services")?.body;
            output.tell(&body, || list(&body));
        }
        ServiceCommand::Show { id } => {
            let body = client.get(&path(id))?.body;
            output.tell(&body, || text(&body, "toml").to_owned());
        }
        ServiceCommand::Put { file, if_version } => {
            let read = fs::read_to_string(file);
            let toml = read.with_context(|| format!("{} cannot be read", file.display()))?;
            let id = id_of(file, &toml)?;
            let carrying = Carrying {
                body: Some(("application/toml", toml)),
                fields: condition(*if_version),
                file: Some((id.clone(), file.clone())),
            };
            let answer = client.ask(&Method::PUT, &path(&id), carrying);
            let body = answer.with_context(|| file.display().to_string())?.body;
            output.tell(&body, || told(&body));
        }
        ServiceCommand::History { id } => {
            let body = client.get(&format!("{}/versions", path(id)))?.body;
            output.tell(&body, || history(&body));
        }
        ServiceCommand::Rollback { id, to, if_version } => {
            let carrying = Carrying {
                fields: condition(*if_version),
                ..Carrying::json(&json!({ "version": to }))
            };
            let rollback = format!("{}/rollback", path(id));
            let body = client.ask(&Method::POST, &rollback, carrying)?.body;
            output.tell(&body, || told(&body));
        }
        ServiceCommand::Delete { id, if_version } => {
            let carrying = Carrying {
                fields: condition(*if_version),
                ..Carrying::default()
            };
            client.ask(&Method::DELETE, &path(id), carrying)?;
            let body = json!({ "deleted": id });
            output.tell(&body, || {
                format!("service {id} is out of force; its history stays\n")
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(id: &str) -> String {
    format!("/v1/services/{}", segment(id))
}

fn condition(version: Option<u64>) -> Vec<(header::HeaderName, String)> {
    let tag = |version| (header::IF_MATCH, format!("\"{version}\""));
    version.map(tag).into_iter().collect()
}

/// The id that a service file gives itself; else what is wrong with it, and where.
fn id_of(file: &Path, text: &str) -> Result<String> {
    let table: Option<toml::Table> = text.parse().ok();
    let id = table.and_then(|table| Some(table.get("service")?.get("id")?.as_str()?.to_owned()));
    if let Some(id) = id.filter(|id| !id.is_empty()) {
        return Ok(id);
    }
    // the control plane judges the rest: it may know more settings than this program does
    read_services(&[(file.to_owned(), text.to_owned())])?;
    bail!("{}: no [service] with an id", file.display())
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn told(body: &Value) -> String {
    format!(
        "service {} is at version {}\n",
        text(body, "id"),
        body["version"]
    )
}

fn list(body: &Value) -> String {
    let services = body["services"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = services
        .map(|service| {
            let hosts = service["hosts"].as_array().into_iter().flatten();
            let hosts: Vec<&str> = hosts.filter_map(Value::as_str).collect();
            vec![
                text(service, "id").to_owned(),
                service["version"].to_string(),
                text(service, "at").to_owned(),
                text(service, "by").to_owned(),
                hosts.join(" "),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no services yet: seawall service put FILE\n".into();
    }
    table(&["ID", "VERSION", "AT", "BY", "HOSTS"], &rows)
}

fn history(body: &Value) -> String {
    let versions = body["versions"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = versions
        .map(|version| {
            vec![
                version["version"].to_string(),
                text(version, "at").to_owned(),
                text(version, "by").to_owned(),
                text(version, "note").to_owned(),
            ]
        })
        .collect();
    table(&["VERSION", "AT", "BY", "NOTE"], &rows)
}
