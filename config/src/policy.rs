//! Policies and rules: what is cached, for how long, and under which key.

use crate::reader::Table;
use http::{HeaderName, HeaderValue};
use seawall_http_cache::{CompressTypes, ContentCoding, Targets, TypePattern};
use seawall_service_model::{
    AcceptedCodings, CacheMode, FieldCondition, FieldEdits, Matcher, PathPattern, Policy,
    QueryRule, Rule, canonical_target,
};
use std::time::Duration;

const TTL_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// Targeted fields that a policy may list.
const TARGETS_MAX: usize = 8;

/// Media types that a policy may list.
const TYPES_MAX: usize = 64;

/// Names of query parameters, as keys have them.
fn parameters(names: Vec<String>) -> Vec<String> {
    let canonical = |name: String| canonical_target(&name).into_owned();
    names.into_iter().map(canonical).collect()
}

pub(crate) fn seconds(table: &Table<'_>, name: &'static str) -> Option<u64> {
    let range = Duration::ZERO..=TTL_MAX;
    table
        .duration(name, &range)
        .map(|d| d.as_secs() + u64::from(d.subsec_nanos() > 0))
}

fn names(table: &Table<'_>, name: &'static str) -> Vec<HeaderName> {
    table
        .parsed_list::<HeaderName>(name)
        .into_iter()
        .map(|at| at.value)
        .collect()
}

/// The target list; an empty one is a list too: `Cache-Control` alone is read then.
fn targets(table: &Table<'_>) -> Option<Targets> {
    table.has("targets").then(|| {
        let listed = table.parsed_list::<HeaderName>("targets");
        if listed.len() > TARGETS_MAX {
            let n = listed.len();
            table.fault(format_args!("{n} targets; there may be {TARGETS_MAX}"));
        }
        for at in &listed {
            if !Targets::may_be(&at.value) {
                table.fault_at(
                    at,
                    "a target is a field whose name ends in -cache-control, or surrogate-control",
                );
            }
        }
        Targets::new(listed.into_iter().map(|at| at.value).collect())
    })
}

/// What is coded, in what, and decoded.
fn codings(table: &Table<'_>, policy: &mut Policy) {
    match table.bool("gzip") {
        Some(true) => policy.codings = vec![ContentCoding::Gzip],
        Some(false) => policy.codings = Vec::new(),
        None => {}
    }
    if table.has("codings") {
        if table.has("gzip") {
            table.fault("`gzip` and `codings` exclude each other");
        }
        policy.codings = Vec::new();
        for at in table.strings("codings") {
            match ContentCoding::PREFERRED
                .iter()
                .find(|c| c.token() == at.value)
            {
                Some(coding) if policy.codings.contains(coding) => {
                    table.fault_at(&at, "this coding is listed already");
                }
                Some(coding) => policy.codings.push(*coding),
                None => table.fault_at(&at, "a coding is \"br\", \"zstd\" or \"gzip\""),
            }
        }
    }
    if table.has("compress_types") {
        let types = table.parsed_list::<TypePattern>("compress_types");
        if types.len() > TYPES_MAX {
            let n = types.len();
            table.fault(format_args!("{n} compress_types; there may be {TYPES_MAX}"));
        }
        let types = types.into_iter().map(|at| at.value).collect();
        policy.compress_types = CompressTypes::Listed(types);
    }
    if let Some(min) = table.bytes("gzip_min", &(0..=1 << 30)) {
        policy.gzip_min = min.0;
    }
    if let Some(at) = table.string_at("accept_encoding") {
        match at.value.as_str() {
            "as-asked" => policy.accept_encoding = AcceptedCodings::AsAsked,
            "normalised" => policy.accept_encoding = AcceptedCodings::Normalised,
            _ => table.fault_at(&at, "accept_encoding is \"as-asked\" or \"normalised\""),
        }
    }
    policy.decode = table.bool("decode").unwrap_or(policy.decode);
}

