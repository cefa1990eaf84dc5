//! Copies of a running store, and the way back from them.

use super::*;

#[tokio::test]
async fn a_restored_backup_has_all_documents_and_purges_in_another_epoch() {
    let (dir, store) = begin();
    let path = file_in(dir.path());
    append(&store, 1, &["a", "b"]).await.unwrap();
    store.put("gone", [].into(), Expect::Any).await.unwrap();
    store.put("s/a", [1].into(), Expect::Any).await.unwrap();
    let seen = store.delete("gone", Expect::Any).await.unwrap();
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    let again = store.backup(&copy).await;
    assert!(matches!(again, Err(BackupError::Exists { .. })));

    // what comes after the backup is lost, and its numbers must not come again
    append(&store, 2, &["late"]).await.unwrap();
    let lost = store.put("s/late", [].into(), Expect::Any).await.unwrap();
    let in_use = restore(&copy, &path);
    assert!(matches!(in_use, Err(OpenError::Locked { .. })));
    drop(store);
    let replaced = fs::read(&path).unwrap();
    let epoch = restore(&copy, &path).unwrap();

    let store = reopen(&dir).unwrap();
    let head = store.head().await.unwrap();
    assert!(epoch != suite::EPOCH && epoch != Epoch(0));
    assert_eq!((head.at, head.first), (PurgeSeq::new(epoch, 2), 1));
    let records = all_records(&store).await;
    assert_eq!([&*records[0].body, &*records[1].body], [b"a", b"b"]);
    let list = store.list("").await.unwrap();
    let keys: Vec<_> = list.documents.iter().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["s/a"]);
    for cursor in [seen, lost] {
        let stale = store.changes("", cursor).await;
        assert!(matches!(stale, Err(StoreError::Forgotten { .. })));
    }
    let next = store.put("x", [].into(), Expect::Any).await.unwrap();
    assert!(next > lost);
    let told = store.changes("", list.revision).await.unwrap();
    assert_eq!(told.documents.len(), 1);
    let kept = fs::read_dir(dir.path()).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_it = name.starts_with("control-plane.db.before-restore-");
        is_it.then(|| fs::read(entry.path()).unwrap())
    });
    assert_eq!(kept, Some(replaced));
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_damaged_file_with_its_journals() {
    let (dir, store) = begin();
    append(&store, 1, &["a"]).await.unwrap();
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    drop(store);
    let path = file_in(dir.path());
    let wal = file::beside(&path, "-wal");
    fs::write(&path, "not a database").unwrap();
    fs::write(&wal, "nor a journal").unwrap();
    reopen(&dir).err().unwrap();
    restore(&copy, &path).unwrap();
    let store = reopen(&dir).unwrap();
    assert_eq!(all_records(&store).await.len(), 1);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_a_restoration_that_was_cut_off_is_told() {
    let dir = closed_with_content().await;
    let path = file_in(dir.path());
    let before = fs::read(&path).unwrap();
    let copy = dir.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    overwrite_pages(&copy);
    let refused = restore(&copy, &path).err().unwrap();
    assert!(matches!(refused, OpenError::Backup { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::rename(&path, file::beside(&path, file::RESTORED)).unwrap();
    let refused = reopen(&dir).err().unwrap();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
}

#[tokio::test]
async fn a_backup_is_taken_while_the_store_is_written_to() {
    let (dir, store) = begin();
    let store = Arc::new(store);
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for i in 0..100 {
                append(&store, i, &["a", "b", "c"]).await.unwrap();
            }
        })
    };
    store.moved(PurgeSeq::new(suite::EPOCH, 0)).await.unwrap();
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    writer.await.unwrap();
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let copied = SqliteStore::open(&copy).unwrap();
    let records = all_records(&copied).await;
    assert!(!records.is_empty() && records.len() % 3 == 0);
}

#[tokio::test]
async fn a_backup_is_restored_into_a_directory_that_was_lost() {
    let (dir, store) = begin();
    append(&store, 1, &["a"]).await.unwrap();
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    drop(store);
    let path = dir
        .path()
        .join("lost")
        .join("data")
        .join("control-plane.db");
    restore(&copy, &path).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.head().await.unwrap().at.n, 1);
}

#[tokio::test]
async fn a_damaged_store_gives_no_backup_and_the_error_names_the_store() {
    let (dir, store) = begin();
    append(&store, 1, &["a purge that is long enough"])
        .await
        .unwrap();
    drop(store);
    let path = file_in(dir.path());
    flip(&path, b"a purge that is long enough");
    let copy = dir.path().join("copy.db");
    let missing = dir.path().join("none").join("control-plane.db");
    for from in [&path, &missing] {
        let error = backup(from, &copy).unwrap_err();
        assert!(matches!(error, BackupError::Source { .. }), "{error}");
        assert!(error.to_string().starts_with(&from.display().to_string()));
        assert!(!copy.exists() && !dir.path().join("copy.db.part").exists());
    }
}

#[tokio::test]
async fn a_bit_that_flipped_in_a_purge_or_a_document_is_found_at_the_start() {
    for text in ["a purge that is long enough", "a document of some length"] {
        let (dir, store) = begin();
        append(&store, 1, &["a purge that is long enough"])
            .await
            .unwrap();
        let body = b"a document of some length".as_slice().into();
        store.put("s/a", body, Expect::Any).await.unwrap();
        drop(store);
        flip(&file_in(dir.path()), text.as_bytes());
        let error = reopen(&dir).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("control-plane restore"));
    }
}

/// Flips a bit of what the file holds at `text`.
fn flip(path: &Path, text: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes
        .windows(text.len())
        .position(|window| window == text)
        .unwrap();
    bytes[at + 3] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_store_that_was_closed_is_one_file() {
    for _ in 0..20 {
        let (dir, store) = begin();
        append(&store, 1, &["a"]).await.unwrap();
        store.get("x").await.unwrap();
        drop(store);
        for journal in file::JOURNALS {
            assert!(!file::beside(&file_in(dir.path()), journal).exists());
        }
    }
}
