//! How a URL would be answered: what the control plane knows of it, and what each node says.

use super::auth::Reads;
use super::extract::Pairs;
use super::time::rfc3339;
use super::{Api, Refused};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use seawall_control_protocol::explain::{
    Covering, Decision, Explained, FIELDS_MAX, NextServers, Recoded, Standing, StoredCopy,
};
use seawall_control_protocol::{ExplainGet, Told};
use seawall_purge::PurgeSeq;
use seawall_service_model::named::{Location, parse_asked};
use seawall_service_model::{CacheMode, KeyPart, PathPattern, Scheme, cache_key, key_parts};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ops::Range;

/// A checked question.
struct Asked {
    url: String,
    scheme: Scheme,
    location: Location,
    headers: Vec<(String, String)>,
    fields: HeaderMap,
}

impl Asked {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Refused> {
        let (mut url, mut headers, mut fields) = (None, Vec::new(), HeaderMap::new());
        for (name, value) in pairs {
            match name.as_str() {
                "url" if url.is_none() => url = Some(value),
                "url" => return Err(Refused::field("url", "one URL is explained at a time")),
                "header" => {
                    let at = headers.len();
                    let (name, value) = header(&value)
                        .map_err(|why| Refused::field(format!("header[{at}]"), why))?;
                    if at >= FIELDS_MAX {
                        let why = format!("a request has at most {FIELDS_MAX} headers here");
                        return Err(Refused::field("header", why));
                    }
                    headers.push((name.to_string(), value.clone()));
                    if let Ok(value) = HeaderValue::from_str(&value) {
                        fields.append(name, value);
                    }
                }
                _ => {
                    let why = "there is no such parameter; there are: url, header";
                    return Err(Refused::field(name, why));
                }
            }
        }
        let url = url.unwrap_or_default();
        let (scheme, location) = parse_asked(&url).map_err(|why| Refused::field("url", why))?;
        if let Ok(host) = HeaderValue::from_str(&location.host) {
            fields.insert("host", host);
        }
        Ok(Self {
            url,
            scheme,
            location,
            headers,
            fields,
        })
    }
}

/// `Name: value`.
fn header(text: &str) -> Result<(HeaderName, String), &'static str> {
    const WRONG: &str = "a header is written as in Accept-Language: de";
    let (name, value) = text.split_once(':').ok_or(WRONG)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| WRONG)?;
    let value = value.trim();
    if value.len() > 1024 || HeaderValue::from_str(value).is_err() {
        return Err("a header's value has at most 1024 bytes, and no control characters");
    }
    if name == "host" {
        return Err("the host is the URL's");
    }
    Ok((name, value.to_owned()))
}

