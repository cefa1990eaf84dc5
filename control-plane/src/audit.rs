//! Who changed what, and when: every change that an operator asks for, purges aside, which the log itself tells.
//!
//! An entry is durable before its change is begun, so that no change is without one; what became of it is added after. An
//! entry that lacks this was cut by the end of the process, and its change was done or not. The last [`ENTRIES_MAX`] are
//! kept: each takes the place of the one so many before it.

use crate::record::By;
use crate::services::{decode, encode};
use crate::store::{Expect, Store, StoreError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

const PREFIX: &str = "audit/";
/// Entries that are kept.
pub const ENTRIES_MAX: usize = 10_000;
/// Characters of what an entry names, and of a reason.
const CHARS_MAX: usize = 200;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Service,
    Node,
    Token,
    Key,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Service, Self::Node, Self::Token, Self::Key];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Node => "node",
            Self::Token => "token",
            Self::Key => "key",
        }
    }
}

/// A change as it is asked for.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: Kind,
    /// A word: `put`, `remove`.
    pub action: &'static str,
    /// The id of what is changed, or the name that is asked for.
    pub target: String,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts all entries there ever were, from 1.
    pub seq: u64,
    pub at_ms: u64,
    pub kind: Kind,
    pub action: String,
    pub target: String,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With what it came to: a version, an id.
    Done(String),
    /// And why. Nothing was changed, as far as the reason says.
    Refused(String),
}

/// The entries.
pub struct Audit {
    store: Arc<dyn Store>,
    /// In their order, the last at the end.
    entries: Mutex<VecDeque<Entry>>,
    /// The number of the next entry: one is written at a time.
    next: tokio::sync::Mutex<u64>,
}

impl Audit {
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut entries: Vec<Entry> = Vec::new();
        for document in store.list(PREFIX).await?.documents {
            entries.push(decode(&document)?);
        }
        entries.sort_unstable_by_key(|entry| entry.seq);
        let next = entries.last().map_or(1, |entry| entry.seq + 1);
        Ok(Self {
            store,
            entries: Mutex::new(entries.into()),
            next: tokio::sync::Mutex::new(next),
        })
    }

    /// Has `change` run, between an entry that says who asked for it and what became of it: `came_to` says that of one
    /// that was done. Where the entry cannot be written, nothing is done.
    pub async fn entered<T, E>(
        &self,
        by: &By,
        what: Change,
        now_ms: u64,
        change: impl Future<Output = Result<T, E>>,
        came_to: impl FnOnce(&T) -> String,
    ) -> Result<T, E>
    where
        E: From<StoreError> + ToString,
    {
        let mut entry = self.begin(by, what, now_ms).await?;
        let done = change.await;
        entry.outcome = Some(match &done {
            Ok(done) => Outcome::Done(short(&came_to(done))),
            Err(error) => Outcome::Refused(short(&error.to_string())),
        });
        let is_kept = {
            let mut entries = self.entries.lock();
            let at = entries.binary_search_by_key(&entry.seq, |entry| entry.seq);
            at.map(|at| entries[at] = entry.clone()).is_ok()
        };
        // where it is not, its place is another one's by now
        if is_kept && let Err(error) = self.put(&entry).await {
            tracing::warn!(%error, seq = entry.seq, "what became of a change could not be kept");
        }
        done
    }

    async fn begin(&self, by: &By, what: Change, now_ms: u64) -> Result<Entry, StoreError> {
        let mut next = self.next.lock().await;
        let entry = Entry {
            seq: *next,
            at_ms: now_ms,
            kind: what.kind,
            action: what.action.to_owned(),
            target: short(&what.target),
            by: by.name.clone(),
            by_token: by.token.clone(),
            outcome: None,
        };
        // used up also where it is not known whether it was written
        *next += 1;
        self.put(&entry).await?;
        let mut entries = self.entries.lock();
        entries.push_back(entry.clone());
        if entries.len() > ENTRIES_MAX {
            entries.pop_front();
        }
        Ok(entry)
    }

    async fn put(&self, entry: &Entry) -> Result<(), StoreError> {
        let key = format!("{PREFIX}{:04}", entry.seq % ENTRIES_MAX as u64);
        self.store.put(&key, encode(entry), Expect::Any).await?;
        Ok(())
    }

    /// The last entries before the one numbered `before` that are `wanted`, latest first, at most `max`.
    pub fn before(&self, before: u64, max: usize, wanted: impl Fn(Kind) -> bool) -> Vec<Entry> {
        let entries = self.entries.lock();
        let end = entries.partition_point(|entry| entry.seq < before);
        let older = entries.range(..end).rev();
        let wanted = older.filter(|entry| wanted(entry.kind));
        wanted.take(max).cloned().collect()
    }
}

