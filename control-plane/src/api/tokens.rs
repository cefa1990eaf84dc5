//! Operators' tokens.

use super::auth::Administers;
use super::{Api, Refused};
use crate::plane::unix_ms;
use crate::tokens::Role;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub(super) async fn list(_: Administers, State(api): State<Api>) -> Response {
    Json(json!({ "tokens": api.plane.tokens.list() })).into_response()
}

pub(super) async fn create(
    _: Administers,
    State(api): State<Api>,
    body: Bytes,
) -> Result<Response, Refused> {
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Refused::field("", format!("the body is no JSON: {error}")))?;
    let name = body["name"]
        .as_str()
        .ok_or_else(|| Refused::field("name", "a name for people is wanted here"))?;
    let role: Role = body["role"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|why: &str| Refused::field("role", why))?;
    let (view, text) = api.plane.tokens.create(name, role, unix_ms()).await?;
    let mut told = json!(view);
    told["token"] = json!(text);
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

pub(super) async fn revoke(
    _: Administers,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    if api.plane.tokens.revoke(&id).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let shown: String = id.chars().take(80).collect();
    Err(Refused::new(
        StatusCode::NOT_FOUND,
        format!("there is no token {shown}"),
    ))
}
