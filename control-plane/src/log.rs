//! The purge log as the fleet sees it: one writer with a term of its own, epochs, and what nodes are told.

use crate::record::PurgeRecord;
use crate::store::{
    APPEND_RECORDS_MAX, Entry, Expect, Head, IdempotencyKey, Record, Store, StoreError, Term,
};
use crate::window::Window;
use parking_lot::Mutex;
use seawall_control_protocol::purges::EncodedPurge;
use seawall_purge::lineage::{Held, Log, Reception, TermStart, receive};
use seawall_purge::{Epoch, PurgeSeq};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::RwLock;

/// Where the starts of writers are kept.
const TERMS: &str = "log/terms";
/// What is kept of the log: as many records as a node's table can tell apart.
const KEEPING: Keeping = Keeping {
    records: 1_000_000,
    every: 1024,
    slack: 10_000,
};
/// Records that are let go at a time: each has up to a thousand names, and appends wait meanwhile.
const TRIM_STEP: u64 = 256;
/// Starts of writers that are remembered; more, and an epoch begins.
const STARTS_MAX: usize = 10_000;

/// Who wrote which part of the log of one epoch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Terms {
    epoch: u64,
    /// First position, term.
    starts: Vec<(u64, u64)>,
}

/// How much of the log is kept.
#[derive(Clone, Copy, Debug)]
struct Keeping {
    records: u64,
    /// Whether it is to be trimmed is looked at once in so many records.
    every: u64,
    /// It is trimmed when it is this much longer.
    slack: u64,
}

/// The log.
pub struct PurgeLog {
    store: Arc<dyn Store>,
    term: Term,
    keeping: Keeping,
    terms: Mutex<Terms>,
    /// Written while an epoch begins: what is appended then must find its writer noted.
    lineage: RwLock<()>,
    window: Window,
}

/// What one purge was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub first: PurgeSeq,
    pub last: PurgeSeq,
    /// When its first record was appended: a retry has its first time.
    pub appended_ms: u64,
    /// It was there before this append was asked for.
    pub again: bool,
}

