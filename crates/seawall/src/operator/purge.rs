//! Purges, and their receipts.

use super::client::{Carrying, Client, segment};
use super::table::{bytes, plain, table};
use super::{INCOMPLETE, Output};
use crate::cli::{PurgeArgs, PurgeCommand};
use anyhow::{Context, Result};
use http::Method;
use seawall_control_plane::signed::payload;
use serde_json::{Value, json};
use std::fs;
use std::process::ExitCode;

pub(super) fn run(client: &Client, args: &PurgeArgs, output: &Output) -> Result<ExitCode> {
    match &args.command {
        Some(PurgeCommand::Show { id, signed: true }) => {
            let (text, code) = signed(client, id)?;
            output.tell(&json!({ "signed": text }), || format!("{text}\n"));
            Ok(code)
        }
        // told before a control plane was looked for
        Some(PurgeCommand::Verify { .. }) => Ok(ExitCode::SUCCESS),
        Some(PurgeCommand::Show { id, signed: false }) => {
            let path = format!("/v1/purges/{}?receipts=all", segment(id));
            let body = client.get(&path)?.body;
            output.tell(&body, || receipt(&body) + &named(&body));
            Ok(code(&body))
        }
        Some(PurgeCommand::List {
            url,
            tag,
            prefix,
            host,
            service,
            after,
            limit,
        }) => {
            let mut path = format!("/v1/purges?limit={limit}");
            for (name, value) in [
                ("url", url),
                ("tag", tag),
                ("prefix", prefix),
                ("host", host),
                ("service", service),
                ("after", after),
            ] {
                if let Some(value) = value {
                    path += &format!("&{name}={}", segment(value));
                }
            }
            let body = client.get(&path)?.body;
            output.tell(&body, || list(&body));
            Ok(ExitCode::SUCCESS)
        }
        None => purge(client, args, output),
    }
}

