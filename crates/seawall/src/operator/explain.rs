//! Why a URL is a hit or a miss, and what lies under its key on which node.

use super::Output;
use super::client::{Client, segment};
use super::table::bytes;
use crate::cli::ExplainArgs;
use anyhow::Result;
use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;

pub(super) fn run(client: &Client, args: &ExplainArgs, output: &Output) -> Result<ExitCode> {
    let mut path = format!("/v1/explain?url={}", segment(&args.url));
    for header in &args.header {
        path += &format!("&header={}", segment(header));
    }
    let body = client.get(&path)?.body;
    output.tell(&body, || explanation(&body));
    Ok(ExitCode::SUCCESS)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<&str> {
    items(value).filter_map(Value::as_str).collect()
}

fn is(value: &Value, name: &str) -> bool {
    value[name].as_bool().unwrap_or_default()
}

/// A line below a head: its name in a column of its own.
fn line(told: &mut String, name: &str, text: &str) {
    // writing to memory does not fail
    let _ = writeln!(told, "  {name:<9} {text}");
}

fn explanation(body: &Value) -> String {
    let mut told = format!("{}\n", text(body, "url"));
    let version = body["version"].as_u64();
    let version = version.map_or(String::new(), |n| format!(", version {n}"));
    line(
        &mut told,
        "service",
        &format!("{}{version}", text(body, "service")),
    );
    line(&mut told, "rule", &rule(body));
    line(&mut told, "key", text(body, "key"));
    for part in items(&body["key_parts"]) {
        line(&mut told, "", &key_part(part));
    }
    let shields = texts(&body["shields"]);
    match shields.split_first() {
        Some((owner, [])) => line(&mut told, "shields", &format!("{owner} owns the key")),
        Some((owner, others)) => {
            let others = others.join(", ");
            line(
                &mut told,
                "shields",
                &format!("{owner} owns the key, then {others}"),
            );
        }
        None => line(&mut told, "shields", "none: origins are asked"),
    }
    line(
        &mut told,
        "purges",
        &format!("the log stands at {}", text(body, "head")),
    );
    for node in items(&body["nodes"]) {
        told.push('\n');
        of_node(&mut told, node, text(body, "head"));
    }
    let silent = texts(&body["silent"]);
    if !silent.is_empty() {
        let _ = write!(told, "\nno answer from: {}\n", silent.join(", "));
    }
    told
}

fn rule(body: &Value) -> String {
    let rule = &body["rule"];
    let passes = if is(body, "cache") {
        ""
    } else {
        ", which lets the request pass"
    };
    let Some(index) = rule["index"].as_u64() else {
        return format!("none matches: the service's defaults{passes}");
    };
    let named = match text(rule, "name") {
        "" => String::new(),
        name => format!(" ({name})"),
    };
    let paths = match texts(&rule["paths"]).join(" ") {
        paths if paths.is_empty() => String::new(),
        paths => format!(" for {paths}"),
    };
    format!("number {}{named}{paths}{passes}", index + 1)
}

fn key_part(part: &Value) -> String {
    let values = texts(&part["values"]);
    let values = if values.is_empty() {
        "(not in the request)".to_owned()
    } else {
        values.join(" | ")
    };
    match part["name"].as_str() {
        Some(name) => format!("{} {name}: {values}", text(part, "part")),
        None => format!("{} {values}", text(part, "part")),
    }
}

fn of_node(told: &mut String, node: &Value, head: &str) {
    let kind = match text(node, "kind") {
        "" => String::new(),
        kind => format!(" ({kind})"),
    };
    let id = text(node, "node");
    if let Some(reason) = node["error"].as_str() {
        let _ = writeln!(told, "{id}{kind} cannot tell: {reason}");
        return;
    }
    let forward = node["forward"].as_str();
    let forward = forward.map_or(String::new(), |why| format!(", fwd={why}"));
    let _ = writeln!(told, "{id}{kind}: {}{forward}", text(node, "outcome"));
    line(told, "why", text(node, "why"));
    if let Some(key) = node["found_under"].as_str() {
        line(
            told,
            "under",
            &format!("{key}, the key of an equivalent URL"),
        );
    }
    if let Some(status) = node["status"].as_u64() {
        let coded = match node["recoding"].as_str() {
            Some("identity") => ", decoded".to_owned(),
            Some(coding) => format!(", coded as {coding}"),
            None => String::new(),
        };
        line(told, "answer", &format!("{status}{coded}"));
    }
    if forward.is_empty() {
        // nobody is asked now
    } else {
        line(told, "asks", &texts(&node["asks"]).join(", "));
    }
    for copy in items(&node["copies"]) {
        of_copy(told, copy, head);
    }
    match number(node, "unread") {
        0 => {}
        unread => line(
            told,
            "more",
            &format!("{unread} copies may lie on a disk and were not read"),
        ),
    }
    line(
        told,
        "purges",
        &format!("in force up to {}", position(text(node, "purged"), head)),
    );
    for purge in items(&node["purges"]) {
        line(told, "", &last_purge(purge, head));
    }
    for decision in items(&node["last"]) {
        line(told, "last", &last(decision));
    }
}

fn of_copy(told: &mut String, copy: &Value, head: &str) {
    let selected = if is(copy, "selected") {
        "selected by the request"
    } else {
        "of another variant"
    };
    let coded = match copy["decodable"].as_str() {
        Some(coding) => format!(", decoded for clients that do not accept {coding}"),
        None if is(copy, "negotiable") => ", coded for clients that accept it".to_owned(),
        None => String::new(),
    };
    line(
        told,
        "copy",
        &format!(
            "{}, {}, in {}, {selected}{coded}",
            number(copy, "status"),
            bytes(copy["length"].as_u64().unwrap_or_default()),
            text(copy, "place"),
        ),
    );
    if let Some(held) = held(copy) {
        line(told, "body", &held);
    }
    for recoded in items(&copy["recoded"]) {
        let (recoding, place) = (text(recoded, "recoding"), text(recoded, "place"));
        let length = bytes(recoded["length"].as_u64().unwrap_or_default());
        line(told, "beside", &format!("{recoding}, {length}, in {place}"));
    }
    line(told, "lifetime", &arithmetic(copy));
    let windows = [
        ("stale_while_revalidate", "stale-while-revalidate"),
        ("stale_if_error", "stale-if-error"),
    ];
    let windows = windows
        .into_iter()
        .filter(|(member, _)| number(copy, member) > 0)
        .map(|(member, name)| format!("{name} {} s", number(copy, member)));
    let flags = [
        ("no_cache", "no-cache: validated each time"),
        ("must_revalidate", "never used stale"),
    ];
    let flags = flags
        .into_iter()
        .filter(|(member, _)| is(copy, member))
        .map(|(_, name)| name.to_owned());
    let stale: Vec<String> = windows.chain(flags).collect();
    if !stale.is_empty() {
        line(told, "stale", &stale.join(", "));
    }
    line(
        told,
        "received",
        &format!(
            "{}, generation {}, revision {}",
            text(copy, "received"),
            text(copy, "generation"),
            number(copy, "revision"),
        ),
    );
    for field in items(&copy["fields"]) {
        let (name, value) = (text(field, "name"), text(field, "value"));
        line(told, "", &format!("{name}: {value}"));
    }
    let label = position(text(copy, "label"), head);
    let standing = match text(copy, "standing") {
        "live" => format!("no purge covers the copy, which was asked for at {label}"),
        "stale" => format!(
            "a soft purge made it stale at {}",
            text(copy, "stale_since")
        ),
        _ => format!(
            "gone: asked for at {label}, before a purge that covers it, or nobody knows yet"
        ),
    };
    line(told, "purged", &standing);
    for purge in items(&copy["purges"]) {
        line(told, "", &last_purge(purge, head));
    }
}

/// What of the body is here, where that is not all.
fn held(copy: &Value) -> Option<String> {
    let pieces = texts(copy.get("held").filter(|held| held.is_array())?);
    let why = if is(copy, "incomplete") {
        "the rest has not come yet"
    } else {
        "the rest was lost"
    };
    let more = if is(copy, "held_cut") {
        " and perhaps more"
    } else {
        ""
    };
    let held = if pieces.is_empty() {
        "nothing".to_owned()
    } else {
        format!("bytes {}", pieces.join(", "))
    };
    Some(format!("{held}{more}; {why}"))
}

/// A position of the purge log, without its epoch where that is the log's now.
fn position<'v>(at: &'v str, head: &str) -> &'v str {
    match (at.split_once('.'), head.split_once('.')) {
        (Some((epoch, n)), Some((now, _))) if epoch == now => n,
        _ => at,
    }
}

