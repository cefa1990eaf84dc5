//! Operators' tokens.

use super::auth::Administers;
use super::extract::{Body, Id};
use super::{Api, Refused, members};
use crate::audit::{Change, Kind};
use crate::plane::unix_ms;
use crate::tokens::{MARK, Role};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub(super) async fn list(_: Administers, State(api): State<Api>) -> Response {
    Json(json!({ "tokens": api.plane.tokens.list() })).into_response()
}

pub(super) async fn create(
    Administers(caller): Administers,
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
    let what = Change {
        kind: Kind::Token,
        action: "create",
        target: name.clone(),
    };
    let making = async move { plane.tokens.create(&name, role, unix_ms()).await };
    let made = api.plane.entered(caller.by(), what, making, |(view, _)| {
        format!("{}, role {}", view.id, view.role.as_str())
    });
    let (view, text) = made.await?;
    let mut told = json!(view);
    told["token"] = json!(text);
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

pub(super) async fn revoke(
    Administers(caller): Administers,
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Response, Refused> {
    if id.starts_with(MARK) {
        // what is entered is kept, and nobody may find a token there
        let reason = "this is a token itself: one is revoked by its id";
        return Err(Refused::new(StatusCode::NOT_FOUND, reason));
    }
    let (plane, token) = (api.plane.clone(), id.clone());
    let revocation = async move {
        if plane.tokens.revoke(&token).await? {
            return Ok(());
        }
        let shown: String = token.chars().take(80).collect();
        Err(Refused::new(
            StatusCode::NOT_FOUND,
            format!("there is no token {shown}"),
        ))
    };
    let what = Change {
        kind: Kind::Token,
        action: "revoke",
        target: id,
    };
    let revoked = api
        .plane
        .entered(caller.by(), what, revocation, |()| String::new());
    revoked.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
