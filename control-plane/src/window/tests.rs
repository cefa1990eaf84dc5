//! What nodes are told of the log, and how often it is encoded for that.

use super::*;
use crate::store::{
    Answer, Appended, Document, Documents, Entry, Expect, Head, IdempotencyKey, MemoryStore,
    Record, Revision, Term,
};
use std::sync::Arc;

const EPOCH: Epoch = Epoch(3);
const PURGES: u64 = 4_321;

fn at(n: u64) -> PurgeSeq {
    PurgeSeq::new(EPOCH, n)
}

async fn append(store: &dyn Store, count: u64, scopes: usize) {
    let record = PurgeRecord {
        soft: false,
        scopes: vec![u64::MAX; scopes],
        named: crate::record::Named::default(),
        by: "ci".into(),
        by_token: None,
        by_node: None,
        more: 0,
        pace: None,
    };
    let entry = Entry {
        body: record.encode(),
        names: Vec::new(),
    };
    let mut left = count as usize;
    while left > 0 {
        let some = left.min(crate::store::APPEND_RECORDS_MAX);
        let key = IdempotencyKey(rand_key());
        store
            .append(Term(1), 1, vec![entry.clone(); some], key)
            .await
            .unwrap();
        left -= some;
    }
}

fn rand_key() -> u128 {
    u128::from(crate::log::random().unwrap())
}

/// One node from a position to the head, by steps of its own; the positions that it was told.
async fn catch_up(window: &Window, store: &dyn Store, from: u64, step: usize) -> Vec<u64> {
    let mut told = Vec::new();
    let mut cursor = at(from);
    loop {
        let purges = window.read(store, cursor, step).await.unwrap();
        let Some(last) = purges.last() else {
            return told;
        };
        assert!(purges.len() <= step);
        cursor = last.at;
        told.extend(purges.iter().map(|purge| purge.at.n));
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_nodes_catch_up_each_purge_is_encoded_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
    append(store.as_ref(), PURGES, 1).await;
    let window = Arc::new(Window::default());
    let nodes: Vec<_> = (0..200_u64)
        .map(|node| {
            let (window, store) = (window.clone(), store.clone());
            tokio::spawn(async move {
                let from = if node == 0 { 0 } else { node * 37 % 3000 };
                let step = [1000, 100, 7][node as usize % 3];
                let told = catch_up(&window, store.as_ref(), from, step).await;
                assert!(told.iter().copied().eq(from + 1..=PURGES), "{node}");
            })
        })
        .collect();
    for node in nodes {
        node.await.unwrap();
    }
    assert_eq!(window.encoded(), PURGES);
    // and each that comes after
    for _ in 0..3 {
        append(store.as_ref(), 1, 1).await;
        let head = store.head().await.unwrap().at.n;
        let told = (0..50).map(|_| catch_up(&window, store.as_ref(), head - 1, 9));
        for told in futures::future::join_all(told).await {
            assert_eq!(told, [head]);
        }
    }
    assert_eq!(window.encoded(), PURGES + 3);
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_the_rest_is_read_again() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
    let count = 12_000;
    append(store.as_ref(), count, 1).await;
    // of some 150 bytes each
    let window = Window {
        bytes_max: 1_000_000,
        ..Window::default()
    };
    for _ in 0..2 {
        let told = catch_up(&window, store.as_ref(), 0, BATCH_MAX).await;
        assert!(told.into_iter().eq(1..=count));
        let kept = window.kept.lock();
        let bytes: usize = kept.blocks.values().map(|block| block.bytes).sum();
        assert_eq!(kept.bytes, bytes);
        assert!(
            bytes <= window.bytes_max && kept.blocks.len() > 1,
            "{bytes}"
        );
    }
    assert!(window.encoded() > count);
}

#[tokio::test]
async fn a_trimmed_log_another_epoch_and_a_position_beyond_are_as_in_the_store() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
    append(store.as_ref(), 50, 1).await;
    store.trim(at(21)).await.unwrap();
    let window = Window::default();
    let read = |after| window.read(store.as_ref(), after, 9);
    assert_eq!(
        read(at(3)).await.err(),
        Some(StoreError::Trimmed { first: 21 })
    );
    assert_eq!(read(at(30)).await.unwrap()[0].at, at(31));
    assert_eq!(read(at(20)).await.unwrap()[0].at, at(21));
    assert_eq!(
        read(at(51)).await.err(),
        Some(StoreError::Beyond { head: at(50) })
    );
    let next = Epoch(EPOCH.0 + 1);
    store.start_epoch(EPOCH, next).await.unwrap();
    append(store.as_ref(), 5, 1).await;
    let told = read(PurgeSeq::new(next, 0)).await.unwrap();
    assert_eq!((told.len(), told[0].at), (5, PurgeSeq::new(next, 1)));
    assert!(matches!(
        read(at(30)).await,
        Err(StoreError::OtherEpoch { .. })
    ));
}
#[tokio::test]
async fn what_is_kept_of_one_epoch_is_never_told_in_another() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
    append(store.as_ref(), 50, 1).await;
    let window = Window::default();
    let read = |after| window.read(store.as_ref(), after, 9);
    read(at(0)).await.unwrap();
    let next = Epoch(EPOCH.0 + 1);
    store.start_epoch(EPOCH, next).await.unwrap();
    let refused = Some(StoreError::OtherEpoch { current: next });
    assert_eq!(read(at(0)).await.err(), refused);
    let first = PurgeSeq::new(next, 0);
    assert!(read(first).await.unwrap().is_empty());
    // fewer than were kept, at the positions of those
    append(store.as_ref(), 5, 1).await;
    assert_eq!(read(at(0)).await.err(), refused);
    let told = read(first).await.unwrap();
    assert!(told.iter().map(|purge| purge.at.epoch).eq([next; 5]));
}