/// One line of bounded length.
fn short(text: &str) -> String {
    let chars = text.chars().take(CHARS_MAX);
    chars
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use seawall_purge::Epoch;
    use std::future::ready;

    async fn enter(audit: &Audit, target: &str, done: Result<u8, StoreError>) {
        let what = Change {
            kind: Kind::Service,
            action: "put",
            target: target.into(),
        };
        let by = By::named("ci");
        let entered = audit.entered(&by, what, 7, ready(done.clone()), u8::to_string);
        assert_eq!(entered.await, done);
    }

    fn all(audit: &Audit) -> Vec<Entry> {
        audit.before(u64::MAX, ENTRIES_MAX, |_| true)
    }

    #[tokio::test]
    async fn entries_are_told_latest_first_with_what_became_of_them_also_after_a_restart() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let audit = Audit::open(store.clone()).await.unwrap();
        enter(&audit, "a", Ok(3)).await;
        enter(&audit, "b\nb", Err(StoreError::Empty)).await;
        let what = Change {
            kind: Kind::Node,
            action: "remove",
            target: "c".into(),
        };
        // the process ends in the middle of it
        audit.begin(&By::named("ci"), what, 8).await.unwrap();
        for audit in [audit, Audit::open(store.clone()).await.unwrap()] {
            let told = all(&audit);
            let of: Vec<_> = told
                .iter()
                .map(|e| (e.seq, e.target.as_str(), &e.outcome))
                .collect();
            let refused = Outcome::Refused(StoreError::Empty.to_string());
            assert_eq!(
                of,
                [
                    (3, "c", &None),
                    (2, "b b", &Some(refused)),
                    (1, "a", &Some(Outcome::Done("3".into())))
                ]
            );
            let page = audit.before(3, 1, |_| true);
            assert_eq!(page[0].seq, 2);
            assert!(
                audit
                    .before(u64::MAX, 9, |kind| kind == Kind::Token)
                    .is_empty()
            );
        }
    }

    #[tokio::test]
    async fn the_last_entries_are_kept_and_their_numbers_go_on() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let audit = Audit::open(store.clone()).await.unwrap();
        for _ in 0..ENTRIES_MAX + 5 {
            enter(&audit, "a", Ok(0)).await;
        }
        for audit in [audit, Audit::open(store).await.unwrap()] {
            let told = all(&audit);
            assert_eq!(told.len(), ENTRIES_MAX);
            assert_eq!(
                (told[0].seq, told[ENTRIES_MAX - 1].seq),
                (ENTRIES_MAX as u64 + 5, 6)
            );
        }
    }

    #[tokio::test]
    async fn a_change_that_outlasts_its_entry_takes_the_place_of_no_other() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let audit = Audit::open(store.clone()).await.unwrap();
        let what = Change {
            kind: Kind::Node,
            action: "remove",
            target: "slow".into(),
        };
        let others = async {
            for _ in 0..ENTRIES_MAX {
                enter(&audit, "a", Ok(0)).await;
            }
            Ok::<_, StoreError>(())
        };
        let by = By::named("ci");
        let slow = audit.entered(&by, what, 1, others, |()| String::new());
        slow.await.unwrap();
        for audit in [&audit, &Audit::open(store).await.unwrap()] {
            let told = all(audit);
            assert!(told.iter().all(|entry| entry.target == "a"));
            assert!(
                told.iter()
                    .map(|e| e.seq)
                    .eq((2..=ENTRIES_MAX as u64 + 1).rev())
            );
        }
    }

    #[tokio::test]
    async fn nothing_is_changed_where_its_entry_cannot_be_written() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let audit = Audit::open(store.clone()).await.unwrap();
        // no room for one more
        for i in 0..crate::store::DOCUMENTS_MAX {
            store
                .put(&format!("{i}"), [].into(), Expect::Any)
                .await
                .unwrap();
        }
        let what = Change {
            kind: Kind::Key,
            action: "rotate",
            target: String::new(),
        };
        let mut begun = false;
        let change = async {
            begun = true;
            Ok::<_, StoreError>(())
        };
        let done = audit
            .entered(&By::named("ci"), what, 1, change, |()| String::new())
            .await;
        assert!(done.is_err());
        assert!(!begun);
    }
}
