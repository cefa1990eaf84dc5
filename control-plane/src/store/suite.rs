//! What every engine must do. `suite!(make)` in an engine's tests runs all of it: `make(epoch)` gives an empty store.

use super::{
    APPEND_RECORDS_MAX, Appended, DOCUMENT_BYTES_MAX, Entry, Expect, FOUND_MAX, IdempotencyKey,
    KEY_BYTES_MAX, NAMES_MAX, RECORD_BYTES_MAX, Record, Revision, Store, StoreError, Term,
};
use seawall_purge::{Epoch, PurgeSeq};
use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

/// Epoch of the stores that the suite is given.
pub(crate) const EPOCH: Epoch = Epoch(7);

macro_rules! suite {
    ($make:expr) => {
        $crate::store::suite::suite! {
            $make;
            appended_records_are_read_in_order_with_their_terms
            an_append_that_is_tried_again_is_the_same_append
            an_append_against_the_bounds_changes_nothing
            appends_at_once_are_dense_and_each_stays_together
            positions_that_the_log_cannot_serve_are_told_apart
            a_trimmed_log_keeps_its_head_and_its_later_records
            trims_and_appends_at_once_lose_no_later_record
            appends_are_found_by_their_names_latest_first
            names_go_with_their_records_and_with_their_epoch
            a_new_epoch_is_started_once_and_is_empty
            a_waiting_reader_is_told_of_an_append_and_of_a_new_epoch
            a_document_is_changed_only_where_it_is_as_expected
            of_many_who_change_one_revision_one_succeeds
            a_document_against_the_bounds_is_refused
            changes_after_a_revision_are_told_once_and_with_deletions
            a_list_has_what_exists_below_its_prefix
            a_waiting_watcher_is_told_of_a_change
        }
    };
    ($make:expr; $($rule:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let make = $make;
            $crate::store::suite::$rule(make($crate::store::suite::EPOCH)).await;
        })*
    };
}
pub(crate) use suite;

type AnyStore = Arc<dyn Store>;

fn at(n: u64) -> PurgeSeq {
    PurgeSeq::new(EPOCH, n)
}

/// Records without a name.
fn bodies(texts: &[&str]) -> Vec<Entry> {
    texts.iter().map(|text| text.as_bytes().into()).collect()
}

/// Appends under a term of 1 and the key `key`.
async fn append(store: &AnyStore, key: u128, texts: &[&str]) -> Result<Appended, StoreError> {
    let key = IdempotencyKey(key);
    store.append(Term(1), 0, bodies(texts), key).await
}

fn texts(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .map(|r| std::str::from_utf8(&r.body).unwrap())
        .collect()
}

