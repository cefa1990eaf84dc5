//! Service files: what is served, from where, by which rules.

use crate::fault::{Fault, Faults, Place};
use crate::policy::{policy, rule, seconds};
use crate::reader::{FILE_BYTES_MAX, Source, Table};
use http::HeaderValue;
use seawall_service_model::{
    ClientRevalidation, HostPattern, Invalidate, Limits, OnLeaseLoss, Origin, OriginBudget,
    OriginTls, Policy, ResponseOptions, Scheme, Service, ServiceId, ServiceSet, Timeouts,
};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

const RULES_MAX: usize = 256;
const REQUESTS_PER_SECOND: std::ops::RangeInclusive<u64> = 1..=1_000_000;
/// An edge waits 30 s for its shield where nothing else is said, and the shield's request may wait here before it is sent.
const QUEUE_WAIT: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_hours(1);

/// Reads service files into a set. All faults of all files are told, those between them included.
pub fn load_services(files: &[PathBuf]) -> Result<ServiceSet, Faults> {
    set_of(files.iter().map(|file| read_file(file)))
}

/// All services, or all faults, those between services included.
fn set_of(results: impl Iterator<Item = Result<Read, Vec<Fault>>>) -> Result<ServiceSet, Faults> {
    let mut read = Vec::new();
    let mut faults = Vec::new();
    for result in results {
        match result {
            Ok(service) => read.push(service),
            Err(mut more) => faults.append(&mut more),
        }
    }
    faults.append(&mut conflicts(&read));
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let file = read.last().map(|last| last.id.file.clone());
    ServiceSet::new(read.into_iter().map(|r| r.service).collect()).map_err(|error| {
        // cannot be: conflicts() has looked for what the set refuses
        Faults(vec![Fault {
            file: file.unwrap_or_default(),
            line: None,
            path: "service".into(),
            message: error.to_string(),
        }])
    })
}

/// Reads one service file.
pub fn read_service(file: &Path) -> Result<Service, Vec<Fault>> {
    read_file(file).map(|read| read.service)
}

/// A service, and where its file says what other services must not say too.
struct Read {
    service: Service,
    id: Place,
    /// As many as the service has hosts, in the same order.
    hosts: Vec<Place>,
}

/// Reads services from texts, each with a name that stands for its file in faults.
pub fn read_services(texts: &[(PathBuf, String)]) -> Result<ServiceSet, Faults> {
    set_of(texts.iter().map(|(name, text)| {
        if text.len() as u64 > FILE_BYTES_MAX {
            let message = format!("is {} bytes long, more than a service may be", text.len());
            return Err(vec![Fault {
                file: name.clone(),
                line: None,
                path: String::new(),
                message,
            }]);
        }
        read_source(Source::of(name, text.clone()))
    }))
}

fn read_file(file: &Path) -> Result<Read, Vec<Fault>> {
    read_source(Source::read(file).map_err(|fault| vec![fault])?)
}

fn read_source(source: Source) -> Result<Read, Vec<Fault>> {
    let read = source.walk(|root| {
        if !root.has("service") {
            root.missing("service", "table [service] is missing");
        }
        root.table("service", service).flatten()
    });
    let faults = source.into_faults();
    match (read.flatten(), faults.is_empty()) {
        (Some(read), true) => Ok(read),
        _ => Err(faults),
    }
}

/// Ids and hosts that several services claim, or that one claims twice.
fn conflicts(read: &[Read]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (mut ids, mut hosts) = (HashMap::new(), HashMap::new());
    for one in read {
        let id = &one.service.id.0;
        if let Some(Place { file, line, .. }) = ids.insert(id.clone(), &one.id) {
            let first = file.display();
            let message = format!("service {id} is there already, in {first}:{line}");
            faults.push(one.id.fault(message));
        }
        for (host, place) in one.service.hosts.iter().zip(&one.hosts) {
            let Some((first, other)) = hosts.insert(host, (place, id)) else {
                continue;
            };
            let (file, line) = (first.file.display(), first.line);
            let message =
                format!("host {host} belongs to service {other} already, by {file}:{line}");
            faults.push(place.fault(message));
        }
    }
    faults
}

