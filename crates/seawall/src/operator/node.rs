//! Members of the fleet.

use super::Output;
use super::client::{Carrying, Client, segment};
use super::table::table;
use crate::cli::NodeCommand;
use anyhow::Result;
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

pub(super) fn run(client: &Client, command: &NodeCommand, output: &Output) -> Result<ExitCode> {
    match command {
        NodeCommand::List => {
            let body = client.get("/v1/nodes")?.body;
            output.tell(&body, || list(&body));
        }
        NodeCommand::Remove { id } => {
            let path = format!("/v1/nodes/{}", segment(id));
            client.ask(&Method::DELETE, &path, Carrying::default())?;
            let body = json!({ "removed": id });
            output.tell(&body, || {
                format!("node {id} is removed: no receipt waits for it, and it starts empty should it come back\n")
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Until when a node may answer by itself.
fn lease(lease: &Value) -> String {
    let at = |name: &str| lease[name].as_str().unwrap_or_default();
    match lease["state"].as_str() {
        Some("held") => format!("until {}", at("until")),
        Some("lost") => format!("lost since {}", at("since")),
        _ => "not known".to_owned(),
    }
}

/// What nodes refuse, and why.
fn refusals(body: &Value) -> String {
    let nodes = body["nodes"].as_array().into_iter().flatten();
    let lines = nodes.flat_map(|node| {
        let id = node["id"].as_str().unwrap_or_default();
        let refused = node["refused"].as_object().into_iter().flatten();
        refused.map(move |(name, reason)| {
            let reason = reason.as_str().unwrap_or_default();
            format!("{id} refuses {name}: {reason}\n")
        })
    });
    lines.collect()
}

fn list(body: &Value) -> String {
    let nodes = body["nodes"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = nodes
        .map(|node| {
            let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
            let state = if node["connected"] == json!(true) {
                "connected"
            } else {
                "away"
            };
            let behind = match node["behind"].as_u64() {
                Some(0) => "up to date".to_owned(),
                Some(1) => "1 purge behind".to_owned(),
                Some(behind) => format!("{behind} purges behind"),
                None => "of another log".to_owned(),
            };
            let refused = node["refused"].as_object().map_or(0, serde_json::Map::len);
            let refused = match refused {
                0 => String::new(),
                1 => ", refuses a document".to_owned(),
                count => format!(", refuses {count} documents"),
            };
            vec![
                text("id"),
                text("kind"),
                state.to_owned(),
                behind + &refused,
                lease(&node["lease"]),
                text("software"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no nodes yet\n".into();
    }
    table(
        &["ID", "KIND", "STATE", "PURGES", "LEASE", "SOFTWARE"],
        &rows,
    ) + &refusals(body)
}
