//! Operators' tokens.

use super::Output;
use super::client::{Carrying, Client, segment};
use super::table::table;
use crate::cli::TokenCommand;
use anyhow::Result;
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

pub(super) fn run(client: &Client, command: &TokenCommand, output: &Output) -> Result<ExitCode> {
    match command {
        TokenCommand::List => {
            let body = client.get("/v1/tokens")?.body;
            output.tell(&body, || list(&body));
        }
        TokenCommand::Create { name, role } => {
            let asked = Carrying::json(&json!({ "name": name, "role": role.as_str() }));
            let body = client.ask(&Method::POST, "/v1/tokens", asked)?.body;
            output.tell(&body, || {
                let text = body["token"].as_str().unwrap_or_default();
                format!("{text}\n")
            });
        }
        TokenCommand::Revoke { id } => {
            let path = format!("/v1/tokens/{}", segment(id));
            client.ask(&Method::DELETE, &path, Carrying::default())?;
            let body = json!({ "revoked": id });
            output.tell(&body, || format!("token {id} is nothing from now on\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(body: &Value) -> String {
    let tokens = body["tokens"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = tokens
        .map(|token| {
            let text = |name: &str| token[name].as_str().unwrap_or_default().to_owned();
            vec![text("id"), text("role"), text("name")]
        })
        .collect();
    table(&["ID", "ROLE", "NAME"], &rows)
}
