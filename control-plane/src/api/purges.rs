//! Purges: asked for, shown, listed.

#[cfg(test)]
mod answers;
mod demand;
mod history;
mod id;
mod lists;
mod reader;

use self::demand::{Bound, origin_requests};
use self::id::PurgeId;
pub(super) use self::lists::{Listed, latest, limit, list};
use self::reader::{Reader, only_service, wrong};
use super::auth::{Purges, Reads};
use super::extract::{Body, Id, Parameters};
use super::time::rfc3339;
use super::{Api, Refused};
use crate::members::{Members, Receipt};
use crate::plane::{Plane, random_key};
use crate::record::{By, Item, Kind, Named, PurgeRecord, pack};
use crate::signed::FORM;
use crate::store::{APPEND_RECORDS_MAX, Appended, IdempotencyKey, Record, StoreError};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seawall_control_protocol::{Estimate, Told};
use seawall_purge::receipt::State as Stands;
use seawall_purge::record::SCOPES_MAX;
use seawall_purge::{PurgeSeq, Scope, ScopeId};
use seawall_service_model::named::{
    parse_host, parse_prefix, parse_tag, parse_url, prefix_scope, url_scopes,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_128;

/// Items of one purge.
const ITEMS_MAX: usize = 10_000;
const WAIT_MS_MAX: u64 = 60_000;
/// Questions a second.
const PACE_MAX: u32 = 1_000_000;
const KEY_BYTES_MAX: usize = 255;
/// 95 of 100 estimates are this many standard deviations around the truth, or nearer.
const DEVIATIONS: f64 = 1.96;

/// A checked request for a purge.
#[derive(Debug)]
pub struct Requested {
    items: Vec<Item>,
    service: Option<String>,
    soft: bool,
    pace: Option<NonZeroU32>,
    dry_run: bool,
    wait: Option<Duration>,
}

impl Requested {
    /// Reads a request; all of its items, or the first member that is wrong.
    pub fn parse(body: &[u8], plane: &Plane) -> Result<Self, Refused> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Refused::field("", format!("the body is no JSON: {error}")))?;
        let Value::Object(members) = body else {
            return Err(Refused::field("", "the body is a JSON object"));
        };
        let in_force = plane.services.in_force();
        let left = ITEMS_MAX;
        let mut reader = Reader { members, left };
        let switch = |reader: &mut Reader, name| {
            reader.take(name).map_or(Ok(false), |value| {
                value
                    .as_bool()
                    .ok_or_else(|| Refused::field(name, "true or false is wanted here"))
            })
        };
        let service = match reader.take("service") {
            None => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(Refused::field("service", "a service's id is wanted here")),
        };
        if let Some(id) = &service
            // copies of one that was deleted come back with it: they can be named all the same
            && !in_force.knows(id)
        {
            return Err(Refused::field(
                "service",
                format!("there is no service {id}"),
            ));
        }
        let (soft, dry_run) = (
            switch(&mut reader, "soft")?,
            switch(&mut reader, "dry_run")?,
        );
        let everything = switch(&mut reader, "everything")?;
        let wait = match reader.take("wait_ms") {
            None => None,
            Some(value) => match value.as_u64().filter(|ms| *ms <= WAIT_MS_MAX) {
                Some(ms) => Some(Duration::from_millis(ms)),
                None => {
                    let reason = format!("milliseconds, 0 to {WAIT_MS_MAX}, are wanted here");
                    return Err(Refused::field("wait_ms", reason));
                }
            },
        };
        let pace = reader.take("pace").map(|value| {
            if soft {
                return Err(Refused::field(
                    "pace",
                    "a soft purge has no pace: what it covers is still there",
                ));
            }
            let pace = value.as_u64().and_then(|pace| u32::try_from(pace).ok());
            let pace = pace.filter(|pace| *pace <= PACE_MAX);
            pace.and_then(NonZeroU32::new).ok_or_else(|| {
                let reason = format!("requests a second, 1 to {PACE_MAX}, are wanted here");
                Refused::field("pace", reason)
            })
        });
        let pace = pace.transpose()?;
        let mut items = Vec::new();
        let mut add = |kind, text: String, scopes: Vec<ScopeId>| {
            items.push(Item { kind, text, scopes });
        };
        for (at, url) in reader.texts("urls")?.into_iter().enumerate() {
            let location = parse_url(&url).map_err(|why| wrong("urls", at, &url, why))?;
            let scopes = url_scopes(&location, in_force.rules_of(&location.host));
            if scopes.len() > SCOPES_MAX {
                return Err(wrong(
                    "urls",
                    at,
                    &url,
                    "the service has too many key rules",
                ));
            }
            add(Kind::Url, url, scopes);
        }
        let mut service = service;
        for (at, tag) in reader.texts("tags")?.into_iter().enumerate() {
            parse_tag(&tag).map_err(|why| wrong("tags", at, &tag, why))?;
            let id = match &service {
                Some(id) => id.clone(),
                None => only_service(in_force.services.keys())?,
            };
            let scope = Scope::Tag {
                service: &id,
                tag: tag.as_bytes(),
            };
            let scopes = vec![scope.id()];
            service = Some(id);
            add(Kind::Tag, tag, scopes);
        }
        for (at, prefix) in reader.texts("prefixes")?.into_iter().enumerate() {
            let location =
                parse_prefix(&prefix).map_err(|why| wrong("prefixes", at, &prefix, why))?;
            add(Kind::Prefix, prefix, vec![prefix_scope(&location)]);
        }
        for (at, host) in reader.texts("hosts")?.into_iter().enumerate() {
            let canonical = parse_host(&host).map_err(|why| wrong("hosts", at, &host, why))?;
            let scope = Scope::Host { host: &canonical };
            add(Kind::Host, host, vec![scope.id()]);
        }
        if let Some(name) = reader.members.keys().next() {
            return Err(Refused::field(
                name.as_str(),
                "there is no such member; there are: service, urls, tags, prefixes, hosts, everything, soft, pace, dry_run, wait_ms",
            ));
        }
        if everything {
            if !items.is_empty() || service.is_some() {
                return Err(Refused::field("everything", "everything stands alone"));
            }
            let scopes = vec![Scope::Everything.id()];
            items.push(Item {
                kind: Kind::Everything,
                text: String::new(),
                scopes,
            });
        } else if items.is_empty() {
            let Some(id) = &service else {
                return Err(Refused::field(
                    "",
                    "nothing is named: urls, tags, prefixes, hosts, everything, or a service",
                ));
            };
            let scopes = vec![Scope::Service { service: id }.id()];
            items.push(Item {
                kind: Kind::Service,
                text: String::new(),
                scopes,
            });
        }
        Ok(Self {
            items,
            service,
            soft,
            pace,
            dry_run,
            wait,
        })
    }

    /// Does what is asked; the status and body of the answer. `key`: what makes a retry the same purge; `all`: the
    /// receipts of those that have applied it are told too.
    pub async fn carry_out(
        self,
        plane: &Arc<Plane>,
        by: By,
        key: Option<&str>,
        all: bool,
    ) -> Result<(StatusCode, Value), Refused> {
        let started = Instant::now();
        if self.dry_run {
            return self.estimate(plane).await;
        }
        let key = match key {
            Some(key) => IdempotencyKey(xxh3_128(format!("{}\0{key}", by.name).as_bytes())),
            None => random_key()?,
        };
        let (soft, pace, wait) = (self.soft, self.pace, self.wait);
        let mut records = pack(self.items, self.service.as_deref(), soft, &by);
        for record in &mut records {
            record.pace = pace;
        }
        if let Some(beyond) = records.get(APPEND_RECORDS_MAX) {
            let reason = "the purge names more than one can carry: split it";
            return Err(Refused::field(beyond.named.first(), reason));
        }
        let append = {
            let (plane, by, records) = (plane.clone(), by.name.clone(), records.clone());
            async move {
                let appended = plane.purge(&records, key).await?;
                let id = PurgeId(Appended {
                    first: appended.first,
                    last: appended.last,
                });
                if !appended.again {
                    plane.events.tell(
                        "purge",
                        json!({ "id": id.to_string(), "soft": soft, "by": by, "records": records.len() }),
                    );
                }
                Ok::<_, Refused>((id, appended.appended_ms))
            }
        };
        let (id, appended_ms) = plane.whole(append).await??;
        let mut named = Named::default();
        for record in records {
            named.extend(record.named);
        }
        named.service = self.service;
        let receipts = plane.wait(id.0.last, appended_ms, &named, wait).await;
        let (mut body, complete) = summary(plane, &id.to_string(), receipts, all);
        if all {
            body["at"] = json!(rfc3339(appended_ms));
            body["soft"] = json!(soft);
            tell_pace(&mut body, pace);
            tell_by(&mut body, &by);
            body["named"] = json!(named);
        }
        body["took_ms"] = json!(started.elapsed().as_millis() as u64);
        let status = if complete {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        Ok((status, body))
    }

    async fn estimate(self, plane: &Plane) -> Result<(StatusCode, Value), Refused> {
        let head = plane.log.head().await?;
        let bound = Bound::new(
            self.pace,
            self.service.as_deref(),
            &plane.services.in_force(),
            &plane.members.list(head.at),
        );
        let mut scopes: BTreeSet<ScopeId> = BTreeSet::new();
        for item in self.items {
            scopes.extend(item.scopes);
            if scopes.len() > SCOPES_MAX {
                let reason = "a dry run names fewer things: split it";
                return Err(Refused::field(item.kind.member(), reason));
            }
        }
        let scopes = scopes.into_iter().collect();
        let answers = plane.estimate(scopes).await.ok_or_else(|| {
            Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many dry runs are under way",
            )
        })?;
        let node = |(node, told): &(String, Result<Told, String>)| match told {
            Ok(Told::Estimate(estimate)) => {
                let factor = f64::from(estimate.one_in);
                let found = estimate.objects as f64;
                // each object is in the sample by itself: a binomial spread; none found is at most three in the sample
                let spread = DEVIATIONS * (found * (1.0 - 1.0 / factor)).sqrt();
                let spread = if estimate.objects == 0 && estimate.one_in > 1 {
                    3.0
                } else {
                    spread
                };
                let mut told = json!({
                    "node": node,
                    "objects": estimate.objects * u64::from(estimate.one_in),
                    "bytes": estimate.bytes * u64::from(estimate.one_in),
                    "objects_error": (spread * factor).ceil() as u64,
                    "sampled": estimate.sampled,
                    "one_in": estimate.one_in,
                });
                if estimate.objects > 0 {
                    // of a total over such a sample (Horvitz and Thompson)
                    let variance = estimate.bytes_squared * (1.0 - 1.0 / factor);
                    let error = DEVIATIONS * variance.max(0.0).sqrt() * factor;
                    told["bytes_error"] = json!(error.ceil() as u64);
                }
                if estimate.partial {
                    told["partial"] = json!(true);
                }
                told
            }
            Ok(_) => json!({ "node": node, "error": "it answered another question" }),
            Err(reason) => json!({ "node": node, "error": reason }),
        };
        let nodes: Vec<Value> = answers.told.iter().map(node).collect();
        let mut body = json!({ "dry_run": true, "nodes": nodes, "silent": answers.silent });
        let estimates: Vec<&Estimate> = answers
            .told
            .iter()
            .filter_map(|(_, told)| match told {
                Ok(Told::Estimate(estimate)) => Some(estimate),
                _ => None,
            })
            .collect();
        if let Some(told) = origin_requests(&estimates, bound) {
            body["origin_requests"] = told;
        }
        Ok((StatusCode::OK, body))
    }
}

