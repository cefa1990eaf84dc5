//! What this engine promises beyond the suite: it is there again after its end, whole, or says that it is not.

mod backup;
mod crash;
mod upgrade;

use super::*;
use crate::store::{DELETIONS_MAX, suite};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::mpsc as std_mpsc;
use tempfile::TempDir;

super::super::suite::suite!({
    let dir = tempfile::tempdir().unwrap();
    move |epoch| Arc::new(open_in(dir.path(), epoch))
});

fn open_in(dir: &Path, epoch: Epoch) -> SqliteStore {
    SqliteStore::open_or_begin(&file_in(dir), || Ok(epoch)).unwrap()
}

fn file_in(dir: &Path) -> PathBuf {
    dir.join("control-plane.db")
}

/// A store in a directory of its own.
fn begin() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), suite::EPOCH);
    (dir, store)
}

fn reopen(dir: &TempDir) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&file_in(dir.path()))
}

/// Appends under a term of 5 at a time of 9.
async fn append(store: &SqliteStore, key: u128, texts: &[&str]) -> Result<Appended, StoreError> {
    let bodies = texts.iter().map(|text| text.as_bytes().into()).collect();
    store.append(Term(5), 9, bodies, IdempotencyKey(key)).await
}

async fn all_records(store: &SqliteStore) -> Vec<Record> {
    let head = store.head().await.unwrap();
    let before = PurgeSeq::new(head.at.epoch, head.first - 1);
    store.read(before, usize::MAX).await.unwrap()
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_its_log_keys_documents_and_revisions() {
    let (dir, store) = begin();
    append(&store, 1, &["a"]).await.unwrap();
    let kept = append(&store, 2, &["b", "c"]).await.unwrap();
    store.trim(PurgeSeq::new(suite::EPOCH, 2)).await.unwrap();
    store.put("x", [1].into(), Expect::Any).await.unwrap();
    let seen = store.put("y", [].into(), Expect::Any).await.unwrap();
    let last = store.delete("x", Expect::Any).await.unwrap();
    let (head, records) = (store.head().await.unwrap(), all_records(&store).await);
    let changes = store.changes("", Revision(0)).await.unwrap();
    drop(store);

    let store = reopen(&dir).unwrap();
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!((head.at.n, head.first, head.term), (3, 2, Term(5)));
    assert_eq!(all_records(&store).await, records);
    assert_eq!(append(&store, 2, &["b", "c"]).await, Ok(kept));
    assert_eq!(append(&store, 1, &["a"]).await.unwrap().first.n, 4);
    assert_eq!(store.changes("", Revision(0)).await.unwrap(), changes);
    assert_eq!(store.get("y").await.unwrap().unwrap().revision, seen);
    store.changed(seen).await.unwrap();
    let next = store.put("x", [].into(), Expect::Absent).await.unwrap();
    assert!(next > last);
}

#[tokio::test]
async fn a_new_store_is_for_its_owner_alone_and_in_an_epoch_of_its_own() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut epochs = Vec::new();
    for dir in &dirs {
        let store = reopen(dir).unwrap();
        epochs.push(store.head().await.unwrap().at.epoch);
        for entry in fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }
    assert!(epochs[0] != epochs[1] && !epochs.contains(&Epoch(0)));
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let (dir, store) = begin();
    let refused = reopen(&dir).err().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert_eq!(refused.to_string().lines().count(), 1);
    drop(store);
    reopen(&dir).unwrap();
}

