//! The members of the fleet.

use super::auth::{Administers, Reads};
use super::extract::Id;
use super::{Api, Refused};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub(super) async fn list(_: Reads, State(api): State<Api>) -> Result<Response, Refused> {
    let head = api.plane.log.head().await?.at;
    let nodes = api.plane.members.list(head);
    Ok(Json(json!({ "head": head.to_string(), "nodes": nodes })).into_response())
}

pub(super) async fn remove(
    _: Administers,
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Response, Refused> {
    let (plane, node) = (api.plane.clone(), id.clone());
    let removal = async move { plane.remove_node(&node).await };
    if api.plane.whole(removal).await?? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let shown: String = id.chars().take(80).collect();
    Err(Refused::new(
        StatusCode::NOT_FOUND,
        format!("there is no node {shown}"),
    ))
}
