//! Services as immutable versions, and a pointer that is moved by compare-and-set.

use crate::store::{Document, Expect, Revision, Store, StoreError};
use arc_swap::ArcSwap;
use seawall_config::{Fault, read_services};
use seawall_control_protocol::Document as NodeDocument;
use seawall_control_protocol::documents::SERVICES as DOCUMENT;
use seawall_service_model::{KeyRules, Service, ServiceSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

const POINTER: &str = "service/";
const VERSION: &str = "service-version/";
/// Services of a fleet.
pub const SERVICES_MAX: usize = 5000;
/// Versions whose key rules a purged URL is read by: copies stored under older ones have long been replaced.
const RULES_OF_VERSIONS: u64 = 16;
/// Versions that are told of a service.
pub const HISTORY_MAX: usize = 100;

/// Which version is in force.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pointer {
    version: u64,
    #[serde(default)]
    deleted: bool,
}

/// One version of one service; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub version: u64,
    /// As in a service file.
    pub text: String,
    pub created_ms: u64,
    /// The name of the token that put it.
    pub by: String,
    /// What was done, where it was no plain change: "deleted", "rolled back to version 3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A service in force.
#[derive(Clone, Debug)]
pub struct Current {
    pub version: Version,
    revision: Revision,
}

/// Everything in force, judged together.
#[derive(Debug, Default)]
pub struct InForce {
    pub services: BTreeMap<String, Current>,
    pub set: ServiceSet,
    /// Key rules of these services and of their last versions.
    rules: BTreeMap<String, Vec<KeyRules>>,
    revision: Revision,
}

/// Why a change was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no service {0}")]
    Unknown(String),
    #[error("service {id} has no version {version}")]
    NoVersion { id: String, version: u64 },
    /// The caller's condition does not hold; the version in force, if there is one.
    #[error("the service is at {}", current.map_or_else(|| "no version".into(), |v| format!("version {v}")))]
    Precondition { current: Option<u64> },
    #[error("the service has {} fault{}", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Faults(Vec<Fault>),
    #[error("the text is of service {found}, not of {asked}")]
    OtherId { asked: String, found: String },
    #[error("a fleet has at most {SERVICES_MAX} services")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the caller expects of the version in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    /// `If-Match`.
    Version(u64),
    /// `If-None-Match: *`.
    Absent,
}

/// The services of a fleet.
pub struct Services {
    store: Arc<dyn Store>,
    /// One change at a time: they are judged together.
    changing: Mutex<()>,
    in_force: ArcSwap<InForce>,
    changed: watch::Sender<Revision>,
}

