//! Services as immutable versions, and a pointer that is moved by compare-and-set.

mod fences;
mod in_force;
mod past;

pub use self::fences::Covered;
use self::fences::revalidates;
use self::past::Past;
use crate::store::{Document, Expect, Revision, Store, StoreError};
use arc_swap::ArcSwap;
use seawall_config::{Fault, read_services};
use seawall_service_model::ServiceSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

const POINTER: &str = "service/";
const VERSION: &str = "service-version/";
/// Services of a fleet.
pub const SERVICES_MAX: usize = 5000;
/// Services with a history, those deleted among them.
const SERVICES_KNOWN_MAX: usize = 2 * SERVICES_MAX;
/// Versions that are kept of a service. A purged URL is read by the key rules of all that are kept: whatever a rollback
/// may bring back was covered.
pub const HISTORY_MAX: usize = 100;
/// ... and at least, where there are many services: so many versions together are about as many as the store holds.
const HISTORY_MIN: usize = 16;
const VERSIONS_TOGETHER: usize = 20_000;

/// Which version is in force.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pointer {
    version: u64,
    #[serde(default)]
    deleted: bool,
    /// The revision since which every version has said `on_lease_loss = "revalidate"`, where it is an earlier one than
    /// this document's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fenced_since: Option<u64>,
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
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Maker::is_operator")]
    pub maker: Maker,
    /// What was done, where it was no plain change: "deleted", "rolled back to version 3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whose a version is: a start of `up` replaces its own, never an operator's. A token's name says nothing of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    #[default]
    Operator,
    /// The process itself at its start, from its command line.
    Start,
}

impl Maker {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
    fn is_operator(&self) -> bool {
        *self == Self::Operator
    }
}

/// Whether a version ends the service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deleted {
    No,
    Yes,
}

/// A version to be.
struct Next<'a> {
    text: String,
    by: &'a str,
    maker: Maker,
    now_ms: u64,
    note: Option<String>,
}

/// A service in force.
#[derive(Clone, Debug)]
pub struct Current {
    pub version: Arc<Version>,
    revision: Revision,
    /// The revision since which every version has said `on_lease_loss = "revalidate"`; `None`: it does not.
    fenced_since: Option<u64>,
}