impl PurgeLog {
    /// Opens the log for this writer. A log whose writers are not all known begins a new epoch.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        Self::open_keeping(store, KEEPING).await
    }

    async fn open_keeping(store: Arc<dyn Store>, keeping: Keeping) -> Result<Self, StoreError> {
        let term = Term(random()?);
        let mut head = store.head().await?;
        let terms = match store.get(TERMS).await? {
            Some(document) => {
                let body = document.body.unwrap_or_default();
                serde_json::from_slice(&body)
                    .map_err(|error| StoreError::Corrupt(format!("{TERMS}: {error}")))?
            }
            None => Terms::default(),
        };
        let log = Self {
            store,
            term,
            keeping,
            terms: Mutex::new(terms),
            lineage: RwLock::default(),
            window: Window::default(),
        };
        let known = {
            // a restored log has an epoch that no node has seen, and its records are still those of these writers
            let terms = log.terms.lock();
            let complete = terms.starts.first().is_some_and(|(first, _)| *first <= 1)
                && terms.starts.len() < STARTS_MAX;
            complete || head.at.n == 0
        };
        if !known {
            log.store
                .start_epoch(head.at.epoch, Epoch(random()?))
                .await?;
            head = log.store.head().await?;
        }
        log.begin(head).await?;
        Ok(log)
    }

    /// Notes, durably and before anything is appended, that what follows `head` is of this writer's term.
    async fn begin(&self, head: Head) -> Result<(), StoreError> {
        let terms = {
            let mut terms = self.terms.lock();
            terms.epoch = head.at.epoch.0;
            // a writer that wrote nothing leaves no trace, nor does one of an earlier epoch
            terms.starts.retain(|(first, _)| *first <= head.at.n);
            terms.starts.push((head.at.n + 1, self.term.0));
            terms.clone()
        };
        let body = serde_json::to_vec(&terms).unwrap_or_default();
        self.store.put(TERMS, body.into(), Expect::Any).await?;
        Ok(())
    }

    pub async fn head(&self) -> Result<Head, StoreError> {
        self.store.head().await
    }

    /// How a node is received. A rollback that its position shows has started a new epoch when this returns.
    pub async fn receive(
        &self,
        held: &Held,
        removed: bool,
    ) -> Result<(Reception, Head), StoreError> {
        let (reception, head) = {
            let _lineage = self.lineage.read().await;
            let head = self.store.head().await?;
            let terms = self.terms.lock();
            let start = |&(first, term): &(u64, u64)| TermStart { first, term };
            let starts: Vec<TermStart> = terms.starts.iter().map(start).collect();
            let log = Log {
                head: head.at,
                first: head.first,
                terms: &starts,
            };
            (receive(held, removed, log), head)
        };
        if reception != Reception::RolledBack {
            return Ok((reception, head));
        }
        let head = self.roll_on(head.at, "purges", held).await?;
        Ok((Reception::StartEmpty, head))
    }

    /// A node has seen what this store does not hold, `what`: begins an epoch in place of the one of `head`.
    pub async fn roll_on(
        &self,
        head: PurgeSeq,
        what: &'static str,
        held: &Held,
    ) -> Result<Head, StoreError> {
        let _lineage = self.lineage.write().await;
        let now = self.store.head().await?;
        if now.at.epoch != head.epoch {
            // another one has noticed it too
            return Ok(now);
        }
        tracing::error!(
            held = %held.at, head = %now.at, what,
            "a node has seen what this store does not hold: it was rolled back; a new epoch begins"
        );
        self.store.start_epoch(head.epoch, Epoch(random()?)).await?;
        let head = self.store.head().await?;
        self.begin(head).await?;
        Ok(head)
    }

    /// Appends one purge. The same key again gives the same positions, and an error where it was another purge.
    pub async fn append(
        &self,
        records: &[PurgeRecord],
        key: IdempotencyKey,
        now_ms: u64,
    ) -> Result<Appended, AppendError> {
        let entries: Vec<Entry> = records.iter().map(PurgeRecord::entry).collect();
        let _lineage = self.lineage.read().await;
        let head = self.store.head().await?.at;
        let given = self.store.append(self.term, now_ms, entries, key).await?;
        let before = PurgeSeq::new(given.first.epoch, given.first.n - 1);
        let count = (given.last.n - given.first.n + 1) as usize;
        if count != records.len() {
            return Err(AppendError::OtherPurge);
        }
        let written = self.store.read(before, count).await?;
        // whoever asked before may have had another token: that is not another purge
        let same = written.iter().zip(records).all(|(written, asked)| {
            PurgeRecord::decode(written)
                .is_ok_and(|written| written.named == asked.named && written.soft == asked.soft)
        });
        if !same {
            return Err(AppendError::OtherPurge);
        }
        let again = given.last.epoch == head.epoch && given.last.n <= head.n;
        // an append of several records may pass over the multiple
        let every = self.keeping.every;
        if !again && (given.first.n - 1) / every < given.last.n / every {
            // the purge is in the log whatever becomes of the trimming
            if let Err(error) = self.trim().await {
                tracing::warn!(%error, "the log of purges could not be trimmed");
            }
        }
        Ok(Appended {
            first: given.first,
            last: given.last,
            appended_ms: written.first().map_or(now_ms, |record| record.appended_ms),
            again,
        })
    }

    async fn trim(&self) -> Result<(), StoreError> {
        let head = self.store.head().await?;
        let first = head.at.n.saturating_sub(self.keeping.records) + 1;
        if first > head.first + self.keeping.slack {
            let mut to = head.first;
            while to < first {
                to = first.min(to + TRIM_STEP);
                self.store.trim(PurgeSeq::new(head.at.epoch, to)).await?;
            }
        }
        Ok(())
    }

    /// Ready once the head is another than `seen`. Cancel-safe.
    pub async fn moved(&self, seen: PurgeSeq) -> Result<(), StoreError> {
        self.store.moved(seen).await
    }

    /// At most `max` records after a position.
    pub async fn read(&self, after: PurgeSeq, max: usize) -> Result<Vec<Record>, StoreError> {
        self.store.read(after, max.min(APPEND_RECORDS_MAX)).await
    }

    /// The last purges before a position that name one of these scopes, latest first, at most `max` of them.
    pub async fn find(
        &self,
        scopes: Vec<u64>,
        before: PurgeSeq,
        max: usize,
    ) -> Result<Vec<crate::store::Appended>, StoreError> {
        self.store.find(scopes, before, max).await
    }

    /// At most `max` purges after a position, as nodes are told them; each is read and encoded once for all nodes.
    pub async fn purges(
        &self,
        after: PurgeSeq,
        max: usize,
    ) -> Result<Vec<EncodedPurge>, StoreError> {
        self.window.read(self.store.as_ref(), after, max).await
    }
}

