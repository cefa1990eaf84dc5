//! Service files: what is served, from where, by which rules.

use crate::fault::{Fault, Faults};
use crate::reader::{At, Source, Table};
use http::{HeaderName, HeaderValue};
use seawall_service_model::{
    CacheMode, FieldCondition, FieldEdits, HostPattern, Limits, Matcher, Origin, OriginTls,
    PathPattern, Policy, QueryRule, ResponseOptions, Rule, Scheme, Service, ServiceId, ServiceSet,
    Timeouts,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

const RULES_MAX: usize = 256;
const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(3600);

/// Reads service files into a set. All faults of all files are told.
pub fn load_services(files: &[PathBuf]) -> Result<ServiceSet, Faults> {
    let mut services = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        match read_service(file) {
            Ok(service) => services.push(service),
            Err(mut more) => faults.append(&mut more),
        }
    }
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    ServiceSet::new(services).map_err(|error| {
        let file = files.last().cloned().unwrap_or_default();
        Faults(vec![Fault {
            file,
            line: None,
            path: "service.hosts".into(),
            message: error.to_string(),
        }])
    })
}

/// Reads one service file.
pub fn read_service(file: &Path) -> Result<Service, Vec<Fault>> {
    let source = Source::read(file).map_err(|fault| vec![fault])?;
    read_source(source)
}

pub(crate) fn read_source(source: Source) -> Result<Service, Vec<Fault>> {
    let service = source.walk(|root| {
        let service = root.table("service", service);
        if service.is_none() {
            root.fault("table [service] is missing");
        }
        service.flatten()
    });
    let faults = source.into_faults();
    match (service.flatten(), faults.is_empty()) {
        (Some(service), true) => Ok(service),
        _ => Err(faults),
    }
}

fn service(table: &Table<'_>) -> Option<Service> {
    let id = table.required("id").filter(|at| {
        let legal = is_id(&at.value);
        if !legal {
            table.fault_at(
                at,
                "an id is 1 to 64 letters, digits, dots, dashes or underscores",
            );
        }
        legal
    });
    let hosts: Vec<HostPattern> = table
        .parsed_list::<HostPattern>("hosts")
        .into_iter()
        .map(|at| at.value)
        .collect();
    if !table.has("hosts") || table.strings("hosts").is_empty() {
        table.fault("field `hosts` is missing or empty: hosts = [\"*\"] serves every host");
    }
    let pass_host = table.bool("pass_host").unwrap_or(true);
    let origins: Vec<Origin> = table
        .tables("origins", |t| origin(t, pass_host))
        .into_iter()
        .flatten()
        .collect();
    if !table.has("origins") {
        table.fault("at least one [[service.origins]] is needed");
    }
    let default = table
        .table("default", |t| policy(t, &Policy::default()))
        .unwrap_or_default();
    let rules = table.tables("rules", |t| rule(t, &default));
    if rules.len() > RULES_MAX {
        table.fault(format_args!(
            "{} rules; there may be {RULES_MAX}",
            rules.len()
        ));
    }
    let limits = table.table("limits", limits).unwrap_or_default();
    let timeouts = table.table("timeouts", timeouts).unwrap_or_default();
    let response = table.table("response", response).unwrap_or_default();
    let shield = table.bool("shield").unwrap_or(true);
    Some(Service {
        id: ServiceId(id?.value.into()),
        version: 1,
        hosts,
        origins,
        shield,
        rules,
        default,
        limits,
        timeouts,
        response,
    })
}

pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// What an origin's URL says: scheme, host and port, nothing else.
pub fn parse_origin_url(url: &str) -> Result<(Scheme, String, u16), &'static str> {
    const WRONG: &str =
        "an origin is a URL such as http://127.0.0.1:8000 or https://www.example.com";
    let uri: http::Uri = url.parse().map_err(|_| WRONG)?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(WRONG),
    };
    let authority = uri.authority().ok_or(WRONG)?;
    if authority.as_str().contains('@') {
        return Err("an origin's URL has no user");
    }
    if uri
        .path_and_query()
        .is_some_and(|p| p.as_str() != "/" && !p.as_str().is_empty())
    {
        return Err("an origin's URL has no path: requests keep theirs");
    }
    let host = authority.host();
    if host.is_empty() || authority.port_u16() == Some(0) {
        return Err(WRONG);
    }
    Ok((
        scheme,
        host.to_owned(),
        authority.port_u16().unwrap_or(scheme.default_port()),
    ))
}

