//! The keys that receipts are signed with.

use super::auth::{Administers, Reads};
use super::{Api, Refused};
use crate::audit::{Change, Kind};
use crate::plane::unix_ms;
use crate::signed::PublicKey;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A JSON Web Key Set (RFC 7517).
pub(super) async fn list(_: Reads, State(api): State<Api>) -> Response {
    let keys = api.plane.keys.list().await;
    let keys: Vec<Value> = keys.iter().map(PublicKey::jwk).collect();
    Json(json!({ "keys": keys })).into_response()
}

pub(super) async fn rotate(
    Administers(caller): Administers,
    State(api): State<Api>,
) -> Result<Response, Refused> {
    let plane = api.plane.clone();
    let rotation = async move { plane.keys.rotate(unix_ms()).await };
    let what = Change {
        kind: Kind::Key,
        action: "rotate",
        target: String::new(),
    };
    let rotated = api
        .plane
        .entered(caller.by(), what, rotation, |key| key.id.clone());
    let key = rotated.await?;
    tracing::info!(
        key = key.id,
        by = caller.name,
        "receipts are signed with another key"
    );
    Ok((StatusCode::CREATED, Json(key.jwk())).into_response())
}