#[tokio::test]
async fn names_of_trimmed_records_leave_the_file_and_it_opens_again() {
    let (dir, store) = begin();
    let entry = |name| Entry {
        body: (&b"purge"[..]).into(),
        names: vec![name],
    };
    for name in 1..=3 {
        let key = IdempotencyKey(name.into());
        let appending = store.append(Term(5), 9, vec![entry(name)], key);
        appending.await.unwrap();
    }
    let last = store.head().await.unwrap().at;
    store.trim(last).await.unwrap();
    drop(store);
    let left = |sql| -> i64 {
        let file = Connection::open(file_in(dir.path())).unwrap();
        file.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(left("SELECT count(*) FROM names"), 1);
    let store = reopen(&dir).unwrap();
    let end = PurgeSeq::new(last.epoch, last.n + 1);
    for (name, found) in [(1, 0), (2, 0), (3, 1)] {
        let of = store.find(vec![name], end, 9).await.unwrap();
        assert_eq!(of.len(), found, "{name}");
    }
}

/// Makes the file one of the format before: without names.
fn downgrade(dir: &TempDir) {
    let connection = Connection::open(file_in(dir.path())).unwrap();
    let sql = "DROP TABLE names; UPDATE meta SET format = 2";
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn what_the_version_before_wrote_is_read_and_found_by_its_names() {
    let (dir, store) = begin();
    let body = |scopes: &[u64]| {
        format!(r#"{{"soft":false,"scopes":{scopes:?},"named":{{}},"by":"ci","more":0}}"#)
    };
    append(&store, 1, &[&body(&[7, u64::MAX])]).await.unwrap();
    append(&store, 2, &["no purge", &body(&[7, 7])])
        .await
        .unwrap();
    let before = all_records(&store).await;
    drop(store);
    downgrade(&dir);
    let backup = dir.path().join("backup.db");
    super::backup(&file_in(dir.path()), &backup).unwrap();
    for restored in [false, true] {
        if restored {
            restore(&backup, &file_in(dir.path())).unwrap();
        }
        for _ in 0..2 {
            let store = reopen(&dir).unwrap();
            let epoch = store.head().await.unwrap().at.epoch;
            let records = all_records(&store).await;
            assert!(records.iter().zip(&before).all(|(a, b)| a.body == b.body));
            let find = |name| store.find(vec![name], PurgeSeq::new(epoch, 99), 9);
            let first = |found: Vec<Appended>| found.iter().map(|a| a.first.n).collect::<Vec<_>>();
            assert_eq!(first(find(7).await.unwrap()), [2, 1]);
            assert_eq!(first(find(u64::MAX).await.unwrap()), [1]);
        }
    }
}

#[tokio::test]
async fn names_of_records_that_are_not_there_are_damage() {
    let (dir, store) = begin();
    append(&store, 1, &["a"]).await.unwrap();
    drop(store);
    let connection = Connection::open(file_in(dir.path())).unwrap();
    connection
        .execute("INSERT INTO names VALUES (2, 7)", [])
        .unwrap();
    drop(connection);
    assert!(matches!(reopen(&dir), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_file_of_another_format_is_refused() {
    let (dir, store) = begin();
    drop(store);
    let connection = Connection::open(file_in(dir.path())).unwrap();
    connection
        .execute("UPDATE meta SET format = 99", [])
        .unwrap();
    drop(connection);
    let refused = reopen(&dir).err().unwrap();
    assert!(
        matches!(refused, OpenError::Format { found: 99, .. }),
        "{refused}"
    );
}

/// A closed store whose pages hold records and documents.
async fn closed_with_content() -> TempDir {
    let (dir, store) = begin();
    let text = "x".repeat(3000);
    for i in 0..40u32 {
        append(&store, i.into(), &[text.as_str(); 5]).await.unwrap();
        let key = format!("k{i}");
        let body = text.as_bytes().into();
        store.put(&key, body, Expect::Any).await.unwrap();
    }
    dir
}

/// Overwrites the pages from the second on, as far as the file goes.
fn overwrite_pages(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let bytes = file.metadata().unwrap().len() as usize;
    file.write_all_at(&vec![0xa5; bytes - 4096], 4096).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_a_hint_and_left_as_it_is() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 6] = [
        ("emptied", |path| fs::write(path, b"").unwrap()),
        ("cut in a page", |path| cut(path, 10_000)),
        ("cut in the header", |path| cut(path, 60)),
        ("not a database", |path| {
            fs::write(path, "text\n".repeat(5000)).unwrap();
        }),
        ("garbage pages", overwrite_pages),
        ("a record less", |path| {
            let connection = Connection::open(path).unwrap();
            connection
                .execute("DELETE FROM records WHERE n = 17", [])
                .unwrap();
        }),
    ];
    fn cut(path: &Path, bytes: u64) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(bytes).unwrap();
    }
    for (harm, inflict) in harms {
        let dir = closed_with_content().await;
        let path = file_in(dir.path());
        inflict(&path);
        let before = fs::read(&path).unwrap();
        let refused = reopen(&dir).err().expect(harm);
        assert!(
            matches!(refused, OpenError::Damaged { .. }),
            "{harm}: {refused}"
        );
        let text = refused.to_string();
        let hint = "restore it with `seawall control-plane restore`";
        assert!(text.ends_with(hint), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(fs::read(&path).unwrap(), before, "{harm}");
    }
}

#[tokio::test]
async fn a_store_that_went_missing_is_not_begun_anew_beside_its_journal() {
    let dir = closed_with_content().await;
    let path = file_in(dir.path());
    fs::rename(&path, file::beside(&path, "-wal")).unwrap();
    let refused = reopen(&dir).err().unwrap();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    assert!(!path.exists());
}

#[tokio::test]
async fn damage_that_comes_while_the_store_runs_is_told_as_such() {
    let dir = closed_with_content().await;
    let store = reopen(&dir).unwrap();
    overwrite_pages(&file_in(dir.path()));
    for failed in [
        store.list("").await.map(|_| ()),
        store.get("k1").await.map(|_| ()),
        append(&store, 99, &["x"]).await.map(|_| ()),
    ] {
        assert!(matches!(failed, Err(StoreError::Corrupt(_))), "{failed:?}");
    }
}

#[tokio::test]
async fn a_record_that_went_missing_while_the_store_runs_is_damage_and_no_gap() {
    let dir = closed_with_content().await;
    let store = reopen(&dir).unwrap();
    let read = |n| store.read(PurgeSeq::new(suite::EPOCH, n), 10);
    assert_eq!(read(10).await.unwrap().len(), 10);
    let connection = Connection::open(file_in(dir.path())).unwrap();
    let harm = "DELETE FROM records WHERE n IN (17, 200)";
    connection.execute(harm, []).unwrap();
    // in the midst, and at the end
    for n in [10, 195] {
        let failed = read(n).await;
        assert!(matches!(failed, Err(StoreError::Corrupt(_))), "{failed:?}");
    }
    assert_eq!(read(17).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_full_disk_refuses_an_append_and_the_store_goes_on() {
    let (_dir, store) = begin();
    append(&store, 1, &["a"]).await.unwrap();
    let bound = |pages: i64| {
        store.change(0, move |tables| {
            let pragma = format!("PRAGMA max_page_count = {pages}");
            Ok(tables.connection.query_row(&pragma, [], |_| Ok(()))?)
        })
    };
    // SQLite never goes below what is there: this leaves no page free
    bound(1).await.unwrap();
    let large = "x".repeat(crate::store::RECORD_BYTES_MAX);
    let full = append(&store, 2, &["small", &large]).await;
    assert_eq!(full, Err(StoreError::Unavailable));
    assert_eq!(store.head().await.unwrap().at.n, 1);

    bound(1_000_000).await.unwrap();
    let appended = append(&store, 2, &["small", &large]).await.unwrap();
    assert_eq!((appended.first.n, appended.last.n), (2, 3));
    assert_eq!(all_records(&store).await.len(), 3);
}

/// Holds the writer until the sender is dropped, so that what is asked meanwhile becomes one transaction.
async fn hold_writer(store: &Arc<SqliteStore>) -> (std_mpsc::Sender<()>, impl Future) {
    let (release, released) = std_mpsc::channel::<()>();
    let (held, is_held) = oneshot::channel();
    let holder = store.clone();
    let held = tokio::spawn(async move {
        let hold = move |_: &mut Tables| {
            let _ = held.send(());
            let _ = released.recv();
            Ok(())
        };
        holder.change(0, hold).await
    });
    is_held.await.unwrap();
    (release, held)
}

/// Has the writer find all of `asked` waiting at once.
async fn ask_at_once<T: Send + 'static>(
    store: &Arc<SqliteStore>,
    asked: Vec<impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let (release, held) = hold_writer(store).await;
    let count = asked.len();
    let asked: Vec<_> = asked.into_iter().map(tokio::spawn).collect();
    let queue = &store.queues.as_ref().unwrap().changes;
    while queue.max_capacity() - queue.capacity() < count {
        tokio::task::yield_now().await;
    }
    drop(release);
    held.await;
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn a_refused_or_failing_change_leaves_the_others_of_its_commit_whole() {
    let (dir, store) = begin();
    let store = Arc::new(store);
    let asked = (0..6u64).map(|i| {
        let store = store.clone();
        async move {
            let name = format!("k{i}");
            let change = move |tables: &mut Tables| {
                let revision = tables.put(&name, b"x", Expect::Any)?;
                let key = IdempotencyKey(i.into());
                tables.append(Term(1), 0, &[name.as_bytes().into()], key)?;
                match i {
                    1 => Err(StoreError::Conflict { current: None }.into()),
                    3 => Err(rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG),
                        None,
                    )
                    .into()),
                    _ => Ok(revision),
                }
            };
            store.change(0, change).await.is_ok()
        }
    });
    let done = ask_at_once(&store, asked.collect()).await;
    assert_eq!(done, [true, false, true, false, true, true]);
    drop(store);

    let store = reopen(&dir).unwrap();
    let documents = store.list("").await.unwrap().documents;
    let mut keys: Vec<_> = documents.iter().map(|d| d.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["k0", "k2", "k4", "k5"]);
    let records = all_records(&store).await;
    assert!(records.iter().zip(1..=4).all(|(r, n)| r.at.n == n) && records.len() == 4);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all_whose_changes_it_held() {
    let (_dir, store) = begin();
    let store = Arc::new(store);
    let asked = (0..4u128).map(|i| {
        let store = store.clone();
        async move {
            if i != 2 {
                return append(&store, i, &["x"]).await.map(|_| ());
            }
            // SQLite judges a deferred reference at the commit
            let harm = |tables: &mut Tables| {
                Ok(tables.connection.execute_batch(
                    "CREATE TEMP TABLE parent (a PRIMARY KEY);
                    CREATE TEMP TABLE child (a REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
                    INSERT INTO child VALUES (1)",
                )?)
            };
            store.change(0, harm).await
        }
    });
    let told = ask_at_once(&store, asked.collect()).await;
    assert_eq!(told, vec![Err(StoreError::Unknown); 4]);

    let retried = append(&store, 0, &["x"]).await.unwrap();
    assert_eq!(retried.first.n, 1);
    assert_eq!(all_records(&store).await.len(), 1);
}

#[tokio::test]
async fn a_full_queue_has_further_changes_wait() {
    let (_dir, store) = begin();
    let store = Arc::new(store);
    let (release, held) = hold_writer(&store).await;
    let asked: Vec<_> = (0..2 * QUEUE_MAX as u128)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move { append(&store, i, &["x"]).await })
        })
        .collect();
    let queue = &store.queues.as_ref().unwrap().changes;
    while queue.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    drop(release);
    held.await;
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(all_records(&store).await.len(), 2 * QUEUE_MAX);
}

#[tokio::test]
async fn a_cursor_older_than_the_deletions_that_are_kept_has_to_list_anew() {
    let (dir, store) = begin();
    let turn = |tables: &mut Tables| {
        for i in 0..=DELETIONS_MAX {
            let key = format!("k{i}");
            tables.put(&key, b"", Expect::Any)?;
            tables.delete(&key, Expect::Any)?;
        }
        Ok(())
    };
    store.change(0, turn).await.unwrap();
    drop(store);
    let store = reopen(&dir).unwrap();
    let forgotten = StoreError::Forgotten { since: Revision(2) };
    assert_eq!(store.changes("", Revision(1)).await, Err(forgotten));
    let kept = store.changes("", Revision(2)).await.unwrap();
    assert_eq!(kept.documents.len(), DELETIONS_MAX);
    // a key that comes again makes room for one deletion more
    store.put("k9", [].into(), Expect::Absent).await.unwrap();
    store.delete("k9", Expect::Any).await.unwrap();
    store.changes("", Revision(2)).await.unwrap();
}
