//! The members of the fleet.

use super::auth::{Administers, Reads};
use super::extract::Id;
use super::time::rfc3339;
use super::{Api, Refused};
use crate::audit::{Change, Kind};
use crate::members::LeaseView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) async fn list(_: Reads, State(api): State<Api>) -> Result<Response, Refused> {
    let head = api.plane.log.head().await?.at;
    let mut nodes = api.plane.members.list(head);
    let answered: BTreeMap<_, _> = api.plane.members.answered().into_iter().collect();
    let (terms, now) = (api.plane.leases.terms(), api.plane.leases.now());
    for node in &mut nodes {
        let Some(answered) = answered.get(&node.id).copied().flatten() else {
            continue;
        };
        let ends = terms.runs_until(answered);
        let at = rfc3339(api.plane.unix_ms_of(ends));
        node.lease = Some(if now < ends {
            LeaseView::Held { until: at }
        } else {
            LeaseView::Lost { since: at }
        });
    }
    Ok(Json(json!({ "head": head.to_string(), "nodes": nodes })).into_response())
}

pub(super) async fn remove(
    Administers(caller): Administers,
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Response, Refused> {
    let (plane, node) = (api.plane.clone(), id.clone());
    let removal = async move {
        if plane.remove_node(&node).await? {
            return Ok(());
        }
        let shown: String = node.chars().take(80).collect();
        Err(Refused::new(
            StatusCode::NOT_FOUND,
            format!("there is no node {shown}"),
        ))
    };
    let what = Change {
        kind: Kind::Node,
        action: "remove",
        target: id,
    };
    let removed = api
        .plane
        .entered(caller.by(), what, removal, |()| String::new());
    removed.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
