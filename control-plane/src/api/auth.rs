//! Who is calling, and may they.

use super::{Api, Refused};
use crate::plane::Plane;
use crate::record::By;
use crate::tokens::{Caller, Role};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};

/// A caller who may look.
pub(crate) struct Reads(pub(crate) Caller);
/// A caller who may purge.
pub(crate) struct Purges(pub(crate) Caller);
/// A caller who may do everything.
pub(crate) struct Administers(pub(crate) Caller);

impl Refused {
    /// The token's owner, if it may purge.
    pub(crate) fn unless_may_purge(plane: &Plane, token: &str) -> Result<By, Self> {
        admit(plane, Some(token), Role::Purge).map(|caller| caller.by())
    }
}

fn admit(plane: &Plane, token: Option<&str>, role: Role) -> Result<Caller, Refused> {
    let unauthorized = |reason: &str| {
        Refused::new(StatusCode::UNAUTHORIZED, reason).with_header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"seawall\""),
        )
    };
    let token = token.ok_or_else(|| unauthorized("a bearer token is needed"))?;
    let caller = plane
        .tokens
        .caller(token)
        .ok_or_else(|| unauthorized("this token is not known, or was revoked"))?;
    if caller.role < role {
        let (has, needs) = (caller.role.as_str(), role.as_str());
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            format!("this token has the role {has}, and this needs {needs}"),
        ));
    }
    Ok(caller)
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

impl FromRequestParts<Api> for Reads {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        admit(&api.plane, bearer(parts), Role::Read).map(Self)
    }
}

impl FromRequestParts<Api> for Purges {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        admit(&api.plane, bearer(parts), Role::Purge).map(Self)
    }
}

impl FromRequestParts<Api> for Administers {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        admit(&api.plane, bearer(parts), Role::Admin).map(Self)
    }
}