async fn is_pending<T>(mut waiting: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> bool {
    poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await
}

pub(crate) async fn appended_records_are_read_in_order_with_their_terms(store: AnyStore) {
    let empty = store.head().await.unwrap();
    assert_eq!((empty.at, empty.first), (at(0), 1));
    store
        .append(Term(5), 1000, bodies(&["a", "b"]), IdempotencyKey(1))
        .await
        .unwrap();
    let second = store
        .append(Term(6), 2000, bodies(&["c"]), IdempotencyKey(2))
        .await
        .unwrap();
    assert_eq!((second.first, second.last), (at(3), at(3)));

    let head = store.head().await.unwrap();
    assert_eq!((head.at, head.term, head.first), (at(3), Term(6), 1));
    let read = store.read(at(0), 10).await.unwrap();
    assert_eq!(texts(&read), ["a", "b", "c"]);
    let told: Vec<_> = read.iter().map(|r| (r.at, r.term, r.appended_ms)).collect();
    assert_eq!(
        told,
        [
            (at(1), Term(5), 1000),
            (at(2), Term(5), 1000),
            (at(3), Term(6), 2000)
        ]
    );
    assert_eq!(texts(&store.read(at(1), 1).await.unwrap()), ["b"]);
    assert!(store.read(at(3), 10).await.unwrap().is_empty());
}

pub(crate) async fn an_append_that_is_tried_again_is_the_same_append(store: AnyStore) {
    let first = append(&store, 9, &["a", "b"]).await.unwrap();
    append(&store, 10, &["c"]).await.unwrap();
    assert_eq!(append(&store, 9, &["a", "b"]).await, Ok(first));
    assert_eq!(store.head().await.unwrap().at, at(3));
}

pub(crate) async fn an_append_against_the_bounds_changes_nothing(store: AnyStore) {
    let refused = append(&store, 1, &[]).await;
    assert_eq!(refused, Err(StoreError::Empty));
    let many = vec!["x"; APPEND_RECORDS_MAX + 1];
    let long = "x".repeat(RECORD_BYTES_MAX + 1);
    for texts in [&many[..], &["fits", &long]] {
        let refused = append(&store, 2, texts).await;
        assert!(
            matches!(refused, Err(StoreError::TooLarge { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(store.head().await.unwrap().at, at(0));
    // a refused append does not use up its key
    let most = vec!["x"; APPEND_RECORDS_MAX];
    append(&store, 2, &most).await.unwrap();
}

pub(crate) async fn appends_at_once_are_dense_and_each_stays_together(store: AnyStore) {
    let tasks: Vec<_> = (0..8u128)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for turn in 0..20 {
                    let name = format!("{writer}.{turn}");
                    append(&store, writer * 100 + turn, &[name.as_str(); 3])
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let read = store.read(at(0), 1000).await.unwrap();
    assert_eq!(read.len(), 8 * 20 * 3);
    assert!(read.iter().zip(1..).all(|(r, n)| r.at == at(n)));
    let mut seen = HashSet::new();
    for batch in texts(&read).chunks(3) {
        assert!(batch[0] == batch[1] && batch[1] == batch[2] && seen.insert(batch[0]));
    }
}

pub(crate) async fn positions_that_the_log_cannot_serve_are_told_apart(store: AnyStore) {
    append(&store, 1, &["a", "b", "c"]).await.unwrap();
    store.trim(at(3)).await.unwrap();
    assert_eq!(
        store.read(at(4), 1).await,
        Err(StoreError::Beyond { head: at(3) })
    );
    assert_eq!(
        store.read(at(1), 1).await,
        Err(StoreError::Trimmed { first: 3 })
    );
    let other = PurgeSeq::new(Epoch(8), 1);
    let error = StoreError::OtherEpoch { current: EPOCH };
    assert_eq!(store.read(other, 1).await, Err(error.clone()));
    assert_eq!(store.trim(other).await, Err(error));
    assert_eq!(texts(&store.read(at(2), 9).await.unwrap()), ["c"]);
}

pub(crate) async fn a_trimmed_log_keeps_its_head_and_its_later_records(store: AnyStore) {
    append(&store, 1, &["a", "b"]).await.unwrap();
    let kept = append(&store, 2, &["c"]).await.unwrap();
    store.trim(at(2)).await.unwrap();
    // the first record of the first append is gone, and with it its key; the second append is whole
    assert_eq!(append(&store, 2, &["c"]).await, Ok(kept));
    assert_eq!(append(&store, 1, &["a"]).await.unwrap().first, at(4));
    // an older bound brings nothing back, one beyond the head takes all and no more
    store.trim(at(1)).await.unwrap();
    assert_eq!(store.head().await.unwrap().first, 2);
    store.trim(at(99)).await.unwrap();
    let head = store.head().await.unwrap();
    assert_eq!((head.at, head.first, head.term), (at(4), 5, Term(1)));
    assert_eq!(append(&store, 3, &["d"]).await.unwrap().first, at(5));
}

/// Who wrote a record, told by its text `writer.turn.part`.
fn writer_of(record: &Record) -> u64 {
    let text = std::str::from_utf8(&record.body).unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

/// Reads on until `last`, and jumps to what is kept where it is behind that. How many records it read, and how often it
/// jumped.
async fn follow(store: AnyStore, last: u64) -> (u64, u64) {
    let (mut read, mut jumps, mut cursor) = (0, 0, 0);
    while cursor < last {
        store.moved(at(cursor)).await.unwrap();
        match store.read(at(cursor), 7).await {
            Ok(records) => {
                for record in records {
                    assert_eq!(record.at, at(cursor + 1));
                    assert_eq!(record.term, Term(writer_of(&record)));
                    cursor += 1;
                    read += 1;
                }
            }
            Err(StoreError::Trimmed { first }) => {
                assert!(first > cursor + 1, "{first} is there, {cursor} asked");
                cursor = first - 1;
                jumps += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    (read, jumps)
}

pub(crate) async fn trims_and_appends_at_once_lose_no_later_record(store: AnyStore) {
    const WRITERS: u64 = 4;
    const TURNS: u64 = 60;
    const KEPT: u64 = 20;
    // 1, 2 and 3 records in turn
    const ALL: u64 = WRITERS * TURNS * 2;
    let writers: Vec<_> = (1..=WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut given = Vec::new();
                for turn in 0..TURNS {
                    let parts = (0..=turn % 3).map(|part| format!("{writer}.{turn}.{part}"));
                    let bodies = parts.map(|text| text.as_bytes().into()).collect();
                    let key = IdempotencyKey(u128::from(writer * 1000 + turn));
                    let append = store.append(Term(writer), turn, bodies, key);
                    given.push((key, append.await.unwrap()));
                }
                given
            })
        })
        .collect();
    let trimming = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let head = store.head().await.unwrap();
                store
                    .trim(at(head.at.n.saturating_sub(KEPT) + 1))
                    .await
                    .unwrap();
                if head.at.n == ALL {
                    return;
                }
                store.moved(head.at).await.unwrap();
            }
        })
    };
    let reader = tokio::spawn(follow(store.clone(), ALL));
    // its first question is behind what is kept
    let late = {
        let store = store.clone();
        tokio::spawn(async move {
            while store.head().await.unwrap().first == 1 {
                tokio::task::yield_now().await;
            }
            follow(store, ALL).await
        })
    };
    let mut given = Vec::new();
    for writer in writers {
        given.extend(writer.await.unwrap());
    }
    trimming.await.unwrap();
    assert!(reader.await.unwrap().0 >= KEPT);
    let (read, jumps) = late.await.unwrap();
    assert!(read >= KEPT && jumps >= 1, "{read} {jumps}");

    // each append has positions of its own, and together they have all
    let mut next = 1;
    given.sort_by_key(|(_, given)| given.first.n);
    for (_, given) in &given {
        assert_eq!(given.first, at(next));
        next = given.last.n + 1;
    }
    let head = store.head().await.unwrap();
    assert_eq!(
        (next - 1, head.at, head.first),
        (ALL, at(ALL), ALL - KEPT + 1)
    );
    let before = store.read(at(head.first - 2), 1).await;
    assert_eq!(before, Err(StoreError::Trimmed { first: head.first }));
    let kept = store.read(at(head.first - 1), 1000).await.unwrap();
    assert_eq!(kept.len() as u64, KEPT);
    assert_eq!(kept.last().unwrap().term, head.term);
    for (record, n) in kept.iter().zip(head.first..) {
        assert_eq!((record.at, record.term), (at(n), Term(writer_of(record))));
    }
    // an append whose first record is kept is still known by its key
    for (key, given) in given.into_iter().filter(|(_, g)| g.first.n >= head.first) {
        let again = store.append(Term(9), 0, bodies(&["x"]), key).await;
        assert_eq!(again, Ok(given));
    }
    assert_eq!(store.head().await.unwrap().at, at(ALL));
}

pub(crate) async fn a_new_epoch_is_started_once_and_is_empty(store: AnyStore) {
    append(&store, 1, &["a"]).await.unwrap();
    let fresh = Epoch(21);
    assert_eq!(
        store.start_epoch(EPOCH, EPOCH).await,
        Err(StoreError::OtherEpoch { current: EPOCH })
    );
    store.start_epoch(EPOCH, fresh).await.unwrap();
    let late = store.start_epoch(EPOCH, Epoch(22)).await;
    assert_eq!(late, Err(StoreError::OtherEpoch { current: fresh }));

    let head = store.head().await.unwrap();
    assert_eq!((head.at, head.first), (PurgeSeq::new(fresh, 0), 1));
    let read = store.read(at(0), 1).await;
    assert_eq!(read, Err(StoreError::OtherEpoch { current: fresh }));
    // what a rolled-back log lost is appended when it is tried again: twice is safe, never is not
    let again = append(&store, 1, &["a"]).await.unwrap();
    assert_eq!(again.first, PurgeSeq::new(fresh, 1));
}

pub(crate) async fn a_waiting_reader_is_told_of_an_append_and_of_a_new_epoch(store: AnyStore) {
    store.moved(at(5)).await.unwrap();
    let mut moved = pin!(store.moved(at(0)));
    assert!(is_pending(moved.as_mut()).await);
    append(&store, 1, &["a"]).await.unwrap();
    moved.await.unwrap();
    let mut moved = pin!(store.moved(at(1)));
    assert!(is_pending(moved.as_mut()).await);
    store.start_epoch(EPOCH, Epoch(8)).await.unwrap();
    moved.await.unwrap();
}

pub(crate) async fn a_document_is_changed_only_where_it_is_as_expected(store: AnyStore) {
    let put = |text: &'static str, expect| store.put("a", text.as_bytes().into(), expect);
    let conflict = |current| Err(StoreError::Conflict { current });
    assert_eq!(put("0", Expect::At(Revision(1))).await, conflict(None));
    assert_eq!(store.delete("a", Expect::Any).await, conflict(None));
    let first = put("1", Expect::Absent).await.unwrap();
    assert_eq!(put("2", Expect::Absent).await, conflict(Some(first)));
    let second = put("2", Expect::At(first)).await.unwrap();
    assert!(second > first);
    assert_eq!(put("3", Expect::At(first)).await, conflict(Some(second)));
    assert_eq!(
        store.delete("a", Expect::At(first)).await,
        conflict(Some(second))
    );
    let found = store.get("a").await.unwrap().unwrap();
    assert_eq!(
        (found.revision, found.body.as_deref()),
        (second, Some(&b"2"[..]))
    );

    let deleted = store.delete("a", Expect::At(second)).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), None);
    // a key that comes again is not the document it was
    let third = put("4", Expect::Absent).await.unwrap();
    assert!(third > deleted && deleted > second);
    assert_eq!(put("5", Expect::At(second)).await, conflict(Some(third)));
}

pub(crate) async fn of_many_who_change_one_revision_one_succeeds(store: AnyStore) {
    let first = store.put("a", [].into(), Expect::Any).await.unwrap();
    let tasks: Vec<_> = (0..16u8)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move { store.put("a", [i].into(), Expect::At(first)).await.is_ok() })
        })
        .collect();
    let mut succeeded = 0;
    for task in tasks {
        succeeded += u32::from(task.await.unwrap());
    }
    assert_eq!(succeeded, 1);
}