fn word(state: Stands) -> &'static str {
    match state {
        Stands::Applied => "applied",
        Stands::Fenced => "fenced",
        Stands::Removed => "removed",
        Stands::Pending => "pending",
    }
}

/// How a purge stands, and whether it is complete; counted from these receipts, so that all of it is of one moment.
fn summary(plane: &Plane, id: &str, receipts: Vec<Receipt>, all: bool) -> (Value, bool) {
    let tally = Members::count_of(&receipts);
    let told = receipts
        .into_iter()
        .filter(|receipt| all || receipt.state != Stands::Applied);
    let receipt = |receipt: Receipt| {
        let mut told = json!({ "node": receipt.node, "state": word(receipt.state) });
        if let Some(ms) = receipt.took_ms {
            told["ms"] = json!(ms);
        }
        let fenced = receipt.fenced_since.map(|since| plane.unix_ms_of(since));
        if let Some(since) = receipt.since_ms.or(fenced) {
            told["since"] = json!(rfc3339(since));
        }
        told
    };
    let summary = json!({
        "id": id,
        "complete": tally.is_complete(),
        "nodes": tally.nodes(),
        "applied": tally.applied,
        "fenced": tally.fenced,
        "removed": tally.removed,
        "pending": tally.pending,
        "receipts": told.map(receipt).collect::<Vec<_>>(),
    });
    (summary, tally.is_complete())
}