pub(crate) fn policy(table: &Table<'_>, base: &Policy) -> Policy {
    let mut policy = base.clone();
    if let Some(at) = table.string_at("action") {
        match at.value.as_str() {
            "cache" => policy.cache = CacheMode::Cache,
            "bypass" => policy.cache = CacheMode::Bypass,
            _ => table.fault_at(&at, "an action is \"cache\" or \"bypass\""),
        }
    }
    let storage = &mut policy.storage;
    let set = |field: &mut Option<u64>, name| *field = seconds(table, name).or(*field);
    set(&mut storage.ttl_override, "ttl");
    set(&mut storage.ttl_default, "default_ttl");
    set(&mut storage.ttl_max, "max_ttl");
    set(
        &mut storage.stale_while_revalidate,
        "stale_while_revalidate",
    );
    set(&mut storage.stale_if_error, "stale_if_error");
    storage.store_set_cookie = table
        .bool("store_set_cookie")
        .unwrap_or(storage.store_set_cookie);
    storage.heuristic = table.bool("heuristic").unwrap_or(storage.heuristic);
    storage.heuristic_max = seconds(table, "heuristic_max").unwrap_or(storage.heuristic_max);
    if let Some(targets) = targets(table) {
        storage.targets = targets;
    }
    codings(table, &mut policy);
    policy.no_vary_search = table
        .bool("no_vary_search")
        .unwrap_or(policy.no_vary_search);
    table.table("key", |key| {
        let list = |name| {
            key.strings(name)
                .into_iter()
                .map(|at| at.value)
                .collect::<Vec<_>>()
        };
        let (only, except) = (key.has("only"), key.has("except"));
        let query = key.string_at("query");
        match &query {
            Some(at) if at.value == "keep" => policy.key.query = QueryRule::Keep,
            Some(at) if at.value == "drop" => policy.key.query = QueryRule::Drop,
            Some(at) => key.fault_at(
                at,
                "the query is \"keep\" or \"drop\"; else name parameters in `only` or `except`",
            ),
            None => {}
        }
        key.refuse_empty("only");
        key.refuse_empty("except");
        let query = key.has("query");
        if usize::from(only) + usize::from(except) + usize::from(query) > 1 {
            key.fault("`query`, `only` and `except` exclude each other");
        }
        if only {
            policy.key.query = QueryRule::Only(parameters(list("only")));
        }
        if except {
            policy.key.query = QueryRule::Except(parameters(list("except")));
        }
        policy.key.sort_query = key.bool("sort").unwrap_or(policy.key.sort_query);
        if key.has("headers") {
            policy.key.headers = names(key, "headers");
        }
        if key.has("cookies") {
            policy.key.cookies = list("cookies");
        }
        policy.key.ignore_scheme = key
            .bool("ignore_scheme")
            .unwrap_or(policy.key.ignore_scheme);
    });
    policy.request_headers = edits(table, "request_headers").unwrap_or(policy.request_headers);
    policy.response_headers = edits(table, "response_headers").unwrap_or(policy.response_headers);
    policy
}

const FIELD_OF_OURS: &str =
    "this field frames messages or belongs to the fleet: it cannot be changed";

/// Fields that frame messages, keep them from going in circles or belong to the fleet are not an operator's to change.
fn may_edit(name: &HeaderName) -> bool {
    let framing = [
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "host",
        "te",
        "upgrade",
        "trailer",
        // RFC 8586 §2: nobody may remove it; RFC 9110 §7.6.3
        "cdn-loop",
        "via",
    ];
    !framing.contains(&name.as_str()) && !name.as_str().starts_with("seawall-")
}

fn edits(table: &Table<'_>, name: &'static str) -> Option<FieldEdits> {
    table.table(name, |table| {
        let mut edits = FieldEdits::default();
        for at in table.parsed_list::<HeaderName>("remove") {
            if may_edit(&at.value) {
                edits.remove.push(at.value);
            } else {
                table.fault_at(&at, FIELD_OF_OURS);
            }
        }
        for (name, at) in table.pairs_of("set") {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&at.value)) {
                (Ok(name), _) if !may_edit(&name) => {
                    table.fault_at(&at, FIELD_OF_OURS);
                }
                (Ok(name), Ok(value)) => edits.set.push((name, value)),
                (Err(_), _) => table.fault_at(&at, "this is no field name"),
                (_, Err(_)) => table.fault_at(&at, "this is no field value"),
            }
        }
        edits
    })
}

pub(crate) fn rule(table: &Table<'_>, default: &Policy) -> Rule {
    let mut matcher = Matcher::default();
    // they would match everything, where nothing is more likely meant
    table.refuse_empty("path");
    table.refuse_empty("methods");
    for at in table.strings("path") {
        match PathPattern::new(&at.value) {
            Some(pattern) => matcher.paths.push(pattern),
            None => table.fault_at(&at, "a path pattern begins with / or *, as in /static/**"),
        }
    }
    for at in table.strings("methods") {
        if at.value.is_empty()
            || !at
                .value
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b == b'-')
        {
            table.fault_at(&at, "a method is written in upper case, as in GET");
        } else {
            matcher.methods.push(at.value);
        }
    }
    for (name, at) in table.pairs_of("headers") {
        let Ok(name) = name.parse::<HeaderName>() else {
            table.fault_at(&at, "this is no field name");
            continue;
        };
        matcher.fields.push(match at.value.as_str() {
            "present" => FieldCondition::Present(name),
            "absent" => FieldCondition::Absent(name),
            value => match value.strip_prefix('=') {
                Some(value) => FieldCondition::Equals(name, value.to_owned()),
                None => {
                    table.fault_at(&at, "a condition is \"present\", \"absent\" or \"=value\"");
                    continue;
                }
            },
        });
    }
    Rule {
        name: table.string("name").unwrap_or_default(),
        matcher,
        policy: policy(table, default),
    }
}
