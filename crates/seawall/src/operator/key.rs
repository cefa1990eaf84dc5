//! The keys that receipts are signed with.

use super::Output;
use super::client::{Carrying, Client};
use super::table::table;
use crate::cli::KeyCommand;
use anyhow::Result;
use http::Method;
use seawall_control_plane::api::rfc3339;
use serde_json::Value;
use std::process::ExitCode;

pub(super) fn run(client: &Client, command: &KeyCommand, output: &Output) -> Result<ExitCode> {
    match command {
        KeyCommand::List => {
            let body = client.get("/v1/keys")?.body;
            output.tell(&body, || list(&body));
        }
        KeyCommand::Rotate => {
            let asked = client.ask(&Method::POST, "/v1/keys", Carrying::default());
            let body = asked?.body;
            output.tell(&body, || {
                let id = body["kid"].as_str().unwrap_or_default();
                format!("receipts are signed with {id} from now on\n")
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(body: &Value) -> String {
    let keys = body["keys"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = keys
        .map(|key| {
            let at = |name: &str| key[name].as_u64().map(rfc3339);
            vec![
                key["kid"].as_str().unwrap_or_default().to_owned(),
                at("from_ms").unwrap_or_default(),
                at("until_ms").unwrap_or_else(|| "signs now".to_owned()),
            ]
        })
        .collect();
    table(&["KEY", "FROM", "UNTIL"], &rows)
}