impl Services {
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let services = Self {
            store,
            changing: Mutex::new(()),
            in_force: ArcSwap::default(),
            changed: watch::Sender::default(),
        };
        services.load().await?;
        Ok(services)
    }

    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Says when other services are in force.
    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    /// Reads everything anew.
    async fn load(&self) -> Result<(), StoreError> {
        let list = self.store.list(POINTER).await?;
        let mut next = InForce {
            revision: list.revision,
            ..InForce::default()
        };
        let mut texts = Vec::new();
        for document in list.documents {
            let id = document.key[POINTER.len()..].to_owned();
            let pointer: Pointer = decode(&document)?;
            if pointer.deleted {
                continue;
            }
            let mut rules = Vec::new();
            let oldest = pointer.version.saturating_sub(RULES_OF_VERSIONS) + 1;
            for version in oldest..=pointer.version {
                // a version that this build cannot read any more has no rules that it could apply either
                if let Some(version) = self.version(&id, version).await?
                    && let Ok(set) = judge(&[(id.clone(), version.text)])
                {
                    rules.extend(set.services().iter().flat_map(|s| key_rules(s)));
                }
            }
            let version = self.version(&id, pointer.version).await?;
            let version = version.ok_or_else(|| {
                StoreError::Corrupt(format!("service {id} lacks version {}", pointer.version))
            })?;
            rules.dedup();
            next.rules.insert(id.clone(), rules);
            texts.push((id.clone(), version.text.clone()));
            let revision = document.revision;
            next.services.insert(id, Current { version, revision });
        }
        next.set = judge(&texts).map_err(|faults| {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            StoreError::Corrupt(format!("the services in force have faults: {first}"))
        })?;
        let revision = next.revision;
        self.in_force.store(Arc::new(next));
        self.changed.send_replace(revision);
        Ok(())
    }

    async fn version(&self, id: &str, version: u64) -> Result<Option<Version>, StoreError> {
        let key = version_key(id, version);
        self.store.get(&key).await?.as_ref().map(decode).transpose()
    }

    /// Puts a new version in force, if it has no fault beside all others and `condition` holds. The text of the version
    /// in force again changes nothing.
    pub async fn put(
        &self,
        id: &str,
        text: String,
        condition: Condition,
        by: &str,
        now_ms: u64,
        note: Option<String>,
    ) -> Result<Version, ChangeError> {
        let _one = self.changing.lock().await;
        let in_force = self.in_force();
        let current = in_force.services.get(id);
        check(condition, current)?;
        if let Some(current) = current.filter(|c| c.version.text == text && note.is_none()) {
            return Ok(current.version.clone());
        }
        if current.is_none() && in_force.services.len() >= SERVICES_MAX {
            return Err(ChangeError::TooMany);
        }
        let alone = judge(&[(id.to_owned(), text.clone())]).map_err(ChangeError::Faults)?;
        if let Some(service) = alone.services().first()
            && &*service.id.0 != id
        {
            return Err(ChangeError::OtherId {
                asked: id.to_owned(),
                found: service.id.0.to_string(),
            });
        }
        let others = in_force.services.iter().filter(|(other, _)| *other != id);
        let mut texts: Vec<_> = others
            .map(|(id, current)| (id.clone(), current.version.text.clone()))
            .collect();
        texts.push((id.to_owned(), text.clone()));
        judge(&texts).map_err(ChangeError::Faults)?;
        self.write(id, text, false, by, now_ms, note).await
    }

    /// Takes a service out of force. Its history stays.
    pub async fn delete(
        &self,
        id: &str,
        condition: Condition,
        by: &str,
        now_ms: u64,
    ) -> Result<(), ChangeError> {
        let _one = self.changing.lock().await;
        let in_force = self.in_force();
        let Some(current) = in_force.services.get(id) else {
            return Err(ChangeError::Unknown(id.to_owned()));
        };
        check(condition, Some(current))?;
        let (text, note) = (current.version.text.clone(), Some("deleted".to_owned()));
        self.write(id, text, true, by, now_ms, note).await?;
        Ok(())
    }

    /// Puts the text of an earlier version in force, as a new version.
    pub async fn rollback(
        &self,
        id: &str,
        to: u64,
        condition: Condition,
        by: &str,
        now_ms: u64,
    ) -> Result<Version, ChangeError> {
        let version = self.version(id, to).await?;
        let version = version.ok_or_else(|| ChangeError::NoVersion {
            id: id.to_owned(),
            version: to,
        })?;
        let note = Some(format!("rolled back to version {to}"));
        self.put(id, version.text, condition, by, now_ms, note)
            .await
    }

    /// The last versions of a service, newest first, deleted or not.
    pub async fn history(&self, id: &str) -> Result<Vec<Version>, ChangeError> {
        let pointer = self.store.get(&pointer_key(id)).await?;
        let Some(pointer) = pointer.as_ref() else {
            return Err(ChangeError::Unknown(id.to_owned()));
        };
        let last = decode::<Pointer>(pointer)?.version;
        let mut versions = Vec::new();
        for version in (1..=last).rev().take(HISTORY_MAX) {
            versions.extend(self.version(id, version).await?);
        }
        Ok(versions)
    }

    /// The version first, the pointer last: a version that no pointer reaches is not in force and is written again.
    async fn write(
        &self,
        id: &str,
        text: String,
        deleted: bool,
        by: &str,
        now_ms: u64,
        note: Option<String>,
    ) -> Result<Version, ChangeError> {
        let before = self.store.get(&pointer_key(id)).await?;
        let (last, expect) = match &before {
            Some(document) => (
                decode::<Pointer>(document)?.version,
                Expect::At(document.revision),
            ),
            None => (0, Expect::Absent),
        };
        let version = Version {
            version: last + 1,
            text,
            created_ms: now_ms,
            by: by.to_owned(),
            note,
        };
        let key = version_key(id, version.version);
        self.store.put(&key, encode(&version), Expect::Any).await?;
        let pointer = Pointer {
            version: version.version,
            deleted,
        };
        self.store
            .put(&pointer_key(id), encode(&pointer), expect)
            .await?;
        self.load().await?;
        Ok(version)
    }
}

