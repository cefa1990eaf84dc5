//! The last purges of what a request or a copy can be purged by.

use crate::asked::Asked;
use http::HeaderMap;
use seawall_cache_store::Head;
use seawall_control_protocol::explain::{Covering, PURGES_MAX, cut};
use seawall_purge::{Scope, ScopeId};
use seawall_service_model::{any_query_scope, each_scope, tags};
use std::collections::HashSet;

/// A scope with its name.
pub(super) struct Named {
    kind: &'static str,
    name: String,
    id: ScopeId,
}

impl Named {
    fn of(scope: &Scope<'_>) -> Self {
        Self {
            kind: scope.kind(),
            name: scope.name(),
            id: scope.id(),
        }
    }
}

pub(super) fn named_by_request(asked: &Asked) -> Vec<Named> {
    let mut named = Vec::with_capacity(16);
    let rules = asked.key_rules();
    // one that is too deep is not stored
    let _ = each_scope(&asked.service, &asked.host, &asked.target, rules, |scope| {
        named.push(Named::of(&scope));
    });
    named
}

/// The scopes of a copy beyond those of the request: its tags, and what it took over.
pub(super) fn named_by_copy(
    asked: &Asked,
    head: &Head,
    fields: &HeaderMap,
    of_request: &[Named],
) -> Vec<Named> {
    let service = &asked.service.id.0;
    let of_fields = tags(fields).unwrap_or_default();
    let of_fields = of_fields
        .iter()
        .map(|tag| Named::of(&Scope::Tag { service, tag }));
    let mut named: Vec<Named> = of_fields.collect();
    let any_query = any_query_scope(&asked.host, &asked.target);
    let known: HashSet<ScopeId> = named.iter().chain(of_request).map(|n| n.id).collect();
    let others = head.scopes().iter().filter(|id| !known.contains(id));
    named.extend(others.map(|&id| Named {
        kind: if id == any_query {
            "any-query"
        } else if asked.moved.is_some() {
            "url-or-tag"
        } else {
            "tag"
        },
        // which it is a neighbour knows, or the URL that it was fetched for, or an answer that it came in the place of
        name: String::new(),
        id,
    }));
    named.retain(|named| head.scopes().contains(&named.id));
    named
}

/// The last purges of what is named, latest first.
pub(super) fn covering(asked: &Asked, named: &[Named]) -> Vec<Covering> {
    let table = &asked.snapshot.purges;
    let mut floor = 0;
    let mut all: Vec<Covering> = Vec::new();
    for Named { kind, name, id } in named {
        let last = table.last(*id);
        floor = floor.max(last.floor);
        let n = last.hard.max(last.soft);
        if n > 0 {
            all.push(Covering {
                kind: (*kind).to_owned(),
                name: cut(name.clone()),
                n,
                soft: last.soft > last.hard,
            });
        }
    }
    if floor > 0 {
        all.push(Covering {
            kind: "floor".to_owned(),
            name: String::new(),
            n: floor,
            soft: false,
        });
    }
    all.sort_by_key(|covering| std::cmp::Reverse(covering.n));
    all.truncate(PURGES_MAX);
    all
}