pub(super) async fn explain(
    _: Reads,
    State(api): State<Api>,
    Pairs(pairs): Pairs,
) -> Result<Response, Refused> {
    let asked = Asked::parse(pairs)?;
    let Location { host, target } = &asked.location;
    let plane = &api.plane;
    let in_force = plane.services.in_force();
    let service = in_force.set.find(host.as_bytes()).ok_or_else(|| {
        let why = format!("no service answers for host {host}");
        Refused::new(StatusCode::NOT_FOUND, why)
    })?;
    let path = target.split('?').next().unwrap_or_default();
    let (policy, rule) = service.policy_of("GET", path, &asked.fields);
    let (scheme, rules, fields) = (asked.scheme, &policy.key, &asked.fields);
    let key = cache_key(service, scheme, host.as_bytes(), target, rules, fields);
    let parts = key_parts(service, scheme, host.as_bytes(), target, rules, fields);
    let head = plane.log.head().await?.at;
    let get = ExplainGet {
        scheme: scheme.as_str().to_owned(),
        host: host.clone(),
        target: target.clone(),
        fields: asked.headers.clone(),
    };
    let answers = plane.explain(get).await.ok_or_else(|| {
        let why = "too many questions to nodes are under way";
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    let members = plane.members.list(head).into_iter();
    let kinds: HashMap<String, String> = members.map(|node| (node.id, node.kind)).collect();
    let of_map = plane.shields.order(key.hash64());
    let shields = if service.shield {
        of_map.or_else(|| of_nodes(&answers.told))
    } else {
        None
    };
    let rule = rule.map(|index| {
        let rule = &service.rules[index];
        let paths: Vec<&str> = rule.matcher.paths.iter().map(PathPattern::as_str).collect();
        json!({ "index": index, "name": rule.name, "paths": paths, "methods": rule.matcher.methods })
    });
    let id = &*service.id.0;
    let node = |(id, told): &(String, Result<Told, String>)| {
        let mut node = match told {
            Ok(Told::Explained(explained)) => of_node(explained),
            Ok(_) => json!({ "error": "it answered another question" }),
            Err(reason) => json!({ "error": reason }),
        };
        node["node"] = json!(id);
        node["kind"] = json!(kinds.get(id));
        node
    };
    let body = json!({
        "url": asked.url,
        "scheme": scheme.as_str(),
        "host": host,
        "target": target,
        "service": id,
        "version": in_force.services.get(id).map(|current| current.version.version),
        "rule": rule,
        "cache": policy.cache == CacheMode::Cache,
        "key": format!("{:032x}", key.0),
        "key_parts": parts.iter().map(part).collect::<Vec<_>>(),
        "shields": shields,
        "head": head.to_string(),
        "nodes": answers.told.iter().map(node).collect::<Vec<_>>(),
        "silent": answers.silent,
    });
    Ok(Json(body).into_response())
}

/// The shields in the order in which an edge that goes by its own file asks them.
fn of_nodes(told: &[(String, Result<Told, String>)]) -> Option<Vec<String>> {
    told.iter().find_map(|(_, told)| match told {
        Ok(Told::Explained(explained)) => {
            let shields = explained.next_servers == NextServers::Shields;
            shields.then(|| explained.asks.clone())
        }
        _ => None,
    })
}

fn part(part: &KeyPart) -> Value {
    let mut told = json!({ "part": part.part, "values": part.values });
    if let Some(name) = &part.name {
        told["name"] = json!(name);
    }
    told
}

fn of_node(told: &Explained) -> Value {
    let purged = told.purged;
    let purges = |label: Option<PurgeSeq>, purges: &[Covering]| -> Vec<Value> {
        let purge = |covering: &Covering| {
            let mut told = json!({
                "kind": covering.kind,
                "name": covering.name,
                "at": PurgeSeq::new(purged.epoch, covering.n).to_string(),
                "soft": covering.soft,
            });
            if let Some(label) = label {
                told["covers"] = json!(label.epoch != purged.epoch || covering.n > label.n);
            }
            told
        };
        purges.iter().map(purge).collect()
    };
    // whether those of the request cover a copy says the copy that it selects
    let selected = told.copies.iter().find(|copy| copy.selected);
    let label = selected.map(|copy| copy.label.0);
    let of_copy = |copy: &StoredCopy| {
        let mut told = stored(copy);
        told["purges"] = json!(purges(Some(copy.label.0), &copy.purges));
        told
    };
    json!({
        "service": told.service,
        "rule": told.rule,
        "key": format!("{:032x}", told.key),
        "purged": purged.to_string(),
        "outcome": told.would.outcome,
        "forward": (!told.would.forward.is_empty()).then_some(&told.would.forward),
        "why": told.would.why,
        "status": told.would.status,
        "recoding": (!told.would.recoding.is_empty()).then_some(&told.would.recoding),
        "found_under": told.found_under.map(|key| format!("{key:032x}")),
        "asks": told.asks,
        "next_servers": match told.next_servers {
            NextServers::Unknown => None,
            NextServers::Shields => Some("shields"),
            NextServers::Origins => Some("origins"),
        },
        "copies": told.copies.iter().map(of_copy).collect::<Vec<_>>(),
        "unread": told.unread,
        "purges": purges(label, &told.purges),
        "last": told.decisions.iter().map(decision).collect::<Vec<_>>(),
    })
}

fn stored(copy: &StoredCopy) -> Value {
    let (standing, since) = match copy.standing {
        Standing::Live => ("live", None),
        Standing::Stale { since_ms } => ("stale", Some(rfc3339(since_ms))),
        Standing::Gone => ("gone", None),
    };
    let field = |(name, value): &(String, String)| json!({ "name": name, "value": value });
    let fresh_for = i128::from(copy.lifetime) - i128::from(copy.age);
    json!({
        "variant": format!("{:016x}", copy.variant),
        "selected": copy.selected,
        "place": if copy.on_disk { "disk" } else { "memory" },
        "status": copy.status,
        "length": copy.length,
        "negotiable": copy.negotiable,
        "decodable": (!copy.decodable.is_empty()).then_some(&copy.decodable),
        "recoded": copy.recoded.iter().map(recoded).collect::<Vec<_>>(),
        "incomplete": copy.incomplete,
        "held": copy.lacks.then(|| copy.held.iter().map(held).collect::<Vec<_>>()),
        "held_cut": copy.held_cut,
        "received": rfc3339(copy.received.saturating_mul(1000)),
        "initial_age": copy.initial_age,
        "age": copy.age,
        "lifetime": copy.lifetime,
        "lifetime_source": copy.lifetime_source,
        "fresh_for": i64::try_from(fresh_for).unwrap_or(i64::MAX),
        "stale_while_revalidate": copy.stale_while_revalidate,
        "stale_if_error": copy.stale_if_error,
        "no_cache": copy.no_cache,
        "must_revalidate": copy.must_revalidate,
        "label": copy.label.0.to_string(),
        "generation": format!("{}.{}", copy.generation.boot.0, copy.generation.counter),
        "revision": copy.revision,
        "standing": standing,
        "stale_since": since,
        "fields": copy.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn recoded(recoded: &Recoded) -> Value {
    json!({
        "recoding": recoded.recoding,
        "length": recoded.length,
        "place": if recoded.on_disk { "disk" } else { "memory" },
    })
}

/// As in `Content-Range`: the last byte is part of it.
fn held(held: &Range<u64>) -> Value {
    json!(format!("{}-{}", held.start, held.end.saturating_sub(1)))
}

fn decision(decision: &Decision) -> Value {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    json!({
        "at": rfc3339(decision.at_ms),
        "method": decision.method,
        "outcome": decision.outcome,
        "status": decision.status,
        "forward": text(&decision.forward),
        "forward_status": decision.forward_status,
        "stored": decision.stored,
        "collapsed": decision.collapsed,
        "detail": text(&decision.detail),
    })
}