impl InForce {
    /// The key rules by which copies of `host` may have been stored.
    pub fn rules_of(&self, host: &str) -> &[KeyRules] {
        let service = self.set.find(host.as_bytes());
        let rules = service.and_then(|service| self.rules.get(&*service.id.0));
        rules.map_or(&[], Vec::as_slice)
    }

    /// The documents of nodes, of which it holds `held` (by name, with generations): those it lacks, and those to let go.
    pub fn documents_for(&self, held: &BTreeMap<String, u64>) -> Vec<NodeDocument> {
        let mut documents = Vec::new();
        for (id, current) in &self.services {
            let name = format!("{DOCUMENT}{id}");
            let generation = current.revision.0;
            if held.get(&name).is_none_or(|held| *held != generation) {
                documents.push(NodeDocument {
                    name,
                    generation,
                    body: Some(current.version.text.clone().into_bytes()),
                });
            }
        }
        for (name, generation) in held {
            let gone = name
                .strip_prefix(DOCUMENT)
                .is_some_and(|id| !self.services.contains_key(id));
            if gone {
                documents.push(NodeDocument {
                    name: name.clone(),
                    generation: generation + 1,
                    body: None,
                });
            }
        }
        documents
    }

    /// The same as generations: what a node holds once it has them.
    pub fn generations(&self) -> BTreeMap<String, u64> {
        let generation =
            |(id, current): (&String, &Current)| (format!("{DOCUMENT}{id}"), current.revision.0);
        self.services.iter().map(generation).collect()
    }
}

fn check(condition: Condition, current: Option<&Current>) -> Result<(), ChangeError> {
    let version = current.map(|current| current.version.version);
    let holds = match condition {
        Condition::None => true,
        Condition::Version(expected) => version == Some(expected),
        Condition::Absent => version.is_none(),
    };
    if holds {
        Ok(())
    } else {
        Err(ChangeError::Precondition { current: version })
    }
}

/// Reads services by name, all faults or the set.
fn judge(texts: &[(String, String)]) -> Result<ServiceSet, Vec<Fault>> {
    let texts: Vec<(PathBuf, String)> = texts
        .iter()
        .map(|(id, text)| (PathBuf::from(id), text.clone()))
        .collect();
    read_services(&texts).map_err(|faults| faults.0)
}

fn key_rules(service: &Service) -> Vec<KeyRules> {
    let policies = service.rules.iter().map(|rule| &rule.policy);
    let policies = policies.chain([&service.default]);
    policies.map(|policy| policy.key.clone()).collect()
}

fn pointer_key(id: &str) -> String {
    format!("{POINTER}{id}")
}

fn version_key(id: &str, version: u64) -> String {
    format!("{VERSION}{id}/{version}")
}

