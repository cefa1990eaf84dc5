//! An engine that forgets everything when it ends: for tests, and the plainest statement of what an engine does.

use super::{
    Answer, Appended, DELETIONS_MAX, DOCUMENTS_MAX, Document, Documents, Entry, Expect, Head,
    IdempotencyKey, Record, Revision, Store, StoreError, Term, check_append, check_find, check_put,
};
use parking_lot::Mutex;
use seawall_purge::{Epoch, PurgeSeq};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::ready;
use std::sync::Arc;
use tokio::sync::watch;

/// Records that are kept; more are refused until the log is trimmed.
const RECORDS_MAX: usize = 1_000_000;

/// The engine.
#[derive(Debug)]
pub struct MemoryStore {
    log: Mutex<Log>,
    documents: Mutex<Shelf>,
    head: watch::Sender<PurgeSeq>,
    revision: watch::Sender<Revision>,
}

#[derive(Debug)]
struct Log {
    head: PurgeSeq,
    term: Term,
    records: VecDeque<Record>,
    /// The names of each record, and the records of each name.
    names: VecDeque<Vec<u64>>,
    named: BTreeSet<(u64, u64)>,
    /// What each kept append was given.
    keys: HashMap<IdempotencyKey, Appended>,
    /// The keys by the first record of their append, in order.
    kept: VecDeque<(u64, IdempotencyKey)>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// The document, or its deletion (no body).
    documents: BTreeMap<String, Document>,
    existing: usize,
    /// Deletions in order; one whose key came again is passed over.
    deletions: VecDeque<(Revision, String)>,
    revision: Revision,
    /// Deletions up to this one are forgotten.
    forgotten: Revision,
}

impl MemoryStore {
    /// An empty store whose log is in `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        let head = PurgeSeq::new(epoch, 0);
        Self {
            log: Mutex::new(Log::new(head)),
            documents: Mutex::default(),
            head: watch::Sender::new(head),
            revision: watch::Sender::default(),
        }
    }
}

impl Log {
    fn new(head: PurgeSeq) -> Self {
        Self {
            head,
            term: Term::default(),
            records: VecDeque::new(),
            names: VecDeque::new(),
            named: BTreeSet::new(),
            keys: HashMap::new(),
            kept: VecDeque::new(),
        }
    }

    fn first(&self) -> u64 {
        self.head.n + 1 - self.records.len() as u64
    }

    fn check_epoch(&self, epoch: Epoch) -> Result<(), StoreError> {
        let current = self.head.epoch;
        if epoch == current {
            Ok(())
        } else {
            Err(StoreError::OtherEpoch { current })
        }
    }

    fn append(
        &mut self,
        term: Term,
        appended_ms: u64,
        entries: Vec<Entry>,
        key: IdempotencyKey,
    ) -> Result<Appended, StoreError> {
        check_append(&entries)?;
        if let Some(before) = self.keys.get(&key) {
            return Ok(*before);
        }
        if self.records.len() + entries.len() > RECORDS_MAX {
            let (what, max) = ("number of records kept", RECORDS_MAX);
            return Err(StoreError::TooLarge { what, max });
        }
        let first = self.head.n + 1;
        for Entry { body, names } in entries {
            self.head.n += 1;
            self.named
                .extend(names.iter().map(|name| (*name, self.head.n)));
            self.names.push_back(names);
            self.records.push_back(Record {
                at: self.head,
                term,
                appended_ms,
                body,
            });
        }
        self.term = term;
        let appended = Appended {
            first: PurgeSeq::new(self.head.epoch, first),
            last: self.head,
        };
        self.keys.insert(key, appended);
        self.kept.push_back((first, key));
        Ok(appended)
    }

    fn read(&self, after: PurgeSeq, max: usize) -> Result<Vec<Record>, StoreError> {
        self.check_epoch(after.epoch)?;
        if after.n > self.head.n {
            return Err(StoreError::Beyond { head: self.head });
        }
        let first = self.first();
        let skip = (after.n + 1)
            .checked_sub(first)
            .ok_or(StoreError::Trimmed { first })?;
        let rest = self.records.iter().skip(skip as usize);
        Ok(rest.take(max).cloned().collect())
    }

