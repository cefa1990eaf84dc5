//! Which purges cover a URL, or all that carries a tag: when was this last purged, and who did it.

use super::super::extract::Parameters;
use super::{Asked, Listed, PurgeId, limit, read};
use crate::api::Refused;
use crate::plane::Plane;
use crate::record::PurgeRecord;
use crate::services::InForce;
use crate::store::StoreError;
use seawall_purge::record::SCOPES_MAX;
use seawall_purge::{PurgeSeq, Scope, ScopeId};
use seawall_service_model::named::{
    Location, parse_host, parse_prefix, parse_tag, parse_url, prefixes_of, url_scopes_asked,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Records that one page reads: a page of purges with many is shorter than was asked for.
const RECORDS_MAX: u64 = 10_000;
/// What can be asked about, each by itself; `service` says more of the first ones.
const PARAMETERS: [&str; 4] = ["url", "tag", "prefix", "host"];

/// The scopes that are looked for, and what each is.
pub(super) struct Looked(BTreeMap<ScopeId, &'static str>);

impl Looked {
    /// `None`: nothing is asked about, and all purges are listed.
    pub(super) fn parse(query: &Parameters, in_force: &InForce) -> Result<Option<Self>, Refused> {
        let given: Vec<&str> = PARAMETERS
            .into_iter()
            .filter(|name| query.get(name).is_some())
            .collect();
        if let [_, second, ..] = given.as_slice() {
            let reason = format!("one of {} is looked for at a time", PARAMETERS.join(", "));
            return Err(Refused::field(*second, reason));
        }
        let service = query.get("service");
        if let Some(id) = service
            && !in_force.knows(id)
        {
            let shown: String = id.chars().take(80).collect();
            return Err(Refused::field(
                "service",
                format!("there is no service {shown}"),
            ));
        }
        let name = given.first().copied();
        let text = name.and_then(|name| query.get(name)).unwrap_or_default();
        let wrong = |why: &str| {
            let shown: String = text.chars().take(80).collect();
            Refused::field(name.unwrap_or_default(), format!("{shown:?}: {why}"))
        };
        let mut looked = Self(BTreeMap::new());
        match name {
            None if service.is_none() => return Ok(None),
            Some("url") => {
                let url = parse_url(text).map_err(wrong)?;
                let urls = url_scopes_asked(&url, in_force.rules_of(&url.host));
                if urls.len() > SCOPES_MAX {
                    return Err(wrong("the service has too many key rules"));
                }
                looked.add("url", urls);
                looked.below(&url, in_force, service).map_err(wrong)?;
            }
            Some("prefix") => {
                let prefix = parse_prefix(text).map_err(wrong)?;
                looked.below(&prefix, in_force, service).map_err(wrong)?;
            }
            Some("host") => {
                let host = parse_host(text).map_err(wrong)?;
                looked.host(&host, in_force, service);
            }
            Some(_) => {
                parse_tag(text).map_err(wrong)?;
                let id = match service {
                    Some(id) => id.to_owned(),
                    None => super::only_service(in_force.services.keys())?,
                };
                let tag = text.as_bytes();
                looked.add("tag", [Scope::Tag { service: &id, tag }.id()]);
                looked.service(&id);
            }
            None => looked.service(service.unwrap_or_default()),
        }
        looked.add("everything", [Scope::Everything.id()]);
        Ok(Some(looked))
    }

    fn add(&mut self, kind: &'static str, scopes: impl IntoIterator<Item = ScopeId>) {
        self.0.extend(scopes.into_iter().map(|scope| (scope, kind)));
    }

    fn service(&mut self, id: &str) {
        self.add("service", [Scope::Service { service: id }.id()]);
    }

    /// What covers all of a host: itself, and the services that had it, or the one that was named.
    fn host(&mut self, host: &str, in_force: &InForce, service: Option<&str>) {
        self.add("host", [Scope::Host { host }.id()]);
        match service {
            Some(id) => self.service(id),
            None => in_force
                .services_of(host)
                .into_iter()
                .for_each(|id| self.service(id)),
        }
    }

    /// What covers all below a path: its prefixes, itself among them, and what covers its host.
    fn below(
        &mut self,
        location: &Location,
        in_force: &InForce,
        service: Option<&str>,
    ) -> Result<(), &'static str> {
        self.add("prefix", prefixes_of(location)?);
        self.host(&location.host, in_force, service);
        Ok(())
    }

    /// The words for what a purge names of it.
    fn matched(&self, scopes: &[u64]) -> BTreeSet<&'static str> {
        let found = scopes
            .iter()
            .filter_map(|scope| self.0.get(&ScopeId(*scope)));
        found.copied().collect()
    }
}

/// The purges before a position that name one of these, latest first.
pub(super) async fn list(
    plane: &Plane,
    looked: &Looked,
    before: PurgeSeq,
    query: &Parameters,
) -> Result<Vec<Value>, Refused> {
    let names = looked.0.keys().map(|scope| scope.0).collect();
    let found = plane.log.find(names, before, limit(query)?).await?;
    let mut purges = Vec::new();
    let mut left = RECORDS_MAX;
    for appended in found {
        let count = appended.last.n - appended.first.n + 1;
        if !purges.is_empty() && count > left {
            break;
        }
        left = left.saturating_sub(count);
        let id = PurgeId(appended);
        let records = match read(plane, id).await {
            Ok(records) => records,
            // it was trimmed meanwhile
            Err(StoreError::Trimmed { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        let mut matched = BTreeSet::new();
        for record in &records {
            matched.extend(looked.matched(&PurgeRecord::decode(record)?.scopes));
        }
        // the record says what it names; what it is found by is only a way to it
        if matched.is_empty() {
            continue;
        }
        let mut body = Listed::of(plane, id, &Asked::of(&records)?).body;
        body["matched"] = json!(matched);
        purges.push(body);
    }
    Ok(purges)
}
