//! Operators' tokens.

use super::auth::Administers;
use super::extract::{Body, Id};
use super::{Api, Refused, members};
use crate::plane::unix_ms;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub(super) async fn list(_: Administers, State(api): State<Api>) -> Response {
    Json(json!({ "tokens": api.plane.tokens.list() })).into_response()
}

pub(super) async fn create(
    _: Administers,
    State(api): State<Api>,
    Body(body): Body,
) -> Result<Response, Refused> {
    let body = members(&body, &["name", "role"])?;
    let name = body["name"]
        .as_str()
        .ok_or_else(|| Refused::field("name", "a name for people is wanted here"))?;
    let role: Role = body["role"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|why: &str| Refused::field("role", why))?;
    let (plane, name) = (api.plane.clone(), name.to_owned());
    let making = async move { plane.tokens.create(&name, role, unix_ms()).await };
    let (view, text) = api.plane.whole(making).await??;
    let mut told = json!(view);
    told["token"] = json!(text);
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

pub(super) async fn revoke(
    _: Administers,
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Response, Refused> {
    let (plane, token) = (api.plane.clone(), id.clone());
    let revocation = async move { plane.tokens.revoke(&token).await };
    if api.plane.whole(revocation).await?? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let shown: String = id.chars().take(80).collect();
    Err(Refused::new(
        StatusCode::NOT_FOUND,
        format!("there is no token {shown}"),
    ))
}