    fn find(
        &self,
        names: &[u64],
        before: PurgeSeq,
        max: usize,
    ) -> Result<Vec<Appended>, StoreError> {
        check_find(names, max)?;
        self.check_epoch(before.epoch)?;
        let of = |name: &u64| self.named.range((*name, 0)..(*name, before.n));
        let records: BTreeSet<u64> = names.iter().flat_map(of).map(|(_, n)| *n).collect();
        let mut found: Vec<Appended> = Vec::new();
        for n in records.into_iter().rev() {
            if found.len() == max {
                break;
            }
            let at = self.kept.partition_point(|(first, _)| *first <= n);
            let append = at.checked_sub(1).and_then(|at| self.kept.get(at));
            let append = append.and_then(|(_, key)| self.keys.get(key)).copied();
            // an append that was cut by trimming is not kept
            let Some(append) = append.filter(|append| append.last.n >= n) else {
                continue;
            };
            if append.last.n < before.n && found.last() != Some(&append) {
                found.push(append);
            }
        }
        Ok(found)
    }

    fn trim(&mut self, first: PurgeSeq) -> Result<(), StoreError> {
        self.check_epoch(first.epoch)?;
        while self.records.front().is_some_and(|r| r.at.n < first.n) {
            let record = self.records.pop_front();
            let names = self.names.pop_front();
            for name in names.into_iter().flatten() {
                let n = record.as_ref().map_or(0, |record| record.at.n);
                self.named.remove(&(name, n));
            }
        }
        let oldest = self.first();
        while let Some(&(at, key)) = self.kept.front()
            && at < oldest
        {
            self.keys.remove(&key);
            self.kept.pop_front();
        }
        Ok(())
    }
}

impl Shelf {
    /// Judges `expect`; gives the revision of the document that exists.
    fn check(&self, key: &str, expect: Expect) -> Result<Option<Revision>, StoreError> {
        let exists = self.documents.get(key).filter(|d| d.body.is_some());
        let current = exists.map(|d| d.revision);
        let met = match expect {
            Expect::Any => true,
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current == Some(revision),
        };
        met.then_some(current)
            .ok_or(StoreError::Conflict { current })
    }

    fn set(&mut self, key: &str, body: Option<Arc<[u8]>>) -> Revision {
        self.revision.0 += 1;
        let document = Document {
            key: key.to_owned(),
            revision: self.revision,
            body,
        };
        self.documents.insert(key.to_owned(), document);
        self.revision
    }

    fn put(&mut self, key: &str, body: Arc<[u8]>, expect: Expect) -> Result<Revision, StoreError> {
        check_put(key, &body)?;
        if self.check(key, expect)?.is_none() {
            if self.existing == DOCUMENTS_MAX {
                let (what, max) = ("number of documents", DOCUMENTS_MAX);
                return Err(StoreError::TooLarge { what, max });
            }
            self.existing += 1;
        }
        Ok(self.set(key, Some(body)))
    }

    fn delete(&mut self, key: &str, expect: Expect) -> Result<Revision, StoreError> {
        if self.check(key, expect)?.is_none() {
            return Err(StoreError::Conflict { current: None });
        }
        self.existing -= 1;
        let revision = self.set(key, None);
        self.deletions.push_back((revision, key.to_owned()));
        if self.deletions.len() > DELETIONS_MAX
            && let Some((revision, key)) = self.deletions.pop_front()
        {
            // a later change of the key stands in its place already, and is not forgotten
            if self
                .documents
                .get(&key)
                .is_some_and(|d| d.revision == revision)
            {
                self.documents.remove(&key);
                self.forgotten = revision;
            }
        }
        Ok(revision)
    }

    fn select(&self, prefix: &str, wanted: impl Fn(&Document) -> bool) -> Documents {
        let from = self.documents.range(prefix.to_owned()..);
        let mut documents: Vec<Document> = from
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, document)| document)
            .filter(|document| wanted(document))
            .cloned()
            .collect();
        documents.sort_unstable_by_key(|d| d.revision);
        Documents {
            documents,
            revision: self.revision,
        }
    }
}

fn at_once<'a, T: Send + 'a>(result: Result<T, StoreError>) -> Answer<'a, T> {
    Box::pin(ready(result))
}