/// Ends the part of a query that says how much is told.
fn tells_all(query: &Parameters) -> bool {
    query.get("receipts") == Some("all")
}

pub(super) async fn create(
    Purges(caller): Purges,
    State(api): State<Api>,
    query: Parameters,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Refused> {
    let key = match headers.get("idempotency-key") {
        None => None,
        Some(key) => match key.to_str() {
            Ok(key) if (1..=KEY_BYTES_MAX).contains(&key.len()) => Some(key),
            _ => {
                let reason = "a key has 1 to 255 printable ASCII characters";
                return Err(Refused::field("Idempotency-Key", reason));
            }
        },
    };
    let requested = Requested::parse(&body, &api.plane)?;
    let done = requested.carry_out(&api.plane, caller.by(), key, tells_all(&query));
    let (status, body) = done.await?;
    Ok((status, Json(body)).into_response())
}

pub(super) async fn show(
    _: Reads,
    State(api): State<Api>,
    Id(id): Id,
    query: Parameters,
) -> Result<Response, Refused> {
    let (id, records) = find(&api.plane, &id).await?;
    let asked = Asked::of(&records)?;
    Ok(Json(shown(&api.plane, id, &asked, tells_all(&query))).into_response())
}

/// The receipt as it stands now, signed.
pub(super) async fn receipt(
    _: Reads,
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Response, Refused> {
    let (id, records) = find(&api.plane, &id).await?;
    let plane = &api.plane;
    let signed = plane.keys.sign(|now_ms| {
        let mut body = shown(plane, id, &Asked::of(&records)?, true);
        let Appended { first, last } = id.0;
        body["form"] = json!(FORM);
        // as in the id: no number of JSON holds 64 bits everywhere
        body["epoch"] = json!(format!("{:x}", first.epoch.0));
        body["first"] = json!(first.n);
        body["last"] = json!(last.n);
        body["at_ms"] = json!(records.first().map(|record| record.appended_ms));
        body["computed"] = json!(rfc3339(now_ms));
        body["computed_ms"] = json!(now_ms);
        Ok::<_, StoreError>(body)
    });
    let signed = signed.await?;
    let kind = [(header::CONTENT_TYPE, "application/jose")];
    Ok((kind, signed + "\n").into_response())
}

/// The purge of an id, with all of its records.
async fn find(plane: &Plane, id: &str) -> Result<(PurgeId, Vec<Record>), Refused> {
    let unknown = || {
        let shown: String = id.chars().take(80).collect();
        Refused::new(
            StatusCode::NOT_FOUND,
            format!("there is no purge {shown}, or the log does not keep it any more"),
        )
    };
    let parsed = PurgeId::parse(id).ok_or_else(unknown)?;
    let records = match read(plane, parsed).await {
        Ok(records) => records,
        Err(
            StoreError::OtherEpoch { .. } | StoreError::Beyond { .. } | StoreError::Trimmed { .. },
        ) => return Err(unknown()),
        Err(error) => return Err(error.into()),
    };
    // a part of a purge, or of two, is none: neither before its last record nor after its first
    let more = |record: Option<&Record>| record.map(PurgeRecord::decode).transpose();
    let first = more(records.first())?.ok_or_else(unknown)?;
    if first.more as usize + 1 != records.len() {
        return Err(unknown());
    }
    let Appended { first, .. } = parsed.0;
    if let Some(before) = first.n.checked_sub(2) {
        let before = PurgeSeq::new(first.epoch, before);
        match plane.log.read(before, 1).await {
            Ok(records) if more(records.first())?.is_some_and(|record| record.more > 0) => {
                return Err(unknown());
            }
            // nothing is kept of what stood there
            Ok(_) | Err(StoreError::Trimmed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((parsed, records))
}

async fn read(plane: &Plane, id: PurgeId) -> Result<Vec<Record>, StoreError> {
    let Appended { first, last } = id.0;
    let before = PurgeSeq::new(first.epoch, first.n - 1);
    let count = (last.n - first.n + 1) as usize;
    let records = plane.log.read(before, count).await?;
    if records.len() == count {
        Ok(records)
    } else {
        Err(StoreError::Beyond {
            head: plane.log.head().await?.at,
        })
    }
}

/// What a purge is, read from all of its records.
struct Asked {
    named: Named,
    soft: bool,
    pace: Option<NonZeroU32>,
    by: By,
    appended_ms: u64,
}

impl Asked {
    fn of(records: &[Record]) -> Result<Self, StoreError> {
        let mut asked: Option<Self> = None;
        for record in records {
            let decoded = PurgeRecord::decode(record)?;
            match &mut asked {
                Some(asked) => asked.named.extend(decoded.named),
                None => {
                    asked = Some(Self {
                        named: decoded.named,
                        soft: decoded.soft,
                        pace: decoded.pace,
                        by: By {
                            name: decoded.by,
                            token: decoded.by_token,
                            node: decoded.by_node,
                        },
                        appended_ms: record.appended_ms,
                    });
                }
            }
        }
        asked.ok_or(StoreError::Empty)
    }
}

fn tell_pace(body: &mut Value, pace: Option<NonZeroU32>) {
    if let Some(pace) = pace {
        body["pace"] = json!(pace);
    }
}

fn tell_by(body: &mut Value, by: &By) {
    body["by"] = json!(by.name);
    if let Some(token) = &by.token {
        body["by_token"] = json!(token);
    }
    if let Some(node) = &by.node {
        body["by_node"] = json!(node);
    }
}

/// A purge with what it names.
fn shown(plane: &Plane, id: PurgeId, asked: &Asked, all: bool) -> Value {
    let receipts = plane.receipts(id.0.last, asked.appended_ms, &asked.named);
    let (mut body, _) = summary(plane, &id.to_string(), receipts, all);
    body["at"] = json!(rfc3339(asked.appended_ms));
    body["soft"] = json!(asked.soft);
    tell_pace(&mut body, asked.pace);
    tell_by(&mut body, &asked.by);
    body["named"] = json!(asked.named);
    body
}