pub(crate) async fn a_document_against_the_bounds_is_refused(store: AnyStore) {
    let key = "k".repeat(KEY_BYTES_MAX + 1);
    let large = vec![0; DOCUMENT_BYTES_MAX + 1];
    for (key, body) in [(&key[..], vec![]), ("k", large)] {
        let refused = store.put(key, body.into(), Expect::Any).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
        assert_eq!(store.get(key).await.unwrap(), None);
    }
}

pub(crate) async fn changes_after_a_revision_are_told_once_and_with_deletions(store: AnyStore) {
    let put = |key: &'static str| store.put(key, key.as_bytes().into(), Expect::Any);
    put("s/a").await.unwrap();
    put("s/b").await.unwrap();
    let seen = store.list("s/").await.unwrap().revision;
    assert!(
        store
            .changes("s/", seen)
            .await
            .unwrap()
            .documents
            .is_empty()
    );

    put("s/c").await.unwrap();
    put("t/x").await.unwrap();
    store.delete("s/a", Expect::Any).await.unwrap();
    put("s/c").await.unwrap();
    let told = store.changes("s/", seen).await.unwrap();
    let keys: Vec<_> = told
        .documents
        .iter()
        .map(|d| (d.key.as_str(), d.body.is_some()))
        .collect();
    assert_eq!(keys, [("s/a", false), ("s/c", true)]);
    assert!(
        store
            .changes("s/", told.revision)
            .await
            .unwrap()
            .documents
            .is_empty()
    );
}

