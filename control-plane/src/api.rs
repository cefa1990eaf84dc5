//! The admin API: JSON over HTTP, with bearer tokens. `openapi.json` describes it; a test holds the two together.

mod audit;
mod auth;
mod events;
mod explain;
mod extract;
mod keys;
mod nodes;
pub mod purges;
mod refused;
mod services;
mod time;
mod tokens;

pub use refused::Refused;
pub use time::rfc3339;

use crate::plane::Plane;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The document that describes the API.
pub const OPENAPI: &str = include_str!("../openapi.json");
/// A service's text is the largest thing that is sent here.
const BODY_BYTES_MAX: usize = 5 << 20;

/// What the whole process tells besides: whether it is ready, and its nodes' metrics where they share it.
pub trait Host: Send + Sync + 'static {
    /// Whether traffic is welcome, and the word for it.
    fn ready(&self) -> (bool, &'static str);
    /// Metrics beside the control plane's own, in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// A control plane by itself.
pub struct Alone;

impl Host for Alone {
    fn ready(&self) -> (bool, &'static str) {
        (true, "ready")
    }

    fn metrics(&self) -> String {
        String::new()
    }
}

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) plane: Arc<Plane>,
    host: Arc<dyn Host>,
    /// Room for listeners to events.
    listeners: Arc<Semaphore>,
}

/// Methods, path, handlers. The test of `openapi.json` goes through it.
type Route = (&'static [&'static str], &'static str, MethodRouter<Api>);

fn routes() -> Vec<Route> {
    vec![
        (&["get"], "/healthz", get(|| async { "ok\n" })),
        (&["get"], "/readyz", get(readyz)),
        (&["get"], "/metrics", get(metrics)),
        (&["get"], "/openapi.json", get(openapi)),
        (
            &["get", "post"],
            "/v1/purges",
            get(purges::list).post(purges::create),
        ),
        (&["get"], "/v1/purges/{id}", get(purges::show)),
        (&["get"], "/v1/purges/{id}/receipt", get(purges::receipt)),
        (
            &["get", "post"],
            "/v1/keys",
            get(keys::list).post(keys::rotate),
        ),
        (&["get"], "/v1/nodes", get(nodes::list)),
        (&["delete"], "/v1/nodes/{id}", delete(nodes::remove)),
        (&["get"], "/v1/explain", get(explain::explain)),
        (&["get"], "/v1/services", get(services::list)),
        (
            &["get", "put", "delete"],
            "/v1/services/{id}",
            get(services::show)
                .put(services::put)
                .delete(services::delete),
        ),
        (
            &["get"],
            "/v1/services/{id}/versions",
            get(services::versions),
        ),
        (
            &["post"],
            "/v1/services/{id}/rollback",
            post(services::rollback),
        ),
        (&["get"], "/v1/audit", get(audit::list)),
        (&["get"], "/v1/events", get(events::stream)),
        (
            &["get", "post"],
            "/v1/tokens",
            get(tokens::list).post(tokens::create),
        ),
        (&["delete"], "/v1/tokens/{id}", delete(tokens::revoke)),
    ]
}

/// The whole API.
pub fn router(plane: Arc<Plane>, host: Arc<dyn Host>) -> Router {
    let router = routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, handler)| {
            router.route(path, handler)
        });
    router
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Api {
            plane,
            host,
            listeners: Arc::new(Semaphore::new(events::LISTENERS_MAX)),
        })
}

/// The members of a JSON object, all of which are in `known`.
fn members(body: &[u8], known: &[&str]) -> Result<Value, Refused> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Refused::field("", format!("the body is no JSON: {error}")))?;
    let Value::Object(members) = &body else {
        return Err(Refused::field("", "the body is a JSON object"));
    };
    if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
        let reason = format!("there is no such member; there are: {}", known.join(", "));
        return Err(Refused::field(name.as_str(), reason));
    }
    Ok(body)
}

async fn readyz(State(api): State<Api>) -> Response {
    let (ready, word) = match api.plane.damage.reason() {
        Some(reason) => (false, format!("the store is damaged: {reason}")),
        None => {
            let (ready, word) = api.host.ready();
            (ready, word.to_owned())
        }
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{word}\n")).into_response()
}

async fn metrics(State(api): State<Api>) -> Response {
    let text = api.plane.gather().await + &api.host.metrics();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn not_found(uri: Uri) -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {}", uri.path()),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Refused {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let described: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut of_document = BTreeSet::new();
        for (path, methods) in described["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(!answers.is_empty(), "{method} {path}");
                // what takes a token says how it refuses
                if path.starts_with("/v1/") {
                    assert!(
                        answers.contains_key("401") && answers.contains_key("403"),
                        "{method} {path}"
                    );
                }
                of_document.insert(format!("{method} {path}"));
            }
        }
        let of_routes: BTreeSet<String> = routes()
            .into_iter()
            .flat_map(|(methods, path, _)| {
                methods.iter().map(move |method| format!("{method} {path}"))
            })
            .collect();
        assert_eq!(of_document, of_routes);
    }
}