fn purge(client: &Client, args: &PurgeArgs, output: &Output) -> Result<ExitCode> {
    let mut body = json!({});
    let lists = [
        ("urls", &args.urls),
        ("tags", &args.tag),
        ("prefixes", &args.prefix),
        ("hosts", &args.host),
    ];
    for (name, items) in lists {
        if !items.is_empty() {
            body[name] = json!(items);
        }
    }
    if let Some(service) = &args.service {
        body["service"] = json!(service);
    }
    if args.everything {
        body["everything"] = json!(true);
    }
    body["soft"] = json!(args.soft);
    if let Some(pace) = args.pace {
        body["pace"] = json!(pace);
    }
    body["dry_run"] = json!(args.dry_run);
    if let Some(wait) = args.wait {
        body["wait_ms"] = json!(wait.as_millis() as u64);
    }
    let asked = client.ask(
        &Method::POST,
        "/v1/purges?receipts=all",
        Carrying::json(&body),
    );
    let answer = asked?.body;
    if args.dry_run {
        output.tell(&answer, || estimate(&answer));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &args.receipt {
        // the purge is in the log, whatever becomes of the file
        output.tell(&answer, || receipt(&answer));
        let (text, _) = signed(client, text(&answer, "id"))?;
        fs::write(file, text + "\n")
            .with_context(|| format!("the receipt cannot be written to {}", file.display()))?;
        return Ok(code(&answer));
    }
    output.tell(&answer, || receipt(&answer));
    Ok(code(&answer))
}

/// A purge's signed receipt as it stands now, and the exit code that it stands for.
fn signed(client: &Client, id: &str) -> Result<(String, ExitCode)> {
    let path = format!("/v1/purges/{}/receipt", segment(id));
    let text = client.get(&path)?.text;
    let text = text.trim().to_owned();
    let payload = payload(&text).context("what the control plane answers is no receipt")?;
    Ok((text, code(&payload)))
}

fn code(body: &Value) -> ExitCode {
    if body["complete"] == json!(true) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Members that the purge waits or waited for, and those that an operator has taken out of the fleet.
fn members(body: &Value) -> (u64, u64) {
    let number = |name: &str| body[name].as_u64().unwrap_or_default();
    let removed = number("removed");
    (number("nodes").saturating_sub(removed), removed)
}

fn count(nodes: u64) -> String {
    format!("{nodes} node{}", if nodes == 1 { "" } else { "s" })
}

/// A receipt as a table: what happened on each node, and after how long.
pub(super) fn receipt(body: &Value) -> String {
    let (members, removed) = members(body);
    let fenced = body["fenced"].as_u64().unwrap_or_default();
    let done = match (body["complete"] == json!(true), members) {
        (true, _) if fenced > 0 => format!(
            "complete: in force on {} of {}, {fenced} fenced",
            members.saturating_sub(fenced),
            count(members)
        ),
        (true, 0) => "complete: the fleet has no nodes".to_owned(),
        (true, 1) => "complete: in force on the only node".to_owned(),
        (true, _) => format!("complete: in force on all {members} nodes"),
        (false, _) => format!(
            "not complete: pending on {} of {}",
            body["pending"],
            count(members)
        ),
    };
    let done = match removed {
        0 => done,
        _ => format!("{done} ({removed} removed)"),
    };
    let took = body["took_ms"].as_u64();
    let took = took.map_or(String::new(), |ms| format!(", after {ms} ms"));
    let mut told = format!("purge {} {done}{took}\n", plain(text(body, "id")));
    let rows: Vec<Vec<String>> = items(&body["receipts"])
        .map(|receipt| {
            let ms = receipt["ms"].as_u64().map(|ms| format!("{ms} ms"));
            let since = receipt["since"].as_str().map(|at| format!("since {at}"));
            vec![
                text(receipt, "node").to_owned(),
                text(receipt, "state").to_owned(),
                ms.or(since).unwrap_or_default(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        told += &table(&["NODE", "STATE", "TIME"], &rows);
    }
    told
}

/// How strong a purge is, and its pace.
fn strength(body: &Value) -> String {
    match (body["soft"] == json!(true), body["pace"].as_u64()) {
        (true, _) => "soft".into(),
        (false, Some(pace)) => format!("hard {pace}/s"),
        (false, None) => "hard".into(),
    }
}

pub(super) fn named(body: &Value) -> String {
    let strength = strength(body);
    let node = body["by_node"].as_str();
    let node = node.map_or(String::new(), |node| format!(", by way of {node}"));
    let who = format!(
        "{strength}, at {}, by {}{node}",
        text(body, "at"),
        text(body, "by")
    );
    let mut told = plain(&who) + "\n";
    let named = &body["named"];
    if named["everything"] == json!(true) {
        told += "  everything\n";
    }
    if let Some(service) = named["service"].as_str() {
        told += &format!("  service: {}\n", plain(service));
    }
    for kind in ["urls", "tags", "prefixes", "hosts"] {
        for item in items(&named[kind]) {
            let item = plain(item.as_str().unwrap_or_default());
            told += &format!("  {kind}: {item}\n");
        }
    }
    told
}

/// What a purge names, in one cell.
pub(super) fn short(named: &Value) -> String {
    const CELL_CHARS: usize = 60;
    if named["everything"] == json!(true) {
        return "everything".into();
    }
    let kinds = ["urls", "tags", "prefixes", "hosts"];
    let all: Vec<&str> = kinds
        .iter()
        .flat_map(|kind| items(&named[*kind]).filter_map(Value::as_str))
        .collect();
    match all.as_slice() {
        [] => format!("service {}", text(named, "service")),
        [first, ..] => {
            // a list tells the first names, and how many there are
            let count = named["count"].as_u64().unwrap_or(all.len() as u64);
            let more = match count - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            first.chars().take(CELL_CHARS).collect::<String>() + &more
        }
    }
}

fn list(body: &Value) -> String {
    let rows: Vec<Vec<String>> = items(&body["purges"])
        .map(|purge| {
            vec![
                text(purge, "id").to_owned(),
                text(purge, "at").to_owned(),
                strength(purge),
                format!("{}/{}", purge["applied"], members(purge).0),
                text(purge, "by").to_owned(),
                short(&purge["named"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no purges\n".into();
    }
    table(&["ID", "AT", "STRENGTH", "APPLIED", "BY", "NAMED"], &rows)
}

fn estimate(body: &Value) -> String {
    let rows: Vec<Vec<String>> = items(&body["nodes"])
        .map(|node| {
            let number = |name: &str| node[name].as_u64().unwrap_or_default();
            let told = match node["error"].as_str() {
                Some(reason) => reason.to_owned(),
                None if node["partial"] == json!(true) => format!(
                    "{} +- {}, and what lies on disk from before its start",
                    number("objects"),
                    number("objects_error")
                ),
                None => format!("{} +- {}", number("objects"), number("objects_error")),
            };
            let size = bytes(number("bytes"));
            vec![text(node, "node").to_owned(), told, size]
        })
        .collect();
    let mut told =
        "dry run: nothing is purged. Estimated from a sample of each node's keys:\n".to_owned();
    told += &table(&["NODE", "OBJECTS", "BYTES"], &rows);
    let requests = &body["origin_requests"];
    let number = |name: &str| requests[name].as_u64();
    if let (Some(second), Some(minute)) = (number("first_second"), number("first_minute")) {
        let error = |name: &str| number(name).unwrap_or_default();
        told += &format!(
            "origin requests: {second} +- {} in the first second, {minute} +- {} in the first minute\n",
            error("first_second_error"),
            error("first_minute_error"),
        );
        if let (Some(through), Some(most)) = (number("per_second"), number("per_second_max")) {
            told += &format!("  of which {through}/s go through: pace or budget allow {most}/s\n");
        }
    }
    for node in items(&body["silent"]) {
        told += &format!("  {} did not answer\n", node.as_str().unwrap_or_default());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_tells_how_often_origins_would_be_asked() {
        let mut body = json!({ "nodes": [], "silent": [] });
        assert!(!estimate(&body).contains("origin requests"));
        body["origin_requests"] = json!({
            "first_second": 640, "first_second_error": 393, "first_minute": 6400,
            "first_minute_error": 1245, "per_second": 640,
        });
        let line =
            "origin requests: 640 +- 393 in the first second, 6400 +- 1245 in the first minute\n";
        assert!(estimate(&body).ends_with(line));
        body["origin_requests"]["per_second"] = json!(100);
        body["origin_requests"]["per_second_max"] = json!(100);
        let bound = "  of which 100/s go through: pace or budget allow 100/s\n";
        assert!(estimate(&body).ends_with(&format!("{line}{bound}")));
    }

    #[test]
    fn a_receipt_counts_the_members_and_tells_the_removed_ones_apart() {
        let of = |complete: bool, nodes: u64, pending: u64, removed: u64| {
            let body = json!({
                "id": "a-1", "complete": complete, "nodes": nodes, "pending": pending, "removed": removed,
            });
            receipt(&body)
        };
        let fenced = json!({ "id": "a-1", "complete": true, "nodes": 3, "fenced": 1 });
        for (told, expected) in [
            (
                receipt(&fenced),
                "purge a-1 complete: in force on 2 of 3 nodes, 1 fenced\n",
            ),
            (
                of(true, 3, 0, 0),
                "purge a-1 complete: in force on all 3 nodes\n",
            ),
            (
                of(true, 3, 0, 1),
                "purge a-1 complete: in force on all 2 nodes (1 removed)\n",
            ),
            (
                of(true, 1, 0, 0),
                "purge a-1 complete: in force on the only node\n",
            ),
            (
                of(true, 0, 0, 0),
                "purge a-1 complete: the fleet has no nodes\n",
            ),
            (
                of(false, 3, 1, 1),
                "purge a-1 not complete: pending on 1 of 2 nodes (1 removed)\n",
            ),
            (
                of(false, 1, 1, 0),
                "purge a-1 not complete: pending on 1 of 1 node\n",
            ),
        ] {
            assert_eq!(told, expected);
        }
    }
}