pub(crate) fn encode(value: &impl Serialize) -> Arc<[u8]> {
    // plain structures of strings and numbers: this cannot fail
    serde_json::to_vec(value).unwrap_or_default().into()
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(document: &Document) -> Result<T, StoreError> {
    let body = document.body.as_deref().unwrap_or_default();
    serde_json::from_slice(body)
        .map_err(|error| StoreError::Corrupt(format!("{}: {error}", document.key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use seawall_purge::Epoch;

    fn text(id: &str, host: &str) -> String {
        format!(
            "[service]\nid = \"{id}\"\nhosts = [\"{host}\"]\n[[service.origins]]\nurl = \"http://127.0.0.1:1\"\n"
        )
    }

    async fn services() -> (Arc<dyn Store>, Services) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let services = Services::open(store.clone()).await.unwrap();
        (store, services)
    }

    async fn put(
        services: &Services,
        text: String,
        condition: Condition,
    ) -> Result<u64, ChangeError> {
        let put = services.put("a", text, condition, "ci", 1, None).await;
        put.map(|version| version.version)
    }

    #[tokio::test]
    async fn a_service_is_changed_only_from_the_version_that_the_caller_saw() {
        let (store, services) = services().await;
        assert_eq!(
            put(&services, text("a", "h1"), Condition::Absent)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            put(&services, text("a", "h2"), Condition::Version(1))
                .await
                .unwrap(),
            2
        );
        let stale = put(&services, text("a", "h3"), Condition::Version(1)).await;
        assert!(matches!(
            stale,
            Err(ChangeError::Precondition { current: Some(2) })
        ));
        // the same again is the same version
        assert_eq!(
            put(&services, text("a", "h2"), Condition::None)
                .await
                .unwrap(),
            2
        );
        let again = Services::open(store).await.unwrap();
        assert_eq!(again.in_force().services["a"].version.version, 2);
        assert!(again.in_force().set.find(b"h2").is_some());
    }

    #[tokio::test]
    async fn a_faulty_service_or_one_that_takes_anothers_host_changes_nothing() {
        let (_, services) = services().await;
        put(&services, text("a", "h1"), Condition::None)
            .await
            .unwrap();
        for bad in ["", "[service]\nid = \"a\"\n", &text("b", "h9")] {
            assert!(put(&services, bad.into(), Condition::None).await.is_err());
        }
        let taken = services
            .put("b", text("b", "h1"), Condition::None, "ci", 1, None)
            .await;
        assert!(matches!(taken, Err(ChangeError::Faults(faults)) if faults.len() == 1));
        assert_eq!(services.in_force().services.len(), 1);
    }

    #[tokio::test]
    async fn a_rollback_is_a_new_version_and_a_deleted_service_keeps_its_history() {
        let (_, services) = services().await;
        put(&services, text("a", "h1"), Condition::None)
            .await
            .unwrap();
        put(&services, text("a", "h2"), Condition::None)
            .await
            .unwrap();
        let back = services
            .rollback("a", 1, Condition::None, "ci", 5)
            .await
            .unwrap();
        assert_eq!((back.version, back.text), (3, text("a", "h1")));
        services
            .delete("a", Condition::None, "ci", 6)
            .await
            .unwrap();
        assert!(services.in_force().services.is_empty());
        let history = services.history("a").await.unwrap();
        assert_eq!(history.len(), 4);
        assert_eq!(history[0].note.as_deref(), Some("deleted"));
        assert_eq!(
            put(&services, text("a", "h4"), Condition::Absent)
                .await
                .unwrap(),
            5
        );
        assert!(matches!(
            services.history("b").await,
            Err(ChangeError::Unknown(_))
        ));
    }

    #[tokio::test]
    async fn a_node_is_told_what_it_lacks_and_what_to_let_go() {
        let (_, services) = services().await;
        put(&services, text("a", "h1"), Condition::None)
            .await
            .unwrap();
        let first = services.in_force();
        let held = first.generations();
        assert_eq!(first.documents_for(&BTreeMap::new()).len(), 1);
        assert!(first.documents_for(&held).is_empty());
        services
            .delete("a", Condition::None, "ci", 2)
            .await
            .unwrap();
        let gone = services.in_force().documents_for(&held);
        assert!(gone.len() == 1 && gone[0].body.is_none());
    }

    #[tokio::test]
    async fn a_purged_url_is_read_by_the_key_rules_of_earlier_versions_too() {
        let (_, services) = services().await;
        let with = |query: &str| {
            text("a", "h1") + &format!("[service.default.key]\nonly = [\"{query}\"]\n")
        };
        put(&services, with("x"), Condition::None).await.unwrap();
        put(&services, with("y"), Condition::None).await.unwrap();
        assert_eq!(services.in_force().rules_of("h1").len(), 2);
        assert!(services.in_force().rules_of("h2").is_empty());
    }
}
