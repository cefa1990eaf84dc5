//! Services and their versions.

use super::auth::{Administers, Reads};
use super::extract::{Body, Id};
use super::time::rfc3339;
use super::{Api, Refused, members};
use crate::audit::{Change, Kind};
use crate::plane::{Plane, unix_ms};
use crate::services::{ChangeError, Condition, Maker, Version};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

fn shown(id: &str, version: &Version) -> Value {
    let mut shown = json!({
        "id": id,
        "version": version.version,
        "at": rfc3339(version.created_ms),
        "by": version.by,
        "toml": version.text,
    });
    if version.maker != Maker::Operator {
        shown["maker"] = json!(version.maker);
    }
    if let Some(note) = &version.note {
        shown["note"] = json!(note);
    }
    shown
}

fn tagged(status: StatusCode, id: &str, version: &Version) -> Response {
    let mut response = (status, Json(shown(id, version))).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", version.version)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// A change of a service, as it is entered.
fn what(action: &'static str, id: &str) -> Change {
    Change {
        kind: Kind::Service,
        action,
        target: id.to_owned(),
    }
}

fn came_to(version: &Version) -> String {
    format!("version {}", version.version)
}

/// What `If-Match` and `If-None-Match` say (RFC 9110 §13.1), of one version.
fn condition(headers: &HeaderMap) -> Result<Condition, Refused> {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or_default().trim())
    };
    if let Some(tag) = text(header::IF_MATCH) {
        if tag == "*" {
            return Ok(Condition::Present);
        }
        let number = tag
            .strip_prefix('"')
            .and_then(|tag| tag.strip_suffix('"'))
            .unwrap_or(tag);
        // what is no version's tag matches none
        return Ok(Condition::Version(number.parse().unwrap_or(0)));
    }
    match text(header::IF_NONE_MATCH) {
        None => Ok(Condition::None),
        Some("*") => Ok(Condition::Absent),
        Some(_) => Err(Refused::field("If-None-Match", "only * is understood here")),
    }
}

pub(super) async fn list(_: Reads, State(api): State<Api>) -> Response {
    let in_force = api.plane.services.in_force();
    let service = |(id, current): (&String, &crate::services::Current)| {
        let hosts = in_force.set.services().iter();
        let hosts: Vec<String> = hosts
            .filter(|service| *service.id.0 == **id)
            .flat_map(|service| service.hosts.iter().map(ToString::to_string))
            .collect();
        json!({
            "id": id,
            "version": current.version.version,
            "at": rfc3339(current.version.created_ms),
            "by": current.version.by,
            "hosts": hosts,
        })
    };
    let services: Vec<Value> = in_force.services.iter().map(service).collect();
    Json(json!({ "services": services })).into_response()
}

pub(super) async fn show(
    _: Reads,
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Response, Refused> {
    let in_force = api.plane.services.in_force();
    match in_force.services.get(&id) {
        Some(current) => Ok(tagged(StatusCode::OK, &id, &current.version)),
        None => Err(ChangeError::Unknown(id.chars().take(80).collect()).into()),
    }
}

/// Takes a service file as it is, or its contents as JSON.
pub(super) async fn put(
    Administers(caller): Administers,
    State(api): State<Api>,
    Id(id): Id,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Refused> {
    let condition = condition(&headers)?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Refused::field("", "the body is no text in UTF-8"))?;
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    let text = if is_json {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Refused::field("", format!("the body is no JSON: {error}")))?;
        toml::to_string(&value)
            .map_err(|error| Refused::field("", format!("the body is no service: {error}")))?
    } else {
        text.to_owned()
    };
    let who = caller.by();
    let (plane, by, service) = (api.plane.clone(), caller.name, id.clone());
    let change = async move {
        let version = |plane: &Plane| {
            let in_force = plane.services.in_force();
            in_force.services.get(&service).map(|c| c.version.version)
        };
        plane.make_room_for_service(&service).await?;
        let before = version(&plane);
        let put = plane
            .services
            .put(&service, text, condition, &by, unix_ms(), None);
        let put = put.await?;
        // the same text again is no change
        if before != Some(put.version) {
            plane.events.tell(
                "service",
                json!({ "service": service, "version": put.version, "by": by }),
            );
        }
        Ok::<_, Refused>((put, before.is_none()))
    };
    let entered = api
        .plane
        .entered(who, what("put", &id), change, |(put, _)| came_to(put));
    let (version, new) = entered.await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(tagged(status, &id, &version))
}

pub(super) async fn delete(
    Administers(caller): Administers,
    State(api): State<Api>,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let condition = condition(&headers)?;
    let who = caller.by();
    let (plane, by, service) = (api.plane.clone(), caller.name, id.clone());
    let change = async move {
        plane
            .services
            .delete(&service, condition, &by, unix_ms())
            .await?;
        plane.events.tell(
            "service",
            json!({ "service": service, "deleted": true, "by": by }),
        );
        Ok::<_, Refused>(())
    };
    let entered = api
        .plane
        .entered(who, what("delete", &id), change, |()| String::new());
    entered.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn versions(
    _: Reads,
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Response, Refused> {
    let versions = api.plane.services.history(&id).await?;
    let versions: Vec<Value> = versions.iter().map(|v| shown(&id, v)).collect();
    Ok(Json(json!({ "versions": versions })).into_response())
}

pub(super) async fn rollback(
    Administers(caller): Administers,
    State(api): State<Api>,
    Id(id): Id,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Refused> {
    let condition = condition(&headers)?;
    let body = members(&body, &["version"])?;
    let to = body["version"]
        .as_u64()
        .ok_or_else(|| Refused::field("version", "the number of a version is wanted here"))?;
    let who = caller.by();
    let (plane, by, service) = (api.plane.clone(), caller.name, id.clone());
    let change = async move {
        plane.make_room_for_service(&service).await?;
        let back = plane
            .services
            .rollback(&service, to, condition, &by, unix_ms());
        let version = back.await?;
        plane.events.tell(
            "service",
            json!({ "service": service, "version": version.version, "by": by, "rolled_back_to": to }),
        );
        Ok::<_, Refused>(version)
    };
    let entered = api
        .plane
        .entered(who, what("rollback", &id), change, came_to);
    let version = entered.await?;
    Ok(tagged(StatusCode::OK, &id, &version))
}
