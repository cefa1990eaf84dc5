//! Purges in lists: latest first, without receipts.

use super::history::{self, Looked};
use super::id::PurgeId;
use super::{Asked, shown};
use crate::api::auth::Reads;
use crate::api::extract::Parameters;
use crate::api::{Api, Refused};
use crate::plane::Plane;
use crate::record::PurgeRecord;
use crate::store::{Appended, FOUND_MAX, Head, StoreError};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use seawall_purge::PurgeSeq;
use serde_json::{Value, json};

const LIST_MAX: usize = FOUND_MAX;
const LIST_DEFAULT: usize = 50;
/// Names of each kind that a list of purges tells; a purge by its id tells all.
const LISTED_NAMES_MAX: usize = 10;

/// How many a list tells.
pub(in crate::api) fn limit(query: &Parameters) -> Result<usize, Refused> {
    match query.get("limit") {
        None => Ok(LIST_DEFAULT),
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIST_MAX).contains(limit))
            .ok_or_else(|| Refused::field("limit", format!("1 to {LIST_MAX} is wanted here"))),
    }
}

/// Newest first where no place to begin is given; after an id: the older ones. All of them, or those that cover what is
/// asked about.
pub(in crate::api) async fn list(
    _: Reads,
    State(api): State<Api>,
    query: Parameters,
) -> Result<Response, Refused> {
    let limit = limit(&query)?;
    let looked = Looked::parse(&query, &api.plane.services.in_force())?;
    let head = api.plane.log.head().await?;
    let end = match query.get("after") {
        None => head.at.n,
        Some(id) => {
            let id = PurgeId::parse(id)
                .ok_or_else(|| Refused::field("after", "no purge has this id"))?;
            let within = id.0.first.epoch == head.at.epoch && id.0.last.n <= head.at.n;
            if !within {
                return Err(Refused::field("after", "no purge of this log has this id"));
            }
            id.0.first.n - 1
        }
    };
    if let Some(looked) = looked {
        let before = PurgeSeq::new(head.at.epoch, end + 1);
        let purges = history::list(&api.plane, &looked, before, &query).await?;
        return Ok(Json(json!({ "purges": purges })).into_response());
    }
    let purges = latest(&api.plane, head, end, limit).await?;
    let purges: Vec<Value> = purges.into_iter().map(|purge| purge.body).collect();
    Ok(Json(json!({ "purges": purges })).into_response())
}

/// A purge in a list: without receipts, and with its first names.
pub(in crate::api) struct Listed {
    pub(in crate::api) first: PurgeSeq,
    pub(in crate::api) at_ms: u64,
    pub(in crate::api) body: Value,
}

impl Listed {
    pub(super) fn of(plane: &Plane, id: PurgeId, asked: &Asked) -> Self {
        let mut body = shown(plane, id, asked, false);
        if let Some(members) = body.as_object_mut() {
            members.remove("receipts");
        }
        cut(&mut body["named"]);
        Self {
            first: id.0.first,
            at_ms: asked.appended_ms,
            body,
        }
    }
}

/// The last purges that end at `end` or before, latest first, at most `limit`.
pub(in crate::api) async fn latest(
    plane: &Plane,
    head: Head,
    mut end: u64,
    limit: usize,
) -> Result<Vec<Listed>, StoreError> {
    let mut purges = Vec::new();
    while purges.len() < limit && end >= head.first {
        // backwards by blocks; a purge of several records lies in one block or is taken in whole
        let start = end.saturating_sub(LIST_MAX as u64).max(head.first - 1);
        let before = PurgeSeq::new(head.at.epoch, start);
        let records = plane.log.read(before, (end - start) as usize).await?;
        let mut at = records.len();
        while at > 0 && purges.len() < limit {
            // the last record of a purge has none after it
            let mut from = at - 1;
            while from > 0 && PurgeRecord::decode(&records[from - 1])?.more > 0 {
                from -= 1;
            }
            let cut_off = from == 0 && start >= head.first && at < records.len();
            if cut_off {
                break;
            }
            let part = &records[from..at];
            let id = PurgeId(Appended {
                first: part[0].at,
                last: part[part.len() - 1].at,
            });
            purges.push(Listed::of(plane, id, &Asked::of(part)?));
            at = from;
        }
        end = start + at as u64;
    }
    Ok(purges)
}

/// Leaves the first of each list of names; `count` says how many there are in all, where some are left out.
fn cut(named: &mut Value) {
    let Some(members) = named.as_object_mut() else {
        return;
    };
    let mut count = 0;
    let mut left_out = false;
    for list in members.values_mut().filter_map(Value::as_array_mut) {
        count += list.len();
        left_out |= list.len() > LISTED_NAMES_MAX;
        list.truncate(LISTED_NAMES_MAX);
    }
    if left_out {
        members.insert("count".into(), json!(count));
    }
}