/// Which field gave which number.
fn arithmetic(copy: &Value) -> String {
    let (age, initial) = (number(copy, "age"), number(copy, "initial_age"));
    let left = number(copy, "fresh_for");
    let result = if left > 0 {
        format!("fresh for {left} s more")
    } else {
        format!("stale since {} s", -left)
    };
    format!(
        "{} s ({}) - age {age} s ({initial} s when received + {} s here) = {result}",
        number(copy, "lifetime"),
        text(copy, "lifetime_source"),
        age - initial,
    )
}

fn last_purge(purge: &Value, head: &str) -> String {
    let at = position(text(purge, "at"), head);
    if text(purge, "kind") == "floor" {
        return format!("up to {at} it is not known any more what was purged");
    }
    let soft = if is(purge, "soft") { "soft, " } else { "" };
    let covers = match purge["covers"].as_bool() {
        Some(true) => ", after the copy was asked for",
        Some(false) => ", before the copy was asked for",
        None => "",
    };
    let name = match text(purge, "name") {
        "" => String::new(),
        name => format!(" {name}"),
    };
    format!("{}{name}: {soft}at {at}{covers}", text(purge, "kind"))
}

fn last(decision: &Value) -> String {
    let mut told = format!(
        "{} {} {} {}",
        text(decision, "at"),
        text(decision, "method"),
        number(decision, "status"),
        text(decision, "outcome"),
    );
    if let Some(forward) = decision["forward"].as_str() {
        told += &format!(", fwd={forward}");
    }
    if let Some(status) = decision["forward_status"].as_u64() {
        told += &format!(", fwd-status={status}");
    }
    if is(decision, "stored") {
        told += ", stored";
    }
    if is(decision, "collapsed") {
        told += ", collapsed";
    }
    if let Some(detail) = decision["detail"].as_str() {
        told += &format!(", {detail}");
    }
    told
}