/// Everything in force, judged together.
#[derive(Debug, Default)]
pub struct InForce {
    pub services: BTreeMap<String, Current>,
    pub set: ServiceSet,
    past: Past,
    /// The revisions of those that were deleted, by id.
    deleted: BTreeMap<String, u64>,
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
    /// `If-Match: *`.
    Present,
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
        for document in list.documents {
            let id = document.key[POINTER.len()..].to_owned();
            let pointer: Pointer = decode(&document)?;
            next.past.add_service(&id);
            let oldest = pointer.version.saturating_sub(HISTORY_MAX as u64) + 1;
            let mut last = None;
            let mut fenced = false;
            if oldest > 1 {
                next.past.lacks_some(&id);
            }
            for version in oldest..=pointer.version {
                last = self.version(&id, version).await?;
                // a version that this build cannot read any more has no rules that it could apply either
                if let Some(read) = &last
                    && let Ok(set) = judge([(&*id, &*read.text)])
                {
                    next.past.add(&id, version, &set);
                    fenced = revalidates(&set);
                } else {
                    next.past.lacks_some(&id);
                }
            }
            if pointer.deleted {
                next.deleted.insert(id, document.revision.0);
                continue;
            }
            let since = pointer.fenced_since.unwrap_or(document.revision.0);
            let version = Arc::new(last.ok_or_else(|| {
                StoreError::Corrupt(format!("service {id} lacks version {}", pointer.version))
            })?);
            let revision = document.revision;
            let current = Current {
                version,
                revision,
                fenced_since: fenced.then_some(since),
            };
            next.services.insert(id, current);
        }
        let texts = next.services.iter();
        next.set = judge(texts.map(|(id, c)| (&**id, &*c.version.text))).map_err(|faults| {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            StoreError::Corrupt(format!("the services in force have faults: {first}"))
        })?;
        next.past.index();
        self.enforce(next);
        Ok(())
    }

    /// Deletes versions that are older than those kept; they cost room only, so that an error waits for the next time.
    async fn forget_versions(&self, id: &str, last: u64) {
        let services = self.in_force().past.len().max(1);
        let kept = (VERSIONS_TOGETHER / services).clamp(HISTORY_MIN, HISTORY_MAX) as u64;
        if let Err(error) = self.delete_versions(id, last.saturating_sub(kept)).await {
            tracing::warn!(%error, service = id, "old versions could not be deleted");
        }
    }

    /// Deletes the versions up to `last`, the newest first: those before one that is not there were deleted before.
    async fn delete_versions(&self, id: &str, last: u64) -> Result<(), StoreError> {
        for version in (1..=last).rev() {
            match self
                .store
                .delete(&version_key(id, version), Expect::Any)
                .await
            {
                Ok(_) => {}
                Err(StoreError::Conflict { current: None }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The service to forget before `id` can have a history: the one that was deleted longest ago, where there is no
    /// room.
    pub async fn to_forget_for(&self, id: &str) -> Result<Option<String>, StoreError> {
        let in_force = self.in_force();
        if in_force.knows(id) || in_force.past.len() < SERVICES_KNOWN_MAX {
            return Ok(None);
        }
        // in the order of their revisions
        for document in self.store.list(POINTER).await?.documents {
            if decode::<Pointer>(&document)?.deleted {
                return Ok(Some(document.key[POINTER.len()..].to_owned()));
            }
        }
        Ok(None)
    }

    /// Forgets a deleted service and its history. Nothing happens where it is in force again.
    pub async fn forget(&self, id: &str) -> Result<(), StoreError> {
        let _one = self.changing.lock().await;
        let Some(document) = self.store.get(&pointer_key(id)).await? else {
            return Ok(());
        };
        let pointer: Pointer = decode(&document)?;
        if !pointer.deleted {
            return Ok(());
        }
        self.delete_versions(id, pointer.version).await?;
        let expect = Expect::At(document.revision);
        self.store.delete(&pointer_key(id), expect).await?;
        self.load().await
    }

    fn enforce(&self, next: InForce) {
        let revision = next.revision;
        self.in_force.store(Arc::new(next));
        self.changed.send_replace(revision);
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
        let next = Next {
            text,
            by,
            maker: Maker::Operator,
            now_ms,
            note,
        };
        self.put_next(id, next, condition).await
    }

    /// The same for the process itself at its start: a version that says so ([`Maker::Start`]).
    pub async fn put_at_start(
        &self,
        id: &str,
        text: String,
        by: &str,
        now_ms: u64,
    ) -> Result<Version, ChangeError> {
        let next = Next {
            text,
            by,
            maker: Maker::Start,
            now_ms,
            note: None,
        };
        self.put_next(id, next, Condition::None).await
    }

    async fn put_next(
        &self,
        id: &str,
        next: Next<'_>,
        condition: Condition,
    ) -> Result<Version, ChangeError> {
        let _one = self.changing.lock().await;
        let in_force = self.in_force();
        let current = in_force.services.get(id);
        check(condition, current)?;
        if let Some(current) =
            current.filter(|c| c.version.text == next.text && next.note.is_none())
        {
            return Ok((*current.version).clone());
        }
        if current.is_none() && in_force.services.len() >= SERVICES_MAX {
            return Err(ChangeError::TooMany);
        }
        let alone = judge([(id, &*next.text)]).map_err(ChangeError::Faults)?;
        if let Some(service) = alone.services().first()
            && &*service.id.0 != id
        {
            return Err(ChangeError::OtherId {
                asked: id.to_owned(),
                found: service.id.0.to_string(),
            });
        }
        let others = in_force.services.iter().filter(|(other, _)| *other != id);
        let others = others.map(|(id, current)| (&**id, &*current.version.text));
        let set = judge(others.chain([(id, &*next.text)])).map_err(ChangeError::Faults)?;
        let fenced = revalidates(&alone);
        let before = current.and_then(|current| current.fenced_since);
        let before = before.filter(|_| fenced);
        let wrote = self.write(id, next, Deleted::No, before).await;
        let (version, revision) = self.or_look(wrote).await?;
        let mut next = InForce {
            services: in_force.services.clone(),
            set,
            past: in_force.past.clone(),
            deleted: in_force.deleted.clone(),
            revision,
        };
        next.deleted.remove(id);
        next.past.add(id, version.version, &alone);
        next.past.index();
        let current = Current {
            version: Arc::new(version.clone()),
            revision,
            fenced_since: fenced.then(|| before.unwrap_or(revision.0)),
        };
        next.services.insert(id.to_owned(), current);
        self.enforce(next);
        self.forget_versions(id, version.version).await;
        Ok(version)
    }

    /// After an error of the store it is not known what it holds: what is in force here follows it.
    async fn or_look<T>(&self, wrote: Result<T, ChangeError>) -> Result<T, ChangeError> {
        if wrote.is_err()
            && let Err(error) = self.load().await
        {
            tracing::error!(%error, "the services cannot be read again after a change that failed");
        }
        wrote
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
        let others = in_force.services.iter().filter(|(other, _)| *other != id);
        let others = others.map(|(id, current)| (&**id, &*current.version.text));
        let set = judge(others).map_err(ChangeError::Faults)?;
        let alone = judge([(id, &*text)]).map_err(ChangeError::Faults)?;
        let next = Next {
            text,
            by,
            maker: Maker::Operator,
            now_ms,
            note,
        };
        let wrote = self.write(id, next, Deleted::Yes, None).await;
        let (version, revision) = self.or_look(wrote).await?;
        let mut next = InForce {
            services: in_force.services.clone(),
            set,
            past: in_force.past.clone(),
            deleted: in_force.deleted.clone(),
            revision,
        };
        next.deleted.insert(id.to_owned(), revision.0);
        next.services.remove(id);
        next.past.add(id, version.version, &alone);
        next.past.index();
        self.enforce(next);
        self.forget_versions(id, version.version).await;
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
            let Some(version) = self.version(id, version).await? else {
                break;
            };
            versions.push(version);
        }
        Ok(versions)
    }

    /// The version first, the pointer last: a version that no pointer reaches is not in force and is written again.
    async fn write(
        &self,
        id: &str,
        next: Next<'_>,
        deleted: Deleted,
        fenced_since: Option<u64>,
    ) -> Result<(Version, Revision), ChangeError> {
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
            text: next.text,
            created_ms: next.now_ms,
            by: next.by.to_owned(),
            maker: next.maker,
            note: next.note,
        };
        let key = version_key(id, version.version);
        self.store.put(&key, encode(&version), Expect::Any).await?;
        let pointer = Pointer {
            version: version.version,
            deleted: deleted == Deleted::Yes,
            fenced_since,
        };
        let revision = self
            .store
            .put(&pointer_key(id), encode(&pointer), expect)
            .await?;
        Ok((version, revision))
    }
}

fn check(condition: Condition, current: Option<&Current>) -> Result<(), ChangeError> {
    let version = current.map(|current| current.version.version);
    let holds = match condition {
        Condition::None => true,
        Condition::Version(expected) => version == Some(expected),
        Condition::Present => version.is_some(),
        Condition::Absent => version.is_none(),
    };
    if holds {
        Ok(())
    } else {
        Err(ChangeError::Precondition { current: version })
    }
}

/// Reads services by name, all faults or the set.
fn judge<'t>(
    texts: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<ServiceSet, Vec<Fault>> {
    let texts: Vec<(PathBuf, String)> = texts
        .into_iter()
        .map(|(id, text)| (PathBuf::from(id), text.to_owned()))
        .collect();
    read_services(&texts).map_err(|faults| faults.0)
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
mod tests;
