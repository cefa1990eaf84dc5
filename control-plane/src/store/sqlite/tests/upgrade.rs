//! A file of the format before: what becomes of it, also where the process is killed meanwhile.

use super::*;
use crate::record::{Named, PurgeRecord};
use crate::store::APPEND_RECORDS_MAX;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where the child finds the store; without it, the child's part is no test.
const STORE: &str = "SEAWALL_TEST_UPGRADE_STORE";
const CHILD: &str = "store::sqlite::tests::upgrade::the_child_upgrades_until_it_is_killed";
const RECORDS: u64 = 40_000;
const NAMES_EACH: u64 = 5;
/// Bytes of the journal by which the upgrade is known to be under way.
const BEGUN_BYTES: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(120);

/// No order, as names have none.
fn name(n: u64, i: u64) -> u64 {
    (n * NAMES_EACH + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// By one commit.
async fn fill(store: &SqliteStore) {
    let entry = |n| {
        let record = PurgeRecord {
            soft: false,
            scopes: (0..NAMES_EACH).map(|i| name(n, i)).collect(),
            named: Named::default(),
            by: "ci".into(),
            by_token: None,
            by_node: None,
            more: 0,
            pace: None,
        };
        record.entry()
    };
    let change = move |tables: &mut Tables| {
        for first in (1..=RECORDS).step_by(APPEND_RECORDS_MAX) {
            let last = RECORDS.min(first + APPEND_RECORDS_MAX as u64 - 1);
            let entries: Vec<Entry> = (first..=last).map(entry).collect();
            tables.append(Term(1), 1, &entries, IdempotencyKey(first.into()))?;
        }
        Ok(())
    };
    store.change(0, change).await.unwrap();
}

/// The table of names and its index, in SQLite's words.
fn schema(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let sql =
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'names' AND sql NOT NULL ORDER BY name";
    let mut select = connection.prepare(sql).unwrap();
    let found = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
    found
        .map(|sql| sql.unwrap().split_whitespace().collect())
        .collect()
}

#[test]
fn the_child_upgrades_until_it_is_killed() {
    if let Some(path) = std::env::var_os(STORE) {
        SqliteStore::open(Path::new(&path)).unwrap();
    }
}

#[tokio::test]
async fn an_upgrade_that_is_killed_leaves_the_file_as_it_was_and_the_next_start_does_it() {
    let (dir, store) = begin();
    let path = file_in(dir.path());
    fill(&store).await;
    let head = store.head().await.unwrap();
    drop(store);
    let of_new = schema(&path);
    downgrade(&dir);

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact"])
        .env(STORE, &path)
        .spawn()
        .unwrap();
    let journal = path.with_extension("db-wal");
    let begun = Instant::now();
    while fs::metadata(&journal).map_or(0, |found| found.len()) < BEGUN_BYTES {
        assert!(begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let connection = Connection::open(&path).unwrap();
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(number("SELECT format FROM meta"), Ok(2));
    let table = "SELECT count(*) FROM sqlite_master WHERE tbl_name = 'names'";
    assert_eq!(number(table), Ok(0));
    drop(connection);

    for _ in 0..2 {
        let store = reopen(&dir).unwrap();
        assert_eq!(store.head().await.unwrap(), head);
        for n in [1, RECORDS / 2, RECORDS] {
            for i in 0..NAMES_EACH {
                let end = PurgeSeq::new(head.at.epoch, RECORDS + 1);
                let found = store.find(vec![name(n, i)], end, 9).await.unwrap();
                // an append is found by any of its records
                let holds = |found: &Appended| found.first.n <= n && n <= found.last.n;
                assert!(found.len() == 1 && holds(&found[0]), "{n}: {found:?}");
            }
        }
    }
    assert_eq!(schema(&path), of_new);
    let connection = Connection::open(&path).unwrap();
    let sql = "SELECT count(*) FROM names";
    let names = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(names, Ok((RECORDS * NAMES_EACH) as i64));
}