pub(crate) async fn a_list_has_what_exists_below_its_prefix(store: AnyStore) {
    for key in ["s", "s/b", "s/a", "s0", "s/gone"] {
        store.put(key, [].into(), Expect::Any).await.unwrap();
    }
    store.delete("s/gone", Expect::Any).await.unwrap();
    let list = store.list("s/").await.unwrap();
    let keys: Vec<_> = list.documents.iter().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["s/b", "s/a"]);
    assert_eq!(store.list("").await.unwrap().documents.len(), 4);
}

pub(crate) async fn a_waiting_watcher_is_told_of_a_change(store: AnyStore) {
    let mut changed = pin!(store.changed(Revision(0)));
    assert!(is_pending(changed.as_mut()).await);
    let revision = store.put("a", [].into(), Expect::Any).await.unwrap();
    changed.await.unwrap();
    let mut changed = pin!(store.changed(revision));
    assert!(is_pending(changed.as_mut()).await);
    store.delete("a", Expect::Any).await.unwrap();
    changed.await.unwrap();
}

/// Appends one record for each list of names.
async fn append_named(store: &AnyStore, key: u128, names: &[&[u64]]) -> Appended {
    let entry = |names: &&[u64]| Entry {
        body: [].into(),
        names: names.to_vec(),
    };
    let entries = names.iter().map(entry).collect();
    let given = store.append(Term(1), 0, entries, IdempotencyKey(key)).await;
    given.unwrap()
}