fn service(table: &Table<'_>) -> Option<Read> {
    let id = table.id("id");
    let hosts = table.parsed_list::<HostPattern>("hosts");
    table.require_items("hosts", "hosts = [\"*\"] serves every host");
    let pass_host = table.bool("pass_host").unwrap_or(true);
    let origins: Vec<Origin> = table
        .tables("origins", |t| origin(t, pass_host))
        .into_iter()
        .flatten()
        .collect();
    table.require_items("origins", "at least one [[service.origins]]");
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
    let client_revalidation = client_revalidation(table);
    let origin_budget = table.table("origin_budget", origin_budget).flatten();
    let invalidate = match table.string_at("invalidate") {
        Some(at) => match at.value.as_str() {
            "local" => Invalidate::Local,
            "fleet" => Invalidate::Fleet,
            _ => {
                table.fault_at(&at, "what a change ends is \"local\" or \"fleet\"");
                Invalidate::Local
            }
        },
        None => Invalidate::Local,
    };
    let on_lease_loss = on_lease_loss(table);
    let id = id?;
    Some(Read {
        id: table.place(&id),
        hosts: hosts.iter().map(|at| table.place(at)).collect(),
        service: Service {
            id: ServiceId(id.value.into()),
            version: 1,
            hosts: hosts.into_iter().map(|at| at.value).collect(),
            origins,
            shield,
            rules,
            default,
            limits,
            timeouts,
            response,
            client_revalidation,
            invalidate,
            on_lease_loss,
            origin_budget,
        },
    })
}

fn on_lease_loss(table: &Table<'_>) -> OnLeaseLoss {
    let Some(at) = table.string_at("on_lease_loss") else {
        return OnLeaseLoss::default();
    };
    match at.value.as_str() {
        "serve" => OnLeaseLoss::Serve,
        "revalidate" => OnLeaseLoss::Revalidate,
        _ => {
            table.fault_at(
                &at,
                "without a lease a node does \"serve\" or \"revalidate\"",
            );
            OnLeaseLoss::default()
        }
    }
}

fn origin_budget(table: &Table<'_>) -> Option<OriginBudget> {
    if !table.has("requests_per_second") {
        table.missing(
            "requests_per_second",
            "a budget needs its requests_per_second",
        );
    }
    let rate = table.integer("requests_per_second", &REQUESTS_PER_SECOND);
    let wait = table.duration("queue_wait", &QUEUE_WAIT);
    Some(OriginBudget {
        requests_per_second: NonZeroU32::new(u32::try_from(rate?).ok()?)?,
        queue_wait: wait.unwrap_or(OriginBudget::QUEUE_WAIT),
    })
}

fn client_revalidation(table: &Table<'_>) -> ClientRevalidation {
    let mut clients = ClientRevalidation::default();
    if let Some(at) = table.string_at("client_revalidation") {
        match at.value.as_str() {
            "allow" => clients.allowed = true,
            "deny" => clients.allowed = false,
            _ => table.fault_at(&at, "client revalidation is \"allow\" or \"deny\""),
        }
    }
    if let Some(seconds) = seconds(table, "client_revalidation_interval") {
        clients.interval_secs = seconds;
    }
    clients
}

/// A name or an address; IPv6 in brackets.
pub(crate) fn is_host(host: &str) -> bool {
    // the pattern's rules are those of a name, but for the wildcards
    !host.contains('*')
        && host
            .strip_suffix('.')
            .unwrap_or(host)
            .parse::<HostPattern>()
            .is_ok()
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
    if !is_host(host) {
        return Err(WRONG);
    }
    // `port_u16` alone would take a port that is no number for none
    let port = match authority.as_str().get(host.len()..).unwrap_or_default() {
        "" => scheme.default_port(),
        port => port
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .filter(|port| *port > 0)
            .ok_or("the port of an origin's URL is between 1 and 65535")?,
    };
    Ok((scheme, host.to_owned(), port))
}

fn origin(table: &Table<'_>, pass_host: bool) -> Option<Origin> {
    let host_header = table.string_at("host");
    if let Some(at) = &host_header
        && (at.value.is_empty() || HeaderValue::from_str(&at.value).is_err())
    {
        table.fault_at(at, "this is no Host");
    }
    let sni = table.string_at("sni").filter(|at| {
        let legal = is_host(&at.value);
        if !legal {
            table.fault_at(at, "a name is wanted here, as in www.example.com");
        }
        legal
    });
    let verify = table.bool("verify");
    let ca_file = table.file("ca");
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
            sni: sni.map_or_else(|| host.trim_matches(['[', ']']).to_owned(), |at| at.value),
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
        cache_status_key: table
            .bool("cache_status_key")
            .unwrap_or(default.cache_status_key),
        via: table.bool("via").unwrap_or(default.via),
        keep_surrogate_key: table
            .bool("keep_surrogate_key")
            .unwrap_or(default.keep_surrogate_key),
        keep_targeted: table.bool("keep_targeted").unwrap_or(default.keep_targeted),
    }
}
