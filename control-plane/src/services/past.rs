//! By which key rules copies may have been stored: those of the last versions of every service, the deleted ones among
//! them. A host may have been of several services, and copies of all of them come back with the service.

use super::HISTORY_MAX;
use seawall_service_model::{HostPattern, KeyRules, Service, ServiceSet};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// What one version of a service said.
#[derive(Debug)]
struct Said {
    version: u64,
    hosts: Vec<HostPattern>,
    rules: Vec<KeyRules>,
}

/// The last versions of all services, oldest first, and their rules by host.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    services: BTreeMap<String, VecDeque<Arc<Said>>>,
    by_host: HashMap<HostPattern, Vec<KeyRules>>,
    /// The services that had a host.
    had: HashMap<HostPattern, BTreeSet<Arc<str>>>,
    /// Services of which not every version is here: they may have had any host.
    in_part: BTreeSet<Arc<str>>,
}

impl Past {
    /// A service whose versions nobody can read has a past all the same.
    pub(super) fn add_service(&mut self, id: &str) {
        self.services.entry(id.to_owned()).or_default();
    }

    /// Versions of a service that are not here, for nobody can read them, or they are kept no more.
    pub(super) fn lacks_some(&mut self, id: &str) {
        self.in_part.insert(id.into());
    }

    /// Takes in a later version of a service; `set` holds it alone.
    pub(super) fn add(&mut self, id: &str, version: u64, set: &ServiceSet) {
        let services = || set.services().iter();
        let said = Said {
            version,
            hosts: services().flat_map(|s| s.hosts.iter().cloned()).collect(),
            rules: services().flat_map(|s| key_rules(s)).collect(),
        };
        let versions = self.services.entry(id.to_owned()).or_default();
        versions.push_back(Arc::new(said));
        while versions
            .front()
            .is_some_and(|first| first.version + HISTORY_MAX as u64 <= version)
        {
            versions.pop_front();
            self.in_part.insert(id.into());
        }
    }

    /// To be called after versions were added.
    pub(super) fn index(&mut self) {
        self.by_host.clear();
        self.had.clear();
        for (id, versions) in &self.services {
            let id: Arc<str> = id.as_str().into();
            for host in versions.iter().flat_map(|said| &said.hosts) {
                self.had.entry(host.clone()).or_default().insert(id.clone());
            }
        }
        for said in self.services.values().flatten() {
            for host in &said.hosts {
                let known = self.by_host.entry(host.clone()).or_default();
                for rules in &said.rules {
                    if !known.contains(rules) {
                        known.push(rules.clone());
                    }
                }
            }
        }
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.services.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.services.len()
    }

    /// The services one of whose versions had a pattern that `host`, in its canonical form, falls under.
    pub(super) fn services_of(&self, host: &str) -> Vec<&str> {
        let patterns = patterns_of(host);
        let had = |said: &Arc<Said>| said.hosts.iter().any(|host| patterns.contains(host));
        let services = self.services.iter();
        let services = services.filter(|(_, versions)| versions.iter().any(had));
        services.map(|(id, _)| id.as_str()).collect()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// The services that have, had, or may have had `host`, in its canonical form.
    pub(super) fn may_have_had(&self, host: &str) -> impl Iterator<Item = &str> {
        let patterns = patterns_of(host).into_iter();
        let had = patterns.filter_map(|pattern| self.had.get(&pattern));
        had.flatten().chain(&self.in_part).map(|id| &**id)
    }

    /// The rules of every pattern that `host`, in its canonical form, falls under.
    pub(super) fn rules_of(&self, host: &str) -> Vec<&KeyRules> {
        let patterns = patterns_of(host);
        let known = patterns.iter().filter_map(|p| self.by_host.get(p));
        known.flatten().collect()
    }
}

/// All patterns that `host`, in its canonical form, falls under.
fn patterns_of(host: &str) -> Vec<HostPattern> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let mut patterns = vec![HostPattern::Exact(name.to_owned()), HostPattern::Any];
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        patterns.push(HostPattern::Below(parent.to_owned()));
        rest = parent;
    }
    patterns
}

fn key_rules(service: &Service) -> Vec<KeyRules> {
    let policies = service.rules.iter().map(|rule| &rule.policy);
    let policies = policies.chain([&service.default]);
    policies.map(|policy| policy.key.clone()).collect()
}
