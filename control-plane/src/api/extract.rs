//! What a request brings, refused in the API's own words where it cannot be read.

use super::{Api, Refused};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use std::collections::HashMap;
use std::time::Duration;

/// How long a body may take.
const BODY_MAX: Duration = Duration::from_secs(30);

/// The body, within the bound of the API.
pub(super) struct Body(pub(super) Bytes);

/// The id in the path.
pub(super) struct Id(pub(super) String);

/// The query's parameters.
pub(super) struct Parameters(HashMap<String, String>);

/// The query's parameters in their order, of which one may come more than once.
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl Parameters {
    /// One that has no value was not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

impl FromRequest<Api> for Body {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refused> {
        let read = tokio::time::timeout(BODY_MAX, Bytes::from_request(request, api)).await;
        let read = read.map_err(|_| {
            Refused::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
        })?;
        read.map(Self).map_err(|rejection: BytesRejection| {
            let status = rejection.status();
            let reason = if status == StatusCode::PAYLOAD_TOO_LARGE {
                format!("the body is longer than {} bytes", super::BODY_BYTES_MAX)
            } else {
                "the body did not come whole".to_owned()
            };
            Refused::new(status, reason)
        })
    }
}

impl FromRequestParts<Api> for Id {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let read = Path::<String>::from_request_parts(parts, api).await;
        read.map(|Path(id)| Self(id))
            .map_err(|_| Refused::field("id", "the path is no text in UTF-8"))
    }
}

impl FromRequestParts<Api> for Parameters {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let read = Query::<HashMap<String, String>>::from_request_parts(parts, api).await;
        read.map(|Query(query)| Self(query))
            .map_err(|_| Refused::field("", "the query cannot be read"))
    }
}

impl FromRequestParts<Api> for Pairs {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let read = Query::<Vec<(String, String)>>::from_request_parts(parts, api).await;
        read.map(|Query(pairs)| Self(pairs))
            .map_err(|_| Refused::field("", "the query cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Alone;
    use crate::plane::Plane;
    use crate::store::MemoryStore;
    use seawall_purge::Epoch;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_refused_in_time() {
        let store = Arc::new(MemoryStore::new(Epoch(1)));
        let api = Api {
            plane: Arc::new(
                Plane::open(store, None, Duration::from_secs(10))
                    .await
                    .unwrap(),
            ),
            host: Arc::new(Alone),
            listeners: Arc::new(Semaphore::new(1)),
        };
        let endless = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(axum::body::Body::from_stream(endless));
        let begun = tokio::time::Instant::now();
        let read = Body::from_request(request, &api);
        let refused = tokio::time::timeout(2 * BODY_MAX, read).await.unwrap();
        let refused = refused.err().unwrap();
        assert_eq!(refused.status, StatusCode::REQUEST_TIMEOUT);
        assert!(begun.elapsed() >= BODY_MAX);
    }
}
