//! An engine that is watched: the first damage that it tells of while it runs is noted, whoever asked.

use super::{
    Answer, Appended, Document, Documents, Entry, Expect, Head, IdempotencyKey, Record, Revision,
    Store, StoreError, Term,
};
use seawall_purge::{Epoch, PurgeSeq};
use std::sync::{Arc, OnceLock};

/// What was found damaged first, if anything was. It stays so until the store is opened again.
#[derive(Clone, Debug, Default)]
pub struct Damage(Arc<OnceLock<String>>);

impl Damage {
    /// Notes it if it is damage.
    pub fn note(&self, error: &StoreError) {
        if let StoreError::Corrupt(reason) = error
            && self.0.set(reason.clone()).is_ok()
        {
            tracing::error!(reason, "the store is damaged: restore a backup");
        }
    }

    /// One line.
    pub fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// The engine with its watch.
pub struct Watched {
    store: Arc<dyn Store>,
    damage: Damage,
}

impl Watched {
    pub fn new(store: Arc<dyn Store>, damage: Damage) -> Self {
        Self { store, damage }
    }

    fn watch<'a, T: 'a>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            let answer = answer.await;
            if let Err(error) = &answer {
                self.damage.note(error);
            }
            answer
        })
    }
}

impl Store for Watched {
    fn head(&self) -> Answer<'_, Head> {
        self.watch(self.store.head())
    }

    fn append(
        &self,
        term: Term,
        appended_ms: u64,
        entries: Vec<Entry>,
        key: IdempotencyKey,
    ) -> Answer<'_, Appended> {
        self.watch(self.store.append(term, appended_ms, entries, key))
    }

    fn read(&self, after: PurgeSeq, max: usize) -> Answer<'_, Vec<Record>> {
        self.watch(self.store.read(after, max))
    }

    fn find(&self, names: Vec<u64>, before: PurgeSeq, max: usize) -> Answer<'_, Vec<Appended>> {
        self.watch(self.store.find(names, before, max))
    }

    fn moved(&self, seen: PurgeSeq) -> Answer<'_, ()> {
        self.watch(self.store.moved(seen))
    }

    fn trim(&self, first: PurgeSeq) -> Answer<'_, ()> {
        self.watch(self.store.trim(first))
    }

    fn start_epoch(&self, current: Epoch, fresh: Epoch) -> Answer<'_, ()> {
        self.watch(self.store.start_epoch(current, fresh))
    }

    fn get(&self, key: &str) -> Answer<'_, Option<Document>> {
        self.watch(self.store.get(key))
    }

    fn list(&self, prefix: &str) -> Answer<'_, Documents> {
        self.watch(self.store.list(prefix))
    }

    fn put(&self, key: &str, body: Arc<[u8]>, expect: Expect) -> Answer<'_, Revision> {
        self.watch(self.store.put(key, body, expect))
    }

    fn delete(&self, key: &str, expect: Expect) -> Answer<'_, Revision> {
        self.watch(self.store.delete(key, expect))
    }

    fn changes(&self, prefix: &str, since: Revision) -> Answer<'_, Documents> {
        self.watch(self.store.changes(prefix, since))
    }

    fn changed(&self, since: Revision) -> Answer<'_, ()> {
        self.watch(self.store.changed(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn the_first_damage_is_kept_and_other_errors_are_none() {
        let damage = Damage::default();
        damage.note(&StoreError::Unavailable);
        assert_eq!(damage.reason(), None);
        for reason in ["a page", "another page"] {
            damage.note(&StoreError::Corrupt(reason.into()));
            assert_eq!(damage.reason(), Some("a page"));
        }
    }

    super::super::suite::suite!(|epoch| Arc::new(Watched::new(
        Arc::new(MemoryStore::new(epoch)),
        Damage::default(),
    )));
}