impl Store for MemoryStore {
    fn head(&self) -> Answer<'_, Head> {
        let log = self.log.lock();
        at_once(Ok(Head {
            at: log.head,
            term: log.term,
            first: log.first(),
        }))
    }

    fn append(
        &self,
        term: Term,
        appended_ms: u64,
        entries: Vec<Entry>,
        key: IdempotencyKey,
    ) -> Answer<'_, Appended> {
        let mut log = self.log.lock();
        let result = log.append(term, appended_ms, entries, key);
        // under the lock: heads are announced in their order
        self.head.send_replace(log.head);
        at_once(result)
    }

    fn read(&self, after: PurgeSeq, max: usize) -> Answer<'_, Vec<Record>> {
        at_once(self.log.lock().read(after, max))
    }

    fn find(&self, names: Vec<u64>, before: PurgeSeq, max: usize) -> Answer<'_, Vec<Appended>> {
        at_once(self.log.lock().find(&names, before, max))
    }

    fn moved(&self, seen: PurgeSeq) -> Answer<'_, ()> {
        let mut head = self.head.subscribe();
        Box::pin(async move {
            let moved = head.wait_for(|head| *head != seen).await;
            moved.map(|_| ()).map_err(|_| StoreError::Unavailable)
        })
    }

    fn trim(&self, first: PurgeSeq) -> Answer<'_, ()> {
        at_once(self.log.lock().trim(first))
    }

    fn start_epoch(&self, current: Epoch, fresh: Epoch) -> Answer<'_, ()> {
        let mut log = self.log.lock();
        if log.head.epoch != current || fresh == current {
            let current = log.head.epoch;
            return at_once(Err(StoreError::OtherEpoch { current }));
        }
        *log = Log::new(PurgeSeq::new(fresh, 0));
        self.head.send_replace(log.head);
        at_once(Ok(()))
    }

    fn get(&self, key: &str) -> Answer<'_, Option<Document>> {
        let shelf = self.documents.lock();
        let found = shelf.documents.get(key).filter(|d| d.body.is_some());
        at_once(Ok(found.cloned()))
    }

    fn list(&self, prefix: &str) -> Answer<'_, Documents> {
        let shelf = self.documents.lock();
        at_once(Ok(shelf.select(prefix, |d| d.body.is_some())))
    }

    fn put(&self, key: &str, body: Arc<[u8]>, expect: Expect) -> Answer<'_, Revision> {
        let mut shelf = self.documents.lock();
        let result = shelf.put(key, body, expect);
        self.revision.send_replace(shelf.revision);
        at_once(result)
    }

    fn delete(&self, key: &str, expect: Expect) -> Answer<'_, Revision> {
        let mut shelf = self.documents.lock();
        let result = shelf.delete(key, expect);
        self.revision.send_replace(shelf.revision);
        at_once(result)
    }

    fn changes(&self, prefix: &str, since: Revision) -> Answer<'_, Documents> {
        let shelf = self.documents.lock();
        if since < shelf.forgotten {
            let since = shelf.forgotten;
            return at_once(Err(StoreError::Forgotten { since }));
        }
        at_once(Ok(shelf.select(prefix, |d| d.revision > since)))
    }

    fn changed(&self, since: Revision) -> Answer<'_, ()> {
        let mut revision = self.revision.subscribe();
        Box::pin(async move {
            let changed = revision.wait_for(|revision| *revision > since).await;
            changed.map(|_| ()).map_err(|_| StoreError::Unavailable)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    super::super::suite::suite!(|epoch| Arc::new(MemoryStore::new(epoch)));

    #[tokio::test]
    async fn a_cursor_older_than_the_deletions_that_are_kept_has_to_list_anew() {
        let store = MemoryStore::new(Epoch(1));
        for i in 0..=DELETIONS_MAX {
            let key = format!("k{i}");
            store.put(&key, [].into(), Expect::Any).await.unwrap();
            store.delete(&key, Expect::Any).await.unwrap();
        }
        let forgotten = StoreError::Forgotten { since: Revision(2) };
        assert_eq!(store.changes("", Revision(1)).await, Err(forgotten));
        let kept = store.changes("", Revision(2)).await.unwrap();
        assert_eq!(kept.documents.len(), DELETIONS_MAX);
    }
}
