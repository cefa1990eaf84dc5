//! Who changed what, and when.

use super::Output;
use super::client::{Client, segment};
use super::purge::short;
use super::table::table;
use crate::cli::AuditArgs;
use anyhow::Result;
use serde_json::Value;
use std::process::ExitCode;

pub(super) fn run(client: &Client, args: &AuditArgs, output: &Output) -> Result<ExitCode> {
    let mut path = format!("/v1/audit?limit={}", args.limit);
    if !args.kind.is_empty() {
        path += &format!("&kind={}", segment(&args.kind.join(",")));
    }
    if let Some(after) = &args.after {
        path += &format!("&after={}", segment(after));
    }
    let body = client.get(&path)?.body;
    output.tell(&body, || list(&body));
    Ok(ExitCode::SUCCESS)
}

fn list(body: &Value) -> String {
    let entries = body["audit"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = entries
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let kind = text("kind");
            let detail = if kind == "purge" {
                short(&entry["named"])
            } else {
                text("detail")
            };
            vec![
                text("at"),
                text("by"),
                kind,
                text("action"),
                text("target"),
                text("outcome"),
                detail,
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no changes\n".into();
    }
    let mut told = table(
        &["AT", "BY", "KIND", "ACTION", "TARGET", "OUTCOME", "DETAIL"],
        &rows,
    );
    if let Some(next) = body["next"].as_str() {
        told += &format!("older ones: seawall audit --after {next}\n");
    }
    told
}