/// Why a purge was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the idempotency key was used for another purge")]
    OtherPurge,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Never 0, which stands for "none".
pub(crate) fn random() -> Result<u64, StoreError> {
    let number = getrandom::u64().map_err(|_| StoreError::Unavailable)?;
    Ok(number.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{By, Item, Kind, pack};
    use crate::store::MemoryStore;
    use seawall_control_protocol::purges::{decode_batch, encode_batch};
    use seawall_purge::ScopeId;

    fn records(tag: &str) -> Vec<PurgeRecord> {
        let item = Item {
            kind: Kind::Tag,
            text: tag.into(),
            scopes: vec![ScopeId(1)],
        };
        pack(vec![item], Some("shop"), false, &By::named("ci"))
    }

    async fn append(log: &PurgeLog, tag: &str, key: u128) -> Result<Appended, AppendError> {
        log.append(&records(tag), IdempotencyKey(key), 1).await
    }

    async fn held(log: &PurgeLog) -> Held {
        let head = log.head().await.unwrap();
        Held {
            at: head.at,
            term: head.term.0,
        }
    }

    #[tokio::test]
    async fn a_retry_is_the_same_purge_and_another_purge_under_its_key_is_refused() {
        let store = Arc::new(MemoryStore::new(Epoch(5)));
        let log = PurgeLog::open(store).await.unwrap();
        let first = append(&log, "a", 1).await.unwrap();
        let again = append(&log, "a", 1).await.unwrap();
        assert_eq!((again.first, again.last), (first.first, first.last));
        assert!(again.again && !first.again);
        assert_eq!(again.appended_ms, first.appended_ms);
        let other = append(&log, "b", 1).await;
        assert!(matches!(other, Err(AppendError::OtherPurge)));
        assert_eq!(log.head().await.unwrap().at, first.last);
    }

    #[tokio::test]
    async fn a_purge_is_found_by_each_of_its_scopes_and_by_no_other() {
        let store = Arc::new(MemoryStore::new(Epoch(5)));
        let log = PurgeLog::open(store).await.unwrap();
        let item = |scopes: &[u64]| Item {
            kind: Kind::Url,
            text: "http://a/".into(),
            scopes: scopes.iter().copied().map(ScopeId).collect(),
        };
        // one of them is named twice
        let items = vec![item(&[7, 3, u64::MAX]), item(&[9, 7])];
        let records = pack(items, None, false, &By::named("ci"));
        let given = log.append(&records, IdempotencyKey(1), 1).await.unwrap();
        let end = PurgeSeq::new(Epoch(5), 2);
        for (scope, count) in [(7, 1), (3, 1), (u64::MAX, 1), (9, 1), (0, 0), (8, 0)] {
            let found = log.find(vec![scope], end, 9).await.unwrap();
            assert_eq!(found.len(), count, "{scope}");
            assert!(found.iter().all(|found| found.last == given.last));
        }
    }

    #[tokio::test]
    async fn a_node_goes_on_over_restarts_of_the_writer() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(5)));
        let log = PurgeLog::open(store.clone()).await.unwrap();
        append(&log, "a", 1).await.unwrap();
        let node = held(&log).await;
        // one that writes nothing, one that does
        PurgeLog::open(store.clone()).await.unwrap();
        let log = PurgeLog::open(store).await.unwrap();
        append(&log, "b", 2).await.unwrap();
        let (reception, _) = log.receive(&node, false).await.unwrap();
        assert_eq!(reception, Reception::Continue);
        let (reception, _) = log.receive(&held(&log).await, false).await.unwrap();
        assert_eq!(reception, Reception::Continue);
        let told = log.purges(node.at, 10).await.unwrap();
        assert_eq!(told.len(), 1);
    }

    #[tokio::test]
    async fn a_log_that_was_rolled_back_and_written_again_begins_an_epoch() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(5)));
        let log = PurgeLog::open(store).await.unwrap();
        append(&log, "a", 1).await.unwrap();
        append(&log, "b", 2).await.unwrap();
        let mut node = held(&log).await;
        // the same position by another writer
        node.term ^= 1;
        let (reception, head) = log.receive(&node, false).await.unwrap();
        assert_eq!(reception, Reception::StartEmpty);
        assert_ne!(head.at.epoch, Epoch(5));
        assert_eq!(head.at.n, 0);
        // what is appended from now on is of the new epoch, and the others are received into it
        let given = append(&log, "c", 3).await.unwrap();
        assert_eq!(given.last, PurgeSeq::new(head.at.epoch, 1));
        let (reception, _) = log.receive(&held(&log).await, false).await.unwrap();
        assert_eq!(reception, Reception::Continue);
    }

    #[tokio::test]
    async fn a_new_epoch_has_no_writers_of_the_one_before() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(5)));
        for key in 1..=2 {
            let log = PurgeLog::open(store.clone()).await.unwrap();
            append(&log, "a", key).await.unwrap();
        }
        let log = PurgeLog::open(store).await.unwrap();
        let mut node = held(&log).await;
        node.term ^= 1;
        log.receive(&node, false).await.unwrap();
        // the positions of earlier writers come again, and are this one's
        for key in 3..=4 {
            append(&log, "b", key).await.unwrap();
            let (reception, _) = log.receive(&held(&log).await, false).await.unwrap();
            assert_eq!(reception, Reception::Continue, "{key}");
        }
    }

    #[tokio::test]
    async fn a_log_whose_writers_are_unknown_begins_an_epoch() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(5)));
        let log = PurgeLog::open(store.clone()).await.unwrap();
        append(&log, "a", 1).await.unwrap();
        store.delete(TERMS, Expect::Any).await.unwrap();
        let log = PurgeLog::open(store).await.unwrap();
        assert_ne!(log.head().await.unwrap().at.epoch, Epoch(5));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_that_is_trimmed_while_it_is_written_has_what_it_keeps_and_tells_who_is_behind() {
        const WRITERS: u128 = 4;
        const TURNS: u128 = 200;
        let keeping = Keeping {
            // more than the others write while one is held up: what it has just appended is there
            records: ((WRITERS - 1) * TURNS) as u64 + 1,
            every: 8,
            slack: 10,
        };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(5)));
        // two starts before this one, whose records are trimmed
        let mut earlier = Vec::new();
        for key in 1..=2 {
            let log = PurgeLog::open_keeping(store.clone(), keeping)
                .await
                .unwrap();
            append(&log, "before", key).await.unwrap();
            earlier.push(held(&log).await);
        }
        let log = PurgeLog::open_keeping(store.clone(), keeping)
            .await
            .unwrap();
        let log = Arc::new(log);
        let writers: Vec<_> = (1..=WRITERS)
            .map(|writer| {
                let log = log.clone();
                tokio::spawn(async move {
                    let mut given = Vec::new();
                    for turn in 0..TURNS {
                        let key = writer * 1000 + turn;
                        let appended = append(&log, &key.to_string(), key).await.unwrap();
                        assert_eq!(appended.first, appended.last);
                        given.push(appended.last.n);
                    }
                    given
                })
            })
            .collect();
        let mut given = vec![1, 2];
        for writer in writers {
            given.extend(writer.await.unwrap());
        }
        given.sort_unstable();
        let all = 2 + (WRITERS * TURNS) as u64;
        assert_eq!(given, (1..=all).collect::<Vec<_>>());

        let head = log.head().await.unwrap();
        let kept = head.at.n - head.first + 1;
        let most = keeping.records + keeping.slack + keeping.every;
        assert!((keeping.records..=most).contains(&kept), "{kept}");
        let at = |n| PurgeSeq::new(Epoch(5), n);
        let told = log.purges(at(head.first - 1), 1000).await.unwrap();
        let told = decode_batch(encode_batch(&told, at(all))).unwrap().purges;
        assert!(
            told.iter()
                .map(|purge| purge.at)
                .eq((head.first..=all).map(at))
        );
        assert!(told.iter().all(|purge| purge.term == log.term.0));
        let behind = log.read(at(head.first - 2), 1).await;
        assert_eq!(behind, Err(StoreError::Trimmed { first: head.first }));

        // the writers of what is gone are known still: a node from then is behind, and none from a rolled back log
        let reads_again = PurgeLog::open_keeping(store, keeping).await.unwrap();
        let last = Held {
            at: at(head.first - 1),
            term: log.term.0,
        };
        for log in [&*log, &reads_again] {
            for held in &earlier {
                let (reception, head) = log.receive(held, false).await.unwrap();
                assert_eq!((reception, head.at), (Reception::StartEmpty, at(all)));
            }
            let (reception, _) = log.receive(&last, false).await.unwrap();
            assert_eq!(reception, Reception::Continue);
        }
    }
}