#[tokio::test]
async fn a_damaged_record_is_an_error_for_who_comes_to_it_and_for_nobody_else() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(EPOCH));
    append(store.as_ref(), 500, 1).await;
    let damaged = vec![b"no purge".as_slice().into()];
    let key = IdempotencyKey(rand_key());
    store.append(Term(1), 1, damaged, key).await.unwrap();
    append(store.as_ref(), 300, 1).await;
    let window = Window::default();
    for _ in 0..2 {
        // in one block
        let told = catch_up(&window, store.as_ref(), 700, 9).await;
        assert!(told.into_iter().eq(701..=801));
        let told = window.read(store.as_ref(), at(100), 1000).await.unwrap();
        assert!(told.iter().map(|purge| purge.at.n).eq(101..=500));
        let reached = window.read(store.as_ref(), at(500), 9).await;
        assert!(matches!(reached, Err(StoreError::Corrupt(_))));
        let told = catch_up(&window, store.as_ref(), 501, 9).await;
        assert!(told.into_iter().eq(502..=801));
    }
}

/// An engine whose readers see what its head does not tell yet.
struct Ahead {
    store: MemoryStore,
    head: Mutex<Head>,
}

impl Store for Ahead {
    fn head(&self) -> Answer<'_, Head> {
        Box::pin(std::future::ready(Ok(*self.head.lock())))
    }
    fn append(
        &self,
        term: Term,
        appended_ms: u64,
        entries: Vec<Entry>,
        key: IdempotencyKey,
    ) -> Answer<'_, Appended> {
        self.store.append(term, appended_ms, entries, key)
    }
    fn read(&self, after: PurgeSeq, max: usize) -> Answer<'_, Vec<Record>> {
        self.store.read(after, max)
    }
    fn find(&self, names: Vec<u64>, before: PurgeSeq, max: usize) -> Answer<'_, Vec<Appended>> {
        self.store.find(names, before, max)
    }
    fn moved(&self, seen: PurgeSeq) -> Answer<'_, ()> {
        self.store.moved(seen)
    }
    fn trim(&self, first: PurgeSeq) -> Answer<'_, ()> {
        self.store.trim(first)
    }
    fn start_epoch(&self, current: Epoch, fresh: Epoch) -> Answer<'_, ()> {
        self.store.start_epoch(current, fresh)
    }
    fn get(&self, key: &str) -> Answer<'_, Option<Document>> {
        self.store.get(key)
    }
    fn list(&self, prefix: &str) -> Answer<'_, Documents> {
        self.store.list(prefix)
    }
    fn put(&self, key: &str, body: Arc<[u8]>, expect: Expect) -> Answer<'_, Revision> {
        self.store.put(key, body, expect)
    }
    fn delete(&self, key: &str, expect: Expect) -> Answer<'_, Revision> {
        self.store.delete(key, expect)
    }
    fn changes(&self, prefix: &str, since: Revision) -> Answer<'_, Documents> {
        self.store.changes(prefix, since)
    }
    fn changed(&self, since: Revision) -> Answer<'_, ()> {
        self.store.changed(since)
    }
}

#[tokio::test]
async fn no_purge_is_told_before_the_head_tells_of_it() {
    let store = MemoryStore::new(EPOCH);
    append(&store, 30, 1).await;
    let head = store.head().await.unwrap();
    append(&store, 5, 1).await;
    let store = Ahead {
        head: Mutex::new(head),
        store,
    };
    let window = Window::default();
    for from in [0, 29] {
        let told = catch_up(&window, &store, from, 1000).await;
        assert!(told.into_iter().eq(from + 1..=30));
    }
    *store.head.lock() = store.store.head().await.unwrap();
    assert!(
        catch_up(&window, &store, 30, 9)
            .await
            .into_iter()
            .eq(31..=35)
    );
    assert_eq!(window.encoded(), 35);
}