fn origin(table: &Table<'_>, pass_host: bool) -> Option<Origin> {
    let host_header = table.string_at("host");
    if let Some(at) = &host_header
        && (at.value.is_empty() || HeaderValue::from_str(&at.value).is_err())
    {
        table.fault_at(at, "this is no Host");
    }
    let sni = table.string("sni");
    let verify = table.bool("verify");
    let ca_file = table.string_at("ca");
    if let Some(at) = &ca_file {
        check_file(table, at);
    }
    let url = table.required("url")?;
    let (scheme, host, port) = match parse_origin_url(&url.value) {
        Ok(parts) => parts,
        Err(message) => {
            table.fault_at(&url, message);
            return None;
        }
    };
    let with_tls = sni.is_some() || verify.is_some() || ca_file.is_some();
    if scheme == Scheme::Http && with_tls {
        table.fault_at(&url, "`sni`, `verify` and `ca` need an https origin");
    }
    let authority = if port == scheme.default_port() {
        host.clone()
    } else {
        format!("{host}:{port}")
    };
    Some(Origin {
        tls: (scheme == Scheme::Https).then(|| OriginTls {
            sni: sni.unwrap_or_else(|| host.clone()),
            ca_file: ca_file.map(|at| at.value.into()),
            verify: verify.unwrap_or(true),
        }),
        host,
        port,
        host_header: host_header
            .map(|at| at.value)
            .or((!pass_host).then_some(authority)),
    })
}

/// A file that a setting names must be there now.
pub(crate) fn check_file(table: &Table<'_>, at: &At<String>) {
    if let Err(error) = std::fs::File::open(&at.value) {
        table.fault_at(at, format_args!("{}: {error}", at.value));
    }
}

fn seconds(table: &Table<'_>, name: &'static str) -> Option<u64> {
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

fn policy(table: &Table<'_>, base: &Policy) -> Policy {
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
    policy.gzip = table.bool("gzip").unwrap_or(policy.gzip);
    if let Some(min) = table.bytes("gzip_min", &(0..=1 << 30)) {
        policy.gzip_min = min.0;
    }
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
        if usize::from(only) + usize::from(except) + usize::from(query.is_some()) > 1 {
            key.fault("`query`, `only` and `except` exclude each other");
        }
        if only {
            policy.key.query = QueryRule::Only(list("only"));
        }
        if except {
            policy.key.query = QueryRule::Except(list("except"));
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

/// Fields that frame messages or belong to the fleet are not an operator's to change.
fn may_edit(name: &HeaderName) -> bool {
    let framing = [
        "content-length",
        "transfer-encoding",
        "connection",
        "host",
        "te",
        "upgrade",
        "trailer",
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
                table.fault_at(
                    &at,
                    "this field frames the message and is not to be changed",
                );
            }
        }
        for (name, at) in table.pairs_of("set") {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&at.value)) {
                (Ok(name), _) if !may_edit(&name) => {
                    table.fault_at(
                        &at,
                        "this field frames the message and is not to be changed",
                    );
                }
                (Ok(name), Ok(value)) => edits.set.push((name, value)),
                (Err(_), _) => table.fault_at(&at, "this is no field name"),
                (_, Err(_)) => table.fault_at(&at, "this is no field value"),
            }
        }
        edits
    })
}

fn rule(table: &Table<'_>, default: &Policy) -> Rule {
    let mut matcher = Matcher::default();
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

fn limits(table: &Table<'_>) -> Limits {
    let default = Limits::default();
    let range = 0..=1 << 50;
    let bytes = |name| table.bytes(name, &range).map(|c| c.0);
    Limits {
        request_body_bytes_max: bytes("request_body").unwrap_or(default.request_body_bytes_max),
        object_bytes_max: bytes("object").unwrap_or(default.object_bytes_max),
    }
}

fn timeouts(table: &Table<'_>) -> Timeouts {
    let default = Timeouts::default();
    let get = |name, default| table.duration(name, &TIMEOUT).unwrap_or(default);
    Timeouts {
        connect: get("connect", default.connect),
        tls: get("tls", default.tls),
        read: get("read", default.read),
        write: get("write", default.write),
        idle: get("idle", default.idle),
    }
}

fn response(table: &Table<'_>) -> ResponseOptions {
    let default = ResponseOptions::default();
    ResponseOptions {
        cache_status: table.bool("cache_status").unwrap_or(default.cache_status),
        via: table.bool("via").unwrap_or(default.via),
        keep_surrogate_key: table
            .bool("keep_surrogate_key")
            .unwrap_or(default.keep_surrogate_key),
    }
}
