//! How the API says no: a status, one line, and what it is about.

use crate::keys::KeyError;
use crate::log::AppendError;
use crate::services::ChangeError;
use crate::store::StoreError;
use crate::tokens::TokenError;
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal. Nothing of the request was done.
#[derive(Debug)]
pub struct Refused {
    pub status: StatusCode,
    reason: String,
    /// The member of the request that is wrong, as in `urls[3]`.
    field: Option<String>,
    more: Option<Box<(&'static str, Value)>>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Refused {
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            field: None,
            more: None,
            header: None,
        }
    }

    /// A malformed member of a request.
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(StatusCode::BAD_REQUEST, reason)
        }
    }

    /// Says more beside the reason.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more = Some(Box::new((name, value)));
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    pub fn body(&self) -> Value {
        let mut body = json!({ "error": self.reason });
        if let Some(field) = &self.field {
            body["field"] = json!(field);
        }
        if let Some((name, value)) = self.more.as_deref() {
            body[*name] = value.clone();
        }
        body
    }
}

/// The reason.
impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::TooLarge { .. } | StoreError::Empty => StatusCode::BAD_REQUEST,
            StoreError::Conflict { .. } => StatusCode::CONFLICT,
            _ => {
                tracing::error!(%error, "the store does not answer");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::OtherPurge => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used for another purge",
            ),
            AppendError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Refused {
    fn from(error: ChangeError) -> Self {
        let reason = error.to_string();
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::Unknown(_) | ChangeError::NoVersion { .. } => {
                Self::new(StatusCode::NOT_FOUND, reason)
            }
            ChangeError::Precondition { current } => {
                let refused = Self::new(StatusCode::PRECONDITION_FAILED, reason)
                    .with("version", json!(current));
                match current.and_then(|v| HeaderValue::from_str(&format!("\"{v}\"")).ok()) {
                    Some(etag) => refused.with_header(header::ETAG, etag),
                    None => refused,
                }
            }
            ChangeError::Faults(faults) => {
                let fault = |f: &seawall_config::Fault| {
                    let service = f.file.display().to_string();
                    json!({ "service": service, "line": f.line, "path": f.path, "message": f.message })
                };
                let first = faults.first().map(|f| f.path.clone()).unwrap_or_default();
                let all = faults.iter().map(fault).collect();
                Self::field(first, reason).with("faults", Value::Array(all))
            }
            ChangeError::OtherId { .. } => Self::field("service.id", reason),
            ChangeError::TooMany => Self::new(StatusCode::CONFLICT, reason),
        }
    }
}

impl From<KeyError> for Refused {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(error) => error.into(),
            KeyError::TooMany => Self::new(StatusCode::CONFLICT, error.to_string()),
        }
    }
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        let reason = error.to_string();
        match error {
            TokenError::Store(error) => error.into(),
            TokenError::Name => Self::field("name", reason),
            TokenError::TooMany | TokenError::LastAdmin => Self::new(StatusCode::CONFLICT, reason),
        }
    }
}