async fn firsts(store: &AnyStore, names: &[u64], before: u64, max: usize) -> Vec<u64> {
    let found = store.find(names.to_vec(), at(before), max).await.unwrap();
    found.iter().map(|append| append.first.n).collect()
}

pub(crate) async fn appends_are_found_by_their_names_latest_first(store: AnyStore) {
    const LAST: u64 = u64::MAX;
    let rows: [&[&[u64]]; 5] = [
        &[&[1]],
        &[&[2, 1, 1]],
        &[&[3], &[1], &[2]],
        &[&[]],
        &[&[1, LAST]],
    ];
    for (names, key) in rows.into_iter().zip(1..) {
        append_named(&store, key, names).await;
    }
    // again: nothing is appended, and nothing is found twice
    append_named(&store, 1, rows[0]).await;
    let end = 1000;
    for (names, before, max, expected) in [
        (&[1][..], end, 9, &[7, 3, 2, 1][..]),
        (&[1], end, 2, &[7, 3]),
        (&[1], 3, 9, &[2, 1]),
        // of an append that begins before: not all of it is
        (&[1, 3], 4, 9, &[2, 1]),
        (&[2, 3], end, 9, &[3, 2]),
        (&[LAST], end, 9, &[7]),
        (&[LAST, 2], end, 9, &[7, 3, 2]),
        (&[9], end, 9, &[]),
        (&[], end, 9, &[]),
        (&[1], end, 0, &[]),
    ] {
        assert_eq!(
            firsts(&store, names, before, max).await,
            expected,
            "{names:?} {before} {max}"
        );
    }
    let whole = store.find(vec![3], at(end), 1).await.unwrap();
    assert_eq!((whole[0].first, whole[0].last), (at(3), at(5)));
    let other = store.find(vec![1], PurgeSeq::new(Epoch(8), 9), 1).await;
    assert_eq!(other, Err(StoreError::OtherEpoch { current: EPOCH }));
    let refused = store.find(vec![1], at(end), FOUND_MAX + 1).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    let entry = Entry {
        body: [].into(),
        names: vec![1; NAMES_MAX + 1],
    };
    let refused = store
        .append(Term(1), 0, vec![entry], IdempotencyKey(99))
        .await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
}

pub(crate) async fn names_go_with_their_records_and_with_their_epoch(store: AnyStore) {
    append_named(&store, 1, &[&[1]]).await;
    append_named(&store, 2, &[&[1], &[1, 2]]).await;
    append_named(&store, 3, &[&[2]]).await;
    // cuts the second append
    store.trim(at(3)).await.unwrap();
    assert_eq!(firsts(&store, &[1, 2], 9, 9).await, [4]);
    let next = Epoch(EPOCH.0 + 1);
    store.start_epoch(EPOCH, next).await.unwrap();
    append_named(&store, 4, &[&[3]]).await;
    let find = |name| store.find(vec![name], PurgeSeq::new(next, 9), 9);
    assert_eq!(find(2).await, Ok(Vec::new()));
    assert_eq!(find(3).await.unwrap().len(), 1);
}
