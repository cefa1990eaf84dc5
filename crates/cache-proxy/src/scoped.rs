//! What an answer can be purged by: its URL, its tags, and what it takes over from the copy in whose place it comes.

use crate::asked::Asked;
use http::{HeaderMap, StatusCode};
use seawall_purge::{Scope, ScopeId};
use seawall_service_model::{TagsError, any_query_scope, scope_ids, tags};

/// Ids that a copy carries. Its own are at most 295: 256 tags, 33 prefixes, two URLs, any query, host, service and
/// everything. The rest is for what it takes over.
pub(crate) const SCOPES_MAX: usize = 1024;

/// More than that; what such an answer would take over has to go with it.
pub(crate) const TOO_MANY: &str = "too-many-scopes";

/// The ids that the request and the fields of its answer tell, the same on every node of the fleet. An error says why
/// they are not known in full.
fn told(asked: &Asked, fields: &HeaderMap) -> Result<Vec<ScopeId>, &'static str> {
    let mut ids = Vec::with_capacity(16);
    let rules = asked.key_rules();
    scope_ids(&asked.service, &asked.host, &asked.target, rules, &mut ids)
        .map_err(|_| "too-many-path-segments")?;
    let tags = tags(fields).map_err(|why| match why {
        TagsError::TooMany => "too-many-tags",
        TagsError::Unreadable => "unreadable-tags",
    })?;
    let service = &asked.service.id.0;
    ids.extend(tags.iter().map(|tag| Scope::Tag { service, tag }.id()));
    if fields.contains_key("no-vary-search") {
        ids.push(any_query_scope(&asked.host, &asked.target));
    }
    Ok(ids)
}

/// The scopes of an answer with `fields`, as the next server sent them, and of all of `taken_over`.
pub(crate) fn scopes(
    asked: &Asked,
    fields: &HeaderMap,
    taken_over: &[&[ScopeId]],
) -> Result<Box<[ScopeId]>, &'static str> {
    let mut ids = told(asked, fields)?;
    for more in taken_over {
        ids.extend_from_slice(more);
    }
    ids.sort_unstable_by_key(|id| id.0);
    ids.dedup();
    if ids.len() > SCOPES_MAX {
        return Err(TOO_MANY);
    }
    Ok(ids.into_boxed_slice())
}

/// Those of `scopes` that a neighbour cannot tell from the request and the `fields` that it gets.
pub(crate) fn untold(asked: &Asked, fields: &HeaderMap, scopes: &[ScopeId]) -> Vec<ScopeId> {
    let mut told = told(asked, fields).unwrap_or_default();
    told.sort_unstable_by_key(|id| id.0);
    let is_told = |id: &ScopeId| told.binary_search_by_key(&id.0, |told| told.0).is_ok();
    scopes.iter().copied().filter(|id| !is_told(id)).collect()
}

/// Whether an answer is an error, which has no tags of its own: it takes over those of the copy that it replaces, or a
/// purge of them would leave the error.
pub(crate) fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}
